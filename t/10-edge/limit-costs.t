# What a request costs, days that end at somebody's midnight, and what the
# header fields promise (draft-ietf-httpapi-ratelimit-headers).
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $conf = <<'END';
    travel_zone limits 2m shards=4;

    server {
        listen unix:@RUN@/echo.sock;
        location /bytes/ { root @RUN@/files; }
        location / { return 200 "ok"; }
    }
    server {
        listen 127.0.0.1:@PORT@;
        proxy_set_header X-Key "";

        location /cost     { travel_limit $http_x_key 100r/m name=cost cost=$arg_cost;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /cost/ten { travel_limit $http_x_key 100r/m name=cost cost=10;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /response { travel_limit $http_x_key 10kb/m name=out cost=response;
                             proxy_pass http://unix:@RUN@/echo.sock:/bytes; }
        location /request  { travel_limit $http_x_key 4kb/m burst=2k/2s name=in cost=request;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /both     { travel_limit $http_x_key 10kb/m name=both cost=bytes reserve=2k;
                             proxy_pass http://unix:@RUN@/echo.sock:/bytes; }
        location /slide    { travel_limit $http_x_key burst=20/2s name=slide cost=$arg_cost;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /day      { travel_limit $http_x_key 3r/d window=day tz=$http_x_tz name=day;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /utc      { travel_limit $http_x_key 3r/d window=day name=utc;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /kiritimati { travel_limit $http_x_key 3r/d 9r/h window=day tz=Pacific/Kiritimati name=kiri;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /part     { travel_limit $http_x_key 5r/m name=part partition;
                             travel_limit $http_x_key 5r/h name=whole;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /promise  { travel_limit $http_x_key burst=3/1s burst=5/3s name=promise;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /free     { proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->start(parts => 'nginx', http => $conf);
mkdir $t->dir . '/files';
mkdir $t->dir . '/files/bytes';
$t->write("files/bytes/3k", 'x' x 3000);
chmod 0755, $t->dir . '/files', $t->dir . '/files/bytes';

my $serial = 0;
sub key { return "k$$-" . ++$serial }

sub ask {
    my ($path, $key, %o) = @_;
    return $t->request($o{method} // 'GET', $path, %o,
        headers => { 'x-key' => $key, %{ $o{headers} || {} } });
}

# RateLimit as the draft has it: a list of strings with r and, maybe, t and pk.
sub limits {
    my ($r) = @_;
    my %h;
    for (split /,\s*/, $r->{headers}{ratelimit} // '') {
        /^"([^"]+)";r=(\d+)(?:;t=(\d+))?(?:;pk=:([A-Za-z0-9+\/=]+):)?$/
            or return { bad => $_ };
        $h{$1} = { r => $2, t => $3, pk => $4 };
    }
    return \%h;
}

sub left { return limits($_[0])->{ $_[1] }{r} }

subtest 'a declared cost' => sub {
    my $key = key();
    is(left(ask('/cost?cost=30', $key), 'cost-60'), 70, 'thirty of a hundred');
    is(left(ask('/cost', $key), 'cost-60'), 69, 'none declared: one');
    is(left(ask('/cost?cost=junk', $key), 'cost-60'), 68, 'junk: one');
    is(left(ask('/cost/ten', $key), 'cost-60'), 58,
        'the same policy at another price');
    my $r = ask('/cost?cost=59', $key);
    is($r->{status}, 429, 'more than there is');
    is(left($r, 'cost-60'), 58, 'what there is');
    like($r->{json}{error}{message}, qr/"cost-60" is 100 units in 60 s: ask/,
        'message');
    ok($r->{headers}{'retry-after'} >= limits($r)->{'cost-60'}{t},
        'Retry-After is not before t');
    is(ask('/cost?cost=58', $key)->{status}, 200, 'the rest');
    is(ask('/cost?cost=0', $key)->{status}, 429, 'free, yet there must be room');
    $r = ask('/cost?cost=101', key());
    is($r->{status}, 429, 'more than there ever is');
    is($r->{headers}{'retry-after'}, undef, 'no time is named');
    like($r->{json}{error}{message}, qr/asks for 101 at once: it is never/,
        'it is said');
    is(ask('/cost?cost=99999999999999999999', key())->{status}, 200,
        'no number: one');
};

subtest 'costs slide, and Retry-After is true for what was asked' => sub {
    my $key = key();
    my $t0 = time;
    is(ask('/slide?cost=8', $key)->{status}, 200, 'eight of twenty');
    sleep $t0 + 0.9 - time;
    is(ask('/slide?cost=8', $key)->{status}, 200, 'eight more');
    my $r = ask('/slide?cost=5', $key);
    my $t1 = time;
    is($r->{status}, 429, 'five do not fit');
    my $wait = $r->{headers}{'retry-after'};
    like($wait, qr/^[12]$/, 'the first eight leave in 1.1 s');
    $r = ask('/slide?cost=15', $key);
    cmp_ok($r->{headers}{'retry-after'}, '>=', $wait,
        'for fifteen all must leave');
    is(ask('/slide?cost=4', $key)->{status}, 200, 'four fit');
    sleep $t1 + $wait - time;
    is(ask('/slide?cost=5', $key)->{status}, 200, 'as it said');
};

subtest 'bytes' => sub {
    my $key = key();
    my $r = ask('/response/3k', $key);
    is($r->{headers}{'ratelimit-policy'},
        '"out-60";q=10240;w=60;qu="content-bytes"', 'the unit is said');
    is(left($r, 'out-60'), 10239, 'one is reserved');
    is(length $r->{content}, 3000, 'sent');
    wait_for(sub { left($r = ask('/response/none', $key), 'out-60') < 8000 },
        3, 'the answer is counted');
    ask('/response/3k', $key) for 1 .. 3;
    wait_for(sub { ask('/response/3k', $key)->{status} == 429 }, 3, 'over');
    is(left(ask('/response/3k', $key), 'out-60'), 0, 'nothing is left');

    $key = key();
    is(ask('/request', $key, method => 'POST', body => 'x' x 1500)
        ->{status}, 200, 'a body');
    $r = ask('/request', $key, method => 'POST', body => 'x' x 600);
    is($r->{status}, 429, 'known before it is read');
    like($r->{json}{error}{message}, qr/"in-2" is 2048 bytes in 2 s/, 'bytes');
    is(left($r, 'in-2'), 548, 'the refused one does not count');
    is(ask('/request', $key, method => 'POST', body => 'x' x 548)
        ->{status}, 200, 'what is left');
    is(left(ask('/request', $key), 'in-60'), 4096 - 2048, 'exactly that');
    $key = key();
    my $in = $t->raw("POST /request HTTP/1.1\r\nHost: x\r\nX-Key: $key\r\n"
        . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        . "258\r\n" . 'x' x 600 . "\r\n0\r\n\r\n");
    like($in, qr/^HTTP\/1.1 200/, 'chunked');
    wait_for(sub { left(ask('/request', $key), 'in-60') <= 4096 - 600 }, 3,
        'counted when it is known');

    $key = key();
    $r = ask('/both/3k', $key);
    is(left($r, 'both-60'), 8 * 1024, 'reserved');
    wait_for(sub { left(ask('/both/3k?', $key, method => 'HEAD'), 'both-60')
        == 10240 - 3000 - 2048 }, 3, 'the reserve made way for what it was');
};

subtest 'days end at midnight' => sub {
    my $now = time;
    my $secs = 86400 - $now % 86400;
    my $key = key();
    my @r = map { ask('/utc', $key) } 1 .. 4;
    is(join(' ', map { $_->{status} } @r), '200 200 200 429', 'three');
    is($r[0]{headers}{'ratelimit-policy'}, '"utc-day";q=3;w=86400', 'a day');
    like($r[3]{json}{error}{message}, qr/"utc-day" is 3 requests a day/, 'said');
    SKIP: {
        skip 'midnight is too near to tell', 1 if $secs < 5;
        cmp_ok(abs($r[3]{headers}{'retry-after'} - $secs), '<=', 3,
            'until midnight UTC');
    }
    for my $tz ('Asia/Tokyo', 'America/New_York', 'Europe/Berlin',
        'Asia/Kathmandu')
    {
        $key = key();
        my $r;
        $r = ask('/day', $key, headers => { 'x-tz' => $tz }) for 1 .. 4;
        local $ENV{TZ} = $tz;
        POSIX::tzset();
        my @l = localtime;
        my $want = POSIX::mktime(0, 0, 0, $l[3] + 1, $l[4], $l[5]) - time;
        is($r->{status}, 429, $tz);
        cmp_ok(abs($r->{headers}{'retry-after'} - $want), '<=', 3,
            'until the user\'s midnight');
        is($r->{headers}{'x-ratelimit-reset'}, limits($r)->{'day-day'}{t},
            '-Reset says the same');
    }
    POSIX::tzset();
    my $r;
    $r = ask('/day', key(), headers => { 'x-tz' => 'Atlantis/City' });
    is(left($r, 'day-day'), 2, 'no such zone');
    cmp_ok(abs(limits($r)->{'day-day'}{t} - (86400 - time % 86400)), '<=', 3,
        'is UTC');

    $key = key();
    my @zones = qw(Pacific/Pago_Pago Pacific/Kiritimati Pacific/Pago_Pago);
    my $ok = 0;
    for my $tz (@zones) {
        $ok += ask('/day', $key, headers => { 'x-tz' => $tz })->{status} == 200
            for 1 .. 4;
    }
    ok($ok == 6 || $ok == 3, "zones changed to and fro: $ok, one day more");
    my @kiri = map { ask('/kiritimati', 'k') } 1 .. 4;
    is($kiri[3]{status}, 429, 'by directive');
    is(left($kiri[3], 'kiri-3600'), 6, 'beside a sliding window');
};

subtest 'what the fields look like' => sub {
    my $key = key();
    my @r = map { ask('/part', $key) } 1 .. 2;
    my $pk = limits($r[0])->{'part-60'}{pk};
    ok($pk && length($pk) % 4 == 0, 'pk is a byte sequence');
    is(limits($r[1])->{'part-60'}{pk}, $pk, 'the same for the same key');
    isnt(limits(ask('/part', key()))->{'part-60'}{pk}, $pk, 'not for another');
    is(limits($r[0])->{'whole-3600'}{pk}, undef, 'only where it is wanted');
    my %policy;
    $policy{ $_->{headers}{'ratelimit-policy'} }++
        for @r, map { ask('/part', $key) } 1 .. 5;
    is(scalar keys %policy, 1, 'RateLimit-Policy is constant');
    is(scalar(grep { $_->{headers}{ratelimit} } ask('/free', $key)), 0,
        'and absent where there is no limit');
    my $r = ask('/part', $key, headers => { accept => 'application/problem+json' });
    is($r->{status}, 429, 'over');
    is($r->{headers}{'content-type'}, 'application/problem+json', 'a problem');
    is($r->{json}{type}, 'https://iana.org/assignments/http-problem-types'
        . '#quota-exceeded', 'of the registered type');
    is_deeply($r->{json}{'violated-policies'}, ['part-60', 'whole-3600'],
        'violated-policies');
    is($r->{json}{status}, 429, 'status is the status');
    ok($r->{headers}{'retry-after'} >= (limits($r)->{$_}{t} // 0),
        "Retry-After is not before t of $_") for qw(part-60 whole-3600);
};

# A client that does what the fields say: as many as r at once are admitted, one
# more is not; and after Retry-After it is.
subtest 'a promise is kept' => sub {
    my $key = key();
    my ($broken, $refused) = (0, 0);
    my $end = time + 5;
    my $t0 = time;
    my $r = ask('/promise', $key);
    while (time < $end) {
        my $l = limits($r);
        if ($r->{status} == 429) {
            $refused++;
            my $wait = $r->{headers}{'retry-after'};
            $broken++ if grep { defined $_->{t} && $_->{t} > $wait } values %$l;
            sleep $wait;
            $t0 = time;
            $r = ask('/promise', $key);
            $broken++ if $r->{status} != 200;
            next;
        }
        my ($room) = sort { $a <=> $b } map { $_->{r} } values %$l;
        $broken++ if $r->{headers}{'x-ratelimit-remaining'} != $room;
        for (1 .. $room) {
            $r = ask('/promise', $key);
            $broken++ if $r->{status} != 200;
        }
        $r = ask('/promise', $key);
        # room may have come back meanwhile, but not before t said so
        my ($t) = sort { $a <=> $b } map { $_->{t} } values %$l;
        $broken++ if $r->{status} != 429 && time - $t0 < $t - 1.5;
    }
    is($broken, 0, 'nothing promised was refused');
    ok($refused >= 2, 'and it was tried');
};

subtest 'nginx -t says what to do' => sub {
    my @case = (
        ['10r/m cost=0', qr/"cost=0" must be a number from 1 to/],
        ['10r/m cost=many', qr/"cost=many" must be a number/],
        ['10r/m reserve=x', qr/"reserve=x" must be a number/],
        ['10r/m reserve=2', qr/reserve= and a cost that is known at once: remove it, or add cost=tokens/],
        ['10r/m cost=$http_c reserve=2', qr/reserve= and a cost that is known at once/],
        ['10r/m cost=11', qr/costs more than its shortest window has/],
        ['10r/m cost=response', qr/rates in bytes, as in/],
        ['10kb/m', qr/counts bytes by cost=request, response or bytes/],
        ['2000mb/m cost=bytes', qr/"2000mb\/m" must be a rate/],
        ['10r/h window=day', qr/needs a rate per day, as in/],
        ['10r/d tz=UTC', qr/needs a rate per day, as in "100r\/d window=day/],
        ['10r/d window=day tz=Nowhere', qr/"tz=Nowhere" names no time zone/],
        ['10r/d window=week', qr/"window=week" must be window=day/],
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
