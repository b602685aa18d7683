# The booking saga against the real sandbox: what goes out, what is recorded,
# what a crash, a refusal, a silent partner and a lost lease leave behind.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes ();
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start(timeout => '1s');
my $t = $j->t;
my $demo = $t->user(0);

sub body {
    return { partner => 'opentable', venue_id => 'rest_456', party_size => 4,
        booking_date => '2030-03-01T19:00:00+01:00', @_ };
}

sub status_of {
    my ($id) = @_;
    return scalar $t->sql("SELECT status FROM travel.bookings WHERE id = '$id'");
}

sub saga_of {
    my ($id) = @_;
    return join ' ', map { "$_->[0]=$_->[1]" } $t->sql("SELECT step, state"
        . " FROM jobs.saga WHERE job_id = '$id' ORDER BY updated_at, step DESC");
}

subtest 'hold, confirm, commission, mail' => sub {
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    my $r = $j->job('booking.create', body(), id => $id);
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    my $b = $r->{result};
    is($b->{id}, $uuid, 'the booking is called as its job');
    is($b->{status}, 'confirmed', 'confirmed');
    is($b->{booking_date}, '2030-03-01T18:00:00.000Z', 'date in UTC');
    like($b->{confirmation_number}, qr/^SBX-/, 'confirmation number');
    is($b->{commission_cents}, int(($b->{amount_cents} * 800 + 5000) / 10000),
        'commission, rounded half up');
    is_deeply([$j->events($uuid)],
        [qw(booking.created booking.confirmed commission.calculated)],
        'domain events');
    my @c = $j->calls;
    is_deeply([map { "$_->{method} $_->{idempotency_key}" } @c],
        ["POST $id:hold", "POST $id:confirm"], 'two calls under their keys');

    my $again = $j->job('booking.create', body(), id => $id);
    is($again->{verdict}, 'done', 'again: done');
    is_deeply($again->{result}, $b, 'again: the same result');
    is_deeply([$j->calls], [], 'again: nobody is called');
    is(scalar(my @e = $j->events($uuid)), 3, 'again: no event');

    my @out = $j->outbox;
    is_deeply([map { $_->{type} } @out], ['notification.email'], 'one mail');
    like($out[0]{id}, qr/^notification\.\d\.[0-9a-f-]{36}$/, 'its job id');
    is($out[0]{body}{to}, 'demo@travel.local', 'address from travel.users');
    my $m = $j->follow($out[0]);
    is($m->{verdict}, 'done', 'mail sent') or diag $m->{output};
    my ($mail) = $t->mails;
    is($mail->{messageId}, '<' . $j->uuid_of($out[0]{id}) . '@travel.local>',
        'Message-ID is the mail job');
    like($mail->{text}, qr/\Q$b->{confirmation_number}\E/, 'says the number');
    $j->follow($out[0]);
    is(scalar(my @mails = $t->mails), 1, 'not sent twice');
};

subtest 'the partner has a bad minute' => sub {
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    $j->mode('fail@confirm');
    my $r = $j->job('booking.create', body(), id => $id);
    is($r->{verdict}, 'retry', 'retry');
    is($r->{error}{code}, 'EXTERNAL_SERVICE_ERROR', 'code');
    is(status_of($uuid), 'pending', 'still pending');
    $j->mode('');
    $r = $j->job('booking.create', body(), id => $id);
    is($r->{verdict}, 'done', 'then done');
    my @c = $j->calls;
    is(scalar(grep { $_->{idempotency_key} eq "$id:hold" } @c), 1,
        'the hold that was had is not asked for again');
    is(scalar(grep { $_->{idempotency_key} eq "$id:confirm" } @c), 2,
        'the confirmation is, under the same key');
    is(scalar(grep { /confirmed/ } $j->events($uuid)), 1, 'confirmed once');
    $j->outbox;
};

subtest 'refused at once' => sub {
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    $j->mode('refuse@holds');
    my $r = $j->job('booking.create', body(), id => $id);
    is($r->{verdict}, 'reject', 'rejected');
    my $code = $r->{error}{code};
    like($code, qr/^[A-Z_]+$/, "the partner's code: $code");
    $j->mode('');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'reject',
        'still refused when the partner has changed its mind');
    is(scalar(my @c = $j->calls), 1, 'it was asked once');
    is($j->job('booking.create', body(), id => $id, giveup => 'yes')->{verdict},
        'done', 'given up');
    is(status_of($uuid), 'failed', 'failed');
    is_deeply([$j->events($uuid)], [qw(booking.created booking.failed)], 'events');
    is_deeply([$j->outbox], [], 'nothing to undo');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'reject',
        'run again after that: rejected');
    is($j->job('booking.create', body(), id => $id, giveup => 'yes')->{verdict},
        'done', 'given up again');
    is(scalar(grep { $_ eq 'booking.failed' } $j->events($uuid)), 1,
        'one booking.failed');
};

subtest 'refused with a hold in hand' => sub {
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    $j->mode('refuse@confirm');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'reject',
        'rejected');
    $j->mode('');
    $j->job('booking.create', body(), id => $id, giveup => 'yes');
    is(status_of($uuid), 'failed', 'failed');
    is(saga_of($uuid), 'confirm=refused hold=undoing', 'the hold is to be undone');
    my @out = $j->outbox;
    is_deeply([map { $_->{type} } @out], ['booking.release'], 'by a job');
    like($out[0]{id}, qr/^maintenance\./, 'that the edge cannot write');
    $j->calls;
    is($j->follow($out[0])->{verdict}, 'done', 'released');
    my @c = $j->calls;
    is_deeply([map { "$_->{method} $_->{status}" } @c], ['DELETE 200'],
        'the hold is deleted');
    is(saga_of($uuid), 'confirm=refused hold=undone', 'undone');
    is($j->follow($out[0])->{verdict}, 'done', 'again: done');
    is_deeply([$j->calls], [], 'again: nobody is called');
};

subtest 'the answer to the confirmation never came' => sub {
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    $j->mode('slow@confirm');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'retry',
        'timed out');
    $j->job('booking.create', body(), id => $id, giveup => 'yes');
    is(status_of($uuid), 'failed', 'failed');
    Time::HiRes::sleep(2);                 # the partner does confirm, late
    $j->mode('');
    $j->calls;
    my ($release) = $j->outbox;
    is($j->follow($release)->{verdict}, 'done', 'undone');
    my @c = $j->calls;
    is_deeply([map { "$_->{method} $_->{status}" } @c],
        ['DELETE 409', 'POST 200', 'DELETE 200'],
        'hold cannot be released; the number is learnt; it is cancelled');
    is($c[1]{idempotency_key}, "$id:confirm", 'learnt under the first key');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'reject',
        'run again: rejected');
    is_deeply([$j->calls], [], 'and the partner left alone');
};

subtest 'the answer to the hold never came' => sub {
    my $id = $j->new_id('booking');
    $j->mode('slow@holds');
    is($j->job('booking.create', body(), id => $id)->{verdict}, 'retry',
        'timed out');
    $j->job('booking.create', body(), id => $id, giveup => 'yes');
    Time::HiRes::sleep(2);
    $j->mode('');
    $j->calls;
    my ($release) = $j->outbox;
    is($release->{body}{hold_id}, undef, 'the hold is not known');
    is($j->follow($release)->{verdict}, 'done', 'undone');
    my @c = $j->calls;
    is_deeply([map { "$_->{method} $_->{idempotency_key}" } @c],
        ["POST $id:hold", "DELETE $release->{id}:release"],
        'it is learnt under the first key, then released');
};

subtest 'kill -9 while the partner thinks' => sub {
    $j->configure(timeout => '5s');
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    $j->mode('slow@confirm');
    my $p = $j->spawn('booking.create', body(), id => $id, owner => 'first');
    wait_for(sub { saga_of($uuid) =~ /confirm=taken/ }, 10, 'the call');
    $j->kill_spawned($p);
    $j->mode('');
    is(saga_of($uuid), 'hold=done confirm=taken', 'the step stays taken');
    Time::HiRes::sleep(2);
    my $r = $j->job('booking.create', body(), id => $id, owner => 'second');
    is($r->{verdict}, 'done', 'its successor finishes') or diag $r->{output};
    my %keys = map { $_->{idempotency_key} => 1 }
        grep { $_->{uri} =~ /confirm/ } $j->calls;
    is_deeply([keys %keys], ["$id:confirm"], 'one confirm key');
    is(scalar(grep { /confirmed/ } $j->events($uuid)), 1,
        'one booking.confirmed');
    is(scalar(my @out = $j->outbox), 1, 'one mail');
};

subtest 'the lease is lost while the partner thinks' => sub {
    my $id = $j->new_id('booking');
    my $uuid = $j->uuid_of($id);
    $j->mode('slow@holds');
    my $p = $j->spawn('booking.create', body(), id => $id, owner => 'old');
    wait_for(sub { saga_of($uuid) =~ /hold=taken/ }, 10, 'the call');
    $t->sql("UPDATE jobs.partition SET owner = 'new', fence = fence + 1,"
        . " expires_at = now() + interval '1 minute'");
    my $r = $j->finish_spawned($p);
    $j->mode('');
    is($r->{verdict}, 'fenced', 'the old owner stops');
    is(saga_of($uuid), 'hold=taken', 'and has settled nothing');
    is(scalar(grep { $_->{uri} =~ /confirm/ } $j->calls), 0,
        'and has confirmed nothing');
    $t->sql(q{UPDATE jobs.partition SET expires_at = '-infinity'});
    is($j->job('booking.create', body(), id => $id, owner => 'new')->{verdict},
        'done', 'the new owner goes on');
    $j->outbox;
    $j->calls;
};

subtest 'checked again by the worker' => sub {
    my %bad = (
        'unknown partner' => [body(partner => 'nobody'), 'VALIDATION_ERROR'],
        'a date in the past' =>
            [body(booking_date => '2020-01-01T00:00:00Z'), 'VALIDATION_ERROR'],
        "somebody's journey" => [body(journey_id =>
            '01890000-0000-7000-8000-0000000000aa'), 'RESOURCE_NOT_FOUND'],
        'no venue' => [{ %{ body() }, venue_id => undef }, 'VALIDATION_ERROR'],
    );
    for my $name (sort keys %bad) {
        my $id = $j->new_id('booking');
        my $r = $j->job('booking.create', $bad{$name}[0], id => $id);
        is($r->{verdict}, 'reject', "$name: rejected");
        is($r->{error}{code}, $bad{$name}[1], "$name: code");
        $j->job('booking.create', $bad{$name}[0], id => $id, giveup => 'yes');
        is_deeply([$j->events($j->uuid_of($id))], ['booking.failed'],
            "$name: booking.failed");
    }
    is_deeply([$j->calls], [], 'the partner is not asked');
    is_deeply([$j->outbox], [], 'nothing follows');
};

sub confirmed {
    my (%o) = @_;
    my $id = $j->new_id('booking');
    $j->job('booking.create', body(), id => $id, %o);
    $j->outbox;
    $j->calls;
    return $j->uuid_of($id);
}

subtest 'cancel' => sub {
    my $uuid = confirmed();
    my $id = $j->new_id('booking');
    my $r = $j->job('booking.cancel', { booking_id => $uuid }, id => $id,
        key => $uuid);
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    is($r->{result}{status}, 'cancelled', 'cancelled');
    my @c = $j->calls;
    is_deeply([map { "$_->{method} $_->{status} $_->{idempotency_key}" } @c],
        ["DELETE 200 $id:cancel"], 'at the partner');
    is_deeply([$j->events($uuid)], [qw(booking.created booking.confirmed
        commission.calculated booking.cancelling booking.cancelled commission.reversed)], 'events');
    is(scalar($t->sql("SELECT sum((data->>'commission_cents')::int) FROM"
        . " events.event WHERE stream_id = '$uuid'")), 0,
        'the commissions cancel out');
    my ($mail) = $j->outbox;
    is($mail->{body}{template}, 'booking_cancelled', 'a mail says so');
    is($j->follow($mail)->{verdict}, 'done', 'and is sent');

    $r = $j->job('booking.cancel', { booking_id => $uuid }, key => $uuid);
    is($r->{verdict}, 'reject', 'a second time: refused');
    is($r->{error}{code}, 'BOOKING_NOT_CANCELLABLE', 'with its code');
    is_deeply([$j->calls], [], 'the partner is not asked');
};

subtest 'cancel what cannot be' => sub {
    my $uuid = confirmed(sub => $t->user(7));
    my $r = $j->job('booking.cancel', { booking_id => $uuid }, key => $uuid);
    is($r->{error}{code}, 'RESOURCE_NOT_FOUND', "somebody else's");

    my $failed = $j->new_id('booking');
    $j->mode('refuse@holds');
    $j->job('booking.create', body(), id => $failed);
    $j->job('booking.create', body(), id => $failed, giveup => 'yes');
    $j->mode('');
    my $f = $j->uuid_of($failed);
    $r = $j->job('booking.cancel', { booking_id => $f }, key => $f);
    is($r->{error}{code}, 'BOOKING_NOT_CANCELLABLE', 'one that failed');

    my $mine = confirmed();
    my $id = $j->new_id('booking');
    $j->mode('refuse@cancel');
    $r = $j->job('booking.cancel', { booking_id => $mine }, id => $id,
        key => $mine);
    $j->mode('');
    is($r->{verdict}, 'reject', 'the partner refuses');
    is(status_of($mine), 'cancelling', 'until the job gives up');
    $j->job('booking.cancel', { booking_id => $mine }, id => $id, key => $mine,
        giveup => 'yes');
    is(status_of($mine), 'confirmed', 'then it is as it was');
    is(scalar(grep { /reversed/ } $j->events($mine)), 0, 'nothing reversed');
    $j->calls;

    $t->restart_part('sandbox');           # it forgets every reservation
    $r = $j->job('booking.cancel', { booking_id => $mine }, key => $mine);
    is($r->{verdict}, 'done', 'a reservation that is gone is cancelled')
        or diag $r->{output};
};

subtest 'effects and their positions' => sub {
    my $id = $j->new_id('booking');
    my $r = $j->job('booking.create', body(), id => $id);
    my $uuid = $j->uuid_of($id);
    is($r->{lsn} =~ m{^[0-9A-F]+/[0-9A-F]+$} ? 1 : 0, 1, 'a commit has an LSN');
    is(scalar($t->sql("SELECT pg_current_wal_flush_lsn() >= '$r->{lsn}'::pg_lsn")),
        't', 'that is flushed');
    my $tags = $t->sql("SELECT tags FROM jobs.inbox WHERE job_id = '$uuid'"
        . " AND step = 'confirm'");
    like($tags, qr/\Qbookings:$demo\E/, 'tags of the list');
    like($tags, qr/\Qbooking:$uuid\E/, 'tag of the booking');
};

$t->finish;
done_testing();
