# Leases in PostgreSQL: who waits for whom.  A renewal must not wait for the
# transactions of its own jobs; a take-over must wait for those of the old owner.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(time sleep);
use Travel::Test;

my $t = Travel::Test->start(parts => 'postgres');
my %as = (role => 'travel_worker');

sub lease {
    my ($owner, $ttl) = @_;
    my $from = time;
    my $fence = $t->sql("SELECT jobs.lease('booking', 0, '$owner', '$ttl')", %as);
    return ($fence, time - $from);
}

# A job's transaction that takes its time; returns when it has begun.
sub transaction {
    my ($owner, $fence, $seconds) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my $ok = eval {
            $t->sql("BEGIN; SELECT jobs.fenced('booking', 0, '$owner', $fence);"
                . " SELECT pg_sleep($seconds); COMMIT", %as);
            1;
        };
        POSIX::_exit($ok ? 0 : 1);
    }
    wait_for(sub { $t->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query
        LIKE '%pg_sleep%' AND wait_event = 'PgSleep'}, role => 'postgres') },
        5, 'the transaction');
    return $pid;
}

my ($fence) = lease('a', '1 minute');
is($fence, 1, 'the first lease');
is((lease('a', '1 minute'))[0], 1, 'a renewal keeps the fence');
is((lease('b', '1 minute'))[0], undef, 'somebody else gets nothing');

subtest 'renewal' => sub {
    my $pid = transaction('a', 1, 2);
    my ($f, $took) = lease('a', '1 minute');
    is($f, 1, 'renewed');
    cmp_ok($took, '<', 1, 'without waiting for a transaction under way');
    waitpid $pid, 0;
    is($?, 0, 'which ends well');
};

subtest 'take-over' => sub {
    my $pid = transaction('a', 1, 2);
    $t->sql(q{UPDATE jobs.partition SET expires_at = '-infinity'}, %as);
    my ($f, $took) = lease('b', '1 minute');
    is($f, 2, 'the fence is raised');
    cmp_ok($took, '>', 0.8, 'after the old owner\'s transaction');
    waitpid $pid, 0;
    is(scalar($t->sql("SELECT jobs.fenced('booking', 0, 'a', 1)", %as)), 'f',
        'the old owner is fenced');
    is(scalar($t->sql("SELECT jobs.fenced('booking', 0, 'b', 2)", %as)), 't',
        'the new one is not');
};

subtest 'many transactions, one renewal' => sub {
    my @pids = map {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            eval { $t->sql(join('', map {
                "BEGIN; SELECT jobs.fenced('booking', 0, 'b', 2);"
                . ' SELECT pg_sleep(0.02); COMMIT;' } 1 .. 100), %as) };
            POSIX::_exit($@ ? 1 : 0);
        }
        $pid;
    } 1 .. 6;
    sleep 0.5;
    my $worst = 0;
    for (1 .. 5) {
        my (undef, $took) = lease('b', '1 minute');
        $worst = $took if $took > $worst;
    }
    cmp_ok($worst, '<', 1, 'renewals are not starved');
    for (@pids) { waitpid $_, 0; is($?, 0, 'transactions ended well') }
};

subtest 'two that take over at once' => sub {
    $t->sql(q{UPDATE jobs.partition SET expires_at = '-infinity'}, %as);
    my @pids = map {
        my $owner = $_;
        my $pid = fork // die "fork: $!";
        POSIX::_exit((lease($owner, '1 minute'))[0] ? 1 : 0) unless $pid;
        $pid;
    } qw(c d e f);
    my $won = 0;
    for (@pids) { waitpid $_, 0; $won += $? >> 8 }
    is($won, 1, 'one of them wins');
    is(scalar($t->sql('SELECT fence FROM jobs.partition', %as)), 3, 'by one fence');
};

is(scalar($t->sql("SELECT jobs.release('booking', 0, 'nobody')", %as)), undef,
    'only the owner gives back');

$t->finish;
done_testing();
