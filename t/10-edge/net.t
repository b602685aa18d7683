# Links to Redis and PostgreSQL, driven through queries and job look-ups: what
# is sent how, neighbours of a failing query, slow beside fast, deadlines,
# aborted clients, servers that end sessions, hang or come back, reload, exit.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use IO::Socket::INET;
use Travel::Test;

my $CONF = <<'END';
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 1;
error_log @LOGS@/error.log info;
pid       @PIDS@/nginx.pid;
daemon    off;
worker_shutdown_timeout 10s;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path       @RUN@/tmp/proxy;
    fastcgi_temp_path     @RUN@/tmp/fastcgi;
    uwsgi_temp_path       @RUN@/tmp/uwsgi;
    scgi_temp_path        @RUN@/tmp/scgi;

    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge
                    password_file=@KEYS@/redis-edge.password timeout=500ms;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=1
                    pipeline=16 queue=40 timeout=1s slow_timeout=5s;
    include         @RUN@/slow.conf;
    travel_catalog  @RUN@/catalog;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;

    server {
        listen 127.0.0.1:@PORT@;
        location = /health  { return 200; }
        location = /metrics { travel_metrics; }
        location = /one     { travel_query GET t.one; }
        location = /div     { travel_query GET t.div; }
        location = /nap     { travel_query GET t.nap; }
        location = /slow    { travel_query GET t.slow; }
        location = /bad     { travel_query GET t.bad; }
        location = /row     { travel_query GET t.row; }
        location = /long    { travel_query GET t.long; }
        location ~ ^/jobs/(.+)$ {
            travel_auth required jwks=main audience=travel;
            travel_job_status id=$1;
        }
    }
}
END

my $HEAD = "-- \@public\n-- \@returns one\n";
my %FILE = (
    one  => "$HEAD-- \@param n int\nSELECT json_build_object('n', :n)::text",
    div  => "$HEAD-- \@param n int\nSELECT (1 / :n)::text",
    nap  => "$HEAD-- \@param s number\nSELECT json_build_object('s', pg_sleep(:s)::text)::text",
    slow => "$HEAD-- \@param s number\n-- \@class slow\n-- \@timeout 3s\n"
        . "SELECT json_build_object('slow', pg_sleep(:s)::text)::text",
    bad  => "$HEAD-- \@param n int\nSELECT (nothing + :n)::text",
    row  => "${HEAD}SELECT row_to_json(t)::text FROM net_t AS t",
    long => "$HEAD-- \@param s text 0..100000\nSELECT json_build_object('n', length(:s))::text",
);

my $t = Travel::Test->new(parts => 'postgres queue nginx', conf => $CONF,
    allow_5xx => 1);
mkdir $t->dir . '/catalog' or die;
mkdir $t->dir . '/catalog/queries' or die;
$t->write("catalog/queries/t.$_.sql", $FILE{$_}) for keys %FILE;
$t->write('slow.conf', '');
$t->launch;
wait_for(sub { $t->get('/one?n=1')->{status} == 200 }, 10, 'sessions');

# Sends requests on connections of their own in one go: [status, body] each.
sub together {
    my @s = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port) or die $! } @_;
    for my $i (0 .. $#_) {
        syswrite $s[$i], "GET $_[$i] HTTP/1.1\r\nHost: x\r\n"
            . "Connection: close\r\n\r\n";
    }
    return map {
        local $/;
        my $in = readline $_;
        $in =~ m{^HTTP/1.1 (\d+).*?\r\n\r\n(.*)}s ? [$1, $2] : [0, $in];
    } @s;
}

sub metric {
    my ($name) = @_;
    return $t->get('/metrics')->{content} =~ /^\Q$name\E (\d+)/m ? $1 : undef;
}

sub sessions {
    return $t->sql(q{SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'travel-edge'}, role => 'postgres');
}

sub busy {
    return $t->sql(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active'
        AND application_name = 'travel-edge' AND query LIKE '%pg_sleep%'},
        role => 'postgres');
}

subtest 'a pipeline' => sub {
    my @r = together(map { "/one?n=$_" } 1 .. 30);
    is_deeply([map { $_->[0] } @r], [(200) x 30], 'all answered');
    is_deeply([map { json($_->[1])->{n} } @r], [1 .. 30], 'each its own');
    is(sessions(), 2, 'one session, and the probes\'');
    my $r = $t->get('/one?n=1');
    my $set = $t->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query ~* '^SET '
        AND application_name = 'travel-edge'}, role => 'postgres');
    is($set, 0, 'nothing is SET');
    $r = $t->get('/long?s=' . 'x' x 4000);
    is($r->{json}{n}, 4000, 'a long value');
};

subtest 'neighbours of an error' => sub {
    my $before = metric('travel_postgres_resent_total{server="primary"}');
    for my $round (1 .. 5) {
        my @r = together(map { ("/one?n=$_", '/div?n=0', "/bad?n=$_",
            '/div?n=1') } 1 .. 6);
        my @bad = grep { my $i = $_ % 4; $i == 0 || $i == 3
            ? $r[$_][0] != 200 : $r[$_][0] != 500 } 0 .. $#r;
        is(scalar @bad, 0, "round $round") or diag(join ' ', map { $_->[0] } @r);
        is_deeply([map { json($r[4 * $_][1])->{n} } 0 .. 5], [1 .. 6],
            'each its own answer');
    }
    cmp_ok(metric('travel_postgres_resent_total{server="primary"}'), '>',
        $before, 'some were sent again');
};

subtest 'slow beside fast' => sub {
    my $kid = fork // die;
    if (!$kid) { $t->get('/slow?s=1'); POSIX::_exit(0) }
    wait_for(sub { busy() == 1 }, 5, 'the slow one runs');
    my $from = time;
    is($t->get('/one?n=5')->{status}, 200, 'a fast one');
    cmp_ok(time - $from, '<', 0.5, 'does not wait');
    waitpid $kid, 0;
    is($t->get('/slow?s=0')->{status}, 200, 'and the session serves on');
};

subtest 'a client that goes away' => sub {
    my $before = metric('travel_postgres_cancels_total{server="primary"}');
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port) or die;
    syswrite $s, "GET /slow?s=2.5 HTTP/1.1\r\nHost: x\r\n\r\n";
    wait_for(sub { busy() == 1 }, 5, 'it runs');
    close $s;
    ok(wait_for(sub { busy() == 0 }, 1.5, 'cancelled'), 'its query is cancelled');
    is(metric('travel_postgres_cancels_total{server="primary"}'), $before + 1,
        'once');
    is($t->get('/slow?s=0')->{status}, 200, 'the next is not hit by it');
};

subtest 'deadlines' => sub {
    my $from = time;
    my $r = $t->get('/nap?s=3');
    cmp_ok(abs(time - $from - 1), '<', 0.6, 'one second');
    is($r->{status}, 504, 'told so');
    ok(wait_for(sub { $t->get('/one?n=7')->{status} == 200 }, 3, 'served'),
        'the session serves on');
    $from = time;
    is($t->get('/slow?s=10')->{status}, 504, 'a slow one too');
    cmp_ok(time - $from, '<', 4, 'by its own');
    ok(wait_for(sub { busy() == 0 }, 2, 'cancelled'), 'cancelled');
};

subtest 'more than the line takes' => sub {
    my @r = together('/nap?s=0.5', map { "/one?n=$_" } 1 .. 90);
    my %n;
    $n{ $_->[0] }++ for @r;
    cmp_ok($n{503}, '>=', 20, 'the rest is refused') or diag(explain(\%n));
    cmp_ok($n{200}, '>=', 40, 'the others served');
    is($n{200} + $n{503}, 91, 'all answered');
    cmp_ok(metric('travel_postgres_busy_total{server="primary"}'), '>=', 20,
        'and counted');
};

subtest 'a table that changes' => sub {
    $t->sql('CREATE TABLE net_t (a int); INSERT INTO net_t VALUES (1); '
        . 'GRANT SELECT ON net_t TO travel_edge', role => 'postgres');
    is($t->get('/row')->{content}, '{"a":1}', 'a row');
    $t->sql("ALTER TABLE net_t ADD b text DEFAULT 'x'", role => 'postgres');
    is($t->get('/row')->{content}, '{"a":1,"b":"x"}', 'with a new column');
};

subtest 'sessions that the server ends' => sub {
    for (1 .. 3) {
        $t->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'travel-edge'}, role => 'postgres');
        ok(wait_for(sub { $t->get('/one?n=1')->{status} == 200 }, 5, 'back'),
            'back');
    }
    my $kid = fork // die;
    if (!$kid) { POSIX::_exit($t->get('/nap?s=0.8')->{status} >= 500 ? 0 : 1) }
    wait_for(sub { busy() == 1 }, 5, 'it runs');
    $t->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'travel-edge' AND state = 'active'},
        role => 'postgres');
    waitpid $kid, 0;
    cmp_ok($?, '==', 0, 'what was asked is told lost, or asked elsewhere');
    ok(wait_for(sub { sessions() >= 2 }, 5, 'sessions'), 'and they come again');
    like(slurp($t->dir . '/logs/error.log'),
        qr/postgres primary: session \d dropped: /, 'with a reason in the log');
};

subtest 'Redis: hangs, goes, comes' => sub {
    my %who = (token => $t->user_token(1));
    my $job = '/jobs/booking.1.0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee';
    is($t->get($job, %who)->{status}, 404, 'asked');
    my @names = map { / name=(\S+)/ }
        split /\n/, $t->redis('queue')->call('CLIENT', 'LIST');
    ok((grep { /^travel-edge-\d+-commands$/ } @names), 'by its name')
        or diag("@names");
    $t->freeze('queue');
    my $from = time;
    is($t->get($job, %who)->{status}, 503, 'it hangs');
    cmp_ok(abs(time - $from - 0.5), '<', 0.4, 'told in time');
    sleep 1;
    $t->get($job, %who);
    $t->unfreeze('queue');
    ok(wait_for(sub { $t->get($job, %who)->{status} == 404 }, 5, 'back'),
        'and is back');
    $t->kill_part('queue');
    sleep 0.2;
    $from = time;
    is($t->get($job, %who)->{status}, 503, 'it is gone');
    cmp_ok(time - $from, '<', 0.4, 'refused at once');
    $t->start_part('queue');
    ok(wait_for(sub { $t->get($job, %who)->{status} == 404 }, 5, 'back'),
        'and is back');
};

subtest 'reload' => sub {
    my ($bad, $n) = (0, 0);
    my $pid = fork // die;
    if (!$pid) { for (1 .. 5) { sleep 0.3; kill 'HUP', $t->pid_of('nginx') }
        POSIX::_exit(0) }
    my $end = time + 2.2;
    my $who = { authorization => 'Bearer ' . $t->user_token(1) };
    while (time < $end) {
        my @r = together('/one?n=1', '/one?n=2');
        $n += @r;
        $bad += grep { $_->[0] != 200 } @r;
    }
    waitpid $pid, 0;
    is($bad, 0, "no error in $n requests over five reloads");
    ok(wait_for(sub { (() = $t->children_of('nginx')) == 1 }, 8, 'one worker'),
        'old workers go');
    ok(wait_for(sub { sessions() <= 3 }, 5, 'sessions'), 'and their sessions');

    my $kid = fork // die;
    if (!$kid) { POSIX::_exit($t->get('/slow?s=1')->{status} == 200 ? 0 : 1) }
    wait_for(sub { busy() == 1 }, 5, 'a slow query');
    $t->reload;
    waitpid $kid, 0;
    cmp_ok($?, '==', 0, 'is finished by the old worker');

    # A configuration that takes longer to read than connecting may take: a pipe
    # in it that nobody has opened yet.
    my $slow = $t->dir . '/slow.conf';
    my $log = length Travel::Test::slurp($t->dir . '/logs/error.log');
    unlink $slow;
    POSIX::mkfifo($slow, 0666) or die "mkfifo: $!";
    my $writer = fork // die;
    if (!$writer) { sleep 1.2; open my $f, '>', $slow; POSIX::_exit(0) }
    $t->reload;
    waitpid $writer, 0;
    unlink $slow;
    $t->write('slow.conf', '');
    is($t->get('/one?n=1')->{status}, 200, 'one that took long');
    unlike(substr(Travel::Test::slurp($t->dir . '/logs/error.log'), $log),
        qr/took too long/, 'is no reason to give up connecting');
};

# nginx -t, with the sanitizer's runtime first where the module needs it.
subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    my @cases = (
        ['travel_redis other unix:/x;', qr/role "other" must be "queue" or/],
        ['travel_redis cache localhost;', qr/must be unix:PATH or HOST:PORT/],
        ['travel_redis cache no.such.host.invalid:1;', qr/use an address/],
        ['travel_redis cache unix:/' . 'x' x 110 . ';', qr/must have 1 to 107/],
        ['travel_redis queue unix:/x;', qr/duplicate/],
        ['travel_redis cache unix:/x user=u;', qr/needs password=/],
        ['travel_redis cache unix:/x timeout=1h;', qr/"timeout=1h" must be/],
        ['travel_redis cache unix:/x dbs=1;', qr/"dbs=1" must be one of/],
        ['travel_redis cache unix:/x cluster=yes;', qr/must be "on" or "off"/],
        ['travel_redis cache [::1]:1 cluster=on;', qr/is for "queue".*one server/],
        ['travel_postgres replica "host=/x dbname=y";', qr/must have user= and/],
        ['travel_postgres replica "host=/x dbname=y user=z hots=1";', qr/hots/],
        ['travel_postgres boss "dbname=y user=z";', qr/must be "primary"/],
        ['travel_postgres replica "host=a,b dbname=y user=z";', qr/one host/],
        ['travel_postgres replica "dbname=y user=z" connections=0;', qr/from 1 to 64/],
        ['travel_postgres replica "dbname=y user=z" max_lag=x;', qr/must be a time/],
    );
    for my $c (@cases) {
        (my $text = $conf) =~ s/(travel_catalog )/$c->[0]\n$1/ or die;
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, substr $c->[0], 0, 60);
        like($out, $c->[1], '... says what to do');
    }
    for my $c (['unix:/x cluster=on', qr/known by HOST:PORT/],
               ['[::1]:1 cluster=on db=1', qr/has database 0 only/],
               ['[::1]:1 127.0.0.1:1 cluster=on acks=1', undef]) {
        (my $text = $conf) =~ s/(travel_redis +queue)[^;]+/$1 $c->[0]/ or die;
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        is(!$rc, !$c->[1], "queue $c->[0]") or diag($out);
        like($out, $c->[1], '... says what to do') if $c->[1];
    }
    (my $text = $conf) =~ s/host=\S+ dbname/host=\/nowhere dbname/ or die;
    $text =~ s/unix:\S+queue\S*/unix:\/nowhere/;
    $t->write('bad.conf', $text);
    my ($rc) = $t->nginx_t('bad.conf');
    is($rc, 0, 'servers need not be there');
};

$t->finish;
done_testing;
