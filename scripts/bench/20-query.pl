# An uncached read, against pgbench on the same replica and socket.
package Travel::Bench::Query;

use strict;
use warnings;
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

# Keys end in twelve decimal digits: a generator has only to append a number.
my ($KEY, $FIRST, $LAST) =
    ('01890000-0000-7000-9000-', 100_000_000_000, 100_000_099_999);

sub edge_query {
    my $user = $t->user(0);
    my ($from, $to) = map { $_->[0] } $t->sql(
        'SELECT id FROM travel.place ORDER BY population DESC LIMIT 2');
    $t->sql("INSERT INTO travel.journeys (id, user_id, origin, destination, "
        . 'origin_place_id, destination_place_id, theme, distance_miles) '
        . "SELECT ('$KEY' || n)::uuid, '$user', 'here', 'there', $from, $to, "
        . "'food', 93.4 FROM generate_series($FIRST, $LAST) AS n",
        role => 'postgres');
    $t->sql('VACUUM ANALYZE travel.journeys', role => 'postgres');
    add_conf(<<'CONF');
location ~ "^/bench/journey/(?<journey_id>[^/]+)$" {
    travel_auth  required jwks=main audience=travel;
    travel_query GET journeys.get id=$journey_id;
}
CONF
    $t->write('query.lua', <<"LUA");
request = function()
    return wrk.format("GET", string.format("/bench/journey/$KEY%012d",
        math.random(0, $LAST - $FIRST) + $FIRST))
end
LUA
    caught_up();
    my $script = $t->dir . '/query.lua';
    my $ours = sub { wrk('/', $_[0], '-s', $script) };
    $ours->(WARM);
    my %tps = map { $_ => pgbench($_, 2 * WARM) } 4, 16, 64;
    my ($best) = sort { $tps{$b} <=> $tps{$a} } keys %tps;
    # PostgreSQL is what works here, on whatever core is free; nginx waits.
    pairs('edge.query', 'requests/s',
        sub { { rate => pgbench($best, SECONDS) } },
        sub { my $o = warm($ours); delete $o->{cpu}; $o });
}

sub caught_up {
    my $lsn = $t->sql('SELECT pg_current_wal_flush_lsn()', role => 'postgres');
    wait_for(sub { $t->sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'",
        on => 'replica', role => 'postgres') eq 't' }, 30, 'the replica')
        or die "the replica is behind\n";
    my $edge = sub { $t->get('/metrics')->{content}
        =~ /^travel_postgres_fit\{[^}]*replica[^}]*\} 1/m };
    wait_for($edge, 30, 'the edge') or die "the edge avoids the replica\n";
}

# The same statement, prepared, with random keys, on the replica's socket.
sub pgbench {
    my ($clients, $seconds) = @_;
    my $sql = slurp(ROOT . "/conf/travel/queries/journeys.get.sql");
    $sql =~ s/^--.*\n//mg;
    $sql =~ s/:id\b/('$KEY' || :n)::uuid/g or die "journeys.get without id\n";
    $sql =~ s/;?\s*\z//;
    $t->write('query.pgbench', "\\set n random($FIRST, $LAST)\n"
        . join(' ', split /\s*\n\s*/, $sql) . ";\n");
    my $dir = readlink($t->dir . '/pg-replica');
    my ($rc, $out) = $t->run('/usr/bin/pgbench', '-n', '-M', 'prepared',
        '-c', $clients, '-j', 1, '-T', $seconds, '-D', 'viewer=' . $t->user(0),
        '-f', $t->dir . '/query.pgbench', '-h', $dir, '-U', 'travel_edge',
        'travel');
    my ($tps) = $out =~ /tps = ([\d.]+) \(without/ or die "pgbench: $out";
    return $tps;
}

bench('edge.query', \&edge_query);
