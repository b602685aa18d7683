# delay=: who would be refused is held until there is room.
use strict;
use warnings;
use IO::Socket::INET ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $conf = <<'END';
    travel_zone limits 2m shards=4;

    server {
        listen unix:@RUN@/echo.sock;
        location / { return 200 "ok"; }
    }
    server {
        listen 127.0.0.1:@PORT@;
        location = /metrics { travel_metrics; }
        location /held  { travel_limit $http_x_key burst=2/2s name=held delay=3s;
                          proxy_pass http://unix:@RUN@/echo.sock; }
        location /short { travel_limit $http_x_key burst=2/5s name=short delay=1s;
                          proxy_pass http://unix:@RUN@/echo.sock; }
        location /few   { travel_limit $http_x_key burst=1/3s name=few delay=5s hold=2;
                          proxy_pass http://unix:@RUN@/echo.sock; }
        location /two   { travel_limit $http_x_key 50r/m name=wide;
                          travel_limit $http_x_key burst=1/1s name=narrow delay=2s;
                          proxy_pass http://unix:@RUN@/echo.sock; }
        location /free  { proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->start(parts => 'nginx', http => $conf, ngx_workers => 1);

my $serial = 0;
sub key { return "k$$-" . ++$serial }
sub ask { my ($path, $key) = @_; return $t->get($path, headers => { 'x-key' => $key }) }
sub metric { $t->get('/metrics')->{content} =~ /^\Q$_[0]\E (\d+)/m ? $1 : 0 }

# N at once: [status, seconds] each, by seconds.
sub together {
    my ($n, $path, $key) = @_;
    my @fh;
    my $t0 = time;                       # one for all: each may start late
    for (1 .. $n) {
        my $pid = open(my $fh, '-|') // die "fork: $!";
        if (!$pid) {
            my $r = HTTP::Tiny->new->get($t->url . $path,
                { headers => { 'x-key' => $key } });
            printf "%d %.3f", $r->{status}, time - $t0;
            close STDOUT;
            POSIX::_exit(0);
        }
        push @fh, $fh;
    }
    my @r = map { [split / /, readline $_] } @fh;
    close $_ for @fh;
    return sort { $a->[1] <=> $b->[1] } @r;
}

subtest 'held until there is room' => sub {
    my $key = key();
    my $was = metric('travel_limit_delayed_total{policy="held-2"}');
    my $t0 = time;
    my @r = map { ask('/held', $key) } 1 .. 3;
    my $took = time - $t0;
    is(join(' ', map { $_->{status} } @r), '200 200 200', 'all three');
    cmp_ok($took, '>=', 1.95, sprintf 'the third after %.2f s', $took);
    cmp_ok($took, '<', 2.9, 'and not much later');
    like($r[2]{headers}{ratelimit}, qr/"held-2";r=[01];/, 'it counts, once');
    cmp_ok(metric('travel_limit_delayed_total{policy="held-2"}'), '>', $was,
        'and is counted');
};

subtest 'never more than the window' => sub {
    my @r = together(6, '/held', key());
    my @ok = grep { $_->[0] == 200 } @r;
    cmp_ok(scalar(@ok), '<=', 4, 'two at once, two held: ' . @ok);
    cmp_ok(scalar(@ok), '>=', 3, 'but those are admitted');
    is(scalar(grep { $_->[1] >= 1.9 } @ok), @ok - 2, 'the others waited');
    my @no = grep { $_->[0] == 429 } @r;
    is(@ok + @no, 6, 'the rest is refused');
    ok(!(grep { $_->[1] > 4.5 } @r), 'nobody is held for longer than it says');
};

subtest 'refused at once when time would not help' => sub {
    my $key = key();
    my $t0 = time;
    my @r = map { ask('/short', $key) } 1 .. 3;
    is($r[2]{status}, 429, 'five seconds are more than one');
    cmp_ok(time - $t0, '<', 1, 'at once');
    like($r[2]{headers}{'retry-after'}, qr/^[45]$/, 'Retry-After');
};

subtest 'no more than hold=' => sub {
    my @r = together(6, '/few', key());
    my @fast = grep { $_->[0] == 429 && $_->[1] < 2 } @r;
    cmp_ok(scalar(@fast), '>=', 3, 'two are held, the others refused at once');
    is(scalar(grep { $_->[0] == 200 } @r), 2, 'one at once, one held');
};

subtest 'a client that leaves' => sub {
    my $key = key();
    is(ask('/few', $key)->{status}, 200, 'the place is taken');
    for (1 .. 6) {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $t->port)
            or die $!;
        print $s "GET /few HTTP/1.1\r\nHost: x\r\nX-Key: $key\r\n\r\n";
        sleep 0.1;
        close $s;
        sleep 0.1;
    }
    my $t0 = time;
    my $r = ask('/few', $key);
    is($r->{status}, 200, 'others are held in its place');
    cmp_ok(time - $t0, '>', 0.5, 'held it was');
};

subtest 'what others counted is taken back while it is held' => sub {
    my $key = key();
    my @r = map { ask('/two', $key) } 1 .. 3;
    is(join(' ', map { $_->{status} } @r), '200 200 200', 'three');
    like($r[2]{headers}{ratelimit}, qr/"wide-60";r=47;/, 'three of fifty');
};

subtest 'a reload while one is held' => sub {
    my $key = key();
    ask('/held', $key) for 1 .. 2;
    my $pid = open(my $fh, '-|') // die "fork: $!";
    if (!$pid) {
        print HTTP::Tiny->new->get($t->url . '/held',
            { headers => { 'x-key' => $key } })->{status};
        close STDOUT;
        POSIX::_exit(0);
    }
    sleep 0.2;
    $t->reload;
    is(scalar readline($fh), '200', 'it is answered by the old worker');
};

subtest 'nginx -t says what to do' => sub {
    for (['delay=2m', qr/"delay=2m" must be a time from 1ms to 60s/],
        ['delay=0', qr/"delay=0" must be/], ['delay=1s hold=0', qr/"hold=0" must be a number from 1 to 100000/],
        ['hold=5', qr/hold=, how many requests may wait, and lets none wait: add delay=/])
    {
        my ($line, $want) = @$_;
        my $text = slurp($t->dir . '/nginx.conf');
        $text =~ s/(location \/free +\{)/$1 travel_limit \$http_a 1r\/m $line;/
            or die 'no location /free';
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $want, 'message');
    }
};

$t->finish;
done_testing();
