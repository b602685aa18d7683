# What the databases know, as metrics of the pool: sagas, schedules, webhooks,
# outbox, batches, publishers; by one process, and in Prometheus' own words.
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
topics    = "on"
schedule "yearly" { cron = "0 0 1 1 *" type = "maintenance.noop" }
schedule "odd \" \\ name" { cron = "0 0 1 1 *" type = "maintenance.noop" }
CONF
my $t = $p->t;

$t->sql("INSERT INTO jobs.saga_run (id, name, job_id, type, sub, key, body,
    state, updated_at) SELECT gen_random_uuid(), 'booking', 'x', 'y', 'z',
    gen_random_uuid(), '{}', s, now() - interval '1 hour'
    FROM unnest(ARRAY['stuck', 'stuck', 'running', 'done']) AS s");
wait_for(sub { $t->sql('SELECT count(*) FROM jobs.schedule') == 2 }, 10,
    'the schedules');
my $hook = $t->sql("INSERT INTO jobs.webhook (url, types, secrets)
    VALUES ('https://x.example/', '{%}', '{whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=}')
    RETURNING id");
$t->sql("INSERT INTO jobs.webhook_delivery (webhook_id, position, type,
    payload, state, created_at) SELECT '$hook', n, 't', '{}',
    CASE WHEN n = 1 THEN 'pending' ELSE 'dead' END, now() - interval '5 min'
    FROM generate_series(1, 3) AS n");
$t->sql("INSERT INTO jobs.notice (batch, n, service, address, state)
    SELECT gen_random_uuid(), 1, 'email', 'x', s
    FROM unnest(ARRAY['waiting', 'waiting', 'sent']) AS s");
$t->sql("INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
    SELECT 'booking', 0, 'live', gen_random_uuid(), '{}'
    FROM generate_series(1, 4)");       # nobody here serves that queue

$t->sql("SELECT jobs.pause('booking.create', 'somebody', 'a partner is away')");

# The scheduler may still be at its own first row.
my $m = wait_for(sub {
    $t->sql("UPDATE jobs.schedule SET paused = true, fired = 7, skipped = 2
        WHERE name = 'yearly' AND fired <> 7");
    my $m = $p->metrics;
    $m =~ /^travel_sagas\{state="stuck"\} 2$/m
        && $m =~ /^travel_schedule_fired_total\{schedule="yearly"\} 7$/m
        && $m =~ /^travel_notices\{state="waiting"\} 2$/m
        && $m =~ /^travel_schedule_paused\{schedule="yearly"\} 1$/m && $m },
    20, 'the figures');

like($m, qr/^travel_sagas\{state="running"\} 1$/m, 'sagas under way');
like($m, qr/^travel_sagas\{state="undoing"\} 0$/m, 'none turned round');
like($m, qr/^travel_saga_oldest_seconds\{state="stuck"\} 36\d\d/m,
    'stuck for an hour');
like($m, qr/^travel_schedule_fired_total\{schedule="yearly"\} 7$/m, 'fired');
like($m, qr/^travel_schedule_skipped_total\{schedule="yearly"\} 2$/m,
    'skipped');
like($m, qr/^travel_schedule_last_fire_timestamp_seconds\{schedule="yearly"\} \d{10}/m,
    'when');
like($m, qr/^travel_schedule_paused\{schedule="odd   name"\} 0$/m,
    'a name that would end a label');
like($m, qr/^travel_paused_since_timestamp_seconds\{kind="type",name="booking\.create"\} \d{10}/m,
    'a type that is paused');
like($m, qr/^travel_webhooks\{state="active"\} 1$/m, 'webhooks');
like($m, qr/^travel_webhook_pending 1$/m, 'deliveries not over');
like($m, qr/^travel_webhook_oldest_pending_seconds 3\d\d/m, 'for how long');
like($m, qr/^travel_outbox_unsent\{kind="live"\} 4$/m, 'the outbox');
like($m, qr/^travel_publisher_published_total\{publisher="topics"\} \d/m,
    'publishers');
is(scalar(() = $m =~ /^travel_sagas\{state="stuck"\}/mg), 1,
    'counted by one process');

$t->write('metrics.txt', $m);
my ($rc, $out) = $t->run('/bin/sh', '-c',
    'promtool check metrics < ' . $t->dir . '/metrics.txt');
is($rc, 0, 'promtool has nothing to say') or diag $out;

# another leads: it counts, the first does not any more
my $leader = $t->sql('SELECT pid FROM jobs.schedule_leader');
$t->sql("SELECT pg_terminate_backend($leader)", role => 'postgres');
wait_for(sub { $t->sql('SELECT pid FROM jobs.schedule_leader') != $leader },
    15, 'another leader');
$t->sql("DELETE FROM jobs.saga_run WHERE state = 'stuck'");
wait_for(sub { $p->metrics =~ /^travel_sagas\{state="stuck"\} 0$/m }, 20,
    'its figures');
is(scalar(() = $p->metrics =~ /^travel_sagas\{state="stuck"\}/mg), 1,
    'and nobody else\'s');

is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
