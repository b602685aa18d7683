# How often, on three nodes with one Redis: leases within their bound, strict
# calls exactly, and what happens when Redis is gone or says nothing.
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Node;
use Travel::Test;

my $conf = <<'END';
    travel_zone limits 2m shards=4;
    travel_redis cache unix:@CACHE_SOCKET@ user=edge
                 password_file=@KEYS@/redis-edge.password;

    server {
        listen unix:@RUN@/echo.sock;
        location / { return 200 "ok"; }
    }
    server {
        listen 127.0.0.1:@PORT@;
        location = /health  { return 200 "ok"; }
        location = /metrics { travel_metrics; }

        location /global { travel_limit $http_x_key 200r/m name=global mode=global slice=5;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /strict { travel_limit $http_x_key 100r/m 20r/s name=strict mode=strict timeout=2s;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /exact  { travel_limit $http_x_key burst=10/60s name=exact mode=strict cost=$arg_cost timeout=2s;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /slide  { travel_limit $http_x_key burst=4/2s name=slide mode=strict timeout=2s;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /gslide { travel_limit $http_x_key burst=10/4s name=gslide mode=global slice=1 timeout=2s;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /day    { travel_limit $http_x_key 5r/d window=day name=ai mode=strict timeout=2s;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /two    { travel_limit $http_x_key 10r/m name=first mode=strict timeout=2s;
                           travel_limit $http_x_b 2r/m name=second mode=strict timeout=2s;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /many   { travel_limit $http_x_key 2r/m name=dry mode=strict dry_run timeout=2s;
                           travel_limit $http_x_key 6r/m name=six mode=strict timeout=2s fail=open;
                           travel_limit $http_x_b 4r/m name=four mode=strict timeout=2s;
                           travel_limit $http_x_key 100r/m name=own;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /ten    { @TEN@
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /local  { travel_limit $http_x_key 5r/m name=flocal mode=strict;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /open   { travel_limit $http_x_key 5r/m name=fopen mode=strict fail=open;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /closed { travel_limit $http_x_key 5r/m name=fclosed mode=strict fail=closed;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /glocal { travel_limit $http_x_key 20r/m name=glocal mode=global;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /free   { proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

$conf =~ s/\@TEN\@/join "\n", map {
    "travel_limit \$http_x_key ${_}0r\/m name=ten$_ mode=strict timeout=2s;" } 1 .. 10/e;
my $t = Travel::Test->start(parts => 'cache nginx', http => $conf,
    allow_log => qr/worker process \d+ exited on signal 9/);
my @node = ($t, map { my $n = $_;
    Travel::Node->start($t, edit => sub { s/echo\.sock/echo$n.sock/g }) } 1 .. 2);

my $serial = 0;
sub key { return "k$$-" . ++$serial }

sub ask {
    my ($node, $path, $key, %o) = @_;
    return $node->get($path, %o, headers => { 'x-key' => $key,
        %{ $o{headers} || {} } });
}

sub room {
    my ($r, $name) = @_;
    return ($r->{headers}{ratelimit} // '') =~ /"\Q$name\E";r=(\d+)/ ? $1 : -1;
}

sub metric {
    my ($node, $name) = @_;
    return $node->get('/metrics')->{content} =~ /^\Q$name\E\S* (\d+)/m ? $1 : 0;
}

# Each of N processes asks each node in turn; how many were admitted?
sub crowd {
    my ($procs, $each, $path, $key) = @_;
    my @fh;
    for my $p (1 .. $procs) {
        my $pid = open(my $fh, '-|') // die "fork: $!";
        if (!$pid) {
            my $http = HTTP::Tiny->new(keep_alive => 1);
            my $ok = 0;
            for (1 .. $each) {
                my $url = $node[($p + $_) % 3]->url . $path;
                $ok++ if $http->get($url, { headers => { 'x-key' => $key } })
                    ->{status} == 200;
            }
            print $ok;
            close STDOUT;
            POSIX::_exit(0);
        }
        push @fh, $fh;
    }
    my $sum = 0;
    $sum += do { local $/; <$_> } for @fh;
    close $_ for @fh;
    return $sum;
}

# Workers that saw Redis come up too late would count alone.
sub up {
    wait_for(sub {
        for my $n (@node) {
            my $key = key();
            for (1 .. 6) {
                my $was = metric($n, 'travel_limit_waited_total{policy="exact"');
                ask($n, '/exact', $key);
                return 0 if metric($n, 'travel_limit_waited_total{policy="exact"')
                    == $was;
            }
        }
        return 1;
    }, 15, 'all workers have Redis');
}
up();

subtest 'strict: exact on three nodes' => sub {
    my $key = key();
    my @r = map { ask($node[$_ % 3], '/exact', $key) } 0 .. 11;
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 10, (429) x 2),
        'ten of twelve');
    is(room($r[$_], 'exact-60'), 9 - $_, 'room for ' . (9 - $_)) for 0 .. 9;
    is($r[0]{headers}{'ratelimit-policy'}, '"exact-60";q=10;w=60', 'policy');
    like($r[10]{headers}{'retry-after'}, qr/^(5[5-9]|60)$/, 'Retry-After');
    is(crowd(6, 10, '/exact', key()), 10, 'ten of sixty at once');
    $key = key();
    is(room(ask($node[0], '/exact?cost=7', $key), 'exact-60'), 3, 'a cost');
    my $r = ask($node[1], '/exact?cost=4', $key);
    is($r->{status}, 429, 'is known to the others');
    is(room($r, 'exact-60'), 3, 'what is left');
    is(ask($node[2], '/exact?cost=3', $key)->{status}, 200, 'and can be had');
    $r = ask($node[2], '/exact?cost=11', key());
    is($r->{status}, 429, 'never');
    is($r->{headers}{'retry-after'}, undef, 'so no time is named');
};

subtest 'strict: it slides, and Retry-After is true' => sub {
    my $key = key();
    my @r = map { ask($node[$_ % 3], '/slide', $key) } 0 .. 4;
    is(join(' ', map { $_->{status} } @r), '200 200 200 200 429', 'four');
    my $wait = $r[4]{headers}{'retry-after'};
    like($wait, qr/^[12]$/, 'in two seconds');
    my $t1 = time;
    is(ask($node[1], '/slide', $key)->{status}, 429, 'not before')
        if time - $t1 < 0.2;
    sleep $t1 + $wait - time;
    is(ask($node[1], '/slide', $key)->{status}, 200, 'as it said');
};

subtest 'strict: a day, and all keys or none' => sub {
    my $key = key();
    my @r = map { ask($node[$_ % 3], '/day', $key) } 0 .. 5;
    is(join(' ', map { $_->{status} } @r), '200 200 200 200 200 429', 'five');
    my $left = 86400 - time % 86400;
    cmp_ok(abs($r[5]{headers}{'retry-after'} - $left), '<=', 3, 'to midnight')
        if $left > 5;
    my $b = key();
    $key = key();
    my $two = sub { ask($_[0], '/two', $key, headers => { 'x-b' => $_[1] }) };
    is($two->($node[$_], $b)->{status}, 200, 'admitted') for 0 .. 1;
    for (0 .. 5) {
        my $r = $two->($node[$_ % 3], $b);
        is($r->{status}, 429, 'refused by the second');
        is(room($r, 'first-60'), 8, 'the first keeps its room');
    }
    wait_for(sub { room($two->($node[2], key()), 'first-60') == 7 }, 1,
        'in Redis as well');
};

subtest 'strict: several lines, one call' => sub {
    my $calls = sub {
        my ($n) = $t->redis('cache')->call('INFO', 'commandstats')
            =~ /cmdstat_evalsha:calls=(\d+)/;
        return $n // 0;
    };
    my ($key, $b) = (key(), key());
    my $many = sub { ask($node[0], '/many', $key, headers => { 'x-b' => $b }) };
    my $was = $calls->();
    my @r = map { $many->() } 1 .. 4;
    is(join(' ', map { $_->{status} } @r), '200 200 200 200',
        'a dry run refuses nothing');
    is($calls->() - $was, 4, 'a call for each request');
    is(room($r[3], 'six-60'), 2, 'figures of one');
    is(room($r[3], 'four-60'), 0, 'and of another');
    for (1 .. 3) {
        my $r = $many->();
        is($r->{status}, 429, 'one refuses');
        is(room($r, 'six-60'), 2, 'the others do not count it');
    }
    is($calls->() - $was, 7, 'a call for each, again');
    $b = key();
    is($many->()->{status}, 200, 'with room in all') for 1 .. 2;
    is($many->()->{status}, 429, 'until the first is full');
    $was = $calls->();
    is(ask($node[1], '/ten', key())->{status}, 200, 'ten lines');
    is($calls->() - $was, 2, 'take two calls');
    $key = key();
    is(join(' ', map { ask($node[$_ % 3], '/ten', $key)->{status} } 1 .. 12),
        '200 ' x 10 . '429 429', 'and the tightest of them counts');
};

subtest 'global: leases within the bound' => sub {
    my $bound = 200 + 3 * 5;
    for (1 .. 2) {
        my $got = crowd(6, 80, '/global', key());
        cmp_ok($got, '<=', $bound, "$got of 480: not above 200 + 3 * 5");
        cmp_ok($got, '>=', 150, 'nor far below 200');
    }
    my $name = 'travel_limit_leases_total{policy="global",slice="5"}';
    cmp_ok(metric($node[0], $name), '>', 0, 'leases are counted, by slice');
    my $own = 0;
    $own += metric($_, 'travel_limit_over_admission_bound{policy="global"}')
        for @node;
    is($own, 3 * 5, 'the nodes tell the bound: a slice each');
    my $key = key();
    my @r = map { ask($node[$_ % 3], '/global', $key) } 0 .. 29;
    is(scalar(grep { $_->{status} == 200 } @r), 30, 'few are all admitted');
    my $w0 = metric($node[1], 'travel_limit_waited_total{policy="global"}');
    for (1 .. 10) { ask($node[1], '/global', key()) }
    is(metric($node[1], 'travel_limit_waited_total{policy="global"}'), $w0,
        'and do not wait for Redis');
};

subtest 'global: what one node admits the others know' => sub {
    my $key = key();
    my $n = grep { my $r = ask($node[0], '/gslide', $key); sleep 0.02;
        $r->{status} == 200 } 1 .. 14;
    cmp_ok($n, '<=', 11, "$n by the first");
    cmp_ok($n, '>=', 8, 'nearly all');
    my @r = map { my $r = ask($node[1], '/gslide', $key); sleep 0.05; $r } 1 .. 8;
    my $m = grep { $_->{status} == 200 } @r;
    cmp_ok($n + $m, '<=', 13, "$m more by the second");
    my ($no) = grep { $_->{status} == 429 } @r;
    ok($no, 'then it refuses') or return;
    like($no->{headers}{'retry-after'}, qr/^[1-4]$/, 'for a time that passes');
    wait_for(sub { ask($node[1], '/gslide', $key)->{status} == 200 }, 6,
        'and admits again');
};

subtest 'global: a lease outlives a reload and a worker' => sub {
    my $key = key();
    ask($node[0], '/global', $key) for 1 .. 40;
    $t->reload;
    $t->kill_child('nginx');
    wait_for(sub { $t->children_of('nginx') >= 2 }, 5, 'a new worker');
    sleep 0.2;
    my $r = ask($node[0], '/global', $key);
    cmp_ok(room($r, 'global-60'), '<=', 160, 'counted on');
    up();
};

subtest 'Redis is killed' => sub {
    my $key = key();
    is(ask($node[0], $_, $key)->{status}, 200, "$_ before")
        for qw(/local /open /closed /glocal);
    $t->kill_part('cache');
    wait_for(sub { ask($node[0], '/closed', key(), allow_5xx => 1)->{status}
        == 503 }, 5, 'closed');
    my $start = time;
    my @r = map { ask($node[0], '/local', "$key-l") } 1 .. 7;
    is(join(' ', map { $_->{status} } @r), '200 200 200 200 200 429 429',
        'local: this node counts alone');
    is(scalar(grep { ask($node[0], '/open', $key)->{status} == 200 } 1 .. 9), 9,
        'open: everybody passes');
    my $b = key();
    is(join(' ', map { ask($node[0], '/many', $key,
        headers => { 'x-b' => $b })->{status} } 1 .. 5),
        '200 200 200 200 429', 'of several lines each as it says');
    is(ask($node[0], '/open', $key)->{headers}{ratelimit}, undef,
        'and is promised nothing');
    my $r = ask($node[0], '/closed', $key, allow_5xx => 1);
    is($r->{status}, 503, 'closed: nobody');
    is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'code');
    is($r->{headers}{'retry-after'}, 1, 'Retry-After');
    is(scalar(grep { ask($node[0], '/glocal', "$key-g")->{status} == 200 }
        1 .. 25), 20, 'global: its own quota');
    cmp_ok(time - $start, '<', 8, 'nobody waits long');
    $t->start_part('cache');
    up();
    is(scalar(grep { ask($node[$_ % 3], '/local', "$key-back")->{status} == 200 }
        0 .. 8), 5, 'Redis counts again');
};

subtest 'Redis says nothing' => sub {
    my $key = key();
    $t->freeze('cache');
    my $start = time;
    my @r = map { ask($node[0], '/local', $key) } 1 .. 7;
    my $took = time - $start;
    is(scalar(grep { $_->{status} == 200 } @r), 5, 'local after the time-out');
    cmp_ok($took, '<', 4, sprintf 'which is short: %.2f s', $took);
    is(ask($node[0], '/closed', key(), allow_5xx => 1)->{status}, 503, 'closed');
    cmp_ok(metric($node[0], 'travel_limit_redis_failures_total{policy="flocal"}'),
        '>', 0, 'it is counted');
    # a client that does not wait
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $t->port);
    print $s "GET /strict HTTP/1.1\r\nHost: x\r\nX-Key: $key\r\n\r\n";
    sleep 0.05;
    close $s;
    $t->unfreeze('cache');
    up();
    is(ask($node[0], '/strict', key())->{status}, 200, 'and goes on');
};

subtest 'nginx -t says what to do' => sub {
    my @case = (
        ['10r/m mode=both', qr/"mode=both" must be mode=local\|global\|strict/],
        ['10r/m mode=strict fail=never', qr/"fail=never" must be/],
        ['10r/m mode=global slice=0', qr/"slice=0" must be/],
        ['10r/m mode=global slice=101%', qr/"slice=101%" must be/],
        ['10r/m mode=global slice=11', qr/slice= larger than its smallest/],
        ['10r/m mode=strict timeout=1m', qr/"timeout=1m" must be/],
        ['10r/m fail=local', qr/needs mode=global or mode=strict/],
        ['10r/m fail=open', qr/needs mode=global or mode=strict/],
    );
    for (@case) {
        my ($line, $want) = @$_;
        my $text = slurp($t->dir . '/nginx.conf');
        $text =~ s/(location \/free +\{)/$1 travel_limit \$http_a $line;/
            or die 'no location /free';
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $want, 'message');
    }
};

$t->finish;
done_testing();
