# Live topics: who may watch what, order, resume by cursor, gaps told honestly,
# the history's end, Redis that goes away, tokens that end, reload.  One nginx
# worker subscribes for all of the node: which of them watch, what happens when
# it dies, when another is too slow, when the shared zone is emptied.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'queue cache nginx',
    ngx_workers => 4,
    allow_5xx   => 1,
    allow_log   => qr/exited on signal 9/,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{
            location = /live {
                travel_auth optional jwks=main audience=travel leeway=0s;
                travel_live_allow journey journeys:watch;
                travel_live_allow pattern live:all;
                travel_live topics rate=0 presence=on; }
            location ~ ^/watch/(?<watched>[^/]+)\$ {
                travel_auth required jwks=main audience=travel;
                travel_live topics topics=2 grant=journey:\$watched; }};
        s/(travel_zone\s+cache[^;]*;)/$1\n    travel_zone relay 260k;/;
        s/listen(\s+\S+:\@PORT\@)([^;]*);/listen$1$2 reuseport;/;
    },
);

my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my ($ua, $ub) = map { $t->user($_) } 1, 2;
my $J = '01890000-0000-7000-8000-0000000000aa';
my $c = $t->redis('cache');
my $script = $t->live_script;

sub said {
    my ($topic, $n, %o) = @_;
    return ['EVAL', $script, 1, "travel:live:$topic",
        sprintf('{"type":"test","data":{"n":%d,"pad":"%s"}}', $n,
            'x' x ($o{pad} // 0)), $o{keep} // 256, $o{ttl} // 60000];
}

sub publish { return $c->call(@{ said(@_) }) }

sub watch {
    my ($token, $topic, $cursor, %o) = @_;
    my $s = Travel::Socket->open($t, $o{path} // '/live', token => $token);
    is($s->status, 101, 'switched') or return $s;
    $s->json({ type => 'subscribe', topic => $topic,
        $cursor ? (cursor => $cursor) : () }) if $topic;
    return $s;
}

# Reads messages until that many have come; their numbers.
sub numbers {
    my ($s, $n) = @_;
    return map { my $m = $s->next_json; $m ? $m->{message}{data}{n}
        // $m->{type} : 'nothing' } 1 .. $n;
}

subtest 'subscribe, messages, unsubscribe' => sub {
    my $topic = "user:$ua:events";
    my $s = watch($alice, $topic);
    my $m = $s->next_json;
    is($m->{type}, 'subscribed', 'told when it is so');
    is($m->{topic}, $topic, '... which');
    like($m->{cursor}, qr/^\d+-0$/, '... and where: nothing is there yet');
    my $id = publish($topic, 1);
    $m = $s->next_json;
    is_deeply($m, { type => 'message', topic => $topic, cursor => $id,
        message => { type => 'test', data => { n => 1, pad => '' } } },
        'a message');
    publish($topic, $_) for 2 .. 50;
    is_deeply([numbers($s, 49)], [2 .. 50], 'in order, each once');

    my $late = watch($alice, $topic);
    like($late->next_json->{cursor}, qr/-50$/, 'a second one knows the place');
    publish($topic, 51);
    is_deeply([numbers($_, 1)], [51], 'both hear') for $s, $late;

    $s->json({ type => 'unsubscribe', topic => $topic });
    is($s->next_json->{type}, 'unsubscribed', 'unsubscribed');
    publish($topic, 52);
    is_deeply([numbers($late, 1)], [52], 'the other goes on');
    $s->json({ type => 'ping' });
    is($s->next_json->{type}, 'pong', 'nothing came in between');
    $s->json({ type => 'subscribe', topic => $topic });
    like($s->next_json->{cursor}, qr/-52$/, 'again');
    $s->json({ type => 'subscribe', topic => $topic });
    is($s->next_json->{code}, 'CONFLICT', 'twice');
};

subtest 'who may' => sub {
    my $s = watch($alice);
    my $ask = sub {
        $s->json({ type => 'subscribe', topic => $_[0] });
        my $m = $s->next_json;
        return $m->{code} // $m->{type};
    };
    is($ask->("user:$ua:$_"), 'subscribed', "own $_")
        for qw(predictions insights notifications);
    is($ask->("user:$ub:events"), 'AUTHORIZATION_ERROR', 'a stranger\'s');
    is($ask->("journey:$J"), 'AUTHORIZATION_ERROR', 'a journey');
    is($ask->("job:booking.1.$J"), 'RESOURCE_NOT_FOUND', 'a job: not there');
    is($ask->('journey:*'), 'AUTHORIZATION_ERROR', 'a pattern');
    is($ask->('system:announcements'), 'subscribed', 'announcements');
    is($ask->($_), 'RESOURCE_NOT_FOUND', "no topic: $_")
        for 'x', '', "user:$ua:mails", '*', "user:$ua";

    my $anon = watch(undef, 'system:announcements');
    is($anon->next_json->{type}, 'subscribed', 'anonymous: announcements');
    $anon->json({ type => 'subscribe', topic => "user:$ua:events" });
    is($anon->next_json->{code}, 'AUTHORIZATION_ERROR', 'anonymous: no more');

    my $watcher = watch($t->token(sub => $ub, permissions =>
        'journeys:watch'), "journey:$J");
    is($watcher->next_json->{type}, 'subscribed', 'by a permission');
    my $granted = watch($bob, "journey:$J", undef, path => "/watch/$J");
    is($granted->next_json->{type}, 'subscribed', 'by the location');
    $granted->json({ type => 'subscribe', topic =>
        'journey:01890000-0000-7000-8000-0000000000ab' });
    is($granted->next_json->{code}, 'AUTHORIZATION_ERROR', 'that one alone');
    $granted->json({ type => 'subscribe', topic => "user:$ub:events" });
    is($granted->next_json->{type}, 'subscribed', 'the second topic');
    $granted->json({ type => 'subscribe', topic => "user:$ub:insights" });
    is($granted->next_json->{code}, 'RATE_LIMIT_EXCEEDED', 'the third');

    my $op = watch($t->token(sub => $ub, permissions => 'live:all'),
        'journey:*');
    is($op->next_json->{type}, 'subscribed', 'an operator: a pattern');
    publish("journey:$J", 7);
    my $m = $op->next_json;
    is("$m->{topic} $m->{message}{data}{n}", "journey:$J 7",
        'under the topic\'s own name');
    is_deeply([numbers($_, 1)], [7], 'and to who watches it')
        for $watcher, $granted;

    is(Travel::Socket->open($t, "/watch/$J")->status, 401, 'no token');
};

subtest 'what is no message' => sub {
    my $s = watch($alice);
    for my $case (['{', 'MALFORMED_JSON'], ['[]', 'MALFORMED_JSON'],
        ['{}', 'VALIDATION_ERROR'], ['{"type":"x"}', 'VALIDATION_ERROR'],
        ['{"type":"subscribe"}', 'RESOURCE_NOT_FOUND'],
        ['{"type":"resume"}', 'VALIDATION_ERROR'],
        ['{"type":"resume","cursors":{"a":1}}', 'VALIDATION_ERROR'],
        [qq({"type":"subscribe","topic":"user:$ua:events","cursor":"x"}),
            'VALIDATION_ERROR'],
        ['{"type":"unsubscribe","topic":"x"}', 'RESOURCE_NOT_FOUND'])
    {
        $s->text($case->[0]);
        is($s->next_json->{code}, $case->[1], $case->[0]);
    }
    $s->frame(0x82, '{}');
    is($s->next_json->{code}, 'MALFORMED_JSON', 'binary');
};

subtest 'resume' => sub {
    my $topic = "user:$ub:events";
    my $s = watch($bob, $topic);
    my $empty = $s->next_json->{cursor};
    my @id = map { publish($topic, $_) } 1 .. 5;
    is_deeply([numbers($s, 5)], [1 .. 5], 'five');
    $s->close;

    $s = watch($bob, $topic, $id[1]);
    my $m = $s->next_json;
    is("$m->{type} $m->{cursor}", "subscribed $id[1]", 'from there');
    is_deeply([numbers($s, 3)], [3 .. 5], 'what was missed');
    $s = watch($bob, $topic, $id[4]);
    $s->next_json;
    push @id, publish($topic, 6);
    is_deeply([numbers($s, 1)], [6], 'nothing was missed');
    $s = watch($bob, $topic, $empty);
    $s->next_json;
    is_deeply([numbers($s, 6)], [1 .. 6], 'from before the first');

    # many at once
    $s = watch($bob);
    $s->json({ type => 'resume', cursors => { $topic => $id[3],
        'system:announcements' => undef } });
    my %got;
    for (1 .. 4) {
        my $m = $s->next_json;
        push @{ $got{$m->{topic}} }, $m->{type};
    }
    is_deeply(\%got, { $topic => [qw(subscribed message message)],
        'system:announcements' => ['subscribed'] }, 'resume');

    # while messages come: each once, in order
    my $n = 6;
    publish($topic, ++$n, keep => 1000) for 1 .. 200;
    $s = watch($bob, $topic, $id[0]);
    publish($topic, ++$n, keep => 1000) for 1 .. 150;
    $s->next_json;
    is_deeply([numbers($s, $n - 1)], [2 .. $n], 'a long way, with new ones');

    publish($topic, ++$n, keep => 10) for 1 .. 30;
    $s = watch($bob, $topic, $id[0]);
    $s->next_json;
    $m = $s->next_json;
    is("$m->{type} " . ($m->{missed} // 'null'), 'gap ' . ($n - 11),
        'what fell off the end is counted');
    is_deeply([numbers($s, 10)], [$n - 9 .. $n], 'and the rest comes');

    $c->call('DEL', "travel:live:$topic");
    sleep 0.01;
    publish($topic, 1000);
    is_deeply([numbers($s, 1)], [1000],
        'a new history begins: who was there missed nothing');
    my $r = watch($bob, $topic, $id[5]);
    $r->next_json;
    $m = $r->next_json;
    is("$m->{type} " . ($m->{missed} // 'null'), 'gap null',
        'another epoch: nobody knows how many');
    publish($topic, 1001);
    is_deeply([numbers($r, 1)], [1001], 'and on it goes');
};

subtest 'Redis goes and comes' => sub {
    my $topic = 'system:announcements';
    my $s = watch($alice, $topic);
    $s->next_json;
    publish($topic, 1);
    is_deeply([numbers($s, 1)], [1], 'before');
    # the links go, the server stays: what is published meanwhile is read
    $c->call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    publish($topic, $_) for 2 .. 5;
    is_deeply([numbers($s, 4)], [2 .. 5], 'nothing is lost with the link');

    $t->kill_part('cache');
    my $new;
    ok(wait_for(sub { $new = watch($bob, $topic); !$new->next(0.5) }, 10),
        'once it is known, nothing is told that is not so');
    $t->start_part('cache');
    $c = $t->redis('cache');
    is($new->next_json(15)->{type}, 'subscribed', 'when it is');
    my $m = $s->next_json(15);
    is("$m->{type} " . ($m->{missed} // 'null'), 'gap null',
        'the history went with it, and that is told');
    publish($topic, 6);
    is_deeply([numbers($_, 1)], [6], 'on it goes') for $s, $new;
};

# --- one subscription for the node -------------------------------------------

# The nginx worker that is subscribed, by the name of its link; '': none, or
# more than one.
sub holder {
    my @pid = $c->call('CLIENT', 'LIST', 'TYPE', 'pubsub')
        =~ /name=travel-edge-(\d+)-live/g;
    return @pid == 1 ? $pid[0] : '';
}

sub metric {
    my ($name) = @_;
    return ($t->get('/metrics')->{content} =~ /^\Q$name\E (\d+)/m)[0] // 0;
}

sub relayed { return metric(qq(travel_live_relay_total{what="$_[0]"})) }

# Which nginx worker has which of the sockets: their own ends' inodes.
sub owners {
    my %port = map { $_->socket->sockport => $_ } @_;
    my %inode;
    for (split /\n/, slurp('/proc/net/tcp')) {
        my ($from, $to, $inode) = (split)[1, 2, 9];
        next unless ($from // '') =~ /:([0-9A-F]{4})\z/
            && hex $1 == $t->port && $to =~ /:([0-9A-F]{4})\z/;
        $inode{"socket:[$inode]"} = $port{hex $1};
    }
    my %has;
    for my $pid ($t->children_of('nginx')) {
        for my $fd (glob "/proc/$pid/fd/*") {
            my $s = $inode{readlink($fd) // ''} or next;
            push @{ $has{$pid} }, $s;
        }
    }
    return %has;
}

# Sixteen sockets, and whose they are: of more than one nginx worker.
sub crowd {
    my ($topic) = @_;
    $c->call('DEL', "travel:live:$topic");
    my @s = map { watch($alice, $topic) } 1 .. 16;
    $_->next_json for @s;
    my %has = owners(@s);
    cmp_ok(scalar keys %has, '>', 1, 'several nginx workers have some');
    my $holder = wait_for(sub { holder() }, 10, 'one of them subscribes');
    return ($holder, %has);
}

# Those who do not hear all of it, in order, once.
sub deaf {
    my ($n, @s) = @_;
    return scalar grep { join(' ', numbers($_, $n)) ne join(' ', 1 .. $n) } @s;
}

subtest 'one subscription for the node' => sub {
    my $topic = "user:$ua:notifications";
    my ($holder, %has) = crowd($topic);
    is_deeply($c->call('PUBSUB', 'NUMSUB', "travel:live:$topic"),
        ["travel:live:$topic", 1], 'Redis knows one subscriber');
    my $relayed = relayed('message');
    publish($topic, $_) for 1 .. 20;
    is(deaf(20, map { @$_ } values %has), 0, 'all hear');
    is(relayed('message') - $relayed, 20, 'each message is written once');
    $_->close for map { @$_ } values %has;
    ok(wait_for(sub { $c->call('PUBSUB', 'NUMSUB', "travel:live:$topic")->[1]
        == 0 }, 10), 'and who watches no more leaves it');
    is(holder(), $holder, 'it is still the same');
};

sub calls {
    my ($n) = $c->call('INFO', 'commandstats')
        =~ /^cmdstat_$_[0]:calls=(\d+)/m;
    return $n // 0;
}

subtest 'its nginx worker dies' => sub {
    my $topic = "user:$ua:notifications";
    my ($holder, %has) = crowd($topic);
    # many more, of which two will have moved
    my $watcher = $t->token(sub => $ub, permissions => 'journeys:watch');
    my @quiet = map { sprintf 'journey:01890000-0000-7000-8000-%012x', $_ }
        1 .. 40;
    publish($_, 1) for @quiet;
    my @w = map { watch($watcher) } 1 .. 8;
    for my $s (@w) {
        $s->json({ type => 'resume', cursors => { map { $_ => undef }
            @quiet } });
        $s->next_json for @quiet;
    }
    my %w = owners(@w);
    delete $w{$holder};
    @w = map { @$_ } values %w;
    my $read = calls('xrange');
    my ($start, $n) = (time, 0);
    kill 'KILL', $holder;
    # at once: nobody has taken over yet
    $c->calls((map { said($topic, ++$n) } 1 .. 50),
        map { said($_, 2) } @quiet[3, 30]);
    wait_for(sub { my $h = holder(); $h && $h ne $holder }, 10,
        'another takes over');
    note(sprintf 'taken over in %.0f ms', 1000 * (time - $start));
    is_deeply([map { my $s = $_; join ' ', sort map { $s->next_json->{topic} }
        1 .. 2 } @w], [("@quiet[3, 30]") x @w], 'who watches many, neither');
    # a topic that is new is found after those that were there
    wait_for(sub { 40 == grep { $_ eq 1 } @{ $c->call('PUBSUB', 'NUMSUB',
        map { "travel:live:$_" } @quiet) } }, 10, 'all are joined again');
    for my $s (@w) {
        $s->json({ type => 'subscribe', topic => "journey:$J" });
        is($s->next_json->{type}, 'subscribed', 'and another');
    }
    $read = calls('xrange') - $read;
    cmp_ok($read, '<=', 60, "of 43 topics only what has moved is read: $read "
        . 'times by ' . keys(%w) . ' nginx workers');
    publish($topic, ++$n) for 1 .. 20;
    delete $has{$holder};
    is(deaf($n, map { @$_ } values %has), 0,
        'of those that others have none loses anything');
    cmp_ok(relayed('taken_over'), '>=', 2, 'it is counted');
};

# Can writes be batched: is there io_uring for everybody?  (io_uring_setup)
sub io_uring {
    return slurp('/proc/sys/kernel/io_uring_disabled') =~ /^0/
        && syscall(425, 1, my $params = "\0" x 120) >= 0;
}

subtest 'a crowd' => sub {
    my $topic = 'system:announcements';
    $c->call('DEL', "travel:live:$topic");
    my @s = map { Travel::Socket->open($t, '/live', token => $alice) }
        1 .. 200;
    $_->json({ type => 'subscribe', topic => $topic }) for @s;
    is(scalar(grep { $_->next->[1] =~ /"subscribed"/ } @s), 200, 'all are in');
    my $batched = metric('travel_live_batched_total');
    my $hear = sub { my $s = $_[0]; join ' ', map { my $f = $s->next;
        ($f->[1] =~ /"n":(\d+)/)[0] . ':' . (length $f->[1] > 60000) }
        1 .. $_[1] };
    publish($topic, 1);
    is(scalar(grep { $hear->($_, 1) ne '1:' } @s), 0, 'each hears one');
    # more than fits between, as long as nobody reads
    publish($topic, $_, pad => 60000) for 2 .. 5;
    is(scalar(grep { $hear->($_, 4) ne '2:1 3:1 4:1 5:1' } @s), 0,
        '... and large ones, whole');
    $batched = metric('travel_live_batched_total') - $batched;
    SKIP: {
        skip 'no io_uring here', 1 unless io_uring();
        # those that 32 of an nginx worker had a turn of the loop for
        cmp_ok($batched, '>=', 32, "many by one call: $batched writes");
    }
    $_->close for @s;
};

subtest 'an nginx worker is too slow' => sub {
    my $topic = "user:$ua:notifications";
    for my $case ([80, 256], [80, 20]) {
        my ($n, $keep) = @$case;
        my ($holder, %has) = crowd($topic);
        my $overrun = relayed('overrun');
        my ($slow) = grep { $_ ne $holder } keys %has;
        my @its = @{ delete $has{$slow} };
        kill 'STOP', $slow;
        # more than the zone holds, but never more than others can keep up with
        my @deaf;
        for my $from (map { 20 * $_ + 1 } 0 .. $n / 20 - 1) {
            my @now = $from .. $from + 19;
            publish($topic, $_, pad => 1000, keep => $keep) for @now;
            push @deaf, grep { join(' ', numbers($_, 20)) ne "@now" }
                map { @$_ } values %has;
        }
        is(scalar @deaf, 0, 'others do not wait for it');
        kill 'CONT', $slow;
        if ($keep < $n) {
            is_deeply([map { [numbers($_, $keep + 1)] } @its],
                [map { ['gap', $n - $keep + 1 .. $n] } @its],
                'it reads what is left, and tells the gap');
        } else {
            is(deaf($n, @its), 0, 'it reads what it has missed');
        }
        cmp_ok(relayed('overrun'), '>', $overrun, 'it is counted');
    }
};

# As if one had died within the lock: the word that says so is set by hand.
# The zone, known by its size, begins with its root {layout, dirty, emptied,
# data}.
sub soil {
    my ($pid) = @_;
    no warnings 'portable';
    my ($from, $to) = map { (hex $_->[0], hex $_->[1]) }
        grep { hex($_->[1]) - hex($_->[0]) == 260 * 1024 }
        map { m{^(\w+)-(\w+) rw-s .*/dev/zero} ? [$1, $2] : () }
        split /\n/, slurp("/proc/$pid/maps");
    return unless $from;
    open my $mem, '+<:raw', "/proc/$pid/mem" or return;
    sysseek $mem, $from, 0;
    sysread $mem, my $zone, $to - $from;
    for my $at (map { 8 * $_ } 1 .. length($zone) / 8 - 4) {
        my ($layout, undef, $emptied, $data) = unpack 'Q4',
            substr $zone, $at, 32;
        next unless $layout == 2 && $emptied < 100 && $data > $from
            && $data < $to;
        sysseek $mem, $from + $at + 8, 0;
        return syswrite($mem, pack 'Q', 1) == 8;
    }
    return;
}

subtest 'the zone is emptied' => sub {
    my $topic = "user:$ua:notifications";
    my ($holder, %has) = crowd($topic);
    my $emptied = metric('travel_zone_emptied_total{zone="relay"}');
    my $n = 0;
    ok(wait_for(sub {
        soil($holder) or die 'no zone is found';
        publish($topic, ++$n);
        metric('travel_zone_emptied_total{zone="relay"}') > $emptied
    }, 10), 'found dirty, and emptied');
    publish($topic, ++$n) for 1 .. 20;
    ok(wait_for(sub { holder() }, 10), 'one subscribes again');
    publish($topic, ++$n) for 1 .. 20;
    is(deaf($n, map { @$_ } values %has), 0, 'nothing is lost');
};

subtest 'the token ends' => sub {
    my $token = $t->token(sub => $ua, ttl => '3s');
    my $s = watch($token, "user:$ua:events");
    $s->next_json;
    my $m = $s->next_json(8);
    is($m->{type}, 'bye', 'last words');
    like($m->{cursors}{"user:$ua:events"}, qr/^\d+-\d+$/, '... a cursor');
    my ($code, $why) = $s->closed;
    is("$code $why", '4401 the token has expired', 'closed');
};

subtest 'the token is taken back' => sub {
    my @s = map { watch($_, 'system:announcements') } $bob, $bob, $alice;
    $_->next_json for @s;
    my ($q, $until) = ($t->redis('queue'), int(time) + 600);
    my $member = join "\t", 'user', int(time) + 1, '', $ub;
    $q->calls(['ZADD', 'travel:revoke:set', $until, $member],
        ['XADD', 'travel:revoke', '*', 'r', $member, 'exp', $until]);
    my $start = time;
    for my $s (@s[0, 1]) {
        is($s->next_json(5)->{type}, 'bye', 'last words');
        is(scalar $s->closed, 4403, 'closed');
    }
    cmp_ok(time - $start, '<', 5, 'at once');
    publish('system:announcements', 77);
    is_deeply([numbers($s[2], 1)], [77], 'others stay');
    is(Travel::Socket->open($t, '/live', token => $bob)->status, 401,
        'and he does not come back');
};

subtest 'reload' => sub {
    my $topic = "user:$ua:insights";
    my @s = map { watch($alice, $topic) } 1 .. 20;
    $_->next_json for @s;
    publish($topic, 1);
    is_deeply([map { numbers($_, 1) } @s], [(1) x 20], 'all hear');
    $t->reload;
    my @cursor;
    for my $s (@s) {
        my $m = $s->next_json;
        push @cursor, $m->{cursors}{$topic};
        ok($m->{reconnect_in} >= 0 && $m->{reconnect_in} < 5000, 'a hint');
        is(scalar $s->closed, 1001, 'closed');
    }
    publish($topic, 2);
    my @again = map { watch($alice, $topic, $_) } @cursor;
    $_->next_json for @again;
    is_deeply([map { numbers($_, 1) } @again], [(2) x 20],
        'nothing is lost meanwhile');
};

$t->finish;
done_testing;
