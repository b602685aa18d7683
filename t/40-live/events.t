# Topics by HTTP alone: event streams and polls.  The same rules, order, gaps
# and ends as over a socket.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Events;
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'queue cache nginx',
    ngx_workers => 2,
    allow_5xx   => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{
            location = /live {
                travel_auth optional jwks=main audience=travel leeway=0s;
                travel_live_allow journey all;
                travel_live topics topics=4 queue=8k heartbeat=400ms close=1s
                            retry=750ms poll=5s; }
            location = /calm {
                travel_auth required jwks=main audience=travel;
                travel_live topics origins=https://app.example.com; }};
    },
);

my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my ($ua, $ub) = map { $t->user($_) } 1, 2;
my $c = $t->redis('cache');
my $script = $t->live_script;

sub publish {
    my ($topic, $n, %o) = @_;
    return $c->call('EVAL', $script, 1, "travel:live:$topic",
        sprintf("{\"type\":\"test\",\n\"data\":{\"n\":%d%s}}", $n,
            $o{fill} ? ',"fill":"' . 'x' x $o{fill} . '"' : ''),
        $o{keep} // 256, 60000);
}

# A stream that is on: what came first is looked at, and left out.
sub stream {
    my ($topics, %o) = @_;
    my $cursor = $o{cursor} ? "&cursor=$o{cursor}" : '';
    my $e = Travel::Events->open($t, '/live?topic=' . join(',', @$topics)
        . $cursor, token => $alice, %o);
    is($e->status, 200, 'a stream') or return $e;
    is(($e->next || {})->{retry}, 750, 'retry');
    my %cursor;
    for (@$topics) {
        my $ev = $e->next;
        is($ev->{event}, 'subscribed', 'subscribed');
        $cursor{$ev->{data}{topic}} = $ev->{data}{cursor};
    }
    $e->{cursor} = \%cursor;
    return $e;
}

sub numbers {
    my ($e, $n) = @_;
    return map { my $m = $e->next; $m ? $m->{data}{message}{data}{n}
        // $m->{event} : 'nothing' } 1 .. $n;
}

subtest 'a stream' => sub {
    my $topic = "user:$ua:events";
    my $e = stream([$topic]);
    is($e->header('content-type'), 'text/event-stream', 'its type');
    is($e->header('cache-control'), 'no-store', 'never kept');
    is($e->header('x-accel-buffering'), 'no', 'nor held back');
    my $id = publish($topic, 1);
    my $m = $e->next;
    is_deeply($m, { id => $id, data => { type => 'message', topic => $topic,
        cursor => $id, message => { type => 'test', data => { n => 1 } } } },
        'a message, in one line, its id the cursor');
    publish($topic, $_) for 2 .. 20;
    is_deeply([numbers($e, 19)], [2 .. 20], 'in order');
    ok(!$e->next(1.1), 'nothing happens');
    cmp_ok($e->comments, '>=', 1, 'but comments show life');

    my $again = stream([$topic], headers => { 'Last-Event-ID' => $id });
    is_deeply([numbers($again, 19)], [2 .. 20], 'Last-Event-ID: the rest');
    $again = stream([$topic], cursor => $id);
    is_deeply([numbers($again, 19)], [2 .. 20], 'cursor=: the rest');
    $again = stream([$topic], headers => { 'Last-Event-ID' => 'rubbish' });
    my $gap = $again->next;
    is($gap->{event}, 'gap', 'an id that is none');
    is($gap->{data}{missed}, undef, '... is a gap');

    publish($topic, $_, keep => 5) for 21 .. 40;
    $again = stream([$topic], headers => { 'Last-Event-ID' => $id });
    $gap = $again->next;
    is("$gap->{event} $gap->{data}{missed}", 'gap 34', 'a gap is counted');
    is_deeply([numbers($again, 5)], [36 .. 40], 'the rest comes');
};

subtest 'several topics' => sub {
    my @topic = ("user:$ua:insights", "user:$ua:predictions",
        'system:announcements');
    my $e = stream(\@topic);
    publish($topic[0], 1);
    my $m = $e->next;
    my @id = split /,/, $m->{id};
    is(scalar @id, 3, 'an id of three cursors');
    like($id[0], qr/-1$/, 'the first topic has moved');
    publish($topic[1], 2);
    $m = $e->next;
    is($m->{data}{topic}, $topic[1], 'the second');
    publish($topic[$_], 10 + $_) for 0 .. 2;
    my $again = stream(\@topic, headers => { 'Last-Event-ID' => $m->{id} });
    my %got = map { my $x = $again->next; $x->{data}{topic} =>
        $x->{data}{message}{data}{n} } 1 .. 3;
    is_deeply(\%got, { map { $topic[$_] => 10 + $_ } 0 .. 2 },
        'each goes on from its own place');
};

subtest 'who may, what is no request' => sub {
    for my $case (["user:$ub:events", 403], ['x', 404], ['', 404],
        ["user:$ua:events,x", 404], ["job:*", 404],
        ['journey:*', 403], [join(',', map { "user:$ua:$_" }
            qw(events insights predictions notifications x)), 429],
        ["user:$ua:events,user:$ua:events", 422],
        ["user:$ua:events&cursor=x", 422])
    {
        my $e = Travel::Events->open($t, "/live?topic=$case->[0]",
            token => $alice);
        is($e->status, $case->[1], "stream of $case->[0]");
    }
    is($t->get("/live?topic=user:$ub:events", token => $alice)->{status}, 403,
        'poll of a stranger\'s');
    is($t->get("/live?topic=user:$ua:events&cursor=x", token => $alice)
        ->{status}, 422, 'poll: a cursor that is none');
    is($t->get("/live?topic=user:$ua:events&wait=x", token => $alice)
        ->{status}, 422, 'poll: a time that is none');
    is($t->get('/live', token => $alice)->{status}, 426,
        'without a topic it is a socket');
    is(Travel::Events->open($t, '/live?topic=system:announcements')->status,
        200, 'anonymous: announcements');
    is(Travel::Events->open($t, "/live?topic=user:$ua:events")->status, 403,
        'anonymous: no more');
    is(Travel::Events->open($t, '/calm?topic=system:announcements')->status,
        401, 'the location\'s own rules come first');
    is(Travel::Events->open($t, '/calm?topic=system:announcements',
        token => $alice, headers => { Origin => 'https://evil.example' })
        ->status, 403, 'a page of a stranger');
    is(Travel::Events->open($t, "/live?topic=user:$ua:events", token => $alice,
        method => 'HEAD')->status, 200, 'HEAD');
};

subtest 'poll' => sub {
    my $topic = "user:$ub:events";
    my $poll = sub {
        my ($q, $o) = @_;
        my $r = $t->get("/live?topic=$topic$q", token => $bob);
        is($r->{status}, 200, "poll $q") or return {};
        return json($r->{content});
    };
    my $p = $poll->('');
    is_deeply($p->{messages}, [], 'where the topic stands');
    my $at = $p->{cursor};
    like($at, qr/^\d+-0$/, 'a cursor');
    my $start = time;
    $p = $poll->("&cursor=$at&wait=1s");
    cmp_ok(time - $start, '>', 0.8, 'nothing: it waits');
    is_deeply($p, { cursor => $at, messages => [] }, '... and says so');
    publish($topic, $_) for 1 .. 3;
    $p = $poll->("&cursor=$at");
    is_deeply([map { $_->{message}{data}{n} } @{ $p->{messages} }], [1 .. 3],
        'what was missed comes at once');
    my $e = Travel::Events->open($t, "/live?topic=$topic&cursor=$p->{cursor}",
        token => $bob, headers => { Accept => 'application/json' },
        no_wait => 1);
    sleep 0.3;
    publish($topic, 4);
    $e->fill(5) until $e->{in} =~ /\r\n\r\n\{.*\}/s || $e->eof;
    like($e->{in}, qr/"n":4/, 'a message answers who waits');
    publish($topic, $_, fill => 3000) for 5 .. 12;
    my (@got, $quick);
    for (1 .. 6) {
        my $start = time;
        $p = $poll->("&cursor=$p->{cursor}&wait=0");
        push @got, map { $_->{message}{data}{n} } @{ $p->{messages} };
        my $took = time - $start;
        $quick = $took if !@{ $p->{messages} } && $took < ($quick // 60);
    }
    cmp_ok($quick, '<', 1.5, 'nothing, and no wait: it is said at once');
    is_deeply(\@got, [4 .. 12], 'no more at once than the queue holds, and '
        . 'nothing is lost');
    publish($topic, $_, keep => 2) for 13 .. 20;
    $p = $poll->("&cursor=$p->{cursor}");
    is($p->{messages}[0]{type}, 'gap', 'a gap is told');
};

subtest 'a burst: who reads is not too slow' => sub {
    my $topic = 'journey:01890000-0000-7000-8000-0000000000ab';
    my $from = publish($topic, 0);
    publish($topic, $_, fill => 7000) for 1 .. 30;
    my $e = stream([$topic], headers => { 'Last-Event-ID' => $from });
    is_deeply([map { my $m = $e->next(5); ($m->{data}{message} || {})->{data}{n}
        // $m->{event} } 1 .. 30], [1 .. 30], 'hears more than the queue holds');
};

subtest 'who does not read' => sub {
    my $topic = 'journey:01890000-0000-7000-8000-0000000000aa';
    my $e = stream([$topic]);
    my $dropped = sub { ($t->get('/metrics')->{content}
        =~ /^travel_live_ended_total\{how="slow"\} (\d+)/m)[0] };
    my $before = $dropped->();
    my $n = 0;
    # until the kernel's buffers are full, and then ours
    my $slow = wait_for(sub {
        publish($topic, ++$n, fill => 7000, keep => 4) for 1 .. 100;
        $dropped->() > $before;
    }, 20);
    ok($slow, "is dropped (after $n messages)");
    my @types;
    while (my $m = $e->next(1)) { push @types, $m->{event} // 'message' }
    ok($e->ended(5), 'the answer ends');
    is($types[0], 'message', 'what had been sent came');
};

subtest 'the token ends, is taken back' => sub {
    my $e = stream(["user:$ua:events"], token => $t->token(sub => $ua,
        ttl => '4s'));
    my $m = $e->next(15);
    is("$m->{event} $m->{data}{code}", 'bye 4401', 'last words');
    ok(exists $m->{data}{cursors}{"user:$ua:events"}, '... with cursors');
    ok($e->ended, 'the end');

    my $s = stream(["user:$ub:events"], token => $bob);
    my $p = Travel::Events->open($t, "/live?topic=user:$ub:events&cursor="
        . $s->{cursor}{"user:$ub:events"}, token => $bob, no_wait => 1,
        headers => { Accept => '*/*' });
    sleep 0.3;
    my ($q, $until) = ($t->redis('queue'), int(time) + 600);
    my $member = join "\t", 'user', int(time) + 1, '', $ub;
    $q->calls(['ZADD', 'travel:revoke:set', $until, $member],
        ['XADD', 'travel:revoke', '*', 'r', $member, 'exp', $until]);
    $m = $s->next(5);
    is("$m->{event} $m->{data}{code}", 'bye 4403', 'a stream');
    ok($s->ended, 'the end');
    $p->fill(5);
    like($p->{in}, qr{\AHTTP/1.1 401 }, 'a poll');
};

subtest 'reload' => sub {
    my $topic = "user:$ua:notifications";
    my @e = map { stream([$topic]) } 1 .. 10;
    my $at = publish($topic, 1);
    is_deeply([map { numbers($_, 1) } @e], [(1) x 10], 'all hear');
    my $p = Travel::Events->open($t, "/live?topic=$topic&cursor=$at",
        token => $alice, no_wait => 1, headers => { Accept => '*/*' });
    sleep 0.3;
    $t->reload;
    my @id;
    for my $e (@e) {
        my $m = $e->next(5);
        is("$m->{event} $m->{data}{code}", 'bye 1001', 'bye');
        ok($m->{retry} > 0 && $m->{retry} <= 5000, 'when to come back');
        ok($e->ended, 'the end');
        push @id, $m->{id};
    }
    $p->fill(5);
    like($p->{in}, qr{\AHTTP/1.1 200 .*"messages":\[\]}s, 'a poll is answered');
    publish($topic, 2);
    my @again = map { stream([$topic], headers => { 'Last-Event-ID' => $_ }) }
        @id;
    is_deeply([map { numbers($_, 1) } @again], [(2) x 10], 'nothing is lost');
};

$t->finish;
done_testing;
