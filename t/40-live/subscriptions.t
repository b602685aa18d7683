# GraphQL over WebSocket: both subprotocols with every close code, operations of
# all three kinds, who may watch what, cursors and gaps, tokens that come by the
# connection and are refreshed on it.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::GraphqlSocket;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox smtp workers nginx',
    ngx_workers => 2,
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        # the handshake has no key, the question about its token has
        s{(\n\s+server \{)}{
            limit_req_zone \$http_authorization zone=later:1m rate=1r/m;$1};
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{$1
            location = /later {
                travel_auth optional jwks=main audience=travel;
                limit_req zone=later;
                travel_live graphql endpoint=/api/graphql; }
            location = /quick {
                travel_auth optional jwks=main audience=travel leeway=0s;
                travel_live graphql endpoint=/api/graphql init=400ms
                            operations=3; }};
    },
);
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my $c = $t->redis('cache');
my $script = $t->live_script;

sub publish {
    my ($journey, $n, %o) = @_;
    return $c->call('EVAL', $script, 1, "travel:live:journey:$journey",
        qq({"type":"test.$n","aggregate":{"id":"$journey"},"data":{"n":$n,)
        . qq("position":{"lat":1.5,"lon":$n}}}), $o{keep} // 256, 60000);
}

sub talk {
    my (%o) = @_;
    my $s = Travel::GraphqlSocket->open($t, token => $alice, %o);
    is($s->status, 101, 'switched') or return $s;
    $o{uninitialised} or ok($s->init($o{payload}), 'acknowledged');
    return $s;
}

my $SUB = 'subscription($j: ID!) { journeyUpdates(journeyId: $j) '
    . '{ type position { lon } } }';
my $journey = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
    destination => 'Paris, FR', theme => 'history' }, token => $alice,
    headers => { prefer => 'wait=10' })->{json}{id};
ok($journey, 'a journey');

subtest 'the subprotocol' => sub {
    my $s = talk();
    is($s->header('sec-websocket-protocol'), 'graphql-transport-ws', 'new');
    is(talk(legacy => 1)->header('sec-websocket-protocol'), 'graphql-ws',
        'old');
    $s = talk(protocol => 'graphql-ws, graphql-transport-ws');
    is($s->header('sec-websocket-protocol'), 'graphql-transport-ws',
        'the better of both');
    $s = talk(protocol => 'soap', uninitialised => 1);
    is($s->header('sec-websocket-protocol'), undef, 'neither');
    is(scalar $s->closed, 4406, 'is closed 4406');
    $s = talk(protocol => 'soap', uninitialised => 1, with =>
        Travel::Socket->encode(0x81, '{"type":"connection_init"}') x 2);
    is(scalar $s->closed, 4406, '... whatever it has said at once');
    $s = talk(path => '/api/graphql');
    $s->ask("1", '{ __typename }');
    is($s->next_json->{payload}{data}{__typename}, 'Query',
        'the endpoint\'s own URL leads there, too');
    is($t->get('/api/graphql/live')->{status}, 426, 'it is a WebSocket');
};

subtest 'close codes' => sub {
    my $close = sub {
        my ($code, $what, @messages) = @_;
        my $s = Travel::GraphqlSocket->open($t, token => $alice);
        for (@messages) {
            ref $_ eq 'CODE' ? $_->($s) : ref $_ ? $s->json($_) : $s->text($_);
        }
        my ($got, $why) = $s->closed;
        is($got, $code, "$what: $why");
    };
    my $init = { type => 'connection_init' };
    my $sub = { id => 1, type => 'subscribe', payload => { query => $SUB,
        variables => { j => $journey } } };
    $close->(4400, 'no JSON', '{');
    $close->(4400, 'no object', '[]');
    $close->(4400, 'no type', '{}');
    $close->(4400, 'an unknown type', '{"type":"start","id":"1"}');
    $close->(4400, 'a payload that is none', '{"type":"ping","payload":1}');
    $close->(4400, 'binary', sub { $_[0]->frame(0x82, '{}') });
    $close->(4400, 'subscribe without a query', $init,
        { id => '1', type => 'subscribe', payload => {} });
    $close->(4400, 'subscribe without an id', $init,
        { type => 'subscribe', payload => { query => '{ me { id } }' } });
    $close->(4401, 'subscribe first', { %$sub, id => '1' });
    $close->(4403, 'a token that is none', { %$init, payload =>
        { authToken => 'x' } });
    $close->(4403, 'a token with a line break', { %$init, payload =>
        { authToken => "a\r\nX: y" } });
    $close->(4409, 'an id twice', $init, ({ %$sub, id => 'a' }) x 2);
    $close->(4429, 'init twice', $init, $init);
    my $s = talk(path => '/quick', uninitialised => 1);
    my $start = time;
    is(scalar $s->closed, 4408, 'no init');
    cmp_ok(time - $start, '>=', 0.3, '... in time');
};

subtest 'ping and pong' => sub {
    my $s = talk(uninitialised => 1);
    $s->json({ type => 'ping' });
    is_deeply($s->next_json, { type => 'pong' }, 'before all');
    $s->init;
    $s->json({ type => 'ping', payload => { a => [1, '}"'] } });
    is_deeply($s->next_json, { type => 'pong', payload => { a => [1, '}"'] } },
        'the payload comes back');
    $s->json({ type => 'pong' });
    $s->json({ type => 'complete', id => 'nobody' });
    $s->json({ type => 'ping' });
    is($s->next_json->{type}, 'pong', 'a pong, a complete of nothing: nothing');
};

subtest 'queries and mutations' => sub {
    my $s = talk();
    $s->ask('q', 'query Q($l: Int) { myJourneys(limit: $l) { id } }',
        variables => { l => 1 }, operationName => 'Q');
    my $m = $s->next_json;
    is_deeply($m, { id => 'q', type => 'next', payload => { data =>
        { myJourneys => [{ id => $journey }] } } }, 'a query');
    is_deeply($s->next_json, { id => 'q', type => 'complete' }, 'complete');
    $s->ask('q', 'mutation { startJourney(context: { origin: "Lyon, FR", '
        . 'destination: "Paris, FR", theme: food }) { success } }');
    $m = $s->next_json(20);
    ok($m->{payload}{data}{startJourney}{success}, 'a mutation');
    is($s->next_json->{type}, 'complete', 'complete');
    $s->ask('bad', '{ nothing }');
    $m = $s->next_json;
    is("$m->{id} $m->{type}", 'bad error', 'what is not valid is an error');
    is($m->{payload}[0]{extensions}{code}, 'VALIDATION_ERROR', '... its code');
    ok($m->{payload}[0]{locations}, '... its place');
    $s->ask('bad', '{');
    is($s->next_json->{type}, 'error', 'the id is free again');

    my $anon = talk(token => undef);
    $anon->ask("1", '{ me { id } }');
    $m = $anon->next_json;
    is($m->{payload}[0]{extensions}{code}, 'AUTHENTICATION_ERROR',
        'nobody has no journeys');
    my $reader = talk(token => $t->token(sub => $t->user(1), permissions =>
        'stories:read'));
    $reader->ask("1", '{ myJourneys { id } }');
    is($reader->next_json->{payload}[0]{extensions}{code},
        'AUTHORIZATION_ERROR', 'permissions count');
};

subtest 'subscriptions' => sub {
    my $s = talk();
    $s->ask('s', $SUB, variables => { j => $journey });
    my $cursor;
    # who subscribes is not told when it is so: the first message shows it
    ok(wait_for(sub {
        publish($journey, 1);
        my $m = $s->next_json(0.3) or return;
        $cursor = $m->{payload}{extensions}{cursor};
        return $m->{type} eq 'next'; }, 10), 'it is on');
    1 while $s->next_json(0.3);
    publish($journey, 2);
    my $m = $s->next_json;
    is_deeply($m->{payload}{data}, { journeyUpdates => { type => 'test.2',
        position => { lon => 2 } } }, 'a message, projected');
    like($m->{payload}{extensions}{cursor}, qr/^\d+-\d+$/, '... its cursor');
    publish($journey, $_) for 3 .. 20;
    is_deeply([map { $s->next_json->{payload}{data}{journeyUpdates}{type} }
        3 .. 20], [map { "test.$_" } 3 .. 20], 'in order');
    $s->json({ id => 's', type => 'complete' });
    publish($journey, 21);
    $s->json({ type => 'ping' });
    is($s->next_json->{type}, 'pong', 'after complete nothing comes');

    $s->ask('s', $SUB, variables => { j => $journey },
        extensions => { cursor => $m->{payload}{extensions}{cursor} });
    is_deeply([map { $s->next_json->{payload}{data}{journeyUpdates}{type} }
        3 .. 21], [map { "test.$_" } 3 .. 21], 'from a cursor: what was missed');
    publish($journey, $_, keep => 3) for 22 .. 40;
    1 while $s->next_json(0.3);
    $s->ask('g', $SUB, variables => { j => $journey },
        extensions => { cursor => $cursor });
    my $gap = $s->next_json;
    is($gap->{payload}{errors}[0]{extensions}{code}, 'GAP', 'a gap is told');
    cmp_ok($gap->{payload}{errors}[0]{extensions}{missed}, '>', 10,
        '... with its size');
    is($s->next_json->{payload}{data}{journeyUpdates}{type}, 'test.38',
        'and the rest comes');
};

subtest 'who may' => sub {
    my $error = sub {
        my ($s, %o) = @_;
        $s->ask('x', $SUB, variables => { j => $o{j} // $journey });
        my $m = $s->next_json;
        return $m->{type} eq 'error'
            ? $m->{payload}[0]{extensions}{code} : $m->{type};
    };
    is($error->(talk(token => $bob)), 'RESOURCE_NOT_FOUND', 'not a stranger');
    is($error->(talk(token => undef)), 'AUTHENTICATION_ERROR', 'not nobody');
    is($error->(talk(), j => 'x*y'), 'RESOURCE_NOT_FOUND', 'not a pattern');
    is($error->(talk(), j => 'a"){__typename} b: me{id}, c: journey(journeyId:'
        . '"x'), 'RESOURCE_NOT_FOUND', 'nothing can be slipped in');
    is($error->(talk(token => $t->token(sub => $t->user(1), permissions =>
        'stories:read'))), 'AUTHORIZATION_ERROR', 'the check has rules, too');
    my $s = talk(token => $t->token(sub => $t->user(2), permissions =>
        'journeys:watch'));
    $s->ask('x', $SUB, variables => { j => $journey });
    ok(wait_for(sub { publish($journey, 50); $s->next_json(0.3) }, 10),
        'who may watch all');
    my @many = map { "s$_" } 1 .. 4;
    $s = talk(path => '/quick');
    $s->ask($_, $SUB, variables => { j => $journey }) for @many;
    my $m = $s->next_json;
    is("$m->{id} $m->{payload}[0]{extensions}{code}",
        's4 RATE_LIMIT_EXCEEDED', 'no more than so many');
    $s->ask('two', 'subscription { a: journeyUpdates(journeyId: "x") { type } '
        . 'b: journeyUpdates(journeyId: "x") { type } }');
};

subtest 'tokens' => sub {
    my $s = talk(token => undef, payload => { authToken => $alice });
    $s->ask("1", '{ me { id } }');
    is($s->next_json->{payload}{data}{me}{id}, $t->user(1),
        'by connection_init');
    $s->next_json;
    $s = talk(token => undef, payload => { Authorization => "Bearer $bob" });
    $s->ask("1", '{ me { id } }');
    is($s->next_json->{payload}{data}{me}{id}, $t->user(2), '... as a header');

    my $soon = talk(token => undef, path => '/later', payload =>
        { authToken => $alice });
    $soon = talk(token => undef, path => '/later', uninitialised => 1);
    $soon->json({ type => 'connection_init', payload => { authToken =>
        $alice } });
    is(scalar $soon->closed, 1013, 'one that cannot be looked at: later');

    my $short = sub { $t->token(sub => $t->user(1), ttl => '6s', permissions =>
        'journeys:read') };
    $s = talk(token => undef, path => '/quick',
        payload => { authToken => $short->() });
    my $stays = talk(token => undef, path => '/quick',
        payload => { authToken => $short->() });
    $stays->json({ type => 'ping', payload => { authToken => 'x.y.z' } });
    is_deeply($stays->next_json->{payload}, { refreshed =>
        JSON::PP::false() }, 'a bad token changes nothing');
    $stays->json({ type => 'ping', payload => { authToken => $bob } });
    is_deeply($stays->next_json->{payload}, { refreshed =>
        JSON::PP::false() }, 'nor does another user\'s');
    $stays->json({ type => 'ping', payload => { authToken => $alice } });
    my $m = $stays->next_json;
    ok($m->{payload}{refreshed}, 'a new one is taken');
    cmp_ok($m->{payload}{expires}, '>', time + 60, '... and told until when');
    is(scalar $s->closed(15), 4401, 'without it the session ends');
    ok(!$stays->next(1), 'with it, it goes on');
    $stays->ask("1", '{ me { id } }');
    is($stays->next_json->{payload}{data}{me}{id}, $t->user(1),
        'and asks by the new one');

    my ($q, $until) = ($t->redis('queue'), int(time) + 600);
    my $v = talk(token => undef, payload => { authToken => $bob });
    my $member = join "\t", 'user', int(time) + 1, '', $t->user(2);
    $q->calls(['ZADD', 'travel:revoke:set', $until, $member],
        ['XADD', 'travel:revoke', '*', 'r', $member, 'exp', $until]);
    is(scalar $v->closed(5), 4403, 'taken back: at once');
};

subtest 'the old protocol' => sub {
    my $s = talk(legacy => 1, token => undef, payload => { authToken =>
        $alice });
    $s->ask('1', '{ me { id } }');
    is_deeply($s->next_json, { id => '1', type => 'data', payload => { data =>
        { me => { id => $t->user(1) } } } }, 'a query');
    is_deeply($s->next_json, { id => '1', type => 'complete' }, 'complete');
    $s->ask('1', '{ nothing }');
    ok($s->next_json->{payload}{errors}[0]{message}, 'an error');
    is($s->next_json->{type}, 'complete', 'complete');
    $s->ask('2', $SUB, variables => { j => $journey });
    ok(wait_for(sub { publish($journey, 60); ($s->next_json(0.3) // {})
        ->{type} // '' eq 'data' }, 10), 'a subscription');
    $s->json({ id => '2', type => 'stop' });
    my $m;
    1 while ($m = $s->next_json(2)) && $m->{type} eq 'data';
    is($m->{type}, 'complete', 'stopped');
    $s->json({ type => 'connection_terminate' });
    is(scalar $s->closed, 1000, 'terminated');

    $s = talk(legacy => 1, uninitialised => 1, token => undef);
    $s->json({ type => 'connection_init', payload => { authToken => $alice } });
    $s->ask($_, '{ me { id } }') for 'a', 'b';
    my %got = map { my $m = $s->next_json; ($m->{id} // '') . $m->{type} => 1 }
        1 .. 5;
    is_deeply([sort keys %got], [qw(acomplete adata bcomplete bdata
        connection_ack)], 'start may come before the acknowledgement');

    $s = talk(legacy => 1, uninitialised => 1);
    $s->ask('1', '{ me { id } }');
    is($s->next_json->{type}, 'error', 'start before init');
    ok(!$s->init({ authToken => 'x' }), 'a bad token');
    is(scalar $s->closed, 4403, '... is closed');
};

subtest 'reload' => sub {
    my @s = map { my $s = talk(); $s->ask('s', $SUB, variables => { j =>
        $journey }); $s } 1 .. 5;
    ok(wait_for(sub { publish($journey, 70); $s[4]->next_json(0.3) }, 10),
        'watching');
    $t->reload;
    for my $s (@s) {
        my $m;
        1 while ($m = $s->next_json(5)) && !$m->{close};
        is($m->{close}, 1001, 'closed');
    }
};

$t->{tolerated_5xx} = () = slurp($t->dir . '/logs/access.log')
    =~ m{"path":"/_travel/error"[^\n]*"status":503,}g;
$t->finish;
done_testing;
