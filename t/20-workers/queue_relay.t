# The keeper's errands: outbox, heartbeat, invalidations' stream; and a slot
# that hangs.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 1
slots     = 4
type "maintenance.noop" { retries = 1 base = 50ms cap = 100ms timeout = 1s }
END
my ($t, $r) = ($p->t, $p->r);
$p->until_owned;

sub outbox {
    my (%o) = @_;
    my $id = "maintenance.$o{partition}." . $p->new_uuid($o{bucket});
    my $payload = JSON::PP::encode_json({ id => $id,
        type => 'maintenance.noop', sub => $t->user(1),
        key => $o{key} // $p->new_uuid, priority => $o{priority} // 'normal',
        body => $o{body} // {}, not_before => $o{not_before} // 0,
        defined $o{bucket} ? (bucket => $o{bucket}) : () });
    $payload = $o{payload} if $o{payload};
    return ($id, 'INSERT INTO jobs.outbox (queue, partition, kind, aggregate,'
        . " payload) VALUES ('maintenance', 1, '" . ($o{kind} // 'job')
        . "', '" . $p->new_uuid . "', '$payload')");
}

sub insert { $t->sql(join(';', @_), role => 'travel_worker') }

sub unsent {
    return scalar $t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at '
        . 'IS NULL', role => 'travel_worker');
}

subtest 'the outbox becomes jobs, in order' => sub {
    my $key = $p->new_uuid;
    my @rows = map { [outbox(partition => 1, key => $key)] } 1 .. 250;
    insert(map { $_->[1] } @rows);
    my @ids = map { $_->[0] } @rows;
    $p->until_over($ids[-1], 15);
    is($p->census(@ids)->{succeeded}, 250, 'each of them');
    is_deeply([$p->ran($key)], \@ids, 'in the order of the rows');
    wait_for(sub { unsent() == 0 }, 5, 'all rows to be marked');
    is(unsent(), 0, 'all are marked');
};

subtest 'sent twice is enqueued once' => sub {
    my ($id, $row) = outbox(partition => 1);
    insert($row);
    $p->until_over($id);
    wait_for(sub { unsent() == 0 }, 5, 'the mark');
    my $runs = () = grep { $_ eq $id } $p->ran;
    $t->sql('UPDATE jobs.outbox SET sent_at = NULL WHERE payload '
        . "->> 'id' = '$id'", role => 'travel_worker');
    wait_for(sub { unsent() == 0 }, 5, 'the mark again');
    sleep 0.5;
    is(scalar(grep { $_ eq $id } $p->ran), $runs, 'it ran once');
};

subtest 'a bucket finds its partition; a row for later waits' => sub {
    my ($id, $row) = outbox(partition => 0, bucket => 6);
    insert($row);
    (my $right = $id) =~ s/maintenance\.0/maintenance.2/;
    $p->until_over($right);
    is($p->status($right), 'succeeded', '6 mod 4 = 2');

    my $at = int(time * 1000) + 2500;
    ($id, $row) = outbox(partition => 3, not_before => $at);
    insert($row);
    $p->until_over($id, 10);
    cmp_ok($p->job($id)->{updated_at}, '>=', $at, 'not before its time');
};

subtest 'a row that cannot be sent does not stop the others' => sub {
    my (undef, $bad) = outbox(partition => 1, payload => '{"id": "x"}');
    # a letter that named no job, whose payload might have been claimed
    my (undef, $no_job) = outbox(partition => 1, kind => 'requeue',
        payload => JSON::PP::encode_json({ id => 'x' x 40, body => '{}',
            type => 'maintenance.noop', sub => 'x', key => 'x' }));
    my ($id, $good) = outbox(partition => 1);
    insert($bad, $no_job, $good);
    $p->until_over($id);
    is($p->status($id), 'succeeded', 'the one behind it runs');
    ok(wait_for(sub { unsent() == 0 }, 10, 'no row'), 'none is tried for ever');
    is(scalar($p->log_lines(qr/outbox row \d+ can not be sent/)), 2,
        'and it is said');
};

# Where there is one, t/40-live/outbox.t sees them come.
subtest 'live rows are nobody\'s without a cache role' => sub {
    my (undef, $row) = outbox(partition => 1, kind => 'live',
        payload => '{"topics": ["system:announcements"], "message": {}}');
    insert($row);
    ok(wait_for(sub { unsent() == 0 }, 10), 'they hold nothing up');
};

subtest 'heartbeats' => sub {
    my @e = map { { id => $_->[0], @{ $_->[1] } } }
        reverse @{ $r->call('XREVRANGE', 'travel:inval', '+', '-',
            'COUNT', 9) };
    is(scalar(grep { ($_->{hb} // '') eq '1' } @e), 9, 'in the stream');
    my ($first, $last) = map { (split /-/, $_->{id})[0] } @e[0, -1];
    cmp_ok(($last - $first) / 8, '<', 500, 'every 250 ms or so');
    like($e[-1]{lsn}, qr{^[0-9A-F]+/[0-9A-F]+$}, 'with a position');
    is($e[-1]{timeline}, 1, 'and its timeline');
    my ($seq) = $t->sql('SELECT seq FROM travel.heartbeat',
        role => 'travel_worker');
    sleep 1.2;
    my ($row) = $t->sql('SELECT seq, clock_timestamp() - at < '
        . "interval '1 s' FROM travel.heartbeat", role => 'travel_worker');
    cmp_ok($row->[0], '>', $seq->[0] + 2, 'and in the table');
    is($row->[1], 't', 'which is fresh');
};

subtest 'the heartbeat outlives the primary' => sub {
    $t->stop_part('postgres');
    sleep 5;                            # the leases lapse (3 s)
    my ($e) = @{ $r->call('XREVRANGE', 'travel:inval', '+', '-', 'COUNT', 1) };
    my ($ms) = split /-/, $e->[0];
    cmp_ok(time * 1000 - $ms, '<', 1000, 'caches hear that nothing changed');
    my $id = $p->enqueue;
    sleep 1;
    is($p->status($id), 'queued', 'jobs wait for a lease');
    $t->start_part('postgres');
    $p->until_over($id, 20);
    is($p->status($id), 'succeeded', 'and run when there is one again');
};

subtest 'a slot that hangs' => sub {
    my ($old) = $p->children;
    # drill: sleep_ms ends early when it is asked to, hang_ms does not
    my $id = $p->enqueue(body => { hang_ms => 60000 });
    my $other = $p->enqueue(body => { sleep_ms => 500 });
    $p->until_over($other);
    wait_for(sub { my ($new) = $p->children; $new && $new != $old }, 30,
        'another process');
    ok($p->log_lines(qr/hangs past its deadline/), 'it is said');
    $p->until_over($id, 60);
    my $job = $p->job($id);
    is($job->{status}, 'dead', 'after its retries the job is dead');
    is(json($job->{error})->{code}, 'ATTEMPTS_EXHAUSTED', 'with the reason');
    my $next = $p->enqueue;
    $p->until_over($next, 10);
    is($p->status($next), 'succeeded', 'others run');
};

$p->finish;
done_testing;
