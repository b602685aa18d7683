# A leader of the schedules whose database session was ended made another one
# without a word and went on leading, beside the one that had taken the lock.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'CONF');
processes = 2
slots     = 1
schedule "s" { cron = "0 0 1 1 *" type = "maintenance.noop" }
CONF
my $t = $p->t;
my $LOCK = "locktype = 'advisory' AND classid = 29298 AND objid = 1 AND granted";

sub holder { return scalar $t->sql("SELECT pid FROM pg_locks WHERE $LOCK") }
sub leader { return scalar $t->sql('SELECT pid FROM jobs.schedule_leader') }

my $first = wait_for(sub { holder() && holder() == (leader() // 0) && holder() },
    10, 'a leader');

for my $round (1 .. 3) {
    my $pid = holder();
    $t->sql("SELECT pg_terminate_backend($pid)", role => 'postgres');
    wait_for(sub { my $h = holder(); $h && $h != $pid }, 10, 'the next');
}

# whoever gives the leader's sign has the lock, each time one looks
wait_for(sub { (leader() // 0) == (holder() // -1) }, 5, 'its sign');
my %seen;
for (1 .. 8) {
    $seen{ leader() == holder() ? 'one' : 'another' }++;
    select undef, undef, undef, 0.25;
}
is_deeply(\%seen, { one => 8 }, 'one leads');

is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
