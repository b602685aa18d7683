# Answers that two nodes share: L2 in Redis, one fill at a time on a node and
# across nodes, and nothing of it believed blindly.  The test plays the worker:
# it commits, then tells the invalidation stream, whose heartbeat it keeps up.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Node;
use Travel::Test;

my $CONF = <<'END';
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_redis    cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=4;
    travel_catalog  @RUN@/catalog;
    travel_zone     cache 4m shards=2;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main audience=travel;
        add_header X-Cache  $travel_cache_status always;
        add_header X-Server $travel_server always;
        location = /health { return 200; }
        location = /metrics { travel_metrics; }
        location = /value { travel_query GET t.value; travel_cache 60s l2=on; }
        location = /tagged {
            travel_query GET t.value; travel_cache 60s l2=on "tags=more:$arg_id";
        }
        location = /mine { travel_query GET t.mine; travel_cache 60s l2=on; }
        location = /big { travel_query GET t.big; travel_cache 60s l2=on; }
        location = /far { travel_query GET t.value; travel_cache 60s l1=off l2=on; }
        location = /old { travel_query GET t.value; travel_cache 60s stale=60s; }
        location = /purge { travel_purge; }
        location = /sweep { travel_purge permission=cache:sweep; }
        location = /brief { travel_query GET t.value; travel_cache 1s l2=on; }
    }
END

# A clock in the answer tells one run from another.
my %QUERY = (
    value => "-- \@public\n-- \@returns one\n-- \@timeout 10s\n"
        . "-- \@param id int = 0\n-- \@param s number = 0\n"
        . "-- \@tags value:{id}\n"
        . "SELECT json_build_object('v', v, 'id', :id, 's', pg_sleep(:s)::text,"
        . " 'run', clock_timestamp())::text"
        . " FROM travel.cache_test WHERE id = :id",
    big => "-- \@public\n-- \@returns one\n"
        . "SELECT json_build_object('text', repeat('x', 400000), 'run',"
        . " clock_timestamp())::text FROM travel.cache_test WHERE id = 0",
    mine => "-- \@returns one\n-- \@timeout 10s\n-- \@param s number = 0\n"
        . "-- \@tags user:{viewer}\n"
        . "SELECT json_build_object('me', :viewer, 's', pg_sleep(:s)::text)::text",
);

my $t = Travel::Test->new(parts => 'postgres queue cache nginx',
    http => $CONF, allow_log => qr/exited on signal 9/);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write("catalog/queries/t.$_.sql", $QUERY{$_}) for keys %QUERY;
$t->launch;
$t->sql('CREATE TABLE travel.cache_test (id int PRIMARY KEY, v int);'
    . 'INSERT INTO travel.cache_test SELECT n, 0 FROM generate_series(0, 9999) n;'
    . 'GRANT SELECT ON travel.cache_test TO travel_edge');
# So many statements of the edge PostgreSQL has seen: it logs them.
$t->sql("ALTER ROLE travel_edge SET log_statement = 'all'", role => 'postgres');
$t->restart_part('nginx');
my $u = Travel::Node->start($t);

# --- the worker's part -------------------------------------------------------

my $w = $t->redis('queue', 'worker');
my $redis = $t->redis('cache');
sub lsn { scalar $t->sql('SELECT pg_current_wal_flush_lsn()', role => 'postgres') }
sub runs {
    my ($log) = glob($t->dir . '/logs/postgres.log ' . $t->dir . '/logs/primary.log');
    return scalar(() = slurp($log) =~ /LOG:  execute .*cache_test/g);
}

my $lsn  = lsn();
my $beat = fork // die;
if (!$beat) {
    my $r;
    while (getppid() != 1) {
        eval {
            $r //= $t->redis('queue', 'worker');
            $r->call('XADD', 'travel:inval', '*', 'hb', 1, 'timeline', 1,
                'lsn', $lsn);
            1;
        } or undef $r;
        sleep 0.2;
    }
    POSIX::_exit(0);
}

# Commits, and tells the stream of it.
sub set {
    my ($id, $v) = @_;
    $t->sql("WITH u AS (UPDATE travel.cache_test SET v = $v WHERE id = $id)"
        . ' SELECT 1');
    $w->call('XADD', 'travel:inval', '*', 'tags', "value:$id", 'timeline', 1,
        'lsn', lsn());
}

# --- the clients' ------------------------------------------------------------

sub get {
    my ($node, $path, $n) = @_;
    my $r = HTTP::Tiny->new(timeout => 20)->get($node->url . $path, { headers => {
        defined $n ? (authorization => 'Bearer ' . $t->user_token($n)) : () } });
    $r->{json}  = eval { json($r->{content}) } // {};
    $r->{cache} = $r->{headers}{'x-cache'} // '';
    return $r;
}

# In a child, so that others can ask meanwhile; returns a sub that waits.
sub later {
    my ($node, $path, $n) = @_;
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) {
        my $r = get($node, $path, $n);
        syswrite $out, "$r->{status} $r->{cache} $r->{content}";
        POSIX::_exit(0);
    }
    close $out;
    return sub { my $s = do { local $/; <$in> }; waitpid $pid, 0; $s };
}

sub metric {
    my ($node, $name) = @_;
    my ($n) = get($node, '/metrics')->{content} =~ /^\Q$name\E (\S+)$/m;
    return $n // die "no metric $name\n";
}
sub l2 { metric($_[0], qq(travel_cache_l2_total{result="$_[1]"})) }
sub hearing {
    my ($node) = @_;
    wait_for(sub { metric($node, 'travel_invalidation_hearing') == 1 }, 10,
        'the stream to be heard');
}
hearing($_) for $t, $u;

my $admin = $t->token(sub => $t->user(1), permissions => 'cache:purge');

# A node takes no answer from before it knew the stream, by both clocks.
my $probe = 900;
sub shared {
    wait_for(sub {
        $probe++;
        return get($t, "/value?id=$probe")->{status} == 200
            && get($u, "/value?id=$probe")->{cache} eq 'HIT';
    }, 15, 'the nodes to share');
}
shared() or die("nothing is shared\n");
runs() or die("statements are not logged\n");

# On a machine that stalls a reply may come too late, which is a miss: then the
# next id is tried.
my $id = 0;
subtest 'the second node has it from Redis' => sub {
    my ($was, $hit, $a, $b);
    wait_for(sub {
        $id++;
        $was = runs();
        $hit = l2($u, 'hit');
        $a = get($t, "/value?id=$id");
        $b = get($u, "/value?id=$id");
        return $a->{cache} eq 'MISS' && $b->{cache} eq 'HIT';
    }, 10, 'a fill by one, a hit for the other') or return;
    is($b->{content}, $a->{content}, 'the same bytes');
    is($b->{headers}{etag}, $a->{headers}{etag}, 'the same validator');
    like($b->{headers}{age}, qr/^\d+$/, 'with its age');
    is(l2($u, 'hit'), $hit + 1, 'counted');
    is(get($u, "/value?id=$id")->{cache}, 'HIT', 'and from its own memory then');
    is(l2($u, 'hit'), $hit + 1, 'without asking again');
    is(runs(), $was + 1, 'PostgreSQL was asked once');
    is(get($u, "/tagged?id=$id")->{cache}, 'MISS',
        'other tags make another answer');
};

subtest 'answers of which an entry takes a part' => sub {
    my $stored = l2($t, 'stored');
    my $one = get($t, '/big');
    cmp_ok(length $one->{content}, '>', 400_000, 'one of 400,000 bytes');
    wait_for(sub { l2($t, 'stored') > $stored }, 5, 'it to be written');
    my $hits = l2($u, 'hit');
    ok(get($u, '/big')->{content} eq $one->{content}, 'the other node has it');
    ok(get($t, '/big')->{content} eq $one->{content}, 'and the first, again');
    is(l2($u, 'hit'), $hits + 1, 'from Redis');
};

subtest 'a commit is seen by both, and what it overwrote is not' => sub {
    my $old = 0;
    for my $round (1 .. 15) {
        get($_, '/value?id=3') for $t, $u;
        set(3, $round);
        my $until = time + 5;
        for my $node ($t, $u) {
            sleep 0.01 while get($node, '/value?id=3')->{json}{v} != $round
                && time < $until;
            $old += grep { get($_, '/value?id=3')->{json}{v} != $round } $node;
        }
        $old++ if time > $until;
    }
    is($old, 0, 'never again, on no node');
};

# An acknowledged invalidation: the token of the write rules, whatever L2 holds.
subtest 'who waits for the position reads no older' => sub {
    my $bad = 0;
    for my $round (1 .. 15) {
        get($_, '/far?id=4') for $t, $u;
        my $id = set(4, $round);
        for my $node ($u, $t) {
            wait_for(sub { metric($node, 'travel_invalidation_hearing') == 1
                && get($node, '/far?id=4')->{json}{v} == $round }, 5, 'it');
            $bad++ if get($node, '/far?id=4')->{json}{v} != $round;
        }
    }
    is($bad, 0, 'with L2 alone, too');
    wait_for(sub { get($u, '/far?id=4')->{cache} eq 'HIT' }, 5, 'a hit of L2');
};

subtest 'one fill at a time' => sub {
    my $was = runs();
    my @r = map { later($t, '/value?id=20&s=0.7') } 1 .. 12;
    my %seen;
    for (@r) { my ($s, $c, $b) = split ' ', $_->(), 3; $seen{"$s $b"}++ }
    is(runs(), $was + 1, 'on a node, of two nginx workers');
    is(scalar keys %seen, 1, 'all got its answer') or diag(explain(\%seen));

    $was = runs();
    @r = map { later($_ % 2 ? $t : $u, '/value?id=21&s=0.7') } 1 .. 12;
    %seen = ();
    for (@r) { my ($s, $c, $b) = split ' ', $_->(), 3; $seen{"$s $b"}++ }
    is(runs(), $was + 1, 'across nodes');
    is(scalar keys %seen, 1, 'all got its answer') or diag(explain(\%seen));
    cmp_ok(l2($t, 'waited') + l2($u, 'waited'), '>=', 1, 'somebody waited');

    # a fill that takes longer than others wait is nobody's but its own
    $was = runs();
    @r = map { later($_ % 2 ? $t : $u, '/value?id=22&s=2.2') } 1 .. 6;
    is(scalar(grep { $_->() =~ /^200 / } @r), 6, 'a slow one: all answered');
    is(runs(), $was + 2, 'by one statement of each node');
    cmp_ok(l2($t, 'gave_up') + l2($u, 'gave_up'), '>=', 1, 'counted');
    is(scalar $redis->call('KEYS', 'travel:l2lock:*')->@*, 0,
        'the locks are gone');
};

# Redis is held up so that a node looks, then the holder stores and lets go, and
# only then the node gets the lock.
sub held_up {
    my ($n) = @_;                          # SETs
    for (1 .. 200) {
        return if $n <= grep { / flags=\w*b.* cmd=set / }
            split /\n/, $redis->call('CLIENT', 'LIST');
        sleep 0.005;
    }
}

subtest 'who gets the lock looks once more' => sub {
    my ($id, $was, $said, $kept) = 59;
    my $holder = $t->redis('cache');
    wait_for(sub {
        $id++;
        my %old = map { $_ => 1 } $redis->call('KEYS', 'travel:l2:*')->@*;
        $kept = get($t, "/far?id=$id")->{content};
        return 0 if get($u, "/far?id=$id")->{cache} ne 'HIT';
        my ($key) = grep { !$old{$_} } $redis->call('KEYS', 'travel:l2:*')->@*;
        wait_for(sub { !$redis->call('KEYS', 'travel:l2lock:*')->@* }, 5,
            'the lock to go') or return 0;
        my $bytes = $redis->call('GET', $key);
        $redis->call('DEL', $key);
        $was = runs();
        $redis->call('CLIENT', 'PAUSE', 5000, 'WRITE');
        $holder->send('SET', $key, $bytes, 'PX', 60000);
        held_up(1);
        my $start = time;
        my $answer = later($u, "/far?id=$id");
        held_up(2);
        $redis->call('CLIENT', 'UNPAUSE');
        my $late = time - $start > 0.04;          # Redis is given 50 ms
        $holder->reply;
        $said = $answer->();
        return $said =~ /^200 HIT / || !$late;
    }, 30, 'Redis to answer in time') or return;
    is($said, "200 HIT $kept", 'what was stored in between is taken');
    is(runs(), $was, 'no second fill');
    wait_for(sub { !$redis->call('KEYS', 'travel:l2lock:*')->@* }, 1,
        'and the lock is let go');
};

subtest 'a fill that was overtaken is not joined' => sub {
    my $slow = later($t, '/value?id=30&s=0.8');
    sleep 0.3;
    set(30, 5);
    my ($a, $b) = (undef, undef);
    wait_for(sub { $a = get($u, '/value?id=30&s=0.8'); $a->{json}{v} == 5 }, 5,
        'the new value') or return;
    $slow->();
    is(get($_, '/value?id=30&s=0.8')->{json}{v}, 5, 'nor kept') for $t, $u;
};

subtest 'the worker that fills is killed' => sub {
    my @r = map { later($t, '/value?id=40&s=1') } 1 .. 8;
    sleep 0.4;
    my ($victim) = $t->children_of('nginx');
    kill 'KILL', $victim;
    my @said = map { $_->() } @r;
    my @ok = grep { /^200 / } @said;
    my @cut = grep { /^599 / } @said;
    is(@ok + @cut, 8, 'who was not cut off is answered') or diag("@said");
    wait_for(sub { my @c = $t->children_of('nginx'); @c >= 2 }, 5, 'a new one');
    hearing($t);
    my $start = time;
    is(get($t, '/value?id=40&s=1')->{status}, 200, 'and so is the next');
    cmp_ok(time - $start, '<', 5, 'without waiting for the dead');
};

subtest 'callers do not share' => sub {
    my $bad = 0;
    for my $round (1 .. 3) {
        my @r;
        for my $n (1 .. 8) {
            push @r, [$n, later($_, '/mine?s=0.2', $n)] for $t, $u;
        }
        for (@r) {
            my ($n, $r) = @$_;
            my ($s, $c, $b) = split ' ', $r->(), 3;
            $bad++ unless $s == 200 && json($b)->{me} eq $t->user($n);
        }
    }
    is($bad, 0, 'collapsed, from L1 and from L2: each his own');

    # the same while everything happens that can happen to a cache
    my $stop = $t->dir . '/stop';
    my @load;
    for my $n (1 .. 8) {
        my $pid = fork // die;
        if (!$pid) {
            my ($wrong, $i) = (0, 0);
            while (!-e $stop) {
                my $m = $i++ % 2 ? $n : $n % 4 + 1;      # shared with others
                my $r = eval { get($i % 3 ? $t : $u, '/mine', $m) } or next;
                $wrong++ if $r->{status} == 200
                    && ($r->{json}{me} // '') ne $t->user($m);
                $wrong++ if $r->{status} != 200 && $r->{status} != 599
                    && $r->{status} != 503;
            }
            POSIX::_exit($wrong > 250 ? 250 : $wrong);
        }
        push @load, $pid;
    }
    for my $round (1 .. 8) {
        purge($u, 'all=1') if $round % 2;
        $w->call('XADD', 'travel:inval', '*', 'tags', 'user:' . $t->user($round
            % 8 + 1), 'timeline', 1, 'lsn', lsn());
        kill 'KILL', ($t->children_of('nginx'))[0] if $round % 4 == 2;
        $t->reload if $round % 4 == 0;
        sleep 0.2;
    }
    $t->write('stop', '');
    my $wrong = 0;
    for (@load) { waitpid $_, 0; $wrong += $? >> 8 }
    is($wrong, 0, 'through purges, invalidations, reloads and kills');
    hearing($_) for $t, $u;
    shared();
    is(get($_, '/mine?s=0.2')->{status}, 401, 'nobody: none') for $t, $u;
};

# --- what is in Redis is not believed blindly --------------------------------

sub entries { grep { /^travel:l2:/ } $redis->call('KEYS', 'travel:l2:*')->@* }

subtest 'bytes that are not ours' => sub {
    $redis->call('DEL', $_) for entries();
    my $key = wait_for(sub { get($t, '/far?id=50'); (entries())[0] }, 5,
        'an entry') or return;
    my $good = $redis->call('GET', $key);
    (my $forged = $good) =~ s/"v" : 0/"v" : 7/;
    isnt($forged, $good, 'with a body that can be changed');
    my $bad = 0;
    my @try = ($forged, '', 'x', substr($good, 0, 100), $good . 'x',
        ('TRC2' . substr $good, 4), "\0" x length $good);
    for my $bytes (@try) {
        my $refused = l2($u, 'refused');
        wait_for(sub {
            $redis->call('SET', $key, $bytes);
            my $r = get($u, '/far?id=50');
            $bad++ if $r->{status} != 200 || $r->{json}{v} != 0
                || $r->{json}{id} != 50;
            return l2($u, 'refused') > $refused;
        }, 5, 'a refusal');
    }
    is($bad, 0, 'are as if they were not there');
    # another key's answer, whole and signed, under this key
    my $other = wait_for(sub { get($t, '/far?id=51');
        (grep { $_ ne $key } entries())[0] }, 5, 'another') or return;
    my $bytes = $redis->call('GET', $other);
    my $refused = l2($u, 'refused');
    wait_for(sub {
        $redis->call('SET', $key, $bytes);
        $bad++ if get($u, '/far?id=50')->{json}{id} != 50;
        return l2($u, 'refused') > $refused;
    }, 5, 'a refusal');
    is($bad, 0, 'nor is another key\'s answer');
    ok(wait_for(sub { $redis->call('SET', $key, $good);
        get($u, '/far?id=50')->{cache} eq 'HIT' }, 5, 'a hit'),
        'the entry itself is');
};

subtest 'an entry this node cannot judge' => sub {
    wait_for(sub { get($t, '/far?id=60'); get($u, '/far?id=60')->{cache} eq
        'HIT' }, 5, 'an entry');
    # a node that starts now has not followed the stream since
    $u->stop;
    $u->start_again;
    hearing($u);
    is(get($u, '/far?id=60')->{cache}, 'MISS', 'from before it began');
    shared();
};

# --- purges ------------------------------------------------------------------

sub purge {
    my ($node, $args, %o) = @_;
    my $r = HTTP::Tiny->new(timeout => 20)->post($node->url
        . ($o{path} // '/purge') . "?$args", { headers => { $o{none} ? ()
        : (authorization => 'Bearer ' . ($o{token} // $admin)) } });
    $r->{json} = eval { json($r->{content}) } // {};
    return $r;
}
# In L1 of both nodes.
sub warm {
    for my $path (@_) {
        for my $node ($t, $u) {
            wait_for(sub { get($node, $path)->{cache} eq 'HIT' }, 10,
                "$path: a hit");
        }
    }
}
# On every node, soon: what was asked for is filled anew.
sub gone {
    my ($path, $what, $run) = @_;
    for my $node ($t, $u) {
        ok(wait_for(sub { get($node, $path)->{json}{run} ne $run }, 5, $path),
            "$what: node " . ($node == $t ? 1 : 2));
    }
}
sub run_of { get($t, $_[0])->{json}{run} }

subtest 'a purge reaches L1 and L2 of every node' => sub {
    for (['tag=value:100', '/value?id=100', 'by tag'],
        ['route=t.value&value=100', '/value?id=100', 'by route and values'],
        ['route=t.value', '/value?id=100', 'by route'],
        ['prefix=t.val', '/value?id=100', 'by prefix'],
        ['all=1', '/value?id=100', 'all'])
    {
        my ($args, $path, $what) = @$_;
        warm($path, '/value?id=101');
        my ($run, $other) = map { run_of($_) } $path, '/value?id=101';
        my $was = metric($t, 'travel_cache_purged_entries_total');
        my $r = purge($t, $args);
        is($r->{status}, 200, "$what: done") or diag($r->{content});
        cmp_ok($r->{json}{dropped}, '>=', 1, 'with what it took');
        is(metric($t, 'travel_cache_purged_entries_total'),
            $was + $r->{json}{dropped}, 'counted');
        isnt(run_of($path), $run, 'at once where it was asked');
        gone($path, $what, $run);
        is(run_of('/value?id=101'), $other, 'and nothing else')
            if $args =~ /100/;
    }
    is(purge($t, 'tag=no:such')->{json}{dropped}, 0, 'nothing: none');
};

subtest 'within 100 ms' => sub {
    my @took;
    for my $n (1 .. 10) {
        warm("/value?id=110");
        my $run = run_of('/value?id=110');
        purge($t, 'tag=value:110');
        my $start = time;
        sleep 0.002 while get($u, '/value?id=110')->{json}{run} eq $run
            && time < $start + 5;
        push @took, time - $start;
    }
    my $median = (sort { $a <=> $b } @took)[5];
    cmp_ok($median, '<', 0.1, "the other node, median ($median)");
};

subtest 'a fill under way is not kept' => sub {
    my $slow = later($t, '/value?id=120&s=0.8');
    sleep 0.3;
    purge($u, 'tag=value:120');
    my ($run) = $slow->() =~ /"run" : "([^"]+)"/;
    ok($run, 'it is answered');
    isnt(get($_, '/value?id=120&s=0.8')->{json}{run}, $run, 'and forgotten')
        for $t, $u;
};

subtest 'soft: old answers stand in until they are renewed' => sub {
    warm('/old?id=130&s=0.5');
    my $run = run_of('/old?id=130&s=0.5');
    is(purge($u, 'tag=value:130&soft=1')->{json}{dropped}, 1, 'one entry');
    ok(wait_for(sub { get($u, '/old?id=130&s=0.5')->{json}{run} ne $run }, 5,
        'the new one'), 'renewed');
};

subtest 'who may purge' => sub {
    is(purge($t, 'all=1', none => 1)->{status}, 401, 'nobody may');
    my $r = purge($t, 'all=1', token => $t->user_token(1));
    is($r->{status}, 403, 'nor may a caller without the permission');
    is(purge($t, 'all=1', path => '/sweep')->{status}, 403, 'or with another');
    is(purge($t, 'all=1', path => '/sweep', token => $t->token(
        sub => $t->user(1), permissions => 'cache:sweep'))->{status}, 200,
        'the location says which');
    is(get($t, '/purge?all=1')->{status}, 405, 'nor by GET');
    for my $bad ('', 'all=2', 'tag=', 'tag=a&prefix=b', 'value=1', 'x=1', 'tag',
        'all=1&soft=2', 'tag=' . 'x' x 2000)
    {
        is(purge($t, $bad)->{status}, 400, substr "bad: $bad", 0, 30);
    }
};

subtest 'by travelctl' => sub {
    my $ctl = sub { $t->run(Travel::Test::build() . '/travelctl', 'cache',
        'purge', '--url', $t->url . '/purge', @_) };
    for (['--tag', 'value:100'], ['--route', 't.value', 100],
        ['--prefix', 't.value'], ['--all'])
    {
        warm('/value?id=100');
        my $run = run_of('/value?id=100');
        my ($rc, $out) = $ctl->(@$_);
        is($rc, 0, "@$_") or diag $out;
        like($out, qr/^\d+-\d+ dropped [1-9]\d* on the node asked$/, 'and what it took');
        gone('/value?id=100', "@$_", $run);
    }
    my ($rc, $out) = $ctl->('--tag', 'no such&all=1');
    like($out, qr/ dropped 0 /, 'a value is no parameter of its own');
    ($rc, $out) = $ctl->('--all', '--url', $t->url . '/sweep');
    is($rc, 1, 'refused: exit 1');
    like($out, qr/answers 403: The permission "cache:sweep" is missing/, 'and why');
    is(($ctl->('--all', '--url', $t->url . '/sweep', '--permission',
        'cache:sweep'))[0], 0, 'unless that permission is given');
    is(($ctl->('--all', '--url', 'http://127.0.0.1:1/'))[0], 2, 'nobody there: exit 2');
    is(($ctl->(@$_))[0], 2, "travelctl cache purge @$_: exit 2")
        for [], ['--tag', 'a', '--all'], ['--tag', 'a', 'b'];
};

subtest 'the worker that carries it out is killed' => sub {
    for my $n (1 .. 4) {
        warm('/value?id=140');
        my $run = run_of('/value?id=140');
        my $r = purge($t, 'tag=value:140');
        kill 'KILL', $t->children_of('nginx');
        wait_for(sub { get($t, '/health')->{status} == 200 }, 5, 'new workers');
        isnt(run_of('/value?id=140'), $run, 'and done all the same')
            if $r->{status} == 200;
        hearing($t);
    }
    shared();
};

subtest 'time' => sub {
    wait_for(sub { get($t, '/brief?id=70'); get($u, '/brief?id=70')->{cache} eq
        'HIT' }, 5, 'a hit');
    sleep 1.1;
    is(get($u, '/brief?id=70')->{cache}, 'MISS', 'over, by the fill\'s clock');
};

subtest 'without Redis there is no L2, and nothing else is missing' => sub {
    get($_, '/value?id=80') for $t, $u;
    $t->freeze('cache');
    my $start = time;
    is(get($t, '/value?id=81')->{status}, 200, 'frozen: answered');
    cmp_ok(time - $start, '<', 2, 'soon');
    is(get($u, '/value?id=80')->{cache}, 'HIT', 'L1 serves');
    is(purge($t, 'all=1')->{status}, 503, 'a purge is not promised');
    $t->unfreeze('cache');
    $t->kill_part('cache');
    is(get($t, '/value?id=' . (82 + $_))->{status}, 200, 'gone: answered')
        for 1 .. 3;
    $t->start_part('cache');
    shared();
};

subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    my $try = sub {
        (my $c = $conf) =~ s{travel_cache 60s l1=off l2=on;}{$_[0]};
        $t->write('try.conf', $c);
        return $t->nginx_t('try.conf');
    };
    for (['travel_cache 60s l1=off;', qr/keeps nothing with l1=off/],
        ['travel_cache 60s l2=maybe;', qr/"l2=maybe" must be "on" or "off"/],
        ['travel_cache 60s l3=on;', qr/"l3=on" must be one of stale=, tags=, l1= or l2=/])
    {
        my ($rc, $out) = $try->($_->[0]);
        isnt($rc, 0, "refused: $_->[0]");
        like($out, $_->[1], '  with a reason');
    }
    for (['travel_purge now;', qr/"now" must be permission=/],
        ['travel_purge permission=;', qr/"permission=" needs a value/])
    {
        (my $c = $conf) =~ s/travel_purge permission=cache:sweep;/$_->[0]/;
        $t->write('try.conf', $c);
        my ($rc, $out) = $t->nginx_t('try.conf');
        isnt($rc, 0, "refused: $_->[0]");
        like($out, $_->[1], '  with a reason');
    }
    my ($rc, $out) = $try->('travel_cache 60s l1=on l2=off stale=1s;');
    is($rc, 0, 'both said') or diag($out);
};

kill 'TERM', $beat;
waitpid $beat, 0;
$t->finish;
done_testing();
