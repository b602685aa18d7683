# The queue on a Redis Cluster: three masters, a replica each, which begins with
# what a single server has left.  Commands flow while slots move, while a master
# dies and while a queue gets other partitions; what was accepted is done, once,
# in the order of its key.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Faults;
use Travel::Redis;
use Travel::Test;

my $JSON = JSON::PP->new->utf8;
my @NAMES = qw(a b c a2 b2 c2);
my %SLOTS = (a => [0, 5460], b => [5461, 10922], c => [10923, 16383]);
my %OF = (a2 => 'a', b2 => 'b', c2 => 'c');
# account.0 is c's, account.1 b's, account.2 and account.3 are a's.
my ($MOVING, $SLOT) = ('account.2', 5409);
my $IDLE = 1596;                # journey.1

sub free_ports {
    my ($n) = @_;
    my @held = map { IO::Socket::INET->new(Listen => 1,
        LocalAddr => '127.0.0.1') } 1 .. $n;
    return map { $_->sockport } @held;
}

my (%port, %bus, %pid, %at, %id);
@port{@NAMES} = free_ports(6);
@bus{@NAMES}  = free_ports(6);
my @seeds = map { "127.0.0.1:$port{$_}" } qw(a b c2);

my $t = Travel::Test->start(allow_5xx => 1,
    parts => 'postgres queue cache sandbox smtp otlp',
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s{(travel_redis    queue) \@QUEUE\@}
         {$1 @seeds cluster=on acks=1 timeout=1s};
    },
    edit_workers => sub {
        my $list = join ', ', @seeds;
        s{socket        = "\@QUEUE_SOCKET\@"}
         {socket = "$list"\n    cluster = true\n    acks = 1};
    });
my $dir  = $t->dir;
my $pass = Travel::Test::slurp("$dir/keys/redis-admin.password") =~ s/\s+\z//r;

# --- the cluster -------------------------------------------------------------

sub redis {
    my ($name) = @_;
    return Travel::Redis->new(socket => $at{$name}, user => 'admin',
        password => $pass);
}

sub start_server {
    my ($name) = @_;
    my $home = "$dir/redis-$name";
    mkdir $home;
    $at{$name} = $t->socket('queue') =~ s/queue\.sock$/$name.sock/r;
    my $conf = Travel::Test::slurp("$dir/redis-queue/redis.conf");
    $conf =~ s/^(dir|pidfile|logfile|unixsocket|port|daemonize|aclfile) .*\n//mg;
    $t->write("redis-$name/redis.conf", $conf . <<"END");
dir $home
logfile $dir/logs/redis-$name.log
aclfile $dir/redis-queue/users.acl
unixsocket $at{$name}
port $port{$name}
bind 127.0.0.1
daemonize no
masteruser admin
masterauth $pass
repl-diskless-sync-delay 0
cluster-enabled yes
cluster-port $bus{$name}
cluster-node-timeout 1500
cluster-replica-validity-factor 0
END
    $pid{$name} = fork // die "fork: $!";
    if (!$pid{$name}) {
        exec 'redis-server', "$home/redis.conf" or POSIX::_exit(1);
    }
    wait_for(sub { redis($name)->call('PING') }, 20, "$name runs");
}

sub info {
    my ($name, $what) = @_;
    return redis($name)->call('INFO', $what);
}

END { local $?; kill 'KILL', grep { $_ } values %pid; }

# Which slots the server has, by CLUSTER NODES.
sub slots_of {
    my ($name) = @_;
    my ($line) = redis($name)->call('CLUSTER', 'NODES') =~ /^(.*myself.*)$/m;
    return map { /^(\d+)(?:-(\d+))?$/ ? $1 .. $2 // $1 : () }
        (split / /, $line)[8 .. ($line =~ tr/ //)];
}

sub begin_move {
    my ($slot, $from, $to) = @_;
    redis($to)->call('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $id{$from});
    redis($from)->call('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $id{$to});
}

sub end_move {
    my ($slot, $from, $to) = @_;
    my $r = redis($from);
    while (my @keys = @{ $r->call('CLUSTER', 'GETKEYSINSLOT', $slot, 100) }) {
        $r->call('MIGRATE', '127.0.0.1', $port{$to}, '', 0, 5000,
            'AUTH2', 'admin', $pass, 'KEYS', @keys);
    }
    redis($_)->call('CLUSTER', 'SETSLOT', $slot, 'NODE', $id{$to})
        for $to, $from;
}

sub all_say {
    my ($re, @names) = @_;
    return @names == grep { redis($_)->call('CLUSTER', 'INFO') =~ $re } @names;
}

# (what became of it, id of the resource, id of the job)
sub command {
    my ($http, $method, $path, $user, $body) = @_;
    my $r = $http->request($method, $t->url . $path, { headers => {
            authorization => "Bearer $user", prefer => 'respond-async',
            'content-type' => 'application/json' },
        $body ? (content => $JSON->encode($body)) : () });
    my $j = eval { $JSON->decode($r->{content}) } || {};
    return ('accepted', $j->{id}, $j->{job}{id} // $j->{id})
        if $r->{status} =~ /^20[012]$/;
    return ($j->{error}{code} // $r->{status});
}

# --- before: one server --------------------------------------------------------

my $http = HTTP::Tiny->new(timeout => 20, keep_alive => 1);
my (%told, @left);
{
    my @conf = qw(TRAVEL_NGX_CONF TRAVEL_WORKERS_CONF);
    my @cluster = delete @{ $t->{env} }{@conf};
    $t->start_part('nginx');
    wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'the edge');
    for my $n (1 .. 40) {
        my ($what, $id) = command($http, 'POST', '/api/v1/devices',
            $t->user_token($n), { service => 'fcm', token => "old-$n" });
        push @left, $id if $what eq 'accepted';
    }
    $t->stop_part('nginx', 'queue');
    @{ $t->{env} }{@conf} = @cluster;
}
is(scalar @left, 40, 'one server has taken commands that nobody has done');

# --- its first server, on the old one's data -------------------------------------

mkdir "$dir/redis-a";
rename "$dir/redis-queue/appendonlydir", "$dir/redis-a/appendonlydir"
    or die "appendonlydir: $!";
start_server($_) for @NAMES;
my %taken = map { $_ => 1 } slots_of('a');
my $epoch = 0;
for my $name (@NAMES) {
    my $r = redis($name);
    $id{$name} = $r->call('CLUSTER', 'MYID');
    $r->call('CLUSTER', 'SET-CONFIG-EPOCH', ++$epoch);
    $r->call('CLUSTER', 'ADDSLOTS', grep { !$taken{$_} }
        $SLOTS{$name}[0] .. $SLOTS{$name}[1]) if $SLOTS{$name};
    $r->call('CLUSTER', 'MEET', '127.0.0.1', $port{a}, $bus{a})
        if $name ne 'a';
}
wait_for(sub { all_say(qr/cluster_state:ok.*cluster_known_nodes:6/s, @NAMES) },
    30, 'all to know each other');
for my $to (qw(b c)) {
    for (grep { $taken{$_} } $SLOTS{$to}[0] .. $SLOTS{$to}[1]) {
        begin_move($_, 'a', $to);
        end_move($_, 'a', $to);
    }
}
for my $name (sort keys %OF) {
    my $r = redis($name);
    wait_for(sub { $r->call('CLUSTER', 'REPLICATE', $id{ $OF{$name} }) }, 20,
        "$name knows $OF{$name}");
}
wait_for(sub {
    (grep { info($_, 'replication') =~ /master_link_status:up/ } keys %OF) == 3
        and all_say(qr/cluster_state:ok/, @NAMES)
}, 30, 'the cluster');

subtest 'who was not told that it is one' => sub {
    my %told = map { $_ => $t->{env}{$_} } qw(TRAVEL_NGX_CONF TRAVEL_WORKERS_CONF);
    for my $conf (keys %told) {
        my $text = Travel::Test::slurp($told{$conf});
        $text =~ s/ cluster=on acks=1|\n *cluster = true\n *acks = 1//
            or die "no cluster in $conf";
        $t->write("plain-$conf", $text);
        $t->{env}{$conf} = "$dir/plain-$conf";
    }
    $t->start_part('workers', 'nginx');
    my %says = ('error.log' =>
            qr/\[warn\] .*redis queue \(\S+\): dropped: it is a node of a Redis Cluster: "travel_redis queue" needs cluster=on/,
        'workers.log' =>
            qr/"level":"warn".*it is a node of a Redis Cluster: \\"redis queue\\" of workers.conf needs cluster = true/);
    my $said = sub {
        my ($log) = @_;
        return scalar grep { /$says{$log}/ } split /\n/, slurp("$dir/logs/$log");
    };
    for my $log (sort keys %says) {
        wait_for(sub { $said->($log) }, 20, "$log to say what to do");
    }
    sleep 1;                                    # of all links
    my %before = map { $_ => $said->($_) } keys %says;
    sleep 1;
    is_deeply({ map { $_ => $said->($_) } keys %says }, \%before,
        'they say what to do, once');
    is(json($t->get('/ready')->{content})->{queue}, 'down', 'not ready');
    is($t->post('/api/v1/devices', { service => 'fcm', token => 'plain' },
        token => $t->user_token(1))->{status}, 503, 'and nothing is accepted');
    $t->stop_part('nginx', 'workers');
    $t->{env}{$_} = $told{$_} for keys %told;
};

$t->start_part('workers', 'nginx');

# --- load --------------------------------------------------------------------

# Registers devices and removes them at once; notes what it is told.
sub client {
    my ($c, $out) = @_;
    my $http = HTTP::Tiny->new(timeout => 20, keep_alive => 1);
    for (my $n = 0; !-e "$dir/enough"; $n++) {
        my $user = $t->user_token(1 + (7 * $c + $n) % 40);
        my ($what, $id) = command($http, 'POST', '/api/v1/devices', $user,
            { service => 'fcm', token => "c$c-$n" });
        print $out join("\t", time, 'device.registered', $what, $id // '-'),
            "\n";
        next if $what ne 'accepted';
        ($what) = command($http, 'DELETE', "/api/v1/devices/$id", $user);
        print $out join("\t", time, 'device.removed', $what, $id), "\n";
        sleep 0.01;
    }
}

wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'the edge is ready');
wait_for(sub { $t->post('/api/v1/devices', { service => 'fcm', token => 'x' },
    token => $t->user_token(1))->{status} == 201 }, 20, 'a command is done');
$t->user_token($_) for 1 .. 40;

sub metric {
    my ($text, $name) = @_;
    my $sum = 0;
    $sum += $1 while $text =~ /^\Q$name\E(?:\{[^}]*\})? (\S+)$/mg;
    return $sum;
}

sub edge_metric {
    my ($what) = @_;
    my $text = $t->get('/metrics')->{content};
    return $text =~ /^travel_redis_${what}_total\{server="queue"\} (\d+)$/m
        ? $1 : -1;
}

sub worker_metric {
    my $text = $t->get('/metrics',
        base => 'http://127.0.0.1:' . ($t->port + 4))->{content};
    return metric($text, $_[0]);
}

# --- the story ---------------------------------------------------------------

my $start   = time;
my $clients = Travel::Faults->clients($t, 4, \&client);

subtest 'a slot moves while commands flow' => sub {
    sleep 1;
    begin_move($SLOT, qw(a b));
    ok(wait_for(sub { edge_metric('asked') > 0 }, 10, 'ASK'),
        'a new key of a moving slot is put where that goes');
    end_move($SLOT, qw(a b));
    ok(wait_for(sub { edge_metric('moved') > 0 }, 10, 'MOVED'),
        'the edge hears that it has moved');
    is(redis('b')->call('EXISTS', "travel:{$MOVING}:owner"), 1, 'it is there');
};

subtest 'a slot of which nothing is asked' => sub {
    begin_move($IDLE, qw(a c));
    end_move($IDLE, qw(a c));
    ok(wait_for(sub { worker_metric('travel_worker_redis_moved_total') > 0 },
        10, 'MOVED'), 'its workers hear that it has moved');
};

my $killed;
subtest 'a master dies' => sub {
    sleep 0.5;
    kill 'KILL', $pid{b};
    waitpid $pid{b}, 0;
    $killed = time;
    ok(wait_for(sub { info('b2', 'replication') =~ /role:master/ }, 15,
        'b2 to be the master'), 'its replica takes its place');
    start_server('b');
    ok(wait_for(sub { info('b', 'replication')
        =~ /role:slave.*master_link_status:up/s }, 15, 'b to follow'),
        'and it comes back as a replica');
    sleep 2;
};

my $ctl = $t->build . '/travelctl';
subtest 'a queue gets other partitions' => sub {
    my ($rc, $out) = $t->run($ctl, qw(queue repartition --wait 60s account 6));
    is($rc, 0, 'done, and what was queued before is over') or diag($out);
    like($out, qr/^account has 6 partitions now, 4 to 9$/m, 'told so');
    sleep 1;
};
$t->write('enough', '');

my (%count, @at);
$told{'device.registered'} = { map { $_ => 1 } @left };
for ($clients->rows) {
    my ($at, $type, $what, $id) = @$_;
    $count{$what}++;
    next if $what ne 'accepted';
    $told{$type}{$id} = 1;
    push @at, $at;
}
note(join ', ', map { "$count{$_} $_" } sort keys %count);

subtest 'what was accepted is done' => sub {
    my (%seen, @missing);
    wait_for(sub {
        %seen = ();
        $seen{ $_->[0] }{ $_->[1] }++ for $t->sql("SELECT type, stream_id
            FROM events.event WHERE stream_type = 'device'
            ORDER BY stream_id, version");
        @missing = map { my $type = $_;
            map { "$type $_" } grep { !$seen{$type}{$_} } keys %{ $told{$type} }
        } sort keys %told;
        !@missing;
    }, 20, 'all that was accepted');
    is_deeply([@missing[0 .. ($#missing > 9 ? 9 : $#missing)]], [],
        'nothing is lost');
    is_deeply([grep { $seen{'device.registered'}{$_} > 1 }
        keys %{ $seen{'device.registered'} }], [], 'nothing is done twice');
    is(scalar $t->sql("SELECT count(*) FROM events.event AS r
        JOIN events.event AS e USING (stream_type, stream_id)
        WHERE r.type = 'device.removed' AND e.type = 'device.registered'
          AND r.version < e.version"), 0, 'all in the order of their keys');
    cmp_ok(keys %{ $told{'device.removed'} }, '>', 100, 'there were many');
    is_deeply([grep { !/^(?:accepted|OUTCOME_UNKNOWN|DEPENDENCY_UNAVAILABLE)$/ }
        keys %count], [], 'it was yes, no, or unknown');
};

subtest 'through all masters' => sub {
    for my $name (qw(a b2 c)) {
        my ($calls) = info($name, 'commandstats') =~ /cmdstat_xadd:calls=(\d+)/;
        cmp_ok($calls // 0, '>', 10, "$name took commands");
    }
    @at = sort { $a <=> $b } @at;
    my ($gap, $last) = (0, $start);
    for my $at (@at) {
        $gap = $at - $last if $at - $last > $gap;
        $last = $at;
    }
    note(sprintf 'nothing was accepted for %.2f s', $gap);
    note(sprintf 'and for how long: %.2f s', $at[-1] - $start);
    my ($done) = wait_for(sub { my $n = 0;
        for my $user (41 .. 52) {
            $n++ if $t->post('/api/v1/devices', { service => 'fcm',
                token => "z-$user" }, token => $t->user_token($user))
                ->{status} == 201;
        }
        $n == 12 }, 20, 'every partition does its jobs');
    ok($done, 'and done');
};

subtest 'travelctl' => sub {
    my ($rc, $out) = $t->run($ctl, qw(queue stat --queue account --json));
    is($rc, 0, 'queue stat') or diag($out);
    my @parts = map { $JSON->decode($_) } grep { /^\{/ } split /\n/, $out;
    is(scalar @parts, 10, 'tells of all partitions') or diag($out);
    ($rc, $out) = $t->run($ctl, qw(token revoke --jti lost-token));
    is($rc, 0, 'token revoke') or diag($out);
    ($rc, $out) = $t->run($ctl, qw(token revocations));
    like($out, qr/lost-token/, 'token revocations');
};

$t->stop_part('nginx', 'workers');
for my $name (@NAMES) {
    kill 'TERM', $pid{$name};
    waitpid $pid{$name}, 0;
    delete $pid{$name};
}
$t->finish;
done_testing;
