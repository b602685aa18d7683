# Answers of upstreams that nodes share (travel_cache http l2=on): taken over,
# filled once for all, and made invalid on all by an unsafe request on one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Node;
use Travel::Origin;
use Travel::Test;

my $t = Travel::Test->start(parts => 'queue cache nginx', allow_5xx => 1,
    ngx_workers => 1, http => <<'CONF');
    travel_redis queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_redis cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_zone cache 4m shards=2;
    travel_jwks main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;
    proxy_http_version 1.1;
    proxy_set_header Host example.org;
    upstream app { server 127.0.0.1:@PORT_SANDBOX@; }
    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main audience=travel;
        add_header X-Cache $travel_cache_status always;
        location = /health { return 200; }
        location = /metrics { travel_metrics; }
        location = /purge { travel_purge; }
        location / { proxy_pass http://app; travel_cache http l2=on; }
        location /large/ { proxy_pass http://app;
            travel_cache http l2=on max_size=900k; }
        location /tags/ { proxy_pass http://app;
            travel_cache http l2=on "tags=all:tags"; }
        location /keyed/ { proxy_pass http://app;
            travel_cache http l2=on "key=$host$uri"; }
        location /own/ { proxy_pass http://app; travel_cache http; }
    }
CONF
my $u = Travel::Node->start($t);
my $o = Travel::Origin->start($t->port + 1);
my $redis = $t->redis('cache');
my $w = $t->redis('queue', 'worker');

# The workers' part: the heartbeat of the invalidation stream.
my $beat = fork // die;
if (!$beat) {
    my $r = $t->redis('queue', 'worker');
    while (getppid() != 1) {
        eval { $r->call(qw(XADD travel:inval * hb 1 timeline 1 lsn 0/1)) };
        sleep 0.2;
    }
    POSIX::_exit(0);
}

# The same resource on both nodes: its host is part of it.
sub ask {
    my ($node, $method, $path, %o) = @_;
    my ($port) = $node->url =~ /(\d+)\z/;
    my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 20) or die "connect: $!";
    my %h = (host => 'example.org', %{ $o{headers} || {} },
        defined $o{body} ? ('content-length' => length $o{body}) : ());
    print $c "$method $path HTTP/1.0\r\n", map({ "$_: $h{$_}\r\n" } keys %h),
        "\r\n", $o{body} // '';
    my $text = do { local $/; <$c> } // '';
    my ($head, $content) = split /\r\n\r\n/, $text, 2;
    my ($status) = $head =~ m{\AHTTP/1.1 (\d+)};
    my %got = map { /\A([\w-]+): (.*?)\r?\z/ ? (lc($1) => $2) : () } split /\n/, $head;
    return { status => $status, content => $content, headers => \%got };
}
sub get { my ($node, $path, %h) = @_; ask($node, 'GET', $path, headers => \%h) }
my $serial = 0;
sub fresh_path { return ($_[0] // '/') . 'q' . ++$serial }
sub stored { scalar @{ $redis->call('KEYS', 'travel:l2:*') } }
sub wait_stored {
    my ($n, $what) = @_;
    wait_for(sub { stored() >= $n }, 10, $what);
}
sub settled {                            # what was written is there
    my ($before) = @_;
    wait_stored($before + 1, 'the entry in Redis');
}
my @max = ('Cache-Control: max-age=60');
my $alice = { authorization => 'Bearer ' . $t->user_token(1) };
my $bob   = { authorization => 'Bearer ' . $t->user_token(2) };

wait_for(sub { $t->get('/health')->{status} == 200 }, 10, 'up');
sleep 2.5;        # both hear the stream, and clocks may differ by two seconds

subtest 'taken over' => sub {
    my ($path, $n) = (fresh_path(), stored());
    $o->set($path, headers => [@max, 'X-A: one'], body => 'body %n');
    is(get($t, $path)->{content}, 'body 1', 'one node asks');
    settled($n);
    my $r = get($u, $path);
    is($r->{content}, 'body 1', 'the other has it from Redis');
    is($r->{headers}{'x-cache'}, 'HIT', 'a hit');
    is($r->{headers}{'x-a'}, 'one', 'with its fields');
    like($r->{headers}{age}, qr/\A\d\z/, 'and its age');
    is($o->count($path), 1, 'the origin was asked once');
    my $asked = $redis->call('INFO', 'commandstats');
    get($u, $path);
    is($o->count($path), 1, 'and then from its own memory');
};

subtest 'by fields of the request' => sub {
    my ($path, $n) = (fresh_path(), stored());
    $o->set($path, headers => [@max, 'Vary: X-Kind'], body => 'body %n');
    is(get($t, $path, 'x-kind' => 'a')->{content}, 'body 1', 'one kind');
    wait_stored($n + 2, 'names and the entry in Redis');
    is(get($u, $path, 'x-kind' => 'a')->{content}, 'body 1', 'the same kind');
    is(get($u, $path, 'x-kind' => 'b')->{content}, 'body 2', 'another');
};

subtest 'an unsafe request on one node' => sub {
    for my $method (qw(POST DELETE)) {
        my ($path, $n) = (fresh_path(), stored());
        $o->set($path, headers => [@max], body => 'body %n');
        get($t, $path);
        settled($n);
        get($u, $path);
        is($o->count($path), 1, "$method: both have it");
        is(ask($u, $method, $path, body => 'x')->{status}, 200, 'it succeeds');
        is(get($u, $path)->{content}, 'body 3', 'that node asks again');
        wait_for(sub { get($t, $path)->{content} ne 'body 1' }, 5,
            'the other to hear of it');
        is(get($t, $path)->{content}, 'body 3', 'and takes the new one over');
        is($o->count($path), 3, 'which nobody asked for twice');
    }
};

subtest 'a fill that an unsafe request overtakes' => sub {
    my ($path, $n) = (fresh_path(), stored());
    my $hold = $t->dir . '/hold';
    open my $f, '>', $hold or die; close $f;
    $o->set($path, headers => [@max], body => 'old %n', hold => $hold);
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) { syswrite $out, get($t, $path)->{content}; POSIX::_exit(0) }
    wait_for(sub { $o->count($path) == 1 }, 10, 'the fill');
    $o->set($path, headers => [@max], body => 'new %n');
    is(ask($u, 'PUT', $path, body => 'x')->{status}, 200, 'the other changes it');
    unlink $hold;
    waitpid $pid, 0;
    sysread $in, my $got, 100;
    like($got, qr/^old/, 'who had asked before gets what was then');
    like(get($u, $path)->{content}, qr/^new/, 'nobody else on the other node');
    wait_for(sub { get($t, $path)->{content} =~ /^new/ }, 5,
        'nor on this, once it has heard');
};

subtest 'filled once for all' => sub {
    my $path = fresh_path();
    $o->set($path, headers => [@max], body => 'body %n', delay => 0.4);
    my @pid = map {
        my $node = $_;
        my $pid = fork // die;
        if (!$pid) { POSIX::_exit(get($node, $path)->{content} eq 'body 1' ? 0 : 1) }
        $pid;
    } ($t, $u) x 5;
    my $good = 0;
    for (@pid) { waitpid $_, 0; $good++ if $? == 0 }
    is($good, 10, 'ten requests on two nodes have the one answer');
    is($o->count($path), 1, 'that the origin gave once');
};

subtest 'whose' => sub {
    my ($path, $n) = (fresh_path(), stored());
    $o->set($path, headers => [@max], body => 'mine %n');
    is(get($t, $path, %$alice)->{content}, 'mine 1', 'Alice');
    settled($n);
    is(get($u, $path, %$alice)->{content}, 'mine 1', 'Alice, on the other node');
    is(get($u, $path, %$bob)->{content}, 'mine 2', 'not Bob');
    is(get($u, $path)->{content}, 'mine 3', 'nor anybody');
    $path = fresh_path();
    $n = stored();
    $o->set($path, headers => ['Cache-Control: public, max-age=60'], body => 'all %n');
    is(get($t, $path, %$alice)->{content}, 'all 1', 'what is public');
    settled($n);
    is(get($u, $path, %$bob)->{content}, 'all 1', 'is for Bob, too');
    $path = fresh_path();
    $n = stored();
    $o->set($path, headers => [@max], body => 'open %n');
    is(get($t, $path)->{content}, 'open 1', 'what nobody asked for');
    settled($n++);
    is(get($u, $path, %$bob)->{content}, 'open 2', 'is not for a caller');
    settled($n);
};

subtest 'groups' => sub {
    my $over = sub {
        my ($node, $group) = @_;
        my $post = fresh_path();
        $o->set($post, headers => ["Cache-Group-Invalidation: \"$group\""], body => 'ok');
        is(ask($node, 'POST', $post, body => 'x')->{status}, 200, 'a group is over');
    };
    my ($path, $other, $n) = (fresh_path(), fresh_path(), stored());
    $o->set($path, headers => [@max, 'Cache-Groups: "g1", "g2"'], body => 'body %n');
    $o->set($other, headers => [@max, 'Cache-Groups: "g3"'], body => 'other %n');
    is(get($t, $path)->{content}, 'body 1', 'one node asks');
    is(get($t, $other)->{content}, 'other 1', '... for another, too');
    wait_stored($n + 2, 'both in Redis');
    $over->($u, 'g2');
    is(get($u, $path)->{content}, 'body 2', 'what Redis has of it is not believed');
    is(get($u, $other)->{content}, 'other 1', '... but what is of another group');
    wait_for(sub { get($t, $path)->{content} ne 'body 1' }, 5,
        'the other node to hear of it');
    is(get($t, $path)->{content}, 'body 2', 'and take the new one over');
    is($o->count($path), 2, 'which nobody asked for twice');
    is($o->count($other), 1, '... nor for the other');

    # a fill that the end of its group overtakes
    $path = fresh_path();
    my $hold = $t->dir . '/grouphold';
    open my $f, '>', $hold or die; close $f;
    $o->set($path, headers => [@max, 'Cache-Groups: "g4"'], body => 'old %n', hold => $hold);
    my $pid = fork // die;
    if (!$pid) { get($t, $path); POSIX::_exit(0) }
    wait_for(sub { $o->count($path) == 1 }, 10, 'the fill');
    $o->set($path, headers => [@max, 'Cache-Groups: "g4"'], body => 'new %n');
    $over->($u, 'g4');
    unlink $hold;
    waitpid $pid, 0;
    like(get($u, $path)->{content}, qr/^new/, 'is believed by nobody');

    # what Redis has forgotten
    ($path, $n) = (fresh_path(), stored());
    $o->set($path, headers => [@max, 'Cache-Groups: "g5"'], body => 'body %n');
    get($t, $path);
    settled($n);
    $redis->call('DEL', @{ $redis->call('KEYS', 'travel:l2grp:*') });
    is(get($u, $path)->{content}, 'body 2', 'without the group\'s key');
    $redis->call('DEL', 'travel:l2seq');
    my $next = fresh_path();
    $n = stored();
    $o->set($next, headers => [@max, 'Cache-Groups: "g5"'], body => 'next %n');
    get($t, $next);
    settled($n);
    is(get($u, $next)->{content}, 'next 1', 'a sequence that begins anew');
};

subtest 'tags' => sub {
    my ($path, $n) = (fresh_path('/tags/'), stored());
    $o->set($path, headers => [@max, 'Surrogate-Key: k:1'], body => 'body %n');
    is(get($t, $path)->{content}, 'body 1', 'one node asks');
    settled($n);
    is(get($u, $path)->{content}, 'body 1', 'the other takes it');
    $w->call(qw(XADD travel:inval * tags k:1 timeline 1 lsn 0/1));
    for my $node ($t, $u) {
        wait_for(sub { get($node, $path)->{content} ne 'body 1' }, 5,
            'the commit to be heard of');
    }
    is($o->count($path), 2, 'one asked again for both');
    my $purge = ask($t, 'POST', '/purge?tag=k:1', headers => {
        authorization => 'Bearer ' . $t->user_token(1,
            permissions => 'cache:purge') });
    is($purge->{status}, 200, 'a purge') or diag($purge->{content});
    for my $node ($t, $u) {
        wait_for(sub { get($node, $path)->{content} ne 'body 2' }, 5,
            'the purge to be heard of');
    }
};

subtest 'more tags than queries have' => sub {
    my ($path, $n) = (fresh_path(), stored());
    my $keys = join ' ', map { "many:$_" } 1 .. 40;
    $o->set($path, headers => [@max, "Surrogate-Key: $keys"], body => 'body %n');
    is(get($t, $path)->{content}, 'body 1', 'one node asks');
    settled($n);
    is(get($u, $path)->{content}, 'body 1', 'the other takes it');
    $w->call(qw(XADD travel:inval * tags many:39 timeline 1 lsn 0/1));
    for my $node ($t, $u) {
        wait_for(sub { get($node, $path)->{content} ne 'body 1' }, 5,
            'the commit to be heard of');
    }
    is($o->count($path), 2, 'one asked again for both');
};

sub in_redis {
    my ($text) = @_;
    return wait_for(sub { grep { index($_, $text) >= 0 } map { $redis->call('GET', $_) // '' }
        @{ $redis->call('KEYS', 'travel:l2:*') } }, 10, "$text in Redis");
}

subtest 'renewed behind a client\'s back' => sub {
    my $path = fresh_path();
    my @swr = ('Cache-Control: max-age=30, stale-while-revalidate=600');
    $o->set($path, headers => [@swr, 'Age: 60'], body => 'stale %n');
    is(get($t, $path)->{content}, 'stale 1', 'one node has a stale answer');
    is(get($u, $path)->{content}, 'stale 2', 'and so has the other');
    $o->set($path, headers => [@swr], body => 'renewed %n');
    is(get($t, $path)->{content}, 'stale 1', 'which is served');
    wait_for(sub { get($t, $path)->{content} eq 'renewed 3' }, 5, 'the new one');
    in_redis('renewed 3');
    is(get($u, $path)->{content}, 'stale 2', 'the other node serves its own');
    wait_for(sub { get($u, $path)->{content} eq 'renewed 3' }, 5,
        'what the first has renewed');
    is($o->count($path), 3, 'and asks nobody but Redis');
};

subtest 'the origin\'s word, that a client wanted' => sub {
    my ($path, $n) = (fresh_path(), stored());
    $o->set($path, headers => [@max], body => 'word %n');
    is(get($t, $path)->{content}, 'word 1', 'filled');
    settled($n);
    is(get($t, $path, 'cache-control' => 'no-cache')->{content}, 'word 2',
        'and asked for again');
    in_redis('word 2');
    is(get($u, $path)->{content}, 'word 2', 'is what the other node takes');
};

subtest 'one key for many URIs' => sub {
    my ($path, $n) = (fresh_path('/keyed/'), stored());
    $o->set($path, headers => [@max], body => 'body %n');
    is(get($t, "$path?utm=1")->{content}, 'body 1', 'one node asks');
    settled($n);
    is(get($u, "$path?utm=2")->{content}, 'body 1', 'the other has it, by another URI');
    is(ask($u, 'POST', $path, body => 'x')->{status}, 200, 'a third is changed');
    is(get($u, "$path?utm=2")->{content}, 'body 3', 'that node asks again');
    wait_for(sub { get($t, "$path?utm=1")->{content} ne 'body 1' }, 5,
        'the other to hear of it');
    is(get($t, "$path?utm=4")->{content}, 'body 3', 'and takes the new one over');
    is($o->count($path), 3, 'which nobody asked for twice');
};

subtest 'large ones' => sub {
    my $body = join '', map { chr(97 + $_ % 26) } 1 .. 700_000;
    my $path;
    for (1 .. 5) {      # Redis is waited for 50 ms: a slow machine may miss some
        my $n = stored();
        $path = fresh_path('/large/');
        $o->set($path, headers => [@max], body => $body);
        ok(get($t, $path)->{content} eq $body, '700,000 bytes');
        settled($n);
        ok(get($u, $path)->{content} eq $body, 'from Redis, to the last byte');
        last if $o->count($path) == 1;
    }
    ok(get($t, $path)->{content} eq $body, 'here, too');
    is($o->count($path), 1, 'the origin was asked once');
    is(ask($u, 'POST', $path, body => 'x')->{status}, 200, 'changed');
    get($t, $path);
    is($o->count($path), 3, 'it is asked for again');
};

subtest 'not believed' => sub {
    my ($path, $n) = (fresh_path(), stored());
    my %had = map { $_ => 1 } @{ $redis->call('KEYS', 'travel:l2:*') };
    $o->set($path, headers => [@max], body => 'body %n');
    get($t, $path);
    settled($n);
    my ($key) = grep { !$had{$_} } @{ $redis->call('KEYS', 'travel:l2:*') };
    my $bytes = $redis->call('GET', $key);
    substr($bytes, index($bytes, 'body 1'), 6) = 'evil 1';
    $redis->call('SET', $key, $bytes);
    is(get($u, $path)->{content}, 'body 2', 'what was changed in Redis');
    for my $gone ('l2uri', 'l2') {
        my $p = fresh_path();
        $n = stored();
        $o->set($p, headers => [@max], body => 'body %n');
        get($t, $p);
        settled($n);
        $redis->call('DEL', @{ $redis->call('KEYS', "travel:$gone:*") });
        is(get($u, $p)->{content}, 'body 2', "without its $gone key");
    }
};

# Redis takes nothing: what it could not be told, it is told later.
subtest 'without Redis' => sub {
    my ($path, $n) = (fresh_path(), stored());
    $o->set($path, headers => [@max], body => 'body %n');
    get($t, $path);
    settled($n);
    get($u, $path);
    is($o->count($path), 1, 'both have it');
    $t->freeze('cache');
    is(ask($u, 'POST', $path, body => 'x')->{status}, 200, 'an unsafe request');
    is(get($u, $path)->{content}, 'body 3', 'this node asks its origin');
    my $p = fresh_path();
    $o->set($p, headers => [@max], body => 'body %n');
    is(get($t, $p)->{content}, 'body 1', 'a fill does not wait for Redis');
    $t->unfreeze('cache');
    wait_for(sub { get($t, $path)->{content} ne 'body 1' }, 10,
        'the other node to hear of it');
};

subtest 'as it was, without l2' => sub {
    my ($path, $n) = (fresh_path('/own/'), stored());
    $o->set($path, headers => [@max], body => 'body %n');
    get($t, $path);
    is(get($u, $path)->{content}, 'body 2', 'each node for itself');
    is(stored(), $n, 'nothing in Redis');
};

kill 'TERM', $beat;
waitpid $beat, 0;
$o->stop;
$t->finish;
done_testing;
