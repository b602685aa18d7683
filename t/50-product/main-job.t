# The main job, all six steps, through nginx with the shipped limits on.  What
# is asserted is what the outside saw: the HTTP client, the partner's log, the
# SMTP receiver, the OTLP receiver.
#
# TRAVEL_BREAK=N breaks step N by configuration, and ends with it; broken.t runs
# this file so, to show that each step can fail.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my %BREAK = (
    1 => [ edit_workers => sub { $_ .= queues_but('journey') } ],
    2 => [ edit_workers => sub { $_ .= queues_but('ai') } ],
    3 => [ edit_workers => sub { s/\@PORT_SANDBOX\@/9/ } ],
    4 => [ edit => sub { s/(travel_postgres .*?dbname=)travel/${1}nowhere/g } ],
    5 => [ edit => sub {
        s/(server_name _;)/$1 if (\$request_method = DELETE) { return 405; }/ } ],
    6 => [ edit => sub { s/\@PORT_OTLP\@/9/ } ],
);
my $broken = $ENV{TRAVEL_BREAK};
my $wait   = $broken ? 3 : 10;

# A broken run need not be slow as well; the real one has the shipped limits.
my $t = Travel::Test->start($broken ? (@{ $BREAK{$broken} },
    env => { TRAVEL_LIMITS => 'limits-open.conf' }) : ());

sub queues_but {
    my ($none) = @_;
    return 'queues = { ' . join(', ', map { qq("$_") } grep { $_ ne $none }
        qw(journey booking ai notification analytics content account
           maintenance)) . " }\n";
}

my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
my $caller = '00f067aa0ba902b7';
my $token = $t->user_token(0);

# A traveller who knows his limit, 10 requests in 10 s, and keeps to it: waits
# until the next n can be sent in one go.
my @asked;

sub room_for {
    my ($n) = @_;
    return if $broken;
    while (1) {
        shift @asked while @asked && $asked[0] < time - 10.2;
        return if @asked + $n <= 10;
        sleep 0.1;
    }
}

sub as_traveller {
    my (%more) = @_;
    room_for(1);
    push @asked, time;
    return (token => $token, headers => {
        traceparent => "00-$trace-$caller-01",
        prefer      => "wait=$wait", %more,
    });
}

# BAIL_OUT would hide the other steps; a step that cannot go on fails and
# the next ones say why they could not run.
sub step {
    my ($n, $what, $code) = @_;
    return if $broken && $n > $broken;
    subtest "step $n: $what" => sub {
        eval { $code->(); 1 } or fail("step $n went on: $@");
        done_testing;
    };
}

my ($journey, $story, $booking, $doomed);

wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready') unless $broken;

step 1, 'a journey between two real places' => sub {
    my $r = $t->post('/api/v1/journeys', {
        origin => 'San Francisco, California', destination => 'Los Angeles, US',
        theme => 'history',
    }, as_traveller());
    is($r->{status}, 201, 'created, within the wait') or diag($r->{content});
    $journey = $r->{json} or die "no journey\n";
    like($journey->{id}, qr/^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'a UUIDv7');
    is($r->{headers}{location}, "/api/v1/journeys/$journey->{id}", 'Location');
    # great circle between the gazetteer's two points
    cmp_ok(abs($journey->{distance_miles} - 347.4), '<', 3, 'distance_miles');
    like($journey->{distance_miles}, qr/^\d+(?:\.\d)?$/, 'one decimal');
    is($journey->{origin}{name}, 'San Francisco', 'origin resolved');
    ok($journey->{origin}{place_id}, 'and names its place');
    is($journey->{theme}, 'history', 'theme');
};

step 2, 'a story of real places on the way' => sub {
    die "no journey\n" unless $journey;
    my $r = $t->post("/api/v1/journeys/$journey->{id}/stories", {},
        as_traveller());
    is($r->{status}, 201, 'written within the wait') or diag($r->{content});
    my $id = $r->{json}{id} or die "no story\n";
    $story = $t->get("/api/v1/stories/$id", as_traveller())->{json};
    is($story->{status}, 'ready', 'GET shows it');
    is($story->{journey_id}, $journey->{id}, 'of that journey');
    my @places = @{ $story->{places} || [] };
    cmp_ok(scalar @places, '>=', 3, 'names places');
    for my $p (@places) {
        my ($name) = $t->sql("SELECT name FROM travel.place WHERE id = "
            . int $p->{place_id});
        is($name->[0], $p->{name}, "$p->{name} is a real place");
        like($story->{content}, qr/\Q$p->{name}\E/, '... and in the text');
    }
    my $list = $t->get("/api/v1/journeys/$journey->{id}/stories",
        as_traveller())->{json};
    is($list->{items}[0]{id}, $id, 'and is in the list');
};

step 3, 'a table for the evening' => sub {
    die "no journey\n" unless $journey;
    my $r = $t->post('/api/v1/bookings', {
        partner => 'opentable', venue_id => 'rest_456', party_size => 4,
        booking_date => '2030-03-01T19:00:00+01:00',
        journey_id => $journey->{id},
    }, as_traveller(prefer => 'respond-async'));
    is($r->{status}, 202, 'promised') or diag($r->{content});
    is($r->{json}{status}, 'pending', 'pending');
    is($r->{headers}{'preference-applied'}, 'respond-async', 'preference');
    my $id = $r->{json}{id} or die "no booking\n";
    is($r->{headers}{location}, "/api/v1/bookings/$id", 'Location');
    my $job = $r->{json}{job};
    is($job->{status_url}, "/api/v1/jobs/$job->{id}", 'status_url');

    my $now = $t->get("/api/v1/bookings/$id", as_traveller());
    is($now->{status}, 200, 'read at once: never a 404');
    like($now->{json}{status}, qr/^(?:pending|confirmed)$/, 'and its state');

    my $s = $t->get($job->{status_url}, as_traveller());
    is($s->{json}{status}, 'succeeded', 'the job ends, waiting not polling')
        or diag($s->{content});
    $booking = $t->get("/api/v1/bookings/$id", as_traveller())->{json};
    is($booking->{status}, 'confirmed', 'confirmed');
    cmp_ok($booking->{amount_cents}, '>', 0, 'an amount');
    is($booking->{commission_cents},
        int($booking->{amount_cents} * 800 / 10000 + 0.5), 'commission');

    my @calls = grep { ($_->{idempotency_key} // '') =~ /\Q$id\E/ }
        $t->partner_calls;
    is(scalar(grep { $_->{uri} =~ m{/v1/holds$} } @calls), 1, 'one hold');
    is(scalar(grep { $_->{uri} =~ m{/confirm$} } @calls), 1, 'one confirm');

    my $mail = wait_for(sub {
        (grep { ($_->{text} // '') =~ /\Q$booking->{confirmation_number}\E/ }
            $t->mails)[0]
    }, $wait, 'the mail') or die "no mail\n";
    is($mail->{to}[0], 'demo@travel.local', 'to the traveller');

    is_deeply([map { $_->[0] } $t->sql("SELECT type FROM events.event "
        . "WHERE stream_id = '$id' ORDER BY version")],
        [qw(booking.created booking.confirmed commission.calculated)],
        'domain events');
};

step 4, 'reads that are never older than the own write' => sub {
    die "no booking\n" unless $booking;
    my $list = $t->get('/api/v1/journeys?limit=10', as_traveller());
    is($list->{status}, 200, 'the list');
    ok((grep { $_->{id} eq $journey->{id} } @{ $list->{json}{items} }),
        'has the journey');
    my $again = $t->get('/api/v1/journeys?limit=10', as_traveller());
    is($again->{content}, $list->{content}, 'the same bytes again');
    for my $n (1 .. 5) {
        room_for(2);
        my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
            destination => 'Hartford, US', theme => 'food' }, as_traveller());
        my $seen = $t->get('/api/v1/journeys?limit=10', as_traveller());
        is($seen->{json}{items}[0]{id}, $r->{json}{id} // 'none',
            "write $n is in the list at once");
    }
};

step 5, 'cancelled, also right after it was asked for' => sub {
    die "no booking\n" unless $booking;
    my $r = $t->delete("/api/v1/bookings/$booking->{id}", as_traveller());
    like($r->{status}, qr/^20[02]$/, 'accepted') or diag($r->{content});
    is($t->get("/api/v1/bookings/$booking->{id}", as_traveller())
        ->{json}{status}, 'cancelled', 'cancelled');
    ok((grep { $_->{method} eq 'DELETE'
        && $_->{uri} =~ /\Q$booking->{confirmation_number}\E/ }
        $t->partner_calls), 'at the partner');
    my ($reversed) = $t->sql("SELECT count(*) FROM events.event WHERE "
        . "stream_id = '$booking->{id}' AND type = 'commission.reversed'");
    is($reversed->[0], 1, 'commission.reversed');
    my $twice = $t->delete("/api/v1/bookings/$booking->{id}", as_traveller());
    is($twice->{status}, 409, 'a second time is refused');
    is($twice->{json}{error}{code}, 'BOOKING_NOT_CANCELLABLE', 'with the code');

    # The cancel is sent without a look whether the create is done.
    room_for(2);
    my $new = $t->post('/api/v1/bookings', {
        partner => 'klook', venue_id => 'rest_789', party_size => 2,
        booking_date => '2030-03-02T19:00:00Z',
    }, as_traveller(prefer => 'respond-async'));
    $doomed = $new->{json}{id} or die "no booking\n";
    my $cancel = $t->delete("/api/v1/bookings/$doomed",
        as_traveller(prefer => 'respond-async'));
    is($cancel->{status}, 202, 'DELETE right after POST') or
        diag($cancel->{content});
    is($cancel->{json}{status}, 'cancelling', 'cancelling');
    my $end = $t->get($cancel->{json}{job}{status_url}, as_traveller());
    is($end->{json}{status}, 'succeeded', 'is done') or diag($end->{content});
    is_deeply([map { $_->[0] } $t->sql("SELECT type FROM events.event "
        . "WHERE stream_id = '$doomed' ORDER BY version")],
        [qw(booking.created booking.confirmed commission.calculated
            booking.cancelling booking.cancelled commission.reversed)], 'and came second');
};

step 6, 'one trace of it all' => sub {
    die "no booking\n" unless $booking;
    my %span;
    # A process span is named after its queue; what it processed is beside it.
    my $name = sub { join ' ', $_[0]{name},
        $_[0]{attributes}{'travel.job.type'} // () };
    my $have = sub {
        %span = map { $_->{span_id} => $_ }
            grep { $_->{trace_id} eq $trace } $t->spans;
        my @of = values %span;
        return (grep { $name->($_) =~ /notification\.email/ } @of)
            && (grep { $_->{name} eq 'DELETE bookings.cancel'
                || $_->{name} =~ /booking\.cancel/ } @of);
    };
    wait_for($have, $wait, 'the spans of the cancel and the mail')
        or die 'only: ' . join(', ', map { $_->{name} } values %span) . "\n";
    sleep 2;      # the exporters' last batches
    $have->();

    # From the partner's confirm call up to the client's own span.
    my %service = map { ($_->{resource}{'service.name'} // '') => 1 }
        values %span;
    is(scalar(grep { /^travel-/ } keys %service), 2, 'both sides')
        or diag(join ' ', keys %service);
    my $path_to_root = sub {
        my ($s) = @_;
        my @names = (join ' ', $name->($s),
            $s->{attributes}{'url.full'} // ());
        while ($s = $span{ $s->{parent_span_id} }) {
            push @names, $name->($s);
            last if @names > 20;
        }
        return join ' < ', @names;
    };
    my %seen = map { $path_to_root->($_) => 1 } values %span;
    my @paths = sort keys %seen;
    for my $want (
        [ qr/confirm.* < .*process.*booking\.create.* < .*booking\.create.* < POST/i,
          'partner call < job < enqueue < edge' ],
        [ qr/(?:INSERT|SELECT|UPDATE|COMMIT).* < .*process.*booking\.create/i, 'SQL < job' ],
        [ qr/(?:smtp|mail|send).* < .*process.*notification\.email/i, 'mail < job' ],
        [ qr/process.*story\.generate.* < .*story\.generate.* < POST/i,
          'story job < enqueue < edge' ],
    ) {
        ok((grep { $_ =~ $want->[0] } @paths), $want->[1])
            or diag(join "\n", @paths);
    }
    my @roots = grep { !$span{ $_->{parent_span_id} } } values %span;
    is_deeply([grep { $_->{parent_span_id} ne $caller } @roots], [],
        'every root is a child of the client\'s span');
    my ($process) = grep { $name->($_) =~ /process.*booking\.create/ }
        values %span;
    ok(@{ $process->{links} || [] }, 'the job links its enqueue span');
    my $send = $span{ $process->{parent_span_id} };
    is($send->{name}, 'send booking', 'by the queue\'s name');
    is($send->{kind}, 'producer', 'which is a producer\'s');
    is($send->{attributes}{"messaging.$_->[0]"}, $_->[1], "messaging.$_->[0]")
        for ['system', 'redis'], ['operation.name', 'send'],
            ['operation.type', 'send'], ['destination.name', 'booking'],
            ['message.id', $process->{attributes}{'messaging.message.id'}];
};

$t->finish;
done_testing;
