# Life events: from the stream into the table, and all the way from HTTP; the
# ceiling is one INSERT of as many rows that PostgreSQL makes up itself.
package Travel::Bench::Ingest;

use strict;
use warnings;
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $JOBS  = 100_000;
my $BATCH = 500;
my $BODY  = '{"type":"trip.taken","title":"A trip to the sea",'
    . '"occurred_at":"2026-05-01T10:00:00Z","data":{"place_id":2950159}}';

sub rows { return $t->sql('SELECT count(*) FROM travel.life_events') }

sub left {
    my ($redis) = @_;
    my $n = 0;
    $n += $redis->call('XLEN', "travel:{content.$_}:normal") for 0 .. 3;
    return $n;
}

sub emptied {
    my ($redis, $began) = @_;
    while (left($redis)) {
        die "not done after 90 s\n" if time - $began > 90;
        sleep 0.02;
    }
    return time - $began;
}

sub insert_rate {
    $t->sql('TRUNCATE travel.life_events');
    my $began = time;
    $t->sql("INSERT INTO travel.life_events (id, user_id, type, title,
        occurred_at, data) SELECT gen_random_uuid(), '" . $t->user(0) . "',
        'trip.taken', 'A trip to the sea', now(), '{\"place_id\":2950159}'
        FROM generate_series(1, $JOBS)");
    return { rate => $JOBS / (time - $began) };
}

sub table_rate {
    my ($redis) = @_;
    wipe();
    $t->sql('TRUNCATE travel.life_events');
    my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
        'preload', '--type', 'life_event.record', '--count', $JOBS, '--body',
        $BODY, '--config', $t->dir . '/workers.conf');
    die "preload: $out" if $rc;
    my $began = time;
    $t->start_part('workers');
    my $took = emptied($redis, $began);
    $t->stop_part('workers');
    die 'only ' . rows() . " rows\n" if rows() != $JOBS;
    return { rate => $JOBS / $took };
}

bench('ingest.table', sub {
    my $redis = $t->redis('queue');
    $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    $t->stop_part('workers');
    pairs('ingest.table', 'rows/s per process', \&insert_rate,
        sub { table_rate($redis) });
});

# wrk posts batches for some seconds; counted is what is in the table when the
# streams are empty, by the time until then.
sub http_rate {
    my ($redis, $script) = @_;
    wipe();
    $t->sql('TRUNCATE travel.life_events');
    my $began = time;
    wrk('/api/v1/life-events', SECONDS, {}, '-s', $script);
    my $took = emptied($redis, $began);
    return { rate => rows() / $took };
}

bench('ingest.http', sub {
    my $redis = $t->redis('queue');
    $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    $t->write('events.ndjson', "$BODY\n" x $BATCH);
    $t->write('ingest.lua', 'local f = io.open("' . $t->dir
        . "/events.ndjson\")\nwrk.body = f:read('*a')\n"
        . "wrk.method = 'POST'\n"
        . "wrk.headers['Content-Type'] = 'application/x-ndjson'\n");
    my @rates = map { http_rate($redis, $t->dir . '/ingest.lua')->{rate} }
        1 .. ($ENV{BENCH_PAIRS} || 5);
    report('ingest.http', 'rows/s', value => median(@rates),
        pairs => scalar @rates, spread => spread('%.0f', @rates));
});

# From the enqueue until the waiter is told, in an idle pool: so more than to the
# start of the handler.
bench('worker.idle', sub {
    my $redis = $t->redis('queue');
    my $sub = $t->redis('queue');
    $sub->call('SUBSCRIBE', 'travel:reply:idle');
    my @ms;
    for my $n (1 .. 2000) {
        my $uuid = sprintf '%08x-%04x-7%03x-8%03x-%012x', time / 65.536,
            int rand 65536, 4 * int(rand 1024) + 1, int rand 4096, $n;
        my $t0 = time;
        $redis->call('HSET', "travel:{maintenance.1}:job:$uuid", status =>
            'queued');
        $redis->call('XADD', 'travel:{maintenance.1}:normal', '*', id =>
            "maintenance.1.$uuid", type => 'maintenance.noop', v => 1,
            sub => $t->user(0), key => $uuid, ts => 1,
            reply => 'travel:reply:idle', body => '{}');
        $sub->_reply;
        push @ms, (time - $t0) * 1000;
        sleep 0.002;
    }
    report('worker.idle', 'ms from enqueue to answer, p99',
        value => quantile(0.99, @ms), pairs => 1,
        spread => sprintf('p50 %.2f', quantile(0.5, @ms)));
});

1;
