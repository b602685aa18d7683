# The queue on two servers: a command is accepted when both have it, and goes on
# when one takes the other's place.
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
use Travel::Pool;
use Travel::Redis;
use Travel::Test;

my $t = Travel::Test->start(allow_5xx => 1,
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s{(travel_redis    queue \@QUEUE\@)}
         {$1 unix:\@SOCKETS\@/second.sock acks=1 timeout=1s};
    },
    edit_workers => sub {
        s{(socket        = "\@QUEUE_SOCKET\@)"}{$1, \@SOCKETS\@/second.sock"};
    });
my $dir  = $t->dir;
my $pass = Travel::Test::slurp("$dir/keys/redis-admin.password") =~ s/\s+\z//r;
my $JSON = JSON::PP->new->utf8;

# --- the second server -------------------------------------------------------

sub free_port {
    return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
}

my %at = (first => $t->socket('queue'));
$at{$_} = $at{first} =~ s/queue\.sock$/$_.sock/r for qw(second sentinel);
my %port = (first => free_port(), second => free_port());
my %pid;

sub redis {
    my ($name) = @_;
    return Travel::Redis->new(socket => $at{$name}, user => 'admin',
        password => $pass);
}

# A server with the first one's configuration, as the other one's replica.
sub start_replica {
    my ($name, $master) = @_;
    my $home = "$dir/redis-$name";
    mkdir $home;
    my $conf = Travel::Test::slurp("$dir/redis-queue/redis.conf");
    $conf =~ s/^(dir|pidfile|logfile|unixsocket|port|daemonize) .*\n//mg;
    $conf =~ s/^aclfile .*/aclfile $dir\/redis-queue\/users.acl/m;
    $t->write("redis-$name/redis.conf", $conf . <<"END");
dir $home
logfile $dir/logs/redis-$name.log
unixsocket $at{$name}
port $port{$name}
bind 127.0.0.1
daemonize no
replicaof 127.0.0.1 $port{$master}
masteruser admin
masterauth $pass
min-replicas-to-write 1
min-replicas-max-lag 10
repl-diskless-sync-delay 0
END
    $pid{$name} = fork // die "fork: $!";
    if (!$pid{$name}) {
        exec 'redis-server', "$home/redis.conf" or POSIX::_exit(1);
    }
    wait_for(sub { eval { redis($name)->call('INFO', 'replication')
        =~ /master_link_status:up/ } }, 20, "$name follows");
}

# Redis Sentinel, alone: it is told of the first and finds the second by it.
sub start_sentinel {
    my $port = free_port();
    mkdir "$dir/sentinel";
    $t->write('sentinel/sentinel.conf', <<"END");
port $port
bind 127.0.0.1
unixsocket $at{sentinel}
dir $dir/sentinel
logfile $dir/logs/sentinel.log
sentinel monitor queue 127.0.0.1 $port{first} 1
sentinel auth-user queue admin
sentinel auth-pass queue $pass
sentinel down-after-milliseconds queue 500
sentinel failover-timeout queue 5000
END
    $pid{sentinel} = fork // die "fork: $!";
    if (!$pid{sentinel}) {
        exec 'redis-server', "$dir/sentinel/sentinel.conf", '--sentinel'
            or POSIX::_exit(1);
    }
    wait_for(sub {
        my $s = Travel::Redis->new(socket => $at{sentinel});
        my %master = @{ $s->call('SENTINEL', 'MASTER', 'queue') };
        $master{'num-slaves'} == 1 && $master{flags} eq 'master';
    }, 20, 'the sentinel knows both');
}

END { local $?; kill 'KILL', grep { $_ } values %pid; }

my $first = redis('first');
$first->call('CONFIG', 'SET', 'port', $port{first});
$first->call('CONFIG', 'SET', 'repl-diskless-sync-delay', 0);
start_replica('second', 'first');
$first->call('CONFIG', 'SET', 'min-replicas-to-write', 1);
wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'the edge is ready');
wait_for(sub { $t->post('/api/v1/devices', { service => 'fcm', token => 'a' },
    token => $t->user_token(1))->{status} == 201 }, 20, 'a command is done');

# --- one command -------------------------------------------------------------

# (what became of it, device, seconds)
sub register {
    my ($http, $n, $key, $prefer) = @_;
    my $t0 = time;
    my $r = $http->post($t->url . '/api/v1/devices', { headers => {
            authorization     => 'Bearer ' . $t->user_token(1 + $n % 20),
            'content-type'    => 'application/json',
            prefer            => $prefer // 'respond-async',
            $key ? ('idempotency-key' => $key) : (),
        }, content => $JSON->encode({ service => 'fcm', token => "t-$n" }) });
    my $j = eval { $JSON->decode($r->{content}) } || {};
    my $what = $r->{status} =~ /^20[012]$/ ? 'accepted'
             : $j->{error}{code} // "$r->{status}";
    return ($what, $j->{id}, time - $t0, $r->{headers});
}

my $http = HTTP::Tiny->new(timeout => 20, keep_alive => 1);

# Registers devices for some seconds, and notes what it is told.
sub client {
    my ($c, $out, $seconds) = @_;
    my $mine = HTTP::Tiny->new(timeout => 20, keep_alive => 1);
    my $end  = time + $seconds;
    for (my $n = 1000 * ($c + 1); time < $end; $n++) {
        my ($what, $id) = register($mine, $n);
        print $out join("\t", time, "t-$n", $what, $id // '-'), "\n";
        sleep 0.02;
    }
}

subtest 'a replica that is silent' => sub {
    my ($what, $id, $took) = register($http, 1, 'key-1');
    is($what, 'accepted', 'with a replica that listens it is accepted');
    kill 'STOP', $pid{second};
    ($what, undef, $took) = register($http, 2, 'key-2');
    is($what, 'OUTCOME_UNKNOWN', 'with a silent one nobody knows');
    cmp_ok($took, '>', 0.4, 'after the time a replica may take');
    cmp_ok($took, '<', 1.5, 'and no longer');
    my ($again) = register($http, 2, 'key-2');
    is($again, 'OUTCOME_UNKNOWN', 'nor is a repeat told that it is safe');
    kill 'CONT', $pid{second};
    my $headers;
    for (1 .. 20) {
        ($what, $id, undef, $headers) = register($http, 2, 'key-2');
        last if $what eq 'accepted';
        sleep 0.2;
    }
    is($what, 'accepted', 'then it is');
    is($headers->{'idempotent-replayed'}, 'true', 'as what it was');
    my @n = $t->sql("SELECT count(*) FROM travel.devices WHERE token = 't-2'");
    is($n[0][0] // $n[0], 1, 'once') or diag(explain(\@n));
};

subtest 'no replica at all' => sub {
    kill 'KILL', $pid{second};
    waitpid $pid{second}, 0;
    wait_for(sub { $first->call('INFO', 'replication')
        =~ /connected_slaves:0/ }, 5, 'the first to notice');
    my ($what) = register($http, 3, 'key-3');
    is($what, 'DEPENDENCY_UNAVAILABLE', 'nothing is taken, and that is said');
    start_replica('second', 'first');
    for (1 .. 40) {
        ($what) = register($http, 3, 'key-3');
        last if $what eq 'accepted';
        sleep 0.2;
    }
    is($what, 'accepted', 'until there is one');
};

# --- the failover ------------------------------------------------------------

subtest 'the second takes the place of the first' => sub {
    start_sentinel();
    my $clients = Travel::Faults->clients($t, 3, sub { client(@_, 12) });
    sleep 3;
    $t->kill_part('queue');
    ok(wait_for(sub { redis('second')->call('INFO', 'replication')
        =~ /role:master/ },
        15, 'the sentinel to act'), 'a sentinel has made it the master');
    redis('second')->call('CONFIG', 'SET', 'min-replicas-to-write', 0);
    kill 'TERM', $pid{sentinel};
    waitpid delete $pid{sentinel}, 0;
    start_replica('first', 'second');

    my (%accepted, %count, @at);
    for ($clients->rows) {
        my ($at, $token, $what, $id) = @$_;
        $count{$what}++;
        next if $what ne 'accepted';
        $accepted{$token} = $id;
        push @at, $at;
    }
    @at = sort { $a <=> $b } @at;
    my @gap = (0, 0);
    for (1 .. $#at) {
        @gap = @at[$_ - 1, $_] if $at[$_] - $at[$_ - 1] > $gap[1] - $gap[0];
    }
    note(join ', ', map { "$count{$_} $_" } sort keys %count);
    note(sprintf 'nothing was accepted for %.2f s', $gap[1] - $gap[0]);
    cmp_ok($gap[1] - $gap[0], '<', 8, 'commands are accepted again');
    is_deeply([grep { !/^(?:accepted|OUTCOME_UNKNOWN|DEPENDENCY_UNAVAILABLE)$/ }
        keys %count], [], 'it was yes, no, or unknown');

    my $lost;
    wait_for(sub {
        my %there = map { $_->[0] => $_->[1] } $t->sql(
            "SELECT token, id FROM travel.devices WHERE token LIKE 't-%'");
        $lost = [grep { ($there{$_} // '') ne $accepted{$_} }
            sort keys %accepted];
        !@$lost;
    }, 30, 'all that was accepted');
    is_deeply($lost, [], 'what was accepted is done, under its id');
    my ($twice) = $t->sql("SELECT count(*) FROM (SELECT stream_id FROM
        events.event WHERE type = 'device.registered' GROUP BY 1
        HAVING count(*) > 1) AS t");
    is(ref $twice ? $twice->[0] : $twice, 0, 'once');

    wait_for(sub { redis('first')->call('INFO', 'replication')
        =~ /role:slave/ }, 10, 'the first is a replica now');
    my @stay = grep { / name=travel/ } split /\n/,
        redis('first')->call('CLIENT', 'LIST');
    is(scalar @stay, 0, 'and nobody stays with it') or diag(explain(\@stay));
};

subtest 'a master that is told to become a replica' => sub {
    redis('second')->call('CONFIG', 'SET', 'min-replicas-to-write', 0);
    redis('second')->call('FAILOVER');
    wait_for(sub { redis('first')->call('INFO', 'replication')
        =~ /role:master/ }, 10, 'the first is the master again');
    redis('first')->call('CONFIG', 'SET', 'min-replicas-to-write', 0);
    my $what = '';
    for my $n (5000 .. 5100) {
        ($what) = register($http, $n);
        last if $what eq 'accepted';
        sleep 0.1;
    }
    is($what, 'accepted', 'everybody follows');
    my ($done) = wait_for(sub { my ($w) = register($http, 6000, undef, 'wait=5');
        $w eq 'accepted' }, 20, 'and jobs are done');
    ok($done, 'workers, too');

    # and what they relay: nothing has ended their other connections
    my $uuid = Travel::Pool->new_uuid(0);
    $t->sql("INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
        VALUES ('maintenance', 0, 'job', '$uuid', jsonb_build_object(
            'id', 'maintenance.0.$uuid', 'type', 'maintenance.noop',
            'sub', '$uuid', 'key', '$uuid', 'priority', 'normal',
            'body', jsonb_build_object(), 'bucket', 0)) RETURNING id");
    ok(wait_for(sub { (redis('first')->call('HGET',
        "travel:{maintenance.0}:job:$uuid", 'status') // '') eq 'succeeded' },
        20, 'a job of the outbox'), 'the outbox goes to the new master');
    # each notices when it writes: a keeper by its next lease round, the
    # scheduler when something is due
    my @stay;
    wait_for(sub { @stay = grep { / name=travel-keeper / }
        split /\n/, redis('second')->call('CLIENT', 'LIST'); !@stay }, 20);
    is_deeply(\@stay, [], 'nobody stays with the old one');
};

for my $name (qw(first second)) {
    next unless $pid{$name};
    kill 'TERM', $pid{$name};
    waitpid $pid{$name}, 0;
    delete $pid{$name};
}
$t->finish;
done_testing;
