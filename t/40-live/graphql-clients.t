# Real clients of live GraphQL: graphql-ws, subscriptions-transport-ws and
# graphql-sse, in both of its modes, over four nginx workers: what they ask,
# watch, and go on watching after a reload; every close code.  And event streams
# by hand, where the clients are too polite.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Events;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox smtp workers nginx',
    ngx_workers => 4,
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    allow_5xx => 0,
    edit => sub {
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{$1
            location = /quick {
                travel_auth optional jwks=main audience=travel;
                travel_live graphql endpoint=/api/graphql init=400ms; }};
    },
);
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my $c = $t->redis('cache');
my $script = $t->live_script;

sub publish {
    my ($journey, $n) = @_;
    return $c->call('EVAL', $script, 1, "travel:live:journey:$journey",
        qq({"type":"test.$n","aggregate":{"id":"$journey"},"data":{}}), 256,
        60000);
}

wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');
my $journey = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
    destination => 'Paris, FR', theme => 'history' }, token => $alice,
    headers => { prefer => 'wait=10' })->{json}{id};
ok($journey, 'a journey');

my @names = qw(transport legacy distinct single codes);
my (%out, %heard, %said);
for my $name (@names) {
    my $pid = open my $fh, '-|';
    defined $pid or die "fork: $!";
    if (!$pid) {
        exec 'node', Travel::Test::root() . '/scripts/node/graphql-live.js',
            $t->url, $alice, $journey, $name or die "node: $!";
    }
    $out{$name} = $fh;
}
# Nobody knows when they watch: so it is told until they have heard enough.
# When all follow, nginx is reloaded.
my ($n, $reloaded, $end) = (0, 0, time + 60);
while (%out && time < $end) {
    publish($journey, ++$n);
    for my $name (sort keys %out) {
        my $bits = '';
        vec($bits, fileno $out{$name}, 1) = 1;
        next unless select $bits, undef, undef, 0.05;
        my $more = sysread $out{$name}, $heard{$name}, 65536,
            length($heard{$name} //= '');
        $said{$name} = { %{ $said{$name} || {} }, %{ json($1) } }
            while $heard{$name} =~ s/\A(.*)\n//;
        delete $out{$name} if !$more || $said{$name}{failed};
    }
    if (!$reloaded && 4 == grep { $_->{follows} } values %said) {
        $t->reload;
        $reloaded = 1;
    }
}

# Told in order, each once.
sub in_a_row {
    my ($told, $name) = @_;
    my ($first) = ($told->[0] // '') =~ /(\d+)/;
    is_deeply($told, [map { 'test.' . (($first // 0) + $_) } 0 .. $#$told],
        $name);
}

for my $name (@names) {
    my %m = %{ $said{$name} || {} };
    is($m{failed}, undef, "$name: nothing failed");
    is($m{done}, $name, "$name: it ended well");
    next if $name eq 'codes';
    is_deeply($m{query}, { got => [{ data => { me => { id => $t->user(1) } } }]
        }, "$name: a query");
    like($m{bad}{error} // $m{bad}{got}[0]{errors}[0]{message} // '',
        qr/nothing/, "$name: one that is not valid");
    my ($no) = ($m{refused}{error} // $m{refused}{got}[0]{errors}[0]{message});
    ok($no, "$name: a subscription that is refused: " . ($no // ''));
    is(scalar @{ $m{watched} || [] }, 3, "$name: three updates");
    in_a_row($m{watched}, "$name: ... in order");
    cmp_ok(scalar @{ $m{followed} || [] }, '>=', 6,
        "$name: it has come back after the reload");
    in_a_row($m{followed}, "$name: ... and missed nothing");
}
is_deeply($said{codes}{codes}, { map { $_ => $_ }
    4400, 4401, 4403, 4406, 4408, 4409, 4429 }, 'codes: each is closed by it');
ok($said{transport}{pong}, 'transport: pings are answered');
is($said{transport}{closed}, 1001, 'transport: closed 1001 by the reload');
is_deeply($said{transport}{after}, $said{transport}{query},
    'transport: its socket is good for more');

my $SUB = 'subscription { journeyUpdates(journeyId: "' . $journey
    . '") { type } }';
sub body { JSON::PP::encode_json($_[0]) }
sub post {
    my ($body, %o) = @_;
    return Travel::Events->open($t, $o{path} // '/api/graphql/live',
        token => $o{token} // $alice, method => $o{method} // 'POST',
        headers => { 'Content-Type' => 'application/json',
            'Content-Length' => length $body, %{ $o{headers} || {} } },
        with => $body);
}

subtest 'distinct connections' => sub {
    my $e = post(body({ query => '{ me { id } }' }));
    is($e->status, 200, 'POST');
    is($e->header('content-type'), 'text/event-stream', 'its type');
    my $m = $e->next;
    is("$m->{event} $m->{data}{data}{me}{id}", 'next ' . $t->user(1), 'next');
    $m = $e->next;
    is("$m->{event}$m->{data}", 'complete', 'complete, its data empty');
    ok($e->ended, 'the end');
    $e = Travel::Events->open($t, '/api/graphql/live?query=query($l:Int)'
        . '%7BmyJourneys(limit:$l)%7Bid%7D%7D&variables=%7B%22l%22:1%7D',
        token => $alice);
    is($e->next->{data}{data}{myJourneys}[0]{id}, $journey, 'GET');
    $e = Travel::Events->open($t, '/api/graphql/live?query=mutation+%7B'
        . 'cancelBooking(bookingId:%22x%22)%7Bsuccess%7D%7D', token => $alice);
    is($e->next->{data}{errors}[0]{extensions}{code}, 'METHOD_NOT_ALLOWED',
        'GET changes nothing');
    is($e->next->{event}, 'complete', '... and that is all');
    $e = post(body({ query => $SUB }), token => $bob);
    is($e->next->{data}{errors}[0]{extensions}{code}, 'RESOURCE_NOT_FOUND',
        'a stranger');
    is(post('{')->status, 400, 'no JSON');
    is(post(body({ query => '{ me { id } }' }), headers =>
        { 'Content-Type' => 'text/plain' })->status, 415, 'a form');
    $e = post(body({ query => $SUB }));
    ok(wait_for(sub { publish($journey, ++$n); $e->next(0.3) }, 10),
        'a subscription');
    $e->close;
};

subtest 'one connection' => sub {
    my $r = $t->request('PUT', '/api/graphql/live', token => $alice);
    is($r->{status}, 201, 'PUT');
    my $token = $r->{content};
    like($token, qr/^[0-9a-f]{32}$/, 'a token');
    my %h = ('X-GraphQL-Event-Stream-Token' => $token);
    my $order = sub { my ($id, $q, %o) = @_;
        post(body({ query => $q, extensions => { operationId => $id } }),
            headers => { %h, Accept => 'application/json' }, %o)->status };
    is($order->('a', '{ me { id } }'), 404, 'nobody listens yet');
    is(Travel::Events->open($t, '/api/graphql/live', token => $bob,
        headers => { %h })->status, 404, 'somebody else may not listen');
    $token = $t->request('PUT', '/api/graphql/live', token => $alice)
        ->{content};
    $h{'X-GraphQL-Event-Stream-Token'} = $token;
    my $e = Travel::Events->open($t, "/api/graphql/live?token=$token",
        token => $alice);
    is($e->status, 200, 'a stream');
    is(Travel::Events->open($t, '/api/graphql/live', token => $alice,
        headers => { %h })->status, 409, 'one at a time');
    is($order->('a', '{ me { id } }'), 202, 'an operation');
    my $m = $e->next;
    is_deeply($m, { event => 'next', data => { id => 'a', payload =>
        { data => { me => { id => $t->user(1) } } } } }, 'next');
    is_deeply($e->next, { event => 'complete', data => { id => 'a' } },
        'complete');
    is($order->('b', $SUB), 202, 'a subscription');
    ok(wait_for(sub { publish($journey, ++$n); $m = $e->next(0.3) }, 10),
        'it is on');
    is($m->{data}{id}, 'b', '... by its id');
    1 while $e->next(0.3);
    is($order->('b', $SUB), 202, 'an id twice');
    is($e->next->{data}{payload}{errors}[0]{extensions}{code}, 'CONFLICT',
        '... is an error');
    is($e->next->{event}, 'complete', '...');
    is($t->request('DELETE', '/api/graphql/live?operationId=b',
        token => $alice, headers => { %h })->{status}, 200, 'DELETE');
    sleep 0.2;
    publish($journey, ++$n);
    ok(!$e->next(0.5), 'it has ended');
    is($order->('c', '{ me { id } }', token => $bob), 404,
        'the token is of no use to another');
    is(post(body({ query => '{ me { id } }' }), headers => { %h })->status,
        400, 'an operation without an id');
    is($t->request('DELETE', '/api/graphql/live', token => $alice,
        headers => { %h })->{status}, 400, 'nor DELETE');
    is($t->request('DELETE', '/api/graphql/live?operationId=b',
        token => $alice)->{status}, 404, 'nor without a token');
    $e->close;
};

$t->finish;
done_testing;
