# Claims beyond auth's own: tested by travel_require, as variables, as headers
# of the request to an upstream, which no client can write.  What the upstream
# got is what it answers.
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use HTTP::Tiny;
use JSON::PP ();
use Test::More;
use Travel::Test;

my $JS  = JSON::PP->new->canonical;
my $key = Crypt::PK::ECC->new->generate_key('secp256r1');

my $CONF = <<'END';
    large_client_header_buffers 4 16k;

    travel_jwks main file=@RUN@/main.json issuer=https://travel.local ours;

    server {
        listen unix:@RUN@/echo.sock;
        underscores_in_headers on;
        return 200 '{"tier":"$http_x_user_tier","org":"$http_x_org","roles":"$http_x_roles","keep":"$http_x_keep","v":"$http_x_v"}';
    }
    server {
        listen 127.0.0.1:@PORT@;
        underscores_in_headers on;
        travel_auth optional jwks=main;
        travel_claim_header X-User-Tier tier;
        location = /health { travel_auth off; return 200; }
        location / { proxy_pass http://unix:@RUN@/echo.sock; }
        location /off { travel_auth off; proxy_pass http://unix:@RUN@/echo.sock; }
        location /more { travel_claim_header X-Org /org/name;
                         travel_claim_header X-Roles roles;
                         proxy_pass http://unix:@RUN@/echo.sock; }
        location /inner { travel_claim_header X-User-Tier other;
                          proxy_pass http://unix:@RUN@/echo.sock; }
        location /none { travel_claim_header off;
                         proxy_pass http://unix:@RUN@/echo.sock; }
        location /any { satisfy any; allow all;
                        proxy_pass http://unix:@RUN@/echo.sock; }
        location /redirect { try_files /nowhere /more; }
        location /v/tier { proxy_set_header X-V $travel_claim_tier;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /v/many { proxy_set_header X-V "$travel_claim_org__name/$travel_claim_n/$travel_claim_on/$travel_claim_roles/$travel_claim_roles__1/$travel_claim_org/$travel_claim_nil/$travel_claim_CamelCase/$travel_claim_twin/$travel_claim__x/$travel_claim_";
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/gold   { travel_require claim:tier=gold; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/org    { travel_require claim:/org/name=~^acme claim:tier; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/case   { travel_require claim:/org/name=~*^ACME; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/role   { travel_require claim:roles=admin; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/second { travel_require claim:/roles/1=admin; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/not    { travel_require claim:roles!=guest; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/url    { travel_require claim:https://acme.example/plan=pro; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/esc    { travel_require claim:/a~1b/~0=x; proxy_pass http://unix:@RUN@/echo.sock; }
        location /r/both   { travel_require POST claim:tier=gold; travel_require jobs:read claim:n=7; proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->new(parts => 'nginx', http => $CONF);
$t->write('main.json', $JS->encode({ keys => [{ use => 'sig', kid => 'k',
    alg => 'ES256', %{ $key->export_key_jwk('public', 1) } }] }));
$t->launch;

sub token {
    my %c = (iss => 'https://travel.local', sub => $t->user(1),
        exp => int(time) + 600, @_);
    return encode_jwt(payload => $JS->encode(\%c), alg => 'ES256',
        key => $key, extra_headers => { kid => 'k' });
}

# A new connection: any worker may answer.
sub ask {
    my ($path, $token, %o) = @_;
    my $r = HTTP::Tiny->new(timeout => 20)->request($o{method} // 'GET',
        $t->url . $path, { headers => { %{ $o{headers} || {} },
            defined $token ? (authorization => "Bearer $token") : () } });
    $r->{json} = eval { $JS->decode($r->{content}) };
    return $r;
}
sub up { return ask(@_)->{json} }
sub status { return ask(@_)->{status} }

my $full = token(tier => 'gold', org => { name => 'acme ltd', id => 9 },
    roles => ['user', 'admin'], n => 7, on => JSON::PP::true, nil => undef,
    CamelCase => 'cc', Twin => 1, tWin => 2, _x => 'under',
    'https://acme.example/plan' => 'pro', 'a/b' => { '~' => 'x' });
my $poor = token(org => { name => 'other' }, roles => ['user', 'guest']);

subtest 'a header from a claim' => sub {
    for my $n (1 .. 6) {                  # verified, then remembered
        is(up('/', $full)->{tier}, 'gold', 'sent');
    }
    is(up('/', $poor)->{tier}, '', 'not sent when there is no such claim');
    is(up('/')->{tier}, '', 'nor for nobody');
    my $got = up('/more', $full);
    is_deeply([@$got{qw(tier org roles)}], ['gold', 'acme ltd', 'user admin'],
        'from above, by pointer, from an array');
    is(up('/inner', token(tier => 'a', other => 'b'))->{tier}, 'b',
        'the inner line counts');
    is(up('/inner', token(tier => 'a'))->{tier}, '', 'alone');
    for (["a\r\nX-Keep: b", 'a line break'], ["a\0b", 'a NUL'],
        ['x' x 5000, 'too long'], [{ a => 1 }, 'an object'], [undef, 'null'],
        [[{}], 'an array of objects']) {
        my $got = up('/', token(tier => $_->[0]));
        is($got->{tier}, '', "$_->[1]: not sent");
        is($got->{keep}, '', 'and nothing smuggled');
    }
};

subtest 'a client cannot write it' => sub {
    my @names = qw(X-User-Tier x-user-tier X_USER_TIER X-User_Tier);
    my @cases = (['/', $poor], ['/', undef], ['/off', undef], ['/off', $full], ['/any', undef],
        ['/redirect', $poor]);
    for my $name (@names) {
        for (@cases) {
            my $got = up(@$_, headers => { $name => 'forged', 'X-Keep' => 'me' });
            is($got->{tier}, '', "$name is gone at $_->[0]");
            is($got->{keep}, 'me', 'and nothing else');
        }
        is(up('/', $full, headers => { $name => 'forged' })->{tier}, 'gold',
            "$name gives way to ours");
    }
    my $raw = $t->raw("GET /more HTTP/1.1\r\nHost: x\r\n"
        . "X-User-Tier: a\r\nX-Org: b\r\nX-Keep: 1\r\nx-user-tier: c\r\n"
        . "X_Org: d\r\nConnection: close\r\n"
        . join('', map { "X-Fill-$_: 1\r\n" } 1 .. 60)
        . "X-User-Tier: e\r\nAuthorization: Bearer $full\r\n\r\n");
    like($raw, qr/"tier":"gold","org":"acme ltd","roles":"user admin","keep":"1"/,
        'many copies in a long list');
    is(up('/redirect', $full, headers => { 'X-User-Tier' => 'f' })->{tier},
        'gold', 'set again after an internal redirect');
    is(up('/none', $full, headers => { 'X-User-Tier' => 'mine' })->{tier},
        'mine', 'where it is off it is the client\'s');
};

subtest 'variables' => sub {
    is(up('/v/tier', $full)->{v}, 'gold', 'a claim') for 1 .. 4;
    is(up('/v/tier', $poor)->{v}, '', 'of this caller, not of the last');
    is(up('/v/tier')->{v}, '', 'nobody has none');
    is(up('/v/many', $full)->{v},
        'acme ltd/7/true/user admin/admin///cc//under/', 'nested, numbers, arrays');
};

subtest 'travel_require' => sub {
    my %want = (gold => [200, 403], org => [200, 403], case => [200, 403],
        role => [200, 403], second => [200, 403], not => [200, 403],
        url => [200, 403], esc => [200, 403], both => [403, 403]);
    for my $name (sort keys %want) {
        for (1 .. 2) {
            is(status("/r/$name", $full), $want{$name}[0], "$name: full");
            is(status("/r/$name", $poor), $want{$name}[1], "$name: poor");
        }
        is(status("/r/$name"), 401, "$name: nobody");
    }
    my $r = ask('/r/gold', $poor);
    is($r->{json}{error}{code}, 'AUTHORIZATION_ERROR', 'code');
    like($r->{json}{error}{message}, qr/claim "tier"/, 'names the claim');
    unlike($r->{content}, qr/gold/, 'not what it must be');
    like($r->{headers}{'www-authenticate'}, qr/error="insufficient_scope"/,
        'challenge (RFC 6750)');
    is(status('/r/not', token()), 200, 'what is absent differs');
    is(status('/r/gold', token(tier => ['silver', 'gold'])), 200,
        'one of an array');
    is(status('/r/gold', token(tier => 'Gold')), 403, 'by its bytes');
    my $right = token(n => 7, permissions => ['jobs:read'], tier => 'silver');
    is(status('/r/both', $right), 200, 'permission and claim');
    is(status('/r/both', $right, method => 'POST'), 403, 'by method');
};

subtest 'nginx -t says what to do' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    my %case = (
        'travel_require claim:' => qr/names no claim, write claim:NAME/,
        'travel_require claim:=x' => qr/names no claim/,
        'travel_require claim:a=~' => qr/no regular expression/,
        'travel_require "claim:a=~("' => qr/no regular expression behind =~: /,
        'travel_require GET' => qr/names methods but no permission/,
        'travel_claim_header X-A' => qr/needs the name of a header and a claim/,
        'travel_claim_header X_A tier' => qr/"X_A" must be letters, digits/,
        'travel_claim_header Host tier' => qr/no header of HTTP's own/,
        'travel_claim_header Content-Length tier' => qr/no header of HTTP's own/,
        'travel_claim_header X-A ""' => qr/names no claim/,
    );
    for my $line (sort keys %case) {
        $t->write('bad.conf',
            $conf =~ s/travel_claim_header off;/$line;/r);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $case{$line}, 'message');
    }
};

$t->finish;
done_testing();
