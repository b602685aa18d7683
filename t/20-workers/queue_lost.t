# What is lost and what must not be: streams, connections, answers, processes.
# Nothing that was accepted is lost, nothing is counted twice.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

# fsync as in earnest: a Redis that is killed has promised something.
my $p = Travel::Pool->start(env => { TRAVEL_FSYNC => 'on' },
    conf => "processes = 2\nslots = 4\nlog_level = info\n");
my $t = $p->t;
$p->until_owned;

# Redis killed and started again: connections of this test too.
sub redis_crash {
    $t->kill_part('queue');
    $t->start_part('queue');
    $p->{r} = wait_for(sub { $t->redis('queue') }, 10, 'Redis');
}

subtest 'a Redis that has forgotten all' => sub {
    my @ids = $p->preload(40);
    $p->until_empty(10);
    $p->r->call('FLUSHALL');
    push @ids, my @later = $p->preload(40);
    $p->until_empty(10);
    is($p->census(@later)->{succeeded}, 40, 'what comes later runs');
    is(() = $p->log_lines(qr/was killed|ended with code/), 0,
        'no process died of it');
};

# A copy of a while ago: what was settled since is there again, what came since
# is not.
subtest 'a Redis that has gone back in time' => sub {
    my $busy = $p->enqueue(partition => 2, body => { sleep_ms => 1500 });
    $p->until_status($busy, 'running');
    my @ids = map { $p->enqueue(partition => 2) } 1 .. 5;
    $p->until_over($_) for @ids;
    my $key = 'travel:{maintenance.2}:normal';
    my ($id, $hset, $xadd) = $p->commands(partition => 2);
    $p->r->call(@$hset);
    my $first = $p->r->call('XRANGE', $key, '-', '+', 'COUNT', 1)->[0][0];
    my ($ms) = $first =~ /^(\d+)/;
    $p->r->call('DEL', $key);
    $p->r->call('XADD', $key, ($ms - 1000) . '-0', @$xadd[3 .. $#$xadd]);
    redis_crash();
    $p->until_over($id, 10);
    is($p->status($id), 'succeeded', 'an entry older than what was read runs');
    is(scalar $p->log_lines(qr/has lost what we have read/), 1,
        'the log says what happened');
    $p->until_empty(10);
};

# Redis replays its log as the default user; one that may do nothing loses
# what scripts have written.
subtest 'a restart keeps what scripts wrote, and lets no stranger in' => sub {
    my $id = $p->enqueue(partition => 0, body => { sleep_ms => 4000 });
    $p->until_status($id, 'running');
    redis_crash();
    is($p->status($id), 'running', 'the status a script has set');
    is($p->r->call('HGET', 'travel:{maintenance.0}:owner', 'owner')
        =~ /#\d+$/, 1, 'and whose the partition is');
    unlike(slurp($t->dir . '/logs/redis-queue.log'), qr/CRITICAL/,
        'nothing was left out of the replay');
    my $stranger = Travel::Redis->new(socket => $t->socket('queue'));
    is(eval { $stranger->call('GET', 'x'); 1 }, undef, 'without a login');
    like($@, qr/NOAUTH/, 'nobody gets in');
    $p->until_over($id, 10);
    is($p->status($id), 'succeeded', 'and the job ends');
};

subtest 'Redis is killed under load' => sub {
    my @ids = $p->preload(3000, body => { sleep_ms => 2 });
    sleep 0.5;
    redis_crash();
    $p->until_empty(60);
    is($p->census(@ids)->{succeeded}, 3000, 'all 3,000 succeeded');
};

subtest '10,000 jobs, kill -9 in between' => sub {
    my @ids = $p->preload(10000);
    my @slow = $p->preload(400, body => { sleep_ms => 20 });
    my $killed = 0;
    my $end = time + 60;
    while ($p->left && time < $end && $killed < 6) {
        sleep 0.35;
        my @c = $p->children or next;
        $killed += kill 'KILL', $c[rand @c];
        redis_crash() if $killed == 3;
    }
    $p->until_empty(60);
    cmp_ok($killed, '>', 2, "$killed processes were killed");
    is_deeply($p->census(@ids, @slow), { succeeded => 10400 },
        'each of them succeeded');
    my $attempts = 0;
    $attempts += $_ for $p->pipeline(
        map { ['HGET', $p->hash_key($_), 'attempts'] } @ids);
    is($attempts, 10000, 'at its first attempt');
};

subtest 'each run is counted once' => sub {
    my ($n) = $p->metrics
        =~ /jobs_total\{type="maintenance\.noop",outcome="succeeded"\} (\d+)/;
    $p->stop_workers;
    $p->start_workers;
    $p->until_owned;
    my @ids = $p->preload(500);
    $p->until_empty(10);
    redis_crash();
    push @ids, $p->preload(500);
    $p->until_empty(10);
    wait_for(sub { ($n) = $p->metrics =~ /jobs_total\{type="maintenance\.noop",outcome="succeeded"\} (\d+)/;
        ($n // 0) >= 1000 }, 10, 'the counter');
    is($n, 1000, 'by the counters of a pool that was not killed');
};

$p->finish;
done_testing;
