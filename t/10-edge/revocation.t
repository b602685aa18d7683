# Tokens taken back: on two nodes of one Redis, remembered or not, on a node
# that was off, cut off or is only just there; and what a node does that cannot
# hear.  travelctl plays the operator.
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use HTTP::Tiny;
use POSIX ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Node;
use Travel::Test;

my $JS    = JSON::PP->new->canonical;
my $ISS   = 'https://travel.local';
my $OTHER = 'https://id.example.com';
my %key = map { $_ => Crypt::PK::ECC->new->generate_key('secp256r1') }
    qw(one two bare);

my $CONF = <<'END';
    travel_redis queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_jwks  main  file=@RUN@/main.json issuer=https://travel.local ours;
    travel_jwks  other file=@RUN@/main.json issuer=https://id.example.com;
    travel_zone  revocations 64k;
    travel_revocation on;

    server { listen unix:@RUN@/echo.sock; return 200 '$http_x_user'; }
    server {
        listen 127.0.0.1:@PORT@;
        travel_auth required jwks=main,other;
        proxy_set_header X-User $travel_user;
        location = /health   { travel_auth off; return 200; }
        location = /metrics  { travel_auth off; travel_metrics; }
        location /           { proxy_pass http://unix:@RUN@/echo.sock; }
        location /deny       { travel_revocation on on_blind=deny blind=5s;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /now        { travel_revocation on wait=0;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /optional   { travel_auth optional jwks=main,other;
                               proxy_pass http://unix:@RUN@/echo.sock; }
        location /off        { travel_revocation off;
                               proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->new(parts => 'queue nginx', http => $CONF,
    allow_log => qr/zone "revocations" is full/);
# "bare" has no name in the set: it is known by its thumbprint alone.
$t->write('main.json', $JS->encode({ keys => [map {
    my $k = $key{$_}->export_key_jwk('public', 1);
    delete $k->{kid};
    +{ %$k, $_ eq 'bare' ? () : (kid => $_), use => 'sig', alg => 'ES256' }
} sort keys %key] }));
$t->launch;
my $dir = $t->dir;
$t->write('workers.conf', <<"END");
redis queue { socket = "@{[$t->socket('queue')]}" user = "worker"
              password_file = "$dir/keys/redis-worker.password" }
postgres primary { dsn = "host=/nowhere dbname=none" }
END
my $b = Travel::Node->start($t, edit => sub { s/echo\.sock/echo2.sock/g });
my @node = ($t, $b);

my $serial = 0;
sub token {
    my (%o) = @_;
    my $key = delete $o{key} // 'one';
    my $header = delete $o{header} // { kid => $key };
    my %c = (iss => $ISS, sub => $t->user(++$serial), iat => int(time),
        exp => int(time) + 600, jti => "jti-$serial", %o);
    delete @c{ grep { !defined $c{$_} } keys %c };
    return encode_jwt(payload => $JS->encode(\%c), alg => 'ES256',
        key => $key{$key}, extra_headers => $header);
}

# A new connection each: any of nginx's workers may answer.
sub ask {
    my ($node, $path, $token) = @_;
    my $r = HTTP::Tiny->new(timeout => 20)->get($node->url . $path, {
        headers => { defined $token ? (authorization => "Bearer $token") : () } });
    $r->{json} = eval { $JS->decode($r->{content}) };
    return $r;
}
# Killed: it cannot take its socket away itself.
sub off { $_[0]->kill; unlink $t->dir . '/echo2.sock' }

sub status { return ask(@_)->{status} }

sub ctl {
    my ($rc, $out) = $t->ctl(@_);
    return wantarray ? ($rc, $out) : is($rc, 0, "travelctl @_") || diag $out;
}

# Seconds until every worker of every node refuses it.
sub gone_after {
    my ($token, @nodes) = @_;
    my ($start, $end) = (time, time);
    for my $n (@nodes ? @nodes : @node) {
        my $run = 0;
        while ($run < 8 && time < $start + 5) {
            $run = status($n, '/', $token) == 401 ? $run + 1 : 0;
            $end = time unless $run;
        }
        return 99 if $run < 8;
    }
    return $end - $start;
}

# Remembered everywhere: asked often enough that both workers of each node did.
sub warm { my @t = @_;
    for my $n (@node) { for my $token (@t) {
        is(status($n, '/', $token), 200, 'it is good') for 1 .. 4 } } }

subtest 'one token' => sub {
    my ($bad, $good) = (token(), token());
    warm($bad, $good);
    ctl(qw(token revoke --jti), "jti-" . ($serial - 1));
    cmp_ok(gone_after($bad), '<', 1, 'refused by all within a second');
    my $r = ask($b, '/', $bad);
    is($r->{json}{error}{code}, 'TOKEN_INVALID', 'code');
    like($r->{json}{error}{message}, qr/it has been revoked/, 'reason');
    like($r->{headers}{'www-authenticate'}, qr/error="invalid_token"/,
        'challenge');
    is(status($_, '/', $good), 200, 'another token is not') for @node;
    is(status($t, '/optional', $bad), 401, 'nor is it anonymous');
    is(status($t, '/off', $bad), 200, 'where nobody asks it is good');
    like(ask($t, '/metrics')->{content},
        qr/^travel_auth_total\{result="revoked"\} [1-9]/m, 'counted');
    my (undef, $list) = ctl(qw(token revocations));
    like($list, qr/^jti +jti-\d+, until 20\d\d-\S+Z$/m, 'listed');
};

subtest 'a user' => sub {
    my $n = 70;
    my %u = (sub => $t->user($n));
    my $now   = int time;
    my $old   = token(%u, iat => $now - 5);
    my $never = token(%u, iat => undef);
    my $new   = token(%u, iat => $now + 2);
    my $same  = token(iss => $OTHER, sub => $u{sub}, iat => $now - 5);
    warm($old, $new, $same, $never);
    ctl(qw(token revoke --user), uc $t->user($n), '--before', $now);
    cmp_ok(gone_after($old), '<', 1, 'what was issued before is refused');
    cmp_ok(gone_after($never), '<', 1, 'so is what does not say when');
    is(status($b, '/', token(%u, iat => $now)), 200, 'not what came then');
    is(status($_, '/', $new), 200, 'nor later') for @node;
    is(status($_, '/', $same), 200, 'nor another issuer\'s user') for @node;

    ctl(qw(token revoke --user), $u{sub}, '--issuer', $OTHER);
    cmp_ok(gone_after($same), '<', 1, 'who is named by issuer and subject');
    is(status($t, '/', $new), 200, 'and not confused with ours');

    ctl(qw(token revoke --user), $t->user($n + 1));
    %u = (sub => $t->user($n + 1));
    ok(wait_for(sub { status($b, '/', token(%u, iat => $now - 1)) == 401 }, 5,
        'it'), 'without --before it is now');
    is(status($b, '/', token(%u, iat => int(time) + 2)), 200, 'and not later');
};

subtest 'a key' => sub {
    my $two  = token(key => 'two');
    my $anon = token(key => 'two', header => {});
    my $else = token(key => 'two', iss => $OTHER);
    my $one  = token();
    my $bare = token(key => 'bare', header => {});
    warm($two, $one, $bare, $else);
    my $shown = status($t, '/', $anon);
    ctl(qw(token revoke --kid two --issuer), $OTHER);
    cmp_ok(gone_after($else), '<', 1, 'of one issuer');
    is(status($t, '/', $two), 200, 'the other\'s is another key');
    ctl(qw(token revoke --kid two));
    cmp_ok(gone_after($two), '<', 1, 'of all');
    SKIP: {
        skip 'nobody knew who signed it', 1 if $shown != 200;
        is(status($b, '/', $anon), 401, 'also where the token does not name it');
    }
    is(status($b, '/', $one), 200, 'not what another key signed');
    ctl(qw(token revoke --kid),
        $key{bare}->export_key_jwk_thumbprint('SHA256'));
    cmp_ok(gone_after($bare), '<', 1, 'by its thumbprint');
};

subtest 'a node that was off, or starts while Redis is silent' => sub {
    my ($bad, $good) = (token(jti => 'while off'), token());
    warm($bad, $good);
    off($b);
    ctl(qw(token revoke --jti), 'while off');
    $b->start_again;
    is(status($b, '/', $bad), 401, 'its first answer is right');
    is(status($b, '/', $good), 200, 'both ways');

    off($b);
    $t->freeze('queue');
    $b->start_again;
    is(status($b, '/optional'), 200, 'who is nobody does not wait');
    is(status($b, '/now', $good), 503, 'who does not want to wait');
    my $start = time;
    my $r = ask($b, '/', $good);
    is($r->{status}, 503, 'others wait, then are told');
    cmp_ok(time - $start, '>', 1.5, 'not at once');
    is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'code');
    is($r->{headers}{'retry-after'}, 1, 'Retry-After');
    is(status($t, '/', $good), 200, 'the node that knows goes on');

    # bad and good ones wait; then Redis is there
    my @child = map { my $token = $_; my $pid = fork // die;
        $pid || do { my $s = status($b, '/', $token); POSIX::_exit($s - 200 & 255) }
    } $bad, $good;
    sleep 0.3;
    $t->unfreeze('queue');
    my @got = map { waitpid $_, 0; $? >> 8 } @child;
    is_deeply(\@got, [201, 0], 'who waited is judged as soon as it can be')
        or diag "@got";
    wait_for(sub { status($b, '/', $good) == 200 }, 5);
    is(status($b, '/', $bad), 401, 'and so are all others');
};

subtest 'reload' => sub {
    my ($bad, $good) = (token(jti => 'reload'), token());
    ctl(qw(token revoke --jti reload));
    cmp_ok(gone_after($bad), '<', 1, 'refused');
    $t->freeze('queue');
    $t->reload;
    is(status($t, '/', $bad), 401, 'the zone is kept, without Redis');
    is(status($t, '/', $good), 200, 'and is loaded');
    $t->unfreeze('queue');
};

my $r = $t->redis('queue');

subtest 'a gap' => sub {
    my ($bad, $good) = (token(jti => 'gap'), token());
    warm($bad, $good);
    my $path = $t->socket('queue');
    $t->cut('queue', sessions => 1);
    my $x = $t->_redis_at('queue', 'admin', "$path.cut");
    # as travelctl does; then the stream forgets it
    $x->call('ZADD', 'travel:revoke:set', int(time) + 600, "jti\t0\t\tgap");
    $x->call('XADD', 'travel:revoke', '*', 'r', "jti\t0\t\tgap",
        'exp', int(time) + 600);
    $x->call('XTRIM', 'travel:revoke', 'MAXLEN', 0);
    is(status($t, '/', $bad), 200, 'a node that is cut off cannot know');
    $t->mend('queue');
    cmp_ok(gone_after($bad), '<', 5, 'what the stream forgot is in the set');
    is(status($_, '/', $good), 200, 'others are good') for @node;
    $r = $t->redis('queue');
};

subtest 'Redis forgets' => sub {
    my $old = token(jti => 'kept');
    ctl(qw(token revoke --jti kept));
    cmp_ok(gone_after($old), '<', 1, 'refused');
    $r->call('FLUSHALL');
    my $new = token(jti => 'after');
    warm($new);
    ctl(qw(token revoke --jti after));
    cmp_ok(gone_after($new), '<', 1, 'goes on with the new stream');
    is(status($_, '/', $old), 401, 'and knows what it knew') for @node;
};

subtest 'silence' => sub {
    my ($bad, $good) = (token(jti => 'silence'), token());
    ctl(qw(token revoke --jti silence));
    cmp_ok(gone_after($bad), '<', 1, 'refused');
    is(status($t, '/deny', $good), 200, 'deny: heard');
    $t->freeze('queue');
    my $start = time;
    ok(wait_for(sub { status($t, '/deny', $good) == 503 }, 12),
        'deny: nobody who authenticates is answered');
    # what was heard is a read (two seconds and more) older than the freeze
    cmp_ok(time - $start, '>', 1.5, 'not before its time');
    is(status($t, '/', $good), 200, 'allow: goes on');
    is(status($t, '/', $bad), 401, 'with what it knows');
    is(status($t, '/deny', $bad), 401, 'which deny knows as well');
    like(ask($t, '/metrics')->{content},
        qr/^travel_auth_total\{result="blind"\} [1-9]/m, 'counted');
    $t->unfreeze('queue');
    ok(wait_for(sub { status($t, '/deny', $good) == 200 }, 12),
        'deny: hears again');
};

subtest 'they expire' => sub {
    my $bad = token(jti => 'soon');
    $r->call('ZADD', 'travel:revoke:set', int(time) - 7200, "jti\t0\t\tlong ago");
    ctl(qw(token revoke --jti soon --expires 2s));
    cmp_ok(gone_after($bad, $t), '<', 1, 'refused');
    is($r->call('ZSCORE', 'travel:revoke:set', "jti\t0\t\tlong ago"), undef,
        'the set is cleaned by the next one');
    ok(wait_for(sub { status($t, '/', $bad) == 200 }, 5), 'forgotten in time');
    my (undef, $list) = ctl(qw(token revocations));
    unlike($list, qr/soon/, 'not listed');
    ok(wait_for(sub { ask($t, '/metrics')->{content}
        =~ /^travel_revocations_total\{event="expired"\} [1-9]/m }, 5),
        'its place is free');
};

subtest 'more than there is room for' => sub {
    my $good = token();
    my $until = int(time) + 5;
    my @members = map { "jti\t0\t\tfull-$_" } 1 .. 1200;
    $r->calls(map { ['ZADD', 'travel:revoke:set', $until, $_],
        ['XADD', 'travel:revoke', '*', 'r', $_, 'exp', $until] } @members);
    ok(wait_for(sub { status($t, '/deny', $good) == 503 }, 3), 'deny: is blind');
    is(status($t, '/', $good), 200, 'allow: goes on');
    my $late = token(jti => 'late');
    ctl(qw(token revoke --jti late));
    ok(wait_for(sub { status($t, '/deny', $good) == 200 }, 15),
        'there is room again');
    ok(wait_for(sub { status($t, '/', $late) == 401 }, 3),
        'and what had none is there');
};

subtest 'who may write' => sub {
    my $edge = $t->redis('queue', 'edge');
    for (['ZADD', 'travel:revoke:set', 1, 'x'], ['DEL', 'travel:revoke:set'],
        ['XADD', 'travel:revoke', '*', 'r', 'x'],
        ['XTRIM', 'travel:revoke', 'MAXLEN', 0],
        ['ZREM', 'travel:revoke:set', 'x']) {
        ok(!eval { $edge->call(@$_); 1 }, "not the edge: $_->[0]");
        like($@, qr/NOPERM/, 'by rule');
    }
    ok(eval { $edge->call('ZSCAN', 'travel:revoke:set', 0); 1 }, 'it may read');
};

subtest 'travelctl refuses' => sub {
    my @case = (
        [[], qr/name one of/], [[qw(--jti a --kid b)], qr/name one of/],
        [[qw(--user nobody)], qr/is a UUID .*--issuer/],
        [[qw(--jti a --before 1)], qr/--before goes with --user/],
        [['--user', $t->user(1), qw(--before tomorrow)], qr/neither unix/],
        [[qw(--jti a --expires 0)], qr/at least one second/],
        [['--jti', "a\tb"], qr/can be no id/],
        [['--jti', 'a' x 513], qr/can be no id/],
    );
    for (@case) {
        my ($rc, $out) = ctl('token', 'revoke', @{ $_->[0] });
        is($rc, 2, 'refused');
        like($out, $_->[1], 'and says why');
    }
};

subtest 'nginx -t says what to do' => sub {
    my %case = (
        'on blind=1s' => qr/"blind=1s" must be a time from 5s to 1h/,
        'on blind=2h' => qr/"blind=2h" must be a time from 5s to 1h/,
        'on wait=11s' => qr/"wait=11s" must be a time from 0 to 10s/,
        'on on_blind=maybe' => qr/must be on_blind=allow\|deny/,
        'maybe' => qr/must be "off" alone, or "on"/,
        'off blind=9s' => qr/must be "off" alone, or "on"/,
        'on; travel_revocation on' => qr/is duplicate/,
    );
    my $conf = slurp($t->dir . '/nginx.conf');
    my $test = sub {
        $t->write('bad.conf', $_[0]);
        return $t->nginx_t('bad.conf');
    };
    for my $line (sort keys %case) {
        my ($rc, $out) = $test->(
            $conf =~ s/travel_revocation on;/travel_revocation $line;/r);
        isnt($rc, 0, $line);
        like($out, $case{$line}, 'message');
    }
    my ($rc, $out) = $test->($conf =~ s/travel_redis queue[^;]*;//r);
    isnt($rc, 0, 'no Redis');
    like($out, qr/add "travel_redis queue ADDRESS"/, 'message');
};

$t->finish;
done_testing();
