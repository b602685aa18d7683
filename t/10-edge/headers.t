# What every answer says whoever made it: CORS, security headers, X-Request-Id,
# Proxy-Status; on answers of ours, of an application behind us, and on errors.
use strict;
use warnings;
use IO::Socket::INET;
use Test::More;
use Travel::Test;

my $CONF = <<'END';
    travel_catalog  @RUN@/catalog;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_postgres primary "host=/nowhere dbname=travel user=nobody";

    upstream dead { server 127.0.0.1:1; }
    upstream none { server 127.0.0.1:1 down; server 127.0.0.1:2 down; }

    travel_security_headers on;

    server {
        listen 127.0.0.1:@PORT@;
        error_page  400 401 403 404 405 408 411 412 413 414 415 416 421
                    500 501 502 503 504 505 /_travel/error;
        error_page  494 =431 /_travel/error;
        location = /_travel/error { internal; travel_error_page; }
        client_max_body_size 1k;
        proxy_read_timeout 300ms;

        location = /health { return 200; }
        location /problems/ { travel_problems base=http://127.0.0.1:@PORT@/problems/; }
        location = /plain  { return 200 "plain\n"; }
        location = /any    { travel_cors *; return 200 "any\n"; }
        location /api/ {
            travel_cors https://app.example.com https://*.example.org
                        http://localhost:3000 credentials max_age=10m;
            location = /api/read  { travel_query GET t.one; }
            location = /api/mine  { travel_auth required jwks=main audience=travel;
                                    travel_query GET t.one; }
            location = /api/off   { travel_cors off; return 200; }
            location = /api/app   { proxy_pass http://127.0.0.1:@PORT_SANDBOX@/app; }
            location = /api/dead  { proxy_pass http://dead; }
            location = /api/none  { proxy_pass http://none; }
            location = /api/slow  { proxy_pass http://127.0.0.1:@PORT_SMTP@; }
            location = /api/mute  { proxy_pass http://127.0.0.1:@PORT_OTLP@; }
            location = /api/junk  { proxy_pass http://127.0.0.1:@PORT_METRICS@; }
            location = /api/own5  { proxy_pass http://127.0.0.1:@PORT_SANDBOX@/502; }
            location = /api/401   { return 401; }
        }
        location = /wide {
            travel_cors https://app.example.com headers=* methods=GET,PURGE
                        expose=X-Mine,ETag;
            return 200;
        }
        location = /page {
            travel_security_headers on "csp=default-src 'self'" frame=SAMEORIGIN
                referrer=same-origin permissions=off "hsts=max-age=60" nosniff=on;
            proxy_pass http://127.0.0.1:@PORT_SANDBOX@/app;
        }
        location = /file { alias @RUN@/jwks.json; }
        location = /bare { travel_security_headers off; travel_request_id off;
                           return 200; }
        location / { return 404; }
    }
    server {
        listen 127.0.0.1:@PORT_SANDBOX@;
        travel_security_headers off;
        travel_request_id off;
        location = /502 { add_header Proxy-Status "inner; error=dns_error" always;
                          return 502 "the application's own"; }
        location = /app {
            add_header Access-Control-Allow-Origin "*";
            add_header Access-Control-Allow-Credentials "true";
            add_header Content-Security-Policy "default-src 'self' cdn";
            add_header Vary Accept;
            return 200 "$http_x_request_id";
        }
    }
END

my $t = Travel::Test->new(parts => 'nginx', http => $CONF, allow_5xx => 1);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.one.sql', "-- \@public\n-- \@returns one\nSELECT '1'");

# An application that never answers, one that hangs up, one that talks nonsense.
my @stubs;
for (['', 20], ['', 0], ["HTTP/1.1 200 OK\r\n\0: x\r\n\r\n", 0.2]) {
    my ($say, $stay) = @$_;
    my $port = $t->port + 2 + @stubs;
    my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
        Listen => 8, ReuseAddr => 1) or die "port $port: $!";
    my $pid = fork // die;
    if (!$pid) {
        my @kept;
        while (my $c = $l->accept) {
            sysread $c, my $in, 4096;
            syswrite $c, $say if length $say;
            if ($stay > 1) { push @kept, $c }
            else { select undef, undef, undef, $stay if $stay; close $c }
        }
        POSIX::_exit(0);
    }
    push @stubs, $pid;
}
END { kill 'TERM', @stubs if @stubs }
$t->launch;

my $APP = 'https://app.example.com';
sub ask {
    my ($method, $path, %h) = @_;
    return $t->request($method, $path, headers => \%h, allow_5xx => 1);
}
sub acao { $_[0]{headers}{'access-control-allow-origin'} }
sub vary { my $v = $_[0]{headers}{vary}; join ', ', ref $v ? @$v : $v // () }
sub preflight {
    my ($path, $origin, %h) = @_;
    return ask('OPTIONS', $path, origin => $origin,
        'access-control-request-method' => 'GET', %h);
}

subtest 'a preflight' => sub {
    my $r = preflight('/api/read', $APP,
        'access-control-request-headers' => 'authorization,x-mine');
    is($r->{status}, 204, 'answered');
    is($r->{content} // '', '', 'with nothing');
    is(acao($r), $APP, 'the origin');
    is($r->{headers}{'access-control-allow-credentials'}, 'true', 'credentials');
    is($r->{headers}{'access-control-allow-methods'}, 'GET, HEAD',
        'what the location serves');
    like($r->{headers}{'access-control-allow-headers'},
        qr/authorization.*idempotency-key/, 'what may be sent');
    is($r->{headers}{'access-control-max-age'}, 600, 'for how long');
    like(vary($r), qr/\bOrigin\b/, 'Vary: Origin');
    like(vary($r), qr/Access-Control-Request-Headers/, 'and what it depends on');
    is($r->{headers}{'access-control-expose-headers'}, undef, 'no more');
    is(preflight('/api/mine', $APP)->{status}, 204, 'before anybody is asked who');
    is(preflight('/api/app', $APP)->{status}, 204, 'nor is the application');
    is(preflight('/api/dead', $APP)->{headers}{'access-control-allow-methods'},
        'GET, HEAD, POST, PUT, PATCH, DELETE', 'which may serve anything');
    is(preflight('/api/read', $_)->{status}, 204, $_)
        for 'https://x.example.org', 'https://a.b.example.org',
        'http://localhost:3000';
    for ('https://evil.example', 'null', 'https://example.org',
        'https://evilexample.org', 'http://app.example.com',
        'https://app.example.com.evil.example', 'https://app.example.com:444')
    {
        my $r = preflight('/api/read', $_);
        is($r->{status}, 403, "not $_");
        is(acao($r), undef, '  no header');
        is($r->{json}{error}{code}, 'AUTHORIZATION_ERROR', '  the one shape');
        like(vary($r), qr/\bOrigin\b/, '  Vary: Origin');
    }
    is(ask('OPTIONS', '/api/read', origin => $APP)->{status}, 405,
        'OPTIONS that is none');
    is(preflight('/api/off', $APP)->{headers}{'access-control-allow-methods'},
        undef, 'off');
    is(preflight('/api/nothing', $APP)->{status}, 204, 'a place that is not');
};

subtest 'a wide policy' => sub {
    my $r = preflight('/wide', $APP,
        'access-control-request-headers' => 'x-one, x-two');
    is($r->{headers}{'access-control-allow-headers'}, 'x-one, x-two', 'as asked');
    is($r->{headers}{'access-control-allow-methods'}, 'GET, PURGE', 'as said');
    is($r->{headers}{'access-control-allow-credentials'}, undef, 'no credentials');
    $r = preflight('/wide', $APP,
        'access-control-request-headers' => 'x-one, "<script>"');
    is($r->{headers}{'access-control-allow-headers'}, '*', 'nothing strange');
    $r = ask('GET', '/wide', origin => $APP);
    is($r->{headers}{'access-control-expose-headers'}, 'X-Mine, ETag', 'exposed');
    $r = ask('GET', '/any', origin => 'https://whoever.example');
    is(acao($r), '*', 'anybody');
    is(vary($r), '', 'the same for all');
    is(acao(ask('GET', '/any')), '*', 'with no origin too: it may be cached');
};

subtest 'answers' => sub {
    my $r = ask('GET', '/api/app', origin => $APP);
    is($r->{status}, 200, 'of an application');
    is(acao($r), $APP, 'one origin, ours');
    is($r->{headers}{'access-control-allow-credentials'}, 'true', 'once');
    like(vary($r), qr/Accept/, "its Vary stays");
    like(vary($r), qr/Origin/, 'and ours comes');
    like($r->{headers}{'access-control-expose-headers'}, qr/X-Request-Id/,
        'exposed');
    $r = ask('GET', '/api/app', origin => 'https://evil.example');
    is($r->{status}, 200, 'CORS is no access control');
    is(acao($r), undef, 'but a script reads nothing');
    is($r->{headers}{'access-control-allow-credentials'}, undef, 'at all');
    $r = ask('GET', '/api/app');
    is(acao($r), undef, 'without an origin');
    like(vary($r), qr/Origin/, 'it depends on it all the same');
    $r = ask('GET', '/api/off', origin => $APP);
    is(acao($r), undef, 'off');
    is(vary($r), '', 'and no Vary');
};

# Errors from every phase: a script must be able to read why.
subtest 'errors' => sub {
    for (['/api/mine', 401], ['/api/401', 401], ['/api/dead', 502],
        ['/api/slow', 504], ['/api/read', 503], ['/api/nothing', 404])
    {
        my ($path, $status) = @$_;
        my $r = ask('GET', $path, origin => $APP);
        is($r->{status}, $status, "$path: $status");
        is(acao($r), $APP, '  can be read');
        like(vary($r), qr/Origin/, '  Vary');
        ok($r->{json}{error}{code}, '  the one shape');
        is($r->{headers}{'x-content-type-options'}, 'nosniff', '  nosniff');
        is($r->{headers}{'x-request-id'}, $r->{json}{error}{request_id},
            '  the id of both');
    }
};

subtest 'the type of a problem leads to a page' => sub {
    for ('/api/mine', '/api/nothing', '/api/read') {
        my $type = ask('GET', $_, accept => 'application/problem+json')
            ->{json}{type};
        my ($path) = $type =~ m{^\Q@{[$t->url]}\E(/problems/[A-Z_]+)$};
        ok($path, "$_: $type");
        my $r = ask('GET', $path // '/');
        is($r->{status}, 200, '  is there');
        is($r->{headers}{'content-type'}, 'text/html; charset=utf-8', '  HTML');
        like($r->{content}, qr{^<!DOCTYPE html>.*<h1>.+</h1>.*status \d{3}}s,
            '  for people');
    }
    my $all = ask('GET', '/problems/')->{content};
    like($all, qr{<a href="QUEUE_FULL">}, 'a list of all');
    is(ask('HEAD', '/problems/QUEUE_FULL')->{status}, 200, 'HEAD');
    is(ask('GET', '/problems/NOTHING')->{status}, 404, 'no such code');
    is(ask('POST', '/problems/QUEUE_FULL')->{status}, 405, 'POST');
};

subtest 'Proxy-Status' => sub {
    my $of = sub { ask('GET', $_[0])->{headers}{'proxy-status'} };
    is($of->('/api/dead'), 'ngx_travel; error=connection_refused', 'refused');
    is($of->('/api/none'), 'ngx_travel; error=destination_unavailable', 'none');
    is($of->('/api/slow'), 'ngx_travel; error=http_response_timeout', 'silent');
    is($of->('/api/mute'), 'ngx_travel; error=connection_terminated', 'hung up');
    is($of->('/api/junk'), 'ngx_travel; error=http_protocol_error', 'nonsense');
    my $r = ask('GET', '/api/own5');
    is($r->{status}, 502, 'an error that the application made');
    is($r->{content}, "the application's own", 'is passed on');
    is($r->{headers}{'proxy-status'}, 'inner; error=dns_error',
        'with what another proxy said of it, and nothing claimed');
    is($of->('/api/read'), undef, 'where we are the origin we say nothing');
    is($of->('/api/app'), undef, 'nor of what went well');
};

subtest 'security headers' => sub {
    my $r = ask('GET', '/plain');
    my $h = $r->{headers};
    is($h->{'content-security-policy'},
        "default-src 'none'; frame-ancestors 'none'", 'csp');
    is($h->{'x-content-type-options'}, 'nosniff', 'nosniff');
    is($h->{'x-frame-options'}, 'DENY', 'frame');
    is($h->{'referrer-policy'}, 'no-referrer', 'referrer');
    like($h->{'permissions-policy'}, qr/camera=\(\)/, 'permissions');
    is($h->{'strict-transport-security'}, undef, 'no HSTS over plain HTTP');
    $h = ask('GET', '/page')->{headers};
    is($h->{'content-security-policy'}, "default-src 'self' cdn",
        'what the application says stays, once');
    is($h->{'x-frame-options'}, 'SAMEORIGIN', 'what is set is set');
    is($h->{'referrer-policy'}, 'same-origin', 'and set');
    is($h->{'permissions-policy'}, undef, 'or off');
    $h = ask('GET', '/bare')->{headers};
    is_deeply([grep { defined $h->{$_} } qw(content-security-policy
        x-content-type-options x-frame-options referrer-policy x-request-id)],
        [], 'all off');
};

subtest 'X-Request-Id' => sub {
    for (['/plain', 200], ['/nothing', 404], ['/api/dead', 502]) {
        my ($path, $status) = @$_;
        my $r = ask('GET', $path);
        is($r->{status}, $status, $path);
        like($r->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}\z/, 'has one');
        $r = ask('GET', $path, 'x-request-id' => 'mine-17');
        is($r->{headers}{'x-request-id'}, 'mine-17', "keeps the client's");
        $r = ask('GET', $path, 'x-request-id' => 'a b');
        like($r->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}\z/, 'unless it is odd');
    }
    # errors from before there is a location, or even a head
    my %raw = (
        'a bad request line' => ["GET\r\n\r\n", 400],
        'a bad version'      => ["GET / HTTP/3.9\r\nHost: a\r\n\r\n", 505],
        'no host'            => ["GET / HTTP/1.1\r\n\r\n", 400],
        'two lengths'        => ["POST / HTTP/1.1\r\nHost: a\r\n"
            . "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
        'a long line'        => ['GET /' . 'a' x 40000 . " HTTP/1.1\r\n\r\n", 414],
        'a long header'      => ["GET / HTTP/1.1\r\nHost: a\r\nX: "
            . 'a' x 40000 . "\r\n\r\n", 431],
        'a long body'        => ["POST /plain HTTP/1.1\r\nHost: a\r\n"
            . "Content-Length: 5000\r\n\r\n", 413],
        'a bad path'         => ["GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400],
        'an odd encoding'    => ["POST / HTTP/1.1\r\nHost: a\r\n"
            . "Transfer-Encoding: odd\r\n\r\n", 501],
        'a range beyond'     => ["GET /file HTTP/1.1\r\nHost: a\r\n"
            . "Range: bytes=999999-\r\n\r\n", 416],
        'an old If-Match'    => ["GET /file HTTP/1.1\r\nHost: a\r\n"
            . "If-Match: \"x\"\r\n\r\n", 412],
        'TRACE'              => ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    );
    for (sort keys %raw) {
        my ($bytes, $status) = @{ $raw{$_} };
        my $got = $t->raw($bytes, timeout => 1, allow_5xx => 1);
        like($got, qr/\AHTTP\/1\.1 $status /, "$_: $status");
        my ($id) = $got =~ /^X-Request-Id: (\S+)\r$/m;
        ok($id, '  has an id');
        like($got, qr/"error":\{"code":"[A-Z_]+".*"request_id":"\Q$id\E"/,
            '  the one shape, with it') if defined $id;
        like($got, qr/^X-Content-Type-Options: nosniff\r$/m, '  nosniff');
    }
};

subtest 'nginx -t' => sub {
    my $try = sub {
        my ($line, $why, $what) = @_;
        my $conf = slurp($t->dir . '/nginx.conf')
            =~ s/location = \/any.*/location = \/any { $line }/r;
        $t->write('bad.conf', $conf);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $why, '  says what to do');
    };
    $try->('travel_cors https://App.example.com;', qr/in lower case/);
    $try->('travel_cors null;', qr/must be an origin/);
    $try->('travel_problems x;', qr/parameter "x" must be base=/);
    $try->('travel_problems base=https://a;', qr/ends with "\/"/);
    $try->('travel_problems base=https://a/;', qr/another base= than one before/);
    $try->('travel_cors https://a/;', qr/must be an origin/);
    $try->('travel_cors credentials;', qr/names no origin/);
    $try->('travel_cors * credentials;', qr/name the origins/);
    $try->('travel_cors * max_age=2d;', qr/from 0 to 1d/);
    $try->('travel_cors * "headers=a b:";', qr/list of names/);
    $try->('travel_cors * maxage=2;', qr/must be an origin .*; or one of credentials, max_age=/);
    $try->('travel_cors *; travel_cors *;', qr/is duplicate/);
    $try->('travel_security_headers maybe;', qr/begins with "on"/);
    $try->('travel_security_headers on frame=ALLOW;', qr/must be DENY, SAMEORIGIN or off/);
    $try->('travel_security_headers on hsts=1y;', qr/max-age=SECONDS/);
    $try->('travel_security_headers on referrer=none;', qr/is no referrer policy: use no-referrer/);
    $try->('travel_security_headers on nosniff=no;', qr/must be "on" or "off"/);
    $try->('travel_security_headers on cps=x;', qr/must be one of csp=, hsts=/);
    $try->("travel_security_headers on 'csp=a\\nb';", qr/line break/);
};

$t->finish;
done_testing();
