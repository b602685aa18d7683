# The outcome may be a refusal: a repeat hears the same one, marked as a
# replay, and the caller's next read is told where to look for what failed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(env => { TRAVEL_LIMITS => 'limits-open.conf' });
my $token = $t->user_token(1);

wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');
$t->write('sandbox.mode', "refuse\n");

my @r = map {
    $t->post('/api/v1/bookings', { partner => 'opentable', venue_id => 'v-1',
        party_size => 2, booking_date => '2030-03-01T19:00:00Z' },
        token => $token, allow_5xx => 1,
        headers => { 'idempotency-key' => 'refused', prefer => 'wait=10' });
} 1, 2;

cmp_ok($r[0]{status}, '>=', 400, 'the partner refuses') or diag $r[0]{content};
is($r[0]{headers}{'idempotent-replayed'}, undef, 'the first is no replay');
is($r[1]{status}, $r[0]{status}, 'a repeat: the same status');
is_deeply($r[1]{json}{error}{details}, $r[0]{json}{error}{details},
    'of the same job');
is($r[1]{headers}{'idempotent-replayed'}, 'true', 'and says so');
for my $r (@r) {
    is($r->{headers}{'preference-applied'}, 'wait=10', 'it did wait');
    like($r->{headers}{'travel-consistency'} // '', qr/^[\w-]{20,}$/,
        'a failed write has its token too');
}

my $list = $t->get('/api/v1/bookings', token => $token, headers => {
    'travel-consistency' => $r[0]{headers}{'travel-consistency'} // '' });
is($list->{json}{items}[0]{status}, 'failed', 'the booking is there, failed');

$t->finish;
done_testing;
