# Who are you?  Tokens made by an independent library (Crypt::JWT) against a
# real nginx; what nginx believes is read back from the requests it proxies.
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::RSA;
use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Digest::SHA qw(sha256 sha256_hex);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $JS = JSON::PP->new->canonical;

# --- keys --------------------------------------------------------------------

my %key = (
    rs  => Crypt::PK::RSA->new->generate_key(256),
    es  => Crypt::PK::ECC->new->generate_key('secp256r1'),
    es3 => Crypt::PK::ECC->new->generate_key('secp384r1'),
    es5 => Crypt::PK::ECC->new->generate_key('secp521r1'),
    ed  => Crypt::PK::Ed25519->new->generate_key,
    new => Crypt::PK::ECC->new->generate_key('secp256r1'),
    ps  => Crypt::PK::RSA->new->generate_key(256),
);
my $secret = 'a secret of thirty-two bytes, or more';

sub jwk {
    my ($name, $alg) = @_;
    my $k = $name eq 'hs'
        ? { kty => 'oct', k => encode_base64url($secret) }
        : $key{$name}->export_key_jwk('public', 1);
    return { %$k, kid => $name, use => 'sig', $alg ? (alg => $alg) : () };
}

sub jwks { return $JS->encode({ keys => [@_] }) }

my $ISS   = 'https://travel.local';
my $OTHER = 'https://id.example.com';
my $USER  = '01890000-0000-7000-8000-000000000007';

# token(alg, key name, {claims}, {header}): claims undef are left out.
sub token {
    my ($alg, $name, $claims, $header) = @_;
    my %c = (iss => $ISS, aud => 'travel', sub => $USER,
        exp => int(time) + 600, %{ $claims || {} });
    delete @c{ grep { !defined $c{$_} } keys %c };
    my %h = (kid => $name, %{ $header || {} });
    delete @h{ grep { !defined $h{$_} } keys %h };
    return encode_jwt(payload => $JS->encode(\%c), alg => $alg,
        key => $name eq 'hs' ? $secret : $key{$name}, extra_headers => \%h);
}

# The same, of parts as they are: for what no library would make.
sub forge {
    my ($header, $claims, $sign) = @_;
    my $in = join '.', map { encode_base64url(ref $_ ? $JS->encode($_) : $_) }
        $header, $claims;
    return "$in." . encode_base64url($sign ? $sign->($in) : 'x' x 64);
}

sub es_sign {
    my ($name) = @_;
    return sub { $key{$name}->sign_message_rfc7518($_[0], 'SHA256') };
}

# UUIDv8 over framed parts, as contracts section 1 defines another's user.
sub uuid8 {
    my @b = unpack 'C16', sha256(join '', map { pack('Q>', length) . $_ } @_);
    $b[6] = $b[6] & 0x0f | 0x80;
    $b[8] = $b[8] & 0x3f | 0x80;
    return join '-', unpack 'a8a4a4a4a12', join '', map { sprintf '%02x', $_ } @b;
}

# --- the instance ------------------------------------------------------------

my $conf = <<'END';
    large_client_header_buffers 4 16k;

    travel_zone  tokens 1m shards=2;
    travel_jwks  main   file=@RUN@/main.json issuer=https://travel.local ours;
    travel_jwks  other  file=@RUN@/other.json issuer=https://id.example.com user_id;
    travel_jwks  open   file=@RUN@/other.json;
    travel_jwks  nohs   file=@RUN@/hs.json;
    travel_jwks  hs     file=@RUN@/hs.json allow=hs issuer=https://hs.example.com;
    travel_jwks  onlyes file=@RUN@/main.json issuer=https://travel.local algs=ES256;

    server {
        listen unix:@RUN@/echo.sock;
        location / {
            default_type application/json;
            return 200 '{"user":"$http_x_user","sub":"$http_x_sub","issuer":"$http_x_issuer","email":"$http_x_email","permissions":"$http_x_permissions"}';
        }
    }

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth required jwks=main audience=travel leeway=0s;
        proxy_set_header X-User        $travel_user;
        proxy_set_header X-Sub         $travel_sub;
        proxy_set_header X-Issuer      $travel_issuer;
        proxy_set_header X-Email       $travel_email;
        proxy_set_header X-Permissions $travel_permissions;

        location = /metrics  { travel_auth off; travel_metrics; }
        location /           { proxy_pass http://unix:@RUN@/echo.sock; }
        location /read       { travel_require journeys:read;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /read/write { travel_require journeys:read; travel_require journeys:write;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /any        { travel_require any=ai:chat,read:content;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /method     { travel_auth optional jwks=main audience=travel;
                               travel_require GET a:read; travel_require POST PUT a:write;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /optional   { travel_auth optional jwks=main audience=travel;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /off        { travel_auth off; proxy_pass http://unix:@RUN@/echo.sock; }
        location /typ        { travel_auth required jwks=main typ=at+jwt;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /other      { travel_auth required jwks=other;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /both       { travel_auth required jwks=main,other;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /open       { travel_auth required jwks=open;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /nohs       { travel_auth required jwks=nohs;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /hs         { travel_auth required jwks=hs;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /onlyes     { travel_auth required jwks=onlyes;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /leeway     { travel_auth required jwks=main leeway=2s;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /redirect   { travel_auth off; rewrite ^ /optional/x; }
        location = /fallback { error_page 404 = /optional/y; root @RUN@/nowhere; }
    }
END

my $t = Travel::Test->new(parts => 'nginx', http => $conf,
    allow_log => qr/\[emerg\].*"travel_jwks" "main": file|worker process \d+ exited on signal 9/);

sub keys_are { my ($file, @k) = @_; $t->write("$file.new", jwks(@k));
    rename $t->dir . "/$file.new", $t->dir . "/$file"; }

my @main = (jwk('rs'), jwk('es'), jwk('es3'), jwk('es5'), jwk('ed'),
    jwk('ps', 'PS256'),
    map { { %{ jwk('rs', $_) }, kid => lc $_ } } qw(RS384 RS512 PS384 PS512));
keys_are('main.json', @main);
keys_are('other.json', jwk('new'));
keys_are('hs.json', jwk('hs', 'HS256'), jwk('rs'), map { {
    %{ jwk('hs', "HS$_") }, kid => "hs$_",
    k => encode_base64url($secret x 2) } } 384, 512);
chmod 0644, glob $t->dir . '/*.json';
$t->launch;

sub refused {
    my ($tok, $path, $status, $code, $what, %o) = @_;
    my $r = $t->get($path, defined $tok ? (token => $tok) : (), %o);
    is($r->{status}, $status, "$what: $status")
        or diag($r->{content});
    is($r->{json}{error}{code}, $code, "$what: $code");
    return $r;
}

sub accepted {
    my ($tok, $path, $what) = @_;
    my $r = $t->get($path, defined $tok ? (token => $tok) : ());
    is($r->{status}, 200, $what) or diag($r->{content});
    return $r->{json} || {};
}

# --- algorithms --------------------------------------------------------------

subtest 'every algorithm, and what it says' => sub {
    my %with = (RS256 => 'rs', ES256 => 'es', ES384 => 'es3', ES512 => 'es5',
        EdDSA => 'ed', PS256 => 'ps');
    for my $alg (sort keys %with) {
        my $tok = token($alg, $with{$alg}, { email => 'a@b.example',
            permissions => ['journeys:read', 'write:Journeys', 'odd', 'a:b:c'] });
        for my $turn (1 .. 2) {
            my $who = accepted($tok, '/', "$alg, turn $turn");
            is($who->{user}, $USER, 'user');
            is($who->{sub}, $USER, 'sub');
            is($who->{issuer}, $ISS, 'issuer');
            is($who->{email}, 'a@b.example', 'email');
            is($who->{permissions}, 'journeys:read journeys:write',
                'permissions in their normal form');
        }
    }
    # the same keys where each has another algorithm
    for my $alg (qw(RS384 RS512 PS384 PS512)) {
        accepted(token($alg, 'rs', undef, { kid => lc $alg }), '/', $alg);
        refused(token('RS256', 'rs', undef, { kid => lc $alg }), '/', 401,
            'TOKEN_INVALID', "RS256 with the key for $alg");
    }
    accepted(token('RS256', 'rs', undef, { kid => undef }), '/',
        'no kid: found by algorithm');
    accepted(token('ES256', 'es', { aud => ['x', 'travel', 'y'] }), '/',
        'one audience of several');
    is(accepted(token('ES256', 'es', { scope => 'journeys:read x:y' }), '/',
        'scope')->{permissions}, 'journeys:read x:y', 'scope is permissions');
    is(accepted(token('ES256', 'es', { sub => uc $USER }), '/', 'upper case')
        ->{user}, $USER, 'a UUID in its one form');
};

subtest 'what is no token, or not ours' => sub {
    my $good = token('ES256', 'es');
    my ($h, $p, $s) = split /\./, $good;
    my $bad = sub { refused($_[0], '/', 401, 'TOKEN_INVALID', $_[1]) };
    my $hp = { alg => 'ES256', kid => 'es' };
    my $claims = { iss => $ISS, aud => 'travel', sub => $USER,
        exp => int(time) + 60 };

    accepted(forge($hp, $claims, es_sign('es')), '/', 'our forge can be right');
    $bad->(forge({ alg => 'none' }, $claims), 'none');
    $bad->("$h.$p.", 'no signature');
    $bad->(forge({ alg => 'nOnE' }, $claims) =~ s/[^.]*\z//r, 'none, stripped');
    $bad->(encode_jwt(payload => $claims, alg => 'HS256',
        key => $key{es}->export_key_pem('public'),
        extra_headers => { kid => 'es' }), 'HS256 with the public key');
    $bad->(encode_jwt(payload => $claims, alg => 'HS256',
        key => $key{rs}->export_key_pem('public'),
        extra_headers => { kid => 'rs' }), 'HS256 with the RSA public key');
    $bad->(token('RS256', 'rs', undef, { kid => 'es' }), 'another key type');
    $bad->(token('RS512', 'rs'), 'an algorithm the key is not for');
    $bad->(token('RS256', 'ps'), 'RS256 with a PS256 key');
    $bad->(token('ES256', 'new'), 'unknown kid');
    $bad->(token('ES256', 'new', undef, { kid => 'es' }), 'a stolen kid');
    $bad->(forge({ %$hp, crit => ['x'], x => 1 }, $claims, es_sign('es')),
        'crit');
    $bad->(forge({ %$hp, b64 => JSON::PP::false }, $claims, es_sign('es')),
        'b64');
    $bad->(forge($hp, '{"iss":"a","iss":"b"}', es_sign('es')), 'twice iss');
    $bad->(forge($hp, '[1]', es_sign('es')), 'claims that are no object');
    $bad->(forge($hp, { %$claims, exp => 'soon' }, es_sign('es')), 'exp text');
    $bad->(forge($hp, { %$claims, sub => "a\nb" }, es_sign('es')),
        'a control character');
    $bad->(forge($hp, { %$claims, sub => '' }, es_sign('es')), 'empty sub');
    $bad->(token('ES256', 'es', { sub => undef }), 'no sub');
    $bad->(token('ES256', 'es', { sub => 'x' x 256 }), 'a long sub');
    $bad->(token('ES256', 'es', { exp => undef }), 'no exp');
    $bad->("$h.$p." . ('A' x length $s), 'a zero signature');
    $bad->("$h.$p.$s=", 'padding');
    $bad->("$h.$p", 'two parts');
    $bad->("$h.$p.$s.x", 'four parts');
    $bad->('x', 'a letter');
    $bad->("$good extra", 'two words');
    $bad->(substr($good, 0, -1), 'cut');
    for my $i (0 .. 2) {
        my @part = split /\./, $good;
        substr($part[$i], 10, 1) = substr($part[$i], 10, 1) eq 'A' ? 'B' : 'A';
        $bad->(join('.', @part), "part $i changed");
    }
    $bad->('x' x 8193, 'longer than 8192');
    $bad->(token('ES256', 'es', { pad => 'x' x 8000 }), 'a long one');
    accepted(token('ES256', 'es', { pad => 'x' x 5000 }), '/', 'a large one');
};

subtest 'claims' => sub {
    my $bad = sub { refused(token('ES256', 'es', $_[0]), '/', 401,
        $_[2] // 'TOKEN_INVALID', $_[1]) };
    $bad->({ aud => 'other' }, 'aud');
    $bad->({ aud => undef }, 'no aud');
    $bad->({ aud => [] }, 'an empty aud');
    $bad->({ aud => ['x', 'y'] }, 'two wrong aud');
    $bad->({ iss => $OTHER }, 'iss');
    $bad->({ iss => undef }, 'no iss');
    $bad->({ iss => "$ISS/" }, 'iss, nearly');
    $bad->({ nbf => int(time) + 60 }, 'nbf');
    $bad->({ exp => int(time) - 1 }, 'exp', 'TOKEN_EXPIRED');
    refused(token('ES256', 'es'), '/typ', 401, 'TOKEN_INVALID', 'typ');
    accepted(token('ES256', 'es', undef, { typ => 'at+jwt' }), '/typ', 'typ');
    accepted(token('ES256', 'es', undef, { typ => 'application/AT+JWT' }),
        '/typ', 'typ written out');
};

subtest 'to the second, also from the cache' => sub {
    my $exp = int(time) + 3;
    my $nbf = $exp - 1;
    my $tok = token('ES256', 'es', { exp => $exp });
    my $soon = token('ES256', 'es', { nbf => $nbf });
    my ($before, $after, $early, $due) = (0, 0, 0, 0);
    while ((my $now = time) < $exp + 0.6) {
        my $s = $t->get('/', token => $tok)->{status};
        my $n = $t->get('/', token => $soon)->{status};
        my $end = time;
        if ($end < $exp - 0.05)  { $before++; $s == 200 or fail("$s at $end") }
        if ($now >= $exp + 0.05) { $after++;  $s == 401 or fail("$s at $now") }
        if ($end < $nbf - 0.05)  { $early++;  $n == 401 or fail("$n at $end") }
        if ($now >= $nbf + 0.05) { $due++;    $n == 200 or fail("$n at $now") }
        sleep 0.02;
    }
    ok($before > 10 && $after > 5, "exp: $before before, $after after");
    ok($early > 10 && $due > 5, "nbf: $early before, $due after");
    refused($tok, '/', 401, 'TOKEN_EXPIRED', 'cached, then expired');
    accepted($tok, '/leeway', 'but not where the leeway is two seconds');
};

subtest 'the header' => sub {
    my $tok = token('ES256', 'es');
    my $r = refused(undef, '/', 401, 'AUTHENTICATION_ERROR', 'none');
    is($r->{headers}{'www-authenticate'}, 'Bearer realm="travel"', 'challenge');
    $r = refused('junk', '/', 401, 'TOKEN_INVALID', 'junk');
    like($r->{headers}{'www-authenticate'},
        qr/^Bearer realm="travel", error="invalid_token", error_description="[^"\\]+"$/,
        'challenge');
    $r = refused(token('ES256', 'es', { exp => 1 }), '/', 401, 'TOKEN_EXPIRED',
        'old');
    like($r->{headers}{'www-authenticate'}, qr/error="invalid_token"/,
        'challenge');
    is($t->get('/', headers => { authorization => "bEaReR   $tok" })->{status},
        200, 'scheme in any case, several spaces');
    refused(undef, '/', 401, 'AUTHENTICATION_ERROR', 'another scheme',
        headers => { authorization => 'Basic YTpi' });
    refused(undef, '/', 401, 'AUTHENTICATION_ERROR', 'Bearerx',
        headers => { authorization => "Bearerx $tok" });
    refused(undef, '/', 401, 'TOKEN_INVALID', 'an empty token',
        headers => { authorization => 'Bearer' });
    my $two = $t->raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Authorization: Bearer $tok\r\nAuthorization: Bearer $tok\r\n\r\n");
    like($two, qr{^HTTP/1.1 400 }, 'two headers');
    my $post = $t->post('/', { a => 1 });
    is($post->{status}, 401, 'a body is discarded');
    $r = $t->get('/', headers => { accept => 'application/problem+json' });
    is($r->{json}{code}, 'AUTHENTICATION_ERROR', 'as a problem');
};

subtest 'optional and off' => sub {
    is(accepted(undef, '/optional', 'no token')->{user}, '', 'anonymous');
    is(accepted(token('ES256', 'es'), '/optional', 'token')->{user}, $USER,
        'known');
    refused('junk', '/optional', 401, 'TOKEN_INVALID', 'a bad one');
    refused(undef, '/optional', 401, 'AUTHENTICATION_ERROR', 'another scheme',
        headers => { authorization => 'Basic YTpi' });
    is(accepted('junk', '/off', 'off')->{user}, '', 'not looked at');
    is(accepted(token('ES256', 'es'), '/redirect', 'rewritten')->{user}, $USER,
        'judged where it ends');
    is(accepted(token('ES256', 'es'), '/fallback', 'after a redirect')->{user},
        $USER, 'judged again');
};

subtest 'permissions' => sub {
    my $with = sub { token('ES256', 'es', { permissions => [@_] }) };
    accepted($with->('journeys:read'), '/read', 'noun:verb');
    accepted($with->('read:journeys'), '/read', 'verb:noun');
    accepted($with->('x:y', 'Journeys:READ'), '/read', 'any case');
    accepted($with->('journeys:read', 'journeys:write'), '/read/write', 'both');
    accepted($with->('ai:chat'), '/any', 'one of');
    accepted($with->('content:read'), '/any', 'the other of');
    for (['x:y'], [], ['journeys'], ['journeys:reader'], ['xjourneys:read'],
        ['journeys:write'], ['*'], ['journeys:*'], ['journeys:read:x'])
    {
        my $r = refused($with->(@$_), '/read', 403, 'AUTHORIZATION_ERROR',
            "not (@$_)");
        like($r->{json}{error}{message}, qr/"journeys:read"/, 'named');
        is($r->{headers}{'www-authenticate'}, 'Bearer realm="travel", '
            . 'error="insufficient_scope", scope="journeys:read"', 'challenge');
    }
    my $r = refused($with->('journeys:read'), '/read/write', 403,
        'AUTHORIZATION_ERROR', 'one of two');
    like($r->{json}{error}{message}, qr/"journeys:write"/, 'the missing one');
    refused($with->('x:y'), '/any', 403, 'AUTHORIZATION_ERROR', 'none of');
    refused(undef, '/read', 401, 'AUTHENTICATION_ERROR', 'nobody');

    my $ask = sub { my ($m, $tok) = @_;
        $t->request($m, '/method', $tok ? (token => $tok) : ())->{status} };
    my %is = (GET => [200, 403, 401], HEAD => [200, 403, 401],
        POST => [403, 200, 401], PUT => [403, 200, 401],
        DELETE => [200, 200, 200]);
    for (sort keys %is) {
        is_deeply([$ask->($_, $with->('a:read')), $ask->($_, $with->('a:write')),
            $ask->($_)], $is{$_}, "by method: $_");
    }
};

# --- issuers -----------------------------------------------------------------

subtest 'a caller is issuer and subject' => sub {
    my $who = accepted(token('ES256', 'new', { iss => $OTHER }), '/other',
        'another issuer');
    is($who->{user}, uuid8($OTHER, $USER), 'its user is its own');
    is($who->{sub}, $USER, 'sub as it says');
    is(accepted(token('ES256', 'new', { iss => $OTHER, sub => 'joe' }),
        '/other', 'a name')->{user}, uuid8($OTHER, 'joe'), 'hashed');
    is(accepted(token('ES256', 'es', { sub => 'joe' }), '/', 'ours, a name')
        ->{user}, uuid8($ISS, 'joe'), 'hashed');
    is(accepted(token('ES256', 'new', { iss => $OTHER, sub => undef,
        user_id => 17 }), '/other', 'user_id')->{user}, uuid8($OTHER, '17'),
        'where it counts');
    accepted(token('ES256', 'new', { iss => $OTHER, sub => '17',
        user_id => 17 }), '/other', 'both the same');
    for (1 .. 2) {
        refused(token('ES256', 'new', { iss => $OTHER, sub => '18',
            user_id => 17 }), '/other', 401, 'TOKEN_INVALID', 'both, unequal');
    }
    is(accepted(token('ES256', 'es', { user_id => 17 }), '/', 'user_id')
        ->{user}, $USER, 'where it does not count');
    refused(token('ES256', 'es', { sub => undef, user_id => 17 }), '/', 401,
        'TOKEN_INVALID', 'only user_id, where it does not count');
};

subtest 'several sets' => sub {
    is(accepted(token('ES256', 'es'), '/both', 'ours')->{user}, $USER, 'ours');
    is(accepted(token('ES256', 'new', { iss => $OTHER }), '/both', 'theirs')
        ->{user}, uuid8($OTHER, $USER), 'theirs');
    refused(token('ES256', 'new'), '/both', 401, 'TOKEN_INVALID',
        'their key, our name');
    refused(token('ES256', 'es', { iss => $OTHER }), '/both', 401,
        'TOKEN_INVALID', 'our key, their name');
    refused(token('ES256', 'new', { iss => 'https://x' }), '/both', 401,
        'TOKEN_INVALID', 'nobody\'s name');
    my $tok = token('ES256', 'new', { iss => $OTHER, jti => 'first' });
    refused($tok, '/', 401, 'TOKEN_INVALID', 'refused under one set') for 1 .. 2;
    accepted($tok, '/both', 'is good under two') for 1 .. 2;
    $tok = token('ES256', 'new', { iss => $OTHER, aud => 'travel' });
    accepted($tok, '/other', 'verified under one set');
    refused($tok, '/', 401, 'TOKEN_INVALID', 'is nothing under another');
    refused(token('ES256', 'new'), '/open', 401, 'TOKEN_INVALID',
        'an open set cannot take our name');
    is(accepted(token('ES256', 'new', { iss => 'https://x' }), '/open', 'open')
        ->{user}, uuid8('open', 'https://x', $USER), 'a user of the set\'s own');
};

subtest 'HS only where it is allowed' => sub {
    my $hs = sub { token('HS256', 'hs', { iss => 'https://hs.example.com', @_ }) };
    accepted($hs->(), '/hs', 'allowed');
    refused($hs->(), '/nohs', 401, 'TOKEN_INVALID', 'not allowed');
    accepted($hs->(), '/hs', 'allowed again');
    for my $bits (384, 512) {
        accepted(encode_jwt(alg => "HS$bits", key => $secret x 2,
            extra_headers => { kid => "hs$bits" }, payload => $JS->encode({
                iss => 'https://hs.example.com', sub => 'x',
                exp => int(time) + 60 })), '/hs', "HS$bits");
    }
    refused(encode_jwt(payload => { iss => 'https://hs.example.com', sub => 'x',
        exp => time + 60 }, alg => 'HS256', key => 'x' x 40,
        extra_headers => { kid => 'hs' }), '/hs', 401, 'TOKEN_INVALID',
        'another secret');
    my $rs = token('RS256', 'rs', { jti => 'here, not there' });
    refused($rs, '/onlyes', 401, 'TOKEN_INVALID', 'algs=ES256') for 1 .. 2;
    accepted($rs, '/', 'elsewhere nobody remembers that') for 1 .. 2;
    refused($rs, '/onlyes', 401, 'TOKEN_INVALID', 'nor that there');
    accepted(token('ES256', 'es'), '/onlyes', 'ES256');
};

# --- keys come and go --------------------------------------------------------

sub becomes {
    my ($tok, $status, $what, $path) = @_;
    ok(wait_for(sub { my @s = map { $t->get($path // '/', token => $tok,
        headers => { connection => 'close' })->{status} } 1 .. 12;
        !grep { $_ != $status } @s }, 6, $what), $what);
}

subtest 'the file changes' => sub {
    my $old = token('ES256', 'es');
    my $new = token('ES256', 'new');
    accepted($old, '/', 'the old key');
    refused($new, '/', 401, 'TOKEN_INVALID', 'the new key is not there yet');
    keys_are('main.json', @main, jwk('new'));
    becomes($new, 200, 'a key comes: within a second or two');
    accepted($old, '/', 'the old one is still there');
    keys_are('main.json', jwk('new'), grep { $_->{kid} ne 'es' } @main);
    becomes($old, 401, 'a key goes: its cached tokens are useless');
    accepted($new, '/', 'the new one stays');
    $t->write('main.json', '{"keys": [');
    sleep 1.5;
    accepted($new, '/', 'half a file: the last good keys');
    unlink $t->dir . '/main.json';
    sleep 1.5;
    accepted($new, '/', 'no file: the last good keys');
    like(slurp($t->dir . '/logs/error.log'),
        qr/\[error\].*travel_jwks "main": file "[^"]*main.json": it does not exist, going on/,
        'it says so');
    keys_are('main.json', @main);
    becomes($old, 200, 'back again');
    becomes($new, 401, 'and the other gone');
};

subtest 'reload' => sub {
    my $old = token('ES256', 'es');
    my $new = token('ES256', 'new');
    accepted($old, '/', 'the old key');
    keys_are('main.json', jwk('new'));
    $t->reload;
    becomes($old, 401, 'rotated out by reload');
    accepted($new, '/', 'the new key');
    $t->write('main.json', '{}');
    my ($rc, $out) = $t->nginx_t('nginx.conf');
    isnt($rc, 0, 'nginx -t refuses a broken file');
    like($out, qr/"travel_jwks" "main": file ".*main.json": the JWKS has no array "keys" in .*nginx.conf:\d+/,
        'and says what and where');
    kill 'HUP', $t->pid_of('nginx');
    sleep 1;
    accepted($new, '/', 'a reload that fails changes nothing');
    keys_are('main.json', @main);
    for (1 .. 5) { $t->reload }
    becomes($old, 200, 'after five reloads');
};

# --- the cache ---------------------------------------------------------------

sub counted {
    my %n = $t->get('/metrics')->{content}
        =~ /^travel_auth_total\{result="(\w+)"\} (\d+)/mg;
    return \%n;
}

subtest 'remembered' => sub {
    my $tok = token('ES256', 'es', { sub => 'remember me' });
    my $was = counted();
    $t->get('/', token => $tok, headers => { connection => 'close' }) for 1 .. 30;
    my $is = counted();
    is($is->{verified} - $was->{verified}, 1, 'one verification');
    is($is->{cached} - $was->{cached}, 29, 'for thirty requests of all workers');

    my $bad = $tok =~ s/.{8}\z/AAAAAAAA/r;
    $was = counted();
    $t->get('/', token => $bad, headers => { connection => 'close' }) for 1 .. 10;
    $is = counted();
    is($is->{invalid} - $was->{invalid}, 1, 'a bad one too');
    is($is->{known_bad} - $was->{known_bad}, 9, 'for nine more');
    $was = counted();
    # not by chance the same once more: one signature in 64 has a B there
    $bad = $tok =~ s/(.).{8}\z/($1 eq 'B' ? 'C' : 'B') . 'A' x 8/er;
    $t->get('/both', token => $bad) for 1 .. 10;
    $is = counted();
    is($is->{known_bad} - $was->{known_bad}, 9, 'where there are several sets');
    sleep 5.5;
    $t->get('/', token => $bad);
    is(counted()->{invalid} - $is->{invalid}, 1, 'for five seconds');

    $was = counted();
    $t->reload;
    accepted($tok, '/', 'after a reload');
    is(counted()->{verified}, $was->{verified}, 'still known');
    $t->kill_child('nginx');
    wait_for(sub { $t->children_of('nginx') >= 2 }, 5, 'a new worker');
    sleep 0.2;
    accepted($tok, '/', 'after a worker died');
    is(counted()->{verified}, $was->{verified}, 'still known');
};

subtest 'a full zone' => sub {
    # more than the zone's megabyte holds
    my @tok = map { token('ES256', 'es', { sub => "u$_", email => 'x' x 700 }) }
        1 .. 600;
    my $wrong = 0;
    for my $round (1 .. 2) {
        for my $i (0 .. $#tok) {
            my $r = $t->get('/', token => $tok[$i]);
            $wrong++ if $r->{status} != 200
                || $r->{json}{user} ne uuid8($ISS, 'u' . ($i + 1));
        }
    }
    is($wrong, 0, 'each token is its own user, whoever was pushed out');
    my $good = token('ES256', 'es');
    accepted($good, '/', 'a good one');
    $t->get('/', token => "$good" =~ s/.{6}\z//r . sprintf '%06d', $_)
        for 1 .. 300;
    accepted($good, '/', 'a flood of forged ones');
};

# --- configuration -----------------------------------------------------------

subtest 'nginx -t says what to do' => sub {
    my %case = (
        'travel_auth maybe;' => qr/mode "maybe" must be off, optional or required in .*:\d+/,
        'travel_auth required;' => qr/"travel_auth" must have jwks=NAME, as there are several/,
        'travel_auth required jwks=nope;' => qr/there is no "travel_jwks nope file=PATH" in .*:\d+/,
        'travel_auth required jwks=main leeway=1h;' => qr/"leeway=1h" must be a time from 0 to 5m/,
        'travel_auth required jwks=main x=y;' => qr/"x=y" must be one of jwks=, audience=, typ= or leeway=/,
        'travel_auth off; travel_require a:b;' => qr/asks for permissions of nobody: add "travel_auth required"/,
        'travel_require Nope;' => qr/"Nope" must be NOUN:VERB/,
        'travel_require GET;' => qr/names methods but no permission/,
        'travel_require a:b GET;' => qr/"GET" must be NOUN:VERB .* methods stand before/,
        'travel_auth required jwks=main jwks=main;' => qr/"jwks=" is given twice/,
        'travel_require any=a:b any=c:d;' => qr/second any=: put it into a second "travel_require" line/,
        'travel_require any=a:b,c;' => qr/"c" must be NOUN:VERB/,
    );
    for my $line (sort keys %case) {
        my $text = slurp($t->dir . '/nginx.conf');
        $text =~ s/location \/off .*/location \/off { $line root \/x; }/
            or die 'no location /off';
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $case{$line}, 'message');
    }
    my @more = (['travel_jwks x issuer=y;', qr/"travel_jwks" "x" must have file=PATH/],
        ['travel_jwks x file=/nope;', qr/file "\/nope": it does not exist/],
        ['travel_jwks x file=/;', qr/it is not a file/],
        ['travel_jwks main file=/x;', qr/"main" is set twice/],
        ['travel_jwks x file=/x algs=HS256;', qr/algs=ES256,RS256,EdDSA/],
        ['travel_jwks x file=/x allow=all;', qr/"allow=all" must be allow=hs/]);
    for (@more) {
        my ($line, $want) = @$_;
        my $text = slurp($t->dir . '/nginx.conf');
        $text =~ s/(travel_jwks  onlyes)/$line\n$1/ or die;
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $want, 'message');
    }
};

$t->finish;
done_testing();
