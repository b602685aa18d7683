#!/usr/bin/perl
# Live sockets in numbers, on an instance of its own (four nginx workers; for
# fanout one for each core):
#   live.pl fanout [N]     one message to N sockets (10000): delays at the read,
#                          by turns with a bare loop that writes the same
#                          (bare_fan.c), which is what there is to be had here;
#                          in a network of its own
#   live.pl nchan [N]      the same of nchan (libnginx-mod-nchan), beside it
#   live.pl idle [N]       N idle authenticated sockets (50000) from four
#                          processes: memory of the nginx workers per socket
#   live.pl reload [N]     a reload under N sockets (10000) while messages come:
#                          all come back with their cursors, nothing is lost
#   live.pl storm [N]      N connections at once (10000): seconds until all are
#                          subscribed
# A machine that is shared shows larger delays than nginx makes.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../../t/lib";
use HTTP::Tiny ();
use IPC::Open2 qw(open2);
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep time);
use Travel::Test;

my ($what, $n) = @ARGV;

# Where the host has connection tracking, which any firewall rule brings, it
# takes a fifth of all that a fan-out costs.  Of root it has a network of its
# own (BENCH_HOST_NET=1: it has not).
if (($what // '') eq 'fanout' && $> == 0 && !$ENV{BENCH_HOST_NET}
    && system('unshare -n true 2>/dev/null') == 0)
{
    $ENV{BENCH_HOST_NET} = 1;
    exec 'unshare', '-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh',
        $^X, "-I$Bin/../../t/lib", $0, @ARGV or die "unshare: $!";
}

my $BUILD = Travel::Test::build();
system("cc -O2 -D_GNU_SOURCE -o $BUILD/$_ $Bin/$_.c") == 0 or die
    for qw(crowd bare_fan);
# A message keeps every core busy: more nginx workers only get in each other's
# way.
my $WORKERS = $ENV{BENCH_NGX_WORKERS}
    || (($what // '') eq 'fanout' ? `nproc` + 0 : 4);

my $t = Travel::Test->start(
    parts => 'queue cache nginx',
    ngx_workers => $WORKERS,
    allow_5xx => 1,
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/worker_connections\s+\d+;/worker_connections 18000;/;
        s/worker_rlimit_nofile\s+\d+;/worker_rlimit_nofile 20000;
        worker_cpu_affinity auto;/;
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{$1
            location = /live {
                travel_auth required jwks=main audience=travel;
                travel_live_allow journey all;
                travel_live topics; }};
        s/listen(\s+\S+:\@PORT\@)([^;]*);/listen$1$2 reuseport backlog=8192;/;
    },
);
my $ROUNDS = $ENV{BENCH_ROUNDS} || 10;

# On a machine that others use, too: as root, all that is measured comes first.
# Each session is a group of its own for Linux, whatever its nice values.
if ($ENV{BENCH_SHARED}) {
    for my $pid ($$, map { $t->pid_of($_) } qw(nginx cache)) {
        open my $f, '>', "/proc/$pid/autogroup" or next;
        print $f '-18';
    }
}

my $J = 'journey:01890000-0000-7000-8000-0000000000aa';
my $c = $t->redis('cache');
my $script = $t->live_script;
my $token = $t->user_token(1);

sub crowd {
    my ($from, $n, $topic, $port) = @_;
    my $pid = open2(my $out, my $in, "$BUILD/crowd", '127.0.0.1',
        $port // $t->port,
        $from, $n, $token, $topic);
    $in->autoflush(1);
    return { pid => $pid, in => $in, out => $out };
}

sub line { my $l = readline $_[0]{out}; chomp $l; return $l }

# Anonymous and shared memory that only these processes have, in KB.
sub memory {
    my $kb = 0;
    for my $pid ($t->children_of('nginx')) {
        my $s = slurp("/proc/$pid/smaps_rollup");
        $kb += ($s =~ /^Private_Dirty:\s+(\d+)/m)[0];
    }
    return $kb;
}

# What the processes have been on a CPU for, in ms.
sub on_cpu {
    my $ns = 0;
    $ns += (split ' ', slurp("/proc/$_/schedstat"))[0] for @_;
    return $ns / 1e6;
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

my %do = (
    fanout => sub {
        my $n = $n || 10000;
        my $port = $t->port + 4;           # of a part that is not started
        my $bare = open2(my $said, my $tell, "$BUILD/bare_fan", $port,
            $WORKERS);
        $tell->autoflush(1);
        sleep 0.2;
        my ($crowd, $other) = (crowd('127.0.0.2', $n, $J),
            crowd('127.0.0.3', $n, $J, $port));
        diag(line($_)) for $crowd, $other;
        my @pids = $t->children_of('nginx');
        my $stamp = sub { clock_gettime(CLOCK_MONOTONIC) * 1e9 };
        # the first, p50, p99, the last; CPU of senders and receiver, in ms
        my $one = sub {
            my ($crowd, $send) = @_;
            print { $crowd->{in} } "wait 1\n";
            sleep 0.3;
            my $spent = $send->();
            my $got = line($crowd);
            like($got, qr/^got $n /, 'each has it');
            my @got = split / /, $got;
            return [@got[10, 2 .. 4], $spent->(), $got[8]];
        };
        my (@ours, @theirs);
        for (1 .. $ROUNDS) {
            push @ours, $one->($crowd, sub {
                my $before = on_cpu(@pids);
                $c->call('EVAL', $script, 1, "travel:live:$J",
                    sprintf('{"type":"test","t":%d}', $stamp->()), 256, 60000);
                return sub { on_cpu(@pids) - $before } });
            push @theirs, $one->($other, sub {
                printf { $tell } '{"type":"message","topic":"%s",'
                    . '"cursor":"1795779600000-1",'
                    . '"message":{"type":"test","t":%d}}' . "\n", $J,
                    $stamp->();
                return sub { (split / /, scalar <$said>)[1] } });
            diag(sprintf 'first %.1f p50 %.1f p99 %.1f max %.1f ms, CPU %.0f '
                . '+ %.0f; bare %.1f %.1f %.1f %.1f, CPU %.0f + %.0f',
                map { @$_ } $ours[-1], $theirs[-1]);
        }
        my @what = ('the first', 'p50', 'p99', 'the last', 'CPU of the senders',
            'CPU of the receiver');
        for my $i (0 .. $#what) {
            my ($a, $b) = map { median(map { $_->[$i] } @$_) } \@ours,
                \@theirs;
            diag(sprintf '%s: %.1f ms, bare %.1f ms: %.2f of it', $what[$i],
                $a, $b, $a / $b);
        }
        print { $_->{in} } "quit\n" for $crowd, $other;
        close $tell;
        waitpid $bare, 0;
    },
    reload => sub {
        my $n = $n || 10000;
        my $crowd = crowd('127.0.0.2', $n, $J);
        diag(line($crowd));
        my $k = 0;
        my $tell = sub { $c->call('EVAL', $script, 1, "travel:live:$J",
            sprintf('{"type":"test","n":%d}', ++$k), 256, 60000) };
        $tell->();
        print { $crowd->{in} } "until 1\n";
        diag('before: ' . line($crowd));
        my $last = 81;
        print { $crowd->{in} } "until $last\n";
        for (2 .. $last) {
            $tell->();
            $t->reload if $k == 10;
            sleep 0.1;
        }
        my $line = line($crowd);
        diag("reload: $line");
        like($line, qr/^had $n back \d+ lost 0 twice 0 out 0 /,
            'all have all, once');
        my ($back) = $line =~ /back (\d+)/;
        cmp_ok($back, '>=', $n, 'all had to come back');
        print { $crowd->{in} } "quit\n";
    },
    nchan => sub {
        my $n = $n || 10000;
        my $dir = $t->dir . '/nchan';
        mkdir $dir or die "mkdir: $!";
        my $port = $t->port + 4;           # of a part that is not started
        my $conf = slurp("$Bin/peers/nchan.conf");
        $conf =~ s/\@DIR\@/$dir/g;
        $conf =~ s/\@PORT\@/$port/g;
        $t->write('nchan/nginx.conf', $conf);
        my $master = fork // die "fork: $!";
        exec 'nginx', '-p', "$dir/", '-c', "$dir/nginx.conf" or die
            if !$master;
        sleep 1;
        my @pids = split ' ', slurp("/proc/$master/task/$master/children");
        my $http = HTTP::Tiny->new;
        my $crowd = crowd('127.0.0.2', $n, '-', $port);
        diag(line($crowd));
        my $before = on_cpu(@pids);
        for my $k (1 .. 10) {
            print { $crowd->{in} } "wait 1\n";
            sleep 0.3;
            $http->post("http://127.0.0.1:$port/publish", { headers =>
                { 'content-type' => 'application/json' }, content =>
                sprintf '{"type":"message","topic":"%s","message":{"t":%d}}',
                $J, clock_gettime(CLOCK_MONOTONIC) * 1e9 });
            diag("message $k: " . line($crowd));
        }
        diag(sprintf 'nchan spent %d ms of CPU on each',
            (on_cpu(@pids) - $before) / 10);
        print { $crowd->{in} } "quit\n";
        kill TERM => $master;
        waitpid $master, 0;
        ok(1, 'nchan ended');
    },
    storm => sub {
        my $crowd = crowd('127.0.0.2', $n || 10000, $J);
        my $line = line($crowd);
        diag($line);
        my ($s) = $line =~ /^open ([\d.]+)/;
        ok($s < 5, "under 5 s: $s");
        print { $crowd->{in} } "quit\n";
    },
    idle => sub {
        my $n = $n || 50000;
        my $warm = crowd('127.0.0.6', 400, '-');
        line($warm);
        print { $warm->{in} } "quit\n";
        sleep 1;
        my $before = memory();
        my @crowd = map { crowd("127.0.0.$_", int($n / 4), '-') } 2 .. 5;
        diag(line($_)) for @crowd;
        sleep 2;
        my $kb = memory() - $before;
        diag(sprintf '%d sockets, %d KB: %.2f KB each', $n, $kb, $kb / $n);
        ok($kb / $n <= 6, 'at most 6 KB each');
        print { $_->{in} } "quit\n" for @crowd;
    },
);
$do{$what // ''} or die "usage: live.pl fanout|nchan|idle|reload|storm [N]\n";
$do{$what}->();
sleep 1;
$t->finish;
done_testing;
