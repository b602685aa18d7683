# The event store: versions, what the database refuses, states of the past,
# tailing without gaps, projections that are rebuilt while they are read.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start;
my $t = $j->t;
my $demo = $t->user(0);

sub worker { return $t->sql($_[0], role => 'travel_worker') }

sub refused {
    my ($sql, $why, $what) = @_;
    ok(!eval { worker($sql); 1 }, $what);
    like($@, $why, "$what: the reason");
}

my $n = 0;
sub id { return sprintf '0190aaaa-0000-7000-8000-%012x', $_[0] // ++$n }

sub append {
    my ($stream, $id, $expected, $type, $data) = @_;
    return "SELECT events.append('$stream', '$id', $expected, '$type', "
        . "'$data', '$demo', NULL, NULL)";
}

my $PLACE = '{"origin": {"place_id": %d}, "destination": {"place_id": %d}}';

subtest 'versions are expected, many streams in one transaction' => sub {
    my ($a, $b) = (id(), id());
    worker(join ';', 'BEGIN',
        append('trip', $a, 0, 'booking_requested', '{"trip_id": "t",
            "item_id": "i", "provider": "p", "details": {}}'),
        append('journey', $b, 0, 'journey.started', sprintf $PLACE, 1, 2),
        append('journey', $b, 1, 'journey.completed', '{}'), 'COMMIT');
    is(scalar worker("SELECT string_agg(type, ' ' ORDER BY version) FROM
        events.get_events('journey', '$b', 0, 10)"),
        'journey.started journey.completed', 'get_events, in order');
    is(scalar worker("SELECT type FROM
        events.get_events('journey', '$b', 1, 10)"), 'journey.completed',
        'after a version');
    is(scalar worker("SELECT count(*) FROM events.get_user_events('$demo',
        now() + interval '1 hour', 2)"), 2, 'get_user_events');
    refused(append('journey', $b, 1, 'journey.completed', '{}'),
        qr/is at version 2, not 1/, 'another version');
    refused(join(';', 'BEGIN', append('trip', $a, 1, 'booking_requested',
        '{"trip_id": "t", "item_id": "i", "provider": "p", "details": {}}'),
        append('journey', $b, 7, 'journey.completed', '{}'), 'COMMIT'),
        qr/version 2, not 7/, 'one stale stream');
    is(scalar worker("SELECT version FROM events.stream
        WHERE stream_id = '$a'"), 1, 'the others are as before');
};

subtest 'only what is declared, as it is declared' => sub {
    refused(append('trip', id(), 0, 'trip_exploded', '{}'),
        qr/events\.type has no "trip_exploded" of a trip/, 'unknown type');
    refused(append('user', id(), 0, 'journey.started', '{}'),
        qr/no "journey.started" of a user/, 'type of another aggregate');
    refused(append('trip', id(), 0, 'itinerary_generated', '{"trip_id": "t",
        "itinerary_id": "i", "version": 1.5, "items": []}'),
        qr/"version" is number, not integer/, 'a member of another type');
    refused(append('trend', id(), 0, 'trend_detected', '{"location": {}}'),
        qr/is null, not/, 'a member missing');
    worker(append('trend', id(), 0, 'trend_detected', '{"location": {},
        "trend_type": "t", "confidence": 0.5, "source": "s",
        "metadata": {}}'));
};

subtest 'append-only, whoever asks' => sub {
    for my $role (qw(travel_worker travel_owner)) {
        for my $sql ("UPDATE events.event SET data = '{}'",
            'DELETE FROM events.event', 'TRUNCATE events.event',
            'TRUNCATE events.' . 'event_default')
        {
            ok(!eval { $t->sql($sql, role => $role); 1 }, "$role: $sql");
            like($@, qr/append-only|permission denied/, 'by the database');
        }
    }
};

subtest 'no row changes without an event' => sub {
    refused("UPDATE travel.users SET name = 'x' WHERE id = '$demo'",
        qr/the user \Q$demo\E was changed without an event/, 'a silent change');
    worker(join ';', 'BEGIN',
        "UPDATE travel.users SET name = 'y' WHERE id = '$demo'",
        append('user', $demo, 'NULL', 'user.updated', '{"name": "y"}'),
        'COMMIT');
    is(scalar worker("SELECT name FROM travel.users WHERE id = '$demo'"), 'y',
        'one that is told');
    refused(join(';', 'BEGIN', append('user', $demo, 'NULL', 'user.updated',
        '{}'), 'COMMIT', "UPDATE travel.users SET name = 'z'
        WHERE id = '$demo'"), qr/without an event/,
        'an event of an earlier transaction does not count');
    # a batch is looked at when its statement ends
    refused(join(';', 'BEGIN', "SELECT set_config('travel.told', 'statement',
        true)", "INSERT INTO travel.bookings (id, user_id, partner, venue_id,
        booking_date, party_size, status) VALUES (gen_random_uuid(), '$demo',
        'opentable', 'v', now(), 2, 'pending')", 'SELECT 1/0'),
        qr/the booking [-0-9a-f]{36} was changed without an event/,
        'a silent change of a batch, before anything else is done');
    is_deeply([map { $_->[0] } $t->sql("SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'travel'::regnamespace AND c.relkind = 'r'
          AND has_table_privilege('travel_worker', c.oid, 'INSERT, UPDATE')
          AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid
                          AND tgname = 'must_tell') ORDER BY 1")],
        [qw(heartbeat journey_points life_events reminders route_counts
            route_stories)],
        'of no table but of what is no state of the product');
    my $device = sub {
        my ($id) = @_;
        worker(join ';', 'BEGIN', "INSERT INTO travel.devices (id, user_id,
            service, token) VALUES ('$id', '$demo', 'fcm', '$id')",
            append('device', $id, 'NULL', 'device.registered',
                '{"service": "fcm"}'), 'COMMIT');
    };
    my @device = (id(), id());
    $device->($_) for @device;
    worker("DELETE FROM travel.devices WHERE id = '$device[0]'");
    worker(join ';', 'BEGIN',
        "DELETE FROM travel.devices WHERE id = '$device[1]'",
        append('device', $device[1], 'NULL', 'device.removed', '{}'), 'COMMIT');
    is(scalar worker("SELECT string_agg(type, ' ' ORDER BY version) FROM
        events.event WHERE stream_id = '$_'"),
        'device.registered device.removed', 'a device that goes is told once')
        for @device;
};

subtest 'keys are made and taken back in the audit' => sub {
    my @ctl = (Travel::Test::build() . '/travelctl', 'key');
    my @conf = ('--config', $t->dir . '/jobs.conf');
    my $owner = $t->user(3);
    my ($rc, $out) = $t->run(@ctl, 'create', '--owner', $owner,
        '--permissions', 'journeys:read', @conf);
    is($rc, 0, 'a key') or diag $out;
    my ($id) = worker("SELECT id FROM credentials.api_key
        WHERE user_id = '$owner'");
    my $data = json(scalar worker("SELECT data FROM
        events.get_user_events('$owner', 'infinity', 1)"));
    is($data->{key}, $id->[0], 'its id is told');
    is_deeply($data->{permissions}, ['journeys:read'], 'what it may');
    my ($secret) = $out =~ /([0-9A-Za-z_-]{30,})/;
    is(scalar worker("SELECT count(*) FROM events.event
        WHERE data::text LIKE '%$secret%'"), 0, 'but not the key itself');
    worker("UPDATE credentials.api_key SET revoked_at = now()
        WHERE user_id = '$owner'") for 1, 2;
    is(scalar worker("SELECT string_agg(type, ' ' ORDER BY version) FROM
        events.event WHERE user_id = '$owner'"), 'key.created key.revoked',
        'each once');
    is(scalar worker("SELECT events.state_at('key', stream_id, now())
        ->> 'status' FROM events.event WHERE type = 'key.revoked'"), 'revoked',
        'and its state');
};

# One row as its events tell it, and as it is; updated_at of rows that a
# failure wrote is the transaction's, not the event's.
sub differs {
    my ($table, $type, $json) = @_;
    return $t->sql("SELECT x.id, x.a, x.b FROM (SELECT r.id,
        travel.${json}_json(r)::jsonb - 'updated_at' AS a,
        travel.${type}_at(r.id, now())::jsonb - 'updated_at' AS b
        FROM travel.$table AS r) AS x WHERE a IS DISTINCT FROM b");
}

subtest 'rows are what their events say' => sub {
    my $user = '0190bbbb-0000-7000-8000-000000000001';
    my @by = (sub => $user);
    my $y = $j->job('journey.start', { origin => 'Berlin',
        destination => 'Hamburg' }, @by)->{result};
    $j->job('story.generate', { journey_id => $y->{id}, theme => 'history' },
        @by);
    my %b = (partner => 'opentable', venue_id => 'v', party_size => 2,
        booking_date => '2030-03-01T19:00:00+01:00');
    my $kept = $j->job('booking.create', \%b, @by)->{result};
    my $gone = $j->job('booking.create', { %b, journey_id => $y->{id} },
        @by)->{result};
    is($gone->{status}, 'confirmed', 'booked');
    my $before = $t->sql('SELECT clock_timestamp()');
    is($j->job('booking.cancel', { booking_id => $gone->{id} }, @by,
        key => $gone->{id})->{result}{status}, 'cancelled', 'cancelled');
    $j->mode('refuse');
    is($j->job('booking.create', \%b, @by)->{verdict}, 'reject', 'refused');
    $j->mode('');

    is_deeply([differs(@$_)], [], "$_->[0]")
        for ['journeys', 'journey', 'journey'], ['stories', 'story', 'story'],
        ['bookings', 'booking', 'booking'];
    is(scalar $t->sql("SELECT type FROM events.event WHERE stream_type = 'user'
        AND stream_id = '$user'"), 'user.created', 'the new caller');

    is_deeply(json(scalar $t->sql("SELECT travel.booking_at('$gone->{id}',
        '$before')")), $gone, 'as it was before it was cancelled');
    is(scalar $t->sql("SELECT travel.booking_at('$gone->{id}',
        '2020-01-01')"), undef, 'as it was before it was');
    is(scalar $t->sql("SELECT string_agg(travel.booking_at('$gone->{id}',
        e.created_at)->>'status', ' ' ORDER BY version) FROM events.event AS e
        WHERE stream_id = '$gone->{id}'"), 'pending confirmed confirmed '
        . 'cancelling cancelled cancelled', 'each state it went through');

    my $made = $t->sql('SELECT events.take_snapshots(2, 100)');
    cmp_ok($made, '>', 0, 'snapshots');
    is(scalar $t->sql('SELECT events.take_snapshots(2, 100)'), 0,
        'not twice');
    is_deeply([differs('bookings', 'booking', 'booking')], [],
        'the same with snapshots');
    is_deeply(json(scalar $t->sql("SELECT travel.booking_at('$gone->{id}',
        '$before')")), $gone, 'and before them');
};

subtest 'months come and go' => sub {
    my $have = $t->sql("SELECT count(*) FROM pg_inherits
        WHERE inhparent = 'events.event'::regclass");
    is(scalar worker('SELECT events.ensure_partitions(24)'), 0,
        'those ahead are there');
    is(scalar worker('SELECT events.ensure_partitions(26)'), 2, 'two more');
    my ($new) = $t->sql("SELECT to_char(date_trunc('month', now() AT TIME ZONE
        'UTC') + interval '26 months', 'YYYY_MM')");
    ok(!eval { $t->sql("TRUNCATE events.event_$new->[0]"); 1 },
        'a new one is guarded');
    my $id = id();
    $t->sql("CREATE TABLE events.event_2019_02 PARTITION OF events.event
        FOR VALUES FROM ('2019-02-01') TO ('2019-03-01');
        INSERT INTO events.stream VALUES ('journey', '$id', 1);
        INSERT INTO events.event (stream_type, stream_id, version, type, data,
        created_at) VALUES ('journey', '$id', 1, 'journey.started',
        '{\"theme\": \"old\"}', '2019-02-10')");
    is(scalar worker("SELECT events.archive('2 years')"), 1, 'one archived');
    is(scalar $t->sql("SELECT count(*) FROM events.event WHERE stream_id =
        '$id'"), 0, 'its events are no longer in the store');
    is(scalar $t->sql('SELECT count(*) FROM events_archive.event_2019_02'), 1,
        'but in the archive');
    is(scalar $t->sql("SELECT events.state_at('journey', '$id', now())
        ->> 'theme'"), 'old', 'and the state is known');
};

# psql sessions that stay, to hold transactions open.
my $sessions = 0;
sub session {
    my $dir = readlink $t->dir . '/pg';
    my $log = $t->dir . '/session' . ++$sessions;
    local $ENV{PGPASSFILE} = $t->dir . '/keys/pgpass';
    open my $in, '|-', "/usr/bin/psql -XAtq -d 'host=$dir dbname=travel "
        . "user=travel_worker' >$log 2>&1" or die $!;
    $in->autoflush(1);
    return { in => $in, log => $log, said => 0 };
}

sub say_to {
    my ($s, $sql) = @_;
    my $n = ++$s->{said};
    print { $s->{in} } "$sql;\n\\echo said $n\n";
    wait_for(sub { slurp($s->{log}) =~ /^said $n$/m }, 10, $sql)
        or diag slurp($s->{log});
}

sub tail_all {
    my ($state) = @_;
    my $to = worker("SELECT events.horizon('$state->{from}', 3)");
    push @{ $state->{got} }, map { $_->[0] } worker("SELECT stream_id || '.' ||
        version FROM events.tail('$state->{from}', '$to')");
    my $moved = $to ne $state->{from};
    $state->{from} = $to;
    return $moved;
}

subtest 'a tail has no gaps and versions in order' => sub {
    my %s = (from => 0, got => []);
    1 while tail_all(\%s) && @{ $s{got} } < 1000;
    is(scalar @{ $s{got} }, $t->sql('SELECT count(*) FROM events.event'),
        'all there are');
    $s{got} = [];
    my ($x, $y, $z) = (id(), id(), id());
    my ($early, $long) = (session(), session());
    say_to($early, 'BEGIN; SELECT pg_current_xact_id()');
    say_to($long, 'BEGIN; ' . append('journey', $z, 0, 'journey.started',
        sprintf $PLACE, 5, 6));
    worker(append('journey', $x, 0, 'journey.started', sprintf $PLACE, 1, 2));
    1 while tail_all(\%s);
    is_deeply($s{got}, [], 'nothing while an earlier transaction is open');
    say_to($early, append('journey', $x, 1, 'journey.completed', '{}')
        . '; COMMIT');
    1 while tail_all(\%s);
    is_deeply($s{got}, [], 'version 2 waits for version 1, which is held up');
    worker(append('journey', $y, 0, 'journey.started', sprintf $PLACE, 3, 4));
    say_to($long, 'COMMIT');
    1 while tail_all(\%s) && @{ $s{got} } < 10;
    is_deeply([sort @{ $s{got} }], [sort "$x.1", "$x.2", "$y.1", "$z.1"],
        'then all, each once');
    is_deeply([grep { /^$x/ } @{ $s{got} }], ["$x.1", "$x.2"],
        'in the order of versions');
    close $_->{in} for $early, $long;
};

subtest 'projections' => sub {
    my $ran = sub { my ($g) = @_; my $sum = 0; while (1) {
        my $k = worker("SELECT events.project('popular_routes', $g, 2)");
        last if $k <= 0; $sum += $k } return $sum };
    my $counts = sub { return join ' ', map { join ':', @$_ } worker("SELECT
        origin_place_id, destination_place_id, journeys FROM travel.route_counts
        WHERE generation = events.generation('popular_routes')
        ORDER BY 1, 2") };
    cmp_ok($ran->(1), '>', 10, 'events taken in');
    my $first = $counts->();
    like($first, qr/1:2:2 3:4:1 5:6:1/, 'counted');
    is($ran->(1), 0, 'nothing twice');
    is(scalar worker("SELECT events.rebuild('popular_routes')"), 2,
        'a rebuild begins');
    is(scalar worker("SELECT events.switch('popular_routes', 2)"), 'f',
        'not live before it has caught up');
    is($counts->(), $first, 'readers see the old one');
    worker(append('journey', id(), 0, 'journey.started',
        sprintf $PLACE, 1, 2));
    $ran->(2);
    $ran->(1);
    is(scalar worker("SELECT events.switch('popular_routes', 2)"), 't',
        'live') or diag explain [worker('SELECT * FROM events.projection')];
    is($counts->(), $first =~ s/1:2:2/1:2:3/r, 'the same, and the news');
    is(scalar worker('SELECT count(DISTINCT generation) FROM
        travel.route_counts'), 1, 'the old rows are gone');
};

# As every booking of his does until its transaction is over.
subtest 'a user whom another transaction looks at keeps no job waiting' => sub {
    my $s = session();
    say_to($s, "BEGIN; SELECT FROM travel.users WHERE id = '$demo'
        FOR KEY SHARE");
    my $r = $j->job('booking.create', { partner => 'opentable',
        venue_id => 'rest_456', party_size => 2,
        booking_date => '2036-03-01T19:00:00Z' });
    is($r->{verdict}, 'done', 'a booking of his') or diag $r->{output};
    say_to($s, 'ROLLBACK');
    close $s->{in};
};

$t->finish;
done_testing;
