# How often?  Exact counts, true waiting times, and what a client is told.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $conf = <<'END';
    travel_zone limits 2m shards=4;
    travel_jwks main file=@RUN@/jwks.json ours;
    proxy_set_header X-Limited $travel_limited;

    server {
        listen unix:@RUN@/echo.sock;
        location / { return 200 "ok"; }
    }

    server {
        listen 127.0.0.1:@PORT@;

        location /burst    { travel_limit $http_x_key burst=10/10s 60r/m name=burst;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /slide    { travel_limit $http_x_key burst=5/2s name=slide;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /many     { travel_limit $http_x_key 300r/m name=many;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /retry    { travel_limit $http_x_key burst=2/3s burst=3/6s name=retry;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /two      { travel_limit $http_x_a 3r/h name=a;
                             travel_limit $http_x_b 1r/h name=b;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /guarded  { travel_auth required jwks=main;
                             travel_limit $http_x_key 6r/h name=early;
                             travel_limit $travel_user 3r/h name=user;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /anyone   { travel_auth optional jwks=main;
                             travel_limit $travel_user 2r/h name=anyone;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /dry      { travel_limit $http_x_key 2r/h name=dry dry_run;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /ip       { travel_limit $binary_remote_addr 4r/h;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /page     { travel_limit $http_x_key 5r/h name=page;
                             root @RUN@/nowhere; error_page 404 /page-of-errors; }
        location /page-of-errors { internal; travel_limit $http_x_key 5r/h name=page;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /inner    { travel_limit $http_x_key 9r/h name=outer;
            location /inner/more { travel_limit $http_x_key 2r/h name=more;
                             proxy_pass http://unix:@RUN@/echo.sock; }
            location /inner/off  { travel_limit off;
                             proxy_pass http://unix:@RUN@/echo.sock; }
            location /inner/alone { travel_limit off; travel_limit $http_x_key 2r/h name=alone;
                             proxy_pass http://unix:@RUN@/echo.sock; }
            proxy_pass http://unix:@RUN@/echo.sock;
        }
        location = /metrics { travel_metrics; }
        location /method   { travel_limit POST DELETE $http_x_key 2r/h name=writes;
                             travel_limit GET $http_x_key 1r/h name=reads;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /free     { proxy_pass http://unix:@RUN@/echo.sock; }
        location /shared   { travel_limit $http_x_key burst=10/10s 60r/m name=burst;
                             proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->start(parts => 'nginx', http => $conf,
    allow_log => qr/worker process \d+ exited on signal 9/);

my $serial = 0;
sub key { return "k$$-" . ++$serial . ($_[0] // '') }

sub ask {
    my ($path, $key, %o) = @_;
    return $t->get($path, %o, headers => { 'x-key' => $key,
        %{ $o{headers} || {} } });
}

sub statuses { my ($path, $key, $n) = @_;
    return join ' ', map { ask($path, $key)->{status} } 1 .. $n }

sub limits {
    my ($r) = @_;
    my %h;
    for (split /,\s*/, $r->{headers}{ratelimit} // '') {
        /^"([^"]+)";r=(\d+)(?:;t=(\d+))?$/ or return { bad => $_ };
        $h{$1} = [$2, $3];
    }
    return \%h;
}

subtest 'exactly as many as it says' => sub {
    my $key = key();
    my @r = map { ask('/burst', $key) } 1 .. 12;
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 10, (429) x 2),
        'ten of twelve');
    is($r[0]{headers}{'ratelimit-policy'},
        '"burst-10";q=10;w=10, "burst-60";q=60;w=60', 'policy');
    for my $i (0 .. 9) {
        my $l = limits($r[$i]);
        is($l->{'burst-10'}[0], 9 - $i, "room for " . (9 - $i));
        is($l->{'burst-60'}[0], 59 - $i, 'and in the minute');
        ok($l->{'burst-10'}[1] >= 9 && $l->{'burst-10'}[1] <= 10, 'seconds');
        is($r[$i]{headers}{'x-ratelimit-limit'}, 10, 'X-RateLimit-Limit');
        is($r[$i]{headers}{'x-ratelimit-remaining'}, 9 - $i, '-Remaining');
        is($r[$i]{headers}{'x-ratelimit-reset'}, $l->{'burst-10'}[1], '-Reset');
        is($r[$i]{headers}{'retry-after'}, undef, 'no Retry-After');
    }
    is($r[10]{json}{error}{code}, 'RATE_LIMIT_EXCEEDED', 'code');
    like($r[10]{json}{error}{message}, qr/"burst-10" is 10 requests in 10 s/,
        'message');
    like($r[10]{headers}{'retry-after'}, qr/^(9|10)$/, 'Retry-After');
    is(limits($r[11])->{'burst-10'}[0], 0, 'no room');
    is(limits($r[11])->{'burst-60'}[0], 50, 'the refused count nowhere');
    is($r[11]{headers}{'x-ratelimit-remaining'}, 0, '-Remaining');
    is(ask('/shared', $key)->{status}, 429,
        'the same line elsewhere is the same policy');
    is(ask('/burst', key())->{status}, 200, 'another key');
    is(ask('/burst', '')->{status}, 200, 'no key, no limit');
    is(ask('/burst', '')->{headers}{ratelimit}, undef, 'and no header');
    is(ask('/free', $key)->{headers}{'ratelimit-policy'}, undef,
        'nor where there is none');
};

# N processes ask at the same time; how many were admitted?
sub crowd {
    my ($procs, $each, $path, $key) = @_;
    my @fh;
    for (1 .. $procs) {
        my $pid = open(my $fh, '-|') // die "fork: $!";
        if (!$pid) {
            my $http = HTTP::Tiny->new(keep_alive => 1);
            my $ok = grep { $http->get($t->url . $path,
                { headers => { 'x-key' => $key } })->{status} == 200 } 1 .. $each;
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

subtest 'a crowd' => sub {
    for (1 .. 5) {
        is(crowd(6, 5, '/burst', key()), 10, 'ten of thirty at once');
    }
    is(crowd(8, 60, '/many', key()), 300, '300 of 480 at once');
};

subtest 'it slides' => sub {
    my $key = key();
    my $t0 = time;
    is(statuses('/slide', $key, 3), '200 200 200', 'three');
    sleep $t0 + 1 - time;
    is(statuses('/slide', $key, 3), '200 200 429', 'two a second later');
    sleep $t0 + 1.9 - time;
    is(statuses('/slide', $key, 1), '429', 'none before two seconds');
    sleep $t0 + 2.2 - time;
    is(statuses('/slide', $key, 4), '200 200 200 429', 'then the first three');
    sleep $t0 + 3.2 - time;
    is(statuses('/slide', $key, 3), '200 200 429', 'then the other two');
};

subtest 'Retry-After is true' => sub {
    my $key = key();
    is(statuses('/retry', $key, 2), '200 200', 'two');
    my $r = ask('/retry', $key);
    my $t1 = time;
    is($r->{status}, 429, 'refused');
    my $wait = $r->{headers}{'retry-after'};
    is($wait, 3, 'three seconds');
    is(statuses('/retry', $key, 20), join(' ', (429) x 20), 'asking on');
    sleep $t1 + $wait - 1 - time;
    $r = ask('/retry', $key);
    is($r->{status}, 429, 'a second too early');
    is($r->{headers}{'retry-after'}, 1, 'one more');
    sleep $t1 + $wait - time;
    is(ask('/retry', $key)->{status}, 200, 'as it said');

    # now both windows are full, and the longer one decides
    $r = ask('/retry', $key);
    $t1 = time;
    is($r->{status}, 429, 'refused');
    $wait = $r->{headers}{'retry-after'};
    is($wait, 3, 'the first of six seconds ago');
    like($r->{json}{error}{message}, qr/"retry-6"/, 'by the longer window');
    is($r->{headers}{'x-ratelimit-limit'}, 3, 'X-RateLimit of the longer');
    sleep $t1 + $wait - 1 - time;
    is(ask('/retry', $key)->{status}, 429, 'a second too early');
    sleep $t1 + $wait - time;
    is(ask('/retry', $key)->{status}, 200, 'as it said');
};

subtest 'all keys or none' => sub {
    my $a = key();
    my $two = sub { $t->get('/two', headers => { 'x-a' => $a, 'x-b' => $_[0] }) };
    my @b = map { key() } 1 .. 4;
    is($two->($b[0])->{status}, 200, 'first');
    for (1 .. 5) {
        my $r = $two->($b[0]);
        is($r->{status}, 429, 'refused by b');
        is(limits($r)->{'a-3600'}[0], 2, 'a keeps its room');
    }
    is($two->($b[1])->{status}, 200, 'second of a');
    is($two->($b[2])->{status}, 200, 'third of a');
    my $r = $two->($b[3]);
    is($r->{status}, 429, 'refused by a');
    like($r->{json}{error}{message}, qr/"a-3600"/, 'by a');
    is(limits($r)->{'b-3600'}[0], 1, 'b is not counted');
    is($r->{headers}{'ratelimit-policy'}, '"a-3600";q=3;w=3600, "b-3600";q=1;w=3600',
        'both are told');
};

subtest 'before and after auth' => sub {
    my ($key, $tok) = (key(), $t->user_token(1));
    for (1 .. 3) {
        my $r = ask('/guarded', $key, token => $tok);
        is($r->{status}, 200, 'admitted');
        is(limits($r)->{'early-3600'}[0], 6 - $_, 'early counts');
        is(limits($r)->{'user-3600'}[0], 3 - $_, 'user counts');
    }
    for (1 .. 4) {
        my $r = ask('/guarded', $key, token => $tok);
        is($r->{status}, 429, 'the user is over');
        is(limits($r)->{'early-3600'}[0], 3, 'what was counted early is taken back');
    }
    is(ask('/guarded', $key, token => $t->user_token(2))->{status}, 200,
        'another user');
    is(ask('/guarded', $key, token => 'junk')->{status}, 401, 'a bad token');
    my $r = ask('/guarded', $key);
    is($r->{status}, 401, 'none');
    is(limits($r)->{'early-3600'}[0], 0, 'counted, and told');
    is(ask('/guarded', $key, token => 'junk')->{status}, 429,
        'refused before anyone looks at the token');
    is(ask('/guarded', key(), token => $tok)->{status}, 429,
        'the user is over elsewhere too');
    $tok = $t->user_token(3);
    is(join(' ', map { ask('/anyone', '')->{status} } 1 .. 5),
        '200 200 200 200 200', 'anonymous: the user limit is nobody\'s');
    is(join(' ', map { ask('/anyone', '', token => $tok)->{status} } 1 .. 3),
        '200 200 429', 'known');
};

subtest 'by address' => sub {
    my @r = map { $t->get('/ip') } 1 .. 5;
    is(join(' ', map { $_->{status} } @r), '200 200 200 200 429', 'four');
    is($r[0]{headers}{'ratelimit-policy'}, '"ip-3600";q=4;w=3600', 'named ip');
};

subtest 'dry run' => sub {
    my $key = key();
    my @r = map { ask('/dry', $key) } 1 .. 6;
    is(join(' ', map { $_->{status} } @r), join(' ', (200) x 6), 'all pass');
    is($r[5]{headers}{ratelimit}, undef, 'nobody is told');
    my @said = slurp($t->dir . '/logs/error.log')
        =~ /\[notice\].*"dry-3600" would have refused/g;
    is(scalar @said, 4, 'the log is');
};

subtest 'inherited, added, cancelled' => sub {
    my $key = key();
    is(ask('/inner/more', $key)->{headers}{'ratelimit-policy'},
        '"more-3600";q=2;w=3600, "outer-3600";q=9;w=3600', 'added');
    is(ask('/inner', $key)->{headers}{'ratelimit-policy'},
        '"outer-3600";q=9;w=3600', 'its own');
    is(ask('/inner/off', $key)->{headers}{'ratelimit-policy'}, undef, 'off');
    is(ask('/inner/alone', $key)->{headers}{'ratelimit-policy'},
        '"alone-3600";q=2;w=3600', 'only this');
    is(limits(ask('/inner', $key))->{'outer-3600'}[0], 6,
        'three of nine were outer\'s');
};

subtest 'by method' => sub {
    my $key = key();
    my $as = sub { $t->request($_[0], '/method', headers => { 'x-key' => $key })
        ->{status} };
    is(join(' ', map { $as->($_) } qw(POST DELETE POST GET HEAD PUT PUT PUT)),
        '200 200 429 200 429 200 200 200', 'each by its own line');
};

subtest 'metrics' => sub {
    my $key = key();
    my $n = sub { $t->get('/metrics')->{content} =~ /^\Q$_[0]\E (\d+)/m; $1 };
    my $refused = 'travel_limit_refused_total{policy="burst-10"}';
    my $was = $n->($refused);
    my $in  = $n->('travel_limit_admitted_total');
    ask('/burst', $key) for 1 .. 13;
    is($n->($refused) - $was, 3, 'three refused');
    is($n->('travel_limit_admitted_total') - $in, 10, 'ten admitted');
    is($n->('travel_limit_dry_run_total{policy="dry-3600"}'), 4, 'dry run');
};

subtest 'an internal redirect counts once' => sub {
    my $key = key();
    my $r = ask('/page', $key);
    is($r->{status}, 404, 'an error page');
    is(limits($r)->{'page-3600'}[0], 4, 'counted once, told once');
    is(limits(ask('/page', $key))->{'page-3600'}[0], 3, 'and again');
};

subtest 'long keys' => sub {
    my $stem = key('x' x 100);
    is(statuses('/slide', $stem . 'a', 6), '200 200 200 200 200 429', 'one');
    is(statuses('/slide', $stem . 'b', 1), '200', 'another with the same start');
    is(statuses('/slide', substr($stem, 0, 64), 1), '200', 'and its start');
    my $exact = substr($stem, 0, 63) . '!';
    is(statuses('/slide', $exact, 6), '200 200 200 200 200 429', '64 bytes');
};

subtest 'counts survive' => sub {
    my $key = key();
    is(statuses('/burst', $key, 6), join(' ', (200) x 6), 'six');
    $t->reload;
    is(limits(ask('/burst', $key))->{'burst-10'}[0], 3, 'a reload');
    $t->kill_child('nginx');
    wait_for(sub { $t->children_of('nginx') >= 2 }, 5, 'a new worker');
    sleep 0.2;
    is(limits(ask('/burst', $key))->{'burst-10'}[0], 2, 'a worker\'s death');
    is(statuses('/burst', $key, 3), '200 200 429', 'to the end');
};

subtest 'workers die under load' => sub {
    my $key = key();
    my @kids;
    for (1 .. 3) {
        my $pid = fork // die;
        if (!$pid) {
            my $end = time + 3;
            while (time < $end) {
                my $http = HTTP::Tiny->new(keep_alive => 1, timeout => 2);
                $http->get($t->url . '/many', { headers => { 'x-key' =>
                    int rand 5000 } }) for 1 .. 20;
            }
            POSIX::_exit(0);
        }
        push @kids, $pid;
    }
    for (1 .. 6) { sleep 0.4; $t->kill_child('nginx') }
    waitpid $_, 0 for @kids;
    wait_for(sub { $t->children_of('nginx') >= 2 }, 5, 'workers');
    sleep 0.2;
    is(crowd(6, 5, '/burst', $key), 10, 'and the counts are exact again');
};

subtest 'a full zone' => sub {
    my $hot = key();
    my ($ok, $bad) = (0, 0);
    # 2 MB hold about two thousand keys: ask with six thousand, pipelined, and
    # with one that stays in use
    for my $round (1 .. 60) {
        my $in = $t->raw(join '', map { "GET /many HTTP/1.1\r\nHost: x\r\n"
            . "X-Key: f$round-$_\r\n"
            . ($_ == 100 ? "Connection: close\r\n" : '') . "\r\n" } 1 .. 100);
        $ok += () = $in =~ /HTTP\/1\.1 200/g;
        $bad++ if limits(ask('/many', $hot))->{'many-60'}[0] != 300 - $round;
    }
    is($ok, 6000, 'strangers are admitted');
    is($bad, 0, 'who asks on is not forgotten');
};

subtest 'nginx -t says what to do' => sub {
    my @case = (
        ['travel_limit $http_a;', qr/must have a rate, as in 60r\/m/],
        ['travel_limit GET;', qr/names methods but no key/],
        ['travel_limit abc 60r/m;', qr/key "abc" must have a variable/],
        ['travel_limit $http_a 60r/x;', qr/"travel_limit": "60r\/x" must be a rate, <N>r\/s, r\/m, r\/h or r\/d .*; or one of burst=, name=/],
        ['travel_limit $http_a 0r/s;', qr/"0r\/s" must be a rate/],
        ['travel_limit $http_a r/s;', qr/"r\/s" must be a rate/],
        ['travel_limit $http_a 2000000000r/s;', qr/must be a rate/],
        ['travel_limit $http_a burst=5;', qr/must be burst=N\/T/],
        ['travel_limit $http_a burst=5/2d;', qr/must be burst=N\/T with T from 1s to 1d/],
        ['travel_limit $http_a burst=0/1s;', qr/must be burst=N\/T/],
        ['travel_limit $http_a 1r/m burst=5/60s;', qr/second window of 60 s/],
        ['travel_limit $http_a 1r/s 1r/m 1r/h 1r/d burst=1/2s;', qr/one window too many/],
        ['travel_limit $http_a 1r/s name=a name=b;', qr/"name=" is given twice/],
        ['travel_limit $http_a 1r/s name=A;', qr/must be 1 to 32 of a-z/],
        ['travel_limit $http_a 1r/s name=many;', qr/name "many" already stands for another key/],
        ['travel_limit $http_x_key 1r/s name=many;', qr/or other rates/],
    );
    for (@case) {
        my ($line, $want) = @$_;
        my $text = slurp($t->dir . '/nginx.conf');
        $text =~ s/(location \/free +\{)/$1 $line/ or die 'no location /free';
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $want, 'message');
        like($out, qr/bad\.conf:\d+/, 'where');
    }
};

$t->finish;
done_testing();
