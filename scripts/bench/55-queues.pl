# No-op jobs in the queues that others use: Celery with Redis as its broker and
# BullMQ (peers/), one process each, on the same Redis with fsync always.  Theirs
# counts from the first job that is done, ours from the start of a cold pool.
package Travel::Bench::Queues;

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my %PEER = (
    celery => {
        jobs => 3_000,
        fill => ['/usr/bin/python3', 'celery_app.py'],
        work => ['/usr/bin/python3', '-m', 'celery', '-A', 'celery_app', 'worker',
            '--pool', 'solo', '--without-gossip', '--without-mingle',
            '--without-heartbeat', '--loglevel', 'ERROR'],
        waits => sub { $_[0]->call('LLEN', 'celery') },
        done => sub { $_[0]->call('EVAL',
            "return #redis.call('KEYS', 'celery-task-meta-*')", 0) },
    },
    bullmq => {
        jobs => 20_000,
        fill => ['node', 'bullmq.js', 'add'],
        work => ['node', 'bullmq.js', 'work'],
        waits => sub { $_[0]->call('LLEN', 'bull:noop:wait') },
        done => sub { $_[0]->call('ZCARD', 'bull:noop:completed') },
    },
);

sub spawn {
    my (@cmd) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    %ENV = (%ENV, PEER_QUEUE => $t->socket('queue'), PYTHONDONTWRITEBYTECODE => 1,
        NODE_ENV => 'production', C_FORCE_ROOT => 1, PEER_PASSWORD =>
            slurp($t->dir . '/keys/redis-admin.password') =~ s/\s+\z//r);
    open STDOUT, '>', $t->dir . '/logs/peer.log' or POSIX::_exit(1);
    open STDERR, '>&', \*STDOUT;
    chdir ROOT . '/scripts/bench/peers';
    exec { $cmd[0] } @cmd or POSIX::_exit(127);
}

sub their_rate {
    my ($name) = @_;
    my $peer = $PEER{$name};
    my $jobs = $peer->{jobs};
    my $redis = $t->redis('queue');
    wipe();
    waitpid spawn(@{ $peer->{fill} }, $jobs), 0;
    $peer->{waits}->($redis) == $jobs or die slurp($t->dir . '/logs/peer.log');
    my $pid = spawn(@{ $peer->{work} });
    my ($began, $first, $done) = (time, 0, 0);
    until ($done == $jobs) {
        sleep 0.02;
        # KEYS is no light thing to ask: only when nothing waits any more
        my $waits = $peer->{waits}->($redis);
        ($first, $began) = ($jobs - $waits, time) if !$first && $waits < $jobs;
        $done = $peer->{done}->($redis) if !$waits;
        last if time - $began > 60;
    }
    my $took = time - $began;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    die "$name: $done of $jobs after 60 s\n" if $done != $jobs;
    return { rate => ($jobs - $first) / $took };
}

for my $name (sort keys %PEER) {
    bench("worker.noop.vs_$name", sub {
        my $redis = $t->redis('queue');
        $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
        $t->stop_part('workers');
        pairs("worker.noop.vs_$name", 'jobs/s per process',
            sub { their_rate($name) },
            sub { Travel::Bench::Worker::pool_rate($redis) });
    });
}

1;
