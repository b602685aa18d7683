# Accounts by HTTP: registered, verified by mail, logged in, renewed, ended, with
# another password; what their mails say, what is on record, and that no
# password or token is to be read anywhere behind the edge.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha1);
use MIME::Base64 qw(decode_base64url);
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $LIMIT = qr/travel_limit\s+POST \$travel_binary_client_ip [^;]*;/;
my $t = Travel::Test->new(
    parts => 'postgres queue cache smtp otlp workers nginx',
    ngx_workers => 2,
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub { s{\@ROOT\@/conf/travel}{\@RUN\@/travel}g;
        s/sample=[\d.]+/sample=1.0/g;
        s/(travel_explain debug:read;)/$1 travel_risk mode=report;/;
        s{(location = /health )}{location = /strong {
            travel_auth required jwks=main audience=travel;
            travel_stepup acr=aal2;
            travel_query GET me.get; }
        $1}; },
    edit_workers => sub {
        s/(accounts \{\n)/$1    argon2_memory = 7168   argon2_passes = 1\n/;
        s/sample = 0\.0/sample = 1.0/; },
);
my $dir = $t->dir;
system('cp', '-r', Travel::Test::root() . '/conf/travel', "$dir/travel") == 0
    or die 'no catalog';

# Every caller here has one address; the limit is asked below.
my $routes = Travel::Test::slurp("$dir/travel/routes/15-auth.conf");
my @limits = $routes =~ /($LIMIT)/g;
$t->write('travel/routes/15-auth.conf', $routes =~ s/$LIMIT//gr);
$t->launch;
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

my $auth = '/api/v1/auth';
my $q = $t->redis('queue');
my @secrets;                            # to be found nowhere

sub secret { push @secrets, @_; return $_[0] }
sub asks { my ($what, $body, %o) = @_; return $t->post("$auth/$what", $body, %o) }
# The same body on n connections, sent before any of them is read: the statuses.
sub at_once {
    my ($n, $what, $body) = @_;
    my $text = join "\r\n", "POST $auth/$what HTTP/1.1", 'Host: x',
        'Content-Type: application/json', 'Connection: close',
        'Content-Length: ' . length $body, '', $body;
    my @s = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort =>
        $t->port) or die $! } 1 .. $n;
    print $_ $text for @s;
    $_->flush for @s;
    return map { local $/; readline($_) =~ m{^HTTP/1.1 (\d+)} } @s;
}
sub login {
    my ($email, $password, %o) = @_;
    return asks('login', { email => $email, password => secret($password),
        %o });
}
sub code { return $_[0]{json}{error}{code} // '' }
sub is_code {
    my ($r, $status, $code, $what) = @_;
    is($r->{status}, $status, $what) or diag $r->{content};
    is(code($r), $code, $code);
}
# The newest mail to the address, of so many.
sub mail_to {
    my ($to, $n, $subject) = @_;
    my @m;
    wait_for(sub { @m = grep { $_->{to}[0] eq $to } $t->mails; @m >= $n }, 15,
        "mail $n to $to");
    like($m[-1]{subject}, $subject, 'its subject');
    return $m[-1];
}
sub token_in {
    my ($mail) = @_;
    my ($token) = $mail->{text} =~ m{^  \S+/\w+#([\w-]{43})$}m;
    like($mail->{html}, qr/#\Q$token\E"/, 'HTML has the same link');
    return secret($token);
}
sub register {
    my ($email, $password, $n) = @_;
    my $r = asks('register', { email => $email,
        password => secret($password) });
    is($r->{status}, 202, "$email: accepted") or diag $r->{content};
    return token_in(mail_to($email, $n // 1, qr/Confirm your address/));
}
sub verify {
    my ($token, $password, %o) = @_;
    my $r = asks('verify', { token => $token, password => secret($password),
        %o });
    secret($r->{json}{refresh_token}) if $r->{json}{refresh_token};
    return $r;
}
sub made {
    my ($email, $password) = @_;
    my $r = verify(register($email, $password), $password);
    is($r->{status}, 201, "$email: an account") or diag $r->{content};
    return $r->{json};
}
sub claims { return json(decode_base64url((split /\./, $_[0])[1])) }
sub events {
    my ($user) = @_;
    return [map { $_->[0] } $t->sql("SELECT type FROM events.event WHERE
        stream_type = 'user' AND stream_id = '$user' ORDER BY version")];
}
sub me { return $t->get('/api/v1/me', token => $_[0])->{status} }
sub until_me {
    my ($token, $status, $what) = @_;
    wait_for(sub { me($token) == $status }, 5, $what);
    is(me($token), $status, $what);
}

my $password = 'correct horse "battery" stapl\\e';
my ($ann, $ann_token);

subtest 'registering' => sub {
    my $r = asks('register', { email => 'Ann@Example.org', name => 'Ann',
        password => secret($password) });
    is($r->{status}, 202, 'accepted') or diag $r->{content};
    is($r->{json}{status}, 'accepted', 'no more is said');
    is($r->{headers}{location}, undef, 'and nothing named');
    my $mail = mail_to('Ann@Example.org', 1, qr/Confirm your address/);
    unlike($mail->{text}, qr/Ann\b(?!@)/, 'a name is no way to write to others');
    $ann_token = token_in($mail);
    my ($row) = $t->sql("SELECT id, sub, email, name FROM travel.users
        WHERE email = 'Ann\@Example.org'");
    is_deeply([@$row[1 .. 3]], [$row->[0], 'Ann@Example.org', 'Ann'], 'a user');
    is_deeply(events($row->[0]), ['user.created',
        'user.verification_requested'], 'in the event store');
    is_code(login('ann@example.org', $password), 401, 'CREDENTIALS_INVALID',
        'no login before the address is verified');
    is($t->sql("SELECT password IS NULL FROM credentials.account
        WHERE user_id = '$row->[0]'", role => 'travel_worker'), 't',
        'there is no password yet');
    for (['email', 'nobody'], ['password', 'short'], ['name', '']) {
        my %body = (email => 'x@example.org', password => 'long enough',
            $_->[0] => $_->[1]);
        $r = asks('register', \%body);
        is_code($r, 422, 'VALIDATION_ERROR', "$_->[0] \"$_->[1]\"");
        is($r->{json}{error}{details}[0]{pointer}, "/$_->[0]", 'is named');
        unlike($r->{content}, qr/short/, 'its value is not') if $_->[1];
    }
};

subtest 'the mail' => sub {
    is_code(verify('x' x 43, $password), 422, 'LINK_INVALID', 'another token');
    is_code(verify($ann_token, 'not that of Ann'), 401, 'CREDENTIALS_INVALID',
        'another password than was registered with');
    my $r = verify($ann_token, $password, device => 'phone');
    is($r->{status}, 201, 'verified') or diag $r->{content};
    $ann = $r->{json};
    is($ann->{token_type}, 'Bearer', 'and logged in');
    is($ann->{expires_in}, 1800, 'for half an hour');
    is($r->{headers}{'cache-control'}, 'no-store', 'RFC 6749 5.1');
    is(me($ann->{access_token}), 200, 'the edge knows the token');
    my $claims = claims($ann->{access_token});
    is($claims->{$_->[0]}, $_->[1], $_->[0]) for ['sub', $ann->{user}{id}],
        ['sid', $ann->{id}], ['iss', 'https://travel.local'],
        ['aud', 'travel'], ['email', 'Ann@Example.org'];
    is($claims->{exp} - $claims->{iat}, 1800, 'exp');
    ok((grep { $_ eq 'bookings:write' } @{ $claims->{permissions} }), 'rights');
    is($t->get('/api/v1/me', token => $ann->{access_token})->{json}{name},
        'Ann', 'it is her');
    is_deeply([@{ events($ann->{user}{id}) }[2 .. 3]], ['user.verified',
        'user.logged_in'], 'in the event store');
    is_code(verify($ann_token, $password), 422, 'LINK_INVALID', 'once');
    my $hash = $t->sql("SELECT password FROM credentials.account
        WHERE user_id = '$ann->{user}{id}'", role => 'travel_worker');
    like($hash, qr/\A\$argon2id\$v=19\$m=7168,t=1,p=1\$/, 'Argon2id');
};

subtest 'who is there is told to nobody' => sub {
    my @r = map { asks('register', { email => $_, password => secret(
        'whoever that may be') }) } 'ann@example.ORG', 'new@example.org';
    is_deeply([map { [$_->{status}, $_->{json}{status},
        $_->{json}{job}{status}] } @r], [([202, 'accepted', 'queued']) x 2],
        'the same answer, before anybody has looked');
    mail_to('Ann@Example.org', 2, qr/You have an account already/);
    mail_to('new@example.org', 1, qr/Confirm/);
    is($t->sql("SELECT count(*) FROM travel.users WHERE lower(email) =
        'ann\@example.org'"), 1, 'one user has the address');
    ok(!eval { $t->sql("INSERT INTO credentials.account (user_id, email)
        SELECT id, 'ANN\@example.org' FROM travel.users LIMIT 1"); 1 },
        'by the database');
    like($@, qr/account_email/, 'which says so');
    my $r = login('nobody@example.org', $password);
    my $s = login('ann@example.org', 'wrong password');
    is_code($_, 401, 'CREDENTIALS_INVALID', 'login') for $r, $s;
    is($r->{json}{error}{message}, $s->{json}{error}{message}, 'alike');
    is($_->{headers}{'www-authenticate'}, 'Bearer realm="travel"',
        'RFC 9110 15.5.2') for $r, $s;
    my @took = sort { $a <=> $b } map { my $at = time;
        login("noone$_\@example.org", 'wrong password'); time - $at } 1 .. 5;
    cmp_ok($took[2], '>', 0.003, 'a password is hashed for nobody, too');
};

subtest 'whose password it is' => sub {
    my $evil = register('bob@example.org', 'password of Eve');
    $t->sql("UPDATE credentials.ticket SET created_at = created_at
        - interval '2 minutes'");
    my $bobs = register('bob@example.org', 'password of Bob', 2);
    is_code(verify($evil, 'password of Bob'), 401, 'CREDENTIALS_INVALID',
        'Bob follows the mail of who took his address');
    is(verify($bobs, 'password of Bob')->{status}, 201, 'and then his');
    is_code(verify($evil, 'password of Eve'), 422, 'LINK_INVALID',
        'the other is good no more');
    is_code(login('bob@example.org', 'password of Eve'), 401,
        'CREDENTIALS_INVALID', 'nor is its password');
    asks('register', { email => 'cy@example.org', password => secret('cy' x 8)
        }) for 1 .. 3;
    register('cy@example.org', 'cy' x 8);
    is(scalar(grep { $_->{to}[0] eq 'cy@example.org' } $t->mails), 1,
        'one mail a minute');
    is($t->sql("SELECT count(*) FROM credentials.account
        WHERE email = 'cy\@example.org'"), 1, 'one account');
};

subtest 'logging in' => sub {
    my $r = login('ANN@example.org', $password, device => 'laptop');
    is($r->{status}, 201, 'a session') or diag $r->{content};
    is($r->{headers}{location}, "$auth/sessions/$r->{json}{id}", 'its place');
    is($r->{headers}{'cache-control'}, 'no-store', 'kept by nobody');
    is(events($ann->{user}{id})->[-1], 'user.logged_in', 'on record');
    secret($r->{json}{refresh_token});
    my $list = $t->get("$auth/sessions", token => $r->{json}{access_token});
    is_deeply([map { [@$_{qw(id device)}, !!$_->{current}] }
        @{ $list->{json}{items} }], [[$r->{json}{id}, 'laptop', 1 == 1],
        [$ann->{id}, 'phone', 1 == 0]], 'listed, and which is this')
        or diag $list->{content};
    is(login('ann@example.org', $_)->{status}, 401, "\"$_\"")
        for uc $password, "$password ";
    is(scalar(grep { $_ eq 'user.login_failed' } @{ events($ann->{user}{id})
        }), 3, 'what failed is on record');
    my @mine = @{ $t->get('/api/v1/events?type=user.logged_in',
        token => $ann->{access_token})->{json}{items} };
    is(scalar @mine, 2, 'she may read it');
};

subtest 'too many passwords' => sub {
    my $email = 'dan@example.org';
    made($email, 'password of Dan');
    my @r = map { login($email, "guess no. $_") } 1 .. 5;
    is_code($_, 401, 'CREDENTIALS_INVALID', 'wrong') for @r;
    my $r = login($email, 'password of Dan');
    is_code($r, 429, 'LOGIN_THROTTLED', 'the right one waits, too');
    like($r->{json}{error}{message}, qr/in [12] s/, 'and is told how long');
    login('nobody.at.all@example.org', "guess no. $_") for 1 .. 5;
    is_code(login('nobody.at.all@example.org', 'guess'), 429,
        'LOGIN_THROTTLED', 'so it is where there is no account');
    $t->sql("UPDATE credentials.attempt SET until = now()");
    is(login($email, 'password of Dan')->{status}, 201, 'after that');
    is($t->sql("SELECT count(*) FROM credentials.attempt WHERE who =
        sha256('$email')"), 0, 'they are forgotten');
};

sub refresh { return asks('refresh', { refresh_token => $_[0] }) }

subtest 'renewing' => sub {
    my $s = login('ann@example.org', $password)->{json};
    secret($s->{refresh_token});
    my $r = refresh($s->{refresh_token});
    is($r->{status}, 201, 'renewed') or diag $r->{content};
    my $n = $r->{json};
    secret($n->{refresh_token});
    is($n->{id}, $s->{id}, 'the same session');
    isnt($n->{refresh_token}, $s->{refresh_token}, 'another refresh token');
    is(me($n->{access_token}), 200, 'another access token');
    is(claims($n->{access_token})->{auth_time},
        claims($s->{access_token})->{auth_time}, 'of the same login');
    is(events($ann->{user}{id})->[-1], 'user.session_renewed', 'on record');
    is(me($_->{access_token}), 200, 'both are good') for $s, $n;
    is_code(refresh($s->{refresh_token}), 401, 'SESSION_INVALID',
        'the first once more: two have it');
    is_code(refresh($n->{refresh_token}), 401, 'SESSION_INVALID',
        'so the session is over for both');
    until_me($_->{access_token}, 401, 'with its access tokens') for $s, $n;
    is($t->sql("SELECT ended_by FROM credentials.session WHERE id = '$n->{id}'"),
        'reuse', 'why');
    is(events($ann->{user}{id})->[-1], 'user.session_ended', 'on record');
    is(me($ann->{access_token}), 200, 'her other sessions go on');
    is_code(refresh('x' x 43), 401, 'SESSION_INVALID', 'one of nobody');

    $s = login('ann@example.org', $password)->{json};
    $t->sql("UPDATE credentials.refresh SET expires_at = now() WHERE session_id
        = '$s->{id}'");
    is_code(refresh($s->{refresh_token}), 401, 'SESSION_INVALID',
        'one that was not renewed for long');
};

subtest 'renewed twice at once' => sub {
    my $s = login('ann@example.org', $password)->{json};
    my @status = sort { $a <=> $b } at_once(4, 'refresh',
        qq({"refresh_token":"$s->{refresh_token}"}));
    is_deeply(\@status, [201, 401, 401, 401], 'one is first');
    is($t->sql("SELECT ended_by FROM credentials.session
        WHERE id = '$s->{id}'"), 'reuse', 'and they have ended it');
};

subtest 'logging out' => sub {
    my $s = login('ann@example.org', $password)->{json};
    my $r = $t->post("$auth/logout", {}, token => $s->{access_token});
    is($r->{status}, 200, 'out') or diag $r->{content};
    until_me($s->{access_token}, 401, 'the access token is not good any more');
    is_code(refresh($s->{refresh_token}), 401, 'SESSION_INVALID', 'nor this');
    is(me($ann->{access_token}), 200, 'elsewhere she is logged in');

    $s = login('ann@example.org', $password)->{json};
    $r = $t->delete("$auth/sessions/$s->{id}", token => $t->user_token(1));
    is_code($r, 404, 'RESOURCE_NOT_FOUND', 'another\'s is not to be ended');
    $r = $t->delete("$auth/sessions/$s->{id}", token => $ann->{access_token});
    is($r->{status}, 200, 'one\'s own is') or diag $r->{content};
    until_me($s->{access_token}, 401, 'there');
    is_code($t->post("$auth/logout", {}, token => $t->user_token(1)), 404,
        'RESOURCE_NOT_FOUND', 'a token of no session has none to end');

    my $l = login('ann@example.org', $password)->{json};
    $r = $t->delete("$auth/sessions", token => $l->{access_token});
    is($r->{status}, 200, 'everywhere') or diag $r->{content};
    cmp_ok($r->{json}{sessions}, '>=', 3, 'all of them');
    until_me($_->{access_token}, 401, 'out') for $l, $ann;
    is_code(refresh($ann->{refresh_token}), 401, 'SESSION_INVALID', 'for good');
    is(events($ann->{user}{id})->[-1], 'user.sessions_ended', 'on record');
    $ann = login('ann@example.org', $password)->{json};
    secret($ann->{refresh_token});
    is(me($ann->{access_token}), 200, 'and in again');
};

subtest 'another password' => sub {
    is(asks('reset/request', { email => $_ })->{status}, 202, "$_: accepted")
        for 'ann@example.org', 'nobody@example.org';
    my $token = token_in(mail_to('Ann@Example.org', 3, qr/another password/));
    is(scalar(grep { $_->{to}[0] eq 'nobody@example.org' } $t->mails), 0,
        'where there is no account there is no mail');
    my $new = 'the second one, better';
    my $reset = sub { asks('reset', { token => $_[0], password =>
        secret($new) }) };
    is_code($reset->('y' x 43), 422, 'LINK_INVALID', 'another token');
    is_code($reset->($ann_token), 422, 'LINK_INVALID', 'of another purpose');
    my $r = $reset->($token);
    is($r->{status}, 201, 'changed') or diag $r->{content};
    is_code($reset->($token), 422, 'LINK_INVALID', 'once');
    until_me($ann->{access_token}, 401, 'all sessions are over');
    is_code(refresh($ann->{refresh_token}), 401, 'SESSION_INVALID', 'for good');
    is_code(login('ann@example.org', $password), 401, 'CREDENTIALS_INVALID',
        'the old one is none');
    is(login('ann@example.org', $new)->{status}, 201, 'the new one is');
    mail_to('Ann@Example.org', 4, qr/was changed/);
    my %seen = map { $_ => 1 } @{ events($ann->{user}{id}) };
    ok($seen{$_}, $_) for qw(user.reset_requested user.password_changed);

    $t->sql("UPDATE credentials.ticket SET created_at = created_at
        - interval '2 minutes'");
    asks('reset/request', { email => 'ann@example.org' });
    $token = token_in(mail_to('Ann@Example.org', 5, qr/another password/));
    $t->sql('UPDATE credentials.ticket SET expires_at = now()');
    is_code($reset->($token), 422, 'LINK_INVALID', 'in time');

    asks('reset/request', { email => 'new@example.org' });
    $r = $reset->(token_in(mail_to('new@example.org', 2,
        qr/another password/)));
    is($r->{status}, 201, 'who never verified has the address now');
    is(login('new@example.org', $new)->{status}, 201, 'and an account');
};

subtest 'an operator ends them' => sub {
    my $s = login('bob@example.org', 'password of Bob')->{json};
    my $end = sub { $t->ctl('account', 'logout', @_, '--config',
        "$dir/workers.conf") };
    my ($rc, $said) = $end->(uc $s->{user}{id});
    is($rc, 0, 'travelctl account logout') or diag $said;
    is($said, "2 sessions ended\n", 'says how many');
    until_me($s->{access_token}, 401, 'out');
    is_code(refresh($s->{refresh_token}), 401, 'SESSION_INVALID', 'for good');
    is(events($s->{user}{id})->[-1], 'user.sessions_ended', 'on record');
    is(login('bob@example.org', 'password of Bob')->{status}, 201,
        'until he logs in again');
    ($rc, $said) = $end->($t->user(1));
    isnt($rc, 0, 'not of who has no account');
    like($said, qr/no such account/, 'which is said');
    isnt(($end->('bob'))[0], 0, 'nor by another name');
};

subtest 'many at once, and what is old' => sub {
    my @wrong = grep { $_ == 401 } at_once(16, 'login',
        '{"email":"fay@example.org","password":"guess"}');
    cmp_ok(scalar @wrong, '>=', 5, 'sixteen guesses at once: five are tried');
    cmp_ok(scalar @wrong, '<=', 8, 'and hardly more, however slow we are');

    my $count = sub { scalar $t->sql("SELECT count(*) FROM credentials.$_[0]") };
    my %was = map { $_ => $count->($_) } qw(session ticket attempt);
    $t->sql("UPDATE credentials.session SET expires_at = now()
        - interval '31 days' WHERE ended_by = 'reuse'");
    $t->sql("UPDATE credentials.ticket SET expires_at = now()
        - interval '31 days' WHERE purpose = 'reset'");
    $t->sql("UPDATE credentials.attempt SET last_at = now()
        - interval '25 hours'");
    my $n = $t->sql('SELECT credentials.expire(1000)', role => 'travel_worker');
    is($count->('attempt'), 0, 'attempts are forgotten');
    cmp_ok($count->($_), '<', $was{$_}, "$_: so is what opens nothing")
        for qw(session ticket);
    is($n, $was{attempt} + $was{session} - $count->('session')
        + $was{ticket} - $count->('ticket'), 'and counted');
};

# RFC 6238 by other means than ours; $ahead steps of 30 s from now.
sub totp {
    my ($base32, $ahead) = @_;
    my $bits = join '', map { sprintf '%05b',
        index('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', $_) } split //, $base32;
    my $md = hmac_sha1(pack('Q>', int(time / 30) + $ahead),
        pack('B160', $bits));
    my $n = unpack('N', substr $md, ord(substr $md, -1) & 15, 4);
    return secret(sprintf '%06d', ($n & 0x7fffffff) % 1000000);
}

subtest 'a second factor' => sub {
    my ($email, $pw) = ('eve@example.org', 'password of Eve herself');
    my $s = made($email, $pw);
    my @me = (token => $s->{access_token});
    is($t->get('/strong', @me)->{status}, 401, 'one is not enough everywhere');
    is_code(asks('totp', { password => secret('not that of Eve') }, @me), 401,
        'CREDENTIALS_INVALID', 'who has the token alone makes none');
    my $r = asks('totp', { password => $pw }, @me);
    is($r->{status}, 201, 'a secret') or diag $r->{content};
    my $secret = secret($r->{json}{secret});
    like($secret, qr/\A[A-Z2-7]{32}\z/, 'base32');
    is($r->{json}{otpauth_uri}, 'otpauth://totp/Travel:eve%40example%2Eorg'
        . "?secret=$secret&issuer=Travel", 'as apps read it');
    is(login($email, $pw)->{status}, 201, 'it is not asked for yet');
    is_code(asks('totp/confirm', { code => '000 000' }, @me), 401,
        'CREDENTIALS_INVALID', 'another code');
    my $first = totp($secret, 0);
    $r = asks('totp/confirm', { code => $first }, @me);
    is($r->{status}, 201, 'confirmed') or diag $r->{content};
    my @codes = map { secret($_) } @{ $r->{json}{recovery_codes} };
    is(scalar @codes, 10, 'recovery codes');
    is_code(asks('totp', { password => $pw }, @me), 409, 'CONFLICT',
        'there is one now');

    is_code(login($email, $pw), 401, 'SECOND_FACTOR_REQUIRED', 'asked for');
    is_code(login($email, $pw, code => $first), 401,
        'CREDENTIALS_INVALID', 'a code that was used');
    is(events($s->{user}{id})->[-1], 'user.login_failed', 'on record');
    my $code = totp($secret, 1);
    $r = login($email, $pw, code => $code);
    is($r->{status}, 201, 'in') or diag $r->{content};
    my $c = claims($r->{json}{access_token});
    is($c->{acr}, 'aal2', 'acr');
    is_deeply($c->{amr}, ['pwd', 'otp'], 'amr, RFC 8176');
    is($t->get('/strong', token => $r->{json}{access_token})->{status}, 200,
        'enough everywhere');
    $r = refresh($r->{json}{refresh_token});
    is(claims($r->{json}{access_token})->{acr}, 'aal2', 'renewed as it was');
    is_code(login($email, $pw, code => $code), 401, 'CREDENTIALS_INVALID',
        'once');
    $r = login($email, $pw, code => lc $codes[3] =~ tr/-/ /r);
    is($r->{status}, 201, 'by a recovery code') or diag $r->{content};
    is_code(login($email, $pw, code => $codes[3]), 401, 'CREDENTIALS_INVALID',
        'once, too');
    like($t->sql("SELECT secret FROM credentials.factor"), qr/\Av1\.[\w-]{11}\./,
        'the secret is sealed');

    is_code(asks('totp/remove', { password => $pw, code => $codes[3] }, @me),
        401, 'CREDENTIALS_INVALID', 'taken away by who has it');
    $t->sql('UPDATE credentials.attempt SET until = now()');
    $r = asks('totp/remove', { password => $pw, code => $codes[4] }, @me);
    is($r->{status}, 200, 'alone') or diag $r->{content};
    is(login($email, $pw)->{status}, 201, 'and asked for no more');
    my %seen = map { $_ => 1 } @{ events($s->{user}{id}) };
    ok($seen{"user.$_"}, $_) for qw(factor_enrolled factor_confirmed
        recovery_used factor_removed);
};

subtest 'other parameters' => sub {
    my $conf = Travel::Test::slurp("$dir/workers.template");
    $t->write('workers.template',
        $conf =~ s/argon2_passes = 1/argon2_passes = 2/r);
    $t->sql(q{UPDATE credentials.account SET password =
        '$2b$12$abcdefghijklmnopqrstuuFDJRuYeKkCzo3Wy7h8SxhBSHBAHiPK2'
        WHERE email = 'bob@example.org'});
    $t->restart_part('workers');
    my $r = login('dan@example.org', 'password of Dan');
    is($r->{status}, 201, 'the password is good') or diag $r->{content};
    like($t->sql("SELECT password FROM credentials.account
        WHERE email = 'dan\@example.org'"), qr/t=2,p=1/, 'and hashed anew');
    is(login('bob@example.org', 'correct horse')->{status}, 201,
        'a hash of bcrypt, brought along, is good, too');
    like($t->sql("SELECT password FROM credentials.account
        WHERE email = 'bob\@example.org'"), qr/\A\$argon2id\$/, 'for once');
};

subtest 'nothing is to be read' => sub {
    ok(!eval { $t->sql('SELECT * FROM credentials.account',
        role => 'travel_edge'); 1 }, 'the edge has no right to look');
    $q->call('BGREWRITEAOF');
    my ($rc, $dump) = $t->run('pg_dump', '-h', "$dir/pg", '-U', 'postgres',
        'travel');
    is($rc, 0, 'a dump') or diag $dump;
    wait_for(sub { $t->spans > 20 }, 20, 'spans');
    my %held = map { $_ => 1 } grep { !/\A\d{6}\z/ } @secrets;
    my @found;
    for my $s (sort keys %held) {
        my $json = JSON::PP->new->allow_nonref->encode($s) =~ s/\A"|"\z//gr;
        for my $text ($s eq $json ? $s : ($s, $json)) {
            push @found, "dump: $text" if index($dump, $text) >= 0;
            my ($rc, $said) = $t->run('grep', '-rlaF', '--exclude=mails.jsonl',
                '--exclude-dir=travel', '--', $text, $dir);
            push @found, "$said: $text" if $rc == 0;
        }
    }
    cmp_ok(scalar keys %held, '>', 20, 'so many secrets');
    is_deeply(\@found, [], 'none in Redis and its files, PostgreSQL, logs, '
        . 'spans') or diag explain \@found;
    is($t->sql("SELECT count(*) FROM jobs.inbox WHERE result::text ~
        'access_token|refresh_token'"), 0, 'answers with tokens neither');
};

subtest 'limits of an address' => sub {
    cmp_ok(($t->get('/metrics')->{content}
        =~ /^travel_risk_failures_total (\d+)/m)[0] // 0, '>', 20,
        'passwords that were refused are failures of the address');
    is(scalar @limits, 5, 'each door has one');
    $t->write('travel/routes/15-auth.conf', $routes);
    $t->reload;
    my @status = map { login("l$_\@example.org", 'some password')->{status} }
        1 .. 21;
    is_deeply([@status[0, 20]], [401, 429], 'twenty a minute');
    is(asks('reset', { token => 'x', password => 'long enough' })->{status},
        429, 'with what else tries secrets');
};

$t->finish;
done_testing;
