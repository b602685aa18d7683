# Jobs that do nothing, from a cold pool to nothing pending.
package Travel::Bench::Worker;

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $JOBS = 200_000;

# Counts in Redis what came of the jobs; a client would take as long again.  The
# schedule may have added one or two.
my $COUNT_DONE = <<'LUA';
local n = 0
for _, key in ipairs(redis.call('KEYS', 'travel:{maintenance.*}:job:*')) do
    if redis.call('HGET', key, 'status') == 'succeeded' then n = n + 1 end
end
return n
LUA

sub preloaded {
    my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
        'preload', '--type', 'maintenance.noop', '--count', $JOBS,
        '--config', $t->dir . '/workers.conf');
    die "preload: $out" if $rc;
}

sub all_done {
    my ($redis) = @_;
    my $done = $redis->call('EVAL', $COUNT_DONE, 0);
    die "only $done of $JOBS succeeded\n" if $done < $JOBS;
}

# When a process began, by the kernel's clock: what a shell did before that, with
# a template or so, is not the pool's.
sub began {
    my ($pid) = @_;
    my @f = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    my ($up) = split ' ', slurp('/proc/uptime');
    return time - $up + $f[19] / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# From the start of a cold pool to nothing pending, status of every job written.
sub pool_rate {
    my ($redis) = @_;
    wipe();
    preloaded();
    my @streams = grep { $redis->call('TYPE', $_) eq 'stream' }
        @{ $redis->call('KEYS', 'travel:{maintenance.*}:*[a-z]') };
    $t->start_part('workers');
    my $began = began($t->pid_of('workers'));
    while (grep { $_ } map { $redis->call('XLEN', $_) } @streams) {
        die "not done after 60 s\n" if time - $began > 60;
        sleep 0.02;
    }
    my $took = time - $began;
    all_done($redis);
    $t->stop_part('workers');
    return { rate => $JOBS / $took };
}

# The same jobs, read and settled by a loop that does nothing else.
sub bare_rate {
    my ($redis) = @_;
    wipe();
    preloaded();
    my $partitions = () = @{ $redis->call('KEYS', 'travel:{maintenance.*}:normal') };
    my $began = time;
    my ($rc, $out) = $t->run(Travel::Test::build() . '/bench/bare_loop',
        $t->socket('queue'), 'worker',
        slurp($t->dir . '/keys/redis-worker.password') =~ s/\s+\z//r,
        'maintenance', $partitions);
    my $took = time - $began;
    die "bare_loop: $out" if $rc || $out != $JOBS;
    all_done($redis);
    return { rate => $JOBS / $took };
}

sub worker_noop {
    my $redis = $t->redis('queue');
    $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    $t->stop_part('workers');
    pairs('worker.noop', 'jobs/s per process', sub { bare_rate($redis) },
        sub { pool_rate($redis) });
}

bench('worker.noop', \&worker_noop);
