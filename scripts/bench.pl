# Measures the edge and the workers against ceilings taken in the same run.
#
# A figure is the median ratio of alternating pairs (ceiling, ours), each
# after a warm-up.  nginx has one core and the load generator the other; a
# pair in which nginx did not fill its core says nothing about nginx and is
# void.  BENCH_PAIRS (5) and BENCH_SECONDS (5) shorten a trial run.

use strict;
use warnings;
use Test::More ();
use Time::HiRes qw(time sleep);
use POSIX ();
use Travel::Test;

my $PAIRS   = $ENV{BENCH_PAIRS}   || 5;
my $SECONDS = $ENV{BENCH_SECONDS} || 5;
my $WARM    = 1;
my $CONNS   = 64;
my $TICKS   = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my $ROOT    = Travel::Test::root();
my $OUT     = "$ROOT/run/bench.json";

my %BENCH = (
    'edge.cached'  => \&edge_cached,
    'edge.command' => \&edge_command,
    'edge.query'   => \&edge_query,
    'worker.noop'  => \&worker_noop,
);
my @ORDER = qw(edge.cached edge.query edge.command worker.noop);
my (@results, $t, $token);

$| = 1;
Test::More->builder->output(\my $tap);
run(@ARGV ? @ARGV : @ORDER);

sub run {
    my (@names) = @_;
    $BENCH{$_} or die "no benchmark named $_\n" for @names;
    printf "%-26s %12s %12s %7s  %s\n",
        'name', 'value', 'ceiling', 'ratio', 'pairs (spread)';
    for my $name (@names) {
        start();
        $BENCH{$name}->();
        $t->_destroy;
    }
    write_json();
}

# A private instance with one nginx worker, the shipped windows with quotas
# that no run reaches, and room for what a benchmark adds to nginx.conf.
sub start {
    $t = Travel::Test->start(
        ngx_workers => 1,
        env  => { TRAVEL_LIMITS => 'limits-open.conf', TRAVEL_PROCESSES => 1 },
        edit => sub {
            s{(include\s+\@ROOT\@/conf/travel/routes/\*\.conf;)}
             {$1\n        include \@RUN\@/bench-*.conf;};
            s{(travel_catalog )}{travel_backlog 100000000;\n    $1};
        });
    $token = $t->user_token(0, ttl => '12h',
        permissions => 'journeys:read journeys:write bookings:read '
            . 'bookings:write stories:read stories:write');
    wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'ready')
        or die "the instance is not ready\n";
}

sub add_conf {
    my ($text) = @_;
    $t->write('bench-locations.conf', $text);
    $t->reload;
    sleep 1;                     # the old worker is gone, the links are up
    my ($worker) = $t->children_of('nginx');
    system 'taskset', '-cp', '0', $worker;
}

# --- load ----------------------------------------------------------------------

sub cpu_of {
    my ($pid) = @_;
    my @f = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    return ($f[11] + $f[12]) / $TICKS;
}

# wrk from core 1 for $seconds; {rate, cpu of nginx's worker, errors, p99 ms}.
sub wrk {
    my ($path, $seconds, @extra) = @_;
    my ($worker) = $t->children_of('nginx');
    my ($cpu, $began) = (cpu_of($worker), time);
    my @cmd = ('taskset', '-c', '1', 'wrk', '-t1', "-c$CONNS", "-d${seconds}s",
        '--latency', '-H', "Authorization: Bearer $token", @extra,
        $t->url . $path);
    open my $p, '-|', @cmd or die "wrk: $!";
    my $out = do { local $/; <$p> };
    close $p;
    my ($rate)   = $out =~ /Requests\/sec:\s+([\d.]+)/ or die "wrk: $out";
    my ($errors) = $out =~ /Non-2xx or 3xx responses: (\d+)/;
    my ($socket) = $out =~ /(Socket errors: .*)/;
    my ($p99, $unit) = $out =~ /99%\s+([\d.]+)(us|ms|s)/;
    $p99 *= { us => 0.001, ms => 1, s => 1000 }->{$unit};
    die "unexpected answers: $errors\n" if $errors;
    die "$socket\n" if $socket;
    return { rate => $rate, p99 => $p99,
             cpu => (cpu_of($worker) - $cpu) / (time - $began) };
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

# pairs(name, unit, ceiling sub, ours sub): each returns {rate, cpu}.
sub pairs {
    my ($name, $unit, $ceiling, $ours) = @_;
    my (@c, @o, @r, $void);
    for (1 .. 2 * $PAIRS) {
        my ($c, $o) = ($ceiling->(), $ours->());
        if (grep { defined $_->{cpu} && $_->{cpu} < 0.85 } $c, $o) {
            $void++;
            next;
        }
        push @c, $c->{rate};
        push @o, $o->{rate};
        push @r, $o->{rate} / $c->{rate};
        last if @r == $PAIRS;
    }
    die "$name: every pair was void, nginx never filled its core\n" unless @r;
    my @s = sort { $a <=> $b } @r;
    report($name, $unit, median(@o), median(@c), median(@r), scalar @r,
        sprintf('%.2f-%.2f', $s[0], $s[-1]), $void);
}

sub report {
    my ($name, $unit, $value, $ceiling, $ratio, $pairs, $spread, $void) = @_;
    push @results, { name => $name, value => 0 + sprintf('%.3f', $value),
        unit => $unit, ceiling => $ceiling, ratio => $ratio,
        pairs => $pairs, spread => $spread };
    printf "%-26s %12.3f %12s %7s  %s\n", $name, $value,
        defined $ceiling ? sprintf('%.0f', $ceiling) : '-',
        defined $ratio ? sprintf('%.2f', $ratio) : '-',
        $pairs . (defined $spread ? " ($spread)" : '')
        . ($void ? ", $void void" : '') . " $unit";
}

sub write_json {
    mkdir "$ROOT/run";
    my $before = eval { json(slurp($OUT)) } || [];
    my %old = map { $_->{name} => $_ } @$before;
    $old{ $_->{name} } = $_ for @results;
    open my $f, '>', $OUT or die "$OUT: $!";
    print $f JSON::PP->new->canonical->pretty->encode(
        [map { $old{$_} } sort keys %old]);
    close $f or die "$OUT: $!";
    print "written to run/bench.json\n";
}

# --- edge.cached ---------------------------------------------------------------

# The cached answer as a `return 200` of the same bytes under the same headers.
sub ceiling_location {
    my ($r) = @_;
    my $quote = sub { my $s = shift; $s =~ s/([\\'])/\\$1/g; "'$s'" };
    my $headers = '';
    for my $name (sort keys %{ $r->{headers} }) {
        next if $name =~ /^(?:server|date|content-type|content-length|connection)$/;
        my $v = $r->{headers}{$name};
        $headers .= "    add_header $name " . $quote->($_) . " always;\n"
            for ref $v ? @$v : $v;
    }
    die "a dollar in the answer\n" if "$headers$r->{content}" =~ /\$/;
    return "location = /bench/ceiling {\n    travel_trace off;\n"
        . "    travel_limit off;\n    default_type application/json;\n$headers"
        . '    return 200 ' . $quote->($r->{content}) . ";\n}\n";
}

sub edge_cached {
    for (1 .. 10) {
        my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
            destination => 'Hartford, US', theme => 'food' }, token => $token,
            headers => { prefer => 'wait=10' });
        die "journey: $r->{content}" if $r->{status} != 201;
    }
    sleep 0.5;
    my $path = '/api/v1/journeys?limit=10';
    $t->get($path, token => $token) for 1 .. 3;
    my $r = $t->get($path, token => $token);
    die "not cached: $r->{status}" unless $r->{headers}{'x-cache'} // '' eq 'HIT'
        or defined $r->{headers}{age};
    add_conf(ceiling_location($r));
    wrk($path, $WARM);
    pairs('edge.cached', 'requests/s',
        sub { wrk('/bench/ceiling', $WARM); wrk('/bench/ceiling', $SECONDS) },
        sub { wrk($path, $WARM); wrk($path, $SECONDS) });
}

# --- edge.query ----------------------------------------------------------------

my $ROWS = 100_000;

sub edge_query {
    my $user = $t->user(0);
    my ($a, $b) = map { $_->[0] } $t->sql(
        'SELECT id FROM travel.place ORDER BY population DESC LIMIT 2');
    $t->sql("INSERT INTO travel.journeys (id, user_id, origin, destination, "
        . 'origin_place_id, destination_place_id, theme, distance_miles) '
        . "SELECT ('01890000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))"
        . "::uuid, '$user', 'here', 'there', $a, $b, 'food', 93.4 "
        . "FROM generate_series(0, $ROWS - 1) AS n", role => 'postgres');
    $t->sql('VACUUM ANALYZE travel.journeys', role => 'postgres');
    add_conf(<<'CONF');
location ~ "^/bench/journey/(?<journey_id>[^/]+)$" {
    travel_auth  required jwks=main audience=travel;
    travel_query GET journeys.get id=$journey_id;
}
CONF
    $t->write('query.lua', <<"LUA");
request = function()
    return wrk.format("GET", string.format(
        "/bench/journey/01890000-0000-7000-9000-%012x",
        math.random(0, $ROWS - 1)))
end
LUA
    my $dir = $t->dir;
    my $ours = sub { wrk('/', $_[0], '-s', "$dir/query.lua") };
    $ours->($WARM);
    my @ceiling = map { [ $_, pgbench($_, $WARM) ] } 4, 16, 64;
    my ($best) = sort { $b->[1] <=> $a->[1] } @ceiling;
    pairs('edge.query', 'requests/s',
        sub { { rate => pgbench($best->[0], $SECONDS) } },
        sub { my $o = $ours->($SECONDS); delete $o->{cpu}; $o });
}

# The same statement, prepared, with random keys, on the replica's socket.
sub pgbench {
    my ($clients, $seconds) = @_;
    my $sql = slurp("$ROOT/conf/travel/queries/journeys.get.sql");
    $sql =~ s/^--.*\n//mg;
    my $user = $t->user(0);
    $sql =~ s/:viewer\b/'$user'::uuid/g;
    $sql =~ s/:id\b/('01890000-0000-7000-9000-' || lpad(to_hex(:n), 12, '0'))::uuid/g;
    $sql =~ s/;?\s*\z//;
    $t->write('query.pgbench', '\set n random(0, ' . ($ROWS - 1) . ")\n"
        . join(' ', split /\s*\n\s*/, $sql) . ";\n");
    my $dir = readlink($t->dir . '/pg-replica');
    my ($rc, $out) = $t->run('/usr/bin/pgbench', '-n', '-M', 'prepared',
        '-c', $clients, '-j', '1', '-T', $seconds,
        '-f', $t->dir . '/query.pgbench', '-h', $dir, '-U', 'travel_edge',
        'travel');
    my ($tps) = $out =~ /tps = ([\d.]+) \(without/ or die "pgbench: $out";
    return $tps;
}

# --- edge.command --------------------------------------------------------------

sub edge_command {
    $t->stop_part('workers');
    my $redis = $t->redis('queue');
    $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    system 'taskset', '-acp', '1', $t->pid_of('queue');
    add_conf(<<'CONF');
location = /bench/command {
    travel_auth    required jwks=main audience=travel;
    travel_command POST booking.create;
}
CONF
    my $body = '{"partner":"opentable","venue_id":"rest_456",'
        . '"booking_date":"2030-03-01T19:00:00Z","party_size":4}';
    $t->write('command.lua', qq{wrk.method = "POST"\nwrk.body = '$body'\n}
        . qq{wrk.headers["Content-Type"] = "application/json"\n});
    my $script = $t->dir . '/command.lua';
    my $ours = sub {
        wipe();
        my $o = wrk('/bench/command', $_[0], '-s', $script);
        $o->{cpu} = undef;             # shares the machine with Redis by design
        return $o;
    };
    $ours->($WARM);
    my ($hset, $xadd) = captured();
    my (@plain);
    pairs('edge.command', 'requests/s', sub {
        wipe();
        my $h = redis_benchmark($CONNS, 1, @$hset);
        wipe();
        my $x = redis_benchmark($CONNS, 1, @$xadd);
        wipe();
        push @plain, redis_benchmark(1, $CONNS, @$xadd);
        return { rate => 1 / (1 / $h + 1 / $x) };
    }, sub { $ours->($SECONDS) });
    report('redis.xadd.unpipelined', 'requests/s', median(@plain), undef,
        undef, scalar @plain);

    wipe();
    my $rate = int($results[-2]{value} / 2);
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', '1', 'h2load', '--h1',
        '-t1', '-c16', '-D', $SECONDS, "--rps=" . int($rate / 16),
        '-H', "authorization: Bearer $token",
        '-H', 'content-type: application/json', '-d', body_file($body),
        '--log-file=' . $t->dir . '/h2load.log', $t->url . '/bench/command');
    my @us = sort { $a <=> $b }
        map { (split /\t/)[2] } split /\n/, slurp($t->dir . '/h2load.log');
    die "h2load: $out" unless @us > 1000;
    my $rtt = redis_round_trip();
    report('edge.command.p99', 'ms', $us[@us * 0.99] / 1000, undef, undef,
        scalar @us, sprintf 'round trip of HSET+XADD %.3f ms', $rtt);
}

sub body_file { $t->write('body.json', $_[0]); $t->dir . '/body.json' }

sub wipe {
    my $redis = $t->redis('queue');
    my $layout = $redis->call('HGETALL', 'travel:layout');
    $redis->call('FLUSHALL');
    $redis->call('HSET', 'travel:layout', @$layout) if @$layout;
}

# What one accepted command left in Redis, as arguments of redis-benchmark.
sub captured {
    my $redis = $t->redis('queue');
    my ($stream) = grep { $redis->call('TYPE', $_) eq 'stream' }
        @{ $redis->call('KEYS', 'travel:{booking.*}:normal') };
    my $entry = $redis->call('XRANGE', $stream, '-', '+', 'COUNT', 1)->[0];
    my ($job) = @{ $redis->call('KEYS', 'travel:{booking.*}:job:*') };
    my $fields = $redis->call('HGETALL', $job);
    return (['HSET', $job =~ s/.{12}\z/__rand_int__/r, @$fields],
        ['XADD', $stream, '*', @{ $entry->[1] }]);
}

sub redis_benchmark {
    my ($pipeline, $clients, @command) = @_;
    my $n = $pipeline > 1 ? 200_000 : 100_000;
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', '0', 'redis-benchmark',
        '-s', $t->socket('queue'), '--user', 'admin', '-a',
        slurp($t->dir . '/keys/redis-admin.password'), '-c', $clients,
        '-P', $pipeline, '-n', $n, '-r', 1_000_000_000, '-q', @command);
    my ($rate) = $out =~ /([\d.]+) requests per second/
        or die "redis-benchmark: $out";
    return $rate;
}

sub redis_round_trip {
    my $redis = $t->redis('queue');
    my @ms;
    for (1 .. 2000) {
        my $began = time;
        $redis->call('HSET', 'travel:{booking.0}:job:x', 'a', 'b');
        $redis->call('XADD', 'travel:{booking.0}:low', '*', 'a', 'b');
        push @ms, (time - $began) * 1000;
    }
    return median(@ms);
}

# --- worker.noop ---------------------------------------------------------------

my $JOBS = 200_000;

sub worker_noop {
    my @rates;
    for (1 .. 3) {
        $t->stop_part('workers');
        wipe();
        my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
            'preload', '--type', 'maintenance.noop', '--count', $JOBS,
            '--config', $t->dir . '/workers.conf');
        die "preload: $out" if $rc;
        my $redis = $t->redis('queue');
        my @streams = @{ $redis->call('KEYS', 'travel:{maintenance.*}:*') };
        @streams = grep { $redis->call('TYPE', $_) eq 'stream' } @streams;
        my $began = time;
        $t->start_part('workers');
        while (grep { $redis->call('XLEN', $_) } @streams) {
            die "not done after 60 s\n" if time - $began > 60;
            sleep 0.01;
        }
        push @rates, $JOBS / (time - $began);
        my $done = 0;
        for my $key (@{ $redis->call('KEYS', 'travel:{maintenance.*}:job:*') }) {
            $done++ if $redis->call('HGET', $key, 'status') eq 'succeeded';
        }
        die "only $done of $JOBS succeeded\n" if $done != $JOBS;
    }
    my @s = sort { $a <=> $b } @rates;
    report('worker.noop', 'jobs/s per process', median(@rates), undef, undef,
        scalar @rates, sprintf '%.0f-%.0f', $s[0], $s[-1]);
}
