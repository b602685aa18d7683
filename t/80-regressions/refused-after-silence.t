# The partner took the hold but its answer was lost, and refuses the repeat:
# the first hold is looked for and released all the same.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes ();
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start(timeout => '1s');
my $t = $j->t;
my $id = $j->new_id('booking');
my $body = { partner => 'opentable', venue_id => 'rest_456', party_size => 4,
    booking_date => '2030-03-01T19:00:00+01:00' };

$j->mode('slow@holds');
is($j->job('booking.create', $body, id => $id)->{verdict}, 'retry',
    'the answer to the hold never came');
Time::HiRes::sleep(2);                         # the partner does hold, late
$j->mode('refuse@holds');
is($j->job('booking.create', $body, id => $id)->{verdict}, 'reject',
    'the repeat is refused');
is($j->job('booking.create', $body, id => $id, giveup => 'yes')->{verdict},
    'done', 'given up');
is_deeply([$j->events($j->uuid_of($id))],
    [qw(booking.created booking.failed)], 'the booking has failed');

my ($release) = $j->outbox;
is($release->{type}, 'booking.release', 'and the hold is to be released');
if ($release) {
    $j->mode('');
    $j->calls;
    is($j->follow($release)->{verdict}, 'done', 'released');
    is_deeply([map { "$_->{method} $_->{idempotency_key}" } $j->calls],
        ["POST $id:hold", "DELETE $release->{id}:release"],
        'learnt under the first key, then deleted');
}

$t->finish;
done_testing;
