# One request id: in from the client, in every answer, in every error's body,
# in the log and on to the application, whoever makes the answer.
use strict;
use warnings;
use Test::More;
use Travel::Test;

my $CONF = <<'END';
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 1;
error_log @LOGS@/error.log info;
pid @PIDS@/nginx.pid;
daemon off;
events { worker_connections 512; }
http {
    log_format ids "$request_uri $status $travel_request_id";
    access_log @LOGS@/ids.log ids;
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path @RUN@/tmp/proxy;
    fastcgi_temp_path @RUN@/tmp/fastcgi;
    uwsgi_temp_path @RUN@/tmp/uwsgi;
    scgi_temp_path @RUN@/tmp/scgi;
    client_header_buffer_size 1k;
    large_client_header_buffers 2 2k;
    client_header_timeout 2s;

    server {
        listen unix:@RUN@/echo.sock;
        location /own { add_header X-Request-Id theirs; return 200 $http_x_request_id; }
        location /bad { return 500; }
        location / { return 200 $http_x_request_id; }
    }
    server {
        listen 127.0.0.1:@PORT@;
        client_max_body_size 10;
        error_page 400 403 404 405 408 413 414 500 502 504 /_error;
        error_page 494 =431 /_error;
        error_page 418 /static/teapot.txt;
        error_page 410 @gone;
        proxy_set_header X-Request-Id $travel_request_id;
        travel_limit $http_x_key 100000r/m;

        location = /_error { internal; travel_error_page; }
        location = /health { travel_health; }
        location /limited  { travel_limit off; travel_limit $request_method 1r/h name=once;
                             proxy_pass http://unix:@RUN@/echo.sock; }
        location /own      { proxy_pass http://unix:@RUN@/echo.sock; }
        location /plain    { return 200 "plain"; }
        location /file     { root @RUN@/nowhere; }
        location /denied   { deny all; }
        location /dead     { proxy_pass http://127.0.0.1:1; }
        location /bad      { proxy_intercept_errors on; proxy_pass http://unix:@RUN@/echo.sock; }
        location /static/  { travel_limit off; alias @RUN@/; }
        location /teapot   { if ($request_method = PUT) { return 418; } }
        location /gone     { return 410; }
        location @gone     { return 410 "gone"; }
        location /moved    { return 301 /elsewhere; }
        location /rewrite  { rewrite ^ /plain; }
        location /         { proxy_pass http://unix:@RUN@/echo.sock; }
    }
}
END

my $t = Travel::Test->new(parts => 'nginx', conf => $CONF);
$t->write('teapot.txt', "short and stout\n");
chmod 0644, $t->dir . '/teapot.txt';
$t->launch;

# All values of X-Request-Id in raw bytes of an answer.
sub ids {
    my ($answer) = @_;
    my ($head) = split /\r\n\r\n/, $answer, 2;
    return [$head =~ /^X-Request-Id: *(\S+)\r?$/mig];
}
sub is_one {
    my ($answer, $status, $what) = @_;
    like($answer, qr{^HTTP/1\.1 $status }, "$what: $status");
    my $ids = ids($answer);
    is(scalar @$ids, 1, "$what: one id") or diag($answer);
    return $ids->[0] // 'none';
}
my $n = 0;
sub ask {
    my ($method, $path, %o) = @_;
    my $head = join '', map { "$_: $o{$_}\r\n" } sort keys %o;
    return $t->raw("$method $path HTTP/1.1\r\nHost: x\r\n$head"
        . "Connection: close\r\n\r\n", allow_5xx => 1);
}

subtest 'every answer, whoever makes it' => sub {
    my @cases = (
        ['GET', '/proxied', 200], ['GET', '/plain', 200], ['GET', '/health', 200],
        ['HEAD', '/proxied', 200], ['GET', '/file', 404], ['GET', '/denied', 403],
        ['GET', '/dead', 502], ['GET', '/bad', 500], ['PUT', '/teapot', 418],
        ['GET', '/gone', 410], ['GET', '/moved', 301], ['GET', '/rewrite', 200],
        ['POST', '/proxied', 413, 'Content-Length' => 100],
        ['GET', '/limited', 200], ['GET', '/limited', 429],
        ['GET', '/' . 'x' x 3000, 414],
        ['GET', '/proxied', 431, 'X-Long' => 'x' x 3000],
    );
    for (@cases) {
        my ($method, $path, $status, %h) = @$_;
        my $what = "$method " . substr $path, 0, 20;
        my $id = 'mine-' . ++$n;
        # a head that is too long is refused before the id in it is read
        my $late = $status == 414 || $status == 431;
        my $r = ask($method, $path, 'A-Id' => 1, 'X-Request-Id' => $id, %h);
        my $got = is_one($r, $status, $what);
        if ($late) { like($got, qr/^(?:\Q$id\E|[0-9a-f]{32})$/, "$what: an id") }
        else       { is($got, $id, "$what: the caller's") }
        like($r, qr/"request_id":"\Q$got\E"/, "$what: and in the body")
            if $r =~ /"error":/;

        $got = is_one(ask($method, $path, %h), $status == 200 && $path eq '/limited'
            ? 429 : $status, "$what, ours");
        like($got, qr/^[0-9a-f]{32}$/, "$what: one of our own");
    }
    for my $bytes ("nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Request-Id: r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    {
        my $r = $t->raw($bytes);
        my $got = is_one($r, 400, 'not HTTP');
        like($r, qr/"request_id":"\Q$got\E"/, 'and in the body');
    }
};

subtest 'on to the application, and from it' => sub {
    is($t->get('/x', headers => { 'x-request-id' => 'abc' })->{content}, 'abc',
        'the caller\'s');
    my $r = $t->get('/x', headers => { 'x-request-id' => 'no id <b>' });
    is($r->{content}, $r->{headers}{'x-request-id'}, 'ours, where the caller\'s is none');
    like($r->{content}, qr/^[0-9a-f]{32}$/, 'one of our own');
    is(is_one(ask('GET', '/own', 'X-Request-Id' => 'abc'), 200, 'its own id'),
        'abc', 'the caller sees the one he sent');
};

subtest 'in the log' => sub {
    ask('GET', '/file/logged', 'X-Request-Id' => 'seen-1');
    wait_for(sub { slurp($t->dir . '/logs/ids.log') =~ m{^/file/logged 404 seen-1$}m },
        5, 'the log');
    unlike(slurp($t->dir . '/logs/ids.log'), qr/ -$/m, 'every line has one');
};

$t->finish;
done_testing;
