# API keys: made and taken back by travelctl, looked up in PostgreSQL through a
# function, remembered, in force on two nodes; what a node does when PostgreSQL
# cannot be asked.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Node;
use Travel::Test;

my $JS = JSON::PP->new->canonical;

my $CONF = <<'END';
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=1;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_revocation on;
    travel_signature_budget off;

    server {
        listen unix:@RUN@/echo.sock;
        return 200 '{"user":"$http_x_user","key":"$http_x_key","permissions":"$http_x_permissions","issuer":"$http_x_issuer","tier":"$http_x_tier"}';
    }
    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main;
        travel_api_key on ttl=1h;
        proxy_set_header X-User        $travel_user;
        proxy_set_header X-Key         $travel_api_key;
        proxy_set_header X-Permissions $travel_permissions;
        proxy_set_header X-Issuer      $travel_issuer;
        proxy_set_header X-Tier        $travel_claim_iss;
        location = /health  { travel_auth off; return 200; }
        location = /metrics { travel_auth off; travel_metrics; }
        location /        { proxy_pass http://unix:@RUN@/echo.sock; }
        location /read    { travel_require jobs:read;
                            proxy_pass http://unix:@RUN@/echo.sock; }
        location /claim   { travel_require claim:iss;
                            proxy_pass http://unix:@RUN@/echo.sock; }
        location /short   { travel_api_key on ttl=1s negative=1s;
                            proxy_pass http://unix:@RUN@/echo.sock; }
        location /tokens  { travel_api_key off;
                            proxy_pass http://unix:@RUN@/echo.sock; }
        location /off     { travel_auth off;
                            proxy_pass http://unix:@RUN@/echo.sock; }
        location /budget  { travel_signature_budget 1/m burst=3;
                            proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->new(parts => 'postgres queue nginx', http => $CONF);
$t->launch;
my $dir = $t->dir;
my $pg  = readlink "$dir/pg";
$t->write('workers.conf', <<"END");
redis queue { socket = "@{[$t->socket('queue')]}" user = "worker"
              password_file = "$dir/keys/redis-worker.password" }
postgres primary { dsn = "host=$pg dbname=travel user=travel_worker"
                   password_file = "$dir/keys/pg-worker.password" }
END
my $b = Travel::Node->start($t, edit => sub { s/echo\.sock/echo2.sock/g });
my @node = ($t, $b);

sub ctl { return $t->ctl(@_) }

sub key {
    my ($rc, $out) = ctl('key', 'create', @_);
    is($rc, 0, 'key create') or diag $out;
    chomp $out;
    return $out;
}
sub id_of { return substr $_[0], 4, 16 }

# A new connection each: any of nginx's workers may answer.
sub ask {
    my ($node, $path, $key, %h) = @_;
    $h{'x-api-key'} = $key if defined $key;
    my $r = HTTP::Tiny->new(timeout => 20)->get($node->url . $path,
        { headers => \%h });
    $r->{json} = eval { $JS->decode($r->{content}) };
    return $r;
}
sub status { return ask(@_)->{status} }
sub code { return ask(@_)->{json}{error}{code} // '' }

# How often PostgreSQL was asked about keys, by its own account.
sub asked {
    return $t->sql("SELECT coalesce(sum(calls), 0) FROM "
        . "pg_stat_user_functions WHERE funcname = 'api_key_check'",
        role => 'postgres') + 0;
}

# Every worker of a node has found PostgreSQL: another unknown key each time.
my $unknown = 0;
sub ready {
    my ($node) = @_;
    my $run = 0;
    return wait_for(sub {
        $run = status($node, '/', sprintf 'trv_%016x_%s', ++$unknown, 'A' x 43)
            == 401 ? $run + 1 : 0;
        return $run >= 12;
    }, 15, 'PostgreSQL can be asked');
}
ready($_) for @node;

my $user = $t->user(5);
my $key  = key('--owner', uc $user, '--permissions', 'Jobs:Read write:stories',
    '--name', 'a robot');

subtest 'who that is' => sub {
    like($key, qr/^trv_[0-9a-f]{16}_[\w-]{43}$/, 'looks like a key');
    for my $n (@node) { for (1 .. 4) {
        is_deeply(ask($n, '/', $key)->{json}, { user => $user,
            key => id_of($key), permissions => 'jobs:read stories:write',
            issuer => 'https://travel.local', tier => '' }, 'its owner');
    } }
    is(ask($t, '/', undef, authorization => "ApiKey $key")->{json}{user}, $user,
        'by Authorization');
    is(ask($t, '/', undef, authorization => "aPIKEY   $key")->{json}{user},
        $user, 'schemes know no case');
    is(status($t, '/read', $key), 200, 'with its permissions');
    is(code($t, '/read', key('--owner', $user)), 'AUTHORIZATION_ERROR',
        'not its owner\'s');
    is(code($t, '/claim', $key), 'AUTHORIZATION_ERROR', 'it has no claims');
    is(ask($t, '/', undef)->{json}{user}, '', 'without it: nobody');
    is(ask($t, '/tokens', $key)->{json}{user}, '', 'where keys are off: nobody');
    is(status($t, '/tokens', undef, authorization => "ApiKey $key"), 401,
        'or another scheme');
    is(ask($t, '/off', $key)->{json}{user}, '', 'where auth is off: nobody');
    is(ask($t, '/', undef, authorization => 'Bearer ' . $t->user_token(3))
        ->{json}{user}, $t->user(3), 'tokens go on');
    like(ask($t, '/metrics')->{content},
        qr/^travel_auth_total\{result="api_key"\} [1-9]/m, 'counted');
};

subtest 'what is no key' => sub {
    my @bad = ('', 'x', "$key ", substr($key, 0, -1), "${key}A", uc $key,
        'TRV' . substr($key, 3), $key =~ s/_/-/r, 'trv_' . 'g' x 16 . substr $key, 20);
    is(code($t, '/', undef, 'x-api-key' => $_), 'TOKEN_INVALID', "\"$_\"")
        for grep { !/ $/ } @bad;
    my $other = substr($key, 0, 21) . 'A' x 43;
    is(code($t, '/', $other), 'TOKEN_INVALID', 'the id with another secret');
    is(status($t, '/', $key), 200, 'which does the key no harm');
    my $r = ask($t, '/', $other);
    like($r->{headers}{'www-authenticate'}, qr/error="invalid_token"/, 'challenge');
    is(code($t, '/', $key, authorization => 'Bearer ' . $t->user_token(3)),
        'MALFORMED_REQUEST', 'a key and a token');
    is(code($t, '/', $key, authorization => "ApiKey $key"),
        'MALFORMED_REQUEST', 'a key twice');
    like($t->raw("GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: $key\r\n"
        . "x-api-key: $key\r\nConnection: close\r\n\r\n"), qr/MALFORMED_REQUEST/,
        'in two headers');
};

subtest 'asked once' => sub {
    $t->sql('ALTER SYSTEM SET track_functions = \'all\'', role => 'postgres');
    $t->sql('SELECT pg_reload_conf()', role => 'postgres');
    my $fresh = key('--owner', $user);
    ok(wait_for(sub { status($t, '/', key('--owner', $user)); sleep 0.3;
        asked() > 0 }, 20), 'PostgreSQL counts');
    sleep 1.2;                            # its counts come late
    my $before = asked();
    status($t, '/', $fresh) for 1 .. 20;
    status($t, '/', substr($fresh, 0, 21) . 'B' x 43) for 1 .. 20;
    sleep 1.5;
    # the unknown one may be asked for again after five seconds
    cmp_ok(asked() - $before, '<=', 4, 'good and bad are remembered');
};

subtest 'taken back' => sub {
    is(status($_, '/', $key), 200, 'good and remembered') for @node, @node;
    my ($rc, $out) = ctl('key', 'revoke', id_of($key));
    is($rc, 0, 'key revoke') or diag $out;
    my $start = time;
    for my $n (@node) {
        wait_for(sub { status($n, '/', $key) == 401 }, 5);
        cmp_ok(time - $start, '<', 1, 'refused within a second');
        is(status($n, '/', $key), 401, 'by all its workers') for 1 .. 6;
    }
    (undef, $out) = ctl('key', 'list');
    like($out, qr/^\Q@{[id_of($key)]}\E  $user  revoked  \[Jobs:Read write:stories\]  a robot$/m,
        'listed');
    unlike($out, qr/\Q@{[substr $key, 21]}\E/, 'without the secret');
    # forgotten by the feed, remembered by the database
    $t->redis('queue')->call('FLUSHALL');
    $b->kill; unlink "$dir/echo2.sock"; $b->start_again;
    ready($b);
    is(status($b, '/', $key), 401, 'and never good again');

    my @mine = map { key('--owner', $t->user(6)) } 1, 2;
    is(status($t, '/', $_), 200, 'good') for @mine;
    is((ctl('key', 'revoke', '--owner', $t->user(6)))[0], 0, 'all of a user');
    for my $k (@mine) {
        ok(wait_for(sub { status($t, '/', $k) == 401 }, 2), 'refused');
    }
    is((ctl('key', 'revoke', 'f' x 16))[0], 1, 'what is not there: 1');
};

subtest 'expiry' => sub {
    my $brief = key('--owner', $user, '--expires', '2s');
    is(status($t, '/', $brief), 200, 'good, and remembered for an hour');
    ok(wait_for(sub { code($t, '/', $brief) eq 'TOKEN_EXPIRED' }, 5),
        'but not for longer than it lives');
    my $expired = qr/^@{[id_of($brief)]} .* expired /m;
    ok(wait_for(sub { (ctl('key', 'list', '--owner', $user))[1] =~ $expired },
        3), 'listed');
};

subtest 'what guessing costs' => sub {
    my $good = key('--owner', $user);
    my @got = map { status($t, '/budget', sprintf 'trv_%016x_%s', $_, 'A' x 43) }
        1 .. 6;
    is_deeply([@got[0 .. 2]], [401, 401, 401], 'three guesses')
        or diag "@got";
    is($got[5], 429, 'and no more questions') or diag "@got";
    is(status($t, '/budget', $good), 429, 'nor about a good one from there');
    is(status($t, '/', $good), 200, 'unless it is known');
    is(status($t, '/budget', $good), 200, 'then everywhere');
};

subtest 'PostgreSQL is gone' => sub {
    my $known = key('--owner', $user);
    my $brief = key('--owner', $user);
    my $fresh = key('--owner', $user);
    is(status($t, '/', $known), 200, 'known');
    is(status($t, '/short', $brief), 200, 'known for a second');
    $t->stop_part('postgres');
    is(status($t, '/', $known), 200, 'known ones go on');
    my $r;
    ok(wait_for(sub { ($r = ask($t, '/short', $brief))->{status} == 503 }, 5),
        'for their time');
    is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'code');
    is($r->{headers}{'retry-after'}, 1, 'Retry-After');
    is(status($t, '/', $fresh), 503, 'others cannot be told');
    is(code($t, '/', 'nonsense'), 'TOKEN_INVALID', 'what is no key can');
    $t->start_part('postgres');
    ok(wait_for(sub { status($t, '/', $fresh) == 200 }, 10), 'and back');
};

subtest 'who may read the table' => sub {
    my $psql = sub { eval { $t->sql($_[0], role => 'travel_edge'); 1 } };
    ok(!$psql->('SELECT * FROM credentials.api_key'), 'not the edge');
    ok(!$psql->('INSERT INTO credentials.api_key VALUES (1)'), 'nor write it');
    ok($psql->("SELECT * FROM travel.api_key_check('x', 'y')"),
        'it may ask about one');
    is($t->sql("SELECT count(*) FROM credentials.api_key "
        . "WHERE encode(hash, 'escape') LIKE '%trv_%'", role => 'postgres') + 0, 0,
        'there is no key in it');
};

subtest 'mistakes' => sub {
    for ([[qw(create)], qr/--owner is the UUID/],
        [[qw(create --owner bob)], qr/--owner is the UUID/],
        [[qw(list --owner bob)], qr/--owner is the UUID/],
        [[qw(revoke)], qr/name the id of a key or an --owner/],
        [['revoke', 'x', '--owner', $user], qr/name the id of a key or/]) {
        my ($rc, $out) = ctl('key', @{ $_->[0] });
        is($rc, 2, "key @{ $_->[0] }");
        like($out, $_->[1], 'says why');
    }
    my $conf = slurp("$dir/nginx.conf");
    my $test = sub {
        $t->write('bad.conf', $_[0]);
        return $t->nginx_t('bad.conf');
    };
    my %case = (
        'on ttl=2h' => qr/"ttl=2h" must be a time from 1s to 1h/,
        'on negative=0' => qr/"negative=0" must be a time from 1s to 5m/,
        'on x=1' => qr/"x=1" must be one of ttl= or negative=/,
        'maybe' => qr/must be "off" alone, or "on"/,
        'off ttl=1s' => qr/must be "off" alone/,
        'on; travel_api_key on' => qr/is duplicate/,
    );
    for my $line (sort keys %case) {
        my ($rc, $out) = $test->(
            $conf =~ s/travel_api_key on ttl=1h;/travel_api_key $line;/r);
        isnt($rc, 0, $line);
        like($out, $case{$line}, 'message');
    }
    my ($rc, $out) = $test->($conf =~ s/travel_postgres[^;]*;//r);
    isnt($rc, 0, 'no PostgreSQL');
    like($out, qr/add "travel_postgres primary CONNINFO"/, 'message');
    my $alone = $conf =~ s/travel_jwks[^;]*;//r =~ s/ jwks=main//gr;
    ($rc, $out) = $test->($alone);
    isnt($rc, 0, 'with neither tokens nor keys');
    like($out, qr/must have jwks=NAME/, 'message');
    ($rc, $out) = $test->($alone =~ s/travel_api_key off;//r);
    is($rc, 0, 'keys alone need no jwks') or diag $out;
};

$t->finish;
done_testing();
