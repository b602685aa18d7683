package Travel::Bench;

# Measures a thing against a ceiling taken in the same run (scripts/bench/).
#
# A figure is the median ratio of alternating pairs (ceiling, ours), each
# after a warm-up.  nginx has one core and the load generator the other.  Where
# nginx is what is measured, a pair in which it did not fill its core, because
# the generator was too slow or somebody else took the core, says nothing about
# nginx: it is void, and is repeated while time lasts.  A benchmark without one
# valid pair has failed, and so has the run.
#
# Traces go to a collector that says yes and keeps nothing: what a real one
# does with them is done on another machine.
#
# BENCH_PAIRS (5) and BENCH_SECONDS (5) shorten a trial run, BENCH_LIMIT (80)
# is how many seconds of pairs a benchmark may take.  BENCH_SHARED=1 is for a
# machine that has other work: no pair is void, and where nginx is what is
# measured, what it did counts per second of its own processor time.  Such
# figures are not written down.

use strict;
use warnings;
use Exporter 'import';
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time sleep);
use Travel::Test;

our @EXPORT = qw($t $token bench add_conf pin first cpu_of warm wrk pairs
    latency same_answer report median quantile spread wipe SECONDS WARM LIMIT CONNS ROOT);

use constant {
    SECONDS => $ENV{BENCH_SECONDS} || 5,
    WARM    => 1,
    LIMIT   => $ENV{BENCH_LIMIT} || 80,
    CONNS   => 64,
    ROOT    => Travel::Test::root(),
};

my $PAIRS   = $ENV{BENCH_PAIRS} || 5;
my $SHARED  = $ENV{BENCH_SHARED};
my $FULL    = 0.85;                # of a core, from where it counts as filled
my $TICKS   = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my $OUT     = ROOT . '/run/bench.json';

our ($t, $token);           # the instance that is measured, and a caller's
my $collector;              # its pid
my (%bench, @order, @results, @failed);

# bench(name => code, start options): a benchmark, in the order of the run.
sub bench {
    my ($name, $code, %o) = @_;
    die "two benchmarks are called $name\n" if $bench{$name};
    $bench{$name} = { code => $code, options => \%o };
    push @order, $name;
}

# Runs those named, or all; false when one of them failed.
sub run {
    my (@names) = @_;
    @names = @order unless @names;
    for (@names) {
        $bench{$_} or die "no benchmark named $_: there are @order\n";
    }
    printf "%-26s %12s %12s %7s  %s\n",
        'name', 'value', 'ceiling', 'ratio', 'pairs (spread)';
    for my $name (@names) {
        start(%{ $bench{$name}{options} });
        if (!eval { $bench{$name}{code}->(); 1 }) {
            print "$name failed: $@";
            push @failed, $name;
        }
        $t->_destroy;
        kill 'TERM', $collector;
        waitpid $collector, 0;
    }
    write_json() unless $SHARED;
    return !@failed;
}

# A private instance with one nginx worker, the shipped windows with quotas
# that no run reaches, and room for what a benchmark adds to nginx.conf.
sub start {
    my (%o) = @_;
    my $traces = collect();
    $t = Travel::Test->start(
        parts => 'postgres replica queue cache sandbox smtp workers nginx',
        ngx_workers => 1,
        disk => 1,
        %o,
        env  => { TRAVEL_LIMITS => 'limits-open.conf', TRAVEL_PROCESSES => 1,
            %{ $o{env} || {} } },
        edit => sub {
            $o{edit}->() if $o{edit};
            s{(include\s+\@ROOT\@/conf/travel/routes/\*\.conf;)}
             {$1\n        include \@RUN\@/bench-*.conf;};
            s{(travel_catalog )}{travel_backlog 100000000;\n    $1};
            s{\@PORT_OTLP\@}{$traces};
        });
    $token = $t->user_token(0, ttl => '12h',
        permissions => 'journeys:read journeys:write bookings:read '
            . 'bookings:write stories:read stories:write');
    wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'ready')
        or die "the instance is not ready\n";
}

# The collector, on core 1; its port.  It ends with us, however we end.
sub collect {
    my $us = $$;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8)
        or die "collector: $!";
    $collector = fork // die "fork: $!";
    return $listen->sockport if $collector;
    $SIG{TERM} = 'DEFAULT';
    my ($all, %in) = IO::Select->new($listen);
    while (getppid == $us) {
        for my $s ($all->can_read(1)) {
            if ($s == $listen) {
                $all->add(scalar $listen->accept);
            } elsif (!sysread $s, $in{$s}, 1 << 18, length($in{$s} //= '')) {
                delete $in{$s};
                $all->remove($s);
                close $s;
            } elsif ($in{$s} =~ /^content-length: (\d+).*?\r\n\r\n/ims
                && length($in{$s}) - $+[0] >= $1)
            {
                $in{$s} = '';
                syswrite $s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            }
        }
    }
    POSIX::_exit(0);
}

sub add_conf {
    my ($text) = @_;
    $t->write('bench-locations.conf', $text);
    $t->reload;
    sleep 1;                     # the old worker is gone, the links are up
    my ($worker) = $t->children_of('nginx');
    pin(0, $worker);
    pin(1, $collector);
}

# All threads of a process onto one core.
sub pin {
    my ($core, $pid) = @_;
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-acp', $core, $pid);
    die "taskset: $out" if $rc;
}

# On a machine that has other work: the parts, and we, come before it whenever
# there is something to do, as if it were not there.  For latencies at little
# load only.
sub first {
    return if !$SHARED;
    for my $pid ($$, map { ($t->pid_of($_), $t->children_of($_)) } @_) {
        my ($rc, $out) = $t->run('/usr/bin/chrt', '-a', '-f', '-p', 1, $pid);
        die "chrt: $out" if $rc;
    }
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
    $measure->(WARM);
    return $measure->(SECONDS);
}

# wrk for $seconds: {rate, cpu}, the latter nginx's share of a core.
# With --latency in @extra, p99 as well, in ms.
# A hash first in @extra: status => 401 when that is what all answers are to
# be, token => another caller's, url => another server's, pid => its process,
# core => another one than 1, connections => other than 64, threads => 1.
sub wrk {
    my ($path, $seconds, @extra) = @_;
    my %o = @extra && ref $extra[0] ? %{ shift @extra } : ();
    my $worker = sub { $o{pid} || ($t->children_of('nginx'))[0] };
    my $pid = $worker->();
    my ($cpu, $began) = (cpu_of($pid), time);
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', $o{core} // 1,
        'wrk', '-t' . ($o{threads} // 1), '-c' . ($o{connections} // CONNS),
        "-d${seconds}s", '-H',
        'Authorization: Bearer ' . ($o{token} || $token),
        @extra, ($o{url} || $t->url) . $path);
    my $share = (cpu_of($pid) - $cpu) / (time - $began);
    my ($rate) = $out =~ /Requests\/sec:\s+([\d.]+)/ or die "wrk: $out";
    my ($all) = $out =~ /(\d+) requests in/;
    my ($refused) = $out =~ /Non-2xx or 3xx responses: (\d+)/;
    die "unexpected answers: $out" if $out =~ /Socket errors/
        || ($refused // 0) != (($o{status} || 200) < 400 ? 0 : $all);
    die "the process is not the one it was\n" if $pid != $worker->();
    my %ms = (us => 0.001, ms => 1, s => 1000);
    my ($p99, $of) = $out =~ /^\s+99%\s+([\d.]+)(us|ms|s)$/m;
    return { rate => $rate, cpu => $share,
        defined $p99 ? (p99 => $p99 * $ms{$of}) : () };
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

sub quantile {
    my ($q, @values) = @_;
    my @s = sort { $a <=> $b } @values;
    return $s[ int($q * @s) ];
}

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
    while (@pairs < $PAIRS && time - $began < LIMIT) {
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
    return report($name, $unit, value => median(map { $_->[1] } @pairs),
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
    return $results[-1];
}

sub write_json {
    mkdir ROOT . '/run';
    my $before = eval { json(slurp($OUT)) } || [];
    my %old = map { $_->{name} => $_ } @$before;
    $old{ $_->{name} } = $_ for @results;
    open my $f, '>', $OUT or die "$OUT: $!";
    print $f JSON::PP->new->canonical->pretty->encode(
        [map { $old{$_} } sort keys %old]);
    close $f or die "$OUT: $!";
    print "written to run/bench.json\n";
}

# A location that answers as our answer was, the same bytes under the same
# headers, and does nothing else.  nginx's configuration takes no word over 4096
# bytes, so the answer must be small.
sub same_answer {
    my ($path, $r) = @_;
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
    my $type = $r->{headers}{'content-type'} || 'application/json';
    return "location = $path {\n    travel_trace off;\n"
        . "    travel_limit off;\n    travel_cors off;\n"
        . "    travel_security_headers off;\n    travel_request_id off;\n"
        . '    default_type ' . $quote->($type) . ";\n$headers"
        . "    return $r->{status} " . $quote->($r->{content}) . ";\n}\n";
}

# --- latency at a constant rate ----------------------------------------------

# h2load at 'rate' requests a second from core 1: microseconds of each request.
# Any other status than "status" is an error.  clients => 400: as many of them, not
# 16.  first => 1: the generator comes
# before all else on its core, so that what it measures is not its own wait.
sub latency {
    my ($path, $rate, %o) = @_;
    my ($dir, $clients) = ($t->dir, $o{clients} || 16);
    my @first = $o{first} ? ('chrt', '--fifo', '1') : ();
    my ($rc, $out) = $t->run('/usr/bin/taskset', '-c', '1', @first, 'h2load',
        '--h1', '-t1', "-c$clients", '-D', $o{seconds} || SECONDS,
        '--warm-up-time', WARM, '--rps=' . int(1 + $rate / $clients),
        '-H', 'authorization: Bearer ' . ($o{token} || $token),
        @{ $o{args} || [] }, "--log-file=$dir/h2load.log", $t->url . $path);
    my @answers = map { [ split /\t/ ] } split /\n/, slurp("$dir/h2load.log");
    unlink "$dir/h2load.log";
    my $status = $o{status} || 200;
    die "h2load: $out"
        if @answers < 100 || grep { $_->[1] != $status } @answers;
    return map { $_->[2] } @answers;
}

# --- Redis -------------------------------------------------------------------

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

1;
