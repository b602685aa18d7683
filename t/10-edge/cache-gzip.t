# The gzip coding of kept answers: made once, given to whom takes it, by the
# rules of RFC 9110 for codings and validators; of queries and of upstreams.
# Without travel_redis queue time alone rules, so nothing here waits for a
# stream.
use strict;
use warnings;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use Test::More;
use Time::HiRes qw(sleep);
use Travel::Node;
use Travel::Origin;
use Travel::Test;

my $CONF = <<'END';
    travel_redis    cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @RUN@/catalog;
    travel_zone     cache 4m shards=2;
    travel_consistency_key @KEYS@/consistency.key;
    travel_cache_gzip on min=256;
    # nginx's own: it must not do it again, nor take the weak tag for its own
    gzip on;
    gzip_min_length 1;
    gzip_types application/json text/plain;

    server {
        listen 127.0.0.1:@PORT@;
        add_header X-Cache $travel_cache_status always;
        location = /health { return 200; }
        location = /metrics { travel_metrics; }
        location = /value { travel_query GET t.value; travel_cache 60s; }
        location = /bare { travel_query GET t.value; travel_cache 60s; gzip off; }
        location = /shared { travel_query GET t.value; travel_cache 60s l2=on; }
        location = /plain {
            travel_query GET t.value; travel_cache 60s "tags=plain";
            travel_cache_gzip off;
            gzip off;
        }
        location /up/ {
            proxy_pass http://127.0.0.1:@PORT_SANDBOX@;
            travel_cache http;
            gzip off;
        }
        location /css/ {
            proxy_pass http://127.0.0.1:@PORT_SANDBOX@;
            travel_cache http;
            travel_cache_gzip on level=9 min=64;
            travel_cache_gzip_types text/css;
            gzip off;
        }
    }
END

my $t = Travel::Test->new(parts => 'postgres cache nginx', http => $CONF, ngx_workers => 1);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.value.sql',
    "-- \@public\n-- \@returns one\n-- \@param pad int = 0\n"
    . "SELECT json_build_object('pad', repeat('abc ', :pad), "
    . "'run', clock_timestamp())::text");
$t->launch;
my $o = Travel::Origin->start($t->port + 1);

my @GZIP = (headers => { 'accept-encoding' => 'br, gzip' });

sub plain_of {
    my ($r) = @_;
    my $out;
    gunzip(\$r->{content} => \$out) or return "no gzip: $GunzipError";
    return $out;
}
sub coded { my ($r) = @_; ($r->{headers}{'content-encoding'} // '') eq 'gzip' }

# --- answers of queries ------------------------------------------------------

my $first = $t->get('/value?pad=500', @GZIP);
is $first->{headers}{'x-cache'}, 'MISS', 'a fill';
ok coded($first), '... goes out in gzip to who takes it';
my $body = plain_of($first);
like $body, qr/^\{"pad" : "(abc ){500}", "run" : "[^"]+"\}$/, '... and is the answer';

my $hit = $t->get('/value?pad=500', @GZIP);
is $hit->{headers}{'x-cache'}, 'HIT', 'a hit';
ok coded($hit), '... in gzip';
is $hit->{content}, $first->{content}, '... of the very same bytes: made once';
is $hit->{headers}{'content-length'}, length $hit->{content}, '... with their length';
is $hit->{headers}{vary}, 'Accept-Encoding', '... says that others get others';
like $hit->{headers}{etag}, qr{^W/"[0-9a-f]{32}"$}, '... has a weak tag';

my $plain = $t->get('/value?pad=500');
is $plain->{headers}{'x-cache'}, 'HIT', 'who does not take gzip has a hit, too';
ok !coded($plain), '... plain';
is $plain->{content}, $body, '... the same answer';
is $plain->{headers}{vary}, 'Accept-Encoding', '... with the same Vary';
is "W/$plain->{headers}{etag}", $hit->{headers}{etag}, '... and a strong tag';

for my $tag ($plain->{headers}{etag}, $hit->{headers}{etag}) {
    for my $who ('identity', 'gzip') {
        my $r = $t->get('/value?pad=500',
            headers => { 'if-none-match' => $tag, 'accept-encoding' => $who });
        is $r->{status}, 304, "$tag is known to who takes $who";
        ok !coded($r), '... and nothing is coded';
    }
}

my $head = $t->request('HEAD', '/value?pad=500', @GZIP);
is $head->{headers}{'content-length'}, length $hit->{content}, 'HEAD tells the coded length';
ok coded($head), '... and the coding';

for my $accept ('gzip;q=0', 'identity', 'deflate', 'br') {
    ok !coded($t->get('/value?pad=500', headers => { 'accept-encoding' => $accept })),
        "Accept-Encoding: $accept is plain";
}
ok coded($t->get('/value?pad=500', headers => { 'accept-encoding' => 'gzip;q=0.5' })),
    'Accept-Encoding: gzip;q=0.5 is gzip';

$t->get('/bare?pad=2', @GZIP);
my $short = $t->get('/bare?pad=2', @GZIP);
is $short->{headers}{'x-cache'}, 'HIT', 'an answer below min=';
ok !coded($short), '... is kept plain only';
is $short->{headers}{vary}, 'Accept-Encoding', '... with a Vary all the same';

$t->get('/plain?pad=500', @GZIP);
my $off = $t->get('/plain?pad=500', @GZIP);
ok !coded($off), 'travel_cache_gzip off: plain';
is $off->{headers}{vary}, undef, '... without a Vary';

# --- through L2 --------------------------------------------------------------

my $u = Travel::Node->start($t);
my ($pad, $one, $two) = 400;
# what the first has filled is written behind its answer: the other may ask too
# early, and then has an answer of its own
for (1 .. 20) {
    $pad++;
    $one = $t->get("/shared?pad=$pad", @GZIP);
    sleep 0.1;
    $two = $u->get("/shared?pad=$pad", @GZIP);
    last if $two->{headers}{'x-cache'} eq 'HIT';
}
is $two->{headers}{'x-cache'}, 'HIT', 'the other node has it from Redis';
is $two->{content}, $one->{content}, '... coded, as the first has made it';
my $again = $u->get("/shared?pad=$pad");
ok !coded($again), '... and plain for who wants that';
is $again->{content}, plain_of($one), '... the same';

# --- answers of upstreams ----------------------------------------------------

my $text = join '', map { "line $_ of a text\n" } 1 .. 200;
my @fresh = ('Cache-Control: max-age=60', 'Content-Type: text/plain');
sub twice {
    my ($path, @headers) = @_;
    $o->set($path, headers => \@headers, body => $text);
    $t->get($path, @GZIP);
    return $t->get($path, @GZIP);
}

my $up = twice('/up/a', @fresh, 'ETag: "one"');
is $up->{headers}{'x-cache'}, 'HIT', 'an upstream\'s answer';
ok coded($up), '... in gzip';
is plain_of($up), $text, '... the same text';
is $up->{headers}{etag}, 'W/"one"', '... its tag is weak now';
is $up->{headers}{vary}, 'Accept-Encoding', '... and it says so';
is $o->count('/up/a'), 1, '... asked for once';
my $bare = $t->get('/up/a');
is $bare->{content}, $text, '... plain for who wants that';
is $bare->{headers}{etag}, '"one"', '... with the upstream\'s own tag';
for my $tag ('"one"', 'W/"one"') {
    is $t->get('/up/a', headers => { 'if-none-match' => $tag,
        'accept-encoding' => 'gzip' })->{status}, 304, "$tag is known";
}

ok !coded(twice('/up/b', @fresh, 'Content-Encoding: x')), 'coded already: as it is';
ok !coded(twice('/up/c', 'Content-Type: text/plain',
    'Cache-Control: max-age=60, no-transform')), 'no-transform is obeyed';
ok !coded(twice('/up/d', @fresh, 'Content-Digest: sha-256=:AAAA:')),
    'bytes that are vouched for stay';
ok !coded(twice('/up/e', 'Cache-Control: max-age=60', 'Content-Type: image/png')),
    'a type that is not listed';
ok !coded(twice('/css/f', @fresh)), '... as the directive lists them';
ok coded(twice('/css/g', 'Cache-Control: max-age=60',
    'Content-Type: Text/CSS; charset=utf-8')), '... whatever its case and parameters';
is twice('/up/h', @fresh, 'Vary: Accept-Language, Accept-Encoding')->{headers}{vary},
    'Accept-Language, Accept-Encoding', 'a Vary that says it needs no other';

# A 304 keeps both codings.
$o->set('/up/v', headers => ['Cache-Control: max-age=0, stale-if-error=60',
    'Content-Type: text/plain', 'ETag: "v"'], etag => '"v"', body => $text);
$t->get('/up/v', @GZIP);
for my $who (\@GZIP, []) {
    my $r = $t->get('/up/v', @$who);
    like $r->{headers}{'cache-status'}, qr/fwd-status=304/, 'confirmed';
    is coded($r) ? plain_of($r) : $r->{content}, $text, '... and whole';
}
$o->stop;
my $stands = $t->get('/up/v', @GZIP);
like $stands->{headers}{'cache-status'}, qr/stale-if-error/, 'stands in for an error';
is coded($stands) ? plain_of($stands) : $stands->{content}, $text, '... and is whole';

$u->stop;
$t->finish;
done_testing;
