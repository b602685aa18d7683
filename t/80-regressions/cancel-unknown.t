# A cancellation whose answers were all lost: the booking stays cancelling, and
# a job of its own finds out, under the first key, what the partner made of it.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes ();
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start(timeout => '1s');
my $t = $j->t;
my $body = { partner => 'opentable', venue_id => 'rest_456', party_size => 4,
    booking_date => '2030-03-01T19:00:00+01:00' };

sub status_of {
    return $t->sql("SELECT status FROM travel.bookings WHERE id = '$_[0]'");
}

# A confirmed booking, and a cancel job that runs in a mode and gives up.
sub given_up {
    my ($mode, $verdict) = @_;
    my $create = $j->new_id('booking');
    my $id = $j->uuid_of($create);
    is($j->job('booking.create', $body, id => $create)->{verdict}, 'done',
        'a booking');
    $j->outbox;
    $j->calls;
    my $cancel = $j->new_id('booking');
    $j->mode($mode);
    is($j->job('booking.cancel', {}, id => $cancel, key => $id)->{verdict},
        $verdict, "cancelled while the partner is \"$mode\": $verdict");
    is($j->job('booking.cancel', {}, id => $cancel, key => $id,
        giveup => 'yes')->{verdict}, 'done', 'given up');
    Time::HiRes::sleep(1.5) if $mode =~ /slow/;      # the partner does it, late
    $j->mode('');
    return ($id, $cancel, $j->outbox);
}

subtest 'it was cancelled' => sub {
    my ($id, $cancel, $settle) = given_up('slow@cancel', 'retry');
    is(status_of($id), 'cancelling', 'nobody knows yet');
    is(($settle || {})->{type}, 'booking.cancel_settle', 'a job will find out')
        or return;
    $j->calls;
    is($j->follow($settle)->{verdict}, 'done', 'it does');
    is_deeply([map { "$_->{method} $_->{idempotency_key}" } $j->calls],
        ["DELETE $cancel:cancel"], 'by the first key');
    is(status_of($id), 'cancelled', 'cancelled');
    is_deeply([$j->events($id)], [qw(booking.created booking.confirmed
        commission.calculated booking.cancelling booking.cancelled commission.reversed)],
        'and put on record');
    is_deeply([map { $_->{type} } $j->outbox], ['notification.email'],
        'with a mail');
    is($t->sql("SELECT count(*) FROM jobs.saga WHERE state = 'taken'"), 0,
        'no saga step is left open');
};

subtest 'it was refused' => sub {
    my ($id, $cancel, $settle) = given_up('fail@cancel', 'retry');
    is(status_of($id), 'cancelling', 'nobody knows yet');
    ok($settle, 'a job will find out') or return;
    $j->mode('refuse@cancel');
    is($j->follow($settle)->{verdict}, 'done', 'it does');
    $j->mode('');
    is(status_of($id), 'confirmed', 'confirmed as before');
    is(($j->events($id))[-1], 'booking.cancel_failed', 'and put on record');
    is_deeply([$j->outbox], [], 'no mail');
};

subtest 'refused at once' => sub {
    my ($id, $cancel, @more) = given_up('refuse@cancel', 'reject');
    is(status_of($id), 'confirmed', 'confirmed as before');
    is(($j->events($id))[-1], 'booking.cancel_failed', 'and put on record');
    is_deeply(\@more, [], 'nothing to find out');
};

$t->finish;
done_testing;
