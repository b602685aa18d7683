# Measures the edge and the workers against ceilings taken in the same run.
#
# A figure is the median ratio of alternating pairs (ceiling, ours), each
# after a warm-up.  nginx has one core and the load generator the other.  Where
# nginx is what is measured, a pair in which it did not fill its core, because
# the generator was too slow or somebody else took the core, says nothing about
# nginx: it is void, and is repeated while time lasts.  A benchmark without one
# valid pair has failed, and so has the run.
#
# BENCH_PAIRS (5) and BENCH_SECONDS (5) shorten a trial run, BENCH_LIMIT (80)
# is how many seconds of pairs a benchmark may take.  BENCH_SHARED=1 is for a
# machine that has other work: no pair is void, and where nginx is what is
# measured, what it did counts per second of its own processor time.  Such
# figures are not written down.

use strict;
use warnings;
use Test::More ();
use Time::HiRes qw(time sleep);
use POSIX ();
use Travel::Test;

my $PAIRS   = $ENV{BENCH_PAIRS}   || 5;
my $SECONDS = $ENV{BENCH_SECONDS} || 5;
my $LIMIT   = $ENV{BENCH_LIMIT}   || 80;
my $SHARED  = $ENV{BENCH_SHARED};
my $WARM    = 1;
my $FULL    = 0.85;                # of a core, from where it counts as filled
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
my (@results, @failed, $t, $token);

sub run {
    my (@names) = @_;
    $BENCH{$_} or die "no benchmark named $_\n" for @names;
    printf "%-26s %12s %12s %7s  %s\n",
        'name', 'value', 'ceiling', 'ratio', 'pairs (spread)';
    for my $name (@names) {
        start();
        if (!eval { $BENCH{$name}->(); 1 }) {
            print "$name failed: $@";
            push @failed, $name;
        }
        $t->_destroy;
    }
    write_json() unless $SHARED;
    exit 1 if @failed;
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
    pin(0, $worker);
}

# All threads of a process onto one core.
sub pin {
    my ($core, $pid) = @_;
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-acp', $core, $pid);
    die "taskset: $out" if $rc;
}

# --- load --------------------------------------------------------------------

sub cpu_of {
    my ($pid) = @_;
    my @f = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    return ($f[11] + $f[12]) / $TICKS;
}

# What is measured, after a warm-up of its own.
sub warm {
    my ($measure) = @_;
    $measure->($WARM);
    return $measure->($SECONDS);
}

# wrk from core 1 for $seconds: {rate, cpu}, the latter nginx's share of a core.
sub wrk {
    my ($path, $seconds, @extra) = @_;
    my ($worker) = $t->children_of('nginx');
    my ($cpu, $began) = (cpu_of($worker), time);
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', '1', 'wrk', '-t1',
        "-c$CONNS", "-d${seconds}s", '-H', "Authorization: Bearer $token",
        @extra, $t->url . $path);
    my $share = (cpu_of($worker) - $cpu) / (time - $began);
    my ($rate) = $out =~ /Requests\/sec:\s+([\d.]+)/ or die "wrk: $out";
    die "unexpected answers: $out" if $out =~ /Non-2xx or 3xx|Socket errors/;
    die "nginx's worker is not the one it was\n"
        if $worker != ($t->children_of('nginx'))[0];
    return { rate => $rate, cpu => $share };
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

sub spread {
    my ($format, @values) = @_;
    my @s = sort { $a <=> $b } @values;
    return sprintf "$format-$format", $s[0], $s[-1];
}

# pairs(name, unit, ceiling, ours): both return {rate} and, where nginx is to
# fill its core, {cpu}.
sub pairs {
    my ($name, $unit, @measure) = @_;
    my (@pairs, $void);
    my $began = time;
    while (@pairs < $PAIRS && time - $began < $LIMIT) {
        my @m = map { $_->() } @measure;
        if (!$SHARED && grep { defined && $_ < $FULL } map { $_->{cpu} } @m) {
            $void++;
            next;
        }
        push @pairs, [ map {
            $SHARED && $_->{cpu} ? $_->{rate} / $_->{cpu} : $_->{rate} } @m ];
    }
    die "every pair was void, nginx never filled its core\n" unless @pairs;
    my @ratios = map { $_->[1] / $_->[0] } @pairs;
    report($name, $unit, value => median(map { $_->[1] } @pairs),
        ceiling => median(map { $_->[0] } @pairs), ratio => median(@ratios),
        pairs => scalar @pairs, spread => spread('%.2f', @ratios),
        void => $void);
}

sub report {
    my ($name, $unit, %f) = @_;
    for my $figure (qw(value ceiling ratio)) {
        $f{$figure} = 0 + sprintf('%.3f', $f{$figure}) if defined $f{$figure};
    }
    push @results, { name => $name, unit => $unit,
        map { $_ => $f{$_} } qw(value ceiling ratio pairs spread) };
    printf "%-26s %12s %12s %7s  %s\n", $name, $f{value},
        $f{ceiling} // '-',
        defined $f{ratio} ? sprintf('%.2f', $f{ratio}) : '-',
        "$f{pairs} ($f{spread})" . ($f{void} ? ", $f{void} void" : '')
        . " $unit";
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

# --- edge.cached -------------------------------------------------------------

# The cached answer as a `return 200` of the same bytes under the same headers.
# nginx's configuration takes no word over 4096 bytes, so the page is small.
sub ceiling_location {
    my ($r) = @_;
    my $quote = sub { my $s = shift; $s =~ s/([\\'])/\\$1/g; "'$s'" };
    my $headers = '';
    for my $name (sort keys %{ $r->{headers} }) {
        next if $name =~
            /^(?:server|date|content-type|content-length|connection)$/;
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
    my $path = '/api/v1/journeys?limit=5';
    $t->get($path, token => $token) for 1 .. 3;
    my $hits = sub {
        my ($n) = $t->get('/metrics')->{content}
            =~ /^travel_cache_total\{result="hit"\} (\d+)/m;
        return $n;
    };
    my $before = $hits->();
    my $r = $t->get($path, token => $token);
    die "not cached: $r->{status}\n" unless $hits->() == $before + 1;
    add_conf(ceiling_location($r));
    my $hit = $hits->();
    pairs('edge.cached', 'requests/s',
        sub { warm(sub { wrk('/bench/ceiling', @_) }) },
        sub { warm(sub { wrk($path, @_) }) });
    die "no hits\n" if $hits->() - $hit < 1000;
}

# --- edge.query --------------------------------------------------------------

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
    $ours->($WARM);
    my %tps = map { $_ => pgbench($_, 2 * $WARM) } 4, 16, 64;
    my ($best) = sort { $tps{$b} <=> $tps{$a} } keys %tps;
    # PostgreSQL is what works here, on whatever core is free; nginx waits.
    pairs('edge.query', 'requests/s',
        sub { { rate => pgbench($best, $SECONDS) } },
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
    my $sql = slurp("$ROOT/conf/travel/queries/journeys.get.sql");
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

# --- edge.command ------------------------------------------------------------

sub edge_command {
    $t->stop_part('workers');
    $t->redis('queue')->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    pin(1, $t->pid_of('queue'));
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
    my $ours = sub { wipe(); wrk('/bench/command', $_[0], '-s', $script) };
    $ours->($WARM);
    my ($hset, $xadd) = captured();
    my @plain;
    # Redis and the generator share the other core by design: whoever is full
    # first, nginx or Redis, is the answer.
    pairs('edge.command', 'requests/s', sub {
        my $h = redis_benchmark(2 * $CONNS, 1, @$hset);
        my $x = redis_benchmark(2 * $CONNS, 1, @$xadd);
        push @plain, redis_benchmark(1, $CONNS, @$xadd);
        return { rate => 1 / (1 / $h + 1 / $x) };
    }, sub { my $o = warm($ours); delete $o->{cpu}; $o });
    my $half = $results[-1]{value} / 2;
    report('redis.xadd.unpipelined', 'requests/s', value => median(@plain),
        pairs => scalar @plain, spread => spread('%.0f', @plain));
    command_latency($half, $body);
}

# Our own time at a constant rate: what a client waits, less what the same two
# commands take on a connection of their own while that load is on.
sub command_latency {
    my ($rate, $body) = @_;
    my $dir = $t->dir;
    my $clients = 16;
    my $seconds = $SECONDS + $WARM;
    wipe();
    $t->write('body.json', $body);
    my $probe = fork // die "fork: $!";
    if (!$probe) {
        my @us = round_trips($seconds);
        $t->write('probe.us', "@us");
        POSIX::_exit(0);
    }
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', '1', 'h2load', '--h1',
        '-t1', "-c$clients", '-D', $SECONDS, '--warm-up-time', $WARM,
        '--rps=' . int(1 + $rate / $clients),
        '-H', "authorization: Bearer $token",
        '-H', 'content-type: application/json', '-d', "$dir/body.json",
        "--log-file=$dir/h2load.log", $t->url . '/bench/command');
    waitpid $probe, 0;
    my @answers = map { [ split /\t/ ] } split /\n/, slurp("$dir/h2load.log");
    my @us = map { $_->[2] } @answers;
    die "h2load: $out" if @us < 100 || grep { $_->[1] != 202 } @answers;
    my @redis = split ' ', slurp("$dir/probe.us");
    report('edge.command.own_p99', 'ms', pairs => scalar @us,
        value => (quantile(0.99, @us) - quantile(0.99, @redis)) / 1000,
        spread => sprintf 'client %.3f/%.3f, Redis %.3f/%.3f p50/p99',
            map { $_ / 1000 } map { quantile(0.5, @$_), quantile(0.99, @$_) }
            \@us, \@redis);
}

sub quantile {
    my ($q, @values) = @_;
    my @s = sort { $a <=> $b } @values;
    return $s[ int($q * @s) ];
}

# Microseconds of HSET and XADD in one write, some hundred times a second.
sub round_trips {
    my ($seconds) = @_;
    my $redis = $t->redis('queue');
    my (@us, $end);
    for ($end = time + $seconds; time < $end; sleep 0.004) {
        my $began = time;
        $redis->calls(['HSET', 'travel:{booking.0}:job:probe', 'a', 'b'],
            ['XADD', 'travel:{booking.0}:low', '*', 'a', 'b']);
        push @us, int((time - $began) * 1e6);
    }
    return @us;
}

# An empty Redis that knows the partitions, with an empty log.
sub wipe {
    my $redis = $t->redis('queue');
    my $layout = $redis->call('HGETALL', 'travel:layout');
    $redis->call('FLUSHALL');
    $redis->call('HSET', 'travel:layout', @$layout) if @$layout;
    $redis->call('BGREWRITEAOF');
    wait_for(sub { $redis->call('INFO', 'persistence')
        =~ /aof_rewrite_in_progress:0.*aof_rewrite_scheduled:0/s }, 10, 'AOF');
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
    my $n = $pipeline > 1 ? 200_000 : 50_000;
    my $rate;
    for my $count ($n / 10, $n) {
        wipe();
        my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', '0',
            'redis-benchmark', '-s', $t->socket('queue'), '--user', 'admin',
            '-a', slurp($t->dir . '/keys/redis-admin.password'),
            '-c', $clients, '-P', $pipeline, '-n', $count,
            '-r', 1_000_000_000, '-q', @command);
        ($rate) = $out =~ /: ([\d.]+) requests per second/
            or die "redis-benchmark: $out";
    }
    return $rate;
}

# --- worker.noop -------------------------------------------------------------

my $JOBS = 200_000;

# Counts in Redis what came of the jobs; a client would take as long again.
my $COUNT_DONE = <<'LUA';
local n = 0
for _, key in ipairs(redis.call('KEYS', 'travel:{maintenance.*}:job:*')) do
    if redis.call('HGET', key, 'status') == 'succeeded' then n = n + 1 end
end
return n
LUA

# From the start of a cold pool to nothing pending, status of every job written.
sub worker_noop {
    my @rates;
    my $began_all = time;
    $t->redis('queue')->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    for (1 .. 3) {
        $t->stop_part('workers');
        wipe();
        my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
            'preload', '--type', 'maintenance.noop', '--count', $JOBS,
            '--config', $t->dir . '/workers.conf');
        die "preload: $out" if $rc;
        my $redis = $t->redis('queue');
        my @streams = grep { $redis->call('TYPE', $_) eq 'stream' }
            @{ $redis->call('KEYS', 'travel:{maintenance.*}:*[a-z]') };
        my $began = time;
        $t->start_part('workers');
        while (grep { $_ } map { $redis->call('XLEN', $_) } @streams) {
            die "not done after 60 s\n" if time - $began > 60;
            sleep 0.02;
        }
        push @rates, $JOBS / (time - $began);
        my $done = $redis->call('EVAL', $COUNT_DONE, 0);
        die "only $done of $JOBS succeeded\n" if $done != $JOBS;
        last if time - $began_all > $LIMIT;
    }
    report('worker.noop', 'jobs/s per process', value => median(@rates),
        pairs => scalar @rates, spread => spread('%.0f', @rates));
}

# --- the end: everything above is set up -------------------------------------

$| = 1;
Test::More->builder->output(\my $tap);
run(@ARGV ? @ARGV : @ORDER);
