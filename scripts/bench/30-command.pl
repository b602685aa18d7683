# An accepted command, against redis-benchmark with the same Redis commands.
package Travel::Bench::Command;

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $BODY = '{"partner":"opentable","venue_id":"rest_456",'
    . '"booking_date":"2030-03-01T19:00:00Z","party_size":4}';

my $LOCATION = <<'CONF';
location = /bench/command {
    travel_auth    required jwks=main audience=travel;
    travel_command POST booking.create;
}
CONF

# Redis has a core to itself in both runs; whoever asks it, redis-benchmark or
# nginx with wrk in front of it, has the other.
sub ready_for_commands {
    my ($lua) = @_;
    $t->stop_part('workers');
    $t->redis('queue')->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    pin(1, $t->pid_of('queue'));
    add_conf($LOCATION);
    $t->write('command.lua', qq{wrk.method = "POST"\nwrk.body = '$BODY'\n}
        . qq{wrk.headers["Content-Type"] = "application/json"\n$lua});
    my $script = $t->dir . '/command.lua';
    return sub {
        wipe();
        my $o = wrk('/bench/command', $_[0], { core => 0 }, '-s', $script);
        delete $o->{cpu};
        return $o;
    };
}

sub edge_command {
    my $ours = ready_for_commands('');
    $ours->(WARM);
    my ($hset, $xadd) = captured();
    my @plain;
    my $figures = pairs('edge.command', 'requests/s', sub {
        my $h = redis_benchmark(2 * CONNS, 1, @$hset);
        my $x = redis_benchmark(2 * CONNS, 1, @$xadd);
        push @plain, redis_benchmark(1, CONNS, @$xadd);
        return { rate => 1 / (1 / $h + 1 / $x) };
    }, sub { warm($ours) });
    report('redis.xadd.unpipelined', 'requests/s', value => median(@plain),
        pairs => scalar @plain, spread => spread('%.0f', @plain));
    nothing_done();
    command_latency($figures->{value} / 2);
}

# The same request on the same cores, to which nginx says the same and of which
# it does nothing: no edge that has its core beside the generator is faster.
sub nothing_done {
    my $r = $t->request('POST', '/bench/command', body => $BODY,
        token => $token, headers => { 'content-type' => 'application/json' });
    die "$r->{status}: $r->{content}" if $r->{status} != 202;
    add_conf($LOCATION . same_answer('/bench/nothing', $r));
    my $o = warm(sub { wrk('/bench/nothing', $_[0], { core => 0 }, '-s',
        $t->dir . '/command.lua') });
    report('edge.command.return_202', 'requests/s', value => $o->{rate},
        pairs => 1, spread => 'nothing done');
}

# Our own time at a constant rate: what a client waits, less what the same two
# commands take on a connection of their own while that load is on.
sub command_latency {
    my ($rate) = @_;
    my $dir = $t->dir;
    wipe();
    $t->write('body.json', $BODY);
    my $probe = fork // die "fork: $!";
    if (!$probe) {
        my @us = round_trips(SECONDS + WARM);
        $t->write('probe.us', "@us");
        POSIX::_exit(0);
    }
    my @us = latency('/bench/command', $rate, status => 202, args => ['-H',
        'content-type: application/json', '-d', "$dir/body.json"]);
    waitpid $probe, 0;
    my @redis = split ' ', slurp("$dir/probe.us");
    report('edge.command.own_p99', 'ms', pairs => scalar @us,
        value => (quantile(0.99, @us) - quantile(0.99, @redis)) / 1000,
        spread => sprintf 'client %.3f/%.3f, Redis %.3f/%.3f p50/p99',
            map { $_ / 1000 } map { quantile(0.5, @$_), quantile(0.99, @$_) }
            \@us, \@redis);
}

# --- with an Idempotency-Key -------------------------------------------------

# Every request under a key of its own; redis-benchmark runs the same script
# with a job and a key of its own each time.
sub edge_command_idempotent {
    my $ours = ready_for_commands(<<'LUA');
local n = 0
local salt = tostring(os.time()) .. tostring(math.random(1000000))
request = function()
    n = n + 1
    wrk.headers["Idempotency-Key"] = salt .. "-" .. n
    return wrk.format()
end
LUA
    $ours->(WARM);
    my @script = captured_script();
    pairs('edge.command.idempotent', 'requests/s',
        sub { { rate => redis_benchmark(16, 1, @script) } },
        sub { warm($ours) });
}

# The script call of one accepted command, as redis-benchmark repeats it.
sub captured_script {
    my $log = $t->dir . '/monitor';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $log or POSIX::_exit(1);
        exec 'redis-cli', '-s', $t->socket('queue'), '--user', 'admin',
            '--no-auth-warning', '-a',
            slurp($t->dir . '/keys/redis-admin.password'), 'MONITOR'
            or POSIX::_exit(1);
    }
    my $line = wait_for(sub {
        my $r = $t->request('POST', '/bench/command', body => $BODY,
            token => $token, headers => { 'idempotency-key' => "m-$$-" . time });
        die "$r->{status}: $r->{content}" if $r->{status} != 202;
        (grep { /\] "EVALSHA"/i } split /\n/, slurp($log))[0];
    }, 10, 'the script');
    kill 'TERM', $pid;
    waitpid $pid, 0;
    die "no script was called\n" unless $line;
    my @args = $line =~ /"((?:[^"\\]|\\.)*)"/g;
    s/\\x([0-9a-f]{2})|\\(.)/defined $1 ? chr hex $1 : $2/gei for @args;
    # another job and another key each time
    my ($job)  = map { /:job:(\S+)\z/ } @args;
    my ($idem) = map { /:idem:(\S+)\z/ } @args;
    for my $id (grep { defined } $job, $idem) {
        my $other = substr($id, 0, -12) . '__rand_int__';
        s/\Q$id\E/$other/g for @args;
    }
    return @args;
}

# --- Redis -------------------------------------------------------------------

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

bench('edge.command', \&edge_command);
bench('edge.command.idempotent', \&edge_command_idempotent);
