# A breaker that opens in the workers is seen at the edge: status, metric,
# variable, and writes that are refused while it lasts.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Origin;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $t = Travel::Test->new(
    parts => 'postgres queue cache workers nginx',
    env   => { TRAVEL_LIMITS => 'limits-open.conf', TRAVEL_PROCESSES => 2 },
    edit  => sub { s<^(\s+travel_catalog\s+)\S+;><$1\@RUN\@/catalog;>m or die;
        s<location = /health>< location = /t/member {
            travel_auth required jwks=main audience=travel;
            travel_command POST booking.create breaker=partner batch=10;
        }
        location = /t/fixed {
            travel_auth required jwks=main audience=travel;
            add_header X-Breaker \$travel_breaker_opentable always;
            travel_breaker klook opentable;
            travel_query GET bookings.list;
            travel_command POST booking.create;
        }
        location = /t/other {
            travel_auth required jwks=main audience=travel;
            travel_breaker klook;
            travel_command POST booking.create;
        }
        location = /health> },
    edit_workers => sub { s/^partner opentable \{.*?^\}/partner opentable {
        url = "http:\/\/127.0.0.1:\@PORT_SANDBOX\@" timeout = 1s
        breaker_failures = 3 breaker_open = 4s breaker_successes = 1 }
        type "booking.create" { retries = 30 base = 50ms cap = 200ms }/ms });
my $origin = Travel::Origin->start($t->port + 1);
$origin->set('/v1/holds', status => 500);
system('cp', '-r', Travel::Test::root() . '/conf/travel', $t->dir . '/catalog');
my $sdl = slurp($t->dir . '/catalog/graphql/schema.graphql');
$sdl =~ s/(check: "bookings.precheck", )/$1breaker: "partner", / or die;
$t->write('catalog/graphql/schema.graphql', $sdl);
$t->launch;
my @me = (token => $t->user_token(0));

my $body = { partner => 'opentable', venue_id => 'v', party_size => 2,
    booking_date => '2031-01-01T20:00:00Z' };

sub breaker {
    my ($name) = @_;
    my ($b) = grep { $_->{name} eq $name }
        @{ json($t->get('/breakers')->{content})->{breakers} };
    return $b;
}

# Of one caller after the other, since a caller's partition has one process.
my $callers = 0;
sub work { return $t->post('/t/other', $body,
    token => $t->user_token($callers++ % 12)) }

is(breaker('opentable'), undef, 'nothing is known of whom nobody called');
is($t->post('/t/member', $body, @me)->{status}, 202, 'accepted');
# each process has its own breaker
for (1 .. 12) {
    last if eval { breaker('opentable')->{state} eq 'open' };
    work();
    select undef, undef, undef, 0.25;
}
wait_for(sub { breaker('opentable')->{state} eq 'open' }, 15, 'it to open')
    or diag explain breaker('opentable');

my $r = $t->post('/t/member', $body, @me, allow_5xx => 1);
is($r->{status}, 503, 'a booking there is refused');
is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'and why');
cmp_ok($r->{headers}{'retry-after'}, '>=', 1, 'Retry-After');
cmp_ok($r->{headers}{'retry-after'}, '<=', 7, 'is as long as it takes');
is($t->post('/t/member', { %$body, partner => 'klook' }, @me)->{status}, 202,
    'another partner is not');
$r = $t->post('/t/member', [$body, { %$body, partner => 'tabelog' }], @me);
is($r->{status}, 207, 'a batch');
is_deeply([map { $_->{status} } @{ $r->{json}{items} }], [503, 202],
    'in which one booking is refused, by its member');
is($r->{json}{items}[0]{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'and why');
cmp_ok($r->{headers}{'retry-after'}, '>=', 1, 'with the time to come again');
$r = $t->post('/api/graphql', { query => 'mutation { createBooking(input: {
    partner: "opentable", venueId: "v", partySize: 2,
    bookingDate: "2031-01-01T20:00:00Z" }) { success } }' }, @me);
is($r->{json}{data}{createBooking}, undef, 'a mutation is refused as well')
    or diag $r->{content};
is($r->{json}{errors}[0]{extensions}{code}, 'DEPENDENCY_UNAVAILABLE', 'and why');
$r = $t->post('/t/fixed', $body, @me, allow_5xx => 1);
is($r->{status}, 503, 'refused by name');
like($r->{headers}{'x-breaker'} // '', qr/^(?:open|half-open)$/,
    'the variable');
is($t->get('/t/fixed', @me)->{status}, 200, 'reads are not');
is($t->post('/t/other', $body, @me)->{status}, 202, 'nor others\' writes');
is($t->post('/t/fixed', $body)->{status}, 401, 'who one is comes first');

my $metrics = $t->get('/metrics')->{content};
like($metrics, qr/^travel_edge_breaker_state\{destination="opentable",state="\w/m,
    'a metric at the edge');
like($metrics, qr/^travel_breaker_refused_total 4$/m, 'refusals are counted');
my $pool = $t->request('GET', '/metrics',
    base => 'http://127.0.0.1:' . ($t->port + 4))->{content};
like($pool, qr/^travel_breaker_opened_total\{process="\d",destination="opentable"\} [1-9]/m,
    'opened, by process');
like($pool, qr/^travel_out_calls_total\{process="\d",destination="opentable",outcome="bad"\} [3-9]/m,
    'calls, by outcome');

$origin->set('/v1/holds', status => 201, body => '{"hold_id": "h1"}');
$origin->set('/v1/holds/h1/confirm', status => 200,
    body => '{"confirmation_number": "C1", "venue_name": "V",
    "amount_cents": 1000}');
wait_for(sub { $t->post('/t/member', $body, @me, allow_5xx => 1)->{status}
    == 202 }, 20, 'writes to be taken again, without anybody\'s doing');
# a process that is not asked for any leaves its breaker as it is
wait_for(sub { work();
    breaker('opentable')->{state} eq 'closed' }, 30,
    'it to close, as work goes on');
ok($t->sql("SELECT count(*) FROM travel.bookings
    WHERE status = 'confirmed'") > 0, 'bookings are confirmed');

$origin->stop;
$t->finish;
done_testing;
