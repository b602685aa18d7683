# The circuit breaker by its own figures: a partner that fails is left alone,
# asked once, and used again.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use Travel::Test;
use Travel::Origin;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(stopped => 1);
my $t = $p->t;
my $port = $t->port + 1;
$p->configure(<<"END");
processes = 1
slots     = 1
queues    = { "booking", "maintenance" }
type "booking.create" { retries = 20 base = 10ms cap = 20ms timeout = 30s }
partner opentable { url = "http://127.0.0.1:$port" timeout = 1s
                    breaker_failures = 3 breaker_open = 2s
                    breaker_successes = 1 }
END
my $origin = Travel::Origin->start($port);
$origin->set('/v1/holds', status => 500);
$p->start_workers;
$p->until_owned;

sub book {
    my ($n) = @_;
    my ($rc, $out) = $p->ctl('queue', 'preload', '--type', 'booking.create',
        '--count', $n, '--body', JSON::PP::encode_json({
        partner => 'opentable', venue_id => 'v', party_size => 2,
        booking_date => '2031-01-01T20:00:00Z' }));
    is($rc, 0, "$n on the way") or diag $out;
}
book(1);

wait_for(sub { $p->log_lines(qr/breaker for opentable opened/) }, 10,
    'the breaker');
is($origin->count('/v1/holds'), 3, 'three failures open it');
$origin->set('/v1/holds', status => 201, body => '{"hold_id": "h1"}');
$origin->set('/v1/holds/h1/confirm', status => 200,
    body => '{"confirmation_number": "C1", "venue_name": "V",
    "amount_cents": 1000}');
wait_for(sub { $t->sql("SELECT count(*) FROM travel.bookings
    WHERE status = 'confirmed'") == 1 }, 20, 'the booking');
is($origin->count('/v1/holds'), 4, 'one probe was enough');
is(scalar(() = $p->log_lines(qr/breaker for opentable closed/)), 1,
    'and closed it');

# In a batch, they wait for the partner, who does not fail.
book(8);
wait_for(sub { $p->log_lines(qr/^succeeded/) == 9 }, 20, 'the next bookings');
is_deeply([map { $_->{code} // () } $p->log_lines(qr/^succeeded/)], [],
    'what succeeds at once has no error in the log');
$origin->stop;
is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
