# Where a journey is: points reach who watches without the database, and the
# database by the workers, in batches, each once.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::GraphqlSocket;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox smtp workers nginx',
    ngx_workers => 2,
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    allow_5xx => 1,
    allow_log => qr/exited on signal 9/,
    edit => sub {
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{$1
            location = /say {
                travel_auth required jwks=main audience=travel;
                travel_publish \$arg_topic type=x
                    schema=messages/journey.location.json; }} },
);
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my $journey = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
    destination => 'Paris, FR', theme => 'history' }, token => $alice,
    headers => { prefer => 'wait=10' })->{json}{id};
ok($journey, 'a journey');
my $path = "/api/v1/journeys/$journey/location";

sub point {
    my ($n, %o) = @_;
    return $t->post($o{path} // $path, $o{body} // { position =>
        { lat => 52.5, lon => $n / 10 }, speed_kmh => 80.5 },
        token => $alice, %o);
}
sub stored { $t->sql("SELECT count(*) FROM travel.journey_points WHERE "
    . "journey_id = '$journey'") }

my $s = Travel::Socket->open($t, '/api/v1/live', token => $t->token(
    sub => $t->user(3), permissions => 'journeys:watch'));
$s->json({ type => 'subscribe', topic => "journey:$journey" });
my $at = $s->next_json->{cursor};
ok($at, 'somebody watches');
my $g = Travel::GraphqlSocket->open($t, token => $alice);
$g->init;
$g->ask('p', "subscription { journeyUpdates(journeyId: \"$journey\") "
    . '{ type journeyId at position { lat lon } speedKmh } }');

subtest 'a point' => sub {
    my $m;
    ok(wait_for(sub { my $r = point(1);
        is($r->{status}, 204, 'taken') unless $m;
        $m = $s->next_json; $g->next_json(0.3) }, 10), 'a subscription has it');
    is($m->{message}{type}, 'journey.location', 'its type');
    is_deeply($m->{message}{data}, { position => { lat => 52.5, lon => 0.1 },
        speed_kmh => 80.5 }, 'as it was sent');
    is($m->{message}{aggregate}{id}, $journey, 'of which journey');
    is($m->{cursor}, $at, 'it moves no cursor: it is in no history');
    1 while $s->next_json(0.3);
    1 while $g->next_json(0.3);
    point(2);
    my $p = $g->next_json->{payload}{data}{journeyUpdates};
    is_deeply([@$p{qw(type journeyId speedKmh)}, $p->{position}],
        ['journey.location', $journey, 80.5, { lat => 52.5, lon => 0.2 }],
        'projected');
    like($p->{at}, qr/^\d{4}-.*Z$/, 'when');
    $s->next_json;
};

subtest 'who may, and what' => sub {
    is(point(1, token => $bob)->{status}, 404, 'not a stranger');
    is(point(1, token => undef)->{status}, 401, 'not nobody');
    is(point(1, token => $t->token(sub => $t->user(1), permissions =>
        'journeys:read'))->{status}, 403, 'not without the permission');
    for my $case ([{}, 422], [{ position => { lat => 91, lon => 0 } }, 422],
        [{ position => { lat => 1, lon => 1 }, x => 1 }, 422],
        [{ position => { lat => 1, lon => 1 }, at => 'noon' }, 422])
    {
        is(point(1, body => $case->[0])->{status}, $case->[1],
            'what the schema does not take');
    }
    my $r = point(1, body => {});
    is($r->{json}{error}{details}[0]{code}, 'required', '... told why');
    is($t->request('POST', $path, token => $alice, body => '{',
        headers => { 'content-type' => 'application/json' })->{status}, 400,
        'no JSON');
    is($t->request('POST', $path, token => $alice, body => '{}',
        headers => { 'content-type' => 'text/plain' })->{status}, 415,
        'no JSON by its type');
    is($t->request('POST', $path, token => $alice, body => ' ' x 5000,
        headers => { 'content-type' => 'application/json' })->{status}, 413,
        'too long');
    is(point(1, path => '/api/v1/journeys/x/location')->{status}, 404,
        'no journey');
    is(point(1, path => '/api/v1/journeys/x%0d%0aA:b/location')->{status}, 404,
        'nothing can be slipped in');
    is($t->get($path, token => $alice)->{status}, 405, 'POST only');
    is(point(1, path => "/say?topic=$_->[0]")->{status}, $_->[1], $_->[2])
        for ["journey:$journey", 204, 'to a topic of the request'],
            ["job:booking.1.$journey", 404, 'but not to a job\'s'];
    1 while $s->next_json(0.3);
    is(point(8, path => "/api/v1/journeys/\U$journey\E/location")->{status}, 204,
        'an id in capitals');
    is(($s->next_json // {})->{topic}, "journey:$journey", 'is the same topic');
    $s->json({ type => 'subscribe', topic => "journey:\U$journey" });
    is($s->next_json->{code}, 'RESOURCE_NOT_FOUND', 'which has one name');
};

# At /live of the journey itself, which asks whether it is the caller's.
subtest 'its own traveller watches' => sub {
    my $live = "/api/v1/journeys/$journey/live";
    my $own = Travel::Socket->open($t, $live, token => $alice);
    $own->json({ type => 'subscribe', topic => "journey:$journey" });
    is($own->next_json->{type}, 'subscribed', 'a socket');
    $own->json({ type => 'subscribe', topic => 'user:' . $t->user(1)
        . ':events' });
    is($own->next_json->{type}, 'subscribed', 'and what is his besides');
    my $frame = "\x81\x8f\0\0\0\0" . '{"type":"ping"}';
    my $in = $t->raw("GET $live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        . "Authorization: Bearer $alice\r\n\r\n$frame", timeout => 3);
    like($in, qr/\AHTTP\/1\.1 101 .*\{"type":"pong"\}/s,
        'what comes with the handshake waits for the verdict');
    my $poll = sub { $t->get("$live?topic=journey:$journey", @_) };
    is($poll->(token => $alice)->{status}, 200, 'a poll');
    is($poll->(token => $bob)->{status}, 404, 'not of a stranger');
    is($poll->()->{status}, 401, 'nor of nobody');
    is($t->get('/api/v1/journeys/' . $t->user(9) . "/live?topic=journey:"
        . $t->user(9), token => $alice)->{status}, 404, 'no journey');
    is($t->get("$live?topic=journey:" . $t->user(9), token => $alice)->{status},
        403, 'of that one alone');
    $t->raw("GET $live?topic=journey:$journey HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $alice\r\n\r\n", hang_up => 1) for 1 .. 20;
    point(7);
    my $m = $own->next_json(10);
    is($m->{message}{data}{position}{lon}, 0.7, 'he hears where it is');
    1 while $s->next_json(0.3);
};

subtest 'its end' => sub {
    my %o = (token => $alice, headers => { prefer => 'wait=10' });
    my $y = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
        destination => 'Rome, IT', theme => 'food' }, %o)->{json}{id};
    my $at = "/api/v1/journeys/$y";
    is($t->get($at, token => $alice)->{json}{completed_at}, undef,
        'it is under way');
    is(point(1, path => "$at/location")->{status}, 204, 'and somewhere');
    my $w = Travel::Socket->open($t, "$at/live", token => $alice);
    $w->json({ type => 'subscribe', topic => "journey:$y" });
    $w->next_json;

    my $end = sub { $t->post("$at/complete", {}, %o, @_) };
    is($end->(token => $bob)->{status}, 404, 'a stranger does not end it');
    is($end->(token => $t->token(sub => $t->user(1), permissions =>
        'journeys:read'))->{status}, 403, 'nor who may only read');
    is($t->post('/api/v1/journeys/' . $t->user(9) . '/complete', {}, %o)
        ->{status}, 404, 'nor is there another');
    my $r = $end->();
    is($r->{status}, 200, 'its traveller does') or diag $r->{content};
    is($r->{json}{status}, 'completed', 'completed');
    cmp_ok($r->{json}{completed_at}, 'gt', $r->{json}{created_at}, 'and when');
    is_deeply($t->get($at, token => $alice)->{json}, $r->{json},
        'it is shown so at once');
    my $m = $w->next_json(10);
    is($m->{message}{type}, 'journey.completed', 'who watches hears it');
    is($m->{message}{data}{completed_at}, $r->{json}{completed_at}, 'and when');
    is(scalar $t->sql("SELECT data->>'duration_s' = extract(epoch FROM
        j.completed_at - j.created_at)::bigint::text FROM events.event AS e
        JOIN travel.journeys AS j ON j.id = e.stream_id WHERE j.id = '$y'
        AND e.type = 'journey.completed'"), 't', 'how long it took');

    $r = $end->();
    is($r->{status}, 409, 'once');
    is($r->{json}{error}{code}, 'JOURNEY_COMPLETED', 'and that is why');
    is(($t->post("$at/complete", {}, %o, headers => { prefer => 'wait=10',
        'idempotency-key' => 'end' }))->{status}, 409, 'under any key');

    # What the edge still takes for keep= is not stored.
    my $last;
    my $taken = 0;
    ok(wait_for(sub { $last = point(2, path => "$at/location");
        $taken++ if $last->{status} == 204; $last->{status} == 409 }, 15),
        'where it is is of no interest any more');
    is($last->{json}{error}{code}, 'JOURNEY_COMPLETED', 'with the reason');
    cmp_ok($taken, '<', 300, "after $taken that were taken");
    point(55);
    ok(wait_for(sub { $t->sql('SELECT count(*) FROM travel.journey_points '
        . "WHERE journey_id = '$journey' AND lon = 5.5") }, 15),
        'what came later is stored');
    is(scalar $t->sql('SELECT string_agg(lon::text, \' \') FROM
        travel.journey_points WHERE journey_id = \'' . $y . '\''), '0.1',
        'but nothing from after the end');
    1 while $s->next_json(0.3);
};

subtest 'the database is away' => sub {
    ok(wait_for(sub { stored() >= 2 }, 15), 'what was taken is stored');
    my $before = stored();
    point(3);
    1 while $s->next_json(0.3);
    $t->stop_part('postgres');
    my @status = map { point(100 + $_)->{status} } 1 .. 50;
    is_deeply([grep { $_ != 204 } @status], [], 'points are taken');
    is_deeply([map { ($s->next_json // {})->{message}{data}{position}{lon} }
        1 .. 50], [map { (100 + $_) / 10 } 1 .. 50],
        'and reach who watches, in order');
    $t->start_part('postgres');
    ok(wait_for(sub { (eval { stored() } // 0) == $before + 51 }, 30),
        'and are stored when it is back');
};

subtest 'a worker dies' => sub {
    my $before = stored();
    for my $k (1 .. 150) {
        is(point($k)->{status}, 204, 'taken') if $k % 50 == 0;
        point($k) if $k % 50;
        $t->kill_child('workers') if $k == 60 || $k == 110;
    }
    ok(wait_for(sub { stored() >= $before + 150 }, 60), 'all are stored');
    sleep 1;
    is(stored(), $before + 150, '... once');
    is($t->redis('cache')->call('XLEN', 'travel:points'), 0,
        'and nothing is left in the stream');
};

subtest 'by the limits that are shipped' => sub {
    local $t->{env}{TRAVEL_LIMITS} = 'limits.conf';
    $t->script('render.sh', Travel::Test::root() . '/conf/nginx.conf',
        $t->dir . '/nginx.conf');
    $t->reload;
    is_deeply([grep { $_ != 204 } map { point($_)->{status} } 1 .. 40], [],
        'ten a second, and more');
};

$t->finish;
done_testing;
