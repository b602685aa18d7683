# Zero trust where the module itself answers: named queries and commands behind
# travel_geo, travel_stepup and travel_risk, cached or not.
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
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @ROOT@/conf/travel;
    travel_jwks     main file=@RUN@/keys.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;
    travel_geoip    @RUN@/geo.mmdb;
    travel_trusted_proxy 127.0.0.1;

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth required jwks=main;
        add_header X-Risk "$travel_risk $travel_risk_reasons" always;

        location = /health    { travel_auth off; return 200; }
        location = /metrics   { travel_auth off; travel_metrics; }
        location = /report    { travel_query GET me.get; travel_risk mode=report; }
        location = /revoked   { travel_query GET me.get; travel_risk mode=report;
                                travel_revocation on; }
        location = /challenge { travel_query GET me.get; travel_cache 30s;
                                travel_risk mode=challenge acr=mfa; }
        location = /block     { travel_query GET me.get; travel_risk mode=block; }
        location = /stepup    { travel_query GET me.get; travel_stepup max_age=5m; }
        location = /geo       { travel_query GET me.get; travel_cache 30s; travel_geo deny US; }
        location = /journeys  { travel_query GET journeys.list;
                                travel_command POST journey.start check=journeys.precheck;
                                travel_risk mode=challenge acr=mfa; travel_geo deny BE; }
    }
END

sub place {
    my ($cc, $lat, $lon) = @_;
    return { country => { iso_code => $cc }, location => { latitude => $lat,
        longitude => $lon, accuracy_radius => 20 } };
}
my ($PARIS, $NY, $BRUSSELS) = ('198.51.100.1', '198.51.100.65', '198.51.100.129');
my $key = Crypt::PK::ECC->new->generate_key('secp256r1');

my $t = Travel::Test->new(parts => 'postgres queue nginx', http => $CONF);
$t->write('keys.json', JSON::PP->new->encode({ keys => [
    { %{ $key->export_key_jwk('public', 1) }, kid => 'k', alg => 'ES256' } ] }));
chmod 0644, $t->dir . '/keys.json';
Travel::Mmdb::write($t->dir . '/geo.mmdb', 'Test-City', {
    '198.51.100.0/26' => place('FR', 48.8566, 2.3522),
    '198.51.100.64/26' => place('US', 40.7128, -74.0060),
    '198.51.100.128/26' => place('BE', 50.8503, 4.3517) });
$t->launch;

sub token {
    my ($n, %c) = @_;
    return encode_jwt(alg => 'ES256', key => $key, extra_headers => { kid => 'k' },
        payload => { iss => 'https://travel.local', sub => $t->user($n),
            exp => int(time) + 600, permissions => ['journeys:read',
            'journeys:write'], %c });
}
sub ask {
    my ($path, $ip, $tok, %o) = @_;
    return $t->request($o{json} ? 'POST' : 'GET', $path, token => $tok,
        headers => { 'x-forwarded-for' => $ip }, %o);
}
sub is_answer {
    my ($r, $status, $code, $risk, $what) = @_;
    is(join(' ', $r->{status}, $r->{json}{error}{code} // '',
        $r->{headers}{'x-risk'} // ''), "$status $code $risk", $what)
        or diag($r->{content});
}
sub strong { return token($_[0], acr => 'mfa', auth_time => int time) }

wait_for(sub { ask('/report', '192.0.2.1', token(99), allow_5xx => 1)->{status} == 200 },
    15, 'the database answers');

subtest 'report' => sub {
    is_answer(ask('/report', $PARIS, token(1)), 200, '', '0.00 ', 'as ever');
    my $r = ask('/report', $NY, token(1));
    is_answer($r, 200, '', '0.91 travel,country', 'reported, and answered');
    is($r->{json}{id}, $t->user(1), 'with what was asked for');
};

subtest 'challenge, on a cached read' => sub {
    is_answer(ask('/challenge', $PARIS, token(2)), 200, '', '0.00 ', 'as ever') for 1, 2;
    my $r = ask('/challenge', $NY, token(2));
    is_answer($r, 401, 'STEP_UP_REQUIRED', '0.91 travel,country', 'a cached answer is not given out');
    like($r->{headers}{'www-authenticate'},
        qr/error="insufficient_user_authentication".*acr_values="mfa", max_age="300"/, 'the way on');
    is_answer(ask('/challenge', $NY, strong(2)), 200, '', '0.91 travel,country', 'stepped up');
    is_answer(ask('/challenge', $NY, token(2)), 200, '', '0.00 ', 'known');
};

subtest 'block' => sub {
    is_answer(ask('/block', $PARIS, token(3)), 200, '', '0.00 ', 'as ever');
    is_answer(ask('/block', $NY, token(3)), 403, 'RISK_TOO_HIGH', '0.91 travel,country', 'blocked');
    is_answer(ask('/block', $PARIS, token(3)), 200, '', '0.00 ', 'but not at home');
};

subtest 'a revoked token that is used on' => sub {
    my $gone = token(6, jti => 'gone');
    is_answer(ask('/revoked', $PARIS, $gone), 200, '', '0.00 ', 'in force');
    my $entry = "jti\t0\t\tgone";
    my $r = $t->redis('queue');
    $r->call('ZADD', 'travel:revoke:set', int(time) + 600, $entry);
    $r->call('XADD', 'travel:revoke', '*', 'r', $entry, 'exp', int(time) + 600);
    wait_for(sub { ask('/revoked', $PARIS, $gone)->{status} == 401 }, 10, 'taken back');
    ask('/revoked', "198.51.100.$_", $gone) for 2 .. 14;
    my $seen = ask('/revoked', $PARIS, token(6));
    is($seen->{status}, 200, 'a new one is good');
    is($seen->{headers}{'x-risk'}, '0.60 failures', 'but its user is watched');
    is_answer(ask('/revoked', $PARIS, token(7)), 200, '', '0.00 ', 'nobody else is');
};

subtest 'step-up and countries' => sub {
    is_answer(ask('/stepup', $PARIS, token(4)), 401, 'STEP_UP_REQUIRED', '', 'no auth_time');
    is_answer(ask('/stepup', $PARIS, token(4, auth_time => time - 9)), 200, '', '', 'recent');
    is_answer(ask('/geo', $PARIS, token(4)), 200, '', '', 'from France') for 1, 2;
    is_answer(ask('/geo', $NY, token(4)), 403, 'REGION_NOT_ALLOWED', '', 'not from there, cached or not');
};

subtest 'commands' => sub {
    my %trip = (json => { origin => 'Paris, FR', destination => 'Nice, FR', theme => 'food' });
    my $ok = ask('/journeys', $PARIS, token(5), %trip);
    is_answer($ok, 202, '', '0.00 ', 'accepted');
    is_answer(ask('/journeys', $NY, token(5), %trip), 401, 'STEP_UP_REQUIRED',
        '0.91 travel,country', 'challenged');
    is_answer(ask('/journeys', $BRUSSELS, token(5), %trip), 403, 'REGION_NOT_ALLOWED', '', 'not from there');
    is_answer(ask('/journeys', $NY, strong(5), %trip), 202, '', '0.91 travel,country', 'stepped up');
    my $jobs = $t->redis('queue')->call('KEYS', 'travel:{journey.*}:job:*');
    is(scalar @$jobs, 2, 'what was refused never reached the queue');
};

$t->finish;
done_testing;
