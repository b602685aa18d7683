# Personas and itineraries: flows of several steps by HTTP, and what is left when
# a step is refused or its answer gets lost.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox workers nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit_workers => sub {
        s/^# images = "images"/images = "images"/m or die;
        s/^# (partner images .*)$/$1/m or die;
        s/\z/\ntype "persona.generate" { retries = 1 base = 100ms cap = 200ms }\n/;
    });

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

$t->finish;
done_testing;
