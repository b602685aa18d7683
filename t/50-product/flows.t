# Personas and itineraries: flows of several steps by HTTP, and what is left when
# a step is refused or its answer gets lost.  And what comes by the clock: the
# voices of a season, models that are trained anew.  And what is seen elsewhere:
# trends, from the report to the topic.  And what is written ahead.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox workers nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit_workers => sub {
        s/^# (topics = "on")$/$1/m or die;
        s/^# images = "images"/images = "images"/m or die;
        s/^# (partner images .*)$/$1/m or die;
        s/\z/\ntype "persona.generate" { retries = 1 base = 100ms cap = 200ms }\n/;
    });

# What a user's own topics say of all that.
my $live = Travel::Socket->open($t, '/api/v1/live', token => $t->user_token(0));
for (qw(insights predictions)) {
    $live->json({ type => 'subscribe', topic => 'user:' . $t->user(0) . ":$_" });
    is($live->next_json->{type}, 'subscribed', "watching $_");
}

# --- a persona ---------------------------------------------------------------

my @me = (token => $t->user_token(0));
my @wait = (headers => { prefer => 'wait=10' });
my $none = json($t->get('/api/v1/personas/me', @me)->{content});
is($none->{status}, 'pending', 'who has never asked has one that waits');
is($none->{persona_id}, undef, 'and no id');

# A survey of somebody's, answered by friends.
sub survey {
    my ($who, $n) = @_;
    my $r = $t->post('/api/v1/surveys', {}, @$who, @wait);
    is($r->{status}, 201, 'a survey') or diag $r->{content};
    my $url = $r->{json}{survey_url};
    for my $i (1 .. $n) {
        $r = answer($url, "friend-no-$i", pace => $i == 1 ? 'calm' : 'Restless ');
        is($r->{status}, 201, "friend $i answers") or diag $r->{content};
    }
    return $url;
}

sub answer {
    my ($url, $friend, %answers) = @_;
    return $t->post("$url/responses", { fingerprint => $friend,
        answers => { humour => 'dry', %answers } }, @wait);
}

sub persona {
    my ($who, $what) = @_;
    my $p;
    wait_for(sub {
        $p = json($t->get('/api/v1/personas/me', @$who)->{content});
        $p->{status} =~ /^(ready|failed)$/;
    }, 20, $what);
    return $p;
}

my $url = survey(\@me, 2);
my $r = $t->get($url);
is($r->{status}, 200, 'anybody may read it');
is(scalar @{ json($r->{content})->{questions} }, 5, 'what it asks');
unlike($r->{content}, qr/user/, 'not whose it is');

$r = answer($url, 'friend-no-1', pace => 'calm');
is($r->{status}, 409, 'nobody answers twice') or diag $r->{content};
is($t->post('/api/v1/surveys/01890000-0000-7000-8000-00000000dead/responses',
    { fingerprint => 'friend-no-9', answers => { a => 'b' } })->{status}, 404,
    'no such survey');
is($t->post("$url/responses", { fingerprint => 'friend-no-9', answers => {} })
    ->{status}, 422, 'no answer');

$r = $t->post('/api/v1/personas/me', {}, @me, @wait);
is($r->{status}, 200, 'two answers') or diag $r->{content};
is($r->{json}{status}, 'pending', 'are not enough');
my $id = $r->{json}{persona_id};

answer($url, 'friend-no-3', pace => 'restless');
$r = $t->post('/api/v1/personas/me', {}, @me, @wait);
is($r->{json}{status}, 'synthesizing', 'three are') or diag $r->{content};
is($r->{json}{persona_id}, $id, 'the same persona');

my $p = persona(\@me, 'the persona');
is($p->{status}, 'ready', 'it is ready') or diag explain $p;
like($p->{persona_prompt}, qr/restless/, 'it says what most said');
{
    my $m = $live->next_json(10);
    is($m->{topic}, 'user:' . $t->user(0) . ':insights', 'it is an insight');
    is("$m->{message}{type} $m->{message}{aggregate}{id}",
        "persona.ready $id", '... which');
}
unlike($p->{persona_prompt}, qr/calm/, 'not what one said');
like($p->{illustration_url}, qr{^https://images\.example\.com/img_\w+\.png$},
    'and has a portrait');

$r = $t->post('/api/v1/personas/me', {}, @me, @wait);
is($r->{json}{status}, 'ready', 'asked again it is there');
is_deeply([map { $_->[0] } $t->sql("SELECT type FROM events.event
    WHERE stream_type = 'persona' ORDER BY position")],
    [qw(persona.created persona.synthesizing persona.synthesized persona.ready)],
    'each state is an event');
is_deeply([$t->sql("SELECT name, state FROM jobs.saga_run")],
    [['persona', 'done']], 'the saga is on record');

# --- one whose portrait nobody makes -----------------------------------------

my @you = (token => $t->user_token(1));
survey(\@you, 3);
$t->write('sandbox.mode', "refuse\@image\n");
$t->post('/api/v1/personas/me', {}, @you, @wait);
$p = persona(\@you, 'the refused one');
is($p->{status}, 'failed', 'refused') or diag explain $p;
is($p->{error}{code}, 'VENUE_UNAVAILABLE', 'and says why');

# The portrait is made and the answer lost: it is asked for under its first key,
# and deleted.
$t->write('sandbox.mode', "lose\@image\n");
$t->post('/api/v1/personas/me', {}, @you, @wait);
$p = persona(\@you, 'the lost one');
is($p->{status}, 'failed', 'no answer') or diag explain $p;
unlink $t->dir . '/sandbox.mode';
wait_for(sub {
    ($t->sql("SELECT count(*) FROM jobs.saga_run WHERE state = 'undone'"))[0][0]
        == 2
}, 20, 'both sagas undone');
my @calls = grep { $_->{uri} =~ m{^/v1/images} } $t->partner_calls;
is(scalar(grep { $_->{method} eq 'DELETE' && $_->{status} == 200 } @calls), 1,
    'the portrait nobody wants is deleted');

$t->post('/api/v1/personas/me', {}, @you, @wait);
$p = persona(\@you, 'the third one');
is($p->{status}, 'ready', 'a failed one may be started again')
    or diag explain $p;

# --- an itinerary ------------------------------------------------------------

my $in = $t->post('/api/v1/trips', { destination => 'Kyoto', starts_on => '2027-04-01',
    ends_on => '2027-04-03', preferences => { pace => 'slow', theme => 'food' } },
    @me, @wait);
is($in->{status}, 201, 'a trip') or diag $in->{content};
is($in->{json}{destination}{name}, 'Kyoto', 'to a real place');
my $trip = "/api/v1/trips/$in->{json}{id}";

$r = $t->post("$trip/itineraries", {}, @me, @wait);
is($r->{status}, 201, 'its itinerary') or diag $r->{content};
is($r->{json}{version}, 1, 'the first version');
is(scalar @{ $r->{json}{items} }, 3, 'a day each');
is(scalar @{ $_->{stops} }, 1, "$_->{date} is slow") for @{ $r->{json}{items} };
like($r->{json}{content}, qr/Day 3, 2027-04-03: /, 'told as a text');
is($t->get($r->{headers}{location}, @me)->{status}, 200, 'Location');
is($t->get($r->{headers}{location}, @you)->{status}, 404, 'for nobody else');

$r = $t->post("$trip/itineraries", {}, @me, @wait);
is($r->{json}{version}, 2, 'the next version');
is(json($t->get($trip, @me)->{content})->{itinerary}{version}, 2,
    'a trip shows its newest');
is(scalar @{ json($t->get("$trip/itineraries", @me)->{content})->{items} }, 2,
    'and has both');

is($t->post("$trip/itineraries", {}, @you)->{status}, 404, 'not one\'s own');
$r = $t->post('/api/v1/trips', { destination => 'Kyoto',
    starts_on => '2027-04-03', ends_on => '2027-04-01' }, @me);
is($r->{status}, 422, 'backwards in time');
is($r->{json}{error}{details}[0]{pointer}, '/ends_on', 'says where');
is_deeply([map { $_->[0] } $t->sql("SELECT type FROM events.event
    WHERE stream_type = 'trip' ORDER BY version")],
    [qw(trip_created itinerary_requested itinerary_generated
        itinerary_requested itinerary_generated)], 'in the trip\'s stream');

# --- a booking of what it names ------------------------------------------------

my $plan = json($t->get($trip, @me)->{content})->{itinerary}{items};
my $stop = $plan->[1]{stops}[0]{item_id};
is("$plan->[1]{item_id} $stop", "day-2 place-$plan->[1]{stops}[0]{place_id}",
    'what can be booked has a name');
my %table = (partner => 'tabelog', venue_id => 'v-1', party_size => 2,
    booking_date => '2027-04-02T19:00:00+09:00');
my %mine = (%table, trip_id => $in->{json}{id});
$r = $t->post('/api/v1/bookings', { %mine, item_id => $stop }, @me, @wait);
is($r->{status}, 201, 'booked') or diag $r->{content};
is("$r->{json}{status} $r->{json}{item_id}", "confirmed $stop", 'and of what');
my $table = $r->{json}{id};
is($t->post('/api/v1/bookings', { %mine, item_id => 'day-3' }, @me, @wait)
    ->{status}, 201, 'a day, too');
$r = $t->get("/api/v1/bookings?trip_id=$in->{json}{id}", @me);
is_deeply([map { $_->{item_id} } @{ $r->{json}{items} }], ['day-3', $stop],
    'the bookings of a trip');
is_deeply(json($t->get("/api/v1/bookings/$table?as_of=2040-01-01T00:00:00Z",
    @me)->{content}), json($t->get("/api/v1/bookings/$table", @me)->{content}),
    'as its events tell it');
for ([{ %mine, item_id => 'day-4' }, \@me, 422, '/item_id', 'no such item'],
    [\%mine, \@me, 422, '/item_id', 'of a trip, but of nothing in it'],
    [{ %table, item_id => 'day-1' }, \@me, 422, '/trip_id', 'of no trip'],
    [{ %mine, item_id => 'day-1' }, \@you, 404, undef, 'a stranger\'s trip'])
{
    my ($body, $who, $status, $pointer, $what) = @$_;
    my $r = $t->post('/api/v1/bookings', $body, @$who, @wait);
    is($r->{status}, $status, $what) or diag $r->{content};
    is($r->{json}{error}{details}[0]{pointer}, $pointer, "... where: $what")
        if defined $pointer;
}

# Entries of a topic: what follows it sees.
sub told {
    my ($topic, $type) = @_;
    my $queue = $t->redis('queue');
    return map { my %e = @{ $_->[1] };
            $e{type} eq $type ? json($e{event}) : () }
        map { @{ $queue->call('XRANGE', $_, '-', '+') } }
        @{ $queue->call('KEYS', "travel:topic:$topic:*") };
}

my @asked;
wait_for(sub { @asked = told('booking-events', 'booking_requested'); @asked > 1 },
    30, 'booking_requested');
is_deeply([sort map { $_->{data}{item_id} } @asked], [sort $stop, 'day-3'],
    'each is asked for in its topic');
my ($asked) = grep { $_->{data}{item_id} eq $stop } @asked;
is_deeply($asked->{data}, { trip_id => $in->{json}{id}, item_id => $stop,
    provider => 'tabelog', details => { booking_id => $table, venue_id => 'v-1',
        booking_date => '2027-04-02T19:00:00+09:00', party_size => 2 } },
    'trip, item, provider, details');
is("$asked->{aggregate} $asked->{aggregate_id}", "trip $in->{json}{id}",
    'in the trip\'s stream');
for ([trip_created => 'trip-events'], [itinerary_generated => 'trip-events'],
    ['booking.created' => 'booking-events'],
    ['persona.ready' => 'ai-agent-events'])
{
    my ($type, $topic) = @$_;
    ok(scalar told($topic, $type), "$type is in $topic");
}

# --- by the clock ------------------------------------------------------------

sub run {
    my ($schedule) = @_;
    my ($rc, $job) = $t->ctl('schedule', 'run', $schedule, '--config',
        $t->dir . '/workers.conf');
    chomp $job;
    is($rc, 0, "schedule $schedule") or diag $job;
    my ($partition, $uuid) = $job =~ /^(\w+\.\d+)\.(\S+)$/;
    my $result;
    wait_for(sub {
        $result = $t->redis('queue')->call('HGET',
            "travel:{$partition}:job:$uuid", 'result');
    }, 20, "$schedule is over");
    return json($result // '{}');
}

my (undef, $list) = $t->ctl('schedule', 'list', '--config',
    $t->dir . '/workers.conf');
my %shipped = $list =~ /^(\S+) +(\@?\S+(?: [\d*\/]+ [\d*]+ [\d*]+ [\d*]+)?) +UTC +/mg;
is_deeply(\%shipped, { partitions => '@daily', expiry => '15 3 * * *',
    snapshots => '45 3 * * *', archival => '30 4 1 * *',
    routes => '*/5 * * * *', popular => '20 * * * *',
    pending => '*/10 * * * *', flows => '*/2 * * * *', own => '* * * * *', reminders => '*/10 * * * *',
    seasons => '5 0 * * *', energy => '0 2 * * *', mood => '0 2 * * *' },
    'all that the product does by the clock') or diag $list;
like(slurp('conf/workers.conf'), qr/^# schedule "etl-$_" +\{ cron = "\@hourly"/m,
    "and, with a warehouse, $_ each hour") for qw(journeys bookings);

my $month = 1 + (gmtime)[4];
my %season = (gardener => [3 .. 5], lifeguard => [6 .. 8], ghost => [10],
    harvester => [9 .. 11], santa => [12]);
my @want = sort qw(comedian guide historian),
    grep { my $v = $_; grep { $_ == $month } @{ $season{$v} } } keys %season;
sub voices {
    return [sort map { $_->{code} }
        @{ json($t->get('/api/v1/personalities')->{content})->{items} }];
}
is_deeply(voices(), [qw(comedian guide historian)], 'before the first turn');
is(run('seasons')->{changed}, @want - 3, 'the season turns');
wait_for(sub { @{ voices() } == @want }, 5, 'its voices');
is_deeply(voices(), \@want, 'are there');
is(run('seasons')->{changed}, 0, 'turned again it changes nothing');

is($t->get('/api/v1/predictions/energy', @me)->{status}, 404,
    'nothing was learnt');
is(run('energy')->{trained}, JSON::PP::false, 'of nothing');

# Energy that follows from how long one slept: 2 + 0.6 * hours.
my $who = $t->user(0);
$t->sql("INSERT INTO travel.life_events (id, user_id, type, occurred_at, data)
    SELECT gen_random_uuid(), '$who', e.type, e.at, e.data
      FROM generate_series(1, 80) AS d,
           LATERAL (SELECT now() - d * interval '1 day' AS day,
                           5 + (d * 7919) % 40 / 10.0 AS hours) AS s,
           LATERAL (VALUES
               ('sleep', s.day, jsonb_build_object('hours', s.hours)),
               ('energy', s.day + interval '4 hours',
                jsonb_build_object('level', 2 + 0.6 * (SELECT avg(5 + (p * 7919)
                    % 40 / 10.0) FROM generate_series(d, d + 6) AS p))))
           AS e (type, at, data)");
my $model = run('energy');
is($model->{live}, JSON::PP::true, 'a model is live') or diag explain $model;
is($model->{version}, 1, 'the first');
cmp_ok($model->{mae}, '<', $model->{baseline_mae} / 2, 'it errs less than the mean');
wait_for(sub { $t->get('/api/v1/predictions/energy', @me)->{status} == 200 }, 5,
    'a prediction');
my $said = json($t->get('/api/v1/predictions/energy', @me)->{content});
cmp_ok($said->{prediction}, '>', 2 + 0.6 * 5, 'within what there was');
cmp_ok($said->{prediction}, '<', 2 + 0.6 * 9, 'and not above it');
is($said->{model_version}, 1, 'by that model');
{
    my $m = $live->next_json(10);
    is($m->{topic}, "user:$who:predictions", 'who told of something is told');
    is("$m->{message}{type} $m->{message}{data}{kind}",
        'prediction.made energy', '... what it says of him');
    is(scalar $t->sql("SELECT prediction FROM ml.prediction
        WHERE user_id = '$who'"), $m->{message}{data}{prediction},
        '... as it is on record');
}
ok(exists $said->{features}{avg_sleep_last_7d}, 'from these features');
{
    my $r = $t->post('/api/v1/insights', { days => 30 }, @me,
        headers => { prefer => 'wait=20' });
    is($r->{status}, 201, 'something is found in the last days')
        or diag $r->{content};
    is($r->{json}{based_on}, 59, '... by all that was told');
    like($r->{json}{content}, qr/sleep, 29 times: [5-9]\.\d hours on average/,
        '... in figures');
    my $m = $live->next_json(10);
    is("$m->{topic} $m->{message}{type} $m->{message}{data}{id}",
        "user:$who:insights insight.generated $r->{json}{id}", '... and told');
    is($t->get("/api/v1/insights/$r->{json}{id}", @me)->{json}{title},
        'Your last 30 days', '... by its own address');
    is_deeply([map { $_->{id} } @{ $t->get('/api/v1/insights', @me)
        ->{json}{items} }], [$r->{json}{id}], '... and in the list');
    $r = $t->post('/api/v1/insights', {}, token => $t->user_token(3),
        headers => { prefer => 'wait=20' });
    is($r->{json}{title}, 'Nothing to go by yet', 'nothing in nothing');
}
is($t->get('/api/v1/predictions/luck', @me)->{status}, 404, 'no such kind');
is(run('energy')->{version}, 2, 'trained again it is the next version');
is(scalar $t->sql("SELECT count(*) FROM ml.model WHERE live"), 1, 'one is live');

# --- stories of the ways most travelled, before they are asked for ------------

my %way = (origin => 'Berlin', destination => 'Hamburg',
    theme => 'adventure');
my @journeys = map { my $u = $_; my $r = $t->post("/api/v1/journeys", \%way,
    token => $t->user_token($u), @wait);
    is($r->{status}, 201, "a journey") or diag $r->{content};
    $r->{json}{id} } 6, 7;
wait_for(sub { run('routes');
    ($t->sql('SELECT max(journeys) FROM travel.route_counts') // 0) == 2 }, 20,
    'the ways to be counted');
is(run('popular')->{written}, 8, 'a popular way has its stories');
is(run('popular')->{written}, 0, 'as long as they are young');
sub story {
    my ($u, $journey, %o) = @_;
    my $r = $t->post("/api/v1/journeys/$journey/stories", \%o,
        token => $t->user_token($u), @wait);
    is($r->{json}{status}, 'ready', 'a story') or diag $r->{content};
    return $r->{json};
}
my ($one, $two) = (story(6, $journeys[0]), story(7, $journeys[1]));
is(scalar $t->sql("SELECT count(*) FROM travel.stories AS s JOIN
    travel.route_stories AS r USING (title, content, places, theme)
    WHERE s.id IN ('$one->{id}', '$two->{id}')"), 2,
    'who asks gets what is written');
is_deeply($two->{places}, $one->{places}, 'and so does the next');
cmp_ok(scalar @{ $one->{places} }, '>', 2, 'with the places on the way');
my $other = story(6, $journeys[0], theme => 'history');
isnt($other->{content}, $one->{content}, 'of its theme');
$t->sql("UPDATE travel.route_stories SET content = 'old', made_at = now()
    - interval '25 hours' WHERE theme = 'adventure'");
isnt(story(7, $journeys[1])->{content}, 'old', 'an old one is not taken');
is(run('popular')->{written}, 1, 'but written anew');

# --- trends: validate, enrich, transform, store, publish ----------------------

my @agent = (token => $t->token(sub => $t->user(5),
    permissions => 'trends:write'));
sub trend {
    my ($place, %o) = @_;
    return { location => $place, trend_type => 'street_food', confidence => 0.8,
        source => 'Crawler-A', metadata => { title => 'Night market' }, %o };
}
my $berlin = { place => 'Berlin' };
is($t->post('/api/v1/trends', trend($berlin), @me)->{status}, 403,
    'trends are for agents to report');
is($t->post('/api/v1/trends', trend({ lat => 1 }), @agent)->{status}, 422,
    'a location is whole');
my $run = $t->post('/api/v1/trends', [
    trend($berlin),
    trend({ lat => 53.55, lon => 10.0 }, metadata => { tags => ['harbour'] }),
    trend($berlin, source => 'crawler-a'),
    trend($berlin, confidence => 0.1, trend_type => 'a'),
    trend({ place => 'Nowhere At All' }),
    trend($berlin, trend_type => 'b', observed_at => '2020-01-01T00:00:00Z'),
    trend($berlin, trend_type => 'c', observed_at => '2099-01-01T00:00:00Z'),
    trend($berlin, metadata => { title => 'Roof gardens open again' }),
    { %{ trend($berlin) }, confidence => 2 },
    trend($berlin, observed_at => '0000-01-01T00:00:00Z')], @agent, @wait);
is($run->{status}, 207, 'a batch') or diag $run->{content};
my @items = @{ $run->{json}{items} };
is($items[8]{status}, 422, 'what is no trend is refused at once');
my ($taken) = @{ $run->{json}{jobs} };
wait_for(sub { json($t->get($taken->{status_url}, @agent)->{content})->{status}
    eq 'succeeded' }, 30, 'the pipeline');
$taken = json($t->get($taken->{status_url}, @agent)->{content})->{result};
is($taken->{recorded}, 3, 'what is good enough is stored');
is_deeply({ map { $_->{id} => $_->{code} } @{ $taken->{refused} } },
    { map { $items[$_->[0]]{id} => $_->[1] } [2, 'DUPLICATE'],
        [3, 'LOW_CONFIDENCE'], [4, 'UNKNOWN_PLACE'], [5, 'STALE'],
        [6, 'IN_THE_FUTURE'], [9, 'UNREADABLE'] },
    'what is not is named, with the reason');
my ($seen) = grep { $_->{id} eq $items[1]{id} }
    @{ json($t->get('/api/v1/trends')->{content})->{items} };
is($seen->{location}{name}, 'Hamburg', 'enriched: the place of a point');
is($seen->{source}, 'crawler-a', 'normalized');
is($seen->{metadata}{journeys_there}, 2, 'and what we know of it is added');
is_deeply([map { $_->{id} } @{ json($t->get(
    '/api/v1/trends?place=Hamburg&type=street_food')->{content})->{items} }],
    [$items[1]{id}], 'asked by place and type');
is(scalar $t->sql("SELECT count(*) FROM travel.trends WHERE raw->>'source' =
    'Crawler-A' AND abs(travel.vector_product(vector, vector) - 1) < 0.001"), 3,
    'with what came, and as a vector');
cmp_ok($t->sql("SELECT travel.vector_product(travel.text_vector('night market'),
    travel.text_vector('Night markets'))"), '>', 0.8, 'like words are near');
cmp_ok($t->sql("SELECT travel.vector_product(travel.text_vector('night market'),
    travel.text_vector('roof gardens'))"), '<', 0.4, 'others are not');
my %told;
wait_for(sub {
    %told = map { ($_->{aggregate_id} => $_) }
        told('analytics-events', 'trend_detected');
    keys %told == 3;
}, 30, 'published');
is_deeply([sort keys %told], [sort map { $items[$_]{id} } 0, 1, 7],
    'published, each once');
is($told{$items[1]{id}}{data}{location}{name}, 'Hamburg', 'as it is stored');
is($told{$items[1]{id}}{data}{trend_type}, 'street_food', 'by its schema');
my $again = $t->post('/api/v1/trends', trend($berlin), @agent, @wait);
is($again->{status}, 422, 'a day long the same is no news');
like($again->{content}, qr/DUPLICATE/, 'and it says so');

$t->finish;
done_testing;
