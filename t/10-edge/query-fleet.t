# Several replicas and an analytics server: reads spread by what is under way,
# failover within a second, coming back slowly, the primary not drowned, reports
# apart, the urgent first, and a real promotion.
use strict;
use warnings;
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $PG = 'dbname=travel user=travel_edge" password_file=@KEYS@/pg-edge.password';
my $CONF = <<"END";
    travel_postgres primary "host=\@PG_SOCKET\@ $PG spill=4
                    connections=4 pipeline=4;
    travel_postgres replica "host=\@PG_REPLICA_SOCKET\@ $PG slow_start=2s
                    connections=8 pipeline=1 max_lag=1h;
    travel_postgres replica "host=\@PG_REPLICA2_SOCKET\@ $PG slow_start=2s
                    connections=8 pipeline=1 max_lag=1h;
    travel_postgres analytics "host=\@PG_REPLICA2_SOCKET\@ $PG
                    connections=1 pipeline=1 queue=2 slow=1 max_lag=1h;
    travel_catalog  \@RUN\@/catalog;

    server {
        listen 127.0.0.1:\@PORT\@;
        add_header X-Server \$travel_server always;
        location = /health  { return 200; }
        location = /metrics { travel_metrics; }
        location = /who     { travel_query GET t.who; }
        location = /sleep   { travel_query GET t.sleep; }
        location = /low     { travel_query GET t.sleep; travel_query_priority low; }
        location = /report  { travel_query GET t.report; }
        location = /urgent  { travel_query GET t.report; travel_query_priority high; }
        location = /idle    { travel_query GET t.idle; }
    }
END

my $t = Travel::Test->new(parts => 'postgres replica replica2 nginx',
    http => $CONF, ngx_workers => 1);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
my $SLEEP = "-- \@public\n-- \@returns one\n-- \@param s number 0..5 = 0\n";
my $SQL = "SELECT json_build_object('slept', pg_sleep(:s)::text)::text";
$t->write('catalog/queries/t.who.sql', "-- \@public\n-- \@returns one\n"
    . "SELECT commission_bps::text FROM travel.partners WHERE code = 'klook'");
$t->write('catalog/queries/t.sleep.sql', "$SLEEP$SQL");
$t->write('catalog/queries/t.report.sql', "-- \@route analytics\n$SLEEP$SQL");
$t->write('catalog/queries/t.idle.sql',
    "-- \@route analytics\n-- \@priority low\n$SLEEP$SQL");
$t->launch;

sub get { $t->get($_[0] // '/who', allow_5xx => 1) }
sub super { my ($q, $on) = @_;
    $t->sql($q, role => 'postgres', on => $on // 'postgres') }
sub gauge {
    my ($name, $server) = @_;
    my ($v) = get('/metrics')->{content}
        =~ /^travel_postgres_$name\{server="$server"\} (\S+)$/m;
    return $v // '';
}
sub counter { my ($what) = @_;
    my ($v) = get('/metrics')->{content} =~ /^\Q$what\E (\d+)$/m; $v // 0 }
sub servers { my %n; $n{get()->{headers}{'x-server'} // ''}++ for 1 .. $_[0]; \%n }
sub fit { my ($server, $on) = @_;
    wait_for(sub { gauge('fit', $server) eq ($on // 1) }, 20, "$server fit") }

# All at once: [status, server, seconds, retry-after] each, in order.
sub crowd {
    my @in;
    for my $path (@_) {
        pipe my $in, my $out or die;
        my $pid = fork // die;
        if (!$pid) {
            my $start = time;
            my $r = HTTP::Tiny->new(timeout => 20)->get($t->url . $path);
            syswrite $out, join ' ', $r->{status},
                $r->{headers}{'x-server'} || '-', time - $start,
                $r->{headers}{'retry-after'} // '-';
            POSIX::_exit(0);
        }
        close $out;
        push @in, [$in, $pid];
        sleep 0.03;
    }
    return map { my $text = ''; sysread $_->[0], $text, 200; waitpid $_->[1], 0;
        [split ' ', $text] } @in;
}

fit($_) for 'replica-1', 'replica-2';

subtest 'reads spread' => sub {
    my $n = servers(100);
    cmp_ok($n->{"replica-$_"} // 0, '>', 20, "replica-$_ has its part") for 1, 2;
    is(($n->{'replica-1'} // 0) + ($n->{'replica-2'} // 0), 100, 'nobody else');
    # of two the one with less under way: eight that stay are four and four
    my %at;
    $at{$_->[1]}++ for crowd(('/sleep?s=1.5') x 8);
    is_deeply(\%at, { 'replica-1' => 4, 'replica-2' => 4 },
        'by what is under way');
};

subtest 'reports' => sub {
    my %at;
    $at{get('/report')->{headers}{'x-server'}}++ for 1 .. 20;
    is_deeply(\%at, { 'analytics-1' => 20 }, 'go to the analytics server');
    cmp_ok(counter('travel_route_total{to="analytics"}'), '>=', 20, 'counted');
    # one under way, two wait: the third has no room, unless it is urgent
    my @r = crowd('/report?s=1', ('/idle?s=0') x 4);
    is_deeply([map { $_->[0] } @r], [200, 200, 200, 503, 503],
        'a bounded line, then 503');
    is($r[3][3], 1, 'with Retry-After');
    cmp_ok($r[3][2], '<', 0.9, 'at once');
    my $shed = counter('travel_postgres_shed_total{server="analytics-1"}');
    @r = crowd('/report?s=1.5', '/idle', '/idle', '/urgent', '/report', '/urgent',
        '/idle');
    # the two idle ones make room, for the urgent and the normal one; the
    # normal one then gives way to the second urgent one
    is_deeply([map { $_->[0] } @r], [200, 503, 503, 200, 503, 200, 503],
        'the least urgent make room');
    is(counter('travel_postgres_shed_total{server="analytics-1"}') - $shed, 3,
        'counted');
    cmp_ok(counter('travel_query_overloaded_total{priority="low"}'), '>=', 5,
        'by priority');
    @r = crowd('/report?s=0.8', '/report?s=0.4', '/urgent');
    cmp_ok($r[2][2], '<', $r[1][2], 'the urgent goes first');
};

subtest 'a black hole' => sub {
    my ($worst, %status) = (0);
    my $try = sub {
        my $end = time + $_[0];
        while (time < $end) {
            my $start = time;
            $status{get()->{status}}++;
            my $took = time - $start;
            $worst = $took if $took > $worst;
        }
    };
    $t->freeze('replica2');
    $try->(2);
    is_deeply([keys %status], [200], 'every read is answered');
    # a probe is at most 250 ms away and waits 600 ms; the rest is the machine
    cmp_ok($worst, '<', 1.3, "within a second or so: $worst");
    is(gauge('fit', 'replica-2'), 0, 'it is out');
    is(get('/report')->{status}, 503, 'no report');
    is(get('/report')->{headers}{'retry-after'}, 1, 'but when to try again');
    is(servers(30)->{'replica-1'}, 30, 'the other one serves');
    $t->unfreeze('replica2');
};

subtest 'coming back' => sub {
    fit('replica-2');
    my $early = servers(60)->{'replica-2'} // 0;
    my $share = gauge('share', 'replica-2');
    cmp_ok($share, '<', 1, "not all at once: $share");
    cmp_ok($early, '<', 24, "few reads: $early of 60") if $share < 0.4;
    cmp_ok($early, '>', -1, 'from the first moment on');
    ok(wait_for(sub { gauge('share', 'replica-2') eq '1.00' }, 8, 'warm'),
        'then its full share');
    my $late = servers(100)->{'replica-2'} // 0;
    cmp_ok($late, '>', 20, "and takes it: $late of 100");
    is(get('/report')->{status}, 200, 'reports again');
};

subtest 'no replica at all' => sub {
    $t->kill_part($_) for 'replica', 'replica2';
    wait_for(sub { get()->{headers}{'x-server'} eq 'primary' }, 5, 'the primary');
    is(servers(20)->{primary}, 20, 'the primary takes what there is');
    my @r = crowd(('/sleep?s=1') x 7);
    is_deeply([map { $_->[0] } @r], [(200) x 4, (503) x 3],
        'up to its spill=, and no more');
    is($r[-1][3], 1, 'with Retry-After');
    cmp_ok($r[-1][2], '<', 1, 'at once');
    @r = crowd(('/low?s=1.5') x 4, ('/sleep?s=1') x 2);
    is_deeply([map { $_->[0] } @r], [200, 200, 503, 503, 200, 200],
        'the less urgent half of it');
    $t->start_part($_) for 'replica', 'replica2';
    fit($_) for 'replica-1', 'replica-2';
    my $n = servers(40);
    cmp_ok($n->{primary} // 0, '>', 0, 'cold replicas leave a part to it');
    ok(wait_for(sub { gauge('share', 'replica-1') eq '1.00'
        && gauge('share', 'replica-2') eq '1.00' }, 10, 'warm'), 'for a while');
    is(servers(40)->{primary}, undef, 'then not any more');
};

subtest 'a promotion' => sub {
    $t->kill_part('postgres');
    super('SELECT pg_promote()', 'replica');
    ok(wait_for(sub { gauge('up', 'replica-1') && !gauge('up', 'primary')
        && super('SELECT pg_is_in_recovery()', 'replica') eq 'f'
        && (get()->{headers}{'x-server'} // '') eq 'replica-1' }, 5, 'noticed'),
        'the promoted one is the primary');
    $t->sql("UPDATE travel.partners SET commission_bps = 888
        WHERE code = 'klook'", on => 'replica', role => 'postgres');
    # as a worker does once it has found the new primary
    my $beat = "UPDATE travel.heartbeat SET seq = seq + 1, at = now(),
        timeline = 2";
    super($beat, 'replica');
    my %seen;
    $seen{get()->{content}}++ for 1 .. 30;
    is_deeply([keys %seen], ['888'], 'one that follows the old one is not asked');
    # the second replica is told to follow the new primary
    my $dir = readlink($t->dir . '/pg-replica');
    my $pw = slurp($t->dir . '/keys/pg-replica.password');
    super("ALTER SYSTEM SET primary_slot_name = ''", 'replica2');
    super("ALTER SYSTEM SET primary_conninfo = 'host=$dir
        user=travel_replica password=$pw'" =~ s/\n\s+/ /r, 'replica2');
    super('SELECT pg_reload_conf()', 'replica2');
    ok(wait_for(sub { super($beat, 'replica');
        gauge('fit', 'replica-2') }, 20, 'it follows'),
        'and is, when it follows the new one');
    ok(wait_for(sub { (servers(5)->{'replica-2'} // 0) > 0 }, 10, 'serves'),
        'it serves');
    is(get()->{content}, '888', 'what is true');
    $t->start_part('postgres');
    wait_for(sub { gauge('up', 'primary') }, 10, 'the old primary');
    %seen = ();
    $seen{"$_->{content} " . ($_->{headers}{'x-server'} eq 'primary')}++
        for map { get() } 1 .. 60;
    is_deeply([keys %seen], ['888 '], 'the old primary is not believed');
};

subtest 'reports that have nowhere to go' => sub {
    my ($rc, $out) = $t->run('/bin/sh', '-c', "sed '/travel_postgres analytics/,"
        . "/;/d' " . $t->dir . '/nginx.conf > ' . $t->dir . '/none.conf; '
        . 'nginx -t -p ' . $t->dir . ' -c ' . $t->dir . '/none.conf');
    isnt($rc, 0, 'no configuration');
    like($out, qr/"\@route analytics", and there is no such server: add/, 'why');
};

$t->finish;
done_testing();
