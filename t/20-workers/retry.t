# Retries: backoff, the key that waits, giving up, dead letters on record, a
# job's own time, and what a crash of a slot counts for.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 1
slots     = 4
type "maintenance.noop" { retries = 2 base = 100ms cap = 300ms timeout = 1s }
END
my $r = $p->r;
$p->until_owned;

subtest 'fails twice, then succeeds' => sub {
    my $id = $p->enqueue(body => { fail_until => 3 });
    $p->until_status($id, 'retrying|succeeded');
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'succeeded', 'succeeded');
    is($job->{attempts}, 3, 'at the third attempt');
    ok(!exists $job->{$_}, "no $_ is left") for qw(error first_error entry);
    $p->until_empty(5);
};

subtest 'not yet, says its handler' => sub {
    my $id = $p->enqueue(body => { snooze_until => int(1000 * time) + 1000,
        snooze_ms => 150 });
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'succeeded', 'done in the end');
    cmp_ok(scalar($p->ran($job->{key})), '>', 3,
        'asked more often than it may be retried');
    is($job->{attempts}, 1, 'and no attempt was spent');
    my $off = $p->enqueue(body => { snooze_until => int(1000 * time) + 60000,
        snooze_ms => 100 });
    $p->until_status($off, 'retrying');
    is($p->job($off)->{error}, undef, 'it is no failure');
    $r->call('HSET', $p->hash_key($off), 'cancel', '1');
    $p->until_over($off);
    is($p->status($off), 'cancelled', 'it may be called off');
};

subtest 'a long job goes on where it was' => sub {
    my $id = $p->enqueue(partition => 3, body => { count_to => 28,
        step_ms => 30 });
    my ($uuid) = $id =~ /([^.]+)$/;
    my $at = sub { return $p->t->sql("SELECT cursor FROM jobs.checkpoint
        WHERE job = '$uuid'", role => 'travel_worker') // 0 };
    wait_for(sub { $at->() > 3 }, 10, 'some of it is done');
    kill 'KILL', $p->children;
    $p->until_over($id, 20);
    my $result = json($p->job($id)->{result});
    cmp_ok($result->{from}, '>', 3, 'a killed process cost a stretch');
    is($result->{to}, 28, 'and all is done');
    is($p->t->sql("SELECT jobs.checkpoint('$uuid', '99', 'maintenance', 3,
        'somebody', 1)", role => 'travel_worker'), 'f', 'who has lost the lease');
    is($at->(), 28, 'moves nothing');
    $p->until_owned;
};

subtest 'a retrying job holds its key' => sub {
    my $key = $p->new_uuid;
    my @ids = map {
        $p->enqueue(key => $key, partition => 1, body => $_)
    } { fail_until => 3 }, {}, { fail_until => 2 }, {};
    $p->until_over($_) for @ids;
    my %seen;
    is_deeply([grep { !$seen{$_}++ } $p->ran($key)], \@ids,
        'those behind it wait until it is over');
    my @order = $p->ran($key);
    is_deeply(\@order, [@ids[0, 0, 0, 1, 2, 2, 3]], 'through each attempt');
};

subtest 'retries used up' => sub {
    my $tp = '00-' . 'a1' x 16 . '-' . 'b2' x 8 . '-01';
    my $id = $p->enqueue(partition => 2, body => { fail_until => 9 },
        tp => $tp);
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'dead', 'dead');
    is($job->{attempts}, 3, 'after one run and two retries');
    is(json($job->{error})->{code}, 'DEPENDENCY_UNAVAILABLE', 'the reason');
    my ($e) = map { +{ @{ $_->[1] } } } @{ $r->call('XREVRANGE',
        'travel:{maintenance.2}:dead', '+', '-', 'COUNT', 1) };
    is($e->{id}, $id, 'the dead letter names the job');
    is($e->{cause}, 'DEPENDENCY_UNAVAILABLE', 'the cause');
    is($e->{attempts}, 3, 'the attempts');
    like($e->{first_error}, qr/attempt 1/, 'the first error');
    like($e->{last_error}, qr/attempt 3/, 'the last');
    is($e->{trace}, 'a1' x 16, 'the trace');
    is(json($e->{body})->{fail_until}, 9, 'and the envelope');

    my $row = wait_for(sub {
        my @rows = $p->t->sql('SELECT queue, partition, type, attempts, '
            . 'cause, first_error, trace, body FROM jobs.dead '
            . "WHERE job_id = '$id'");
        return $rows[0];
    }, 10, 'the row');
    is_deeply([@$row[0 .. 4, 6]], ['maintenance', 2, 'maintenance.noop', 3,
        'DEPENDENCY_UNAVAILABLE', 'a1' x 16], 'and so does jobs.dead');
    $p->until_empty(5);
};

subtest 'a job with a time of its own' => sub {
    my $at = int(time * 1000) + 1500;
    my $id = $p->delay(1500, partition => 3);
    sleep 1;
    is($p->status($id), 'queued', 'not before');
    $p->until_over($id, 10);
    my $done = $p->job($id)->{updated_at};
    cmp_ok($done, '>=', $at, 'not too early');
    cmp_ok($done, '<', $at + 1500, 'nor much later');
    $p->until_empty(5);
};

subtest 'retrying and delayed jobs survive their owner' => sub {
    my $key = $p->new_uuid;
    $p->stop_workers;
    $p->configure("slots = 4\n" . 'type "maintenance.noop" { retries = 2 '
        . 'base = 1500ms cap = 1500ms timeout = 1s }');
    $p->start_workers;
    $p->until_owned;
    my @ids = map { $p->enqueue(key => $key, partition => 1, body => $_) }
        { fail_until => 2 }, {};
    $p->until_status($ids[0], 'retrying|succeeded', 5);
    kill 'KILL', $p->children;
    $p->until_over($_, 20) for @ids;
    my @order = $p->ran($key);
    is($order[-1], $ids[1], 'the key was held for it by the next owner');
    is($p->job($ids[0])->{attempts}, 2, 'attempts are not forgotten');
    $p->until_empty(5);
};

# The clock alone says nothing: the process stood still, not the job.
subtest 'a retry that is late keeps its key' => sub {
    my $key = $p->new_uuid;
    $p->stop_workers;
    $p->configure("slots = 4\nlease_ttl = 20s\n" . 'type "maintenance.noop" '
        . '{ retries = 2 base = 1s cap = 1s timeout = 5s }');
    $p->start_workers;
    $p->until_owned;
    my @ids = map { $p->enqueue(key => $key, partition => 1, body => $_) }
        { fail_until => 2, retry_ms => 1500 }, {};
    $p->until_status($ids[0], 'retrying', 5);
    my @stopped = $p->children;
    kill 'STOP', @stopped;
    sleep 8;
    kill 'CONT', @stopped;
    $p->until_over($_, 20) for @ids;
    is_deeply([$p->ran($key)], [@ids[0, 0, 1]],
        'its successor waits while the process stood still for 8 s');
    $p->until_empty(5);
};

subtest 'a retry that is gone gives its key up' => sub {
    my $key = $p->new_uuid;
    my @ids = map { $p->enqueue(key => $key, partition => 1, body => $_) }
        { fail_until => 2, retry_ms => 1500 }, {};
    $p->until_status($ids[0], 'retrying', 5);
    $r->call('DEL', $p->hash_key($ids[0]));
    $r->call('ZREM', 'travel:{maintenance.1}:delayed', $ids[0] =~ s/.*\.//r);
    $p->until_over($ids[1], 20);
    is($p->status($ids[1]), 'succeeded', 'and its successor runs');
    $p->until_empty(5);
};

subtest 'a crash counts for the job in the crashing slot' => sub {
    my ($innocent, $guilty);
    $innocent = $p->enqueue(partition => 0, body => { sleep_ms => 2500 });
    $p->until_status($innocent, 'running');
    $guilty = $p->enqueue(partition => 0, body => { crash => 1 });
    $p->until_over($guilty, 20);
    is($p->status($guilty), 'succeeded', 'it is run again');
    is($p->job($guilty)->{attempts}, 2, 'and that was its second attempt');
    $p->until_over($innocent, 20);
    is($p->job($innocent)->{attempts}, 1, 'its neighbour is innocent');
    my ($alone) = $p->log_lines(qr/^runs alone/);
    is($alone->{job}, $guilty, 'a suspect runs alone');
    ok($p->log_lines(qr/^\Q$guilty\E crashed its slot/), 'it is named');
    ok($p->log_lines(qr/^process \d+ was killed by signal \d+ /),
        'and so is what it died of');
    $p->until_empty(5);
};

$p->finish;
done_testing;
