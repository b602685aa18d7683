# The shipped configuration and nothing else: conf/nginx.conf, conf/workers.conf
# and conf/travel as `make run` uses them, with the shipped limits.  Every
# location that conf/ has is asked as its users would, each at least once.  The
# last subtest counts them: whoever adds a location adds its use here.
#
# Limits are per address and per user, so each caller has both of his own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny ();
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Events;
use Travel::GraphqlSocket;
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start;
$t->script('graphiql.sh', $t->dir . '/graphiql');
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

my %asked;                # "METHOD path" of all requests, for the last subtest

# What a caller does: the nth user, from the nth address.
sub caller_no {
    my ($n, %claims) = @_;
    my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 1,
        max_redirect => 0, local_address => "127.0.1.$n");
    my $token = $t->user_token($n, %claims);
    my $ask = sub {
        my ($method, $path, %o) = @_;
        $asked{"$method " . $path =~ s/\?.*//r}++;
        local $t->{http} = $http;
        return $t->request($method, $path, token => $token, %o);
    };
    return { n => $n, token => $token, ask => $ask, id => $t->user($n) };
}

sub get  { my ($c, $path, %o) = @_; $c->{ask}->('GET', $path, %o) }
sub drop { my ($c, $path, %o) = @_; $c->{ask}->('DELETE', $path, %o) }
sub post {
    my ($c, $path, $json, %o) = @_;
    return $c->{ask}->('POST', $path, json => $json,
        headers => { prefer => 'wait=10', %{ $o{headers} || {} } });
}
sub graphql {
    my ($c, $query, %variables) = @_;
    my $r = post($c, '/api/graphql', { query => $query,
        variables => \%variables });
    is($r->{status}, 200, 'GraphQL') or diag $r->{content};
    is($r->{json}{errors}, undef, 'no errors') or diag $r->{content};
    return $r->{json}{data};
}
# ids of a list
sub ids { [map { $_->{id} } @{ $_[0]{json}{items} || [] }] }
sub is_ok {
    my ($r, $status, $what) = @_;
    is($r->{status}, $status, $what) or diag $r->{content};
    return $r->{json};
}
sub ctl {
    my ($rc, $out) = $t->ctl(@_);
    is($rc, 0, "travelctl @_[0, 1]") or diag $out;
    return $out;
}
sub soon { my ($code, $what) = @_; return wait_for($code, 10, $what) }
# The same by requests of one who keeps to his limit.
sub patiently {
    my ($code, $what) = @_;
    sleep 0.3;
    return wait_for(sub { $code->() || (sleep(2), 0)[1] }, 20, $what);
}

my $guest = caller_no(100);
my $guest_asks = $guest->{ask};
$guest->{ask} = sub { $guest_asks->(@_, token => undef) };

# --- a job that will have died by and by -----------------------

my $op = caller_no(90, permissions => 'dead:read dead:write operator:read '
    . 'operator:write');
my $unlucky = caller_no(91);
$t->write('sandbox.mode', "fail\@holds\n");
my $doomed = is_ok(post($unlucky, '/api/v1/bookings', { partner => 'tabelog',
    venue_id => 'doomed', party_size => 1,
    booking_date => '2030-01-01T19:00:00Z' },
    headers => { prefer => 'respond-async' }), 202, 'a booking that will die');

# --- what anybody may see ----------------------------------------------------

subtest 'health, readiness, metrics, breakers, problems' => sub {
    is_ok(get($guest, '/health'), 200, 'health');
    my $ready = is_ok(get($guest, '/ready'), 200, 'ready');
    ok($t->get('/metrics')->{content} =~ /^travel_query_total\{/m, 'metrics');
    $asked{'GET /metrics'}++;
    is($t->get('/breakers')->{status}, 200, 'breakers');
    $asked{'GET /breakers'}++;
    ok($t->get('/metrics', base => 'http://127.0.0.1:' . ($t->port + 4))
        ->{content} =~ /^travel_worker_/m, 'and the workers\' metrics');

    my $r = get($guest, '/api/v1/me', headers =>
        { accept => 'application/problem+json',
          'x-request-id' => 'shipped-1' });
    is($r->{status}, 401, 'nobody is me');
    is($r->{headers}{'content-type'}, 'application/problem+json', 'a problem');
    is($r->{headers}{'x-request-id'}, 'shipped-1', 'under my id');
    ok($r->{headers}{'www-authenticate'}, 'and how to ask');
    my ($page) = $r->{json}{type} =~ m{(/problems/\S+)$};
    $r = get($guest, $page // '/problems/',
        headers => { accept => 'text/html' });
    is($r->{status}, 200, 'its type is a page') or diag $page;
    $r = get($guest, '/nothing');
    is($r->{status}, 404, 'nothing');
    is($r->{json}{error}{code}, 'RESOURCE_NOT_FOUND', 'in the same shape');
    $r = get($guest, '/api/v1/places?q=Berlin',
        headers => { origin => 'http://localhost:3000' });
    is($r->{headers}{'access-control-allow-origin'}, 'http://localhost:3000',
        'CORS');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'headers');
};

subtest 'the gazetteer' => sub {
    my $c = caller_no(101);
    is(is_ok(get($c, '/api/v1/places?q=Berlin'), 200, 'places')
        ->{items}[0]{name}, 'Berlin', 'Berlin');
    ok(@{ is_ok(get($c, '/api/v1/places/near?lat=52.5&lon=13.4'), 200, 'near')
        ->{items} }, 'places near');
    ok(@{ is_ok(get($c, '/api/v1/attractions?country=DE&from=2026-01-01'), 200,
        'attractions')->{items} }, 'there are');
    ok(@{ is_ok(get($c, '/api/v1/personalities'), 200, 'voices')->{items} },
        'there are');
    is_ok(get($c, '/api/v1/routes/popular'), 200, 'routes');
};

# --- the main job, and what belongs to it ------------------------------------

my $ann = caller_no(1);
my ($journey, $booking);

subtest 'journeys and stories' => sub {
    my $new = post($ann, '/api/v1/journeys', { origin => 'Berlin',
        destination => 'Paris, FR', theme => 'history' });
    $journey = is_ok($new, 201, 'a journey')->{id};
    is_deeply(ids(get($ann, '/api/v1/journeys?limit=10')), [$journey],
        'listed');
    my $path = $new->{headers}{location};
    is(is_ok(get($ann, $path), 200, 'shown')->{theme}, 'history',
        'as it was told');
    my $at = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime time + 60);
    is(is_ok(get($ann, "$path?as_of=$at"), 200, 'as it is in a minute')->{id},
        $journey, 'the same');
    my $story = is_ok(post($ann, "$path/stories", { theme => 'food' }), 201,
        'a story');
    is_deeply(ids(get($ann, "$path/stories")), [$story->{id}], 'listed');
    is(is_ok(get($ann, "/api/v1/stories/$story->{id}"), 200, 'shown')->{status},
        'ready', 'ready');
    is(is_ok(get($ann, "/api/v1/stories/$story->{id}?as_of=$at"), 200, 'then')
        ->{id}, $story->{id}, 'the same');
    my $cat = caller_no(15);
    my $back = is_ok(post($cat, '/api/v1/journeys', { origin => 'Paris, FR',
        destination => 'Berlin', theme => 'food' }), 201, 'and back');
    is(is_ok(post($cat, "/api/v1/journeys/$back->{id}/complete", {}), 200,
        'completed')->{status}, 'completed', 'it is');
};

# --- the rest of the product -------------------------------------------------

subtest 'devices' => sub {
    my $c = caller_no(7);
    my $new = post($c, '/api/v1/devices', { service => 'fcm', token => 'x' });
    my $id = is_ok($new, 201, 'registered')->{id};
    is_deeply(ids(get($c, '/api/v1/devices')), [$id], 'listed');
    is_ok(get($c, "/api/v1/devices/$id"), 200, 'shown');
    is_ok(drop($c, "/api/v1/devices/$id", headers => { prefer => 'wait=10' }),
        200, 'taken away');
};

subtest 'life events, predictions, insights' => sub {
    my $c = caller_no(8);
    my $now = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime time - 60);
    is_ok(post($c, '/api/v1/life-events', [map { { type => 'energy',
        occurred_at => $now, data => { value => $_ } } } 1 .. 3]), 202,
        'three');
    patiently(sub { @{ ids(get($c, '/api/v1/life-events')) } == 3 },
        'all in the list');
    my $r = get($c, '/api/v1/predictions/energy');
    is($r->{status}, 404, 'nothing was learnt yet');
    my $i = is_ok(post($c, '/api/v1/insights', {}), 201, 'an insight');
    is_deeply(ids(get($c, '/api/v1/insights')), [$i->{id}], 'listed');
    is_ok(get($c, "/api/v1/insights/$i->{id}"), 200, 'shown');
};

subtest 'surveys and personas' => sub {
    my $c = caller_no(9);
    my $survey = is_ok(post($c, '/api/v1/surveys', {}), 201, 'a survey');
    my $url = $survey->{survey_url};
    is_ok(get($guest, $url), 200, 'anybody may read it');
    my @r = map { my $f = caller_no(110 + $_);
        $f->{ask}->('POST', "$url/responses", token => undef, json => {
            fingerprint => "friend-no-$_", answers => { humour => 'dry' } },
            headers => { prefer => 'wait=10' })->{status} } 1 .. 3;
    is_deeply(\@r, [201, 201, 201], 'three friends answer');
    is_ok(get($c, '/api/v1/personas/me'), 200, 'a persona, perhaps');
    is_ok(post($c, '/api/v1/personas/me', {}), 200, 'begun');
    my $p;
    patiently(sub { $p = get($c, '/api/v1/personas/me')->{json};
        $p->{status} eq 'ready' }, 'it is ready');
    like($p->{persona_prompt}, qr/dry/, 'and says what they said');
};

subtest 'trips and itineraries' => sub {
    my $c = caller_no(10);
    my $new = post($c, '/api/v1/trips', { destination => 'Kyoto',
        starts_on => '2030-04-01', ends_on => '2030-04-03' });
    my $id = is_ok($new, 201, 'a trip')->{id};
    is_deeply(ids(get($c, '/api/v1/trips')), [$id], 'listed');
    is_ok(get($c, "/api/v1/trips/$id"), 200, 'shown');
    my $i = is_ok(post($c, "/api/v1/trips/$id/itineraries", {}), 201,
        'an itinerary');
    is_deeply(ids(get($c, "/api/v1/trips/$id/itineraries")), [$i->{id}],
        'listed');
    is_ok(get($c, "/api/v1/itineraries/$i->{id}"), 200, 'shown');
};

subtest 'trends' => sub {
    my $c = caller_no(14, permissions => 'trends:write');
    is_ok(post($c, '/api/v1/trends', [{ location => { place => 'Kyoto' },
        trend_type => 'food', confidence => 0.9, source => 'shipped.t',
        metadata => {} }]), 202, 'reported');
    patiently(sub { @{ get($guest, '/api/v1/trends')->{json}{items} || [] } },
        'anybody may read them');
};

# --- bookings, once the partner is well --------------------------------------

subtest 'dead letters' => sub {
    my $list;
    my $watch = caller_no(92, permissions => 'dead:read');
    patiently(sub { $list = get($watch, '/api/v1/dead?queue=booking')->{json};
        @{ $list->{items} || [] } }, 'the booking has died') or return;
    unlink $t->dir . '/sandbox.mode';
    my $job = $list->{items}[0]{job};
    my $letter = is_ok(get($op, "/api/v1/dead/$job"), 200, 'shown');
    is($letter->{type}, 'booking.create', 'what it was');
    is($letter->{attempts}, 4, 'with its retries used up');
    is_ok(get($unlucky, '/api/v1/dead'), 403, 'operators only');
    is(is_ok(get($unlucky, "/api/v1/bookings/$doomed->{id}"), 200,
        'who asked for it')->{status}, 'failed', 'is told');
    for my $what (['POST', "/api/v1/dead/$job/requeue", {}],
        ['POST', '/api/v1/dead/requeue', { cause => 'NONE' }],
        ['POST', '/api/v1/dead/drop', { cause => 'NONE' }],
        ['DELETE', "/api/v1/dead/$job"])
    {
        my ($method, $path, $body) = @$what;
        my $r = $op->{ask}->($method, $path, headers => { prefer => 'wait=10' },
            $body ? (json => $body) : ());
        like($r->{status}, qr/^(?:20[012]|404)$/, "$method $path")
            or diag $r->{content};
    }
};

subtest 'flows' => sub {
    my $tidy = caller_no(93, permissions => 'flows:read flows:write');
    my $drop = { type => 'dead.drop', body => { cause => 'NONE' } };
    my $new = post($tidy, '/api/v1/flows', { name => 'tidy', nodes => {
        a => $drop, b => { type => 'flow.cancel', after => ['a'],
            body => { flow => $tidy->{id} } } } });
    is_ok($new, 201, 'begun');
    my $path = $new->{headers}{location};
    is($path, "/api/v1/flows/$new->{json}{id}", 'and this is where');
    my $flow;
    patiently(sub { $flow = get($tidy, $path)->{json};
        $flow->{state} =~ /^(?:succ|fail)/ }, 'it ends');
    is_deeply([map { "$_->{name} $_->{state}" } @{ $flow->{graph} }],
        ['a succeeded', 'b failed'], 'one after the other') or diag explain $flow;
    is_deeply($flow->{graph}[0]{result}, { dropped => 0 }, 'with results');
    is(@{ get($tidy, "$path/nodes?state=failed")->{json}{items} }, 1, 'one ended badly');
    is(get($tidy, '/api/v1/flows?name=tidy')->{json}{items}[0]{failed}, 1,
        'listed');
    is_ok(drop($tidy, $path), 409, 'it is over');
    is_ok(post($tidy, "$path/retry", {}), 200, 'but may be tried again');
    is_ok(post($tidy, '/api/v1/flows', { name => 'x', nodes => {
        a => { type => 'maintenance.noop' } } }), 422, 'not the house\'s jobs');
    is_ok(get($unlucky, '/api/v1/flows'), 403, 'operators only');
};

subtest 'bookings' => sub {
    my $bob = caller_no(2);
    my $new = post($bob, '/api/v1/bookings', { partner => 'opentable',
        venue_id => 'v-42', party_size => 2,
        booking_date => '2030-03-01T19:30:00Z' },
        headers => { 'idempotency-key' => 'shipped' });
    $booking = is_ok($new, 201, 'booked within the wait');
    my $path = $new->{headers}{location};
    my $again = post($bob, '/api/v1/bookings', { partner => 'opentable',
        venue_id => 'v-42', party_size => 2,
        booking_date => '2030-03-01T19:30:00Z' },
        headers => { 'idempotency-key' => 'shipped' });
    is($again->{json}{id}, $booking->{id}, 'under its key it is the same');
    is(is_ok(get($bob, $path), 200, 'shown')->{status}, 'confirmed',
        'confirmed');
    is_deeply(ids(get($bob, '/api/v1/bookings')), [$booking->{id}], 'listed');
    like(drop($bob, $path, headers => { prefer => 'wait=10' })->{status},
        qr/^20[02]$/, 'cancelled');
    my $at = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime time + 60);
    is(is_ok(get($bob, "$path?as_of=$at"), 200, 'in a minute')->{status},
        'cancelled', 'cancelled still');
    my $r = drop($bob, $path);
    is($r->{status}, 409, 'once');
    is($r->{json}{error}{code}, 'BOOKING_NOT_CANCELLABLE', 'and says why');
    is_ok(post($bob, '/api/v1/bookings', { partner => 'opentable' }), 422,
        'what the schema does not take');
};

subtest 'jobs' => sub {
    my $c = caller_no(3);
    my $new = is_ok(post($c, '/api/v1/journeys', { origin => 'Lyon, FR',
        destination => 'Rome, IT', theme => 'food' },
        headers => { prefer => 'respond-async' }), 202, 'promised');
    my $job = $new->{job};
    my $s = is_ok(get($c, $job->{status_url},
        headers => { prefer => 'wait=10' }), 200, 'its job');
    is($s->{status}, 'succeeded', 'is done') or diag explain $s;
    my $r = drop($c, $job->{status_url});
    is($r->{status}, 409, 'and is called off no more') or diag $r->{content};
    is_ok(get(caller_no(4), $job->{status_url}), 404,
        'nobody else\'s business');
    is(is_ok(get($c, '/api/v1/me'), 200, 'me')->{id}, $c->{id}, 'it is I');
    my @types = map { $_->{type} }
        @{ is_ok(get($c, '/api/v1/events'), 200, 'what I did')->{items} };
    ok((grep { $_ eq 'journey.started' } @types), 'is on record')
        or diag "@types";
    is(is_ok(get($c, "/api/v1/events/state?type=journey&id=$new->{id}"), 200,
        'as its events tell it')->{id}, $new->{id}, 'the same');
};

# --- live --------------------------------------------------------------------

# Travel::Socket dials from 127.0.0.1; handshakes are few.
subtest 'live: a socket, a stream, a poll, 10 Hz' => sub {
    my $path = "/api/v1/journeys/$journey";
    my $s = Travel::Socket->open($t, "$path/live", token => $ann->{token});
    $asked{"GET $path/live"}++;
    is($s->status, 101, 'one\'s own journey') or return;
    $s->json({ type => 'subscribe', topic => "journey:$journey" });
    is($s->next_json->{type}, 'subscribed', 'is watched');

    my $bookings = caller_no(5);
    my $topic = "user:$bookings->{id}:events";
    my $e = Travel::Events->open($t, "/api/v1/live?topic=$topic",
        token => $bookings->{token});
    $asked{'GET /api/v1/live'}++;
    is($e->status, 200, 'an event stream');
    my $started = time;
    my @r = map {
        sleep 0.1 * $_ - (time - $started) if 0.1 * $_ > time - $started;
        post($ann, "$path/location", { position => { lat => 50 + $_ / 100,
            lon => 8 }, speed_kmh => 80 })->{status};
    } 0 .. 24;
    is_deeply([grep { $_ != 204 } @r], [], '25 positions, ten a second');
    my @lat = map { my $m = $s->next_json; $m->{message}{data}{position}{lat} }
        0 .. 24;
    is_deeply(\@lat, [map { 50 + $_ / 100 } 0 .. 24], 'all of them, in order');
    soon(sub { 25 == $t->sql('SELECT count(*) FROM travel.journey_points '
        . "WHERE journey_id = '$journey'") }, 'all in the database');

    my $b = post($bookings, '/api/v1/bookings', { partner => 'klook',
        venue_id => 'v-7', party_size => 1,
        booking_date => '2030-03-01T19:30:00Z' });
    is($b->{status}, 201, 'a booking');
    my @seen;
    while (my $m = $e->next(5)) {
        push @seen, $m->{data}{message}{type} // next;
        last if $seen[-1] eq 'booking.confirmed';
    }
    is_deeply([grep { /^booking\.c/ } @seen],
        [qw(booking.created booking.confirmed)], 'told, in order');

    my $poll = is_ok(get($bookings, "/api/v1/live?topic=$topic"), 200,
        'a poll');
    ok($poll->{cursor}, 'has a cursor');
};

# --- GraphQL -----------------------------------------------------------------

subtest 'GraphQL' => sub {
    my $c = caller_no(6);
    my $d = graphql($c, '{ places(query: "Lyon") { name position { lat } }'
        . ' me { id } }');
    is($d->{places}[0]{name}, 'Lyon', 'a place');
    is($d->{me}{id}, $c->{id}, 'and me');
    $d = graphql($c, 'mutation($c: JourneyContextInput!) {'
        . ' startJourney(context: $c) { success'
        . ' journey { id distanceMiles } } }',
        c => { origin => 'Boston, US', destination => 'Hartford, US',
            theme => 'food' })->{startJourney};
    my $id = $d->{journey}{id};
    ok($d->{success} && $id, 'a journey') or return;
    is_deeply([map { $_->{id} } @{ graphql($c, '{ myJourneys { id } }')
        ->{myJourneys} }], [$id], 'is read at once');
    $d = graphql($c, 'mutation($i: VoiceInteractionInput!) {'
        . ' voiceInteraction(input: $i) { success response {'
        . ' primaryResponse { text } } } }',
        i => { text => 'What is that tower?', journeyId => $id });
    ok($d->{voiceInteraction}{response}{primaryResponse}{text}, 'an answer');
    $d = graphql($c, 'mutation($i: BookingInput!) { createBooking(input: $i) {'
        . ' success booking { id status } job { id } } }',
        i => { partner => 'opentable', venueId => 'v-1', partySize => 2,
            bookingDate => '2030-03-01T19:30:00Z', journeyId => $id });
    my $b = $d->{createBooking}{booking};
    is($b->{status}, 'confirmed', 'a booking') or diag explain $d;
    $d = graphql($c, 'mutation($b: ID!) { cancelBooking(bookingId: $b) {'
        . ' success booking { status } } }', b => $b->{id});
    ok($d->{cancelBooking}{success}, 'cancelled');

    my $s = Travel::GraphqlSocket->open($t, path => '/api/graphql');
    ok($s->init({ authToken => $c->{token} }), 'a socket at the same path')
        or return;
    $asked{'GET /api/graphql/live'}++;
    $s->ask('1', "subscription { journeyUpdates(journeyId: \"$id\") {"
        . ' type position { lat } } }');
    # Not before it is watched; a subscription has no word for that.
    my $m;
    soon(sub {
        post($c, "/api/v1/journeys/$id/location",
            { position => { lat => 41.5, lon => -72 } });
        $m = $s->next_json(0.3);
    }, 'an update') or return;
    is($m->{payload}{data}{journeyUpdates}{position}{lat}, 41.5, 'where it is')
        or diag explain $m;

    my $r = get($guest, '/api/graphql/schema.graphql');
    like($r->{content}, qr/^type Query/m, 'the schema');
    $r = get($guest, '/api/graphql', headers => { accept => 'text/html' });
    like($r->{content}, qr/graphiql/i, 'GraphiQL for a browser');
    my ($script) = $r->{content} =~ m{"(/graphiql/[\w.]+\.js)"};
    is(get($guest, $script // '/graphiql/')->{status}, 200, 'with its files');
};

subtest 'accounts' => sub {
    my $c = caller_no(120);
    my ($mail, $password) = ('ship@example.org', 'as it is shipped');
    my $auth = sub {
        my ($method, $what, $token, $body, $status) = @_;
        return is_ok($c->{ask}->($method, "/api/v1/auth/$what", token => $token,
            $body ? (json => $body) : ()), $status, "$method $what");
    };
    my $mailed = sub {
        my ($n) = @_;
        my @m = @{ soon(sub { my @m = grep { $_->{to}[0] eq $mail } $t->mails;
            @m == $n && \@m }, 'a mail') };
        return ($m[-1]{text} =~ /#(\S{43})$/m)[0];
    };
    my $login = sub { $auth->('POST', 'login', undef, { email => $mail,
        password => $password }, 201) };

    $auth->('POST', 'register', undef, { email => $mail,
        password => $password }, 202);
    my $s = $auth->('POST', 'verify', undef, { token => $mailed->(1),
        password => $password }, 201);
    my $l = $login->();
    $l = $auth->('POST', 'refresh', undef, { refresh_token =>
        $l->{refresh_token} }, 201);
    is_deeply(ids({ json => $auth->('GET', 'sessions', $l->{access_token},
        undef, 200) }), [$l->{id}, $s->{id}], 'two sessions');
    $auth->('DELETE', "sessions/$s->{id}", $l->{access_token}, undef, 200);
    $auth->('POST', 'logout', $l->{access_token}, {}, 200);
    $l = $login->();
    $auth->('DELETE', 'sessions', $l->{access_token}, undef, 200);
    $auth->('POST', 'reset/request', undef, { email => $mail }, 202);
    $auth->('POST', 'reset', undef, { token => $mailed->(2),
        password => $password = 'another one' }, 201);
    $l = $login->();
    $auth->('POST', 'totp', $l->{access_token}, { password => $password }, 201);
    $auth->('POST', 'totp/confirm', $l->{access_token}, { code => 'no code' },
        401);
    $auth->('POST', 'totp/remove', $l->{access_token}, { password => $password,
        code => 'no code' }, 200);
};

# --- operators ---------------------------------------------------------------

subtest 'an API key' => sub {
    my $out = ctl('key', 'create', '--owner', $t->user(11), '--permissions',
        'journeys:read');
    my ($key) = $out =~ /(trv_\S+|\S{30,})/ or return fail("no key: $out");
    my $c = caller_no(11);
    my $r = get($c, '/api/v1/journeys', token => undef,
        headers => { 'x-api-key' => $key });
    is($r->{status}, 200, 'lets in') or diag $r->{content};
    $r = $c->{ask}->('POST', '/api/v1/journeys', token => undef,
        json => { origin => 'Rome', destination => 'Paris', theme => 'food' },
        headers => { 'x-api-key' => $key });
    is($r->{status}, 403, 'for what it may');
};

subtest 'explain, and a purge' => sub {
    my $c = caller_no(93, permissions => 'debug:read journeys:read');
    my $r = get($c, '/api/v1/journeys');
    $r = get($c, '/api/v1/journeys');
    like($r->{headers}{'travel-explain'} // '', qr/cache="HIT"/, 'explained');
    ok($r->{headers}{'server-timing'}, 'timed');
    is(get($ann, '/api/v1/journeys')->{headers}{'travel-explain'}, undef,
        'to nobody else');
    # From this machine, as travelctl does.
    like(ctl('cache', 'purge', '--tag', "journeys:$c->{id}", '--url',
        $t->url . '/_travel/purge'), qr/\d/, 'purged');
    $asked{'GET /_travel/purge'}++;
    $r = get($c, '/api/v1/journeys');
    like($r->{headers}{'travel-explain'}, qr/cache="(?!HIT)/, 'not known now');
};

subtest 'the shipped limits' => sub {
    my $c = caller_no(12);
    my $r = post($c, '/api/v1/journeys', { origin => 'Lyon, FR',
        destination => 'Rome, IT', theme => 'food' });
    my @no = grep { $_->{status} == 429 } map { get($c, '/api/v1/me') } 1 .. 11;
    is(scalar @no, 2, 'ten in ten seconds');
    cmp_ok($no[0]{headers}{'retry-after'} // 0, '>=', 1, 'and says how long');
    is($no[0]{json}{error}{code}, 'RATE_LIMIT_EXCEEDED', 'in our shape');
    # Whether he may is asked by a GET of the journey, which is not counted.
    is(post($c, "$r->{headers}{location}/location", { position =>
        { lat => 45, lon => 5 } })->{status}, 204,
        'where he is has a limit of its own');
};

subtest 'operators' => sub {
    my $api = '/api/v1/operator';
    is($t->get('/operator/')->{status}, 200, 'their page');
    $asked{'GET /operator/'}++;
    is_ok(get($op, "$api/pool"), 200, 'what runs');
    is_ok(get($op, "$api/$_"), 200, $_) for qw(paused schedules);
    my $saga = is_ok(get($op, "$api/sagas?state=done&limit=1"), 200, 'sagas')
        ->{items}[0]{id};
    is_ok(get($op, "$api/sagas/$saga"), 200, 'one of them');
    is_ok(post($op, "$api/sagas/$saga", { act => 'close' }), 409, 'it is over');
    is_ok(post($op, "$api/jobs", { state => 'running' }), 201, 'jobs');
    is_ok(post($op, "$api/jobs/cancel", { type => 'no.such' }), 201, 'none');
    is_ok(post($op, "$api/jobs/now", { job => 'x' }), 404, 'no such job');
    is_ok(post($op, "$api/schedules/act", { name => 'expiry', act => 'run' }),
        201, 'a schedule, now');
    is_ok(post($op, "$api/$_", { name => 'analytics' }), 201, $_)
        for qw(pause resume);
};

subtest 'what travelctl shows' => sub {
    like(ctl('queue', 'stat'), qr/booking/, 'queues');
    like(ctl('schedule', 'list'), qr/partitions/, 'schedules');
    like(ctl('events', 'list', 'booking', $booking->{id}),
        qr/booking\.confirmed/, 'events');
    like(ctl('projection', 'list'), qr/\w/, 'projections');
    ctl('catalog', 'check');
};

# --- was everything asked? ---------------------------------------------------

subtest 'every location of conf/' => sub {
    my $root = Travel::Test::root();
    my ($all, @not) = 0;
    for my $file ("$root/conf/nginx.conf",
        glob "$root/conf/travel/routes/*.conf")
    {
        my $text = slurp($file) =~ s/^\s*#.*$//mgr;
        while ($text =~ /location \s+ (=|~)? \s* ("[^"]+"|\S+) \s*
                         \{ ((?:[^{}]|\{[^{}]*\})*) \}/gx) {
            my ($how, $where, $body) = ($1 // '', $2, $3);
            $where =~ tr/"//d;
            next if $body =~ /\binternal;/ || $body =~ /return 404/;
            $where =~ s/\(\?<\w+>/(?:/g;
            my $re = $how eq '~' ? qr/$where/ : $how eq '=' ? qr/^\Q$where\E$/
                : qr/^\Q$where\E/;
            my @methods = $body =~ /^\s*travel_(?:query|command)\s+([A-Z]+)/mg;
            push @methods, 'POST' if $body =~ /travel_publish|travel_graphql\s/;
            push @methods, qw(GET DELETE) if $body =~ /travel_job_status/;
            push @methods, 'GET' unless @methods;
            for my $method (@methods) {
                $all++;
                push @not, "$method $where" unless grep { my ($m, $path) =
                    split / /; $m eq $method && $path =~ $re } keys %asked;
            }
        }
    }
    cmp_ok($all, '>', 50, 'there are some');
    is_deeply(\@not, [], 'and each was asked') or diag explain \@not;
};

$t->finish;
done_testing;
