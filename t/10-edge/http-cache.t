# Answers of an upstream by RFC 9111: what is stored, how long it is fresh, how
# old it says it is, who may have it.  The origin answers as it is told and
# remembers what it was asked; an answer's age is what its Age field says, so
# that nothing here waits for time to pass.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Origin;
use Travel::Test;

my $t = Travel::Test->new(parts => 'nginx', ngx_workers => 1, http => <<'CONF');
    travel_zone cache 16m shards=2;
    travel_jwks main file=@RUN@/jwks.json issuer=https://travel.local ours;
    upstream app { server 127.0.0.1:@PORT_SANDBOX@; }
    server {
        listen 127.0.0.1:@PORT@;
        add_header X-Cache $travel_cache_status always;
        travel_auth optional jwks=main audience=travel;
        location = /metrics { travel_metrics; }
        location / { proxy_pass http://app; travel_cache http; }
        location /small/ { proxy_pass http://app; travel_cache http max_size=1k; }
        location /browser/ {
            travel_cors https://*.example;
            travel_security_headers on;
            proxy_pass http://app;
            travel_cache http;
        }
        location /large/ { proxy_pass http://app; travel_cache http max_size=4m; travel_cache_gzip on; }
        location /ttl/ { proxy_pass http://app; travel_cache http default=60s; }
        location /noheur/ { proxy_pass http://app; travel_cache http heuristic=0; }
        location /key/ { proxy_pass http://app; travel_cache http default=60s "key=$arg_k"; }
        location /cookie/ { proxy_pass http://app; travel_cache http ignore=set-cookie; }
        location /stubborn/ { proxy_pass http://app; travel_cache http ignore=request; }
        location /shared/ { proxy_pass http://app; travel_cache http shared; }
        location /private/ { proxy_pass http://app; travel_cache http private; }
        location /raw/ {
            travel_auth off;
            proxy_pass http://app;
            travel_cache http;
        }
        location /off/ { proxy_pass http://app; travel_cache off; }
        location /try/ { try_files /nothing @app; }
        location @app { proxy_pass http://app; travel_cache http; }
        location /accel/ { proxy_pass http://app; travel_cache http; }
        location /inside/ { internal; proxy_pass http://app; travel_cache http; }
        location /scgi/ {
            include @RUN@/scgi.params;
            scgi_pass 127.0.0.1:@PORT_METRICS@;
            travel_cache http;
        }
        location /limited/ {
            travel_limit $uri 100r/m;
            proxy_pass http://app;
            travel_cache http;
        }
        location /hide/ {
            proxy_pass http://app;
            proxy_hide_header X-Secret;
            proxy_hide_header Set-Cookie;
            travel_cache http;
        }
        location /gzip/ {
            proxy_pass http://app;
            travel_cache http;
            gzip on;
            gzip_min_length 1;
            gzip_types text/plain;
        }
    }
CONF
$t->write('scgi.params', <<'END');
scgi_param CONTENT_LENGTH 0;
scgi_param SCGI 1;
scgi_param REQUEST_METHOD $request_method;
scgi_param REQUEST_URI $request_uri;
END
$t->launch;
my $o = Travel::Origin->start($t->port + 1);

sub get { $t->get(@_) }
sub status { my $s = $_[0]{headers}{'cache-status'} // ''; ref $s ? $s->[-1] : $s }

my $serial = 0;
sub fresh_path { return ($_[0] // '/') . 'p' . ++$serial }

# Two requests for a new path: was the second one answered from the store?
sub stored {
    my ($answer, %more) = @_;
    my $path = fresh_path($more{in});
    $o->set($path, %$answer);
    my @a = map { get($path . ($more{query} // ''),
        headers => $more{headers} || {}, token => $more{token}) } 1, 2;
    my $n = $o->count($path);
    return ($n == 1 ? 1 : $n == 2 ? 0 : "asked $n times", @a);
}

sub kept { my ($name, @args) = @_; my ($s, @a) = stored(@args); is($s, 1, "stored: $name") or diag(status($a[0])); return @a }
sub refused { my ($name, @args) = @_; my ($s, @a) = stored(@args); is($s, 0, "not stored: $name") or diag(status($a[0])); return @a }

my $now  = time;
sub date { Travel::Origin::http_date($now + $_[0]) }
sub cc   { return { headers => ["Cache-Control: $_[0]", @_[1 .. $#_]] } }

# --- a hit is the answer again ----------------------------------------------

{
    my @a = kept('max-age', { headers => ['Cache-Control: max-age=60',
        'Content-Type: text/plain; charset=utf-8', 'X-Unknown: kept',
        'X-Twice: 1', 'X-Twice: 2'], body => 'the body %n' });
    is($a[0]{content}, 'the body 1', 'the first answer is the origin\'s');
    is($a[1]{content}, 'the body 1', 'the second is the same');
    is($a[1]{headers}{'content-type'}, 'text/plain; charset=utf-8', '... its type');
    is($a[1]{headers}{'x-unknown'}, 'kept', '... a field nobody knows');
    is_deeply($a[1]{headers}{'x-twice'}, [1, 2], '... a field that comes twice');
    is($a[1]{headers}{'content-length'}, 10, '... its length');
    is($a[1]{headers}{'x-cache'}, 'HIT', '... $travel_cache_status');
    is($a[0]{headers}{'x-cache'}, 'MISS', '... and of the first');
    ok(defined $a[1]{headers}{age}, 'a stored answer has an age');
    ok(!defined $a[0]{headers}{age}, 'a new one has none');
    like(status($a[0]), qr/^ngx_travel; fwd=uri-miss; fwd-status=200; stored; ttl=(?:60|59|58|57)$/,
        'Cache-Status of a miss');
    like(status($a[1]), qr/^ngx_travel; hit; ttl=(?:60|59|58|57)$/, 'Cache-Status of a hit');
}

{
    my @a = kept('an answer of 100 KB, in chunks', { chunked => 1,
        headers => ['Cache-Control: max-age=60'], body => 'x' x 100_000 });
    is($a[1]{content}, 'x' x 100_000, 'the whole of it');
    is($a[1]{headers}{'content-length'}, 100_000, 'with its length');
    ok(!$a[1]{headers}{'transfer-encoding'}, 'Transfer-Encoding is not stored');
}

{
    my @a = kept('an empty body', { headers => ['Cache-Control: max-age=60'], body => '' });
    is($a[1]{content}, '', 'nothing in it');
    is($a[1]{status}, 200, '... and it is an answer');
}

# --- RFC 9111 section 3: storing ------------------------------------------------

kept('s-maxage', cc('s-maxage=60'));
kept('Expires', { headers => ['Expires: ' . date(60)] });
kept('Expires in the form of RFC 850', { headers => [
    'Expires: ' . POSIX::strftime('%A, %d-%b-%y %H:%M:%S GMT', gmtime $now + 60)] });
kept('public, by heuristics', cc('public', 'Last-Modified: ' . date(-86400)));
kept('directives of which it knows nothing', cc('max-age=60, community="UCI", foo=1'));
kept('no-cache within a quoted string of another', cc('max-age=60, ext="no-store, no-cache"'));
kept('directives in any case', cc('MaX-aGe=60'));
kept('a quoted number', cc('max-age="60"'));
kept('two lines of Cache-Control', { headers => ['Cache-Control: foo', 'Cache-Control: max-age=60'] });
refused('no-store', cc('max-age=60, no-store'));
refused('NO-STORE', cc('max-age=60, NO-STORE'));
refused('no-store on a line of its own', { headers => ['Cache-Control: max-age=60', 'Cache-Control: no-store'] });
refused('private', cc('max-age=60, private'));
refused('private with a field name', cc('max-age=60, private="x-foo"'));
refused('no-cache without a validator', cc('max-age=60, no-cache'));
refused('max-age=0', cc('max-age=0'));
refused('a max-age that is no number', cc('max-age=abc'));
refused('a negative max-age', cc('max-age=-5'));
refused('a max-age with a fraction', cc('max-age=60.5'));
refused('no lifetime at all', { });
refused('Set-Cookie', cc('max-age=60', 'Set-Cookie: a=b'));
refused('206', { status => 206, headers => ['Cache-Control: max-age=60', 'Content-Range: bytes 0-3/9'], body => 'abcd' });
refused('must-understand and a status that is not', { status => 299, headers => ['Cache-Control: max-age=60, must-understand, no-store'] });
kept('must-understand overrides no-store', cc('max-age=60, must-understand, no-store'));

for my $status (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501) {
    kept("$status by heuristics", { status => $status,
        headers => ['Last-Modified: ' . date(-864_000)] }) unless $status == 501;
    $t->{http5xx} = [];
}
for my $status (201, 202, 302, 303, 307, 400, 403, 418) {
    refused("$status without a lifetime", { status => $status,
        headers => ['Last-Modified: ' . date(-864_000)] });
    kept("$status with one", { status => $status, headers => ['Cache-Control: max-age=60'] });
}
kept('a status nobody knows, with a lifetime', { status => 299, headers => ['Cache-Control: max-age=60'] });

# --- section 4.2.1: which lifetime ------------------------------------------------

sub ttl { my ($s) = status($_[0]) =~ /ttl=(-?\d+)/; return $s // "none" }
# Less the time that the application seemed to take, by whole seconds.
sub lasts { my ($ttl, $s, $what) = @_; like($ttl, qr/^(?:@{[join '|', $s - 3 .. $s]})$/, $what) }

lasts(ttl((kept('s-maxage before max-age', cc('max-age=1, s-maxage=100')))[0]), 100, 's-maxage counts');
lasts(ttl((kept('max-age before Expires', cc('max-age=100', 'Expires: ' . date(-60))))[0]), 100, 'max-age counts');
refused('max-age=0 before a good Expires', cc('max-age=0', 'Expires: ' . date(60)));
refused('s-maxage=0 before a good max-age', cc('s-maxage=0, max-age=60'));
lasts(ttl((kept('the first of two', cc('max-age=100, max-age=5')))[0]), 100, 'the first counts');
is(ttl((kept('Expires against Date', { date => date(-1000), headers => ['Expires: ' . date(-400 + 1000)] }))[0]) + 1000 <= 1600 ? 1 : 0, 1,
    'Expires is counted from Date');
refused('Expires: 0', { headers => ['Expires: 0'] });
refused('Expires that is no date', { headers => ['Expires: tomorrow'] });
refused('Expires in the past', { headers => ['Expires: ' . date(-10)] });
refused('an Expires that is no date keeps heuristics away',
    { headers => ['Expires: 0', 'Last-Modified: ' . date(-864_000)] });
refused('max-age=0 keeps heuristics away', cc('max-age=0', 'Last-Modified: ' . date(-864_000))) if 0;
lasts(ttl((kept('a number that does not fit', cc('max-age=99999999999999999999')))[0]), 2147483648, '... is 2^31');
is(ttl((kept('heuristics', { date => date(0), headers => ['Last-Modified: ' . date(-10_000)] }))[0]) > 990 - (time - $now) ? 1 : 0, 1,
    'a tenth of the time since Last-Modified');
is(ttl((kept('heuristics, capped', { date => date(0), headers => ['Last-Modified: ' . date(-86_400_000)] }))[0]) <= 86_400 ? 1 : 0, 1,
    'a day at most');
{
    my ($s, @a) = stored({ headers => ['Last-Modified: ' . date(-864_000)] }, in => '/noheur/');
    is($s, 0, 'heuristic=0: none');
}
lasts(ttl((kept('default=', {}, in => '/ttl/'))[0]), 60, 'default= is the lifetime of an answer without one');
refused('default= is no lifetime for one that says no-store', cc('no-store'), in => '/ttl/');
refused('default= does not make a 404 stay', { status => 404 }, in => '/ttl/');
refused('default= is not for an answer that is stale', cc('max-age=0'), in => '/ttl/');

# --- section 4.2.3: age ------------------------------------------------------------

{
    my @a = kept('with an age of its own', cc('max-age=100', 'Age: 40'));
    cmp_ok($a[1]{headers}{age}, '>=', 40, 'Age counts');
    cmp_ok($a[1]{headers}{age}, '<', 50, '... and not twice');
    refused('older than it may be', cc('max-age=100', 'Age: 100'));
    kept('an age that is no number', cc('max-age=100', 'Age: x'));
    kept('the first of several ages', cc('max-age=100', 'Age: 5, 200'));
    refused('an age that does not fit', cc('max-age=100', 'Age: 99999999999999'));
    @a = kept('by its date', { date => date(-50), headers => ['Cache-Control: max-age=100'] });
    cmp_ok($a[1]{headers}{age}, '>=', 50, 'the clock counts');
    is($a[1]{headers}{date}, date(-50), 'Date is when it was made');
    refused('too old by its date', { date => date(-200), headers => ['Cache-Control: max-age=100'] });
    @a = kept('a slow origin', { delay => 1.1, headers => ['Cache-Control: max-age=100'] });
    cmp_ok($a[1]{headers}{age}, '>=', 1, 'the way here counts');
    @a = kept('a date in the future', { date => date(500), headers => ['Cache-Control: max-age=100'] });
    cmp_ok($a[1]{headers}{age}, '<', 10, '... is no negative age');
}

# --- section 3.1: which fields -------------------------------------------------------

{
    my @a = kept('with fields of the connection', cc('max-age=60', 'X-Hop: 1', 'Keep-Alive: x',
        'Proxy-Authenticate: Basic', 'Proxy-Connection: y', 'TE: z', 'Upgrade: foo',
        'Proxy-Authentication-Info: q', 'RateLimit: "a";r=1;t=5'));
    for my $h (qw(keep-alive proxy-authenticate proxy-connection te upgrade
                  proxy-authentication-info ratelimit)) {
        ok(!defined $a[1]{headers}{$h}, "$h is not stored");
    }
    @a = kept('what Connection names', { raw => "HTTP/1.1 200 OK\r\nConnection: close, X-Named\r\n"
        . "X-Named: 1\r\nX-Other: 2\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok" });
    ok(!defined $a[1]{headers}{'x-named'}, '... is not stored');
    is($a[1]{headers}{'x-other'}, 2, '... and the rest is');
    @a = kept('what nginx hides', cc('max-age=60', 'X-Secret: s'), in => '/hide/');
    ok(!defined $a[1]{headers}{'x-secret'}, '... stays hidden');
    @a = kept('a cookie that nginx hides', cc('max-age=60', 'Set-Cookie: a=b'), in => '/hide/');
    ok(!defined $a[$_]{headers}{'set-cookie'}, '... nobody gets') for 0, 1;
    @a = kept('with a cookie that is ignored', cc('max-age=60', 'Set-Cookie: a=b'), in => '/cookie/');
    ok(!defined $a[1]{headers}{'set-cookie'}, 'ignore=set-cookie: no other caller gets it');
    ok(defined $a[0]{headers}{'set-cookie'}, '... the one that it was for does');
}

# --- an answer that is not whole -------------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'x' x 500, cut => 100);
    get($path, allow_5xx => 1);
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'whole');
    is(get($path)->{content}, 'whole', 'a body that breaks off is never stored');
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'x' x 500, cut => 100, chunked => 1);
    get($path, allow_5xx => 1);
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'whole');
    is(get($path)->{content}, 'whole', '... nor chunks without an end');
    refused('more than max_size', { headers => ['Cache-Control: max-age=60'], body => 'x' x 1025 }, in => '/small/');
    refused('more than max_size, in chunks', { chunked => 1, headers => ['Cache-Control: max-age=60'],
        body => 'x' x 5000 }, in => '/small/');
    my @a = kept('just max_size', { headers => ['Cache-Control: max-age=60'], body => 'x' x 1024 }, in => '/small/');
    @a = kept('just max_size, in chunks', { chunked => 1, headers => ['Cache-Control: max-age=60'],
        body => 'x' x 1024 }, in => '/small/');
    refused('more than max_size, by default', { headers => ['Cache-Control: max-age=60'], body => 'x' x 1_048_577 });
    refused('more than an eighth of the zone', { headers => ['Cache-Control: max-age=60'], body => 'x' x 2_100_000 }, in => '/large/');
    refused('travel_cache off', cc('max-age=60'), in => '/off/');
}

# --- what the edge adds is of the answer, not of what is kept ---------------------------------

{
    my $path = fresh_path('/browser/');
    $o->set($path, headers => ['Cache-Control: max-age=60', 'X-Frame-Options: SAMEORIGIN',
        'Access-Control-Allow-Origin: *', 'X-Request-Id: theirs']);
    for my $origin ('https://a.example', 'https://b.example', undef) {
        my $h = get($path, headers => { $origin ? (Origin => $origin) : () })->{headers};
        my $who = $origin // 'nobody';
        is($h->{'access-control-allow-origin'}, $origin, "CORS, of a kept answer, too: $who");
        is($h->{vary}, 'Origin', '... Vary, once');
        is($h->{'content-security-policy'}, "default-src 'none'; frame-ancestors 'none'", '... the policy, once');
        is($h->{'x-frame-options'}, 'SAMEORIGIN', '... what the application says itself');
        like($h->{'x-request-id'}, qr/^[0-9a-f]{32}\z/, '... the request\'s id, once');
    }
    is($o->count($path), 1, '... one answer for all origins');
}

# --- answers that lie in parts ---------------------------------------------------------------

{
    my $noise = join '', map { chr(97 + (($_ * 7919) ^ ($_ >> 7)) % 26) } 1 .. 65_537;
    my $body = substr(join('', map { "$_:$noise" } 1 .. 16), 0, 1_048_576);
    for my $size (131_073, 1_048_576) {
        my $want = substr $body, 0, $size;
        my @a = kept("$size bytes", { headers => ['Cache-Control: max-age=60', 'ETag: "big"', 'Content-Type: text/plain'],
            body => $want });
        ok($a[1]{content} eq $want, '... the same to the last byte');
        my $path = "/p$serial";
        my $r = get($path, headers => { Range => 'bytes=65530-131080' });
        is($r->{status}, 206, '... a range of them');
        ok($r->{content} eq substr($want, 65530, 65551), '... over the parts\' edges') if $size > 131_080;
        is(get($path, headers => { 'If-None-Match' => '"big"' })->{status}, 304, '... not modified');
        is($t->request('HEAD', $path)->{headers}{'content-length'}, $size, '... HEAD');
        is($o->count($path), 1, '... all from the store');
    }
    # what changed is another answer, in parts of its own
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => $body);
    get($path);
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => scalar reverse $body);
    is($t->request('POST', $path)->{status}, 200, 'an unsafe request');
    ok(get($path)->{content} eq reverse($body), 'the new one, whole') for 1 .. 2;
    # both codings
    $path = fresh_path('/large/');
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Content-Type: text/plain'], body => $body);
    get($path);
    ok(get($path)->{content} eq $body, 'plain');
    my $r = get($path, headers => { 'Accept-Encoding' => 'gzip' });
    is($r->{headers}{'content-encoding'}, 'gzip', 'and coded');
    require IO::Uncompress::Gunzip;
    IO::Uncompress::Gunzip::gunzip(\$r->{content} => \my $plain);
    ok($plain eq $body, '... the same');
    is($o->count($path), 1, '... from the store');
    # more of them than the zone takes: what is there is whole
    my @paths = map { fresh_path() } 1 .. 24;
    my ($bad, $hits) = (0, 0);
    for my $n (0 .. $#paths) {
        $o->set($paths[$n], headers => ['Cache-Control: max-age=60'], body => "$n:" . substr $body, 0, 1_000_000);
    }
    for my $round (1, 2) {
        for my $n (reverse 0 .. $#paths) {
            my $r = get($paths[$n]);
            $bad++ if $r->{content} ne "$n:" . substr $body, 0, 1_000_000;
            $hits++ if $r->{headers}{'x-cache'} eq 'HIT';
        }
    }
    is($bad, 0, 'more than there is room for: no byte is wrong');
    cmp_ok($hits, '<', 24, '... some had to go');
}

# --- section 4.1: Vary ---------------------------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Vary: Foo, x-bar'], body => 'v%n');
    my $v = sub { get($path, headers => { @_ }) };
    is($v->(foo => 1)->{content}, 'v1', 'Vary: the first');
    is($v->(foo => 1)->{content}, 'v1', '... the same again');
    my $r = $v->(foo => 2);
    is($r->{content}, 'v2', '... another value, another answer');
    like(status($r), qr/fwd=vary-miss/, '... Cache-Status says so');
    is($v->()->{content}, 'v3', '... absent is another value');
    is($v->(foo => '')->{content}, 'v4', '... empty is not absent');
    is($v->(foo => 1, 'x-bar' => 2)->{content}, 'v5', '... all of the fields count');
    is($v->(foo => 1, 'x-baz' => 2)->{content}, 'v1', '... others do not');
    is($v->(foo => 2)->{content}, 'v2', '... each stays');
    is($v->(foo => '1 ')->{content}, 'v1', '... blanks around do not count');

    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Vary: Accept-Language'], body => 'l%n');
    is($v->('accept-language' => 'en, DE;q=0.5')->{content}, 'l1', 'Accept-Language');
    is($v->('accept-language' => 'de;q=0.5,en')->{content}, 'l1', '... in another order and case');
    is($v->('accept-language' => 'fr')->{content}, 'l2', '... another language');
    refused('Vary: *', cc('max-age=60', 'Vary: *'));
    refused('Vary: * among others', cc('max-age=60', 'Vary: Foo, *'));
    refused('Vary: * on a second line', cc('max-age=60', 'Vary: Foo', 'Vary: *'));
}

# --- keys ---------------------------------------------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'k%n');
    is(get("$path?a=1")->{content}, 'k1', 'the query is part of the key');
    is(get("$path?a=2")->{content}, 'k2', '... another query');
    is(get("$path?a=1")->{content}, 'k1', '... the first again');
    my $of = sub { ($t->raw("GET $path HTTP/1.1\r\nHost: $_[0]\r\nConnection: close\r\n\r\n") =~ /\r\n\r\n(.*)/s)[0] };
    is($of->('other.example'), 'k3', 'and the host is');
    is($of->('OTHER.example:80'), 'k3', '... in any case, without a port that goes without saying');
    my $long = 'x' x 3000;
    is(get("$path?$long")->{content}, 'k4', 'a URI of 3000 characters');
    is(get("$path?$long")->{content}, 'k4', '... is found again');
    is(get("$path?${long}y")->{content}, 'k5', '... and no other one');
    my $keyed = fresh_path('/key/');
    $o->set($keyed, body => 'q%n');
    is(get("$keyed?k=$keyed&b=1")->{content}, 'q1', 'key= of one\'s own');
    is(get("$keyed?k=$keyed&b=2")->{content}, 'q1', '... is all that counts');
}

# --- RFC 9111 section 3.5, and whose answer it is -------------------------------------------------

{
    my $basic = { authorization => 'Basic YTpi' };
    refused('a request with Authorization', cc('max-age=60'), in => '/raw/', headers => $basic);
    kept('... but public', cc('max-age=60, public'), in => '/raw/', headers => $basic);
    kept('... but s-maxage', cc('s-maxage=60'), in => '/raw/', headers => $basic);
    my $path = fresh_path('/raw/');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'a%n');
    get($path);
    is(get($path, headers => $basic)->{content}, 'a2', 'what an anonymous caller got is not for one with credentials');
    is(get($path)->{content}, 'a1', '... and the other way round');

    my @token = map { $t->user_token($_) } 1, 2;
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'u%n');
    is(get($path, token => $token[0])->{content}, 'u1', 'a caller\'s answer');
    is(get($path, token => $token[0])->{content}, 'u1', '... is kept for him');
    is(get($path, token => $token[1])->{content}, 'u2', '... and not for another');
    is(get($path)->{content}, 'u3', '... nor for one without a name');
    is(get($path, token => $token[0])->{content}, 'u1', '... but for him still');
    is(get($path, token => $t->user_token(3))->{content}, 'u4', 'what one without a name got is not for one with a name');

    my @a = kept('private, for the caller himself', cc('private, max-age=60'), token => $token[0]);
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: private, public, s-maxage=60, max-age=60'], body => 'p%n');
    get($path, token => $token[0]);
    is(get($path, token => $token[1])->{content}, 'p2', 'private is stronger than public');

    for my $open ('public, max-age=60', 's-maxage=60') {
        $path = fresh_path();
        $o->set($path, headers => ["Cache-Control: $open"], body => 'o%n');
        get($path, token => $token[0]);
        is(get($path, token => $token[1])->{content}, 'o1', "$open: for all");
        is(get($path)->{content}, 'o1', '... also without a name');
    }

    refused('shared: no caller\'s answer', cc('max-age=60'), in => '/shared/', token => $token[0]);
    kept('shared: but must-revalidate', cc('max-age=60, public, must-revalidate'), in => '/shared/', token => $token[0]);
    $path = fresh_path('/private/');
    $o->set($path, headers => ['Cache-Control: public, max-age=60'], body => 'x%n');
    get($path, token => $token[0]);
    is(get($path, token => $token[1])->{content}, 'x2', 'private: each for himself, whatever the answer says');
    is(get($path)->{content}, 'x3', '... and nobody without a name');
    is(get($path)->{content}, 'x4', '... nothing of his is kept');
}

# --- section 5.2.1: the request's directives ---------------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=100', 'Age: 50'], body => 'r%n');
    my $with = sub { get($path, headers => { 'cache-control' => $_[0] })->{content} };
    is($with->(''), 'r1', 'an answer of 50 s');
    is($with->('max-age=70'), 'r1', 'max-age that it meets');
    is($with->('min-fresh=20'), 'r1', 'min-fresh that it meets');
    is($with->('min-fresh=80'), 'r2', 'min-fresh that it does not meet');
    is($with->('max-age=30'), 'r3', 'max-age that it does not meet');
    like(status(get($path, headers => { 'cache-control' => 'no-cache' })), qr/fwd=request/, 'no-cache asks the origin');
    is($with->(''), 'r4', '... and what it says is kept');
    is($with->('only-if-cached'), 'r4', 'only-if-cached: a hit');
    my $r = get('/never/asked', headers => { 'cache-control' => 'only-if-cached' }, allow_5xx => 1);
    is($r->{status}, 504, 'only-if-cached: 504 for a miss');
    is($r->{json}{error}{code}, 'GATEWAY_TIMEOUT', '... in the one shape');
    is($o->count('/never/asked'), 0, '... and nobody is asked');
    ok(!$r->{headers}{'cache-status'}, 'no Cache-Status on an error of our own');
    refused('a request that says no-store', cc('max-age=60'), headers => { 'cache-control' => 'no-store' });
    kept('ignore=request', cc('max-age=60'), in => '/stubborn/', headers => { 'cache-control' => 'no-cache, no-store' });
}

# --- methods -----------------------------------------------------------------------------------------

{
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'body %n');
    get($path);
    my $r = $t->request('HEAD', $path);
    is($o->count($path), 1, 'HEAD is answered from a stored GET');
    is($r->{headers}{'content-length'}, 6, '... with its length');
    is($r->{content} // '', '', '... and no body');
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'body %n');
    $t->request('HEAD', $path);
    is(get($path)->{content}, 'body 2', 'a HEAD is not stored as a GET');
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'p %n');
    like(status($t->request('POST', $path, body => '{}')), qr/fwd=method/, 'POST goes to the origin');
    is($t->request('POST', $path, body => '{}')->{content}, 'p 2', '... each time');
}

# --- what the rest of nginx does with it ---------------------------------------------------------------

{
    my @a = kept('gzip', { headers => ['Cache-Control: max-age=60', 'Content-Type: text/plain', 'ETag: "e1"'],
        body => 'z' x 1000 }, in => '/gzip/', headers => { 'accept-encoding' => 'gzip' });
    is($a[1]{headers}{'content-encoding'}, 'gzip', 'a hit is compressed as it goes out');
    my $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60', 'Accept-Ranges: bytes'], body => '0123456789');
    get($path);
    my $r = get($path, headers => { range => 'bytes=2-4' });
    is($r->{status}, 206, 'a range of a stored answer');
    is($r->{content}, '234', '... is cut by nginx');
    is($r->{headers}{'content-range'}, 'bytes 2-4/10', '... and says so');
    is($o->count($path), 1, '... without the origin');
    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => '0123456789');
    get($path, headers => { range => 'bytes=2-4' });
    is(($o->seen($path))[0]{headers}{range}, 'bytes=2-4', 'a range that is not stored goes to the origin as it is');
    is(get($path)->{status}, 200, '... and its answer is not stored');
    is($o->count($path), 2, '... at all');
}

{
    kept('behind try_files', cc('max-age=60'), in => '/try/');
    my $path = fresh_path('/inside/');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'inside %n');
    my ($s, @a) = stored({ headers => ['Cache-Control: max-age=60', "X-Accel-Redirect: $path"] }, in => '/accel/');
    is($s, 0, 'an X-Accel-Redirect is no answer to keep');
    is($a[0]{content}, 'inside 1', '... where it leads is answered');
    is($a[1]{content}, 'inside 2', '... under the name of who asked, and not kept');
    @a = kept('with limits', cc('max-age=60'), in => '/limited/');
    isnt($a[0]{headers}{ratelimit}, undef, 'limits tell of themselves');
    isnt($a[0]{headers}{ratelimit}, $a[1]{headers}{ratelimit}, '... anew on each hit');
    ok(!ref $a[1]{headers}{ratelimit}, '... and once');

    # any upstream will do: an SCGI server of one answer
    my $scgi = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $t->port + 4,
        Listen => 8, ReuseAddr => 1) or die "scgi: $!";
    my $pid = fork // die;
    if (!$pid) {
        my $c = $scgi->accept;
        sysread $c, my $request, 4096;
        print $c "Status: 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/plain\r\n\r\nby scgi";
        close $c;
        POSIX::_exit(0);
    }
    close $scgi;
    is(get('/scgi/x')->{content}, 'by scgi', 'scgi_pass');
    waitpid $pid, 0;
    is(get('/scgi/x')->{content}, 'by scgi', '... from the store, when it is gone');

    $path = fresh_path();
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'r%n');
    is(get($path)->{content}, 'r1', 'before a reload');
    $t->reload;
    is(get($path)->{content}, 'r1', '... and after it');
    $o->set($path, headers => ['Cache-Control: max-age=60'], body => 'r%n');
    $t->request('POST', $path, body => '{}');
    is(get($path)->{content}, 'r3', '... and invalid as before');
}

{
    my $m = get('/metrics')->{content};
    my ($hits) = $m =~ /^travel_http_cache_total\{result="hit"\} (\d+)/m;
    cmp_ok($hits // 0, '>', 50, 'hits are counted');
    like($m, qr/^travel_http_cache_fills_total\{result="refused"\} [1-9]/m, '... and refusals');
}

# --- nginx -t ---------------------------------------------------------------------------------------------

# With the sanitizer's runtime first where the module needs it.
{
    my $conf = slurp($t->dir . '/nginx.conf');
    my $with = sub {
        my ($line) = @_;
        (my $text = $conf) =~ s/(location \/off\/ \{.*?)travel_cache off;/$1$line/
            or die 'no place';
        $t->write('try.conf', $text);
        return $t->nginx_t('try.conf');
    };
    my ($rc, $out) = $with->('travel_cache http default=1s stale=30d heuristic=0 max_size=4m wait=0 "key=$uri" '
        . '"tags=a $arg_b" private ignore=request ignore=set-cookie;');
    is($rc, 0, 'nginx -t: every parameter') or diag($out);
    my $time = qr/must be a time from 0 to 30d/;
    for (['default=x', $time], ['default=31d', $time], ['default=', qr/needs a value/], ['stale=-1', $time],
        ['heuristic=31d', $time], ['max_size=5m', qr/must be a size from 1k to 4m/], ['max_size=512', qr/must be a size from 1k/],
        ['max_size=x', qr/must be a size/], ['wait=61s', qr/must be a time from 0 to 60s/], ['key=', qr/needs a value/],
        ['ignore=all', qr/must be ignore=request or ignore=set-cookie/], ['what', qr/must be one of default=, stale=/],
        ['what=1', qr/must be one of default=.*ignore= or l2=/], ['Shared', qr/must be one of .*shared, private/],
        ['l2=yes', qr/must be "on" or "off"/])
    {
        my ($bad, $want) = @$_;
        ($rc, $out) = $with->("travel_cache http \"$bad\";");
        isnt($rc, 0, "nginx -t: $bad");
        like($out, qr/"travel_cache".*"\Q$bad\E" $want.* in .*try\.conf:\d+/, '... and what it must be');
    }
    ($rc, $out) = $with->('travel_cache http shared private;');
    like($out, qr/says "shared" and "private": leave one/, 'nginx -t: for all and for one');
    ($rc, $out) = $with->('travel_cache http; travel_cache http;');
    like($out, qr/"travel_cache" directive is duplicate/, 'nginx -t: twice');
    ($rc, $out) = $with->('travel_cache https;');
    like($out, qr/must be "off", "http" or from 1ms to 30d/, 'nginx -t: another word');
}

$o->stop;
$t->finish;
done_testing;
