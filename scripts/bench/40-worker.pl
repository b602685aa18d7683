# Jobs that do nothing, from a cold pool to nothing pending.
package Travel::Bench::Worker;

use strict;
use warnings;
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $JOBS = 200_000;

# Counts in Redis what came of the jobs; a client would take as long again.
my $COUNT_DONE = <<'LUA';
local n = 0
for _, key in ipairs(redis.call('KEYS', 'travel:{maintenance.*}:job:*')) do
    if redis.call('HGET', key, 'status') == 'succeeded' then n = n + 1 end
end
return n
LUA

# From the start of a cold pool to nothing pending, status of every job written.
sub worker_noop {
    my @rates;
    my $began_all = time;
    $t->redis('queue')->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    for (1 .. 3) {
        $t->stop_part('workers');
        wipe();
        my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
            'preload', '--type', 'maintenance.noop', '--count', $JOBS,
            '--config', $t->dir . '/workers.conf');
        die "preload: $out" if $rc;
        my $redis = $t->redis('queue');
        my @streams = grep { $redis->call('TYPE', $_) eq 'stream' }
            @{ $redis->call('KEYS', 'travel:{maintenance.*}:*[a-z]') };
        my $began = time;
        $t->start_part('workers');
        while (grep { $_ } map { $redis->call('XLEN', $_) } @streams) {
            die "not done after 60 s\n" if time - $began > 60;
            sleep 0.02;
        }
        push @rates, $JOBS / (time - $began);
        my $done = $redis->call('EVAL', $COUNT_DONE, 0);
        die "only $done of $JOBS succeeded\n" if $done != $JOBS;
        last if time - $began_all > LIMIT;
    }
    report('worker.noop', 'jobs/s per process', value => median(@rates),
        pairs => scalar @rates, spread => spread('%.0f', @rates));
}

bench('worker.noop', \&worker_noop);
