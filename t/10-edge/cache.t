# Cached answers: shared by nginx's workers, never by callers; gone with their
# tags, their time, or the room they took.  The test plays the worker: it
# commits, then tells the invalidation stream, whose heartbeat it keeps up.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $CONF = <<'END';
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_postgres replica "host=@PG_REPLICA_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2 max_lag=60s;
    travel_catalog  @RUN@/catalog;
    travel_zone     cache 2m shards=2;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main audience=travel;
        add_header X-Server $travel_server always;
        add_header X-Cache  $travel_cache_status always;
        add_header X-Pid    $pid always;
        location = /health { return 200; }
        location = /metrics { travel_metrics; }
        location = /value { travel_query GET t.value; travel_cache 60s; }
        location = /extra {
            travel_query GET t.value;
            travel_cache 60s "tags=extra:$arg_id other";
        }
        location = /mine { travel_query GET t.mine; travel_cache 60s; }
        location = /short { travel_query GET t.value; travel_cache 500ms stale=60s; }
        location = /brief { travel_query GET t.value; travel_cache 300ms; }
        location = /off { travel_query GET t.value; travel_cache off; }
    }
END

my %QUERY = (
    value => "-- \@public\n-- \@returns one\n-- \@timeout 10s\n"
        . "-- \@param id int = 0\n"
        . "-- \@param s number = 0\n-- \@param pad int = 0\n-- \@tags value:{id}\n"
        . "SELECT json_build_object('v', v, 'id', :id, 'pad', repeat('x', :pad),"
        . " 's', pg_sleep(:s)::text)::text"
        . " FROM travel.cache_test WHERE id = mod(:id, 10)",
    mine => "-- \@returns one\n-- \@tags user:{viewer}\n"
        . "SELECT json_build_object('me', :viewer)::text",
);

my $t = Travel::Test->new(parts => 'postgres replica queue nginx',
    http => $CONF, allow_log => qr/exited on signal 9/);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write("catalog/queries/t.$_.sql", $QUERY{$_}) for keys %QUERY;
$t->launch;
$t->sql('CREATE TABLE travel.cache_test (id int PRIMARY KEY, v int);'
    . 'INSERT INTO travel.cache_test SELECT n, 0 FROM generate_series(0, 9) n;'
    . 'GRANT SELECT ON travel.cache_test TO travel_edge');

# --- the worker's part -------------------------------------------------------

my $w = $t->redis('queue', 'worker');
sub lsn { scalar $t->sql('SELECT pg_current_wal_flush_lsn()', role => 'postgres') }

my $beat;
sub beat {
    # asked for once: a client of PostgreSQL takes a second to start on a
    # machine that stalls, and a second without a beat is silence
    my $lsn = lsn();
    $beat = fork // die;
    return if $beat;
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
sub silence { kill 'TERM', $beat; waitpid $beat, 0 }

sub set {
    my ($id, $v) = @_;
    return $t->sql("WITH u AS (UPDATE travel.cache_test SET v = $v "
        . "WHERE id = $id) SELECT 1") && lsn();
}
sub announce { my ($tags, $lsn, $timeline) = @_;
    $w->call('XADD', 'travel:inval', '*', 'tags', $tags, 'timeline',
        $timeline // 1, 'lsn', $lsn) }

# --- the client's ------------------------------------------------------------

# A new connection each: any of nginx's workers may answer.
sub get {
    my ($path, $n) = @_;
    my $r = HTTP::Tiny->new(timeout => 20)->get($t->url . $path, { headers => {
        defined $n ? (authorization => 'Bearer ' . $t->user_token($n)) : () } });
    $r->{json} = eval { json($r->{content}) };
    $r->{cache} = $r->{headers}{'x-cache'} // '';
    return $r;
}
sub v { get('/value?id=' . ($_[0] // 0))->{json}{v} }

# In a child, so that others can ask meanwhile; returns a sub that waits.
sub later {
    my ($path) = @_;
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) {
        my $r = get($path);
        syswrite $out, "$r->{status} $r->{cache} $r->{content}";
        POSIX::_exit(0);
    }
    close $out;
    return sub { my $s = do { local $/; <$in> }; waitpid $pid, 0; $s };
}

sub metric {
    my ($name) = @_;
    my ($n) = get('/metrics')->{content} =~ /^\Q$name\E (\S+)$/m;
    return $n // die "no metric $name\n";
}
sub counted { metric(qq(travel_cache_total{result="$_[0]"})) }
sub hearing { wait_for(sub { metric('travel_invalidation_hearing') == 1 }, 10,
    'the stream to be heard') }
# Filled, and there for all.
sub warm { my ($path) = @_;
    wait_for(sub { get($path)->{cache} eq 'HIT' }, 10, "$path: a hit") }

beat();
hearing();

subtest 'shared by nginx\'s workers' => sub {
    my (%pid, %cache);
    for (1 .. 200) {
        my $r = get('/value');
        $pid{ $r->{headers}{'x-pid'} }++;
        $cache{ $r->{cache} }++;
        last if $_ > 20 && keys %pid > 1;
    }
    is(scalar keys %pid, 2, 'both workers answered');
    is($cache{MISS}, 1, 'one fill');
    is(join(' ', sort keys %cache), 'HIT MISS', 'hits otherwise');
    is(get('/off')->{cache}, '', 'off is off');
    like(get('/value')->{headers}{age}, qr/^\d+$/, 'a hit has its age');
    is(get('/off')->{headers}{age}, undef, 'an answer has none');
};

subtest 'callers do not share' => sub {
    for my $n (1 .. 3, 1 .. 3) {
        is(get('/mine', $n)->{json}{me}, $t->user($n), "user $n: his own");
    }
    is(get('/mine', 2)->{cache}, 'HIT', 'from the cache');
    my %seen = map { get("/value?id=$_")->{json}{id} => 1 } 1 .. 9, 1 .. 9;
    is(scalar keys %seen, 9, 'nor do parameters');
    is(get('/value?id=1&pad=2')->{json}{pad}, 'xx', 'any of them');
};

subtest 'a commit is seen, and what it overwrote is not' => sub {
    my ($old, $slow) = (0, 0);
    for my $round (1 .. 40) {
        warm('/value?id=3') if $round % 4 == 0;
        announce('none value:3 also', set(3, $round));
        my $start = time;
        wait_for(sub { v(3) == $round }, 5, "round $round") or last;
        $slow++ if time - $start > 0.25;
        $old += grep { v(3) != $round } 1 .. 4;
    }
    is($old, 0, 'never again');
    cmp_ok($slow, '<', 5, 'and soon');
    is(get('/value?id=4')->{cache}, 'HIT', 'another tag is not touched');
    warm('/extra?id=4');
    announce('extra:4', lsn());
    wait_for(sub { get('/extra?id=4')->{cache} eq 'MISS' }, 5,
        'a tag of the directive');
    warm('/extra?id=4');
    announce('value:4', lsn());
    wait_for(sub { get('/extra?id=4')->{cache} eq 'MISS' }, 5,
        'and the query\'s own');
};

subtest 'a fill that was overtaken' => sub {
    my $kept = metric('travel_cache_fills_total{result="refused"}');
    set(5, 1);
    my $slow = later('/value?id=5&s=2');
    sleep 0.3;
    announce('value:5', set(5, 2));
    like($slow->(), qr/"v" : 1/, 'it read what was there when it began');
    cmp_ok(metric('travel_cache_fills_total{result="refused"}'), '>', $kept,
        'and is not kept');
    my $r = get('/value?id=5&s=2');
    is($r->{json}{v}, 2, 'nor served');
    is($r->{cache}, 'MISS', 'to anybody');
};

subtest 'a replica that is behind' => sub {
    wait_for(sub { get('/off')->{headers}{'x-server'} eq 'replica-1' }, 10,
        'the replica');
    warm('/value?id=6');
    $t->sql('SELECT pg_wal_replay_pause()', on => 'replica', role => 'postgres');
    announce('value:6', set(6, 7));
    wait_for(sub { get('/value?id=6')->{cache} eq 'MISS' }, 5, 'a miss');
    my $r = get('/value?id=6');
    is($r->{json}{v}, 7, 'cannot bring back the old');
    is($r->{cache}, 'HIT', 'and the new is kept');
    is(get('/off?id=6')->{json}{v}, 0, 'which the replica still has');
    is(get('/value?id=16')->{headers}{'x-server'}, 'replica-1',
        'other tags are filled from it');
    $t->sql('SELECT pg_wal_replay_resume()', on => 'replica', role => 'postgres');
};

subtest 'time' => sub {
    warm('/brief');
    sleep 0.35;
    is(get('/brief')->{cache}, 'MISS', 'over');
    warm('/short?s=0.3');
    sleep 0.6;
    my @slow = map { later('/short?s=0.3') } 1 .. 8;
    my %seen;
    $seen{ (split ' ', $_->())[1] }++ for @slow;
    is($seen{MISS} // 0, 0, 'nobody waits for what has just expired');
    cmp_ok($seen{STALE} // 0, '>=', 1, 'it stands in');
    wait_for(sub { get('/short?s=0.3')->{cache} eq 'HIT' }, 5,
        'it is renewed behind the client\'s back');
    # one connection: the renewal does not harm the next request on it
    my $http = HTTP::Tiny->new(keep_alive => 1, timeout => 20);
    sleep 0.6;
    my @c = map { my $r = $http->get($t->url . '/short?s=0.1');
        "$r->{status} $r->{headers}{'x-cache'}" } 1 .. 3;
    like(join(', ', @c), qr/^200 (?:STALE|MISS)(?:, 200 (?:HIT|STALE|MISS)){2}$/,
        'a kept connection goes on');
    # the client hangs up after the stale answer: the next finds it renewed
    sleep 0.6;
    get('/short?s=0.1');
    wait_for(sub { get('/short?s=0.1')->{cache} eq 'HIT' }, 5, 'renewed');
};

subtest 'hit ratio by query' => sub {
    my $count = sub { metric('travel_cache_requests_total'
        . qq({route="t.value",result="$_[0]"})) };
    warm('/value?id=8');
    my ($hit, $miss) = ($count->('hit'), $count->('miss'));
    get('/value?id=8') for 1 .. 3;
    cmp_ok($count->('hit'), '>=', $hit + 2, 'hits');
    my $mine = metric('travel_cache_requests_total'
        . '{route="t.mine",result="hit"}');
    get('/value?id=8&pad=' . $$ % 1000);
    is($count->('miss'), $miss + 1, 'a miss');
    is(metric('travel_cache_requests_total{route="t.mine",result="hit"}'),
        $mine, 'each query for itself');
    cmp_ok($count->('stale'), '>=', 1, 'stale ones');
};

subtest 'validators, HEAD, ranges' => sub {
    warm('/value?id=8');
    my $full = get('/value?id=8');
    my $etag = $full->{headers}{etag};
    like($etag, qr/^"[0-9a-f]{32}"$/, 'a strong validator');
    my $ask = sub { HTTP::Tiny->new(timeout => 20)->request($_[0],
        $t->url . '/value?id=8', { headers => $_[1] }) };
    for ([$etag], ["W/$etag", 'compared weakly'],
        [qq("a", $etag, "b"), 'in a list'], [qq("a,b" , W/$etag), 'in any'],
        ['*', 'any at all'])
    {
        my $r = $ask->('GET', { 'if-none-match' => $_->[0] });
        is($r->{status}, 304, 'If-None-Match: ' . ($_->[1] // 'it'));
        is($r->{content} // '', '', '  without a body');
        is($r->{headers}{etag}, $etag, '  with the validator');
        like($r->{headers}{'cache-control'} // '', qr/no-cache/,
            '  and Cache-Control');
    }
    is($ask->('GET', { 'if-none-match' => '"' . 'f' x 32 . '"' })->{status},
        200, 'another: the answer');
    my $head = $ask->('HEAD', {});
    is($head->{status}, 200, 'HEAD');
    is($head->{content} // '', '', '  has no body');
    is($head->{headers}{$_}, $full->{headers}{$_}, "  the same $_")
        for qw(etag content-length content-type);
    is($ask->('HEAD', { 'if-none-match' => $etag })->{status}, 304,
        'HEAD with If-None-Match');
};

subtest 'whose fill dies' => sub {
    $t->raw("GET /value?id=7&s=0.5 HTTP/1.1\r\nHost: x\r\n\r\n", hang_up => 1)
        for 1 .. 2;
    my @r = map { later('/value?id=7&s=0.5') } 1 .. 6;
    is(scalar(grep { $_->() =~ /^200 / } @r), 6, 'is carried on by another');
};

subtest 'too big, too many' => sub {
    # the zone has 2 MB, and one answer at most an eighth of them
    get('/value?pad=270000') for 1 .. 2;
    is(get('/value?pad=270000')->{cache}, 'MISS', 'too big to be kept');
    warm('/value?id=9&pad=250000');
    like(get('/value?id=9&pad=250000')->{content}, qr/"x{50000}x{50000}x{50000}x{50000}x{50000}"/, 'in parts');
    warm('/value?id=8&pad=9000');
    my $http = HTTP::Tiny->new(keep_alive => 1, timeout => 20);
    my ($bad, $lost, @took) = (0, 0);
    for my $n (1 .. 4000) {
        my $start = time;
        my $r = $http->get($t->url . '/value?id=' . ($n + 1000) . '&pad=900');
        push @took, time - $start;
        $bad++ if $r->{status} != 200;
        if ($n % 20 == 0) {
            my $hot = $http->get($t->url . '/value?id=8&pad=9000');
            $lost++ if $hot->{headers}{'x-cache'} ne 'HIT';
        }
    }
    is($bad, 0, 'a flood of keys: all answered');
    cmp_ok(metric('travel_cache_evicted_total'), '>', 1000, 'by eviction');
    cmp_ok($lost, '<=', 3, 'what is asked for stays');
    # a machine that stalls does so now and then, an eviction each time
    my $slow = grep { $_ > 0.2 } @took;
    cmp_ok($slow, '<', 20, "nobody waits for it ($slow did)");
    cmp_ok(metric('travel_cache_used_bytes'), '<=',
        metric('travel_cache_size_bytes'), 'within its bounds');
    warm('/value?id=8&pad=100000');
};

subtest 'silence' => sub {
    warm('/value');
    my $hits = counted('hit');
    silence();
    sleep 1.3;
    my @r = map { get('/value') } 1 .. 5;
    is(join(' ', map { $_->{cache} } @r), 'MISS MISS MISS MISS MISS',
        'nothing heard: nothing served');
    is(metric('travel_invalidation_hearing'), 0, 'and said');
    is(counted('hit'), $hits, 'and counted');
    beat();
    hearing();
    warm('/value');
};

subtest 'a new timeline' => sub {
    warm('/value');
    set(0, 70);
    # no tag is named: the caches are emptied all the same
    $w->call('XADD', 'travel:inval', '*', 'hb', 1, 'timeline', 2, 'lsn', lsn());
    ok(wait_for(sub { v(0) == 70 }, 5, 'the new value'), 'empties the cache');
    # what comes later of the old one neither lowers nor settles anything
    announce('value:9', lsn(), 1);
    is(get('/value?id=9')->{status}, 200, 'reads go on');
};

# back to timeline 1, as a node that was started anew
$t->restart_part('nginx');
hearing();

subtest 'reload and crash keep what is known' => sub {
    set(2, 2);
    announce('value:2', lsn());
    sleep 0.2;
    warm('/value?id=2');
    my $gaps = metric('travel_invalidation_gaps_total');
    $t->reload for 1 .. 3;
    my %seen = map { get('/value?id=2')->{cache} => 1 } 1 .. 20;
    is(join(' ', keys %seen), 'HIT', 'reload');
    $t->kill_child('nginx');
    sleep 0.2;
    wait_for(sub { my @c = $t->children_of('nginx'); @c >= 2 }, 5, 'a new one');
    %seen = map { get('/value?id=2')->{cache} => 1 } 1 .. 20;
    is(join(' ', keys %seen), 'HIT', 'kill -9');
    is(metric('travel_invalidation_gaps_total'), $gaps, 'without a gap');
    $t->write('catalog/queries/t.value.sql', $QUERY{value} =~ s/'v'/'value'/r);
    $t->reload;
    # the old workers take what connections they had
    ok(wait_for(sub { defined get('/value?id=2')->{json}{value} }, 5,
        'the new shape'), 'but not for a query that changed');
    $t->write('catalog/queries/t.value.sql', $QUERY{value});
    $t->reload;
    wait_for(sub { defined v(2) }, 5, 'the old shape');
    announce('value:2', set(2, 22));
    wait_for(sub { v(2) == 22 }, 5, 'the next commit');
};

subtest 'workers that die at work' => sub {
    my @load = map {
        my $pid = fork // die;
        if (!$pid) {
            my ($end, $bad) = (time + 6, 0);
            my @seen = [0, 0];
            while (time < $end) {
                my $r = eval { get('/value?id=9') };
                next if !$r || $r->{status} != 200;      # its worker died
                # never back to what was overwritten a second ago: while the
                # table of tags fills again, reads are as old as a replica
                shift @seen while @seen > 1 && $seen[1][0] < time - 1;
                $bad++ if $r->{json}{v} < $seen[0][1];
                push @seen, [time, $r->{json}{v}];
            }
            POSIX::_exit($bad > 250 ? 250 : $bad);
        }
        $pid;
    } 1 .. 3;
    my $round = 0;
    my $end = time + 5.5;
    while (time < $end) {
        $t->kill_child('nginx') if $round % 2;
        announce('value:9', set(9, ++$round));
        sleep 0.15;
    }
    my $back = 0;
    for (@load) { waitpid $_, 0; $back += $? >> 8 }
    is($back, 0, 'nobody is taken back in time');
    wait_for(sub { v(9) == $round }, 5, 'the last commit');
    hearing();
};

subtest 'a gap' => sub {
    warm('/value?id=1');
    my $gaps = metric('travel_invalidation_gaps_total');
    $t->freeze('nginx');
    my $frozen = time;
    announce('value:1', set(1, 11));
    announce("filler:$_", lsn()) for 1 .. 20;
    # the server drops who does not read, and trims what they have not read
    $t->redis('queue')->call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $t->redis('queue')->call('XTRIM', 'travel:inval', 'MAXLEN', '=', 2);
    # An answer may be as old as the silence a node allows itself: only who
    # has slept longer than that second owes the new one from the start.
    sleep 0.05 while time < $frozen + 1.1;
    $t->unfreeze('nginx');
    my @v = map { sleep 0.05; v(1) } 1 .. 40;
    is(scalar(grep { $_ == 11 } @v), 40, 'no answer from before it');
    cmp_ok(metric('travel_invalidation_gaps_total'), '>', $gaps, 'it is counted');
    hearing();
    warm('/value?id=1');
};

subtest 'a stream that begins anew, with lower ids' => sub {
    warm('/value?id=1');
    set(1, 0);
    silence();
    $t->kill_part('queue');
    unlink glob $t->dir . "/redis-queue/$_" for 'appendonlydir/*', '*.rdb';
    $t->start_part('queue');
    $w = $t->redis('queue', 'worker');
    my $ms = 1_000_000;
    my $hb = sub { $w->call('XADD', 'travel:inval', ($ms += 250) . '-0', 'hb', 1,
        'timeline', 1, 'lsn', lsn()) };
    my $old = 0;
    for (1 .. 12) { $hb->(); sleep 0.2; $old++ if v(1) == 11 }
    is($old, 0, 'nothing from before');
    ok(wait_for(sub { $hb->(); get('/value?id=1')->{cache} eq 'HIT' }, 5,
        'a hit'), 'answers are kept again');
    set(1, 12);
    $w->call('XADD', 'travel:inval', ($ms += 10) . '-0', 'tags', 'value:1',
        'timeline', 1, 'lsn', lsn());
    wait_for(sub { $hb->(); v(1) == 12 }, 5, 'and lower ids invalidate');
    is(scalar(grep { v(1) != 12 } 1 .. 20), 0, 'in every worker');
};

subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    my $try = sub {
        (my $c = $conf) =~ s{travel_cache off;}{$_[0]};
        $t->write('try.conf', $c);
        return $t->nginx_t('try.conf');
    };
    my @no = (['travel_cache 0s;', qr/from 1ms to 30d/],
        ['travel_cache 31d;', qr/from 1ms to 30d/],
        ['travel_cache;', qr/invalid number/],
        ['travel_cache off stale=1s;', qr/after "off"/],
        ['travel_cache 1s stale=x;', qr/"stale=x" must be a time from 0 to 30d/],
        ['travel_cache 1s tag=a;', qr/"tag=a" must be one of stale=, tags=, l1= or l2=/],
        ['travel_cache 1s; travel_cache 2s;', qr/is duplicate/],
        ['travel_cache 1s tags=$no_such;', qr/unknown "no_such" variable/]);
    for (@no) {
        my ($rc, $out) = $try->($_->[0]);
        isnt($rc, 0, "refused: $_->[0]");
        like($out, $_->[1], '  with a reason');
    }
    my ($rc, $out) = $try->('travel_cache 30d stale=30d "tags=a b:$arg_b";');
    is($rc, 0, 'the longest') or diag($out);
};

subtest 'without a queue' => sub {
    $t->write('nginx.conf', slurp($t->dir . '/nginx.conf')
        =~ s/travel_redis [^;]*;//r);
    $t->reload;
    wait_for(sub { get('/metrics')->{content} =~ /^travel_redis_up\S*queue\S+ 0$/m
        && get('/brief?id=1')->{cache} eq 'HIT' }, 10, 'a hit by time alone');
    sleep 0.35;
    is(get('/brief?id=1')->{cache}, 'MISS', 'until its time is over');
    set(2, 99);
    is(get('/value?id=2')->{json}{v}, 99, 'nothing of what the stream ruled');
};

silence() if kill 0, $beat;
$t->finish;
done_testing();
