# What is stored gets old: validation (RFC 9111 section 4.3), serving stale
# (RFC 5861), invalidation by unsafe requests, groups (RFC 9875) and tags,
# targeted fields (RFC 9213), Cache-Status (RFC 9211), one fill at a time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Origin;
use Travel::Test;

my $t = Travel::Test->start(parts => 'queue cache nginx', conf => <<'CONF');
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 1;
error_log @LOGS@/error.log info;
pid @PIDS@/nginx.pid;
daemon off;
events { worker_connections 256; }
http {
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path @RUN@/tmp/proxy;
    fastcgi_temp_path @RUN@/tmp/fastcgi;
    uwsgi_temp_path @RUN@/tmp/uwsgi;
    scgi_temp_path @RUN@/tmp/scgi;
    access_log off;
    travel_redis queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_redis cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_zone cache 4m shards=2;
    travel_jwks main file=@RUN@/jwks.json issuer=https://travel.local ours;
    upstream app { server 127.0.0.1:@PORT_SANDBOX@; }
    upstream gone { server 127.0.0.1:@PORT_METRICS@; }
    server {
        listen 127.0.0.1:@PORT@;
        add_header X-Cache $travel_cache_status always;
        travel_auth optional jwks=main audience=travel;
        location = /metrics { travel_metrics; }
        location / { proxy_pass http://app; travel_cache http; }
        location = /purge { travel_purge; }
        location /stale/ { proxy_pass http://app; travel_cache http stale=60s; }
        location /tags/ { proxy_pass http://app; travel_cache http "tags=all:tags user:$travel_user"; }
        location /nowait/ { proxy_pass http://app; travel_cache http wait=0; }
        location /pages/ {
            proxy_pass http://app;
            travel_cache http;
            proxy_intercept_errors on;
            error_page 500 502 503 504 /error;
        }
        location = /error { internal; travel_error_page; }
        location /tiny/ {
            proxy_pass http://app;
            proxy_buffers 2 4k;
            proxy_buffer_size 4k;
            proxy_busy_buffers_size 4k;
            proxy_max_temp_file_size 0;
            travel_cache http;
        }
    }
}
CONF
my $o = Travel::Origin->start($t->port + 1);

sub get { $t->get(@_) }
sub body { get(@_)->{content} }
sub status { my $s = $_[0]{headers}{'cache-status'} // ''; ref $s ? $s->[-1] : $s }
my $serial = 0;
sub fresh_path { return ($_[0] // '/') . 'q' . ++$serial }
my $now = CORE::time;
sub date { Travel::Origin::http_date($now + $_[0]) }
sub last_seen { my @s = $o->seen($_[0]); $s[-1]{headers} }

# In a child, so that others can ask meanwhile; returns a sub that waits.
sub later {
    my ($path, %o) = @_;
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) {
        my $r = HTTP::Tiny->new(timeout => 20)->get($t->url . $path, \%o);
        syswrite $out, "$r->{status} $r->{content} " . status($r);
        POSIX::_exit(0);
    }
    close $out;
    return sub { my $s = do { local $/; <$in> }; waitpid $pid, 0; $s };
}

# --- section 4.3: validation towards the origin -----------------------------------

{
    my $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=0', 'X-A: old', 'X-B: old',
        'Last-Modified: ' . date(-5000), 'Content-Type: text/x-a; charset=utf-8'], body => 'body %n');
    is(body($path), 'body 1', 'an answer that is stale at once');
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=60', 'X-A: new'], body => 'never');
    my $r = get($path);
    is($r->{status}, 200, 'validated: a whole answer');
    is($r->{content}, 'body 1', '... of the stored body');
    is(last_seen($path)->{'if-none-match'}, '"v1"', 'the stored ETag was asked about');
    is(last_seen($path)->{'if-modified-since'}, date(-5000), '... and the stored Last-Modified');
    is($r->{headers}{'x-a'}, 'new', 'a 304 updates the fields that it has');
    is($r->{headers}{'x-b'}, 'old', '... and leaves the others');
    is($r->{headers}{'content-type'}, 'text/x-a; charset=utf-8', '... the type too');
    is($r->{headers}{'content-length'}, 6, '... the length too');
    is($r->{headers}{'x-cache'}, 'REVALIDATED', '... $travel_cache_status');
    like(status($r), qr/^ngx_travel; fwd=stale; fwd-status=304$/, '... Cache-Status');
    $r = get($path);
    is($o->count($path), 2, 'fresh again by what the 304 said');
    is($r->{headers}{'x-a'}, 'new', '... with its fields');
    is($r->{content}, 'body 1', '... and the stored body');

    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=0'], body => 'one');
    get($path);
    $o->set($path, etag => '"v2"', headers => ['Cache-Control: max-age=60'], body => 'two');
    is(body($path), 'two', 'a full answer to a validation replaces');
    is(body($path), 'two', '... in the store');
    is($o->count($path), 2, '... that is');

    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=60'], body => 'one');
    get($path);
    $o->set($path, headers => ['Cache-Control: no-store'], body => 'two');
    is(body($path, headers => { 'cache-control' => 'no-cache' }), 'two', 'a full answer that may not be stored');
    is(body($path), 'two', '... makes an end of the old one');

    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: no-cache, max-age=60'], body => 'nc');
    is(body($path), 'nc', 'no-cache with a validator');
    is(body($path), 'nc', '... is served');
    is($o->count($path), 2, '... never without asking');
    is(last_seen($path)->{'if-none-match'}, '"v1"', '... by its validator');

    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=0', 'Last-Modified: ' . date(-5000)], body => 'lm');
    get($path);
    $o->set($path, status => 304, headers => ['Cache-Control: max-age=60', 'ETag: "other"']);
    is(get($path)->{status}, 200, 'Last-Modified alone is a validator');

    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=0'], body => 'one');
    get($path);
    $o->set($path, status => 304, headers => ['Cache-Control: max-age=60', 'ETag: "other"']);
    is(body($path), 'one', 'a 304 about something else');
    get($path);
    is($o->count($path), 3, '... teaches nothing');
}

# --- section 4.3.5: a HEAD that goes to the origin --------------------------------------

{
    for my $case (['another length', {}, {}, 'longer body'], ['another ETag', { etag => '"a"' }, { etag => '"b"' }, 'body 1'],
        ['another Last-Modified', { headers => ['Last-Modified: ' . date(-50)] }, { headers => ['Last-Modified: ' . date(-40)] }, 'body 1'])
    {
        my ($name, $first, $second, $body) = @$case;
        my $path = fresh_path();
        my @cc = ('Cache-Control: max-age=10, stale-while-revalidate=60', 'Age: 30');
        $o->set($path, %$first, headers => [@cc, @{ $first->{headers} // [] }], body => 'body 1');
        get($path);
        $o->set($path, %$second, headers => ['Cache-Control: max-age=60', @{ $second->{headers} // [] }], body => $body);
        $t->request('HEAD', $path, headers => { 'cache-control' => 'max-age=1' });
        is($o->count($path), 2, "a HEAD that the store may not answer, and $name");
        like(status(get($path)), qr/fwd=uri-miss/, '... what is stored is not served any more');
    }
}

# --- conditional requests of clients ------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=60', 'Last-Modified: ' . date(-5000),
        'Content-Type: text/plain'], body => 'cond %n');
    my $r = get($path, headers => { 'if-none-match' => '"v1"' });
    is($r->{status}, 304, 'a condition on what is not stored yet: answered');
    ok(!defined last_seen($path)->{'if-none-match'}, '... not by the origin');
    is(body($path), 'cond 1', '... whose answer is stored whole');
    is($o->count($path), 1, '... all the same');
    my @same = (['if-none-match' => '"v1"'], ['if-none-match' => 'W/"v1"'], ['if-none-match' => '"x", "v1"'],
        ['if-none-match' => '*'], ['if-modified-since' => date(-5000)], ['if-modified-since' => date(-10)]);
    for my $c (@same) {
        $r = get($path, headers => { @$c });
        is($r->{status}, 304, "304 for @$c");
        is($r->{content} // '', '', '... without a body');
        is($r->{headers}{etag}, '"v1"', '... with the ETag');
        ok(defined $r->{headers}{age}, '... and an age');
        ok(!defined $r->{headers}{'content-length'} && !defined $r->{headers}{'content-type'}, '... and nothing of the body');
    }
    my @other = (['if-none-match' => '"v2"'], ['if-none-match' => 'v1'], ['if-modified-since' => date(-6000)],
        ['if-modified-since' => 'yesterday'], ['if-none-match' => '"v2"', 'if-modified-since' => date(0)]);
    for my $c (@other) { is(get($path, headers => { @$c })->{status}, 200, "200 for @$c") }
    is(get($path, headers => { 'if-match' => '"v2"' })->{status}, 412, 'If-Match that does not');
    delete $t->{http};            # nginx ends the connection behind it
    is($t->request('HEAD', $path, headers => { 'if-none-match' => '"v1"' })->{status}, 304, 'HEAD likewise');
    is($o->count($path), 1, 'the origin was asked once in all');

    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=0'], body => 'one');
    get($path);
    is(get($path, headers => { 'if-none-match' => '"v1"' })->{status}, 304, 'stale, validated, and the client has it');
    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: max-age=60'], chunked => 1, body => 'z' x 60_000);
    is(get($path, headers => { 'if-none-match' => '"v1"' })->{status}, 304, '304 from a new answer of 60 KB');
    is(length body($path), 60_000, '... of which nothing is missing in the store');
    is($o->count($path), 1, '... nor was asked for again');
    $path = fresh_path();
    $o->set($path, etag => '"v1"', headers => ['Cache-Control: no-store'], body => 'one');
    is(get($path, headers => { 'if-none-match' => '"v1"' })->{status}, 304, '304 also where nothing is stored');
}

# --- RFC 5861: stale-while-revalidate ---------------------------------------------------

for my $in ('/', '/tiny/') {
    my $path = fresh_path($in);
    my $body = $in eq '/' ? 'swr %n' : 'swr %n ' . 'x' x 60_000;
    my $swr = sub { ['Cache-Control: max-age=10, stale-while-revalidate=60', "Age: $_[0]"] };
    $o->set($path, headers => $swr->(30), body => $body);
    like(body($path), qr/^swr 1/, 'an answer within its window');
    my $hold = $t->dir . '/hold';
    $t->write('hold', '');
    $o->set($path, headers => $swr->(0), body => $body, hold => $hold);
    my @r = map { $t->raw("GET $path HTTP/1.1\r\nHost: 127.0.0.1:" . $t->port . "\r\n\r\n", timeout => 0.3) } 1, 2;
    like($r[0], qr/\r\n\r\nswr 1/, '... is served while the origin has not answered');
    like($r[0], qr/^Age: 3\d\r$/m, '... its age shows that it is stale');
    like($r[0], qr/^Cache-Status: ngx_travel; hit; ttl=-2\d\r$/m, '... so does a negative ttl');
    like($r[0], qr/^X-Cache: STALE\r$/m, '... $travel_cache_status');
    like($r[1], qr/\r\n\r\nswr 1/, '... and to others');
    is($o->count($path), 2, '... one of whom asks behind their backs');
    unlink $hold;
    ok(wait_for(sub { body($path) =~ /^swr 2/ }, 5, 'the new answer'), 'what it brought is there then');
    is(length body($path), length $body =~ s/%n/2/r, '... whole');
    is($o->count($path), 2, '... and fresh');
}

{
    my $path = fresh_path();
    $o->set($path, etag => '"v"', headers => ['Cache-Control: max-age=10, stale-while-revalidate=60', 'Age: 30'], body => 'b%n');
    get($path);
    $o->set($path, etag => '"v"', headers => ['Cache-Control: max-age=10, stale-while-revalidate=60'], body => 'b%n');
    is(body($path), 'b1', 'stale, with a validator');
    ok(wait_for(sub { status(get($path)) =~ /hit; ttl=(?:10|9|8)/ }, 5, 'freshness'), 'a 304 behind the client\'s back makes it fresh');
    is(last_seen($path)->{'if-none-match'}, '"v"', '... by its validator');
    is(body($path), 'b1', '... the body stays');

    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=10, stale-while-revalidate=5', 'Age: 30'], body => 'w%n');
    get($path);
    is(body($path), 'w2', 'after the window the client waits for the origin');
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=10, stale-while-revalidate=60, must-revalidate', 'Age: 30', 'ETag: "x"'], body => 'w%n');
    get($path);
    is(body($path), 'w2', 'must-revalidate: never stale');
    $path = fresh_path('/stale/');
    $o->set($path, headers => ['Cache-Control: max-age=10', 'Age: 30'], body => 's%n');
    get($path);
    is(body($path), 's1', 'stale= stands for a window that the origin does not name');
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=10', 'Age: 30', 'ETag: "x"'], body => 's%n');
    get($path);
    is(body($path, headers => { 'cache-control' => 'max-stale=60' }), 's1', 'max-stale: the client takes it stale');
    is(body($path, headers => { 'cache-control' => 'max-stale=5' }), 's2', '... but not that stale');

    # the background request fails: what is stale stays, and is tried again
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=10, stale-while-revalidate=60', 'Age: 30'], body => 'f%n');
    get($path);
    $o->set($path, status => 500, body => 'broken');
    is(body($path), 'f1', 'an origin that fails behind the client\'s back');
    wait_for(sub { $o->count($path) == 2 }, 5, 'the background request');
    is(body($path), 'f1', '... changes nothing');
    wait_for(sub { $o->count($path) == 3 }, 5, 'another');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'good');
    ok(wait_for(sub { body($path) eq 'good' }, 5, 'the good answer'), '... until it answers');
}

# --- RFC 5861: stale-if-error ---------------------------------------------------------------

for my $in ('/', '/pages/') {
    for my $code (500, 502, 503, 504) {
        my $path = fresh_path($in);
        $o->set($path, headers => ['Cache-Control: max-age=10, stale-if-error=60', 'Age: 30', 'X-A: 1', 'Content-Type: text/x'], body => 'sie');
        get($path);
        $o->set($path, status => $code, headers => ['X-Error: 1'], body => 'broken ' x 1000);
        my $r = get($path);
        is($r->{status}, 200, "$in: a stored answer stands in for a $code");
        is($r->{content}, 'sie', '... its body');
        is($r->{headers}{'x-a'}, 1, '... its fields');
        is($r->{headers}{'content-type'}, 'text/x', '... its type');
        ok(!$r->{headers}{'x-error'}, '... none of the error');
        cmp_ok($r->{headers}{age}, '>=', 30, '... and its age');
        like(status($r), qr/fwd=stale; fwd-status=$code; detail=stale-if-error/, '... Cache-Status');
    }
    my $path = fresh_path($in);
    $o->set($path, status => 500, headers => ['Content-Type: text/html'], body => 'broken');
    is(get($path, allow_5xx => 1)->{status}, 500, "$in: nothing stored: the error");
    for my $cc ('max-age=10, stale-if-error=5', 'max-age=10', 'max-age=10, stale-if-error=60, no-cache') {
        $path = fresh_path($in);
        $o->set($path, etag => '"x"', headers => ["Cache-Control: $cc", 'Age: 30'], body => 'sie');
        get($path);
        $o->set($path, status => 503, body => 'broken');
        is(get($path, allow_5xx => 1)->{status}, 503, "$in: $cc: the error");
    }
    $path = fresh_path($in);
    $o->set($path, etag => '"x"', headers => ['Cache-Control: max-age=10', 'Age: 30'], body => 'sie');
    get($path);
    $o->set($path, status => 503, body => 'broken');
    is(get($path, headers => { 'cache-control' => 'stale-if-error=60' })->{status}, 200, "$in: the client may allow it, too");
    $o->set($path, status => 404, body => 'gone');
    is(get($path, headers => { 'cache-control' => 'stale-if-error=60' })->{status}, 404, '... but not for a 404');
}

{
    my @path = map { fresh_path($_) } ('/') x 3, '/pages/';
    $o->set($path[0], headers => ['Cache-Control: max-age=10, stale-if-error=60', 'Age: 30'], body => 'there');
    $o->set($path[1], etag => '"x"', headers => ['Cache-Control: max-age=10, must-revalidate', 'Age: 30'], body => 'there');
    $o->set($path[2], etag => '"x"', headers => ['Cache-Control: no-cache'], body => 'there');
    $o->set($path[3], headers => ['Cache-Control: max-age=10, stale-if-error=60', 'Age: 30'], body => 'there');
    get($_) for @path;
    $o->stop;
    is(body($path[0]), 'there', 'the origin is gone: the stored answer');
    is(body($path[3]), 'there', '... with error pages, too');
    is($t->request('HEAD', $path[0])->{status}, 200, '... and to a HEAD');
    is($t->raw("GET $path[0] HTTP/1.1\r\nHost: 127.0.0.1:" . $t->port . "\r\nRange: bytes=1-2\r\nConnection: close\r\n\r\n") =~ /\r\n\r\n(.*)/s && $1, 'he', '... or a range of it');
    for my $p (@path[1, 2]) {
        my $r = get($p, allow_5xx => 1);
        is($r->{status}, 504, 'what must be validated and cannot be: 504');
        is($r->{json}{error}{code}, 'GATEWAY_TIMEOUT', '... in the one shape');
        ok(!$r->{headers}{'cache-status'}, '... without a Cache-Status');
    }
    my $r = get('/never', allow_5xx => 1);
    is($r->{status}, 502, 'what is not stored: 502');
    ok(!$r->{headers}{'cache-status'}, 'no Cache-Status on an error of nginx\'s own');
    $o->up;
    is(body($path[1]), 'there', 'the origin is back');
}

# --- section 4.4: unsafe requests -----------------------------------------------------------

sub kept { my ($path) = @_; my $n = $o->count($path); get($path); return $o->count($path) == $n }
sub filled {
    my ($path, @headers) = @_;
    $o->set($path, headers => ['Cache-Control: max-age=60', @headers], body => 'i%n');
    get($path);
    return $path;
}
sub change {
    my ($method, $path, %answer) = @_;
    $o->set($path, %answer);
    return $t->request($method, $path, body => '{}', allow_5xx => 1);
}

for my $method (qw(POST PUT DELETE PATCH FROB)) {
    my $path = filled(fresh_path());
    change($method, $path, status => 200, headers => ['Cache-Control: max-age=60']);
    ok(!kept($path), "$method: the target is invalid");
}
for my $method (qw(OPTIONS TRACE)) {
    next if $method eq 'TRACE';         # nginx answers 405 by itself
    my $path = filled(fresh_path());
    change($method, $path, status => 200, headers => ['Cache-Control: max-age=60']);
    ok(kept($path), "$method is safe");
}
for my $status (302, 404, 500) {
    my $path = filled(fresh_path());
    change('POST', $path, status => $status, headers => ['Cache-Control: max-age=60']);
    is(kept($path) ? 1 : 0, $status == 302 ? 0 : 1, "POST answered with $status");
}
{
    my $base = fresh_path();
    my ($loc, $cloc, $rel, $abs, $other) = map { filled(fresh_path()) } 1 .. 5;
    my $port = $t->port;
    change('POST', $base, status => 201, headers => ["Location: $loc", "Content-Location: http://127.0.0.1:$port$cloc"]);
    ok(!kept($loc), 'Location');
    ok(!kept($cloc), 'Content-Location, with its origin');
    change('POST', $base, status => 201, headers => ['Location: ' . substr $rel, 1]);
    ok(!kept($rel), 'a relative Location');
    change('POST', $base, status => 201, headers => ["Location: http://127.0.0.2:$port$abs"]);
    ok(kept($abs), 'another origin\'s Location');
    change('POST', $base, status => 400, headers => ["Location: $other"]);
    ok(kept($other), 'Location of a failure');

    my $variants = fresh_path();
    $o->set($variants, headers => ['Cache-Control: max-age=60', 'Vary: X'], body => 'v%n');
    my @token = map { $t->user_token($_) } 1, 2;
    is(body($variants, headers => { x => $_ }), "v$_", 'a variant') for 1, 2;
    is(body($variants, headers => { x => 1 }, token => $token[0]), 'v3', 'a caller\'s own');
    change('POST', $variants, status => 200, headers => ['Cache-Control: max-age=60', 'Vary: X'], body => 'v%n');
    is(body($variants, headers => { x => 2 }), 'v5', 'an unsafe request ends all variants');
    is(body($variants, headers => { x => 1 }, token => $token[0]), 'v6', '... and everybody\'s');

    # a fill that began before the change is overtaken by it
    my $path = fresh_path();
    my $hold = $t->dir . '/hold2';
    $t->write('hold2', '');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'before', hold => $hold);
    my $slow = later($path);
    wait_for(sub { $o->count($path) == 1 }, 5, 'the slow request');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'after');
    $t->request('POST', $path, body => '{}');
    unlink $hold;
    like($slow->(), qr/^200 before/, 'an answer from before the change');
    is(body($path), 'after', '... is not kept');
}

# --- RFC 9875: groups ----------------------------------------------------------------------------

{
    my $base = fresh_path();
    my $long = 'g' x 32;
    my $many = join ', ', map { sprintf '"%s%02d"', 'x' x 30, $_ } 1 .. 32;
    my $a = filled(fresh_path(), 'Cache-Groups: "alpha", "b\"c"');
    my $b = filled(fresh_path(), 'Cache-Groups: "beta"');
    my $up = filled(fresh_path(), 'Cache-Groups: "ALPHA"');
    my $two = filled(fresh_path(), 'Cache-Groups: "x"', 'Cache-Groups: "alpha"');
    my $bad = filled(fresh_path(), 'Cache-Groups: "alpha", oops"');
    my $deep = filled(fresh_path(), "Cache-Groups: $many");
    get($base);
    $o->set($base, headers => ['Cache-Group-Invalidation: "alpha"', 'Cache-Groups: "beta"']);
    get($base);
    ok(kept($a), 'Cache-Group-Invalidation of a safe request: not obeyed');
    $t->request('POST', $base, body => '{}');
    ok(!kept($a), 'a group is invalid');
    ok(!kept($two), '... also of several lines');
    ok(kept($b), '... not another, nor by a group of the answer that said so');
    ok(kept($up), '... nor one in another case');
    ok(kept($bad), '... nor what is malformed');
    ok(kept($deep), '... nor others');
    filled($a, 'Cache-Groups: "b\"c"');
    change('POST', $base, headers => ['Cache-Group-Invalidation: "b\"c"']);
    ok(!kept($a), 'an escaped name is read');
    change('POST', $base, headers => ['Cache-Group-Invalidation: "' . 'x' x 30 . '32"']);
    ok(!kept($deep), '32 groups of 32 characters');
    $o->set($b, headers => ['Cache-Control: max-age=60', 'Cache-Groups: "beta"'], body => 'i%n');
    change('POST', $base, status => 500, headers => ['Cache-Group-Invalidation: "beta"']);
    ok(kept($b), 'an error invalidates no group');
    change('POST', $base, headers => ['Cache-Group-Invalidation: "beta", oops"']);
    ok(kept($b), 'a malformed line none either');
    $t->raw("POST $base HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    change('POST', $base, headers => ['X: y']);
    $o->set($base, headers => ['Cache-Group-Invalidation: "beta"']);
    $t->raw("POST $base HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    ok(kept($b), 'another origin\'s groups are others');
    $t->request('POST', $base, body => '{}');
    ok(!kept($b), '... and one\'s own are one\'s own');
}

# --- RFC 9213: targeted fields -------------------------------------------------------------------

{
    my $two = sub {
        my ($name, $want, @headers) = @_;
        my $path = fresh_path();
        $o->set($path, headers => \@headers, body => 't%n');
        my $r = get($path);
        is(body($path), $want ? 't1' : 't2', $name);
        return $r;
    };
    my $r = $two->('CDN-Cache-Control stores what Cache-Control does not', 1, 'CDN-Cache-Control: max-age=60', 'Cache-Control: no-store');
    is($r->{headers}{'cdn-cache-control'}, 'max-age=60', '... and is passed on');
    is($r->{headers}{'cache-control'}, 'no-store', '... as Cache-Control is');
    $two->('... and the other way round', 0, 'CDN-Cache-Control: no-store', 'Cache-Control: max-age=60');
    $two->('Expires does not count beside it', 0, 'CDN-Cache-Control: max-age=0', 'Expires: ' . date(60));
    $two->('private', 0, 'CDN-Cache-Control: private, max-age=60', 'Cache-Control: max-age=60');
    $two->('no-cache', 0, 'CDN-Cache-Control: no-cache, max-age=60', 'Cache-Control: max-age=60');
    $two->('malformed: as if absent', 1, 'CDN-Cache-Control: max-age=0,', 'Cache-Control: max-age=60');
    $two->('empty: as if absent', 1, 'CDN-Cache-Control:', 'Cache-Control: max-age=60');
    $two->('in upper case it is malformed', 1, 'CDN-Cache-Control: No-Store', 'Cache-Control: max-age=60');
    $two->('unknown members do not matter', 1, 'CDN-Cache-Control: max-age=60, foo=(a b);q=1', 'Cache-Control: no-store');
    $two->('two lines are one', 1, 'CDN-Cache-Control: foo', 'CDN-Cache-Control: max-age=60', 'Cache-Control: no-store');
    $r = $two->('Ngx-Travel-Cache-Control comes first', 1, 'CDN-Cache-Control: no-store', 'Ngx-Travel-Cache-Control: max-age=60');
    ok(!defined $r->{headers}{'ngx-travel-cache-control'}, '... and is not passed on');
    $two->('malformed: the next on the list', 1, 'Ngx-Travel-Cache-Control: ???', 'CDN-Cache-Control: max-age=60', 'Cache-Control: no-store');
    $r = $two->('Surrogate-Control', 1, 'Surrogate-Control: max-age=60', 'Cache-Control: no-store');
    ok(!defined $r->{headers}{'surrogate-control'}, '... is not passed on');
    $two->('Other-Cache-Control is not on the list', 0, 'Other-Cache-Control: max-age=60', 'Cache-Control: no-store');
    my $path = fresh_path();
    $o->set($path, etag => '"x"', headers => ['CDN-Cache-Control: max-age=10, must-revalidate', 'Cache-Control: max-age=60, stale-if-error=60', 'Age: 30'], body => 'm%n');
    get($path);
    $o->set($path, status => 503);
    is(get($path, allow_5xx => 1)->{status}, 503, 'must-revalidate in it');
}

# --- RFC 9211: Cache-Status --------------------------------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Cache-Status: Inner; hit; ttl=5'], body => 'cs');
    my @lines = map { get($path)->{headers}{'cache-status'} } 1, 2;
    is($lines[0][0], 'Inner; hit; ttl=5', 'what another cache said stands first');
    like($lines[0][1], qr/^ngx_travel; fwd=uri-miss/, '... and ours after it');
    is($lines[1][0], 'Inner; hit; ttl=5', '... from the store as well');
    like($lines[1][1], qr/^ngx_travel; hit; ttl=\d+$/, '... and ours is of now');
    is(scalar @{ $lines[1] }, 2, '... and once');
    my %want = ('no-store' => 'no-store', 'private' => 'private', 'max-age=0' => 'no-freshness', 'no-cache' => 'no-cache');
    for my $cc (sort keys %want) {
        $path = fresh_path();
        $o->set($path, headers => ["Cache-Control: $cc"]);
        is(status(get($path)), "ngx_travel; fwd=uri-miss; fwd-status=200; detail=$want{$cc}", "$cc: why it is not stored");
    }
    is(status($t->request('POST', $path, body => '{}')), 'ngx_travel; fwd=method; fwd-status=200', 'fwd=method');
    my $r = $t->raw("GET $path HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    like($r, qr/^Cache-Status: ngx_travel; fwd=bypass; fwd-status=200\r$/m, 'fwd=bypass: a GET with a body');
}

# --- what the standards print -----------------------------------------------------------------------

{
    my $as = sub {
        my ($age, @headers) = @_;
        my $path = fresh_path();
        $o->set($path, headers => [@headers, "Age: $age"], body => 'p%n');
        get($path);
        return $path;
    };
    # RFC 9211 section 3: the same figures, a second or two later
    like(status(get($as->(124, 'Cache-Control: max-age=500'))),
        qr/^ngx_travel; hit; ttl=37[3-6]$/, 'a hit that has 376 s left');
    like(status(get($as->(912, 'Cache-Control: max-age=500, stale-while-revalidate=600'))),
        qr/^ngx_travel; hit; ttl=-41[2-5]$/, 'a stale one, 412 s ago');
    my $two = fresh_path();
    $o->set($two, headers => ['Cache-Control: max-age=60', 'Cache-Status: OriginCache; hit; ttl=1100',
        'Cache-Status: "CDN Company Here"; hit; ttl=545']);
    is_deeply([@{ get($two)->{headers}{'cache-status'} }[0, 1]],
        ['OriginCache; hit; ttl=1100', '"CDN Company Here"; hit; ttl=545'], 'two before us, as they said it');

    # RFC 5861 section 4.1: 600 s and 1200 more
    my @sie = ('Content-Type: text/plain', 'Cache-Control: max-age=600, stale-if-error=1200');
    my ($in, $out) = map { $as->($_, @sie) } 900, 1801;
    $o->set($_, status => 500, body => 'broken') for $in, $out;
    my $r = get($in);
    is($r->{status}, 200, 'after 900 s an error is covered');
    like($r->{headers}{age}, qr/^90\d$/, '... by an answer of that age');
    is($r->{headers}{'cache-control'}, 'max-age=600, stale-if-error=1200', '... as it was');
    is(get($out, allow_5xx => 1)->{status}, 500, 'after more than 1800 s it is not');
    # section 3.1: 600 s and 30 more
    my $late = $as->(629, 'Cache-Control: max-age=600, stale-while-revalidate=30', 'ETag: "e"');
    like(status(get($late)), qr/^ngx_travel; (?:hit; ttl=-(?:29|30)|fwd=stale; .*)$/, 'until 630 s it is served at once');
    like(status(get($as->(631, 'Cache-Control: max-age=600, stale-while-revalidate=30', 'ETag: "e"'))),
        qr/^ngx_travel; fwd=stale/, 'and not then');

    # RFC 9213 section 3.1
    my $cdn = sub { my $p = fresh_path(); $o->set($p, headers => [@_, 'Last-Modified: ' . date(-86_400)]);
        return status(get($p)) };
    like($cdn->('Cache-Control: max-age=60, s-maxage=120'), qr/stored; ttl=1(?:20|1\d)$/, 'a shared cache: 120 s');
    like($cdn->('Cache-Control: max-age=60, s-maxage=120', 'CDN-Cache-Control: max-age=600'),
        qr/stored; ttl=(?:600|59\d)$/, 'a CDN: 600 s');
    like($cdn->('CDN-Cache-Control: max-age=600', 'Cache-Control: no-store'), qr/stored; ttl=(?:600|59\d)$/,
        'also where others must not store');
    like($cdn->('Cache-Control: no-store'), qr/detail=no-store$/, 'nobody');
    like($cdn->('Cache-Control: no-store', 'CDN-Cache-Control: none'), qr/stored; ttl=8\d{3}$/, 'all but CDNs: by heuristics');

    # RFC 9111 sections 5.2.2.3, 5.2.3, 5.3
    like($cdn->('Cache-Control: must-understand, no-store'), qr/stored; ttl=/, 'must-understand, and it is');
    like($cdn->('Cache-Control: private, community="UCI"'), qr/detail=private$/, 'private of a community');
    like($cdn->('Expires: Thu, 01 Dec 1994 16:00:00 GMT'), qr/ttl=(?:0|-\d+)$/, 'an Expires of long ago');

    # RFC 9875 sections 2 and 3
    my @js = ('Content-Type: application/javascript', 'Cache-Groups: "scripts"');
    my ($song, $place, $script) = (filled(fresh_path(), 'Cache-Groups: "eurovision-results", "x"'),
        filled(fresh_path(), 'Cache-Groups: "australia"'), filled(fresh_path(), @js));
    change('POST', fresh_path(), status => 200, headers => ['Content-Type: text/html',
        'Cache-Group-Invalidation: "eurovision-results", "australia"']);
    ok(!kept($song) && !kept($place), 'both groups are invalid');
    ok(kept($script), '... and another is not');
}

# --- one fill at a time --------------------------------------------------------------------------------

{
    my $path = fresh_path();
    my $hold = $t->dir . '/hold3';
    $t->write('hold3', '');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'c%n', hold => $hold);
    my @c = map { later($path) } 1 .. 8;
    wait_for(sub { get('/metrics')->{content} =~ /^travel_http_cache_total\{result="collapsed"\} 7$/m }, 10, 'seven to wait');
    is($o->count($path), 1, 'eight ask, the origin is asked once');
    unlink $hold;
    my @got = map { $_->() } @c;
    is(scalar(grep { /^200 c1 / } @got), 8, '... and all have the answer');
    is(scalar(grep { /fwd=uri-miss; collapsed; ttl=/ } @got), 7, '... seven of them together with another');

    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: no-store'], body => 'n%n', delay => 1);
    @c = map { later($path) } 1 .. 6;
    my $start = time;
    @got = map { $_->() } @c;
    cmp_ok(scalar(grep { /fwd=uri-miss; fwd-status=200; collapsed=\?0; detail=no-store/ } @got), '>=', 1,
        'who has waited in vain says so');
    cmp_ok(time - $start, '<', 5.5, 'what cannot be stored is not waited for one after another');
    is(scalar(grep { /^200 n\d / } @got), 6, '... all have an answer of their own');
    is($o->count($path), 6, '... each');
    $start = time;
    @c = map { later($path) } 1 .. 4;
    $_->() for @c;
    cmp_ok(time - $start, '<', 1.9, '... and next time nobody waits at all');

    # the one that fills goes away: another takes over
    $path = fresh_path();
    my ($collapsed) = get('/metrics')->{content} =~ /^travel_http_cache_total\{result="collapsed"\} (\d+)$/m;
    $t->write('hold3', '');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'h%n', hold => $hold);
    my $gone = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die;
    syswrite $gone, "GET $path HTTP/1.1\r\nHost: 127.0.0.1:" . $t->port . "\r\n\r\n";
    wait_for(sub { $o->count($path) == 1 }, 5, 'the origin to be asked');
    my $waits = later($path);
    wait_for(sub { get('/metrics')->{content} =~ /^travel_http_cache_total\{result="collapsed"\} (\d+)$/m && $1 > $collapsed }, 5, 'one to wait');
    shutdown $gone, 2;             # the child above has it, too
    wait_for(sub { $o->count($path) == 2 }, 5, 'the one that waits to ask');
    unlink $hold;
    like($waits->(), qr/^200 h2 /, 'a client that hangs up: one that waits takes over');
    is(body($path), 'h2', '... and its answer is kept');

    $path = fresh_path('/nowait/');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'w%n', delay => 0.3);
    @c = map { later($path) } 1 .. 3;
    $_->() for @c;
    is($o->count($path), 3, 'wait=0: each for himself');
}

# --- tags ------------------------------------------------------------------------------------------------

{
    my $w = $t->redis('queue', 'worker');
    my $tell = sub { $w->call('XADD', 'travel:inval', '*', @_, 'timeline', 1, 'lsn', '0/16B3740') };
    my $beat = fork // die;
    if (!$beat) {
        my $r = $t->redis('queue', 'worker');
        while (getppid() != 1) {
            $r->call('XADD', 'travel:inval', '*', 'hb', 1, 'timeline', 1, 'lsn', '0/16B3740');
            sleep 0.2;
        }
        POSIX::_exit(0);
    }
    my $end = sub { kill 'TERM', $beat; waitpid $beat, 0 };

    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Surrogate-Key: item:1 list', 'Surrogate-Key: x'], body => 's%n');
    wait_for(sub { my $b = body($path); body($path) eq $b }, 10, 'the stream');
    my $r = get($path);
    ok(!defined $r->{headers}{'surrogate-key'}, 'Surrogate-Key is not for clients');
    my $was = $r->{content};
    $tell->(tags => 'item:2');
    sleep 0.3;
    is(body($path), $was, 'another tag changes nothing');
    for my $tag ('item:1', 'list', 'x') {
        $was = body($path);
        $tell->(tags => $tag);
        ok(wait_for(sub { body($path) ne $was }, 5, 'the new answer'), "a commit that names $tag ends what depends on it");
    }
    my $tagged = fresh_path('/tags/');
    $o->set($tagged, headers => ['Cache-Control: max-age=60'], body => 'd%n');
    my $token = $t->user_token(1);
    is(body($tagged), 'd1', 'tags= of the location');
    is(body($tagged), 'd1', '... kept');
    is(body($tagged, token => $token), 'd2', '... a caller\'s own');
    $tell->(tags => 'user:' . $t->user(1));
    ok(wait_for(sub { body($tagged, token => $token) eq 'd3' }, 5, 'the new one'), 'a tag with a variable');
    is(body($tagged), 'd1', '... is of him alone');
    $tell->(tags => 'all:tags');
    ok(wait_for(sub { body($tagged) eq 'd4' }, 5, 'the new one'), 'and one for all');

    # a fill that began before the commit
    $path = fresh_path();
    my $hold = $t->dir . '/hold4';
    $t->write('hold4', '');
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Surrogate-Key: late'], body => 'before', hold => $hold);
    my $slow = later($path);
    wait_for(sub { $o->count($path) == 1 }, 5, 'the slow request');
    $tell->(tags => 'late');
    sleep 0.3;
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Surrogate-Key: late'], body => 'after');
    unlink $hold;
    like($slow->(), qr/^200 before/, 'an answer that a commit has overtaken');
    is(body($path), 'after', '... is not kept');

    # purges: by tag, prefix and all
    my $admin = $t->token(sub => $t->user(1), permissions => 'cache:purge');
    my $purge = sub {
        my $r = $t->request('POST', "/purge?$_[0]", token => $admin, body => '');
        is($r->{status}, 200, "purge $_[0]") or diag($r->{content});
    };
    my ($one, $two) = map { filled(fresh_path(), 'Surrogate-Key: p' . $_) } 1, 2;
    $purge->('tag=p1');
    ok(!kept($one), '... ends what has the tag');
    ok(kept($two), '... and nothing else');
    my $port = $t->port;
    $purge->("prefix=http://127.0.0.1:$port$two");
    ok(!kept($two), '... ends what is below the prefix');
    ok(kept($one), '... and nothing else');
    $purge->("prefix=http://127.0.0.1:$port$one&soft=1");
    my $soft = get($one);
    like(status($soft), qr/fwd=stale/, '... soft: its time ends');
    $purge->('all=1');
    ok(!kept($one) && !kept($two), '... ends all');

    # silence: what has tags is not served, the rest is
    my $plain = filled(fresh_path());
    $end->();
    ok(wait_for(sub { my $n = $o->count($path); get($path); $o->count($path) > $n }, 5, 'silence to be noticed'),
        'the stream is not heard: what depends on it is not served');
    ok(kept($plain), '... and what does not depend on it is');
}

$o->stop;
$t->finish;
done_testing;
