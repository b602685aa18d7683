# Many commands in one request, as a JSON array and as NDJSON: what goes in and
# in which order, what is told of each, keys, bounds, and a queue that fails.
use strict;
use warnings;
use IO::Compress::Gzip ();
use Test::More;
no warnings "portable";
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'postgres queue cache nginx',
    ngx_workers => 1,
    allow_5xx   => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        my $auth = 'travel_auth required jwks=main audience=travel;';
        s{(location = /health )}{location = /many { $auth
            travel_command POST booking.create check=bookings.precheck wait=10s
                           batch=20 max_body=2k; }
        location = /final { $auth
            travel_command POST booking.create batch=20 require=final
                           idempotency=required; }
        location = /one { $auth
            travel_command POST life_event.record batch=50 batch_jobs=one
                           max_body=1k; }
        location = /alike { $auth
            travel_command POST booking.create batch=20
                           unique=\$travel_user,/partner,/venue_id unique_ttl=2s; }
        location = /alike-all { $auth
            travel_command POST booking.create unique=/venue_id; }
        location = /wide { $auth
            travel_command POST booking.create batch=1000 deadline=90s; }
        $1};
        s/(travel_catalog)/travel_backlog 300 normal=100%;\n    $1/;
    },
);
my $q = $t->redis('queue');
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;

wait_for(sub { $t->get('/ready')->{status} == 200 }, 10, 'ready');

sub item {
    my ($venue, $more) = @_;
    return qq({"partner":"opentable","venue_id":"$venue","party_size":4,)
        . qq("booking_date":"2030-03-01T19:00:00Z"@{[$more // '']}});
}

sub entries {
    my @all;
    for my $key (sort @{ $q->call('KEYS', 'travel:{*}:normal') }) {
        push @all, map { [$key, $_->[0], { @{ $_->[1] } }] }
            @{ $q->call('XRANGE', $key, '-', '+') };
    }
    return @all;
}

sub venues { return map { json($_->[2]{body})->{venue_id} } entries() }

sub clean {
    my @keys = @{ $q->call('KEYS', 'travel:{booking.*}:*') };
    $q->call('DEL', @keys) if @keys;
}

sub send_all {
    my ($body, %o) = @_;
    return $t->request('POST', $o{to} // '/many', body => $body,
        token => $o{token} // $alice,
        headers => { 'content-type' => $o{type} // 'application/json',
            %{ $o{headers} || {} } });
}

sub statuses { return [map { $_->{status} } @{ $_[0]{json}{items} }] }

subtest 'an array' => sub {
    my $r = send_all('[ ' . join(" ,\n ", map { item("v$_") } 1 .. 5) . "\n]\n");
    is($r->{status}, 202, 'all of them') or diag($r->{content});
    is_deeply(statuses($r), [(202) x 5], 'each');
    my @items = @{ $r->{json}{items} };
    is_deeply([map { $_->{index} } @items], [0 .. 4], 'in its place');
    my @e = entries();
    is_deeply([venues()], [map { "v$_" } 1 .. 5], 'in order');
    is_deeply([map { $_->[2]{id} } @e], [map { $_->{job}{id} } @items],
        'each under its own id');
    is($e[1][2]{body}, item('v2'), 'the very bytes, nothing from between');
    is($e[4][2]{body}, item('v5'), 'nor from behind');
    is($t->get($items[2]{job}{status_url}, token => $alice)->{json}{status},
        'queued', 'the job is there');
    is($t->get("/api/v1/bookings/$items[2]{id}", token => $alice)
        ->{json}{venue_id}, 'v3', 'and what it will make');
    is($r->{headers}{'idempotent-replayed'}, undef, 'no replay');
    clean();

    my $one = send_all(item('alone'));
    is($one->{status}, 202, 'an object is one command');
    is($one->{json}{status}, 'pending', 'answered as such');
    $one = send_all(item('none') =~ s/opentable/nobody/r);
    is($one->{status}, 422, 'and checked as such');
    $r = send_all('[' . item('one') . ']',
        headers => { prefer => 'respond-async, wait=5' });
    is($r->{status}, 202, 'an array of one is a batch');
    is(scalar @{ $r->{json}{items} }, 1, 'answered as such');
    clean();
};

subtest 'NDJSON' => sub {
    my %n = (type => 'application/x-ndjson');
    my $text = join "\r\n", item('a'), '', '  ', item('b'), '{"partner":',
        item('c') . "\n" . item('d');
    my $r = send_all($text, %n);
    is($r->{status}, 207, 'not all of them') or diag($r->{content});
    is($r->{reason}, 'Multi-Status', 'by name');
    is_deeply(statuses($r), [202, 202, 400, 202, 202], 'each');
    is($r->{json}{items}[2]{error}{code}, 'MALFORMED_JSON', 'a bad line');
    is($r->{json}{items}[2]{error}{details}[0]{offset}, 12, 'where');
    is_deeply([venues()], [qw(a b c d)], 'the others go in');
    is($r->{json}{items}[2]{id}, undef, 'what is refused has no id');
    clean();
    IO::Compress::Gzip::gzip(\$text, \my $zip) or die;
    is(send_all($zip, %n, headers => { 'content-encoding' => 'gzip' })
        ->{status}, 207, 'zipped');
    is_deeply([venues()], [qw(a b c d)], 'the same');
    is(send_all($text, to => '/api/v1/bookings', %n)->{status}, 415,
        'not where there is no batch=');
    is(send_all('[' . item('x') . ']', to => '/api/v1/bookings')->{status},
        422, 'nor an array');
    is(send_all($text, type => 'text/csv')->{status}, 415, 'another type');
    clean();
};

subtest 'each is checked' => sub {
    my @of = (item('a'), item('b') =~ s/opentable/nobody/r,
        item('c') =~ s/2030/2020/r, item('d', ',"journey_id":"'
            . '01890000-0000-7000-8000-0000000000ff"'), item('e'));
    my $r = send_all('[' . join(',', @of) . ']');
    is($r->{status}, 207, 'not all') or diag($r->{content});
    is_deeply(statuses($r), [202, 422, 422, 404, 202], 'each');
    my @items = @{ $r->{json}{items} };
    is($items[1]{error}{details}[0]{pointer}, '/partner', 'what is wrong');
    is($items[2]{error}{details}[0]{pointer}, '/booking_date', 'with each');
    is($items[3]{error}{code}, 'RESOURCE_NOT_FOUND', 'what is not there');
    is_deeply([venues()], [qw(a e)], 'the others go in');
    clean();

    $r = send_all('[' . join(',', map { $_ % 3 ? item("n$_")
        : item("n$_") =~ s/opentable/nobody/r } 0 .. 19) . ']');
    is_deeply(statuses($r), [map { $_ % 3 ? 202 : 422 } 0 .. 19],
        'many, each for itself');
    is_deeply([venues()], [map { "n$_" } grep { $_ % 3 } 0 .. 19],
        'in order');
    clean();

    # Jobs that are under way make what the check cannot see yet.
    my $journey = $t->request('POST', '/api/v1/journeys', token => $alice,
        headers => { prefer => 'respond-async' }, json => {
            origin => 'Boston, US', destination => 'Hartford, US',
            theme => 'food' })->{json}{id};
    $r = send_all('[' . item('j', qq(,"journey_id":"$journey")) . ','
        . item('k') . ']');
    is_deeply(statuses($r), [202, 202], 'a journey that is being made');
    $r = send_all('[' . item('j', qq(,"journey_id":"$journey")) . ']',
        token => $bob);
    is_deeply(statuses($r), [404], 'but not by another');
    $q->call('DEL', @{ $q->call('KEYS', 'travel:{journey.*}:*') });
    clean();

    $t->sql("INSERT INTO travel.partners SELECT (p).* FROM (SELECT
        jsonb_populate_record(p, '{\"code\": \"brief\"}') AS p
        FROM travel.partners AS p WHERE code = 'opentable') AS one");
    my %key = (headers => { 'idempotency-key' => 'checked-1' });
    my $brief = '[' . item('a') =~ s/opentable/brief/r . ',' . item('b') . ']';
    is_deeply(statuses(send_all($brief, %key)), [202, 202], 'a first time');
    $t->sql("DELETE FROM travel.partners WHERE code = 'brief'");
    $r = send_all($brief, %key);
    is_deeply(statuses($r), [202, 202], 'a repeat that the check would refuse');
    is($r->{headers}{'idempotent-replayed'}, 'true', 'is a replay');
    is_deeply(statuses(send_all($brief =~ s/"b"/"c"/r, %key)), [202, 422],
        'another at its place');
    is_deeply(statuses(send_all($brief)), [422, 202], 'and refused without');
    clean();
};

subtest 'what is wrong with one' => sub {
    my $r = send_all('[' . join(',', item('a'), item('b') =~ s/4/99/r, '7',
        item('c', ',"x":1'), item("n\\u0000"), item('y' x 2500),
        item('z', ',"pad":"' . 'p' x 2000 . '"'), item('d')) . ']');
    is($r->{status}, 207, 'not all');
    is_deeply(statuses($r), [202, 422, 422, 422, 422, 413, 413, 202], 'each');
    my @items = @{ $r->{json}{items} };
    my $d = $items[1]{error}{details}[0];
    is($d->{pointer}, '/party_size', 'where in the item');
    is($d->{code}, 'maximum', 'why');
    is($d->{schema}, '/properties/party_size/maximum', 'where in the schema');
    is($items[5]{error}{code}, 'PAYLOAD_TOO_LARGE', 'max_body is of an item');
    is_deeply([venues()], [qw(a d)], 'the good go in');
    like($t->get('/metrics')->{content}, qr/^travel_commands_total\{type=
        "booking\.create",outcome="refused"\}\ [1-9]/mx, 'counted');
    clean();
    $r = send_all('[1,2]');
    is($r->{status}, 207, 'none of them');
    is_deeply(statuses($r), [422, 422], 'each for itself');
};

subtest 'what is wrong with all' => sub {
    my @cases = (
        ['[' . item('a') . ',', 400, 'MALFORMED_JSON'],
        ['[' . item('a') . ',' . item('b', ',"venue_id":"c"') . ']', 400,
            'DUPLICATE_KEY'],
        ['[]', 422, 'VALIDATION_ERROR'],
        ['[' . join(',', map { item("v$_") } 1 .. 21) . ']', 413,
            'PAYLOAD_TOO_LARGE'],
        [' ' x 41_000, 413, 'PAYLOAD_TOO_LARGE'],
    );
    for (@cases) {
        my $r = send_all($_->[0]);
        is($r->{status}, $_->[1], $_->[2]);
        is($r->{json}{error}{code}, $_->[2], 'its code');
    }
    my $r = send_all("\n\n", type => 'application/x-ndjson');
    is($r->{status}, 422, 'no line');
    $r = send_all('[' . item('a') . ']', to => '/final');
    is($r->{json}{error}{code}, 'IDEMPOTENCY_KEY_REQUIRED', 'no key');
    $r = $t->request('POST', '/many', body => '[' . item('a') . ']');
    is($r->{status}, 401, 'nobody');
    is(scalar(() = entries()), 0, 'nothing went in');
};

subtest 'Idempotency-Key' => sub {
    my %k = (headers => { 'idempotency-key' => 'batch-1' });
    my $body = '[' . join(',', map { item("v$_") } 1 .. 3) . ']';
    my $one = send_all($body, %k);
    is_deeply(statuses($one), [(202) x 3], 'first');
    my $two = send_all($body, %k);
    is($two->{status}, 202, 'again');
    is($two->{headers}{'idempotent-replayed'}, 'true', 'a replay');
    is_deeply([map { $_->{job}{id} } @{ $two->{json}{items} }],
        [map { $_->{job}{id} } @{ $one->{json}{items} }], 'of the same jobs');
    is(scalar(grep { $_->{replayed} } @{ $two->{json}{items} }), 3, 'each');
    is(scalar(() = entries()), 3, 'three entries in all');

    # a part failed, or was changed, or is new
    $two = send_all('[' . join(',', item('v1'), item('other'), item('v3'),
        item('v4')) . ']', %k);
    is($two->{status}, 207, 'changed');
    is_deeply(statuses($two), [202, 422, 202, 202], 'each for itself');
    is($two->{json}{items}[1]{error}{code}, 'IDEMPOTENCY_MISMATCH', 'changed');
    is($two->{json}{items}[3]{replayed}, undef, 'new');
    is($two->{headers}{'idempotent-replayed'}, undef, 'not all is a replay');
    is_deeply([venues()], [qw(v1 v2 v3 v4)], 'one more');

    my $r = send_all($body, %k, token => $bob);
    is_deeply(statuses($r), [(202) x 3], 'keys of another caller');
    isnt($r->{json}{items}[0]{id}, $one->{json}{items}[0]{id}, 'are others');
    $r = send_all(item('v1'), %k);
    is($r->{status}, 202, 'the key of the batch is not that of a command');
    is($r->{headers}{'idempotent-replayed'}, undef, 'nor of an item');

    my %f = (to => '/final', headers => { 'idempotency-key' => 'batch-2' });
    $one = send_all($body, %f);
    is_deeply(statuses($one), [(202) x 3], 'with require=final');
    my ($queue, $n, $uuid) = split /\./, $one->{json}{items}[1]{job}{id};
    $q->call('HSET', "travel:{$queue.$n}:job:$uuid", 'status', 'succeeded');
    is_deeply(statuses(send_all($body, %f)), [409, 202, 409],
        'what is under way is 409');
    clean();
};

# batch_jobs=one: bodies are arrays of at most a kilobyte here.
subtest 'many in one job' => sub {
    my %n = (type => 'application/x-ndjson', to => '/one');
    my $event = sub { qq({"type":"trip.taken","title":"$_[0]",)
        . qq("occurred_at":"2026-05-01T10:00:00Z"@{[$_[1] // '']}}) };
    my $drop = sub { my @k = @{ $q->call('KEYS', 'travel:{content.*}:*') };
        $q->call('DEL', @k) if @k };
    my $titles = sub { map { defined ? $_->{title} : undef }
        map { @{ json($_->[2]{body}) } } entries() };
    my $after = sub { my ($uuid, $n) = @_;
        $uuid =~ s/(.{12})\z/sprintf '%012x', hex($1) + $n/er };

    my @of = map { $event->("e$_") } 0 .. 29;
    $of[3] = '{"type":';
    $of[4] = $event->('long', ',"data":{"x":"' . 'x' x 1000 . '"}}');
    $of[20] =~ s/trip.taken/Trip/;
    my $r = send_all(join("\n", @of), %n);
    is($r->{status}, 207, 'some are refused') or diag($r->{content});
    is_deeply(statuses($r), [(202) x 3, 400, 413, (202) x 15, 422, (202) x 9],
        'each for itself');
    my @jobs = @{ $r->{json}{jobs} };
    my @e = entries();
    cmp_ok(scalar @e, '>', 1, 'as many jobs as max_body makes');
    cmp_ok(scalar @e, '<', 6, 'and no more');
    is(scalar(grep { length $_->[2]{body} > 1024 } @e), 0, 'none is larger');
    is_deeply([map { $_->[2]{id} } @e], [map { $_->{id} } @jobs], 'told');
    is_deeply([$titles->()], [map { $_ == 3 || $_ == 4 || $_ == 20 ? undef
        : "e$_" } 0 .. 29], 'what is refused leaves its place');
    is_deeply([map { @$_{qw(first last)} } @jobs], [0, (map { ($_ - 1, $_) }
        map { $_->{first} } @jobs[1 .. $#jobs]), 29], 'no place is left out');
    for my $job (@jobs) {
        my ($uuid) = $job->{id} =~ /([^.]+)\z/;
        is_deeply([map { $_->{id} } grep { $_->{status} == 202 }
            @{ $r->{json}{items} }[$job->{first} .. $job->{last}]],
            [map { $after->($uuid, $_ + 1 - $job->{first}) }
            grep { $_ != 3 && $_ != 4 && $_ != 20 }
            $job->{first} .. $job->{last}], "ids follow from the job's");
    }
    is($t->get($jobs[0]{status_url}, token => $alice)->{json}{status},
        'queued', 'the job is there');
    is($r->{json}{items}[0]{job}, undef, 'and no other');
    like($t->get('/metrics')->{content}, qr/^travel_commands_total\{type=
        "life_event\.record",outcome="accepted"\}\ 27$/mx, 'items are counted');
    $drop->();

    my %k = (%n, headers => { 'idempotency-key' => 'packed' });
    my $one = send_all(join("\n", @of), %k);
    my $n = entries();
    my $two = send_all(join("\n", @of), %k);
    is_deeply(statuses($two), statuses($one), 'a repeat');
    is_deeply([map { $_->{id} } @{ $two->{json}{items} }],
        [map { $_->{id} } @{ $one->{json}{items} }], 'has the same ids');
    is($two->{headers}{'idempotent-replayed'}, 'true', 'is a replay');
    is(scalar(() = entries()), $n, 'and adds nothing');
    $of[29] = $event->('other');
    $two = send_all(join("\n", @of), %k);
    my $last = $one->{json}{jobs}[-1]{first};
    is($two->{json}{items}[$last - 1]{status}, 202, 'what is the same');
    is($two->{json}{items}[$last]{error}{code}, 'IDEMPOTENCY_MISMATCH',
        'and the job that has another in it');
    is(scalar(() = entries()), $n, 'adds nothing either');
    $drop->();

    $r = send_all('[1, {}]', to => '/one');
    is_deeply(statuses($r), [422, 422], 'none of them');
    is_deeply($r->{json}{jobs}, [], 'no job');
    is(scalar(() = entries()), 0, 'no entry');
    $r = send_all('[' . $event->('a') . ']', to => '/one');
    is_deeply([$titles->()], ['a'], 'an array of one');
    $drop->();
    $r = send_all($event->('b'), to => '/one');
    is(json((entries())[0][2]{body})->{title}, 'b', 'an object is as ever');
    like($r->{json}{job}{id}, qr/\Q$r->{json}{id}\E\z/, 'with its own job');
    $drop->();
};

subtest 'unique commands' => sub {
    clean();
    my $one = send_all(item('u1'), to => '/alike');
    is($one->{status}, 202, 'the first');
    my $two = send_all(item('u1', ',"party_size":5') =~ s/"party_size":4,//r,
        to => '/alike');
    is($two->{status}, 202, 'another that agrees with it in what counts');
    is($two->{json}{id}, $one->{json}{id}, 'is the first');
    is($two->{json}{job}{id}, $one->{json}{job}{id}, 'its job');
    is($two->{headers}{'idempotent-replayed'}, 'true', 'and says so');
    is(scalar(() = entries()), 1, 'once in the queue');
    my $other = send_all(item('u2'), to => '/alike');
    isnt($other->{json}{id}, $one->{json}{id}, 'what does not is another');
    my $his = send_all(item('u1'), to => '/alike', token => $bob);
    isnt($his->{json}{id}, $one->{json}{id}, 'and so is his');
    my $many = send_all('[' . join(',', map { item($_) } qw(u1 u3 u3)) . ']',
        to => '/alike');
    is($many->{json}{items}[0]{id}, $one->{json}{id}, 'in a batch');
    is($many->{json}{items}[2]{id}, $many->{json}{items}[1]{id}, '... and within');
    is(scalar(() = entries()), 4, 'four in all');

    my ($part, $uuid) = $one->{json}{job}{id} =~ /^(.+)\.([^.]+)$/;
    $q->call('HSET', "travel:{$part}:job:$uuid", 'status', 'failed');
    my $again = send_all(item('u1'), to => '/alike');
    isnt($again->{json}{id}, $one->{json}{id}, 'one that failed does not count');
    sleep 2.2;
    isnt(send_all(item('u1'), to => '/alike')->{json}{id}, $again->{json}{id},
        'nor one whose time is over');

    send_all(item('shared'), to => '/alike-all');
    is(send_all(item('shared'), to => '/alike-all', token => $bob)->{status}, 409,
        "somebody else's first is not told");

    my $k = send_all(item('k1'), to => '/alike', headers => { 'idempotency-key' => 'k-1' });
    is(send_all(item('k1'), to => '/alike', headers => { 'idempotency-key' => 'k-2' })->{json}{id},
        $k->{json}{id}, 'under another Idempotency-Key it is the same');
    is(send_all(item('k1'), to => '/alike', headers => { 'idempotency-key' => 'k-2' })->{json}{id},
        $k->{json}{id}, '... whose repeat is, too');
    clean();
};

subtest 'a thousand' => sub {
    my $send = sub { send_all('[' . join(',', map { item("v$_") } 1 .. $_[0])
        . ']', to => '/wide', token => $t->user_token($_[1])) };
    my $r = $send->(250, 3);
    is($r->{status}, 202, 'two hundred and fifty') or diag(substr $r->{content}, 0, 300);
    is_deeply([venues()], [map { "v$_" } 1 .. 250], 'all, in order');
    my ($e) = entries();
    is($e->[2]{deadline} - $e->[2]{ts}, 90_000, 'with the deadline of deadline=');
    $r = $send->(1000, 3);
    is($r->{status}, 207, 'more than the queue may have');
    my @in = grep { $_->{status} == 202 } @{ $r->{json}{items} };
    my @full = grep { $_->{status} == 503 } @{ $r->{json}{items} };
    cmp_ok(scalar @in, '<=', 50, 'what fits');
    is(@in + @full, 1000, 'the rest is 503');
    is($full[0]{error}{code}, 'QUEUE_FULL', 'its code');
    cmp_ok($r->{headers}{'retry-after'}, '>=', 1, 'Retry-After');
    is_deeply([map { $_->{index} } @in], [0 .. $#in], 'the first ones are in');
    clean();
    wait_for(sub { send_all(item('x'), to => '/wide')->{status} == 202 }, 5,
        'room');
    clean();
};

subtest 'a queue that hangs, is full, is gone' => sub {
    my $body = '[' . join(',', map { item("v$_") } 1 .. 3) . ']';
    my %k = (headers => { 'idempotency-key' => 'lost' });
    $t->freeze('queue');
    my $r = send_all($body, %k);
    $t->unfreeze('queue');
    is($r->{status}, 207, 'no answer');
    is_deeply([map { $_->{error}{code} } @{ $r->{json}{items} }],
        [('OUTCOME_UNKNOWN') x 3], 'unknown');
    $r = wait_for(sub { my $a = send_all($body, %k);
        $a->{status} == 202 && $a }, 10, 'again') or return;
    is(scalar(() = entries()), 3, 'one entry each, whatever became of the first');
    clean();

    my ($old) = $q->call('CONFIG', 'GET', 'maxmemory')->[1];
    $q->call('CONFIG', 'SET', 'maxmemory', '1');
    for my $h ({}, { 'idempotency-key' => 'oom' }) {
        $r = send_all($body, headers => $h);
        is_deeply(statuses($r), [503, 503, 503], 'out of memory');
    }
    $q->call('CONFIG', 'SET', 'maxmemory', $old);
    is(scalar(() = entries()), 0, 'nothing went in');

    $t->cut('queue', sessions => 1);
    sleep 0.3;
    $r = send_all($body);
    is($r->{status}, 207, 'gone');
    is_deeply([map { $_->{error}{code} } @{ $r->{json}{items} }],
        [('DEPENDENCY_UNAVAILABLE') x 3], 'and known so');
    $t->mend('queue');
    ok(wait_for(sub { send_all($body)->{status} == 202 }, 10, 'back'), 'back');
};

# nginx -t, with the sanitizer's runtime first where the module needs it.
subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    for (['POST booking.create batch=0', qr/from 1 to 1000/],
        ['POST booking.create batch=1001', qr/from 1 to 1000/],
        ['POST booking.create deadline=2d', qr/from 1s to 1d/],
        ['DELETE booking.cancel id=$x batch=5', qr/remove id= and set=/],
        ['POST life_event.record batch_jobs=one', qr/needs batch=/],
        ['POST booking.create batch=5 batch_jobs=one', qr/"batches": true/],
        ['POST life_event.record batch=5 batch_jobs=two', qr/each\|one/],
        ['POST life_event.record batch=5 batch_jobs=one '
            . 'check=bookings.precheck', qr/remove check=/],
        ['POST life_event.record batch=5 batch_jobs=one breaker=x',
            qr/remove breaker=/])
    {
        (my $text = $conf) =~ s/(location = \/health )/location = \/t { set \$x 1; travel_command $_->[0]; }\n$1/;
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $_->[0]);
        like($out, $_->[1], '... says why');
    }
};

$t->finish;
done_testing;
