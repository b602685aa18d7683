# The money of a booking: charged between hold and confirmation, once; given
# back when the booking fails or is cancelled; and a step's row that belongs to
# one lease.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes ();
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start(timeout => '1s');
my $t = $j->t;
my $sandbox = $t->port + 1;
$j->configure(more => <<"END");
payments = "payments"
partner payments { url = "http://127.0.0.1:$sandbox" timeout = "1s" }
END

sub body {
    return { partner => 'opentable', venue_id => 'rest_456', party_size => 4,
        booking_date => '2030-03-01T19:00:00+01:00', @_ };
}

sub calls { return join ' ', map { "$_->{method} $_->{uri}" =~ s/\w{20,}|SBX-\w+/X/gr }
    $j->calls }

sub book {
    my (%o) = @_;
    my $id = $j->new_id('booking');
    return ($id, $j->uuid_of($id), $j->job('booking.create', body(),
        id => $id, %o));
}

subtest 'hold, pay, confirm' => sub {
    my ($id, $uuid, $r) = book();
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    my @c = $j->calls;
    is_deeply([map { $_->{idempotency_key} } @c],
        ["$id:hold", "$id:pay", "$id:confirm"], 'in this order, each its key');
    is_deeply([$j->events($uuid)], [qw(booking.created payment.captured
        booking.confirmed commission.calculated)], 'on record');
    my ($charge, $cents) = map { @$_ } $t->sql("SELECT data->>'charge_id',
        data->>'amount_cents' FROM events.event WHERE stream_id = '$uuid'
        AND type = 'payment.captured'");
    like($charge, qr/^ch_/, 'the charge');
    is($cents, $r->{result}{amount_cents}, 'of the amount');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'done',
        'again: done');
    is(calls(), '', 'again: nobody is called');
    $j->outbox;

    subtest 'cancelled: given back' => sub {
        my $cancel = $j->new_id('booking');
        my $c = $j->job('booking.cancel', { booking_id => $uuid },
            id => $cancel, key => $uuid);
        is($c->{verdict}, 'done', 'done') or diag $c->{output};
        is(calls(), 'DELETE /v1/reservations/X POST /v1/charges/X/refund',
            'the reservation, then the money');
        is(scalar(grep { $_ eq 'payment.refunded' } $j->events($uuid)), 1,
            'on record');
        is($c->{result}{status}, 'cancelled', 'cancelled');
        $j->outbox;
    };
};

subtest 'the charge is refused' => sub {
    $j->mode('refuse@charge');
    my ($id, $uuid, $r) = book();
    is($r->{verdict}, 'reject', 'so is the booking');
    $j->mode('');
    $j->job('booking.create', body(), id => $id, giveup => 'yes');
    $j->calls;
    my ($release) = $j->outbox;
    is($j->follow($release)->{verdict}, 'done', 'undone');
    is(calls(), 'DELETE /v1/holds/X', 'the hold, and no money');
};

subtest 'paid, and then refused' => sub {
    $j->mode('refuse@confirm');
    my ($id, $uuid, $r) = book();
    is($r->{verdict}, 'reject', 'rejected');
    $j->mode('');
    $j->job('booking.create', body(), id => $id, giveup => 'yes');
    $j->calls;
    my ($release) = $j->outbox;
    $j->mode('fail@refund');
    is($j->follow($release)->{verdict}, 'retry', 'the money has a bad day');
    is(calls(), 'POST /v1/charges/X/refund', 'last step first');
    $j->mode('');
    is($j->follow($release)->{verdict}, 'done', 'undone');
    is(calls(), 'POST /v1/charges/X/refund DELETE /v1/holds/X',
        'the money, then the hold');
    is(scalar(grep { $_ eq 'payment.refunded' } $j->events($uuid)), 1,
        'on record');
    is($j->follow($release)->{verdict}, 'done', 'again: done');
    is(calls(), '', 'again: nobody is called');
};

subtest 'the answer to the charge never came' => sub {
    $j->mode('slow@charge');
    my ($id, $uuid, $r) = book();
    is($r->{verdict}, 'retry', 'timed out');
    $j->job('booking.create', body(), id => $id, giveup => 'yes');
    Time::HiRes::sleep(2);                # it is charged, late
    $j->mode('');
    $j->calls;
    my ($release) = $j->outbox;
    is($j->follow($release)->{verdict}, 'done', 'undone');
    my @c = $j->calls;
    is($c[0]{idempotency_key}, "$id:pay", 'asked for under its first key');
    like($c[1]{uri}, qr{/refund$}, 'and given back');
};

subtest 'a step is of one lease' => sub {
    $j->mode('fail@confirm');
    my ($id, $uuid, $r) = book();
    is($r->{verdict}, 'retry', 'confirm is taken');
    $j->mode('');
    my ($lease, $fence) = map { @$_ } $t->sql("SELECT lease, fence FROM
        jobs.saga WHERE job_id = '$uuid' AND step = 'confirm'");
    like($lease, qr/^booking\.\d$/, 'under the lease of its partition');

    # another partition's job has it, and its lease is in force
    $t->sql("INSERT INTO jobs.partition VALUES ('booking', 99, 'other', 7,
        now() + interval '1 hour')");
    $t->sql("UPDATE jobs.saga SET lease = 'booking.99', fence = 7
        WHERE job_id = '$uuid' AND step = 'confirm'");
    $j->calls;
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'fenced',
        'then it is not ours, whatever our fence is');
    is(calls(), '', 'and nobody is called');

    # whoever had it before settles nothing any more
    is(scalar $t->sql("SELECT jobs.leased('booking.99', 7)"), 't', 'leased');
    is(scalar $t->sql("SELECT jobs.leased('booking.99', 6)"), 'f',
        'another fence is not');
    $t->sql("UPDATE jobs.partition SET fence = 8 WHERE queue = 'booking'
        AND partition = 99");
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'done',
        'when that lease is over it is taken over');
    is(scalar $t->sql("SELECT lease FROM jobs.saga WHERE job_id = '$uuid'
        AND step = 'confirm'"), $lease, 'by ours');
};

$t->finish;
done_testing;
