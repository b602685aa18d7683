# GraphQL: a kept answer against `return 200` of the same bytes to the same
# POST; one that is not kept against pgbench with the SQL it compiles to, and
# beside Mercurius and PostGraphile (peers/).
package Travel::Bench::GraphQL;

use strict;
use warnings;
use JSON::PP ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $MINE = '{ myJourneys(limit: 5) { id origin destination theme stories(limit: 2) '
    . '{ title content } bookings(limit: 2) { venueName confirmationNumber } } }';
my $ONE = 'query($id: ID!) { journey(journeyId: $id) { id origin destination theme '
    . 'distanceMiles stories(limit: 2) { title } } }';
my ($KEY, $FIRST, $LAST) =
    ('01890000-0000-7000-9000-', 100_000_000_000, 100_000_019_999);

sub lua {
    my ($name, $text) = @_;
    $t->write("$name.lua", $text);
    return $t->dir . "/$name.lua";
}

sub hits {
    my ($n) = $t->get('/metrics')->{content}
        =~ /^travel_cache_requests_total\{route="graphql",result="hit"\} (\d+)/m;
    return $n // 0;
}

# Journeys of the caller's own, and the location that keeps answers with them
# for longer than a run.
sub own_journeys {
    for (1 .. 5) {
        my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
            destination => 'Hartford, US', theme => 'food' }, token => $token,
            headers => { prefer => 'wait=10' });
        die "journey: $r->{content}" if $r->{status} != 201;
    }
    my $location = "location = /bench/graphql {\n    travel_auth required jwks=main "
        . "audience=travel;\n    travel_graphql;\n    travel_cache 1h stale=1h;\n}\n";
    add_conf($location);
    return $location;
}

sub graphql_cached {
    my $location = own_journeys();
    my $body = JSON::PP->new->encode({ query => $MINE });
    my $ask = sub { $t->post('/api/graphql', { query => $MINE }, token => $token) };
    my $r;
    wait_for(sub {
        my $before = hits();
        $r = $ask->();
        $r->{status} == 200 && $r->{json}{data} && hits() == $before + 1;
    }, 20, 'a hit') or die "not kept: $r->{content}\n";
    add_conf($location . same_answer('/bench/ceiling', $r));
    my $script = lua('graphql', "wrk.method = 'POST'\nwrk.body = [=[$body]=]\n"
        . "wrk.headers['Content-Type'] = 'application/json'\n");
    my $before = hits();
    pairs('graphql.cached', 'requests/s', map {
        my $path = $_;
        sub { warm(sub { wrk($path, $_[0], '-s', $script) }) };
    } '/bench/ceiling', '/bench/graphql');
    die "no hits\n" if hits() - $before < 1000;
}

# The product's load test (wrk -c400, mixed, kept answers), beside what its
# documents measured: 15,432/s by twelve threads.
my ($HEADLINE, $BESIDE) = (15_432, 12);
my @MIXED = ($MINE, '{ myJourneys(limit: 3) { id theme stories(limit: 1) { title } } }',
    '{ myJourneys { id origin bookings(limit: 1) { venueName } stories(limit: 1) { title } } }');

sub graphql_load {
    my $location = own_journeys();
    my @answers;
    for my $query (@MIXED) {
        wait_for(sub {
            my $before = hits();
            push @answers, my $r = $t->post('/bench/graphql', { query => $query }, token => $token);
            $r->{status} == 200 && hits() == $before + 1 || !pop @answers;
        }, 20, 'a hit') or die "not kept\n";
    }
    add_conf(join '', $location, map { same_answer("/bench/ceiling$_", $answers[$_]) } 0 .. $#MIXED);
    my %script;
    for my $path ('/bench/graphql', '/bench/ceiling') {
        my $mixed = join ",\n", map { my $at = $path =~ /ceiling/ ? "$path$_" : $path;
            qq{wrk.format("POST", "$at", nil, [=[} . JSON::PP->new->encode({ query => $MIXED[$_] }) . ']=])' } 0 .. $#MIXED;
        $script{$path} = lua('load-' . ($path =~ s{.*/}{}r), <<"LUA");
wrk.headers["Content-Type"] = "application/json"
local requests, n
init = function(args) requests = { $mixed }; n = 0 end
request = function()
    n = n % #requests + 1
    return requests[n]
end
LUA
    }
    my @p99;
    my $load = sub { my ($path, $seconds, %o) = @_;
        wrk('/', $seconds, { connections => 400, %o }, '--latency', '-s', $script{$path}) };
    my $kept = sub { warm(sub { my $o = $load->('/bench/graphql', @_); push @p99, $o->{p99} if $_[0] == SECONDS; $o }) };
    pairs('graphql.load', 'requests/s', sub { warm(sub { $load->('/bench/ceiling', @_) }) }, $kept);
    my $best = $kept->();
    my $beside = $load->('/bench/graphql', SECONDS, threads => $BESIDE);
    report('graphql.load.headline', 'requests/s', value => $best->{rate}, ceiling => $HEADLINE,
        ratio => $best->{rate} / $HEADLINE, pairs => 1, spread => sprintf 'p99 %.1f ms; -t12 -c400 %.0f/s', median(@p99), $beside->{rate});
    report('graphql.load.p99', 'ms, asked 10', value => median(@p99), pairs => scalar @p99, spread => spread('%.1f', @p99));
    # At saturation a request waits for the 399 before it; at half of that rate
    # it is what one takes.
    my @us = map {
        $t->write("mixed$_.json", JSON::PP->new->encode({ query => $MIXED[$_] }));
        latency('/bench/graphql', $best->{rate} / 2, clients => 400, first => 1, args => [ '-d', $t->dir . "/mixed$_.json",
            '-H', 'content-type: application/json' ]);
    } 0 .. $#MIXED;
    report('graphql.load.half.p99', 'ms, -c400 at half of peak', value => quantile(0.99, @us) / 1000, pairs => scalar @us,
        spread => sprintf 'p50 %.2f p99.9 %.2f', map { quantile($_, @us) / 1000 } 0.5, 0.999);
}

# Journeys of a user to ask for, and the location that answers without keeping.
sub journeys {
    my $user = $t->user(0);
    my ($from, $to) = map { $_->[0] } $t->sql(
        'SELECT id FROM travel.place ORDER BY population DESC LIMIT 2');
    $t->sql('INSERT INTO travel.journeys (id, user_id, origin, destination, '
        . 'origin_place_id, destination_place_id, theme, distance_miles) '
        . "SELECT ('$KEY' || n)::uuid, '$user', 'here', 'there', $from, $to, "
        . "'food', 93.4 FROM generate_series($FIRST, $LAST) AS n ON CONFLICT DO NOTHING",
        role => 'postgres');
    $t->sql('VACUUM ANALYZE travel.journeys', role => 'postgres');
    add_conf("location = /bench/graphql {\n    travel_auth required jwks=main "
        . "audience=travel;\n    travel_graphql;\n}\n");
}

# A script that asks for one of them, another each time: requests are made
# before, so that the generator costs no more than pgbench does.
sub asking {
    my ($file, $query) = @_;
    return lua("graphql-$file", <<"LUA");
wrk.headers["Content-Type"] = "application/json"
local requests, n = {}, 0
init = function(args)
    for i = 1, 4000 do
        requests[i] = wrk.format("POST", nil, nil, string.format(
            [=[{"query":"$query","variables":{"id":"$KEY%012d"}}]=],
            math.random(0, $LAST - $FIRST) + $FIRST))
    end
end
request = function()
    n = n % #requests + 1
    return requests[n]
end
LUA
}

sub graphql_query {
    journeys();
    my $user = $t->user(0);
    $t->write('one.graphql', $ONE);
    my ($rc, $sql) = $t->run($t->build . '/travelctl', 'graphql', 'explain',
        '--dir', ROOT . '/conf/travel', '--variables', '{"id":"x"}',
        $t->dir . '/one.graphql');
    die $sql if $rc;
    my %bind = $sql =~ /^\$(\d+) (viewer|variable \$id|limit 2)$/mg;
    ($sql) = split /\n/, $sql;
    my %text = (viewer => "'$user'", 'variable $id' => "('$KEY' || :n)::uuid",
        'limit 2' => '2');
    $sql =~ s/\$(\d+)/$text{ $bind{$1} }/ge;
    $t->write('graphql.pgbench', "\\set n random($FIRST, $LAST)\n$sql;\n");
    my $socket = readlink($t->dir . '/pg-replica');
    my $pgbench = sub {
        my ($clients, $seconds) = @_;
        my ($rc, $out) = $t->run('/usr/bin/pgbench', '-n', '-M', 'prepared', '-c',
            $clients, '-j', 1, '-T', $seconds, '-f', $t->dir . '/graphql.pgbench',
            '-h', $socket, '-U', 'travel_edge', 'travel');
        return $out =~ /tps = ([\d.]+) \(without/ ? $1 : die "pgbench: $out";
    };
    my $script = asking("one", $ONE);
    my $ours = sub { wrk('/bench/graphql', $_[0], '-s', $script) };
    $ours->(WARM);
    my %tps = map { $_ => $pgbench->($_, 2 * WARM) } 4, 16, 64;
    my ($best) = sort { $tps{$b} <=> $tps{$a} } keys %tps;
    pairs('graphql.query', 'requests/s',
        sub { { rate => $pgbench->($best, SECONDS) } },
        sub { my $o = warm($ours); delete $o->{cpu}; $o });
}

# The same journey by another server, which must give the same answer.
my %THEIRS = (mercurius => $ONE,
    postgraphile => 'query($id: UUID!) { journey: journeyByRowId(rowId: $id) { id: rowId '
        . 'origin destination theme distanceMiles stories: storiesByJourneyId(first: 2) '
        . '{ nodes { title } } } }');

sub graphql_peer {
    my ($name) = @_;
    journeys();
    my ($theirs, $ours) = (asking("theirs", $THEIRS{$name}), asking("ours", $ONE));
    my %ask = (variables => { id => "$KEY$FIRST" });
    Travel::Bench::Peers::with_peer($name, sub {
        my ($peer) = @_;
        my @said = map { $_->{json}{data}{journey} // die $_->{content} }
            $t->post('/bench/graphql', { query => $ONE, %ask }, token => $token),
            $t->post('/graphql', { query => $THEIRS{$name}, %ask }, base => $peer->{url}, token => $token);
        for my $field (qw(id origin destination theme distanceMiles)) {
            die "$name: another $field\n" if $said[0]{$field} ne $said[1]{$field};
        }
        pairs("graphql.query.vs_$name", 'requests/s',
            sub { warm(sub { wrk('/graphql', $_[0], $peer, '--timeout', '30s', '-s', $theirs) }) },
            sub { warm(sub { wrk('/bench/graphql', $_[0], '-s', $ours) }) });
    });
}

bench('graphql.cached', \&graphql_cached);
bench('graphql.load', \&graphql_load);
bench('graphql.query', \&graphql_query);
for my $name (sort keys %THEIRS) {
    bench("graphql.query.vs_$name", sub { graphql_peer($name) });
}

1;
