# In front of an application, with nginx's own means beside ours: "satisfy any",
# subrequests, "if" and "limit_except", several server blocks on one cache.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use JSON::PP ();
use Test::More;
use Travel::Origin;
use Travel::Test;

my $JS  = JSON::PP->new->canonical;
my $key = Crypt::PK::ECC->new->generate_key('secp256r1');

my $t = Travel::Test->new(parts => 'nginx', ngx_workers => 1, http => <<'CONF');
    travel_zone cache 4m shards=2;
    travel_jwks main file=@RUN@/main.json issuer=https://travel.local ours;
    upstream app { server 127.0.0.1:@PORT_SANDBOX@; }
    upstream echo { server unix:@RUN@/echo.sock; }
    server {
        listen unix:@RUN@/echo.sock;
        location / { return 200 '[$http_x_user_tier|$http_x_org|$http_x_user]'; }
        location = /page { default_type text/html; return 200 '[$http_x_org]<!--#include virtual="/part" -->'; }
    }
    server {
        listen 127.0.0.1:@PORT@;
        travel_auth required;
        error_page 401 403 404 405 /error;
        location = /error { travel_auth off; internal; travel_error_page; }
        location = /metrics { travel_auth off; travel_metrics;
                              if ($arg_x) { set $y 1; }
                              limit_except GET { deny all; } }

        proxy_set_header X-User $travel_user;
        location /any/open { satisfy any; allow all; proxy_pass http://echo; }
        location /any/shut { satisfy any; deny all; proxy_pass http://echo; }
        location /any/optional { satisfy any; deny all; travel_auth optional;
                                 proxy_pass http://echo; }
        location /any/need { satisfy any; allow all; travel_require a:b; proxy_pass http://echo; }
        location /any/lack { satisfy any; deny all; travel_require a:b; proxy_pass http://echo; }
        location /any/claim { satisfy any; deny all; travel_require claim:tier=gold; proxy_pass http://echo; }
        location /any/newer { satisfy any; allow all; travel_stepup acr=mfa; proxy_pass http://echo; }
        location /any/older { satisfy any; deny all; travel_stepup acr=mfa; proxy_pass http://echo; }
        location /any/few { satisfy any; deny all; travel_limit $travel_user 2r/h name=few; proxy_pass http://echo; }
        location /any/moved { satisfy any; deny all; try_files /nothing @off; }
        location @off { satisfy any; deny all; travel_auth off; proxy_pass http://echo; }

        location /paged { error_page 401 = @login; error_page 403 /denied; error_page 429 /busy;
                          travel_require POST a:b; travel_limit $travel_user 1r/h name=paged; proxy_pass http://echo; }
        location = /counted { error_page 401 = @login; travel_metrics; }
        location @login { travel_auth off; return 302 /sign-in?to=$request_uri; }
        location = /denied { travel_auth off; default_type text/plain; return 200 'not for you'; }
        location = /busy { default_type text/plain; proxy_pass http://echo; }

        location = /page { ssi on; travel_auth off; proxy_pass http://echo; }
        location = /part { travel_claim_header X-Org org; proxy_pass http://echo; }
        location = /whole { ssi on; proxy_pass http://echo/page; }

        location /if { travel_auth required;
                       if ($arg_x) { set $y 1; }
                       proxy_pass http://echo; }
        location /except { travel_auth off; limit_except GET { deny all; } proxy_pass http://echo; }
        location /cached { travel_auth off; proxy_pass http://app; travel_cache http default=60s; }
        location /keyed { travel_auth off; proxy_pass http://app; travel_cache http default=60s "key=$uri"; }
        location /claims { travel_claim_header X-User-Tier tier;
                           proxy_pass http://app; travel_cache http default=60s; }
    }
    server {
        listen 127.0.0.1:@PORT_METRICS@;
        server_name other;
        location / { proxy_pass http://app; travel_cache http default=60s; }
        location /keyed { proxy_pass http://app; travel_cache http default=60s "key=$uri"; }
    }
CONF
$t->write('main.json', $JS->encode({ keys => [{ use => 'sig', kid => 'k',
    alg => 'ES256', %{ $key->export_key_jwk('public', 1) } }] }));
$t->launch;
my $o = Travel::Origin->start($t->port + 1);
my $user = $t->user(1);

sub token {
    return encode_jwt(alg => 'ES256', key => $key,
        extra_headers => { kid => 'k' }, payload => $JS->encode({
            iss => 'https://travel.local', sub => $user,
            exp => int(time) + 600, @_ }));
}
my $alice = token(tier => 'gold');

sub get { my ($path, $token, @more) = @_; $t->get($path, token => $token, @more) }

subtest 'satisfy any' => sub {
    is(get('/any/open')->{status}, 200, 'nobody, from where all may come');
    is(get('/any/open', 'no.token')->{status}, 200, 'nor does a bad token hinder');
    is(get('/any/open', 'no.token')->{content}, '[||]', '... of nobody');
    my $r = get('/any/open', $alice);
    is($r->{content}, "[||$user]", 'a good one says who it is');
    is($r->{headers}{'www-authenticate'}, undef, '... without a challenge');
    $r = get('/any/shut');
    is($r->{status}, 401, 'nobody, from where none may come');
    is($r->{json}{error}{code}, 'AUTHENTICATION_ERROR', '... in the one shape');
    like($r->{headers}{'www-authenticate'}, qr/^Bearer /, '... with a challenge');
    is(get('/any/shut', 'no.token')->{json}{error}{code}, 'TOKEN_INVALID', 'a bad token');
    is(get('/any/shut', token(exp => int(time) - 600))->{json}{error}{code},
        'TOKEN_EXPIRED', '... one that is over');
    is(get('/any/shut', $alice)->{status}, 200, 'a good one');
    is(get('/any/optional')->{status}, 403, 'optional admits nobody by itself');
    is(get('/any/optional', $alice)->{status}, 200, '... but who has a token');
    is(get('/any/need', $alice)->{status}, 200, 'a permission, or the address');
    is(get('/any/need')->{status}, 200, '... for nobody, too');
    $r = get('/any/lack', $alice);
    is($r->{status}, 403, 'neither');
    is($r->{json}{error}{code}, 'AUTHORIZATION_ERROR', '... in the one shape');
    is(get('/any/claim', $alice)->{status}, 200, 'a claim');
    is(get('/any/claim', token())->{status}, 403, '... that is not there');
    is(get('/any/newer', $alice)->{status}, 200, 'a stronger token, or the address');
    $r = get('/any/older', $alice);
    is($r->{json}{error}{code}, 'STEP_UP_REQUIRED', 'neither');
    like($r->{headers}{'www-authenticate'}, qr/acr_values="mfa"/, '... and what it takes');
    is(get('/any/older', token(acr => 'mfa'))->{status}, 200, 'a stronger one');
    is(join(' ', map { get('/any/few', $alice)->{status} } 1 .. 3), '200 200 429',
        'who is let in is counted all the same');
    is(get('/any/moved', $alice)->{status}, 403, 'another location asks for itself');
};

subtest 'error_page of the operator\'s' => sub {
    my $r = get('/paged/x?y=1');
    is($r->{status}, 302, 'a login in the place of 401');
    like($r->{headers}{location}, qr{/sign-in\?to=/paged/x\?y=1$}, '... that knows where it was');
    like($r->{headers}{'www-authenticate'}, qr/^Bearer /, '... and the challenge stays');
    $r = $t->request('POST', '/paged', token => $alice, body => '{}');
    is($r->{status}, 403, 'a page in the place of 403');
    is($r->{content}, 'not for you', '... with its words');
    is(get('/paged', $alice)->{status}, 200, 'within the limit');
    $r = get('/paged', $alice);
    is($r->{status}, 429, 'beyond it');
    is($r->{content}, "[||$user]", '... by a page of an upstream');
    cmp_ok($r->{headers}{'retry-after'}, '>', 0, '... and when to come back');
    is(get('/if')->{json}{error}{code}, 'AUTHENTICATION_ERROR', 'ours, where it would lead to ours');
    is(get('/counted')->{json}{error}{code}, 'AUTHENTICATION_ERROR', '... and where the content is ours');
};

subtest 'headers of subrequests are their own' => sub {
    my $token = token(org => 'acme');
    is(get('/whole', $token)->{content}, "[][|acme|$user]", 'set in a subrequest');
    is(get('/whole', $token, headers => { 'X-Org' => 'mine' })->{content},
        "[mine][|acme|$user]", '... in the place of the client\'s');
    is(get('/page', undef, headers => { 'X-Org' => 'mine' })->{content}, '[mine][||]',
        '... who is nobody, and cannot write it');
};

subtest 'if and limit_except' => sub {
    is(get('/if')->{status}, 401, 'a location with an "if"');
    is(get('/if?x=1')->{status}, 401, '... that is true');
    is(get('/if?x=1', $alice)->{content}, "[||$user]", '... and serves the same');
    like(get('/metrics')->{content}, qr/^travel_auth_total/m, 'content of ours');
    like(get('/metrics?x=1')->{content}, qr/^travel_auth_total/m, '... within "if"');
    is($t->request('POST', '/metrics', body => '')->{status}, 403, '... within limit_except');
    is($t->request('POST', '/except', body => '')->{status}, 403, 'as proxy_pass has it');
};

# What the upstream is told of a caller decides what it answers: the cache goes by
# the same, and not by what a client writes in those headers.
subtest 'answers that depend on claims' => sub {
    my ($gold, $silver, $poor) = ($alice, token(tier => 'silver'), token());
    my $body = sub { my ($path, $token, @forged) = @_;
        get($path, $token, headers => { @forged })->{content} };
    my @forged = ('X-User-Tier' => 'gold');
    $o->set('/claims/all', headers => ['Cache-Control: public, max-age=60', 'Vary: X-User-Tier']);
    is($body->('/claims/all', $gold), 'answer 1', 'for gold');
    is($body->('/claims/all', $gold), 'answer 1', '... kept');
    is($body->('/claims/all', $silver, @forged), 'answer 2', 'silver that writes gold');
    is($body->('/claims/all', $poor, @forged), 'answer 3', 'none that writes gold');
    is($body->('/claims/all', token(tier => 'gold', sub => $t->user(2))), 'answer 1', 'another\'s gold');
    $o->set('/claims/own', headers => ['Cache-Control: max-age=60']);
    is($body->('/claims/own', $gold), 'answer 1', 'a user\'s own');
    is($body->('/claims/own', $silver), 'answer 2', '... with another token of his');
    is($body->('/claims/own', $gold), 'answer 1', '... each kept');
    $o->set('/claims/may', headers => ['Cache-Control: max-age=60']);
    my @may = map { token(permissions => $_) } ['a:read'], ['a:read', 'a:all'];
    is($body->('/claims/may', $may[1]), 'answer 1', 'what a wide token was given');
    is($body->('/claims/may', $may[0]), 'answer 2', '... a narrow one is not');
    is($body->('/claims/may', token(permissions => ['a:read', 'a:all'], jti => 'x')), 'answer 1',
        '... the next wide one is');
};

# Whoever asks one server block may name any host to it.
subtest 'server blocks have answers of their own' => sub {
    my $raw = sub {
        my ($port, $path, $host) = @_;
        return $t->raw("GET $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n",
            port => $port) =~ s/.*\r\n\r\n//sr;
    };
    my ($one, $two) = ($t->port, $t->port + 4);
    $o->set($_, headers => ['Cache-Control: max-age=60']) for '/cached', '/keyed';
    is($raw->($two, '/cached', 'shop.example'), 'answer 1', 'asked of one block');
    is($raw->($one, '/cached', 'shop.example'), 'answer 2', 'not told by another');
    is($raw->($two, '/cached', 'shop.example'), 'answer 1', 'each has its own');
    is($raw->($one, '/cached', 'shop.example'), 'answer 2', '... kept');
    $t->reload;
    is($raw->($one, '/cached', 'shop.example'), 'answer 2', '... through a reload');
    is($raw->($two, '/keyed', 'a.example'), 'answer 1', 'key= is the operator\'s word');
    is($raw->($one, '/keyed', 'b.example'), 'answer 1', '... for all');
};

$o->stop;
$t->finish;
done_testing;
