# Keys by URL, from an issuer that can be told to fail in every way: one fetch
# for all workers, refreshed ahead of time, last good keys kept for a grace,
# unknown keys that cost one fetch per cooldown, and whom it does not believe.
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $JS  = JSON::PP->new->canonical;
my %key = map { ($_ => Crypt::PK::ECC->new->generate_key('secp256r1')) }
    qw(old new);
my $n = 0;

sub token {
    my ($name, %o) = @_;
    return encode_jwt(alg => 'ES256', key => $key{$name},
        extra_headers => { kid => $o{kid} // $name, %{ $o{header} || {} } }, payload => $JS->encode({
            iss => 'https://id.example.com', sub => 'u' . ++$n,
            exp => int(time) + 600 }));
}

sub jwks { return $JS->encode({ keys => [map { { use => 'sig', kid => $_,
    %{ $key{$_}->export_key_jwk('public', 1) } } } @_] }) }

# --- the issuer --------------------------------------------------------------

my $conf = <<'END';
    resolver 127.0.0.1:AT ipv6=off;

    travel_signature_budget off;
    travel_jwks main   url=http://127.0.0.1:AT/main;
    travel_jwks rotate url=http://127.0.0.1:AT/rotate cooldown=1s timeout=1s;
    travel_jwks fresh  url=http://127.0.0.1:AT/fresh refresh=2s;
    travel_jwks maxage url=http://127.0.0.1:AT/maxage cooldown=1s;
    travel_jwks grace  url=http://127.0.0.1:AT/grace refresh=1s grace=3s cooldown=1s;
    travel_jwks junk   url=http://127.0.0.1:AT/junk refresh=1s cooldown=1s;
    travel_jwks moved  url=http://127.0.0.1:AT/moved?a=b;
    travel_jwks away   url=http://127.0.0.1:AT/away;
    travel_jwks loop   url=http://127.0.0.1:AT/loop;
    travel_jwks big    url=http://127.0.0.1:AT/big max_size=1k;
    travel_jwks hang   url=http://127.0.0.1:AT/hang timeout=1s wait=100ms;
    travel_jwks zip    url=http://127.0.0.1:AT/zip;
    travel_jwks cut    url=http://127.0.0.1:AT/cut;
    travel_jwks gone   url=http://127.0.0.1:AT/gone;
    travel_jwks named  url=http://keys.test:AT/named;
    travel_jwks tls    url=https://keys.test:TLS/tls ca=@RUN@/issuer.crt;
    travel_jwks other  url=https://other.test:TLS/tls ca=@RUN@/issuer.crt;
    travel_jwks system url=https://keys.test:TLS/tls;
    travel_jwks plain  url=https://keys.test:AT/tls ca=@RUN@/issuer.crt;
    travel_jwks dead   url=http://127.0.0.1:1/dead;

    server {
        listen unix:@RUN@/echo.sock;
        location / { return 200 'here'; }
    }

    server {
        listen 127.0.0.1:@PORT@;
        location = /metrics { travel_metrics; }
SETS
    }
END
my @sets = $conf =~ /travel_jwks (\w+) /g;
$conf =~ s/^SETS$/join "\n", map { "        location = \/$_ { travel_auth "
    . "required jwks=$_; proxy_pass http:\/\/unix:\@RUN\@\/echo.sock; }" } @sets/me;
$conf =~ s/\bAT\b/\@PORT_SANDBOX\@/g;
$conf =~ s/\bTLS\b/\@PORT_SMTP\@/g;

my $t = Travel::Test->new(parts => 'nginx', http => $conf, ngx_workers => 4, allow_5xx => 1,
    allow_log => qr/worker process \d+ exited on signal 9/);
my $dir = $t->dir;
my $at  = $t->port + 1;          # and HTTPS next to it
my $issuer;

sub issuer_starts {
    unlink "$dir/issuer.up";
    $issuer = fork // die;
    if (!$issuer) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>>', "$dir/issuer.err";
        exec 'node', $t->root . '/t/lib/issuer.js', $dir, $at or POSIX::_exit(1);
    }
    return wait_for(sub { -e "$dir/issuer.up" }, 20, 'the issuer');
}

sub issuer_stops {
    return unless $issuer;
    kill 'KILL', $issuer;
    waitpid $issuer, 0;
    $issuer = undef;
}

END { local $?; issuer_stops() }

my %does = (
    (map { ("/$_" => { body => jwks('old') }) } @sets),
    '/rotate' => { headers => { 'set-cookie' => 'track=me' }, body => jwks('old') },
    '/fresh' => { headers => { etag => '"one"' }, body => jwks('old') },
    '/maxage' => { headers => { 'cache-control' => 'public, max-age=2' },
        body => jwks('old') },
    '/moved' => { status => 302, headers => { location => '/there' } },
    '/there' => { status => 301,
        headers => { location => "http://127.0.0.1:$at/again" } },
    '/again' => { body => jwks('old') },
    '/away' => { status => 302, headers => {
        location => "http://localhost:$at/main" } },
    '/loop' => { status => 302, headers => { location => '/loop' } },
    '/big' => { body => jwks('old') . ' ' x 2000 },
    '/hang' => { hang => 1 },
    '/zip' => { headers => { 'content-encoding' => 'gzip' }, body => jwks('old') },
    '/cut' => { cut => 1, body => jwks('old') },
    '/gone' => { status => 404, body => jwks('old') },
);

sub serve {
    my ($path, $what) = @_;
    $does{$path} = $what;
    $t->write('issuer.json.new', $JS->encode(\%does));
    rename "$dir/issuer.json.new", "$dir/issuer.json";
}

sub asked {
    my ($path) = @_;
    return grep { ($_->{url} // '') =~ /^\Q$path\E(\?|\z)/ }
        map { json($_) } split /\n/, slurp("$dir/issuer.log");
}

sub status {
    my ($path, $tok) = @_;
    return $t->get($path, token => $tok,
        headers => { connection => 'close' })->{status};
}

sub metric {
    my ($name) = @_;
    return $t->get('/metrics')->{content} =~ /^\Q$name\E (\d+)$/m ? $1 : undef;
}

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=issuer "
    . "-addext subjectAltName=DNS:keys.test -keyout $dir/issuer.key "
    . "-out $dir/issuer.crt 2>/dev/null") == 0 or die 'openssl';
chmod 0644, "$dir/issuer.crt", "$dir/issuer.key";
serve('/none', {});
issuer_starts();
$t->launch;
my $began = time;

# --- tests -------------------------------------------------------------------

subtest 'one fetch for all workers' => sub {
    is(status('/main', token('old')), 200, "request $_") for 1 .. 40;
    is(scalar(asked('/main')), 1, 'by four workers');
    my ($q) = asked('/main');
    is($q->{method}, 'GET', 'it asks');
    is($q->{headers}{host}, "127.0.0.1:$at", 'the host');
    is($q->{headers}{connection}, 'close', 'for one answer');
    like($q->{headers}{accept}, qr{application/jwk-set\+json}, 'which is keys');
    is(metric('travel_jwks_fetches_total{set="main",result="new"}'), 1,
        'counted');
    is(metric('travel_jwks_keys{set="main"}'), 1, 'one key');
    cmp_ok(metric('travel_jwks_age_seconds{set="main"}'), '<=',
        time - $began + 1, 'its age');
    is(metric('travel_jwks_failures{set="main"}'), 0, 'no failure');
    is(metric('travel_jwks_usable{set="main"}'), 1, 'usable');
};

subtest 'a flood of unknown keys' => sub {
    my $was = asked('/main');
    my @s = map { status('/main', token('new', kid => "k$_")) } 1 .. 200;
    is(scalar(grep { $_ == 401 } @s), 200, 'each is refused');
    is(asked('/main') - $was, 1, 'for one fetch');
    is(status('/main', token('old')), 200, 'the known key is still good');
};

subtest 'a new key is there when it is first used' => sub {
    is(status('/rotate', token('old')), 200, 'the old key');
    serve('/rotate', { delay => 200, body => jwks('old', 'new') });
    is(status('/rotate', token('new')), 200, 'waits for it');
    is(status('/rotate', token('new')), 200, "worker $_ knows") for 1 .. 12;
    my @q = asked('/rotate');
    is(@q, 2, 'two fetches');
    is(scalar(grep { exists $_->{headers}{cookie} } @q), 0, 'no cookies');
    serve('/rotate', { body => jwks('new') });
    my $tok = token('old');
    is(status('/rotate', $tok), 200, 'the old one until it is looked again');
    sleep 1.1;
    is(status('/rotate', token('new', kid => 'x')), 401, 'somebody asks');
    ok(wait_for(sub { !grep { $_ != 401 } map { status('/rotate', $tok) }
        1 .. 12 }, 3, 'gone'), 'and it is gone, cached or not');
};

subtest 'whom it does not believe' => sub {
    my $tok = token('old');
    my $log = sub { slurp("$dir/logs/error.log") };
    is(status('/moved', $tok), 200, 'a redirect on the same server');
    is((asked('/moved'))[0]{url}, '/moved?a=b', 'with its query');
    for (['away', 'it redirects to where we do not go'],
        ['loop', 'it redirects to where we do not go'],
        ['big', 'its answer is too large'],
        ['zip', 'its answer is compressed, which was not asked for'],
        ['cut', 'it closed the connection before the end'],
        ['gone', 'it answered with a status of 4xx'],
        ['dead', 'it refuses the connection'],
        ['hang', 'it did not answer in time'])
    {
        my ($set, $why) = @$_;
        my $r = $t->get("/$set", token => $tok);
        is($r->{status}, 503, "$set: no keys");
        is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'its code');
        cmp_ok($r->{headers}{'retry-after'}, '>=', 1, 'Retry-After');
        ok(wait_for(sub { $log->() =~ /\[error\].*travel_jwks "$set": "[^"]*": (?:$why|it broke the connection), and there are no keys/ },
            4, $why), $why);
    }
    cmp_ok(scalar(asked('/loop')), '<=',
        4 * (metric('travel_jwks_failures{set="loop"}') + 1), 'a loop ends');
    is(metric('travel_jwks_usable{set="away"}'), 0, 'a metric says so');
    cmp_ok(metric('travel_jwks_failures{set="away"}'), '>=', 1, 'and counts');
    cmp_ok(metric('travel_auth_total{result="no_keys"}'), '>=', 7, 'requests');
};

subtest 'TLS and names' => sub {
    my $tok = token('old');
    is(status('/named', $tok), 200, 'a name, resolved by the resolver');
    is((asked('/named'))[0]{headers}{host}, "keys.test:$at", 'Host has it');
    is(status('/tls', $tok), 200, 'TLS');
    is(status('/other', $tok), 503, 'a certificate for another name');
    is(status('/system', $tok), 503, 'a certificate that nobody vouches for');
    is(status('/plain', $tok), 503, 'no TLS there');
    is(scalar(grep { $_->{tls} && $_->{headers}{host} !~ /^keys\.test/ }
        asked('/tls')), 0, 'which was never asked anything');
    my $log = slurp("$dir/logs/error.log");
    like($log, qr/travel_jwks "other": .*its certificate is not accepted/,
        'it says so');
    like($log, qr/certificate of "https:\/\/other[^"]*" is not accepted: \(\d+:.*(?:host|Host)/,
        'and why');
    like($log, qr/travel_jwks "plain": .*it does not agree on TLS/, 'no TLS');
    unlike($log, qr/could not be resolved/, 'names were found when first asked');
};

subtest 'a token does not say where its keys are' => sub {
    for my $name (qw(jku x5u)) {
        my %o = (kid => 'old', header => { $name => "http://127.0.0.1:$at/$name" });
        is(status('/main', token('new', %o)), 401, "$name, and a stolen kid");
        is(status('/main', token('old', %o)), 200, "$name, and our key");
        is(scalar(asked("/$name")), 0, 'nobody looks there');
    }
    is(status('/main', token('new', kid => 'old', header => { jwk =>
        $key{new}->export_key_jwk('public', 1) })), 401, 'nor in the token');
};

subtest 'refreshed ahead of time, by conditions' => sub {
    is(status('/fresh', token('old')), 200, 'there');
    ok(wait_for(sub { asked('/fresh') >= 3 }, 8, 'three fetches'),
        'again and again without a request');
    my @q = asked('/fresh');
    is($q[0]{headers}{'if-none-match'}, undef, 'first without a condition');
    is($q[$_]{headers}{'if-none-match'}, '"one"', 'then with the ETag')
        for 1 .. 2;
    for (1 .. 2) {
        my $gap = ($q[$_]{at} - $q[$_ - 1]{at}) / 1000;
        cmp_ok($gap, '>=', 1.4, 'not much ahead');
        cmp_ok($gap, '<=', 2 + 1.5, 'about in time');
    }
    cmp_ok(metric('travel_jwks_fetches_total{set="fresh",result="same"}'),
        '>=', 1, 'counted as the same');
    cmp_ok(scalar(asked('/maxage')), '>=', 2, 'max-age=2 beats ten minutes');
    cmp_ok(scalar(asked('/maxage')), '<=', 2 + (time - $began) / 1,
        'but not the cooldown');
    is(scalar(asked('/main')), 2, 'ten minutes are ten minutes');
};

subtest 'junk does not replace keys' => sub {
    my $tok = token('old');
    is(status('/junk', $tok), 200, 'there');
    my $i = 0;
    for my $body ('<html>', '{}', '{"keys":[]}', '{"keys":[],"keys":[]}') {
        serve('/junk', { body => $body });
        my $failed = 'travel_jwks_fetches_total{set="junk",result="failed"}';
        my $was = metric($failed);
        # ask for it: the way there by itself takes longer and longer
        ok(wait_for(sub { status('/junk', token('new', kid => 'j' . ++$i));
            metric($failed) > $was }, 6, 'a failure'), "$body is no JWKS");
        is(status('/junk', $tok), 200, 'the old keys go on');
    }
    like(slurp("$dir/logs/error.log"),
        qr/travel_jwks "junk": .*the JWKS has no array "keys", going on with the keys fetched before for \d+ s/,
        'the log says so');
    serve('/junk', { body => jwks('new') });
    ok(wait_for(sub { status('/junk', token('new')) == 200 }, 6, 'new keys'),
        'and a good one does replace them');
};

subtest 'the issuer is down: a grace, then 503, then back' => sub {
    my $tok = token('old');
    is(status('/grace', $tok), 200, 'up');
    issuer_stops();
    my $down = time;
    my ($good, $last) = (0, 0);
    while (time < $down + 8) {
        my $s = status('/grace', $tok);
        last if $s == 503;
        $s == 200 ? ($good++, $last = time) : fail($s);
        sleep 0.05;
    }
    cmp_ok($last - $down, '>=', 2, 'good for the grace');
    cmp_ok(time - $down, '<=', 1 + 3 + 1.5, 'and not for longer');
    is($t->get('/grace', token => token('old'))->{json}{error}{code},
        'DEPENDENCY_UNAVAILABLE', 'then refused, with a code of its own');
    is(status('/main', $tok), 200, 'a set with more grace goes on');
    issuer_starts();
    ok(wait_for(sub { status('/grace', $tok) == 200 }, 10, 'back'), 'back');
};

subtest 'reload, and a worker that dies with the lease' => sub {
    my $was = asked('/main');
    $t->reload;
    is(status('/main', token('old')), 200, 'after a reload');
    is(asked('/main') - $was, 0, 'nothing is fetched for it');

    serve('/rotate', { hang => 1 });
    sleep 1.1;
    my $asked = asked('/rotate');
    is(status('/rotate', token('old')), 401, 'a fetch that hangs: bounded wait');
    is(asked('/rotate') - $asked, 1, 'it is under way');
    kill 'KILL', $t->children_of('nginx');
    wait_for(sub { $t->children_of('nginx') >= 4 }, 5, 'new workers');
    sleep 0.3;
    is(status('/rotate', token('new')), 200, 'the zone has the keys');
    serve('/rotate', { body => jwks('old', 'new') });
    ok(wait_for(sub { status('/rotate', token('old')) == 200 }, 12,
        'another fetch'), 'another worker fetches when the lease is over');
};

subtest 'another URL' => sub {
    serve('/elsewhere', { body => jwks('new') });
    my $text = slurp("$dir/nginx.conf");
    $text =~ s{/main;}{/elsewhere;} or die;
    $t->write('nginx.conf', $text);
    $t->reload;
    ok(wait_for(sub { status('/main', token('new')) == 200 }, 5, 'new keys'),
        'its keys');
    is(status('/main', token('old')), 401, 'and not those of the old one');
};

subtest 'nginx -t says what to do' => sub {
    my @case = (
        ['x ours', qr/"x" must have file=PATH or url=URL/],
        ['x url=http://h/ file=/x', qr/or url=URL, not both/],
        ['x url=ftp://h/', qr/must begin with http:\/\/ or https:\/\//],
        ['x url=http://u@h/', qr/no fragment and no user name/],
        ['x url=http://:80/', qr/is no URL of a host/],
        ['x url=http://h:70000/', qr/is no URL of a host/],
        ['x url=http://h/ url=http://i/', qr/"travel_jwks": "url=" is given twice/],
        ['x url=http://h/ ca=/x', qr/ca= goes with an https url/],
        ['x url=https://h/ ca=/nope', qr/\/nope/],
        ['x url=http://h/ refresh=0', qr/"refresh=0" must be a time from 1s to 7d/],
        ['x url=http://h/ grace=31d', qr/must be a time from 0 to 30d/],
        ['x url=http://h/ cooldown=0', qr/must be a time from 1s to 1h/],
        ['x url=http://h/ timeout=2m', qr/must be a time from 100ms to 1m/],
        ['x url=http://h/ wait=6s', qr/must be a time from 0 to 5s/],
        ['x url=http://h/ max_size=2m', qr/must be a size from 1k to 1m/],
        ['x file=/x refresh=5s', qr/go with url=, a file is looked at/],
        ['x url=http://h/ what=1', qr/"what=1" must be one of file=, url=, issuer=, algs=, allow=, ours, user_id, refresh=/],
    );
    for (@case) {
        my ($line, $want) = @$_;
        my $text = slurp("$dir/nginx.conf");
        $text =~ s/^( +travel_jwks )dead .*/$1$line;/m or die;
        $text =~ s/^.*jwks=dead.*$//m;
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $line);
        like($out, $want, 'message');
    }
    my $text = slurp("$dir/nginx.conf");
    $text =~ s/resolver 127[^;]*;//;
    $t->write('bad.conf', $text);
    my ($rc, $out) = $t->nginx_t('bad.conf');
    isnt($rc, 0, 'a name and nobody to resolve it');
    like($out, qr/write an address, or set "resolver" in http\{\}/, 'message');
};

$t->finish;
done_testing();
