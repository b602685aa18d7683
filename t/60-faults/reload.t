# Ten reloads under load.  Who asks with Connection: close sees no error at all;
# who keeps connections sees none if he repeats what was cut off before the
# first byte of its answer; and what is in shared memory stays: limit counts,
# cache entries, counters.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Client;
use Travel::Crowd;
use Travel::Faults;
use Travel::Test;

my $RELOADS = 10;
my $PAUSE   = Travel::Faults->seconds(12) / $RELOADS;

my $t = Travel::Test->start(
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(server_name _;)/$1
        add_header X-Cache \$travel_cache_status always;
        location = \/strict {
            travel_auth  required jwks=main audience=travel;
            travel_limit \$travel_user 5000r\/h name=strict;
            travel_query GET me.get;
        }/;
    });
my $crowd = Travel::Crowd->new($t);
my $JSON  = JSON::PP->new->utf8->canonical;
my @token = map { $t->user_token($_) } 0 .. 8;
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

# --- clients ----------------------------------------------------------------

sub request {
    my ($i, $n, $connection) = @_;
    my $auth = "Host: travel\r\nConnection: $connection\r\n"
        . "Authorization: Bearer $token[$n]\r\n";
    return "GET /api/v1/journeys?limit=5 HTTP/1.1\r\n$auth\r\n" if $i % 4 == 0;
    return "GET /api/v1/places?q=zur HTTP/1.1\r\n$auth\r\n"     if $i % 4 == 1;
    return "GET /api/v1/me HTTP/1.1\r\n$auth\r\n"               if $i % 16 != 3;
    my $body = $JSON->encode({ partner => 'klook', venue_id => "v-$n-$i",
        party_size => 2, booking_date => '2030-03-01T19:00:00Z' });
    return "POST /api/v1/bookings HTTP/1.1\r\n${auth}"
        . "Content-Type: application/json\r\nIdempotency-Key: k-$n-$i\r\n"
        . 'Prefer: ' . ($i % 32 == 3 ? 'wait=10' : 'respond-async') . "\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

# Until it is over.  Prints what went wrong, then what it did.
sub client {
    my ($n, $keep, $out) = @_;
    my $c = Travel::Client->new($t, keep => $keep);
    my %did;
    for (my $i = 0; !$crowd->over; $i++) {
        my ($status, $why) = $c->send(request($i, $n,
            $keep ? 'keep-alive' : 'close'));
        $did{$status}++ if $status;
        print $out "request $i: ", $status || $why, "\n"
            if $status !~ /^20[012]$/;
        sleep 0.005;
    }
    $did{repeated} = $c->repeated if $c->repeated;
    print $out 'did ' . $JSON->encode(\%did) . "\n";
}

# --- what is in the zones ----------------------------------------------------

sub strict_left {
    my $r = $t->get('/strict', token => $token[8]);
    my ($left) = ($r->{headers}{ratelimit} // '') =~ /"strict-3600";r=(\d+)/;
    return $left;
}

sub counter {
    my ($name) = @_;
    my ($v) = $t->get('/metrics')->{content} =~ /^\Q$name\E (\d+)/m;
    return $v;
}
my $ACCEPTED = 'travel_commands_total{type="journey.start",outcome="accepted"}';

for (1 .. 3) {
    my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
        destination => 'Hartford, US', theme => 'food' }, token => $token[8],
        headers => { prefer => 'wait=10' });
    is($r->{status}, 201, "journey $_") or diag($r->{content});
}
my $left = strict_left();
ok($left, 'a limit of its own') or diag(explain($t->get('/strict',
    token => $token[8])));
my $accepted = counter($ACCEPTED);
is($accepted, 3, 'a counter');

# An entry that the database would not give again: nobody is told of the change.
my $entry = '/api/v1/places?q=zurich&limit=3';
my $hit = wait_for(sub {
    my $r = $t->get($entry);
    ($r->{headers}{'x-cache'} // '') eq 'HIT' && $r;
}, 10, 'a hit') or die;
my $was = $hit->{content};
$t->sql("UPDATE travel.place SET name = 'Elsewhere', region = 'Nowhere'
    WHERE id = 2657896");
is($t->get($entry)->{content}, $was, 'a cached answer');

# --- the reloads -------------------------------------------------------------

my $held   = $t->edge_figures;
my @keeps  = (0, 0, 0, 1, 1, 1);
for my $n (1 .. @keeps) {
    $crowd->add("client-$n", sub { client($n, $keeps[$n - 1], $_[1]) });
}
my %before = map { $_ => 1 } $t->children_of('nginx');
sleep 0.5;
for my $n (1 .. $RELOADS) {
    $t->reload;
    # Whoever answers now is of the new ones, or soon is.  On a machine that
    # stalls, a node that has heard nothing for a second asks the database, and
    # keeps nothing of that; a lost entry would be filled anew, for good.
    ok(wait_for(sub { $t->get($entry, headers => { connection => 'close' })
        ->{content} eq $was }, 10, 'the entry'), "reload $n: the entry is there");
    $left--;
    is(strict_left(), $left, 'the limit counts on');
    sleep $PAUSE;
}
$crowd->end;

is(counter($ACCEPTED), $accepted, 'the counters count on');
ok(wait_for(sub { my $r = $t->get($entry);
    $r->{headers}{'x-cache'} eq 'HIT' && $r->{content} eq $was }, 10, 'a hit'),
    'still a hit');

my $all = 0;
for my $n (1 .. @keeps) {
    my @said = $crowd->said("client-$n");
    my ($did) = (pop @said // '') =~ /^did (.*)/;
    $did = $did ? json($did) : {};
    my $repeated = delete $did->{repeated} // 0;
    my $sum = 0;
    $sum += $_ for values %$did;
    $all += $sum;
    my $kind = $keeps[$n - 1] ? "keeps, $repeated repeated" : 'closes';
    is_deeply([@said[0 .. ($#said > 4 ? 4 : $#said)]], [],
        "client $n ($kind): $sum answers, no error");
    cmp_ok($sum, '>=', 50, 'and enough of them');
}
note("$all answers in all");

ok(wait_for(sub {
    my @now = $t->children_of('nginx');
    @now == keys %before && !grep { $before{$_} } @now;
}, 15, 'the old workers to end'), 'none of the old workers is left');

my $now;
ok(wait_for(sub {
    $now = $t->edge_figures;
    !grep { $now->{$_} > $held->{$_} + 2 } keys %$held;
}, 10, 'what nginx holds'), 'nginx holds what it held')
    or diag(explain([$held, $now]));

# Nothing was accepted and then forgotten.
my %sent = map { $_->[0] => 1 } $t->sql('SELECT venue_id FROM travel.bookings');
ok(wait_for(sub { $t->sql("SELECT count(*) FROM travel.bookings
    WHERE status <> 'confirmed'") == 0 }, 30, 'the bookings'),
    scalar(keys %sent) . ' bookings, all confirmed');
is($t->sql('SELECT count(*) - count(DISTINCT venue_id) FROM travel.bookings'),
    0, 'none twice');

$t->finish;
done_testing;
