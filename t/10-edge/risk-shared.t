# What one node learns of a user counts on the others (travel_risk_shared): an
# impossible journey between two nodes, a device that is known already, and
# what becomes of it without Redis.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Mmdb;
use Travel::Node;
use Travel::Test;

my $CONF = <<'END';
    travel_redis  cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_zone   risk 128k shards=2;
    travel_geoip  @RUN@/geo.mmdb;
    travel_jwks   main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;
    travel_trusted_proxy 127.0.0.1;
    travel_risk_shared on;
    server {
        listen 127.0.0.1:@PORT@;
        add_header X-Risk    $travel_risk always;
        add_header X-Reasons $travel_risk_reasons always;
        location = /health  { return 200; }
        location = /metrics { travel_metrics; }
        location = /me {
            travel_auth required jwks=main audience=travel;
            travel_risk mode=block;
            try_files /nothing @answer;
        }
        location @answer { return 200 '{}'; }
    }
END

sub place {
    my ($cc, $lat, $lon) = @_;
    return { country => { iso_code => $cc }, location => {
        latitude => $lat, longitude => $lon, accuracy_radius => 20 } };
}
my ($PARIS, $NICE, $NY) = ('198.51.100.1', '198.51.100.193', '198.51.100.129');

my $t = Travel::Test->new(parts => 'cache nginx', http => $CONF);
Travel::Mmdb::write($t->dir . '/geo.mmdb', 'Test-City', {
    '198.51.100.0/26'   => place('FR', 48.8566, 2.3522),
    '198.51.100.128/26' => place('US', 40.7128, -74.0060),
    '198.51.100.192/26' => place('FR', 43.7102, 7.2620) });
$t->launch;
my $u = Travel::Node->start($t);
my $redis = $t->redis('cache');

sub ask {
    my ($node, $user, $ip, $agent) = @_;
    return $node->get('/me', token => $t->user_token($user), headers => {
        'x-forwarded-for' => $ip, 'user-agent' => $agent // 'Firefox' });
}
sub metric {
    my ($node, $name) = @_;
    my ($n) = $node->get('/metrics')->{content}
        =~ /^travel_risk_shared_total\{result="$name"\} (\d+)$/m;
    return $n;
}
sub told { sum(map { metric($_, 'sent') } $t, $u) }
sub sum { my $n = 0; $n += $_ for @_; return $n }
sub heard {                     # the other node has heard of $n sightings
    my ($node, $n) = @_;
    wait_for(sub { metric($node, 'heard') >= $n }, 10, 'the sighting');
}

subtest 'an impossible journey between two nodes' => sub {
    my $r = ask($t, 1, $PARIS);
    is($r->{status}, 200, 'in Paris, on one node');
    is($r->{headers}{'x-risk'}, '0.00', 'seen for the first time');
    heard($u, 1);
    $r = ask($u, 1, $NY);
    is($r->{status}, 403, 'at once in New York, on the other: blocked');
    like($r->{content}, qr/RISK_TOO_HIGH/, 'says why');
    like($r->{headers}{'x-reasons'}, qr/travel.*country/, 'by its place');
    is(ask($u, 1, $PARIS)->{status}, 200, 'in Paris still');
    is(metric($u, 'sent'), 1, 'what was refused teaches nobody');
};

subtest 'a device, and a country' => sub {
    my $n = metric($u, 'heard');
    ask($t, 2, $PARIS, 'Firefox');
    heard($u, $n + 1);
    sleep 1.1;
    is(ask($u, 2, $NICE, 'Firefox')->{headers}{'x-reasons'} // '', 'travel',
        'known on the other node, but for the way');
    my $m = metric($t, 'heard');
    is(ask($u, 3, $PARIS, 'Firefox')->{headers}{'x-risk'}, '0.00', 'another');
    heard($t, $m + 1);
    my $r = ask($t, 3, $PARIS, 'curl');
    is($r->{headers}{'x-reasons'}, 'device', 'a device that no node knows');
};

subtest 'how much is told' => sub {
    my $sent = metric($t, 'sent');
    ask($t, 4, $PARIS) for 1 .. 20;
    is(metric($t, 'sent'), $sent + 1, 'of twenty alike, one');
    ask($t, 4, $PARIS, "curl agent") for 1 .. 20;
    ask($t, 4, $PARIS, $_ % 2 ? 'Safari' : 'Opera') for 1 .. 20;
    cmp_ok(metric($t, 'sent') - $sent, '<=', 1 + 5,
        'of forty that are not, one a second');
};

subtest 'what is not believed' => sub {
    my $refused = metric($u, 'refused');
    my ($last) = @{ $redis->call(qw(XREVRANGE travel:sightings + - COUNT 1)) };
    my $bytes = { @{ $last->[1] } }->{s};
    is(length $bytes, 56, 'a sighting');
    substr($bytes, 20, 1) ^= "\1";
    $redis->call(qw(XADD travel:sightings * s), $bytes);
    $redis->call(qw(XADD travel:sightings * s), 'nonsense');
    $redis->call(qw(XADD travel:sightings * a 1 b 2));
    wait_for(sub { metric($u, 'refused') == $refused + 3 }, 10, 'refused');
    is(ask($u, 5, $PARIS)->{status}, 200, 'and it goes on');
};

subtest 'a node that starts knows what was told' => sub {
    my $v = Travel::Node->start($t);
    wait_for(sub { (metric($v, 'heard') // 0) >= told() }, 10,
        'all of it to be read');
    is(ask($v, 1, $NY)->{status}, 403, 'of users it has never seen');
};

subtest 'without Redis each is for itself' => sub {
    $t->stop_part('cache');
    is(ask($t, 6, $PARIS)->{status}, 200, 'nobody waits');
    is(ask($u, 6, $NY)->{status}, 200, 'and what one saw the other has not');
    is(ask($t, 6, $NY)->{status}, 403, 'as ever on each');
    cmp_ok(metric($t, 'dropped'), '>', 0, 'counted');
    $t->start_part('cache');
    wait_for(sub { my $n = metric($u, 'heard'); sleep 1.1;
        ask($t, 7, $PARIS, 'agent ' . chr 97 + rand 26);
        sleep 0.3; metric($u, 'heard') > $n }, 20, 'it to go on');
};

subtest 'nginx -t' => sub {
    my $conf = Travel::Test::slurp($t->dir . '/nginx.conf');
    for my $line (qw(travel_redis travel_consistency_key)) {
        $t->write('bad.conf', $conf =~ s/^\s*$line\s.*?;//mr);
        my ($rc, $said) = $t->run('nginx', '-t', '-p', $t->dir, '-c',
            $t->dir . '/bad.conf', '-e', $t->dir . '/startup.log');
        isnt($rc, 0, "without $line");
        like($said, qr/travel_risk_shared on.*needs/, 'says what it needs');
    }
};

$t->finish;
done_testing;
