# Cached reads that are never older than the caller's own write, and what the
# cache may serve when no server answers.  The test plays the worker: it writes,
# then tells the invalidation stream, whose heartbeat it keeps up.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $CONF = <<'END';
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_postgres replica "host=@PG_REPLICA_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2 max_lag=5s;
    travel_catalog  @RUN@/catalog;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main audience=travel;
        add_header X-Server $travel_server always;
        add_header X-Cache  $travel_cache_status always;
        location = /health { return 200; }
        location = /name { travel_query GET t.name; travel_cache 60s stale=60s; }
        location = /count { travel_query GET t.count; travel_cache 1s stale=60s; }
        location = /raw { travel_query GET t.name; }
    }
END

my $t = Travel::Test->new(parts => 'postgres replica queue nginx',
    http => $CONF);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.name.sql', "-- \@returns one\n"
    . "-- \@tags user:{viewer}\n"
    . "SELECT json_build_object('name', name)::text FROM travel.users "
    . "WHERE id = :viewer");
$t->write('catalog/queries/t.count.sql', "-- \@public\n-- \@returns one\n"
    . "-- \@param s number = 0\n-- \@tags users\n"
    . "SELECT json_build_object('n', txid_current_if_assigned(), "
    . "'at', clock_timestamp(), 'slept', pg_sleep(:s)::text)::text");
$t->launch;

# --- the worker's part -------------------------------------------------------

my $w = $t->redis('queue', 'worker');
my $beat = fork // die;
if (!$beat) {
    my $r = $t->redis('queue', 'worker');
    while (getppid() != 1) {
        eval { $r->call('XADD', 'travel:inval', '*', 'hb', 1, 'timeline', 1,
            'lsn', lsn()); $t->sql('UPDATE travel.heartbeat SET at = now()'); 1 }
            or eval { $r = $t->redis('queue', 'worker') };
        sleep 0.2;
    }
    POSIX::_exit(0);
}
sub lsn { scalar $t->sql('SELECT pg_current_wal_flush_lsn()', role => 'postgres') }

# A commit: where it ends, and (unless the worker is slow) its invalidation.
sub rename_user {
    my ($n, $name) = @_;
    $t->sql("UPDATE travel.users SET name = '$name' WHERE id = '"
        . $t->user($n) . "'");
    return lsn();
}

sub announce {
    my ($n, $lsn) = @_;
    return $w->call('XADD', 'travel:inval', '*', 'tags', 'user:' . $t->user($n),
        'timeline', 1, 'lsn', $lsn, 'sub', $t->user($n));
}

sub token {
    my ($lsn, $inval) = @_;
    my ($hi, $lo) = map { hex } split m{/}, $lsn;
    my ($ms, $seq) = split /-/, $inval;
    my $body = pack 'CNNNQ>N', 1, 1, $hi, $lo, $ms, $seq;
    my $key = slurp($t->dir . '/keys/consistency.key') =~ s/\s+\z//r;
    return encode_base64url($body . substr hmac_sha256($body, $key), 0, 12);
}

my @tok = map { $t->user_token($_) } 0 .. 3;
sub get { my ($path, $n, %h) = @_;
    $t->get($path, allow_5xx => 1, headers => \%h,
        defined $n ? (token => $tok[$n]) : ()) }
sub cached { $_[0]{headers}{'x-cache'} // '' }

wait_for(sub { cached(get('/name', 1)) eq 'HIT' }, 15, 'a first hit');

subtest 'a hit' => sub {
    my $r = get('/name', 1);
    is(cached($r), 'HIT', 'from the cache');
    is($r->{content}, '{"name" : "Test User 1"}', 'the bytes');
    like($r->{headers}{etag}, qr/^"[0-9a-f]+"$/, 'with a validator');
    is($r->{headers}{'cache-control'}, 'private, no-cache', 'for one caller');
    my $tag = $r->{headers}{etag};
    $r = get('/name', 1, 'if-none-match' => $tag);
    is($r->{status}, 304, 'If-None-Match');
    is($r->{headers}{etag}, $tag, 'the same one');
    is(get('/name', 1, 'if-none-match' => '"x"')->{status}, 200, 'another one');
    is(get('/raw', 1)->{headers}{etag}, undef, 'none where nothing is cached');
    is(get('/name', 2)->{json}{name}, 'Test User 2', 'another caller: his own');
    is(get('/name')->{status}, 401, 'nobody: nothing');
};

subtest 'a write, and its invalidation' => sub {
    for my $round (1 .. 20) {
        get('/name', 1) for 1 .. 2;
        my $lsn = rename_user(1, "round $round");
        my $token = token($lsn, announce(1, $lsn));
        my $r = get('/name', 1, 'travel-consistency' => $token);
        is($r->{json}{name}, "round $round", "round $round: " . cached($r)
            . ' from ' . ($r->{headers}{'x-server'} // 'the cache'));
    }
};

subtest 'without a token' => sub {
    # the stream names the writer: this node knows by itself
    my $lsn = rename_user(2, 'known');
    announce(2, $lsn);
    sleep 0.1;
    is(get('/name', 2)->{json}{name}, 'known', 'the last write is remembered');
};

subtest 'an invalidation that is late' => sub {
    get('/name', 1) for 1 .. 3;
    my $lsn = rename_user(1, 'late');
    my $ms = int(time * 1000) + 100_000;
    my $start = time;
    my $r = get('/name', 1, 'travel-consistency' => token($lsn, "$ms-0"));
    my $took = time - $start;
    is($r->{json}{name}, 'late', 'a server that has it is asked');
    is(cached($r), 'BYPASS', 'past the cache');
    cmp_ok($took, '>', 0.2, 'after a moment');
    cmp_ok($took, '<', 1, 'and no more than that');
    # one that comes while the read waits
    $lsn = rename_user(1, 'in time');
    my $pid = fork // die;
    if (!$pid) {
        sleep 0.1;
        my $mine = $t->redis('queue', 'worker');
        $mine->call('XADD', 'travel:inval', '*', 'tags', 'user:' . $t->user(1),
            'timeline', 1, 'lsn', $lsn, 'sub', $t->user(1));
        POSIX::_exit(0);
    }
    my $soon = int((time + 0.08) * 1000);
    $start = time;
    $r = get('/name', 1, 'travel-consistency' => token($lsn, "$soon-0"));
    $took = time - $start;
    waitpid $pid, 0;
    is($r->{json}{name}, 'in time', 'the new');
    cmp_ok($took, '<', 0.24, 'as soon as it is there');
};

subtest 'one fill for many' => sub {
    my @pids;
    my $n = sub { $t->sql("SELECT coalesce(sum(calls), 0) FROM
        (SELECT count(*) AS calls FROM pg_stat_activity WHERE query LIKE
        '%pg_sleep%' AND state = 'active' AND usename = 'travel_edge') AS x",
        role => 'postgres', on => 'replica') };
    for (1 .. 12) {
        my $pid = fork // die;
        if (!$pid) {
            my $r = HTTP::Tiny->new(timeout => 10)
                ->get($t->url . '/count?s=0.5');
            POSIX::_exit($r->{status} == 200 ? 0 : 1);
        }
        push @pids, $pid;
    }
    sleep 0.3;
    cmp_ok($n->(), '<=', 2, 'at most one statement per nginx worker');
    my $bad = 0;
    for (@pids) { waitpid $_, 0; $bad++ if $? }
    is($bad, 0, 'all were answered');
};

subtest 'when no server answers' => sub {
    my $fresh = get('/count');
    $t->stop_part('postgres');
    $t->stop_part('replica');
    sleep 1.2;
    my $r = wait_for(sub { my $r = get('/count'); $r->{status} == 200 && $r }, 5,
        'an answer');
    is($r->{headers}{'x-cache'}, 'STALE', 'what is stale stands in');
    is(get('/raw', 1)->{status}, 503, 'nothing to stand in: 503');
    is(get('/name', 3)->{status}, 503, 'nor for one who was not here');
    $t->start_part('postgres');
    $t->start_part('replica');
    wait_for(sub { get('/raw', 1)->{status} == 200 }, 15, 'all back');
};

kill 'TERM', $beat;
waitpid $beat, 0;

subtest 'when the stream is silent' => sub {
    sleep 1.5;
    my $r = get('/name', 1);
    is($r->{status}, 200, 'reads go on');
    isnt(cached($r), 'HIT', 'but not from what may be old');
    my $lsn = rename_user(1, 'silent');
    my $start = time;
    $r = get('/name', 1, 'travel-consistency' => token($lsn, '99999999999999-0'));
    is($r->{json}{name}, 'silent', 'a write is read');
    cmp_ok(time - $start, '<', 0.2, 'without waiting for what will not come');
};

$t->finish;
done_testing();
