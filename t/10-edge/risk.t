# Zero trust on plain proxy_pass locations: whose address it is (RFC 7239),
# where that is, step-up (RFC 9470), and a score for what is unlike the user.
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Mmdb;
use Travel::Test;

my $CONF = <<'END';
    travel_zone   risk 128k shards=2;
    travel_geoip  @RUN@/geo.mmdb;
    travel_geoip  @RUN@/asn.mmdb;
    travel_jwks   main file=@RUN@/keys.json issuer=https://travel.local ours;

    travel_trusted_proxy 127.0.0.1 10.0.0.0/8 fd00::/8;

    proxy_set_header X-Client  $travel_client_ip;
    proxy_set_header X-Place   "$travel_country|$travel_city|$travel_lat|$travel_lon|$travel_asn";
    proxy_set_header X-Risk    $travel_risk;
    proxy_set_header X-Reasons $travel_risk_reasons;
    proxy_set_header X-Forwarded-For "";
    proxy_set_header Forwarded "";

    server {
        listen unix:@RUN@/echo.sock;
        default_type application/json;
        location = /login { return 401 '{"login":"failed"}'; }
        location / {
            return 200 '{"client":"$http_x_client","place":"$http_x_place","risk":"$http_x_risk","reasons":"$http_x_reasons"}';
        }
    }

    server {
        listen 127.0.0.1:@PORT@;
        listen unix:@RUN@/front.sock;
        error_page 404 /_error;
        location = /_error     { internal; travel_error_page; }
        location = /metrics    { travel_metrics; }

        location /open         { proxy_pass http://unix:@RUN@/echo.sock; }
        location /login        { proxy_pass http://unix:@RUN@/echo.sock; }
        location /stranger     { travel_trusted_proxy 10.0.0.0/8;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /forwarded    { travel_trusted_proxy 127.0.0.1 10.0.0.0/8 header=forwarded;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /socket       { travel_trusted_proxy unix: 10.0.0.0/8;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /limited      { travel_limit $travel_client_ip 2r/h;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /binary       { travel_limit $travel_binary_client_ip 2r/h name=binary;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /early        { travel_auth required jwks=main;
                                 travel_limit $travel_country 1r/h name=early;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /allow        { travel_geo allow FR DE;
                                 location /allow/all { travel_geo off; proxy_pass http://unix:@RUN@/echo.sock; }
                                 location /allow/missing { root @RUN@/nowhere; }
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /deny         { travel_geo deny US unknown=deny;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /denyopen     { travel_geo deny US;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /allowopen    { travel_geo allow FR unknown=allow;
                                 proxy_pass http://unix:@RUN@/echo.sock; }

        location / {
            travel_auth required jwks=main leeway=5s;
            proxy_pass http://unix:@RUN@/echo.sock;

            location /report    { travel_risk mode=report; proxy_pass http://unix:@RUN@/echo.sock; }
            location /challenge { travel_risk mode=challenge acr=mfa,hwk max_age=60s; proxy_pass http://unix:@RUN@/echo.sock; }
            location /block     { travel_risk mode=block; proxy_pass http://unix:@RUN@/echo.sock; }
            location /strict    { travel_risk mode=block threshold=0.3; proxy_pass http://unix:@RUN@/echo.sock; }
            location /weights   { travel_risk mode=block travel=0 country=0 device=1 threshold=1;
                                  proxy_pass http://unix:@RUN@/echo.sock; }
            location /slow      { travel_risk mode=report speed=100000; proxy_pass http://unix:@RUN@/echo.sock; }
            location /acr       { travel_stepup acr=mfa,hwk; proxy_pass http://unix:@RUN@/echo.sock;
                location /acr/off { travel_stepup off; proxy_pass http://unix:@RUN@/echo.sock; } }
            location /age       { travel_stepup max_age=100; proxy_pass http://unix:@RUN@/echo.sock; }
            location /both      { travel_stepup acr=mfa max_age=5m; proxy_pass http://unix:@RUN@/echo.sock; }
            location /audience  { travel_auth required jwks=main audience=other; travel_risk mode=report;
                                  proxy_pass http://unix:@RUN@/echo.sock; }
        }
        location /maybe        { travel_auth optional jwks=main; travel_stepup acr=mfa;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
        location /anyone       { travel_auth optional jwks=main; travel_risk mode=block failures=1;
                                 proxy_pass http://unix:@RUN@/echo.sock; }
    }

    server {
        listen 127.0.0.1:@PORT_SMTP@;
        travel_trusted_proxy 127.0.0.1;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;
        location /remote       { travel_limit $binary_remote_addr 1r/h name=remote;
                                 add_header X-Both "$remote_addr $travel_client_ip";
                                 proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

# --- places: Paris and Berlin, New York, Brussels, and an unplaced one -------

sub place {
    my ($cc, $city, $lat, $lon) = @_;
    return { country => { iso_code => $cc }, city => { names => { en => $city } },
        location => { latitude => $lat, longitude => $lon,
            accuracy_radius => 20 } };
}
my %GEO = (
    '198.51.100.0/26'  => place('FR', 'Paris', 48.8566, 2.3522),
    '198.51.100.64/26' => place('DE', 'Berlin', 52.52, 13.405),
    '198.51.100.128/26' => place('US', 'New York', 40.7128, -74.0060),
    '198.51.100.192/26' => place('FR', 'Nice', 43.7102, 7.2620),
    '203.0.113.0/25'   => place('BE', 'Brussels', 50.8503, 4.3517),
    '203.0.113.128/26' => { registered_country => { iso_code => 'CH' } },
    '203.0.113.192/26' => { country => { iso_code => 'nonsense' } },
    '2001:db8::/32'    => place('DE', 'Berlin', 52.52, 13.405),
);
my ($PARIS, $BERLIN, $NY, $NICE) = map { "198.51.100.$_" } 1, 65, 129, 193;
my ($BRUSSELS, $NOWHERE) = ('203.0.113.1', '192.0.2.77');

my $key = Crypt::PK::ECC->new->generate_key('secp256r1');
my $n = 0;
sub someone { return sprintf '01890000-0000-7000-8000-0000%08x', ++$n }
sub token {
    my ($sub, %c) = @_;
    return encode_jwt(alg => 'ES256', key => $key, extra_headers => { kid => 'k' },
        payload => { iss => 'https://travel.local', aud => 'travel',
            sub => $sub, exp => int(time) + 600, %c });
}

my $t = Travel::Test->new(parts => 'nginx', http => $CONF,
    allow_log => qr/worker process \d+ exited on signal 9/);
$t->write('keys.json', JSON::PP->new->encode({ keys => [
    { %{ $key->export_key_jwk('public', 1) }, kid => 'k', alg => 'ES256' } ] }));
chmod 0644, $t->dir . '/keys.json';
Travel::Mmdb::write($t->dir . '/geo.mmdb', 'Test-City', \%GEO);
Travel::Mmdb::write($t->dir . '/asn.mmdb', 'Test-ASN',
    { '198.51.100.0/24' => { autonomous_system_number => 64500 } });
$t->launch;

# ask(path, from address, token, agent => ...): as a proxy of ours would.
sub ask {
    my ($path, $ip, $tok, %o) = @_;
    return $t->get($path, defined $tok ? (token => $tok) : (),
        headers => { 'x-forwarded-for' => $ip,
            'user-agent' => $o{agent} // 'Firefox', %{ $o{headers} || {} } });
}
sub seen {
    my ($header, $path) = @_;
    return $t->get($path, headers => $header)->{json}{client};
}
sub metric {
    my ($name) = @_;
    return $t->get('/metrics')->{content} =~ /^\Q$name\E (\d+)$/m ? $1 : undef;
}
# What came through: a score and reasons; else the refusal.
sub passes {
    my ($r, $risk, $reasons, $what) = @_;
    is("$r->{status} $r->{json}{risk} $r->{json}{reasons}",
        "200 $risk $reasons", $what) or diag($r->{content});
}
sub refused {
    my ($r, $status, $code, $what) = @_;
    is("$r->{status} $r->{json}{error}{code}", "$status $code", $what)
        or diag($r->{content});
    return $r->{headers}{'www-authenticate'} // '';
}

# --- the client's address ----------------------------------------------------

subtest 'X-Forwarded-For, counted from the right through proxies of ours' => sub {
    my $xff = sub { seen({ 'x-forwarded-for' => $_[0] }, '/open') };
    is(seen({}, '/open'), '127.0.0.1', 'no header: the peer');
    is($xff->('203.0.113.9'), '203.0.113.9', 'one hop');
    is($xff->('6.6.6.6, 203.0.113.9'), '203.0.113.9', 'what a client wrote is not looked at');
    is($xff->('6.6.6.6, 203.0.113.9, 10.1.2.3, fd00::1'), '203.0.113.9', 'through known hops');
    is($xff->(['6.6.6.6', '203.0.113.9', '10.0.0.1']), '203.0.113.9', 'several lines are one list');
    is($xff->('10.0.0.2,10.0.0.1'), '10.0.0.2', 'all hops known: the first');
    is($xff->('2001:DB8:0::7'), '2001:db8::7', 'IPv6');
    is($xff->('6.6.6.6, unknown'), '127.0.0.1', 'what is no address ends the way');
    is(seen({ forwarded => 'for=203.0.113.9' }, '/open'), '127.0.0.1',
        'the header that the proxies do not write counts for nothing');
};

subtest 'a peer that is no proxy of ours is the client' => sub {
    for my $h ('x-forwarded-for', 'forwarded', 'x-real-ip') {
        is(seen({ $h => $h eq 'forwarded' ? 'for=203.0.113.9' : '203.0.113.9' },
            '/stranger'), '127.0.0.1', "$h is ignored");
    }
};

subtest 'Forwarded (RFC 7239)' => sub {
    my $fwd = sub { seen({ forwarded => $_[0] }, '/forwarded') };
    is($fwd->('for=192.0.2.60;proto=http;by=203.0.113.43'), '192.0.2.60', 'section 4');
    is($fwd->('For="[2001:db8:cafe::17]:4711"'), '2001:db8:cafe::17', 'IPv6 with a port');
    is($fwd->('for=192.0.2.43, for=198.51.100.17'), '198.51.100.17', 'the last one');
    is($fwd->(['for=192.0.2.43', 'for="10.0.0.2:80"']), '192.0.2.43', 'several lines');
    is($fwd->('for=192.0.2.43, for="_gazonk"'), '127.0.0.1', 'an obfuscated node is nobody');
    is($fwd->('for=192.0.2.43, for=unknown'), '127.0.0.1', 'unknown');
    is($fwd->('for=", for=192.0.2.43'), '192.0.2.43', 'an open quote hides nothing');
    is(seen({ 'x-forwarded-for' => '203.0.113.9' }, '/forwarded'), '127.0.0.1',
        'X-Forwarded-For counts for nothing here');
};

subtest 'a proxy behind a Unix socket' => sub {
    my $front = sub {
        my ($path) = @_;
        my ($rc, $out) = $t->run('curl', '-s', '--unix-socket',
            $t->dir . '/front.sock', '-H', 'X-Forwarded-For: 203.0.113.9',
            "http://x$path");
        return json($out)->{client};
    };
    is($front->('/socket'), '203.0.113.9', 'named as one');
    is($front->('/open'), 'unix:', 'not named: no address');
};

subtest 'limits by address count the client' => sub {
    for my $path ('/limited', '/binary') {
        is(ask($path, "6.6.6.$_, 203.0.113.7")->{status}, $_ < 3 ? 200 : 429,
            "$path, request $_, whatever the client wrote") for 1 .. 3;
        is(ask($path, '203.0.113.8')->{status}, 200, 'another client');
        is(ask($path, '2001:db8::1')->{status}, 200, 'another one');
    }
    # keys by place need no identity: refused before the token is looked at
    is(ask('/early', $PARIS)->{status}, 401, 'counted before auth');
    is(ask('/early', $PARIS)->{status}, 429, 'refused before auth');
};

subtest 'with nginx\'s realip' => sub {
    my $port = $t->port + 2;
    my @r = map { $t->get('/remote', base => "http://127.0.0.1:$port",
        headers => { 'x-forwarded-for' => $_ }) } '203.0.113.7', '203.0.113.7',
        '203.0.113.8';
    is($r[0]{headers}{'x-both'}, '203.0.113.7 203.0.113.7', 'both agree');
    is("@{[map { $_->{status} } @r]}", '200 429 200', 'and $binary_remote_addr counts it');
};

# --- places ------------------------------------------------------------------

subtest 'where it is' => sub {
    my $at = sub { ask('/open', $_[0])->{json}{place} };
    is($at->($PARIS), 'FR|Paris|48.8566|2.3522|64500', 'of two files');
    is($at->('2001:db8:1::1'), 'DE|Berlin|52.5200|13.4050|', 'IPv6');
    is($at->('203.0.113.130'), 'CH||||', 'where the network is registered');
    is($at->('203.0.113.200'), '||||', 'what is no country code is none');
    is($at->($NOWHERE), '||||', 'not in it');
    is($at->('127.0.0.1'), '||||', 'local');
};

subtest 'travel_geo' => sub {
    my %want = (
        '/allow'     => { $PARIS => 200, $BERLIN => 200, $NY => 403, $NOWHERE => 403 },
        '/allowopen' => { $PARIS => 200, $BERLIN => 403, $NOWHERE => 200 },
        '/deny'      => { $PARIS => 200, $NY => 403, $NOWHERE => 403 },
        '/denyopen'  => { $PARIS => 200, $NY => 403, $NOWHERE => 200 },
        '/allow/all' => { $NY => 200 },
        '/open'      => { $NY => 200 },
    );
    for my $path (sort keys %want) {
        for my $ip (sort keys %{ $want{$path} }) {
            my $r = ask($path, $ip);
            is($r->{status}, $want{$path}{$ip}, "$path from $ip");
            is($r->{json}{error}{code}, 'REGION_NOT_ALLOWED', 'and its code')
                if $r->{status} == 403;
        }
    }
    is(ask('/allow/missing', $PARIS)->{status}, 404, 'an error page is no place');
    is(ask('/allow', "$PARIS, $NY")->{status}, 403, 'a forged header does not move anybody');
    is(metric('travel_geo_total{result="allowed"}') > 5, 1, 'counted');
    is(metric('travel_geo_total{result="unknown_denied"}'), 2, 'counted');
};

subtest 'a database that changes' => sub {
    Travel::Mmdb::write($t->dir . '/geo.mmdb', 'Test-City',
        { %GEO, '192.0.2.64/26' => place('JP', 'Tokyo', 35.6762, 139.6503) });
    wait_for(sub { 2 == grep { ask('/open', $NOWHERE)->{json}{place} eq
        'JP|Tokyo|35.6762|139.6503|' } 1 .. 2 and
        metric('travel_geoip_reads_total{result="read"}') == 2 }, 10,
        'both workers have read it');
    is(ask('/open', $PARIS)->{json}{place}, 'FR|Paris|48.8566|2.3522|64500',
        'the rest is as it was');

    # a broken one is refused, the old one stays
    $t->write('broken', 'this is no database');
    rename $t->dir . '/broken', $t->dir . '/geo.mmdb';
    wait_for(sub { metric('travel_geoip_reads_total{result="failed"}') == 2 },
        10, 'both have looked');
    is(ask('/open', $NOWHERE)->{json}{place}, 'JP|Tokyo|35.6762|139.6503|',
        'what was read before stays');
    like(slurp($t->dir . '/logs/error.log'),
        qr/travel_geoip file .*geo\.mmdb.*going on with the one read before/,
        'and the log says so');
    unlink $t->dir . '/geo.mmdb';
    wait_for(sub { metric('travel_geoip_reads_total{result="failed"}') == 4 },
        10, 'it is gone');
    is(ask('/open', $NOWHERE)->{status}, 200, 'still there');

    Travel::Mmdb::write($t->dir . '/geo.mmdb', 'Test-City', \%GEO);
    wait_for(sub { metric('travel_geoip_reads_total{result="read"}') == 4 },
        10, 'as at the start');
};

# --- step-up -----------------------------------------------------------------

subtest 'RFC 9470: a stronger authentication' => sub {
    my $u = someone();
    my $www = refused(ask('/acr', $PARIS, token($u)), 401, 'STEP_UP_REQUIRED', 'no acr');
    like($www, qr/^Bearer realm="travel", error="insufficient_user_authentication"/, 'the error');
    like($www, qr/, error_description="[^"]+"/, 'in words');
    like($www, qr/, acr_values="mfa hwk"$/, 'what would do, in order');
    refused(ask('/acr', $PARIS, token($u, acr => 'pwd')), 401, 'STEP_UP_REQUIRED', 'another acr');
    refused(ask('/acr', $PARIS, token($u, acr => 'mfa hwk')), 401, 'STEP_UP_REQUIRED', 'a list is none');
    is(ask('/acr', $PARIS, token($u, acr => 'hwk'))->{status}, 200, 'one of them');
    my $mfa = token($u, acr => 'mfa');
    is(ask('/acr', $PARIS, $mfa)->{status}, 200, 'the other') for 1, 2;
    is(ask('/acr/off', $PARIS, token($u))->{status}, 200, 'off below');
    refused(ask('/acr', $PARIS, token($u, acr => 1)), 401, 'TOKEN_INVALID', 'acr is a string');
};

subtest 'RFC 9470: a more recent authentication' => sub {
    my $u = someone();
    my $now = int time;
    my $www = refused(ask('/age', $PARIS, token($u)), 401, 'STEP_UP_REQUIRED', 'no auth_time');
    like($www, qr/, max_age="100"$/, 'how recent');
    unlike($www, qr/acr_values/, 'and nothing else');
    refused(ask('/age', $PARIS, token($u, auth_time => $now - 110)), 401, 'STEP_UP_REQUIRED', 'too old');
    is(ask('/age', $PARIS, token($u, auth_time => $now - 50))->{status}, 200, 'recent');
    refused(ask('/age', $PARIS, token($u, auth_time => $now + 60)), 401, 'STEP_UP_REQUIRED', 'in the future');
    my $soon = token($u, auth_time => $now - 98);
    is(ask('/age', $PARIS, $soon)->{status}, 200, 'still recent');
    wait_for(sub { ask('/age', $PARIS, $soon)->{status} == 401 }, 10,
        'a remembered token ages too');

    refused(ask('/both', $PARIS, token($u, acr => 'mfa', auth_time => $now - 400)),
        401, 'STEP_UP_REQUIRED', 'both: strong, but old');
    $www = refused(ask('/both', $PARIS, token($u, auth_time => $now)), 401,
        'STEP_UP_REQUIRED', 'both: recent, but weak');
    like($www, qr/, acr_values="mfa", max_age="300"$/, 'both are said');
    is(ask('/both', $PARIS, token($u, acr => 'mfa', auth_time => $now))->{status},
        200, 'both');
};

subtest 'who shows no token has made no error' => sub {
    my $www = refused(ask('/maybe', $PARIS), 401, 'AUTHENTICATION_ERROR', 'no token');
    is($www, 'Bearer realm="travel", acr_values="mfa"', 'but is told what it takes');
    is(ask('/acr', $PARIS)->{headers}{'www-authenticate'}, 'Bearer realm="travel"',
        'where a token is required, that comes first');
};

# --- the score ---------------------------------------------------------------

subtest 'each signal, reported' => sub {
    my $u = someone();
    my $tok = token($u);
    passes(ask('/report', $PARIS, $tok), '0.00', '', 'a first sighting is not suspicious');
    passes(ask('/report', $PARIS, $tok), '0.00', '', 'nor is a second');
    passes(ask('/report', $NY, $tok), '0.91', 'travel,country', 'Paris, New York in no time');
    passes(ask('/report', $NY, $tok), '0.00', '', 'reported once: it is known');
    passes(ask('/report', $NOWHERE, $tok), '0.00', '', 'an unknown place raises nothing');
    passes(ask('/report', $PARIS, $tok), '0.85', 'travel', 'and back: the country is known');

    $u = someone();
    $tok = token($u);
    passes(ask('/slow', $PARIS, $tok, agent => 'Firefox/118.0'), '0.00', '', 'a device');
    passes(ask('/slow', $PARIS, $tok, agent => 'Firefox/119.0.2'), '0.00', '', 'its next version');
    passes(ask('/slow', $PARIS, $tok, agent => 'Opera/9'), '0.40', 'device', 'another one');
    passes(ask('/slow', $PARIS, $tok, agent => 'Opera/9'), '0.00', '', 'is known then');
    passes(ask('/slow', $PARIS, $tok, agent => 'Opera/9',
        headers => { 'sec-ch-ua-platform' => '"Android"' }), '0.40', 'device', 'client hints count');
    passes(ask('/slow', $NICE, $tok, agent => 'Firefox/120', headers => {}), '0.85', 'travel',
        '687 km in a second is too fast for anybody');
    $u = someone();
    $tok = token($u);
    ask('/report', '203.0.113.130', $tok);
    passes(ask('/report', $NY, $tok), '0.40', 'country', 'a new country from an unknown place');
    passes(ask('/report', $BERLIN, $tok, agent => 'curl'), '0.95', 'travel,country,device', 'all of it');
};

subtest 'refused credentials, by address' => sub {
    my $ip = '198.51.100.7';
    my $tok = token(someone());
    passes(ask('/report', $ip, $tok), '0.00', '', 'quiet');
    my ($h, $p) = split /\./, $tok;
    my $bad = "$h.$p." . 'A' x 86;
    for (1 .. 3) { refused(ask('/report', $ip, $bad), 401, 'TOKEN_INVALID', 'a forged token') }
    passes(ask('/report', $ip, $tok), '0.00', '', 'three are free');
    ask('/report', $ip, $bad) for 1 .. 4;
    my $r = ask('/report', $ip, $tok);
    is($r->{json}{reasons}, 'failures', 'seven are not');
    cmp_ok($r->{json}{risk}, '>', 0.3, 'four sevenths of 0.6, less what has faded');
    cmp_ok($r->{json}{risk}, '<=', 0.35, 'and no more');
    ask('/report', $ip, $bad) for 1 .. 8;
    passes(ask('/report', $ip, $tok), '0.60', 'failures', 'more do not count for more');
    passes(ask('/report', '198.51.100.8', $tok), '0.00', '', 'another address is quiet');

    refused(ask('/anyone', $ip), 403, 'RISK_TOO_HIGH', 'anonymous callers have an address too');
    is(ask('/anyone', '198.51.100.8')->{status}, 200, 'one that is quiet');
    my ($a, $b) = ('2001:db8:7:7::1', '2001:db8:7:7:ffff::2');
    ask('/report', $a, $bad) for 1 .. 12;
    refused(ask('/anyone', $b), 403, 'RISK_TOO_HIGH', 'IPv6 counts by /64');
    is(ask('/anyone', '2001:db8:7:8::1')->{status}, 200, 'the next /64 is another');
};

subtest 'refused credentials: what counts' => sub {
    my $tok = token(someone());
    my $twelve = sub {
        my ($ip, $what, $ask, $want) = @_;
        my $before = metric('travel_risk_failures_total');
        $ask->($ip) for 1 .. 12;
        is(metric('travel_risk_failures_total') - $before, $want ? 12 : 0, $what);
    };
    $twelve->('198.51.100.20', 'no token at all: no', sub { ask('/report', $_[0]) }, 0);
    my $old = token(someone(), exp => int(time) - 100);
    $twelve->('198.51.100.21', 'an expired one: no', sub { ask('/report', $_[0], $old) }, 0);
    $twelve->('198.51.100.22', 'a challenge: no', sub { ask('/acr', $_[0], $tok) }, 0);
    $twelve->('198.51.100.23', 'a page that wants a login: no', sub { ask('/login', $_[0]) }, 0);
    $twelve->('198.51.100.24', 'an upstream refuses a form', sub {
        $t->post('/login', { user => 'a' }, headers => { 'x-forwarded-for' => $_[0] }) }, 1);
    my $anyone = ask('/anyone', '198.51.100.24');
    refused($anyone, 403, 'RISK_TOO_HIGH', 'and that is remembered');
    $twelve->('198.51.100.25', 'an upstream refuses a header', sub {
        ask('/login', $_[0], 'whatever') }, 1);
};

subtest 'refused credentials, by user' => sub {
    my ($u, $v) = (someone(), someone());
    my $good = token($u, aud => 'travel');
    # signed, so it is his; but not for this audience
    ask('/audience', "198.51.100.3$_", $good) for 0 .. 9;
    ask('/audience', '198.51.100.29', token($u)) for 1 .. 2;
    my $r = ask('/report', '198.51.100.40', $good);
    is($r->{json}{reasons}, 'failures', 'his tokens are tried elsewhere, from many addresses');
    passes(ask('/report', '198.51.100.40', token($v)), '0.00', '', 'others are not suspected');
    # a forged token names anybody: it must not make him suspicious
    my $w = someone();
    my ($h, $p) = split /\./, token($w);
    ask('/report', '198.51.100.41', "$h.$p." . 'A' x 86) for 1 .. 12;
    passes(ask('/report', '198.51.100.42', token($w)), '0.00', '', 'a forger cannot frame anybody');
};

subtest 'challenge: passed by a token that answers it' => sub {
    my $u = someone();
    my $tok = token($u);
    passes(ask('/challenge', $PARIS, $tok), '0.00', '', 'as ever');
    my $www = refused(ask('/challenge', $NY, $tok), 401, 'STEP_UP_REQUIRED', 'too far');
    like($www, qr/error="insufficient_user_authentication".*acr_values="mfa hwk", max_age="60"$/,
        'what would do');
    refused(ask('/challenge', $NY, $tok), 401, 'STEP_UP_REQUIRED', 'again: it taught nothing');
    passes(ask('/challenge', $PARIS, $tok), '0.00', '', 'where he is he goes on');
    refused(ask('/challenge', $NY, token($u, acr => 'mfa')), 401, 'STEP_UP_REQUIRED', 'when was that?');
    refused(ask('/challenge', $NY, token($u, acr => 'mfa', auth_time => int(time) - 70)), 401,
        'STEP_UP_REQUIRED', 'too long ago');
    passes(ask('/challenge', $NY, token($u, acr => 'mfa', auth_time => int time)), '0.91',
        'travel,country', 'stepped up');
    passes(ask('/challenge', $NY, $tok), '0.00', '', 'place and device are his now, with any token');
    refused(ask('/challenge', $PARIS, $tok), 401, 'STEP_UP_REQUIRED', 'and the old place is too far');
    is(metric('travel_risk_total{result="stepped_up"}'), 1, 'counted');
    is(metric('travel_risk_total{result="challenged"}'), 5, 'counted');
    like(slurp($t->dir . '/logs/error.log'),
        qr/travel_risk: challenged 0\.91 \(travel,country\) from 198\.51\.100\.129 in "US"/, 'logged');
};

subtest 'block, thresholds and weights' => sub {
    my $u = someone();
    my $tok = token($u);
    passes(ask('/block', $PARIS, $tok), '0.00', '', 'as ever');
    refused(ask('/block', $NY, $tok), 403, 'RISK_TOO_HIGH', 'too far') for 1, 2;
    refused(ask('/block', $NY, token($u, acr => 'mfa', auth_time => int time)), 403,
        'RISK_TOO_HIGH', 'no token helps here');
    passes(ask('/block', $PARIS, $tok, agent => 'Opera'), '0.40', 'device', 'below the threshold');
    refused(ask('/strict', $PARIS, $tok, agent => 'Chrome'), 403, 'RISK_TOO_HIGH', 'a lower one');
    passes(ask('/weights', $NY, $tok), '0.00', '', 'signals without weight');
    refused(ask('/weights', $NY, $tok, agent => 'Chrome'), 403, 'RISK_TOO_HIGH', 'and one with all');
};

subtest 'another user, and a reload' => sub {
    my ($u, $v) = map { token(someone()) } 1, 2;
    passes(ask('/challenge', $PARIS, $u), '0.00', '', 'one in Paris');
    passes(ask('/challenge', $NY, $v), '0.00', '', 'another in New York');
    $t->reload;
    refused(ask('/challenge', $NY, $u), 401, 'STEP_UP_REQUIRED', 'still in Paris');
    refused(ask('/challenge', $PARIS, $v), 401, 'STEP_UP_REQUIRED', 'still in New York');
    passes(ask('/challenge', $PARIS, $u), '0.00', '', 'as before');
    $t->kill_child('nginx');
    wait_for(sub { 2 == (() = $t->children_of('nginx')) }, 10, 'a new worker');
    refused(ask('/challenge', $NY, $u), 401, 'STEP_UP_REQUIRED', 'a crash forgets nothing');
};

subtest 'a full zone forgets the oldest, and is never in the way' => sub {
    my $first = token(someone());
    passes(ask('/report', $PARIS, $first), '0.00', '', 'seen');
    my $evicted;
    # 128k hold some 500
    for my $round (1 .. 40) {
        is_deeply([grep { ask('/report', $PARIS, token(someone()))->{status} != 200 } 1 .. 50],
            [], "round $round") or last;
        $evicted = metric('travel_risk_evicted_total');
        last if $evicted > 100;
    }
    cmp_ok($evicted, '>', 100, 'users were forgotten');
    passes(ask('/report', $NY, token(someone())), '0.00', '', 'and new ones come in');
};

# --- nginx -t ----------------------------------------------------------------

subtest 'nginx -t' => sub {
    my %bad = (
        'travel_trusted_proxy 10.0.0.1/8;'  => qr/"10\.0\.0\.1\/8" must be an address, a network without host bits .*; or header=/,
        'travel_trusted_proxy proxy.local;' => qr/"proxy\.local" must be an address/,
        'travel_trusted_proxy header=forwarded;' => qr/names a header but no proxy/,
        'travel_trusted_proxy 10.0.0.0/8; travel_trusted_proxy 127.0.0.1;' => qr/is duplicate, name all proxies/,
        'travel_geo allow;'       => qr/names no country/,
        'travel_geo maybe DE;'    => qr/must be "off", or "allow" or "deny"/,
        'travel_geo deny Germany;' => qr/"Germany" must be a country's two capital letters/,
        'travel_geo deny DE unknown=maybe;' => qr/must be unknown=allow\|deny/,
        'travel_geo deny de;'     => qr/"de" must be a country's two capital/,
        'travel_geo deny DE; travel_geo allow FR;' => qr/is duplicate/,
        'travel_stepup;'          => qr/invalid number of arguments/,
        'travel_stepup acr=;'     => qr/"acr=" needs a value/,
        'travel_stepup acr=1,2,3,4,5,6,7,8,9;' => qr/must list one to 8 values/,
        'travel_stepup acr=a,,b;' => qr/must list one to 8 values/,
        'travel_stepup "acr=a b";' => qr/must list one to 8 values/,
        'travel_stepup max_age=x;' => qr/"max_age=x" must be a time from 0 to 30d/,
        'travel_stepup max_age=31d;' => qr/must be a time from 0 to 30d/,
        'travel_stepup level=2;'  => qr/"travel_stepup" parameter "level=2" must be one of acr= or max_age=/,
        'travel_risk mode=guess;' => qr/"mode=guess" must be mode=report\|challenge\|block/,
        'travel_risk threshold=0;' => qr/"threshold=0" must be a number from 0\.01 to 1/,
        'travel_risk threshold=1.1;' => qr/"threshold=1\.1" must be a number from 0\.01 to 1/,
        'travel_risk threshold=;' => qr/"threshold=" needs a value/,
        'travel_risk device=2;'   => qr/"device=2" must be a number from 0 to 1/,
        'travel_risk speed=0;'    => qr/"speed=0" must be a number from 1 to 100000: km\/h/,
        'travel_risk acr=a acr=b;' => qr/"acr=" is given twice/,
        'travel_risk acr=a,;'     => qr/must list one to 8 values/,
        'travel_risk report;'     => qr/"report" must be one of mode=, threshold=, travel=/,
        'travel_risk mode=block; travel_risk off;' => qr/is duplicate/,
        'travel_auth off; travel_risk mode=block;' => qr/"travel_risk" in location "\/x" judges nobody: add "travel_auth required"/,
        'travel_auth off; travel_stepup acr=mfa;' => qr/"travel_stepup" in location "\/x" judges nobody/,
    );
    my $rendered = slurp($t->dir . '/nginx.conf');
    my $check = sub {
        my ($conf, $want, $what) = @_;
        $t->write('check.conf', $conf);
        my ($rc, $out) = $t->nginx_t('check.conf');
        like($out, $want, $what);
        return $rc;
    };
    for my $line (sort keys %bad) {
        my $c = $rendered =~ s/location \/open .*\n/location \/x { travel_auth required; $line }\n/r;
        $c =~ s/travel_auth required; travel_auth off/travel_auth off/;
        isnt($check->($c, $bad{$line}, $line), 0, 'refused');
    }
    my $c = $rendered =~ s/travel_geoip .*\n//gr;
    $check->($c, qr/"travel_geo" knows no countries: add "travel_geoip FILE" to http in .*:\d+/, 'no database');
    $c = $rendered =~ s/(travel_geoip ) .*asn.mmdb/$1 nothing.mmdb/r;
    $check->($c, qr/"travel_geoip" file ".*nothing\.mmdb": .*: name a database in MaxMind's format/, 'no file');
    $c = $rendered =~ s/(travel_geoip ) .*asn.mmdb/$1 keys.json/r;
    $check->($c, qr/"travel_geoip" file ".*keys\.json": .*: name a database/, 'another file');
    is($check->($rendered, qr/successful/, 'and the whole is right'), 0, 'accepted');
};

$t->finish;
done_testing;
