# Pushes by FCM v1 and APNs, against servers that speak their protocols over
# HTTP/2: keys, headers, tokens that are gone, waits that are asked for, and
# many at once.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use POSIX ();
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(stopped => 1);
my ($t, $r) = ($p->t, $p->r);
my $dir  = $t->dir;
my $port = $t->port + 1;

sub openssl {
    my ($rc, $out) = $t->run('openssl', @_);
    die "openssl @_: $out" if $rc;
}

openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext',
    'subjectAltName=IP:127.0.0.1', '-keyout', "$dir/tls.key",
    '-out', "$dir/tls.crt");
openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048',
    '-out', "$dir/google.key");
openssl('pkey', '-in', "$dir/google.key", '-pubout', '-out',
    "$dir/google.pub");
openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-out', "$dir/apple.p8");
openssl('pkey', '-in', "$dir/apple.p8", '-pubout', '-out', "$dir/apple.pub");
$t->write('google.json', JSON::PP::encode_json({ type => 'service_account',
    project_id => 'travel-1', private_key_id => 'gk1',
    private_key => Travel::Test::slurp("$dir/google.key"),
    client_email => 'push@travel-1.iam.gserviceaccount.com',
    token_uri => "https://127.0.0.1:$port/token" }));

$p->configure(<<"END");
processes = 1
slots     = 2
queues    = { "maintenance", "notification", "account" }
templates = "${\ Travel::Test::root()}/conf/travel/templates"
type "notification.push"  { retries = 8 base = 50ms cap = 100ms timeout = 120s }
type "notification.batch" { retries = 8 base = 50ms cap = 100ms timeout = 60s }
push fcm  { key_file = "$dir/google.json" url = "https://127.0.0.1:$port/"
            ca_file = "$dir/tls.crt" concurrency = 1000 timeout = 90s }
push apns { key_file = "$dir/apple.p8" key_id = "ABC123DEFG"
            team_id = "TEAM123456" topic = "local.travel.app"
            url = "https://127.0.0.1:$port" ca_file = "$dir/tls.crt" }
END

my $server;
sub serve {
    $server = fork // die "fork: $!";
    return if $server;
    open STDOUT, '>>', "$dir/logs/push-services.log";
    open STDERR, '>&', \*STDOUT;
    my @cmd = ('node', 't/lib/push-services.js', '--port', $port, '--out',
        "$dir/pushes.jsonl", '--cert', "$dir/tls.crt", '--key',
        "$dir/tls.key", '--google-pub', "$dir/google.pub", '--apple-pub',
        "$dir/apple.pub", '--say', "$dir/say.json");
    exec { $cmd[0] } @cmd or POSIX::_exit(127);
}
END { kill 'TERM', $server if $server; }

sub seen { return $t->_lines('pushes.jsonl') }
sub say_to { $t->write('say.json', JSON::PP::encode_json({ @_ })) }

sub device {
    my ($user, $service, $token) = @_;
    my $id = $p->new_uuid;
    $t->sql("INSERT INTO travel.devices (id, user_id, service, token)
        VALUES ('$id', '$user', '$service', '$token')");
    return $id;
}

sub devices {
    return join ' ', map { $_->[0] }
        $t->sql('SELECT token FROM travel.devices ORDER BY token');
}

sub push_to {
    my ($user, %data) = @_;
    my $id = $p->enqueue(queue => 'notification', type => 'notification.push',
        body => { template => 'booking_reminder', user => $user,
            data => { venue_name => 'Zuni', date => 'tonight',
                party_size => 2, confirmation_number => 'C1', %data } });
    return $id;
}

sub over {
    my ($id) = @_;
    $p->until_over($id, 20);
    my $job = $p->job($id);
    return ($job->{status}, $job->{result} ? json($job->{result}) : undef);
}

say_to();
serve();
$p->start_workers;
$p->until_owned;
wait_for(sub { IO::Socket::INET->new("127.0.0.1:$port") }, 10, 'the services');

subtest 'one to all devices of a user' => sub {
    my $user = $t->user(1);
    device($user, 'fcm', 'fcm-1');
    device($user, 'apns', 'a1' x 32);
    device($t->user(2), 'fcm', 'fcm-other');
    my ($status, $result) = over(push_to($user));
    is($status, 'succeeded', 'succeeded');
    is_deeply($result, { sent => 2, refused => 0, failed => 0 }, 'both');

    my ($grant, $fcm, $apns) = map { my $re = $_;
        (grep { $_->{path} =~ $re } seen())[0] } qr/token/, qr/send/, qr/device/;
    is($grant->{status}, 200, 'a service account\'s assertion is taken');
    is($grant->{jwt}{header}{kid}, 'gk1', 'its key is named');
    is($grant->{jwt}{claims}{iss}, 'push@travel-1.iam.gserviceaccount.com',
        'its account');
    is($grant->{jwt}{claims}{aud}, "https://127.0.0.1:$port/token", 'for whom');
    cmp_ok($grant->{jwt}{claims}{exp} - $grant->{jwt}{claims}{iat}, '<=', 3600,
        'for an hour at most');

    is($fcm->{path}, '/v1/projects/travel-1/messages:send', 'FCM: path');
    is($fcm->{headers}{authorization}, 'Bearer ya29.1', 'FCM: access token');
    is($fcm->{message}{token}, 'fcm-1', 'FCM: to whom');
    is($fcm->{message}{notification}{title}, 'Zuni is waiting for you',
        'FCM: title');
    is($fcm->{message}{notification}{body}, 'tonight, for 2. Confirmation C1.',
        'FCM: text');
    is($fcm->{message}{data}{party_size}, '2', 'FCM: data are strings');

    my $h = $apns->{headers};
    is($apns->{path}, '/3/device/' . 'a1' x 32, 'APNs: path');
    is($h->{'apns-topic'}, 'local.travel.app', 'APNs: topic');
    is($h->{'apns-push-type'}, 'alert', 'APNs: type');
    like($h->{'apns-id'}, qr/^[0-9a-f-]{36}$/, 'APNs: id');
    is($h->{'apns-collapse-id'}, $h->{'apns-id'}, 'APNs: a repeat replaces');
    cmp_ok($h->{'apns-expiration'}, '>', time, 'APNs: expires');
    is($apns->{jwt}{header}{alg}, 'ES256', 'APNs: ES256');
    is($apns->{jwt}{header}{kid}, 'ABC123DEFG', 'APNs: key');
    is($apns->{jwt}{claims}{iss}, 'TEAM123456', 'APNs: team');
    is_deeply($apns->{payload}{aps}, { sound => 'default', alert => {
        title => 'Zuni is waiting for you',
        body => 'tonight, for 2. Confirmation C1.' } }, 'APNs: payload');

    over(push_to($user));
    is(scalar(grep { $_->{path} eq '/token' } seen()), 1,
        'the access token is used again');
    my %t = map { $_->{headers}{authorization} => 1 }
        grep { $_->{path} =~ /device/ } seen();
    is(scalar keys %t, 1, 'and the provider token');
};

subtest 'tokens that are gone' => sub {
    my $user = $t->user(3);
    device($user, 'fcm', 'fcm-gone');
    device($user, 'apns', '10' x 32);
    device($user, 'apns', '20' x 32);
    device($user, 'apns', '30' x 32);
    device($user, 'fcm', 'fcm-fine');
    say_to('fcm-gone' => { status => 404, reason => 'UNREGISTERED' },
        '10' x 32 => { status => 410, reason => 'Unregistered',
            timestamp => 1000 * (time + 60) },
        '20' x 32 => { status => 410, reason => 'Unregistered',
            timestamp => 1000 * (time - 86400) },
        '30' x 32 => { status => 400, reason => 'BadDeviceToken' });
    my (undef, $result) = over(push_to($user));
    is_deeply($result, { sent => 1, refused => 4, failed => 0 },
        'one is delivered');
    unlike(devices(), qr/gone|1010|3030/, 'they are taken away');
    like(devices(), qr/fcm-fine/, 'the other stays');
    like(devices(), qr/2020/, 'so does one that registered later than that');
};

subtest 'waits that are asked for' => sub {
    my $user = $t->user(4);
    device($user, 'fcm', 'fcm-busy');
    say_to('fcm-busy' => { status => 503, reason => 'UNAVAILABLE',
        retry_after => 2 });
    my $id = push_to($user);
    wait_for(sub { grep { ($_->{message}{token} // '') eq 'fcm-busy' } seen() },
        10, 'the first try');
    my $begin = time;
    say_to();
    my ($status, $result) = over($id);
    is($status, 'succeeded', 'delivered in the end');
    cmp_ok(time - $begin, '>=', 1, 'not before Retry-After');
    is(scalar(grep { ($_->{message}{token} // '') eq 'fcm-busy' } seen()), 2,
        'asked twice in all');
};

subtest 'a message that is not wanted' => sub {
    my $user = $t->user(5);
    device($user, 'apns', '40' x 32);
    say_to('40' x 32 => { status => 413, reason => 'PayloadTooLarge' });
    my (undef, $result) = over(push_to($user));
    is_deeply($result, { sent => 0, refused => 1, failed => 0 }, 'refused');
    like(devices(), qr/4040/, 'which is not the device\'s fault');
};

subtest 'an access token that is not taken any more' => sub {
    my $user = $t->user(6);
    device($user, 'fcm', 'fcm-6');
    say_to(access => 'Bearer ya29.1');
    my (undef, $result) = over(push_to($user));
    is_deeply($result, { sent => 1, refused => 0, failed => 0 },
        'delivered with another');
    my @grants = grep { $_->{path} eq '/token' } seen();
    is(scalar @grants, 2, 'asked for once');
    say_to();
};

# Nobody is answered before a thousand wait; and at first none has a key.
subtest '1,000 jobs at once, on 2 slots' => sub {
    my $user = $t->user(8);
    device($user, 'fcm', 'fcm-8');
    my $grants = () = grep { $_->{path} eq '/token' } seen();
    say_to(access => 'Bearer ya29.2', together => 1000);
    my @ids = $p->preload(1000, queue => 'notification',
        type => 'notification.push', body => { user => $user,
            template => 'booking_reminder', data => { venue_name => 'V',
                date => 'd' } });
    wait_for(sub { ($p->census(@ids)->{succeeded} // 0) == 1000 }, 90, 'all');
    is($p->census(@ids)->{succeeded}, 1000, 'all succeeded');
    is(json($p->job($ids[0])->{result})->{sent}, 1, 'sent');
    is($p->job($ids[0])->{attempts}, 1, 'at the first attempt');
    my @seen = grep { ($_->{message}{token} // '') eq 'fcm-8' } seen();
    is(scalar(grep { $_->{status} == 200 } @seen), 1000, 'each once');
    is(scalar(grep { $_->{path} eq '/token' } seen()), $grants + 1,
        'and one of them has asked for the key of all');
    say_to();
};

subtest 'who has no device' => sub {
    my ($status, $result) = over(push_to($t->user(7)));
    is($status, 'succeeded', 'is no error');
    is_deeply($result, { sent => 0, refused => 0, failed => 0 }, 'nothing');
};

my $USERS = '(SELECT id, row_number() OVER (ORDER BY id) AS n
    FROM travel.users ORDER BY id OFFSET 10 LIMIT 200) AS u';

subtest 'a batch that SQL made, and a crash in it' => sub {
    $t->sql("INSERT INTO travel.devices (id, user_id, service, token)
        SELECT gen_random_uuid(), u.id, CASE WHEN n % 2 = 0 THEN 'fcm'
               ELSE 'apns' END, lpad(to_hex(n * 1000 + v), 64, 'c')
          FROM generate_series(1, 10) AS v, $USERS");
    my $before = () = seen();
    my $batch = $t->sql("SELECT jobs.notify('push', 'booking_reminder',
        (SELECT array_agg(id) FROM $USERS),
        '{\"venue_name\": \"V\", \"date\": \"d\"}')", role => 'travel_worker');
    is(scalar $t->sql("SELECT count(*) FROM jobs.notice
        WHERE batch = '$batch'"), 2000, 'a row for each device');
    wait_for(sub { my @n = seen(); @n > $before + 200 }, 20, 'it to begin');
    kill 'KILL', $p->children;
    wait_for(sub { $t->sql("SELECT count(*) FROM jobs.notice WHERE
        batch = '$batch' AND state = 'sent'") == 2000 }, 40, 'all are sent');
    my @all = grep { $_->{path} ne '/token' } seen();
    my %n;
    $n{$_}++ for grep { /^cccc/ }
        map { $_->{message} ? $_->{message}{token} : $_->{token} } @all;
    is(scalar keys %n, 2000, 'each device was told');
    cmp_ok(scalar(grep { $_ > 1 } values %n), '<=', 250,
        'at most one chunk is repeated');
    is(scalar(grep { $_ > 2 } values %n), 0, 'and that once');
    my %sessions;
    $sessions{ $_->{session} }++ for @all;
    cmp_ok(scalar keys %sessions, '<=', 2, 'over a connection of each process');
    cmp_ok((sort { $b <=> $a } values %sessions)[0], '>', 1250,
        'that a thousand ended streams do not end');
};

kill 'TERM', $server;
waitpid $server, 0;
$server = 0;
is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
