# Weeks of a user's life in a second: odd hours, journeys that take their time,
# and failures that fade, under a clock that the test sets (libfaketime).
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Mmdb;
use Travel::Test;

my ($FAKE) = glob '/usr/lib/*/faketime/libfaketime.so.1';
plan skip_all => 'a sanitized nginx cannot have its clock replaced'
    if $ENV{TRAVEL_SAN};
die "libfaketime is missing: run scripts/install.sh\n" unless $FAKE;

my $CONF = <<'END';
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 1;
error_log @LOGS@/error.log info;
pid @PIDS@/nginx.pid;
daemon off;
env LD_PRELOAD;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env DONT_FAKE_MONOTONIC;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path @RUN@/tmp/proxy;
    fastcgi_temp_path @RUN@/tmp/fastcgi;
    uwsgi_temp_path @RUN@/tmp/uwsgi;
    scgi_temp_path @RUN@/tmp/scgi;

    travel_geoip   @RUN@/geo.mmdb;
    travel_jwks    main file=@RUN@/keys.json issuer=https://travel.local ours;
    travel_trusted_proxy 127.0.0.1;
    proxy_set_header X-Seen "$travel_risk $travel_risk_reasons";

    server {
        listen unix:@RUN@/echo.sock;
        location / { return 200 "$http_x_seen"; }
    }
    server {
        listen 127.0.0.1:@PORT@;
        travel_auth required jwks=main;
        location = /time { travel_auth off; return 200 $msec; }
        location /       { travel_risk mode=report;
                           proxy_pass http://unix:@RUN@/echo.sock; }
        location /odd    { travel_risk mode=challenge threshold=0.2;
                           proxy_pass http://unix:@RUN@/echo.sock; }
    }
}
END

sub place {
    my ($cc, $lat, $lon) = @_;
    return { country => { iso_code => $cc }, location => { latitude => $lat,
        longitude => $lon, accuracy_radius => 20 } };
}
my ($PARIS, $NY) = ('198.51.100.1', '198.51.100.65');
my $key = Crypt::PK::ECC->new->generate_key('secp256r1');

my $t = Travel::Test->new(parts => 'nginx', conf => $CONF);
$t->{env}{TRAVEL_PRELOAD} = $FAKE;
$t->{env}{FAKETIME_TIMESTAMP_FILE} = $t->dir . '/clock';
$t->{env}{FAKETIME_NO_CACHE} = 1;
$t->{env}{DONT_FAKE_MONOTONIC} = 1;
$t->write('clock', "+0\n");
chmod 0644, $t->dir . '/clock';
$t->write('keys.json', JSON::PP->new->encode({ keys => [
    { %{ $key->export_key_jwk('public', 1) }, kid => 'k', alg => 'ES256' } ] }));
chmod 0644, $t->dir . '/keys.json';
Travel::Mmdb::write($t->dir . '/geo.mmdb', 'Test-City', {
    '198.51.100.0/26' => place('FR', 48.8566, 2.3522),
    '198.51.100.64/26' => place('US', 40.7128, -74.0060) });
$t->launch;

# The clock goes forward to an hour of a day, counted from tomorrow, UTC; it is
# exact to a second or two, so never to the full hour.
my $TOMORROW = (int(time / 86400) + 1) * 86400;
my $now;
sub clock {
    my ($day, $hour, $minute) = @_;
    $now = $TOMORROW + $day * 86400 + $hour * 3600 + ($minute // 5) * 60;
    $t->write('clock.new', sprintf "+%d\n", $now - time);
    chmod 0644, $t->dir . '/clock.new';
    rename $t->dir . '/clock.new', $t->dir . '/clock';
    wait_for(sub { abs($t->get('/time')->{content} - $now) < 30 }, 10,
        'nginx has the time') or BAIL_OUT('no clock');
}
sub token {
    my ($n, %c) = @_;
    return encode_jwt(alg => 'ES256', key => $key, extra_headers => { kid => 'k' },
        payload => { iss => 'https://travel.local', sub => $t->user($n),
            exp => $now + 300, %c });
}
sub ask {
    my ($path, $ip, $tok) = @_;
    return $t->get($path, token => $tok, headers => { 'x-forwarded-for' => $ip });
}
sub seen { return ask('/', $_[0], $_[1])->{content} }

subtest 'odd hours' => sub {
    for my $day (0 .. 10) {
        for my $hour (9, 10) {
            clock($day, $hour);
            is(seen($PARIS, token(1)), '0.00', "day $day, $hour:00");
        }
    }
    clock(11, 3);
    is(seen($PARIS, token(1)), '0.20 hours', 'at three in the morning');
    clock(11, 3, 50);
    is(seen($PARIS, token(1)), '0.20 hours', 'to the end of the hour');
    is(ask('/odd', $PARIS, token(1))->{status}, 401, 'it counts as any signal');
    clock(11, 11);
    is(seen($PARIS, token(1)), '0.00', 'the hour after his is his');
    is(seen($PARIS, token(2)), '0.00', 'who has no habits has no odd hours');
};

subtest 'a journey takes its time' => sub {
    clock(12, 9);
    is(seen($PARIS, token(3)), '0.00', 'Paris at nine');
    clock(12, 13);
    # 5797 km in four hours: 1449 km/h, 0.449 of the signal
    like(seen($NY, token(3)), qr/^0\.6[23] travel,country$/, 'New York at one: hardly');
    clock(12, 21);
    is(seen($PARIS, token(3)), '0.00', 'and back in eight hours');
};

subtest 'failures fade' => sub {
    clock(13, 9);
    my ($h, $p) = split /\./, token(4);
    ask('/', $PARIS, "$h.$p." . 'A' x 86) for 1 .. 12;
    is(seen($PARIS, token(4)), '0.60 failures', 'twelve');
    clock(13, 9, 10);
    like(seen($PARIS, token(4)), qr/^0\.2[4-7] failures$/, 'six after five minutes');
    clock(13, 9, 16);
    is(seen($PARIS, token(4)), '0.00', 'less than three after eleven');
};

$t->finish;
done_testing;
