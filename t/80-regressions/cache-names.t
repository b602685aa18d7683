# One resource under several names, and two resources under one: what a request
# line says beside Host must not put one host's answer under another's name, and
# a spelling with more percent signs must not outlive the invalidation of the
# plain one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Origin;
use Travel::Test;

my $t = Travel::Test->new(parts => 'cache nginx', ngx_workers => 1,
    http => <<'CONF');
    travel_zone cache 4m shards=2;
    travel_jwks main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_redis cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_consistency_key @KEYS@/consistency.key;
    upstream app { server 127.0.0.1:@PORT_SANDBOX@; }
    server {
        listen 127.0.0.1:@PORT@;
        listen unix:@RUN@/h2.sock http2;
        proxy_set_header Host $host;
        location = /purge { travel_auth required jwks=main audience=travel; travel_purge; }
        location /l2/ { proxy_pass http://app; travel_cache http default=60s l2=on; }
        location / { proxy_pass http://app; travel_cache http default=60s; }
    }
CONF
$t->launch;
my $o = Travel::Origin->start($t->port + 1);
my $purger = $t->token(permissions => 'cache:purge');

sub raw {
    my ($line, $host, @more) = @_;
    return $t->raw(join '', map { "$_\r\n" } "$line HTTP/1.1", "Host: $host",
        'Connection: close', @more, '');
}
sub body { return ($_[0] =~ /\r\n\r\n(.*)\z/s)[0] }

subtest 'a request line that names another host than Host' => sub {
    $o->set('/a', headers => ['Cache-Control: max-age=60']);
    raw('GET http://evil.example/a', 'good.example');
    my ($poison) = $o->seen('/a');
    my $first = body(raw('GET /a', 'good.example'));
    is($o->count('/a'), 2, 'is not what Host names');
    is(body(raw('GET /a', 'evil.example')), 'answer 3',
        'nor kept for the other');
    is(body(raw('GET /a', 'good.example')), $first, 'which are kept as ever');
    is(body(raw('GET http://good.example/a', 'good.example')), $first,
        'the same host in both is one');
    is(body(raw('GET http://GOOD.example:80/a', 'good.example')), $first,
        'however it is written');
    is(body(raw('GET http://good.example:8080/a', 'good.example')), 'answer 4',
        'another port is not');
    is($poison->{headers}{host}, 'evil.example', 'since the origin is told so');
};

subtest 'spellings of one URI' => sub {
    for my $in ('/', '/l2/') {
        my ($plain, @other) = ("${in}names", "${in}n%61mes", "${in}%6eames",
            "${in}./names", "${in}x/../names");
        $o->set($_, headers => ['Cache-Control: max-age=60']) for $plain, @other;
        for my $path ($plain, @other) {
            raw("GET $path", 'a.example') for 1, 2;
            is($o->count($path), 1, "$path is kept");
        }
        raw("POST $plain", 'a.example', 'Content-Length: 0');
        raw("GET $_", 'a.example') for $plain, @other;
        is($o->count($_), 2, "... and invalid with $plain") for @other;
        is($o->count($plain), 3, '... as that is itself');
        raw("POST $other[0]", 'a.example', 'Content-Length: 0');
        raw("GET $plain", 'a.example');
        is($o->count($plain), 4, 'and the other way round');
    }
};

subtest 'a purge by prefix' => sub {
    my @path = ('/pre/fix/1', '/pre/f%69x/2', '/pre/y/../fix/3',
        '/pre/fi%78/%C3%a4', '/pre/other');
    $o->set($_, headers => ['Cache-Control: max-age=60']) for @path;
    raw("GET $_", 'p.example') for @path;
    my $purge = sub { $t->request('POST', '/purge?prefix=' . $_[0],
        token => $purger)->{json}{dropped} };
    is($purge->('http://p.example/pre/fix/%C3%A4'), 0, 'decoded once');
    is($purge->('http://p.example/pre/fix/%25C3%25A4'), 1,
        'escapes that are needed, in either case');
    is($purge->('http://p.example/pre/fix/'), 3, 'all spellings');
    is($purge->('http://p.example/pre/o'), 1, 'but not others');
    raw("GET $path[1]", 'p.example');
    is($purge->('http://p.example/pre/f%2569x/'), 1, 'a spelling itself');
};

subtest 'a field that varies, in more lines than anybody sends' => sub {
    $o->set('/vary', headers => ['Cache-Control: max-age=60', 'Vary: X-A']);
    my @lines = map { "X-A: $_" } 1 .. 30;
    my $one = body(raw('GET /vary', 'v.example', @lines));
    is(body(raw('GET /vary', 'v.example', @lines)), $one, 'kept');
    isnt(body(raw('GET /vary', 'v.example', @lines[0 .. 28], 'X-A: other')),
        $one, 'the last line counts, too');
};

subtest 'a GET with a body, over HTTP/2' => sub {
    $o->set('/fat', headers => ['Cache-Control: max-age=60']);
    my $curl = sub { my ($rc, $out) = $t->run('curl', '-s',
        '--http2-prior-knowledge', '--unix-socket', $t->dir . '/h2.sock', @_,
        'http://f.example/fat'); return $out };
    $curl->('-X', 'GET', '-H', 'Content-Length:', '--data', 'other=1');
    my $plain = $curl->();
    is($plain, 'answer 2', 'is not kept');
    is($curl->(), $plain, 'one without is');
    is($curl->('-X', 'GET', '-H', 'Content-Length:', '--data', 'other=1'),
        'answer 3', 'nor answered from the store');
};

$o->stop;
$t->finish;
done_testing;
