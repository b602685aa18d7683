# Bookings through the whole pool: many at once while worker processes are
# killed, and a partner that never recovers.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use Time::HiRes qw(sleep);
use Travel::Test;
use Travel::Jobs;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $j = Travel::Jobs->start(parts => 'postgres queue sandbox smtp otlp',
    partner => 'breaker_failures = 1000', more => <<'END');
processes = 2
slots     = 8
lease_ttl = "3s"
type "booking.create"  { retries = 1 base = "100ms" cap = "200ms" }
type "booking.release" { retries = 2 base = "100ms" cap = "200ms" }
END
my $t = $j->t;
my $ctl = Travel::Test::build() . '/travelctl';

sub preload {
    my ($n, %o) = @_;
    my ($rc, $out) = $t->run($ctl, 'queue', 'preload', '--config',
        $t->dir . '/jobs.conf', '--type', 'booking.create', '--count', $n,
        '--body', JSON::PP::encode_json({ partner => 'opentable',
            venue_id => 'rest_456', booking_date => '2031-01-01T20:00:00Z',
            party_size => 2, %o }));
    is($rc, 0, "$n bookings are on their way") or diag $out;
}

sub bookings {
    my ($status) = @_;
    return scalar $t->sql("SELECT count(*) FROM travel.bookings"
        . " WHERE status = '$status'");
}

# type => [events, distinct streams]
sub events {
    return map { $_->[0] => [@$_[1, 2]] } $t->sql('SELECT type, count(*),'
        . ' count(DISTINCT stream_id) FROM events.event GROUP BY type');
}

$j->start_workers;

subtest 'kill -9 among 400 bookings' => sub {
    preload(400);
    my $killed = 0;
    for (1 .. 4) {
        sleep 0.3;
        $killed++ if $j->kill_worker;
    }
    cmp_ok($killed, '>=', 2, "$killed kills");
    wait_for(sub { bookings('confirmed') == 400 }, 60, 'all confirmed');
    my %ids;
    wait_for(sub {
        %ids = ();
        $ids{ $_->{messageId} }++ for $t->mails;
        keys %ids == 400;
    }, 60, 'all mails');

    my %e = events();
    is_deeply($e{$_}, [400, 400], "$_ once each")
        for qw(booking.created booking.confirmed commission.calculated);
    is_deeply([sort keys %e], [qw(booking.confirmed booking.created
        commission.calculated)], 'and no other event');
    my %confirm = map { $_->{idempotency_key} => 1 }
        grep { $_->{uri} =~ /confirm/ && $_->{status} == 200 } $j->calls;
    is(scalar keys %confirm, 400, 'one confirm key each');
    is(scalar keys %ids, 400, 'one Message-ID each');
    wait_for(sub { !$t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at '
        . 'IS NULL') }, 20, 'the outbox is empty');
    my $r = $t->redis('queue');
    my %status;
    for my $key (@{ $r->call('KEYS', 'travel:{booking.*}:job:*') }) {
        $status{ $r->call('HGET', $key, 'status') }++;
    }
    is_deeply(\%status, { succeeded => 400 }, 'every job says so');
};

subtest 'a partner that does not recover' => sub {
    $j->mode('fail@confirm');
    preload(3);
    wait_for(sub { bookings('failed') == 3 }, 30, 'failed');
    my %e = events();
    is_deeply($e{'booking.failed'}, [3, 3], 'booking.failed once each');
    wait_for(sub { $t->sql('SELECT count(*) FROM jobs.dead') == 3 }, 30,
        'three dead');
    is(scalar($t->sql('SELECT string_agg(DISTINCT cause, $$ $$) FROM jobs.dead')),
        'EXTERNAL_SERVICE_ERROR', 'with their cause');
    $j->mode('');
    wait_for(sub { 3 == $t->sql("SELECT count(*) FROM jobs.saga WHERE step ="
        . " 'hold' AND state = 'undone'") }, 30, 'holds undone');
    my @released = grep { $_->{method} eq 'DELETE' } $j->calls;
    is_deeply([map { $_->{status} } @released], [(200) x 3],
        'three holds released');
    my ($rc, $out) = $t->run($ctl, 'dead', 'list', '--config',
        $t->dir . '/jobs.conf');
    is(() = $out =~ /booking\.create/g, 3, 'travelctl dead list shows them');
};

subtest 'an error that is cut within a letter' => sub {
    my ($rc, $out) = $t->run($ctl, 'queue', 'preload', '--config',
        $t->dir . '/jobs.conf', '--type', 'trip.create', '--count', 1,
        '--body', JSON::PP::encode_json({ destination => 'n' . "\x{e9}" x 100,
            starts_on => '2031-01-01', ends_on => '2031-01-02' }));
    is($rc, 0, 'a trip to nowhere') or diag $out;
    my $said = q{SELECT data->>'message' FROM events.event
        WHERE type = 'trip.failed'};
    wait_for(sub { $t->sql($said) }, 20, 'the end of it');
    is(scalar $t->sql($said),
        'no place is known as "n' . "\xc3\xa9" x 59 . '?"', 'is told');
};

is($j->stop_workers, 0, 'the pool ends well');

# What is sent does not stay in the outbox: a copy of all that was in it.
$t->sql('CREATE TABLE public.told AS SELECT * FROM jobs.outbox WHERE false;
    GRANT SELECT ON public.told TO PUBLIC;
    CREATE FUNCTION public.keep_told() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER AS $$ BEGIN INSERT INTO public.told SELECT NEW.*;
    RETURN NULL; END $$; CREATE TRIGGER keep_told AFTER INSERT ON jobs.outbox
    FOR EACH ROW EXECUTE FUNCTION public.keep_told()', role => 'postgres');

# All that a booking has left behind, but for what names it and when.
sub trail {
    my ($uuid, $job) = @_;
    my @rows = $t->sql("SELECT 'inbox', step, tags::text, result::text
        FROM jobs.inbox WHERE job_id = '$uuid'
        UNION ALL SELECT 'saga', step, concat_ws(' ', state, key, attempts,
            fence IS NULL, lease ~ '^booking[.][0-3]\$'), result::text
        FROM jobs.saga WHERE job_id = '$uuid'
        UNION ALL SELECT 'run', name, concat_ws(' ', job_id, type, sub, email,
            key, state, undo, error), body::text
        FROM jobs.saga_run WHERE id = '$uuid'
        UNION ALL SELECT 'event', type, concat_ws(' ', stream_type, version,
            user_id, job_id, trace), data::text
        FROM events.event WHERE stream_id = '$uuid'
        UNION ALL SELECT 'live', m->>'type', topic, (m - 'ts')::text
        FROM public.told, jsonb_array_elements(coalesce(payload->'messages',
            jsonb_build_array(payload->'message'))) AS m,
            jsonb_array_elements_text(payload->'topics') AS topic
        WHERE aggregate = '$uuid' AND kind = 'live'
        UNION ALL SELECT 'live', m->>'type', a->>0, (m - 'ts')::text
        FROM public.told, jsonb_array_elements(payload->'also') AS a,
            LATERAL (SELECT payload->'messages'->(a->>1)::int AS m) AS x
        WHERE aggregate = '$uuid' AND kind = 'live'
        UNION ALL SELECT kind, payload->>'type', '', payload::text
        FROM public.told WHERE aggregate = '$uuid' AND kind = 'job'
        UNION ALL SELECT 'row', status, '', to_jsonb(b)::text
        FROM travel.bookings AS b WHERE id = '$uuid' ORDER BY 1, 2, 3");
    my $text = join "\n", map { join ' | ', map { $_ // '' } @$_ } @rows;
    $text =~ s/\Q$uuid\E/UUID/g;
    $text =~ s/20\d\d-(?!\d\d-01T20)[-T\d:.+]+Z?/TIME/g;
    $text =~ s/booking\.\d\.|SBX-\w+|hold_\w+|"bucket": \d+/X/g;
    $text =~ s/notification\.\d\.[-\w]+/MAIL/g;
    return $text;
}

subtest 'a booking of a batch leaves what one alone does' => sub {
    my $body = { partner => 'opentable', venue_id => 'rest_456',
        booking_date => '2031-01-01T20:00:00Z', party_size => 2 };
    my $alone = $j->new_id('booking');
    is($j->job('booking.create', $body, id => $alone)->{verdict}, 'done',
        'one alone');
    my $before = bookings('confirmed');
    preload(40);
    preload(1, partner => 'nobody');
    preload(1, booking_date => '2001-01-01T20:00:00Z');
    preload(1, party_size => 'two');
    preload(1, journey_id => $t->user(7));
    $j->start_workers;
    wait_for(sub { bookings('confirmed') == $before + 40 }, 30, 'confirmed');
    my ($uuid) = map { $_->[0] } $t->sql("SELECT aggregate, 1 FROM public.told
        WHERE jsonb_array_length(payload->'messages') = 2 LIMIT 1");
    ok($uuid, 'they went together');
    is(trail($uuid), trail($j->uuid_of($alone)), 'the same rows');
    my $r = $t->redis('queue');
    my %why;
    wait_for(sub {
        %why = ();
        for my $key (@{ $r->call('KEYS', 'travel:{booking.*}:job:*') }) {
            my $error = $r->call('HGET', $key, 'error') or next;
            $why{ json($error)->{code} }++
                if $r->call('HGET', $key, 'status') eq 'failed';
        }
        ($why{VALIDATION_ERROR} // 0) == 3 && $why{RESOURCE_NOT_FOUND};
    }, 30, 'those among them that cannot be') or diag explain \%why;
    $j->stop_workers;
};
$t->finish;
done_testing();
