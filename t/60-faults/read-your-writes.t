# Nobody reads before their own write: writers who read what they have just
# written, through a cache, with a replica that stands still for stretches.
# What others read is bounded too: what an invalidation has named is gone at once,
# what nobody has named yet is within max_lag; and nothing goes back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Crowd;
use Travel::Faults;
use Travel::Test;

my $SECONDS = Travel::Faults->seconds(40);
my $WRITERS = 5;
my $PAIRS   = 10 * $SECONDS;          # each, or until the time is over
my $LEAST   = 0.4 * $SECONDS;         # a fast machine goes on for that long
my $MAX_LAG = 2;

my $t = Travel::Test->start(
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub { s/max_lag=5s/max_lag=${MAX_LAG}s/ });
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

my @token = map { $t->user_token($_) } 0 .. $WRITERS;
my $crowd = Travel::Crowd->new($t);

sub ask {
    my ($http, $method, $path, $n, @more) = @_;
    return $crowd->ask($http, $method, $t->url . $path, $token[$n], @more);
}

# Odd ones carry the token of the answer, the others rely on the node's memory.
# A quarter of the writes is not waited for: the token is that of the job.
sub writer {
    my ($n, $http, $out) = @_;
    my ($pairs, $pending, $waited) = (0, 0, 0);
    my $begun = time;
    my $path = '/api/v1/journeys?limit=5';
    for (my $i = 1; $i <= $PAIRS || time < $begun + $LEAST; $i++) {
        last if time > $begun + $SECONDS;
        my $async = $i % 4 == 0;
        my ($w, $j) = ask($http, 'POST', '/api/v1/journeys', $n, {
            origin => 'Boston, US', destination => 'Hartford, US',
            theme => 'food' }, prefer => $async ? 'respond-async' : 'wait=10');
        if ($w->{status} !~ /^20[12]$/) {
            print $out "write $i: $w->{status} $w->{content}\n";
            next;
        }
        my %token = $n % 2
            ? ('travel-consistency' => $w->{headers}{'travel-consistency'}) : ();
        my $start = time;
        my ($r, $one) = ask($http, 'GET', "/api/v1/journeys/$j->{id}", $n,
            undef, %token);
        if ($r->{status} != 200 || $one->{id} ne $j->{id}) {
            print $out "pair $i: GET $j->{id} $r->{status} $r->{content}\n";
        }
        if ($w->{status} == 201) {
            my ($l, $list) = ask($http, 'GET', $path, $n, undef, %token);
            my $first = ($list->{items} || [])->[0]{id} // "$l->{status}";
            print $out "pair $i: list has $first, not $j->{id}, cache "
                . ($l->{headers}{'x-cache'} // '-') . " server "
                . ($l->{headers}{'x-server'} // '-') . "\n"
                if $first ne $j->{id};
        } else {
            $pending++;
        }
        $waited = time - $start if $waited < time - $start;
        $pairs++;
    }
    printf $out "done %d pairs, %d pending, longest %.3f\n", $pairs, $pending,
        $waited;
}

# Somebody who only reads what another (the test, by SQL) writes: in user 0's
# name is a number that grows.  Prints when it asked, and what it saw.
sub reader {
    my ($http, $out) = @_;
    my $reads = 0;
    until ($crowd->over) {
        my $start = time;
        my ($r, $me) = ask($http, 'GET', '/api/v1/me', 0);
        if ($r->{status} != 200) {
            print $out "failed $r->{status} $r->{content}\n";
        } elsif (($me->{name} // '') =~ /^no (\d+)$/) {
            printf $out "%.6f %d\n", $start, $1;
        }
        sleep 0.02;
    }
}

# Announces what it commits as a worker would; prints when it had done both.
sub changer {
    my ($http, $out) = @_;
    my $q = $t->redis('queue', 'worker');
    my $tl = $t->sql('SELECT timeline FROM travel.heartbeat');
    for (my $n = 1; !$crowd->over; $n++) {
        $t->sql("UPDATE travel.users SET name = 'no $n'
            WHERE id = '" . $t->user(0) . "'");
        my $committed = time;
        my $lsn = $t->sql('SELECT pg_current_wal_flush_lsn()',
            role => 'postgres');
        sleep 0.3 * ($n % 3);
        $q->call('XADD', 'travel:inval', '*', 'tags', 'user:' . $t->user(0),
            'timeline', $tl, 'lsn', $lsn);
        printf $out "%d %.6f %.6f\n", $n, $committed, time;
        sleep 0.1;
    }
}

for my $n (1 .. $WRITERS) {
    $crowd->add("writer-$n", sub { writer($n, @_) });
}
$crowd->add('reader', \&reader);
$crowd->add('changer', \&changer);

# The replica stands still for stretches: short ones that are within max_lag,
# and long ones that are not.
my ($stretches, $i) = (0, 0);
while ($crowd->running > 2) {
    my $hold = (0.2, 0.7, 1.5, 4)[$i++ % 4];
    $t->sql('SELECT pg_wal_replay_pause()', on => 'replica', role => 'postgres');
    sleep $hold;
    $t->sql('SELECT pg_wal_replay_resume()', on => 'replica', role => 'postgres');
    $stretches++;
    sleep 0.5;
}
$crowd->end;

my $pairs = 0;
for my $n (1 .. $WRITERS) {
    my @said = $crowd->said("writer-$n");
    my $done = pop @said // '';
    like($done, qr/^done (\d+) pairs/, "writer $n: $done");
    $pairs += $1 if $done =~ /^done (\d+)/;
    is(scalar @said, 0, 'never older than its own write')
        or diag(join "\n", @said[0 .. ($#said > 9 ? 9 : $#said)]);
    my ($longest) = $done =~ /longest ([\d.]+)/;
    cmp_ok($longest // 99, '<', 3, 'nor long in coming');
}
cmp_ok($pairs, '>=', 500, "$pairs pairs in all");
cmp_ok($stretches, '>=', 5, "the replica stood still $stretches times");

subtest 'what others read' => sub {
    my (@committed, @announced);
    for ($crowd->said('changer')) {
        /^(\d+) (\S+) (\S+)$/ or next;
        ($committed[$1], $announced[$1]) = ($2, $3);
    }
    # a loaded machine makes fewer; none would prove nothing
    cmp_ok(scalar @committed, '>=', 8, 'changes');
    my ($last, $reads, @back, @failed) = (0, 0);
    my ($unnamed, $named) = (0, 0);      # for how long was it superseded?
    for ($crowd->said('reader')) {
        if (!/^(\d+\.\d+) (\d+)$/) { push @failed, $_; next }
        my ($at, $n) = ($1, $2);
        push @back, "$n after $last" if $n < $last;
        $last = $n;
        $reads++;
        my ($c, $a) = ($committed[$n + 1] // $at, $announced[$n + 1] // $at);
        $unnamed = $at - $c if $unnamed < $at - $c;
        $named   = $at - $a if $named < $at - $a;
    }
    cmp_ok($reads, '>=', 100, "$reads reads");
    is_deeply(\@failed, [], 'none failed');
    is_deeply(\@back, [], 'none went back');
    cmp_ok($named, '<', 0.5, sprintf 'what was announced: %.3f s', $named);
    cmp_ok($unnamed, '<', $MAX_LAG + 0.5,
        sprintf 'what was committed: %.3f s', $unnamed);
};

my %server;
for (split /\n/, Travel::Test::slurp($t->dir . '/logs/access.log')) {
    my $line = eval { json($_) } or next;
    $server{ $line->{server} }++
        if $line->{method} eq 'GET' && $line->{server} ne '';
}
note(join ', ', map { "$_ $server{$_}" } sort keys %server);
cmp_ok($server{primary} // 0, '>', 0, 'the primary served');
cmp_ok((grep { /replica/ } keys %server) ? 1 : 0, '==', 1,
    'and so did the replica');

$t->finish;
done_testing;
