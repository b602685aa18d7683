# Reads: parameters, identity, what comes back, and what nginx -t says of a
# broken catalog.  PostgreSQL with a replica; no workers, no Redis.
use strict;
use warnings;
use Test::More;
use Travel::Test;

my $CONF = <<'END';
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_postgres replica "host=@PG_REPLICA_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2 max_lag=5s;
    travel_catalog  @RUN@/catalog;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;
    travel_otlp     http://127.0.0.1:@PORT_OTLP@/v1/traces sample=0;

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main audience=travel;
        add_header X-Server $travel_server always;
        add_header X-Route $travel_route always;
        location = /health { return 200; }
        location = /journeys { travel_query GET journeys.list; }
        location ~ ^/journeys/([^/]+)$ { travel_query GET journeys.get id=$1; }
        location ~ ^/journeys/([^/]+)/stories$ {
            travel_query GET stories.list journey_id=$1;
        }
        location ~ ^/bookings/([^/]+)$ { travel_query GET bookings.get id=$1; }
        location = /bookings { travel_query GET bookings.list; }
        location = /places { travel_query GET places.search; }
        location = /near { travel_query GET places.near; }
        location = /attractions { travel_query GET attractions.search; }
        location = /me { travel_query GET me.get; }
        location = /typed { travel_query GET t.typed n=$arg_Number; }
        location = /who { travel_query GET t.who; }
        location = /admin { travel_query GET t.admin; }
        location = /sleep { travel_query GET t.sleep; }
        location = /broken { travel_query GET t.broken; }
        location = /norow { travel_query GET t.norow; }
        location = /big { travel_query GET t.big; }
    }
END

my %FILE = (
    typed => "-- \@public\n-- \@returns one\n-- \@param n int? -5..5\n"
        . "-- \@param x number?\n-- \@param s text? 1..8\n-- \@param b bool?\n"
        . "-- \@param d date?\n-- \@param at timestamp?\n-- \@param i bigint?\n"
        . "-- \@param e enum(a|b) = b\n-- \@param u uuid?\n"
        . "SELECT json_build_object('n', :n, 'x', :x, 's', :s, 'b', :b, "
        . "'d', :d, 'at', :at, 'i', :i, 'e', :e, 'u', :u)::text;\n",
    who => "-- \@public\n-- \@returns one\n"
        . "SELECT json_build_object('viewer', :viewer)::text",
    admin => "-- \@requires admin:all\n-- \@returns one\nSELECT '{}'::text",
    sleep => "-- \@public\n-- \@returns one\n-- \@param s number 0..10\n"
        . "-- \@timeout 300ms\n-- \@class slow\n"
        . "SELECT json_build_object('slept', pg_sleep(:s)::text)::text",
    broken => "-- \@public\n-- \@returns one\n-- \@param n int = 0\n"
        . "SELECT (1 / :n)::text",
    norow => "-- \@public\n-- \@returns list\nSELECT '[]'::text WHERE false",
    big => "-- \@public\n-- \@returns one\n"
        . "SELECT json_build_object('s', repeat('x', 3000000))::text",
);

my $t = Travel::Test->new(parts => 'postgres replica otlp nginx', http => $CONF,
    ngx_workers => 1);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
for my $f (glob $t->root . '/conf/travel/queries/*.sql') {
    $t->write('catalog/queries/' . $f =~ s{.*/}{}r, slurp($f));
}
$t->write("catalog/queries/t.$_.sql", $FILE{$_}) for keys %FILE;
$t->launch;

my ($ann, $bob) = map { $t->user($_) } 1, 2;
my ($ta, $tb) = map { $t->user_token($_) } 1, 2;

sub uuid7 { sprintf '0196%04x-0000-7000-8000-%012x', $_[0] >> 16, $_[0] }
my $paris = $t->sql("SELECT id FROM travel.resolve_place('Paris, FR')");
my $nice  = $t->sql("SELECT id FROM travel.resolve_place('Nice, FR')");

sub journey {
    my ($n, $user) = @_;
    my $id = uuid7($n);
    $t->sql("INSERT INTO travel.journeys (id, user_id, origin, destination,
        origin_place_id, destination_place_id, theme, distance_miles)
        VALUES ('$id', '$user', 'Paris', 'Nice', $paris, $nice, 'food', 426.7)");
    return $id;
}

sub settled {
    wait_for(sub {
        $t->sql('SELECT pg_last_wal_replay_lsn()', on => 'replica',
            role => 'postgres')
        eq $t->sql('SELECT pg_current_wal_flush_lsn()', role => 'postgres')
    }, 10, 'the replica to catch up');
    select undef, undef, undef, 0.6;      # and the probes to hear of it
}

my @mine = map { journey($_, $ann) } 1 .. 25;
my $hers = journey(100, $bob);
settled();

subtest 'a list, page by page' => sub {
    my (@seen, $cursor);
    wait_for(sub { ($t->get('/journeys', token => $ta)->{headers}{'x-server'}
        // '') eq 'replica-1' }, 20, 'a replica that has caught up');
    for my $page (1 .. 3) {
        my $r = $t->get('/journeys?limit=10' . ($cursor ? "&cursor=$cursor" : ''),
            token => $ta);
        is($r->{status}, 200, "page $page") or diag($r->{content});
        is($r->{headers}{'content-type'}, 'application/json', 'type');
        is($r->{headers}{'cache-control'}, 'private, no-cache', 'not for others');
        is($r->{headers}{'x-server'}, 'replica-1', 'from the replica');
        is($r->{headers}{'x-route'}, 'journeys.list', 'its route');
        push @seen, map { $_->{id} } @{ $r->{json}{items} };
        $cursor = $r->{json}{next_cursor};
        is(!!$cursor, $page < 3, 'a cursor while there is more');
    }
    is_deeply(\@seen, [reverse @mine], 'each once, newest first');
    my $r = $t->get('/journeys', token => $ta);
    is(@{ $r->{json}{items} }, 20, 'the default limit');
    is($r->{json}{items}[0]{origin}{name}, 'Paris', 'with its places');
    is($t->get('/journeys?limit=25', token => $ta)->{json}{next_cursor}, undef,
        'exactly all of them: no next page');
    is_deeply($t->get('/journeys', token => $t->user_token(9))->{json},
        { items => [], next_cursor => undef }, 'none is an empty list');
};

subtest 'one' => sub {
    my $r = $t->get("/journeys/$mine[0]", token => $ta);
    is($r->{status}, 200, 'mine');
    is($r->{json}{id}, $mine[0], 'it');
    is($r->{json}{distance_miles}, 426.7, 'as numbers are');
    is($t->get('/journeys/' . uc $mine[0], token => $ta)->{status}, 200,
        'upper case is the same id');
    my @no = ("/journeys/$hers", '/journeys/' . uuid7(999), '/journeys/1',
        '/journeys/' . ('0' x 36), '/journeys/%27%20OR%201=1--',
        "/journeys/$hers/stories", '/journeys/x/stories');
    for my $path (@no) {
        my $r = $t->get($path, token => $ta);
        is($r->{status}, 404, "404 $path");
        is($r->{json}{error}{code}, 'RESOURCE_NOT_FOUND', 'the code');
    }
    is_deeply($t->get("/journeys/$mine[0]/stories", token => $ta)->{json},
        { items => [], next_cursor => undef }, 'no stories yet');
    $r = $t->request('HEAD', "/journeys/$mine[0]", token => $ta);
    is($r->{status}, 200, 'HEAD');
    cmp_ok($r->{headers}{'content-length'}, '>', 100, 'with the length');
    is($r->{content} // '', '', 'and no body');
    $r = $t->post("/journeys/$mine[0]", {}, token => $ta);
    is($r->{status}, 405, 'POST is not served');
    is($r->{headers}{allow}, 'GET, HEAD', 'and says what is');
    # a body where none belongs is thrown away, and the connection lives on
    $r = $t->request('GET', "/journeys/$mine[0]", token => $ta, body => '{' x 9e4);
    is($r->{status}, 200, 'a GET with a body');
    is($t->get("/journeys/$mine[1]", token => $ta)->{status}, 200, 'and one after');
};

subtest 'who may ask' => sub {
    my $r = $t->get('/journeys');
    is($r->{status}, 401, 'the anonymous have no journeys');
    is($r->{json}{error}{code}, 'AUTHENTICATION_ERROR', 'the code');
    like($r->{headers}{'www-authenticate'}, qr/^Bearer/, 'how to come back');
    is($t->get('/who')->{json}{viewer}, undef, 'public: nobody is NULL');
    is($t->get('/who', token => $ta)->{json}{viewer}, $ann, 'somebody is known');
    is($t->get('/admin')->{status}, 401, '@requires: first who');
    $r = $t->get('/admin', token => $ta);
    is($r->{status}, 403, 'then whether');
    is($r->{json}{error}{code}, 'AUTHORIZATION_ERROR', 'the code');
    is($t->get('/admin', token => $t->user_token(1, permissions => 'admin:all'))
        ->{status}, 200, 'with it');
    is($t->get('/me', token => $ta)->{json}{email}, 'user1@travel.local', 'me');
    is($t->get('/me', token => $t->token(sub => uuid7(77)))->{json}{id},
        uuid7(77), 'one who has no row yet');
    is($t->get('/places?q=Paris')->{headers}{'cache-control'},
        'public, no-cache', 'public answers are for everybody');
};

subtest 'parameters' => sub {
    my $ok = sub {
        my ($args, %want) = @_;
        my $r = $t->get("/typed?$args");
        is($r->{status}, 200, "200 for '$args'") or return diag($r->{content});
        is_deeply({ map { $_ => $r->{json}{$_} } keys %want }, \%want, "  values");
    };
    my $no = sub {
        my ($args, %want) = @_;
        my $r = $t->get("/typed?$args");
        is($r->{status}, 422, "422 for '$args'") or return diag($r->{content});
        is($r->{json}{error}{code}, 'VALIDATION_ERROR', '  code');
        my %got = map { $_->{pointer} => $_->{code} }
            @{ $r->{json}{error}{details} };
        is_deeply(\%got, \%want, '  details');
        ok(!(grep { !length $_->{message} } @{ $r->{json}{error}{details} }),
            '  with a sentence each');
    };
    $ok->('', n => undef, e => 'b', s => undef);
    $ok->('Number=-5&x=1.5e2&b=true&e=a', n => -5, x => 150, e => 'a');
    $ok->('s=a%20b%2Bc+d', s => 'a b+c d');
    $ok->('s=%F0%9F%97%BA%C3%A9', s => "\x{1F5FA}\xe9");
    $ok->('s=%27%3B--', s => q(';--));
    $ok->('u=' . uc $mine[0], u => $mine[0]);
    $ok->('d=2028-02-29&at=2026-03-01T19:00:00%2B01:00', d => '2028-02-29');
    $ok->('i=9223372036854775807');
    $ok->('unknown=1&s=', s => undef);
    $ok->('s=a&s=bbbbbbbbbbbbbbbbbbb', s => 'a');
    $no->('Number=6', '/n' => 'range');
    $no->('Number=99999999999', '/n' => 'range');
    $no->('Number=1x', '/n' => 'type');
    $no->('x=NaN', '/x' => 'type');
    $no->('x=1e999', '/x' => 'range');
    $no->('s=123456789', '/s' => 'length');
    $no->('s=a%00b', '/s' => 'format');
    $no->('s=%ff', '/s' => 'format');
    $no->('s=%ed%a0%80', '/s' => 'format');
    $no->('s=%4', '/s' => 'format');
    $no->('s=%zz', '/s' => 'format');
    $no->('b=1', '/b' => 'type');
    $no->('e=c', '/e' => 'enum');
    $no->('d=2027-02-29', '/d' => 'format');
    $no->('at=2026-03-01T19:00:00', '/at' => 'format');
    $no->('u=x', '/u' => 'format');
    $no->('Number=9&s=&e=z&u=1', '/n' => 'range', '/e' => 'enum',
        '/u' => 'format');
    my $r = $t->get('/places');
    is($r->{status}, 422, 'one that is required');
    is($r->{json}{error}{details}[0]{code}, 'required', 'says so');
    is($t->get('/journeys?limit=0', token => $ta)->{status}, 422, 'limit=0');
    is($t->get('/journeys?limit=101', token => $ta)->{status}, 422, 'limit=101');
    is($t->get('/journeys?cursor=1', token => $ta)->{status}, 422, 'cursor=1');
};

subtest 'the gazetteer' => sub {
    is($t->get('/places?q=pari')->{json}{items}[0]{name}, 'Paris', 'by prefix');
    my $r = $t->get('/places?q=paris&country=us&limit=3');
    is($r->{json}{items}[0]{country_code}, 'US', 'in a country');
    is(scalar @{ $r->{json}{items} }, 3, 'as many as asked');
    is($r->{json}{items}[0]{name}, 'Paris', 'the best first');
    is($t->get('/places?q=hamburgg&country=de')->{json}{items}[0]{name},
        'Hamburg', 'misspelt');
    is($t->get('/places?q=Z%C3%9CRICH&country=CH')->{json}{items}[0]
        {country_code}, 'CH', 'accents and case do not matter');
    is_deeply($t->get('/places?q=%25%25')->{json}{items}, [], 'no wildcards');
    $r = $t->get('/near?lat=48.8534&lon=2.3488&radius_km=5');
    is($r->{json}{items}[0]{name}, 'Paris', 'near');
    cmp_ok($r->{json}{items}[0]{km}, '<', 1, 'with the distance');
    $r = $t->get('/near?lat=0&lon=-150&radius_km=300');
    is_deeply($r->{json}{items}, [], 'nothing near is near nothing');
    $r = $t->get('/near?lat=66.3&lon=179.5&radius_km=100');
    is($r->{json}{items}[0]{name}, 'Egvekinot', 'across the date line');
    is($t->get('/near?lat=91&lon=0')->{status}, 422, 'no such latitude');
    my (@all, $cursor);
    do {
        $r = $t->get('/attractions?country=DE&from=2026-01-01&to=2026-12-31'
            . '&limit=10' . ($cursor ? "&cursor=$cursor" : ''));
        is($r->{status}, 200, 'a page') or diag($r->{content});
        push @all, @{ $r->{json}{items} || [] };
        $cursor = $r->{json}{next_cursor};
    } while ($cursor && @all < 500);
    my $n = $t->sql("SELECT count(*) FROM travel.attraction WHERE
        country_code = 'DE' AND starts_on BETWEEN '2026-01-01' AND '2026-12-31'");
    is(scalar @all, $n, 'attractions, page by page');
    my %ids = map { $_->{id} => 1 } @all;
    is(scalar keys %ids, $n, 'each once');
};

subtest 'prechecks' => sub {
    my $rows = sub {
        my ($name, %v) = @_;
        my $sql = slurp($t->root . "/conf/travel/queries/$name.sql");
        my $head = $sql =~ /\A((?:--.*\n)+)/ ? $1 : '';
        my %type = ($head =~ /\@param\s+(\w+)\s+(\w+)/g, viewer => 'uuid');
        $sql =~ s/^--.*\n//mg;
        $sql =~ s{(?<!:):(\w+)}{defined $v{$1} ? "'$v{$1}'::"
            . ($type{$1} eq 'timestamp' ? 'timestamptz' : $type{$1})
            : "NULL::$type{$1}"}ge;
        return [map { "$_->[0] $_->[1]" } $t->sql($sql, role => 'travel_edge')];
    };
    my $booking = uuid7(500);
    $t->sql("INSERT INTO travel.bookings (id, user_id, partner, venue_id,
        booking_date, party_size, status) VALUES ('$booking', '$ann', 'klook',
        'v', now() + interval '1 day', 2, 'confirmed')");
    is_deeply($rows->('journeys.precheck', origin => 'Berlin',
        destination => 'Paris, FR'), [], 'real places');
    is_deeply($rows->('journeys.precheck', origin => 'Nowhereville',
        destination => 'Paris, XX'), ['VALIDATION_ERROR /origin',
        'VALIDATION_ERROR /destination'], 'no places');
    is_deeply($rows->('stories.precheck', journey_id => $mine[0],
        viewer => $ann), [], 'my journey');
    is_deeply($rows->('stories.precheck', journey_id => $mine[0],
        viewer => $bob), ['RESOURCE_NOT_FOUND /journey_id'], 'not his');
    my %ok = (partner => 'klook', booking_date => '2099-01-01T00:00:00Z',
        viewer => $ann);
    is_deeply($rows->('bookings.precheck', %ok), [], 'a booking');
    is_deeply($rows->('bookings.precheck', %ok, partner => 'x',
        booking_date => '2020-01-01T00:00:00Z', journey_id => $hers),
        ['VALIDATION_ERROR /partner', 'VALIDATION_ERROR /booking_date',
        'RESOURCE_NOT_FOUND /journey_id'], 'all that is wrong');
    my %mine = (booking_id => $booking, viewer => $ann);
    is_deeply($rows->('bookings.cancel_precheck', %mine), [], 'to be cancelled');
    is_deeply($rows->('bookings.cancel_precheck', %mine, viewer => $bob),
        ['RESOURCE_NOT_FOUND /booking_id'], 'not by him');
    $t->sql("UPDATE travel.bookings SET status = 'cancelled'
        WHERE id = '$booking'");
    is_deeply($rows->('bookings.cancel_precheck', %mine),
        ['BOOKING_NOT_CANCELLABLE /booking_id'], 'not twice');
};

subtest 'a big answer' => sub {
    my $r = $t->get('/big');
    is($r->{status}, 200, 'three megabytes');
    is(length $r->{json}{s}, 3_000_000, 'all of it');
};

subtest 'errors' => sub {
    my $r = $t->get('/sleep?s=5', allow_5xx => 1);
    is($r->{status}, 504, 'a statement that takes too long');
    is($r->{json}{error}{code}, 'GATEWAY_TIMEOUT', 'the code');
    is($t->get('/sleep?s=0.01')->{status}, 200, 'one that does not');
    $r = $t->get('/broken', allow_5xx => 1);
    is($r->{status}, 500, 'an error of the statement');
    is($r->{json}{error}{code}, 'INTERNAL_ERROR', 'the code');
    unlike($r->{content}, qr/division|SELECT|22012/, 'and no SQL for the client');
    like(slurp($t->dir . '/logs/error.log'), qr/t\.broken.*22012.*division/,
        'it is in the log');
    is($t->get('/broken?n=1')->{content}, '1', 'the session goes on');
    $r = $t->get('/norow', allow_5xx => 1);
    is($r->{status}, 500, 'a list without its row is the catalog\'s error');
    for my $token ('x', 'AAAA', 'job', '0' x 64) {
        is($t->get('/journeys', token => $ta,
            headers => { 'travel-consistency' => $token })->{status}, 400,
            "no token of ours: $token");
    }
    for my $token ('unverified', 'job:booking.0.x') {
        is($t->get('/journeys', token => $ta,
            headers => { 'travel-consistency' => $token })->{status}, 200,
            "nothing to wait for: $token");
    }
};

subtest 'seen' => sub {
    my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    my $tp = { traceparent => "00-$trace-00f067aa0ba902b7-01" };
    $t->get('/typed?s=seen', headers => $tp);
    $t->get('/broken', headers => $tp, allow_5xx => 1);
    my @db = @{ wait_for(sub {
        my @s = grep { $_->{attributes}{'db.system.name'} } $t->spans;
        @s >= 2 && \@s }, 10, 'two spans') || [] };
    is_deeply([sort map { $_->{name} } @db], ['t.broken', 't.typed'], 'named');
    is_deeply([map { $_->{trace_id} } @db], [$trace, $trace], 'in the trace');
    my ($bad) = grep { $_->{name} eq 't.broken' } @db;
    is($bad->{attributes}{$_}, '22012', "the SQLSTATE, $_")
        for qw(db.response.status_code error.type);
    for my $s (@db) {
        my $a = $s->{attributes};
        is($s->{kind}, 'client', "$s->{name}: a client");
        is($a->{'db.query.summary'}, $s->{name}, '  db.query.summary');
        is($a->{'db.namespace'}, 'travel|public', '  db.namespace');
        is($a->{'db.query.text'}, undef, '  no values');
    }
    # the primary when the machine stalls: then the replica seems to be gone
    like($bad->{attributes}{'server.address'}, qr/^(?:replica-1|primary)$/,
        'the server');
    my %parent = map { $_->{span_id} => 1 } $t->spans;
    ok($parent{$bad->{parent_span_id}}, 'below the request\'s own span');
};

subtest 'clients that hang up' => sub {
    my $req = "GET /sleep?s=0.25 HTTP/1.1\r\nHost: x\r\n\r\n";
    $t->raw($req, hang_up => 1) for 1 .. 20;
    is($t->get('/typed?s=still')->{json}{s}, 'still', 'the rest is served');
    # pipelined: two answers in order on one connection
    my $two = $t->raw("GET /typed?s=one HTTP/1.1\r\nHost: x\r\n\r\n"
        . "GET /typed?s=two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    like($two, qr/"one".*"two"/s, 'pipelined requests');
};

subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    my $test = sub {
        $t->nginx_t('try.conf')
    };
    my $try = sub {
        my ($line, $file, $text) = @_;
        (my $c = $conf) =~ s#location = /who .*#location = /who { $line }#;
        $t->write('try.conf', $c);
        $t->write("catalog/queries/$file.sql", $text) if $file;
        return $test->();
    };
    my @cases = (
        ['travel_query GET t.x;', 't.x', "-- \@returns one\nSELECT 1",
            qr{t\.x\.sql:1: everybody's rows .* in \S+:\d+$}m],
        ['travel_query GET t.x;', 't.x', "-- \@public\n-- \@returns one\n"
            . "SELECT\n :a", qr{t\.x\.sql:4: ":a" is not declared; add}],
        ['travel_query GET t.none;', undef, undef,
            qr{t\.none\.sql:1: cannot be read: No such file}],
        ['travel_query GET ../t.typed;', undef, undef, qr{lower case}],
        ['travel_query POST t.typed;', undef, undef, qr{must be GET}],
        ['travel_query GET bookings.precheck;', undef, undef, qr{check= of}],
        ['travel_query GET t.typed zz=1;', undef, undef,
            qr{"zz=1" must be NAME=VALUE}],
        ['travel_query GET t.typed; travel_query GET t.typed;', undef, undef,
            qr{duplicate}],
    );
    for my $c (@cases) {
        my ($rc, $out) = $try->(@$c[0 .. 2]);
        isnt($rc, 0, "refused: $c->[0]");
        like($out, $c->[3], '  with a reason');
    }
    my ($rc, $out) = $try->('travel_query GET t.typed s=x-$arg_s;');
    is($rc, 0, 'a value of several parts') or diag($out);
    (my $none = $conf) =~ s{travel_catalog[^;]*;}{};
    $t->write('try.conf', $none);
    ($rc, $out) = $test->();
    isnt($rc, 0, 'no catalog');
    like($out, qr/travel_catalog DIRECTORY/, '  says what to add');
};

subtest 'reload' => sub {
    $t->reload for 1 .. 2;
    my @r = map { $t->get('/typed?s=' . $_) } 1 .. 50;
    is(scalar(grep { $_->{status} == 200 } @r), 50, 'served right after');
};

$t->finish;
done_testing();
