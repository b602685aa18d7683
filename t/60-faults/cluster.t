# The queue on a Redis Cluster: three masters, a replica each.  Commands flow
# while slots move and while a master dies; what was accepted is done, once, in
# the order of its key.
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
        s{(travel_redis    queue) unix:\@QUEUE_SOCKET\@}
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

start_server($_) for @NAMES;
my $epoch = 0;
for my $name (@NAMES) {
    my $r = redis($name);
    $id{$name} = $r->call('CLUSTER', 'MYID');
    $r->call('CLUSTER', 'SET-CONFIG-EPOCH', ++$epoch);
    $r->call('CLUSTER', 'ADDSLOTSRANGE', @{ $SLOTS{$name} }) if $SLOTS{$name};
    $r->call('CLUSTER', 'MEET', '127.0.0.1', $port{a}, $bus{a})
        if $name ne 'a';
}
for my $name (sort keys %OF) {
    my $r = redis($name);
    wait_for(sub { $r->call('CLUSTER', 'REPLICATE', $id{ $OF{$name} }) }, 20,
        "$name knows $OF{$name}");
}
wait_for(sub {
    (grep { info($_, 'replication') =~ /master_link_status:up/ } keys %OF) == 3
        and (grep { redis($_)->call('CLUSTER', 'INFO')
            =~ /cluster_state:ok/ } @NAMES) == 6
}, 30, 'the cluster');
$t->start_part('workers', 'nginx');

# --- load --------------------------------------------------------------------

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

my $http = HTTP::Tiny->new(timeout => 20, keep_alive => 1);
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
    my ($from, $to) = map { redis($_) } qw(a b);
    sleep 1;
    $to->call('CLUSTER', 'SETSLOT', $SLOT, 'IMPORTING', $id{a});
    $from->call('CLUSTER', 'SETSLOT', $SLOT, 'MIGRATING', $id{b});
    ok(wait_for(sub { edge_metric('asked') > 0 }, 10, 'ASK'),
        'a new key of a moving slot is put where that goes');
    while (my @keys = @{ $from->call('CLUSTER', 'GETKEYSINSLOT', $SLOT, 100) })
    {
        $from->call('MIGRATE', '127.0.0.1', $port{b}, '', 0, 5000,
            'AUTH2', 'admin', $pass, 'KEYS', @keys);
    }
    $_->call('CLUSTER', 'SETSLOT', $SLOT, 'NODE', $id{b}) for $to, $from;
    ok(wait_for(sub { edge_metric('moved') > 0 }, 10, 'MOVED'),
        'the edge hears that it has moved');
    is($to->call('EXISTS', "travel:{$MOVING}:owner"), 1, 'it is there');
};

subtest 'a slot of which nothing is asked' => sub {
    my ($from, $to) = map { redis($_) } qw(a c);
    $to->call('CLUSTER', 'SETSLOT', $IDLE, 'IMPORTING', $id{a});
    $from->call('CLUSTER', 'SETSLOT', $IDLE, 'MIGRATING', $id{c});
    my @keys = @{ $from->call('CLUSTER', 'GETKEYSINSLOT', $IDLE, 100) };
    $from->call('MIGRATE', '127.0.0.1', $port{c}, '', 0, 5000,
        'AUTH2', 'admin', $pass, 'KEYS', @keys) if @keys;
    $_->call('CLUSTER', 'SETSLOT', $IDLE, 'NODE', $id{c}) for $to, $from;
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
$t->write('enough', '');

my (%told, %count, @at);
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
    my $ctl = $t->build . '/travelctl';
    my ($rc, $out) = $t->run($ctl, qw(queue stat --queue account --json));
    is($rc, 0, 'queue stat') or diag($out);
    my @parts = map { $JSON->decode($_) } grep { /^\{/ } split /\n/, $out;
    is(scalar @parts, 4, 'tells of all partitions') or diag($out);
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
