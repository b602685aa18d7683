# What was: ?as_of= through nginx, one's own events, the ways most travelled,
# and the same by travelctl.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox workers nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' });
my @me = (token => $t->user_token(0));
my @you = (token => $t->user_token(1));

sub ctl {
    return $t->ctl(@_, '--config', $t->dir . '/workers.conf');
}

my @wait = (headers => { prefer => 'wait=10' });

my $y = $t->post('/api/v1/journeys', { origin => 'Berlin',
    destination => 'Hamburg', theme => 'history' }, @me, @wait)->{json};
my $r = $t->post('/api/v1/bookings', { partner => 'opentable',
    venue_id => 'v', party_size => 2, journey_id => $y->{id},
    booking_date => '2030-03-01T19:00:00Z' }, @me, @wait);
my $booked = $r->{json};
is($booked->{status}, 'confirmed', 'booked') or diag $r->{content};
my $path = "/api/v1/bookings/$booked->{id}";
my $then = $t->sql("SELECT travel.rfc3339(max(created_at) + '1 ms') FROM
    events.event WHERE stream_id = '$booked->{id}'");
$t->delete($path, @me, @wait);

subtest 'as of' => sub {
    is(json($t->get($path, @me)->{content})->{status}, 'cancelled', 'now');
    my $r = $t->get("$path?as_of=$then", @me);
    is($r->{status}, 200, 'then: 200');
    is_deeply(json($r->{content}), $booked, 'as it was');
    is($t->get("$path?as_of=2020-01-01T00:00:00Z", @me)->{status}, 404,
        'before it was made');
    is($t->get("$path?as_of=$then", @you)->{status}, 404, 'of somebody else');
    is($t->get("$path?as_of=yesterday", @me)->{status}, 422, 'no time');
    $r = $t->get("/api/v1/journeys/$y->{id}?as_of=$then", @me);
    is_deeply(json($r->{content}), json($t->get("/api/v1/journeys/$y->{id}",
        @me)->{content}), 'a journey');
};

subtest 'events' => sub {
    my (@types, $next);
    for (1 .. 10) {
        my $r = json($t->get('/api/v1/events?limit=3' . ($next ? "&cursor=$next"
            : ''), @me)->{content});
        push @types, map { $_->{type} } @{ $r->{items} };
        $next = $r->{next_cursor} or last;
    }
    is_deeply([reverse @types], [qw(journey.started booking.created
        booking.confirmed commission.calculated booking.cancelling
        booking.cancelled commission.reversed)], 'all, by pages');
    my $r = json($t->get("/api/v1/events?of=$y->{id}", @me)->{content});
    is_deeply([map { "$_->{aggregate} $_->{version}" } @{ $r->{items} }],
        ['journey 1'], 'of one aggregate');
    my $some = sub { join ' ', map { $_->{type} }
        @{ json($t->get("/api/v1/events?$_[0]", @me)->{content})->{items} } };
    is($some->('type=booking.confirmed'), 'booking.confirmed', 'of one type');
    is($some->("from=$then"),
        'commission.reversed booking.cancelled booking.cancelling', 'since then');
    is($some->("until=$then&of=$y->{id}"), 'journey.started', 'before then');
    is($some->("of=$booked->{id}&type=booking.created"), 'booking.created',
        'of one aggregate and type');
    is(scalar @{ json($t->get("/api/v1/events?of=$y->{id}", @you)->{content})
        ->{items} }, 0, 'nobody sees those of another\'s');
    my @by = ();
    $next = undef;
    for (1 .. 9) {
        my $r = json($t->get("/api/v1/events?of=$booked->{id}&limit=2" . ($next
            ? "&cursor=$next" : ''), @me)->{content});
        push @by, map { $_->{version} } @{ $r->{items} };
        $next = $r->{next_cursor} or last;
    }
    is_deeply(\@by, [reverse 1 .. 6], 'of one aggregate, by pages');
    is($t->get('/api/v1/events?of=x', @me)->{status}, 422, 'no id');
    is($t->get('/_travel/events/of', @me)->{status}, 404, 'no way behind it');
    is($t->get('/api/v1/events?from=today', @me)->{status}, 422, 'no time');
    is(scalar @{ json($t->get('/api/v1/events', @you)->{content})->{items} },
        0, 'nobody sees those of others');
    is($t->get('/api/v1/events')->{status}, 401, 'nor without a name');
};

subtest 'travelctl' => sub {
    my ($rc, $out) = ctl('events', 'list', 'booking', $booked->{id});
    is($rc, 0, 'events list');
    is(scalar(() = $out =~ /^\S+Z  booking  $booked->{id}  /mg), 6, 'six');
    (undef, $out) = ctl('events', 'list', '--user', $t->user(0));
    like($out, qr/commission\.reversed.*journey\.started/s, '--user');
    is((ctl('events', 'list', 'booking'))[0], 2, 'half a name');
    (undef, $out) = ctl('events', 'list', '--user', $t->user(0), '--from',
        $then);
    is(scalar(() = $out =~ /^\S+Z  /mg), 3, '--from');
    (undef, $out) = ctl('events', 'list', 'booking', $booked->{id}, '--until',
        $then);
    is(scalar(() = $out =~ /^\S+Z  /mg), 3, '--until');
    for (['list', '--user', 'me'], ['list', 'booking', 'x'],
        ['state', 'booking', 'x'],
        ['state', '--as-of', 'noon', 'booking', $booked->{id}])
    {
        ($rc, $out) = ctl('events', @$_);
        is($rc, 2, "events @$_: exit 2");
        like($out, qr/UUID|with its offset/, 'and what to write');
    }
    ($rc, $out) = ctl('projection', 'rebuild', 'none');
    is($rc, 1, 'no such projection');
    like($out, qr/there is no projection none/, 'and told so');
    (undef, $out) = ctl('events', 'state', '--as-of', $then, 'booking',
        $booked->{id});
    is(json($out)->{status}, 'confirmed', 'events state');
    is((ctl('events', 'state', 'booking', $t->user(5)))[0], 1, 'none');
    like((ctl('events', 'types'))[1], qr/^trip_created +trip +trip-events/m,
        'events types');
    like((ctl('projection', 'list'))[1], qr/^popular_routes +1  live  /,
        'projection list');
    like((ctl('projection', 'rebuild', 'popular_routes'))[1],
        qr/^popular_routes: [78] events/, 'projection rebuild');
    like((ctl('projection', 'list'))[1], qr/^popular_routes +2  live  /,
        'the next generation');
    my $r = json($t->get('/api/v1/routes/popular')->{content});
    is(scalar @{ $r->{items} }, 1, 'the ways most travelled');
    is($r->{items}[0]{destination}{name}, 'Hamburg', 'one of them');
};

subtest 'keys of travelctl open what is shipped' => sub {
    my ($rc, $key) = ctl('key', 'create', '--owner', $t->user(0),
        '--permissions', 'bookings:read');
    is($rc, 0, 'key create') or diag $key;
    $key =~ s/\s+\z//;
    my @key = (headers => { 'x-api-key' => $key });
    is($t->get($path, @key)->{status}, 200, 'it lets in');
    is($t->get("/api/v1/journeys/$y->{id}", @key)->{status}, 403,
        'where it may');
    is((ctl('key', 'revoke', $key =~ /^trv_([0-9a-f]+)_/))[0], 0, 'key revoke');
    wait_for(sub { $t->get($path, @key)->{status} == 401 }, 5, 'a refusal');
};

subtest 'the shipped purge' => sub {
    my $place = '/api/v1/personalities';
    wait_for(sub { $t->get($place)->{headers}{age} }, 10, 'a kept answer');
    my ($rc, $out) = $t->ctl('cache', 'purge', '--route',
        'personalities.list');
    is($rc, 0, 'travelctl cache purge') or diag $out;
    is($t->get($place)->{headers}{age}, undef, 'it is made anew');
    ($rc, $out) = $t->run('/usr/bin/env', '-u', 'PORT', Travel::Test::build()
        . '/travelctl', 'cache', 'purge', '--all', '--soft');
    is($rc, 0, 'its port is known from the start') or diag $out;
};

subtest 'a gazetteer that is loaded anew' => sub {
    my $place = '/api/v1/places?q=Hamburg';
    my $first = sub { $t->get($place)->{json}{items}[0] };
    wait_for(sub { $t->get($place)->{headers}{age} }, 10, 'a kept answer');
    my $was = $first->();
    $t->sql("UPDATE travel.place SET population = population + 1
        WHERE id = $was->{place_id}");
    is_deeply($first->(), $was, 'rows alone tell nobody');
    $t->sql("UPDATE travel.dataset SET version = 'old'
        WHERE name = 'world-countries'");
    $t->script('load-data.sh');
    ok(wait_for(sub { $first->()->{population} == $was->{population} + 1 }, 20,
        'what the loader tells'), 'caches are told by the loader');
    my $job = $t->sql("SELECT jobs.tell_stale('{a b}')");
    my $said;
    ok(wait_for(sub { my ($key) = @{ $t->redis('queue')->call('KEYS',
        "travel:{maintenance.*}:job:$job") } or return 0;
        my %h = @{ $t->redis('queue')->call('HGETALL', $key) };
        $said = $h{error}; $h{status} eq 'failed' }, 20, 'a refusal'),
        'what is no tag is refused');
    like($said, qr/without blanks/, 'and told so');
};

subtest 'the state of any aggregate' => sub {
    my $trip = $t->post('/api/v1/trips', { destination => 'Hamburg',
        starts_on => '2030-05-01', ends_on => '2030-05-03' }, @me, @wait);
    is($trip->{status}, 201, 'a trip') or diag $trip->{content};
    my $id = $trip->{json}{id};
    my $at = "/api/v1/events/state?type=trip&id=$id";
    my $state;
    ok(wait_for(sub { $state = $t->get($at, @me); $state->{status} == 200 }, 10,
        'its state'), 'is there now');
    is(json($state->{content})->{trip_id}, $id, 'as its events tell it');
    is($t->get("$at&as_of=$then", @me)->{status}, 404, 'before it was made');
    is($t->get($at, @you)->{status}, 404, 'of somebody else');
    is(json($t->get("/api/v1/events/state?type=booking&id=$booked->{id}&as_of="
        . $then, @me)->{content})->{status}, 'confirmed', 'a booking as it was');
    is($t->get('/api/v1/events/state?type=trip&id=x', @me)->{status}, 422,
        'no id');
};

# The rows that a plan takes from the events' partitions.
sub rows_read {
    my ($node) = @_;
    return ($node->{'Relation Name'} // '') =~ /^event_/
        ? $node->{'Actual Rows'} + ($node->{'Rows Removed by Filter'} // 0)
        : 0 if !$node->{Plans};
    my $rows = 0;
    $rows += rows_read($_) for @{ $node->{Plans} };
    return $rows;
}

# 100,000 events of one user: of a type that is everywhere, of one that is seldom
# and old, of one long aggregate; and a stranger's long one.
subtest 'a page of them reads a page' => sub {
    my ($mine, $long, $his) = ($t->user(2), $t->user(900), $t->user(901));
    my $add = sub {
        my ($user, $id, $type, $n, $ago) = @_;
        my ($stream) = $type =~ /^([a-z]+)/;
        return "INSERT INTO events.event (stream_type, stream_id, version, type,
            data, user_id, created_at) SELECT '$stream', $id, n, '$type', '{}',
            '$user', now() - interval '$ago' + make_interval(secs => n / 10.0)
            FROM generate_series(1, $n) AS n";
    };
    $t->sql(join ';', $add->($mine, 'gen_random_uuid()', 'journey.completed',
        60000, '4 h'), $add->($mine, "'$long'", 'booking.created', 39900, '3 h'),
        $add->($mine, 'gen_random_uuid()', 'trip_created', 100, '9 h'),
        $add->($t->user(3), "'$his'", 'booking.created', 20000, '3 h'),
        'ANALYZE events.event');
    my %type = (viewer => 'uuid', of => 'uuid', type => 'text',
        from => 'timestamptz', until => 'timestamptz', size => 'integer');
    my $n = 0;
    my %at = map { $_ => ++$n } sort keys %type;
    my $ask = sub {
        my ($name, $mode, $where, %arg) = @_;
        @arg{qw(viewer size)} = ("'$mine'", 20);
        my $text = slurp("conf/travel/queries/$name.sql");
        my ($order) = $text =~ /^-- \@cursor +(.*)$/m;
        (my $sql = $text) =~ s/^--.*\n//mg;
        $sql =~ s/(?<!:):(\w+)/\$$at{$1}/g;
        my @plan = $t->sql(join ';', "SET plan_cache_mode = force_${mode}_plan",
            'PREPARE page (' . join(', ', map { $type{$_} } sort keys %type)
            . ") AS SELECT * FROM ($sql) AS q $where "
            . "ORDER BY $order LIMIT \$$at{size} + 1",
            'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE page ('
            . join(', ', map { $arg{$_} // 'NULL' } sort keys %type) . ')');
        return json(join '', map { $_->[0] } @plan)->[0]{Plan};
    };
    my $then = "now() - interval '3.5 h'";
    for my $case (['events.list', 'the first', ''],
        ['events.list', 'one in the middle', "WHERE q.at <= $then AND (q.at <
            $then OR (q.at = $then AND q.pos < 5))"],
        ['events.list', 'of some time', '', until => $then,
            from => "now() - interval '5 h'"],
        ['events.by_type', 'of a type', '', type => "'journey.completed'"],
        ['events.by_type', 'of a seldom one', '', type => "'trip_created'"],
        ['events.by_type', 'of a type, in the middle', "WHERE q.at <= $then AND
            (q.at < $then OR (q.at = $then AND q.pos < 5))",
            type => "'journey.completed'"],
        ['events.of', 'of a long aggregate', '', of => "'$long'"],
        ['events.of', 'in the middle of one', 'WHERE q.version < 300',
            of => "'$long'"],
        ['events.of', "of a stranger's", '', of => "'$his'"])
    {
        my ($query, $name, $where, %arg) = @$case;
        # A plan for any aggregate takes them for short, and sorts one's events.
        for my $mode ('custom', $arg{of} && $name !~ /stranger/ ? ()
            : 'generic')
        {
            my $plan = $ask->($query, $mode, $where, %arg);
            is($plan->{'Actual Rows'}, $name =~ /stranger/ ? 0 : 21,
                "$name: a page");
            cmp_ok(rows_read($plan), '<=', 60, "$name: of 100,000 events few "
                . "are read, $mode plan");
            cmp_ok($plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'},
                '<=', 400, '... and few pages');
        }
    }
};

$t->finish;
done_testing;
