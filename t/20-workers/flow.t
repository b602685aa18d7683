# Flows: jobs that wait for each other, begun once each, whatever dies; what they
# came to, failures, callbacks, nesting, cancelling and retrying as a whole.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use Time::HiRes qw(sleep);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 2
slots     = 4
queues    = { "maintenance", "account" }
type "maintenance.noop" { retries = 1 base = 20ms cap = 50ms timeout = 20s }
END
my ($t, $r) = ($p->t, $p->r);
$p->until_owned;

sub worker { return $t->sql($_[0], role => 'travel_worker') }
sub noop { return { type => 'maintenance.noop', body => { @_ } } }
sub after { my ($n, @of) = @_; return { %$n, after => \@of } }

# Begins a flow by hand; its id.
sub begin {
    my ($spec, %o) = @_;
    my $uuid = $p->new_uuid;
    my $type = $o{type} // 'flow.run';
    my $id = $p->enqueue(uuid => $uuid, body => { name => 'test', %$spec },
        type => $type, $type eq 'flow.start' ? (queue => 'account') : (),
        partition => 1);
    return $o{whole} ? $id : $uuid;
}

sub state { return scalar(worker("SELECT state FROM jobs.flow
    WHERE id = '$_[0]'")) // '' }

sub until_flow {
    my ($id, $want) = @_;
    return wait_for(sub { state($id) eq $want }, 20, "$want, not "
        . state($id)) || diag explain nodes($id);
}

sub nodes {
    my ($id) = @_;
    return { map { @$_ } worker("SELECT name, state FROM jobs.flow_node
        WHERE flow = '$id'") };
}

sub row {
    my ($id, $node, $column) = @_;
    return scalar worker("SELECT $column FROM jobs.flow_node
        WHERE flow = '$id' AND name = '$node'");
}

# What a callback was told, by what it is called in its body; how many ran.
sub told {
    my ($id, $what) = @_;
    return map { $_->[0] } worker("SELECT payload->'body' FROM jobs.outbox
        WHERE kind = 'job' AND payload->'body'->>'called' = '$what'
          AND payload->'body'->'flow'->>'id' = '$id'");
}

sub calls {
    return map { ("on_$_" => { type => 'maintenance.noop',
        body => { called => $_ } }) } qw(success failure end);
}

subtest 'a chain, a group, and what follows all of them' => sub {
    my $id = begin({ calls(), nodes => {
        first => noop(answer => { n => 7 }),
        (map { ("part$_" => after(noop(answer => { part => $_ }), 'first')) }
            1 .. 5),
        sum => { %{ after(noop(), map { "part$_" } 1 .. 5) },
            results => 'parts' } } });
    until_flow($id, 'succeeded');
    my %is = %{ nodes($id) };
    is_deeply([sort values %is], [('succeeded') x 7], 'all are done');
    is(scalar worker("SELECT count(*) FROM jobs.flow_node AS a JOIN
        jobs.flow_node AS b ON b.flow = a.flow WHERE a.flow = '$id' AND
        ((a.name = 'first' AND b.name LIKE 'part%') OR (a.name LIKE 'part%' AND
        b.name = 'sum')) AND b.queued_at < a.ended_at"), 0,
        'none before those that it is after');
    my $job = row($id, 'sum', 'job');
    my $body = json(scalar worker("SELECT payload->'body' FROM jobs.outbox
        WHERE payload->>'id' LIKE '%$job'"));
    is_deeply($body->{parts}, { map { ("part$_" => { part => $_ }) } 1 .. 5 },
        'the last is given what the parts came to');
    is_deeply([map { scalar(my @x = told($id, $_)) } qw(success failure end)],
        [1, 0, 1], 'whom it calls when all went well');
    is_deeply(json((told($id, 'success'))[0])->{flow}, { id => $id,
        name => 'test', state => 'succeeded', nodes => 7, failed => 0 },
        'and with what');
    like(row($id, 'first', 'job_id'), qr/^maintenance\.\d\.\Q${\ row($id,
        'first', 'job')}\E$/, 'a node names its job');
};

subtest 'one fails' => sub {
    my %nodes = (a => noop(reject => 'NO_WAY'),
        b => after(noop(), 'a'), c => after(noop(), 'b'),
        slow => noop(sleep_ms => 300), d => after(noop(), 'slow'),
        tidy => { %{ after(noop(), 'c', 'd') }, always => JSON::PP::true });
    my $id = begin({ calls(), nodes => \%nodes });
    until_flow($id, 'failed');
    is_deeply(nodes($id), { a => 'failed', b => 'skipped', c => 'skipped',
        slow => 'succeeded', d => 'skipped', tidy => 'succeeded' },
        'stop: what runs ends, nothing is begun but what always is');
    is(json(row($id, 'a', 'error'))->{code}, 'NO_WAY', 'why');
    is_deeply([map { scalar(my @x = told($id, $_)) } qw(success failure end)],
        [0, 1, 1], 'whom it calls');

    my $on = begin({ if_failed => 'continue', nodes => \%nodes });
    until_flow($on, 'failed');
    is_deeply(nodes($on), { a => 'failed', b => 'skipped', c => 'skipped',
        slow => 'succeeded', d => 'succeeded', tidy => 'succeeded' },
        'continue: what does not depend on it goes on');

    my $off = begin({ if_failed => 'cancel', nodes => { %nodes,
        a => noop(reject => 'NO_WAY', sleep_ms => 200),
        slow => noop(sleep_ms => 15000) } });
    until_flow($off, 'failed');
    is(nodes($off)->{slow}, 'cancelled', 'cancel: what runs is called off');
    is(nodes($off)->{tidy}, 'succeeded', 'what always runs does');

    my $minds = begin({ nodes => { %nodes,
        a => { %{ $nodes{a} }, optional => JSON::PP::true } } });
    until_flow($minds, 'succeeded');
    is(nodes($minds)->{c}, 'succeeded', 'an optional one may fail');
};

subtest 'it is no flow' => sub {
    my @wrong = (
        [{}, 'no nodes'], [{ nodes => {} }, 'none'],
        [{ nodes => { a => { type => 'no.such' } } }, 'a type nobody knows'],
        [{ nodes => { a => after(noop(), 'b') } }, 'after nothing'],
        [{ nodes => { a => after(noop(), 'b'), b => after(noop(), 'a') } },
            'a circle'],
        [{ nodes => { a => after(noop(), 'a') } }, 'after itself'],
        [{ nodes => { a => { %{ noop() }, retries => 3 } } }, 'a member'],
        [{ nodes => { 'a b' => noop() } }, 'a name'],
        [{ if_failed => 'explode', nodes => { a => noop() } }, 'a policy'],
        [{ nodes => { a => { %{ noop() }, key => 'x' } } }, 'a key'],
        [{ nodes => { a => { %{ noop() }, delay_ms => -1 } } }, 'a delay'],
        [{ nodes => { a => noop() }, on_end => {} }, 'a callback'],
    );
    my @ids = map { begin($_->[0], whole => 1) } @wrong;
    for my $i (0 .. $#ids) {
        $p->until_over($ids[$i]);
        my $job = $p->job($ids[$i]);
        is($job->{status}, 'failed', $wrong[$i][1]);
        like($job->{error}, qr/VALIDATION_ERROR.*flow: /, 'and it says so');
    }
    my $edge = begin({ nodes => { a => noop() } }, type => 'flow.start',
        whole => 1);
    $p->until_over($edge);
    like($p->job($edge)->{error}, qr/house's own/,
        'the edge begins no job of an internal queue');
    is(scalar worker("SELECT count(*) FROM jobs.flow WHERE id IN ("
        . join(',', map { my ($u) = /([^.]+)$/; "'$u'" } @ids, $edge) . ")"),
        0, 'and nothing is begun');
};

subtest 'flows in flows' => sub {
    my $inner = sub { return { type => 'flow.run', body => {
        name => 'inner', nodes => { x => noop(@_), y => after(noop(), 'x') } } }
    };
    my $id = begin({ nodes => { a => $inner->(sleep_ms => 200),
        b => after(noop(), 'a') } });
    until_flow($id, 'succeeded');
    is(scalar worker("SELECT n.queued_at > c.ended_at FROM jobs.flow AS c,
        jobs.flow_node AS n WHERE c.parent = '$id' AND n.flow = '$id'
        AND n.name = 'b'"), 't', 'a node is over when its own flow is');
    my $bad = begin({ nodes => { a => $inner->(reject => 'X'),
        b => after(noop(), 'a') } });
    until_flow($bad, 'failed');
    is_deeply([@{ nodes($bad) }{qw(a b)}], ['failed', 'skipped'],
        'and failed when that did');
    is(json(row($bad, 'a', 'error'))->{code}, 'FLOW_FAILED', 'it says so');
};

subtest 'called off as a whole' => sub {
    my $id = begin({ calls(), nodes => { run => noop(sleep_ms => 15000),
        late => { %{ noop() }, delay_ms => 60000 },
        next => after(noop(), 'run'),
        deep => { type => 'flow.run', body => { name => 'deep', nodes => {
            x => noop(sleep_ms => 15000) } } } } });
    wait_for(sub { (row($id, 'run', 'state') // '') eq 'running'
        && (row($id, 'deep', 'state') // '') eq 'nested'
        && ($p->status('maintenance.' . worker("SELECT jobs.flow_bucket(job)
            % 4 || '.' || job FROM jobs.flow_node WHERE flow = '$id' AND
            name = 'late'")) eq 'queued') }, 10, 'it is under way');
    my $cancel = $p->enqueue(type => 'flow.cancel', queue => 'account',
        body => { flow => $id });
    until_flow($id, 'cancelled');
    is_deeply(nodes($id), { run => 'cancelled', late => 'cancelled',
        next => 'skipped', deep => 'failed' }, 'all of it');
    is(scalar worker("SELECT state FROM jobs.flow WHERE parent = '$id'"),
        'cancelled', 'and what is in it');
    is_deeply([map { scalar(my @x = told($id, $_)) } qw(success failure end)],
        [0, 1, 1], 'whom it calls');
    $p->until_over($cancel);
    is($p->status($cancel), 'succeeded', 'the job that did it');
    my $twice = $p->enqueue(type => 'flow.cancel', queue => 'account',
        body => { flow => $id });
    $p->until_over($twice);
    is($p->status($twice), 'failed', 'once');

};

sub ctl { return $p->ctl(@_) }

# The id of a node's job, which has not begun.
sub job_of {
    my ($id, $node) = @_;
    return wait_for(sub { worker("SELECT queue || '.' || jobs.flow_bucket(job)
        % 4 || '.' || job FROM jobs.flow_node WHERE flow = '$id' AND
        name = '$node' AND state = 'queued'") }, 10, "$node is queued");
}

subtest 'a node that somebody calls off' => sub {
    my $key = $p->new_uuid;
    my $id = begin({ nodes => { run => { %{ noop(sleep_ms => 1500) },
        key => $key }, wait => { %{ noop() }, key => $key, delay_ms => 1 },
        next => after(noop(), 'wait') } });
    # both are of one key; whichever is first holds up the other
    wait_for(sub { worker("SELECT 1 FROM jobs.flow_node WHERE flow = '$id'
        AND state = 'running'") }, 10, 'one runs');
    my ($still) = grep { nodes($id)->{$_} eq 'queued' } qw(run wait);
    SKIP: {
        skip 'they went different ways', 2 unless $still;
        my $job = job_of($id, $still);
        wait_for(sub { $p->status($job) eq 'queued' }, 10, 'it waits');
        is((ctl('jobs', 'cancel', $job))[0], 0, 'called off');
        until_flow($id, 'failed');
        is(nodes($id)->{$still}, 'cancelled', 'its flow hears of it');
    }

    my $lost = begin({ nodes => { a => { %{ noop() }, delay_ms => 60000 },
        b => { %{ noop() }, delay_ms => 60000 }, c => after(noop(), 'a') } });
    my ($a, $b) = map { job_of($lost, $_) } qw(a b);
    wait_for(sub { $p->status($a) eq 'queued' && $p->status($b) eq 'queued' },
        10, 'two wait');
    $r->call('HSET', $p->hash_key($a), 'status', 'cancelled');
    $r->call('DEL', $p->hash_key($b));
    my $check = $p->enqueue(type => 'flow.check',
        body => { older => '1 hour' });
    $p->until_over($check);
    is($p->job($check)->{result}, '{"ended":0}', 'not so old');
    $check = $p->enqueue(type => 'flow.check', body => { older => '0 s' });
    $p->until_over($check);
    until_flow($lost, 'failed');
    is_deeply(nodes($lost), { a => 'cancelled', b => 'dead', c => 'skipped' },
        'flow.check finds what ended, and what was lost');
};

subtest 'a dead node is requeued' => sub {
    my $id = begin({ calls(), nodes => {
        a => noop(fail_before => int(1000 * Time::HiRes::time()) + 1500),
        b => after(noop(), 'a') } });
    until_flow($id, 'failed');
    is_deeply(nodes($id), { a => 'dead', b => 'skipped' }, 'one is dead');
    my $job = row($id, 'a', 'job_id');
    wait_for(sub { worker("SELECT 1 FROM jobs.dead WHERE job_id = '$job'") },
        10, 'its letter');
    sleep 1.5;
    is((ctl('dead', 'requeue', $job))[0], 0, 'requeued');
    until_flow($id, 'succeeded');
    is_deeply(nodes($id), { a => 'succeeded', b => 'succeeded' },
        'the flow goes on where it was');
    is_deeply([map { scalar(my @x = told($id, $_)) } qw(success failure end)],
        [1, 1, 1], 'and calls whom it has not called');
};

subtest 'retried as a whole' => sub {
    my $id = begin({ calls(), nodes => { ok => noop(),
        a => after(noop(reject => 'X'), 'ok'), b => after(noop(), 'a') } });
    until_flow($id, 'failed');
    my $was = row($id, 'ok', 'job');
    $t->sql("UPDATE jobs.flow_node SET body = '{}' WHERE flow = '$id'");
    my $retry = $p->enqueue(type => 'flow.retry', queue => 'account',
        body => { flow => $id });
    until_flow($id, 'succeeded');
    is($p->job($retry)->{result}, qq({"flow":"$id","retried":1}), 'one');
    is(row($id, 'ok', 'job'), $was, 'what was well is not run again');
    is(row($id, 'a', 'run'), 1, 'the other is, under another id');
    is(scalar(my @x = told($id, 'success')), 1, 'and it is told');

    my $deep = begin({ nodes => { in => { type => 'flow.run', body => {
        name => 'in', nodes => { x => noop(reject => 'X') } } },
        out => after(noop(), 'in') } });
    until_flow($deep, 'failed');
    $t->sql("UPDATE jobs.flow_node SET body = '{\"name\": \"in\", \"nodes\":
        {\"x\": {\"type\": \"maintenance.noop\"}}}'
        WHERE flow = '$deep' AND name = 'in'");
    $p->enqueue(type => 'flow.retry', queue => 'account',
        body => { flow => $deep });
    until_flow($deep, 'succeeded');
    is(scalar worker("SELECT string_agg(state, ' ' ORDER BY created_at)
        FROM jobs.flow WHERE parent = '$deep'"), 'failed succeeded',
        'its own flow is begun anew');

    my $twice = $p->enqueue(type => 'flow.retry', queue => 'account',
        body => { flow => $id });
    $p->until_over($twice);
    is($p->status($twice), 'failed', 'one that is well is not');
};

subtest 'told twice, or by who has lost the lease' => sub {
    my $id = begin({ calls(), nodes => { a => noop(sleep_ms => 400),
        b => after(noop(), 'a') } });
    wait_for(sub { (row($id, 'a', 'state') // '') eq 'running' }, 10, 'a runs');
    my $job = row($id, 'a', 'job');
    is(scalar worker("SELECT jobs.flow_done_fenced('$id', '$job', 'failed',
        NULL, NULL, 'maintenance', 1, 'somebody', 1)"), undef,
        'a stale fence says nothing');
    until_flow($id, 'succeeded');
    is(scalar worker("SELECT jobs.flow_done('$id', '$job', '$_', NULL, NULL,
        'maintenance', 1)"), 'f', "$_ is no news") for qw(succeeded dead);
    is(scalar worker("SELECT open || ' ' || failed FROM jobs.flow
        WHERE id = '$id'"), '0 0', 'nothing is counted twice');
};

subtest 'by hand' => sub {
    $t->write('flow.json', JSON::PP::encode_json({ name => 'by.hand',
        nodes => { a => noop(sleep_ms => 15000), b => after(noop(), 'a') } }));
    my ($rc, $job) = ctl('flow', 'start', $t->dir . '/flow.json');
    is($rc, 0, 'begun');
    my ($id) = $job =~ /([^.\s]+)\s*$/;
    wait_for(sub { (row($id, 'a', 'state') // '') eq 'running' }, 10, 'a runs');
    like((ctl('flow', 'list'))[1], qr/^$id  by\.hand  running  \S+Z  0  2  0$/m,
        'listed');
    is(json((ctl('flow', 'show', $id))[1])->{graph}{b}{after}[0], 'a', 'shown');
    is((ctl('flow', 'retry', $id))[0], 1, 'not over, nothing to retry');
    is((ctl('flow', 'cancel', $id))[0], 0, 'called off');
    until_flow($id, 'cancelled');
    is((ctl('flow', 'cancel', $id))[0], 1, 'once');
    $t->sql("UPDATE jobs.flow_node SET body = '{}' WHERE flow = '$id'");
    is((ctl('flow', 'retry', $id))[0], 0, 'retried');
    until_flow($id, 'succeeded');
    is((ctl('flow', 'show', $p->new_uuid))[0], 1, 'there is no such flow');
    $t->write('flow.json', '[]');
    is((ctl('flow', 'start', $t->dir . '/flow.json'))[0], 1, 'and this is none');
};

# Layers of four, each after all of the one before.
sub layers {
    my ($n) = @_;
    my %nodes;
    for my $l (1 .. $n) {
        for my $i (1 .. 4) {
            $nodes{"n$l.$i"} = $l == 1 ? noop(sleep_ms => 5)
                : after(noop(sleep_ms => 5), map { 'n' . ($l - 1) . ".$_" }
                    1 .. 4);
        }
    }
    return \%nodes;
}

subtest 'kill -9 at any step' => sub {
    my @ids = map { begin({ calls(), nodes => layers(4) }) } 1 .. 12;
    for (1 .. 6) {
        sleep 0.25;
        my @c = $p->children;
        kill 'KILL', $c[rand @c] if @c;
    }
    until_flow($_, 'succeeded') for @ids;
    my $in = join ',', map { "'$_'" } @ids;
    is(scalar worker("SELECT count(*) FROM jobs.flow_node WHERE flow IN ($in)
        AND state = 'succeeded' AND waits = 0"), 12 * 16, 'every node is done');
    is(scalar worker("SELECT count(*) FROM jobs.flow WHERE id IN ($in)
        AND (open <> 0 OR failed <> 0)"), 0, 'and counted once');
    is(scalar worker("SELECT count(*) FROM jobs.flow_node AS n,
        LATERAL (SELECT count(*) FROM jobs.outbox AS o WHERE o.kind = 'job'
            AND right(o.payload->>'id', 36) = n.job::text) AS c
        WHERE n.flow IN ($in) AND c.count <> 1"), 0, 'queued once');
    is(scalar worker("SELECT count(*) FROM jobs.flow_edge AS e
        JOIN jobs.flow_node AS a ON a.flow = e.flow AND a.name = e.node
        JOIN jobs.flow_node AS b ON b.flow = e.flow AND b.name = e.next
        WHERE e.flow IN ($in) AND b.queued_at < a.ended_at"), 0,
        'none before its time');
    is_deeply([map { my $w = $_; scalar(map { told($_, $w) } @ids) }
        qw(success failure end)], [12, 0, 12], 'each callback once');
    $p->until_owned;
};

$p->finish;
done_testing;
