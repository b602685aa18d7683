# What bad tokens may cost: the budget of signature checks by address, tokens
# known to be bad, and a log that a flood cannot fill.
use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $JS  = JSON::PP->new->canonical;
my $key = Crypt::PK::ECC->new->generate_key('secp256r1');
my $n   = 0;

sub token {
    my (%claims) = @_;
    return encode_jwt(alg => 'ES256', key => $key,
        extra_headers => { kid => 'es' }, payload => $JS->encode({
            iss => 'https://id.example.com', sub => 'u' . ++$n,
            exp => int(time) + 600, %claims }));
}

# A token of its own whose signature nobody made.
sub forged { return token() =~ s/.{20}(.{4})\z/sprintf('%020d', ++$n) . $1/er }

my $conf = <<'END';
    travel_zone signatures 128k shards=2;
    travel_jwks main file=@RUN@/main.json;
    travel_auth required;
    log_format order '$arg_n';

    server {
        listen unix:@RUN@/echo.sock;
        travel_auth off;
        location / { return 200 'here'; }
    }

    server {
        listen 127.0.0.1:@PORT@;
        listen unix:@RUN@/h2.sock http2;
        set_real_ip_from 127.0.0.1;
        real_ip_header   X-Real-IP;

        location = /metrics { travel_auth off; travel_metrics; }
        location /          { proxy_pass http://unix:@RUN@/echo.sock; }
        location /tight     { travel_signature_budget 6/m burst=5;
                              proxy_pass http://unix:@RUN@/echo.sock; }
        location /quick     { travel_signature_budget 10/s burst=5;
                              proxy_pass http://unix:@RUN@/echo.sock; }
        location /here      { travel_signature_budget 6/m burst=5;
                              add_header X-Pid $pid always;
                              access_log @LOGS@/order.log order;
                              empty_gif; }
        location /off       { travel_signature_budget off;
                              proxy_pass http://unix:@RUN@/echo.sock; }
    }
END

my $t = Travel::Test->new(parts => 'nginx', http => $conf,
    allow_log => qr/worker process \d+ exited on signal 9/);
$t->write('main.json', $JS->encode({ keys => [{
    %{ $key->export_key_jwk('public', 1) }, kid => 'es', use => 'sig' }] }));
chmod 0644, $t->dir . '/main.json';
$t->launch;

sub from {
    my ($ip, $path, $tok) = @_;
    return $t->get($path, token => $tok, headers => {
        'x-real-ip' => $ip, connection => 'close' });
}

sub counted {
    my %c = $t->get('/metrics')->{content}
        =~ /^travel_auth_total\{result="(\w+)"\} (\d+)/mg;
    return \%c;
}

subtest 'an address spends its budget' => sub {
    my $good = token();
    is(from('192.0.2.1', '/tight', $good)->{status}, 200, 'a good token');
    my $known = forged();
    is(from('192.0.2.1', '/tight', $known)->{status}, 401, 'bad 1');
    is(from('192.0.2.1', '/tight', forged())->{status}, 401, "bad $_")
        for 2 .. 5;
    my $was = counted();
    my $r = from('192.0.2.1', '/tight', forged());
    is($r->{status}, 429, 'one too many');
    is($r->{json}{error}{code}, 'RATE_LIMIT_EXCEEDED', 'its code');
    my $after = $r->{headers}{'retry-after'};
    cmp_ok($after, '>=', 1, 'Retry-After');
    cmp_ok($after, '<=', 10, 'is when the next check is due');
    is($r->{headers}{'www-authenticate'}, undef,
        'no challenge: nobody looked at the token');
    is(counted()->{over_budget} - $was->{over_budget}, 1, 'counted');
    is(from('192.0.2.1', '/tight', token())->{status}, 429,
        'a new good token has to wait as well');
    is(from('192.0.2.1', '/tight', $good)->{status}, 200,
        'a known good one does not');
    is(from('192.0.2.1', '/tight', $known)->{status}, 401,
        'a known bad one costs nothing and is told so');
    is(from('192.0.2.2', '/tight', forged())->{status}, 401,
        'another address has a budget of its own');
    is(from('192.0.2.1', '/quick', forged())->{status}, 401,
        'and so has another line');
    is(from('192.0.2.1', '/off', forged())->{status}, 401, 'off');
    $t->reload;
    is(from('192.0.2.1', '/tight', forged())->{status}, 429,
        'a reload forgives nothing');
    $t->kill_child('nginx');
    wait_for(sub { $t->children_of('nginx') >= 2 }, 5, 'a new worker');
    sleep 0.2;
    is(from('192.0.2.1', '/tight', forged())->{status}, 429,
        'nor does the end of a worker');
};

subtest 'tokens that are none' => sub {
    my $was = counted();
    my $junk = substr token(), 0, 40;
    is(from('192.0.2.9', '/tight', $junk)->{status}, 401, "turn $_") for 1 .. 9;
    is(counted()->{invalid} - $was->{invalid}, 1, 'read once');
    is(counted()->{known_bad} - $was->{known_bad}, 8, 'then remembered');
    is(from('192.0.2.9', '/tight', "$junk.$_")->{status}, 401, "other $_")
        for 1 .. 4;
    is(from('192.0.2.9', '/tight', "$junk.5")->{status}, 429, 'and paid for');
};

subtest 'Retry-After is true' => sub {
    my $r;
    for (1 .. 200) {
        $r = from('192.0.2.3', '/quick', forged());
        last if $r->{status} == 429;
    }
    is($r->{status}, 429, 'spent');
    sleep $r->{headers}{'retry-after'};
    is(from('192.0.2.3', '/quick', forged())->{status}, 401,
        'after that time the next one is looked at');
};

subtest 'over budget nothing is checked' => sub {
    my ($start, $was) = (time, counted());
    my $checked = 0;
    for (1 .. 200) {
        my $s = from('192.0.2.4', '/quick', forged())->{status};
        $checked++ if $s == 401;
        fail("$s") unless $s == 401 || $s == 429;
    }
    my $may = 5 + 10 * (time - $start);
    cmp_ok($checked, '<=', $may + 1, 'at most burst and rate');
    cmp_ok($checked, '>=', 5, 'at least the burst');
    is(counted()->{over_budget} - $was->{over_budget}, 200 - $checked,
        'the others were refused unread');
};

subtest 'good clients pay nothing' => sub {
    my @s = map { from('192.0.2.5', '/tight', token())->{status} } 1 .. 60;
    is(scalar(grep { $_ == 200 } @s), 60, 'sixty tokens at once, burst 5');
    @s = map { from('192.0.2.5', '/tight', token(exp => 1))->{status} } 1 .. 20;
    is(scalar(grep { $_ == 401 } @s), 20, 'nor do those that have expired');
    is(from('192.0.2.5', '/tight', forged())->{status}, 401, "bad $_")
        for 1 .. 5;
    is(from('192.0.2.5', '/tight', forged())->{status}, 429, 'bad ones do');
};

subtest 'IPv6 counts by its /64' => sub {
    is(from("2001:db8:1:1::$_", '/tight', forged())->{status}, 401, "bad $_")
        for 1 .. 5;
    is(from('2001:db8:1:1:ffff::1', '/tight', forged())->{status}, 429,
        'another address of that network');
    is(from('2001:db8:1:2::1', '/tight', forged())->{status}, 401,
        'another network');
};

subtest 'many addresses' => sub {
    # more than the zone holds: the guilty are not the first to be forgotten
    is(from('192.0.2.6', '/tight', forged())->{status}, 401, "bad $_")
        for 1 .. 5;
    my $bad = forged();
    for my $i (1 .. 400) {
        my $s = from("198.51.$i.1" =~ s/\.(\d+)\.1\z/sprintf '.%d.%d',
            $1 % 250, $1 \/ 250/er, '/off', $bad)->{status};
        fail($s) if $s != 401;
    }
    is(from('192.0.2.6', '/tight', forged())->{status}, 429, 'still over');
};

# Of connections that are the client's own, for this server trusts 127.0.0.1 to
# say whom it asks for, but believes nothing that is not said.
subtest 'over budget is served last' => sub {
    my $good = token();
    my $last = sub { $t->get('/metrics')->{content}
        =~ /^travel_auth_served_last_total (\d+)/m ? $1 : die 'no metric' };
    my $ask = sub { my ($tok, $more) = @_;
        "GET /tight HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $tok\r\n"
        . ($more // '') . "\r\n" };
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port) or die "connect: $!";
    my $answer = sub {
        my ($head, $body) = ('');
        while (defined(my $line = <$s>)) {
            $head .= $line;
            last if $line eq "\r\n";
        }
        read $s, $body, $head =~ /^Content-Length: (\d+)/mi ? $1 : 0;
        return ($head =~ m{^HTTP/1.1 (\d+)})[0] // 'closed';
    };
    my $send = sub { print $s @_; $s->flush };
    is($t->get('/tight', token => $good)->{status}, 200, 'a good token');
    my ($was, @status) = $last->();
    for (1 .. 9) { $send->($ask->(forged())); push @status, $answer->() }
    is_deeply([grep { $_ != 401 } @status], [(429) x 4], 'five, then none');
    is($last->() - $was, 3, 'what came after the first of these was in line');
    $send->($ask->($good));
    is($answer->(), 200, 'a good token is served there, too');
    $send->($ask->($good));
    is($answer->(), 200, 'and next time');
    is($last->() - $was, 4, 'in line no more');
    $send->(map { $ask->(forged()) } 1 .. 20);
    is_deeply([map { $answer->() } 1 .. 20], [(429) x 20], 'twenty at once');
    $send->($ask->(forged()));
    is($answer->(), 429, 'one more');
    $send->(substr($ask->(forged()), 0, 40));
    sleep 0.1;
    close $s;
    my $proxied = $last->();
    from('192.0.2.1', '/tight', forged()) for 1 .. 3;
    $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port);
    for (1 .. 7) {
        $send->($ask->(forged(), "X-Real-IP: 192.0.2.77\r\n"));
        push @status, $answer->();
    }
    is($status[-1], 429, 'of a client behind a proxy');
    is($last->(), $proxied, 'its connection is not one client\'s');
    my @many = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port) } 1 .. 40;
    for my $round (1 .. 3) {
        for (@many) { print $_ $ask->(forged()); $_->flush }
        for (@many) { $s = $_; push @status, $answer->() }
    }
    is(scalar(grep { $_ == 429 } @status[-80 .. -1]), 80,
        'forty of them, each is answered each time');
    close $_ for @many;
};

# By the order in which an nginx worker has answered what was all there when it
# looked: connections that are over their budget and ask one thing after the
# other without waiting have one answer each in a turn, whatever they have sent.
subtest 'in line again' => sub {
    my $good = token();
    my $ask = sub { my ($tok, $n) = @_;
        "GET /here?n=$n HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $tok\r\n\r\n" };
    my $answer = sub {
        my ($s) = @_;
        my ($head, $body) = ('');
        while (defined(my $line = <$s>)) {
            $head .= $line;
            last if $line eq "\r\n";
        }
        read $s, $body, $head =~ /^Content-Length: (\d+)/mi ? $1 : 0;
        return ($head =~ m{^HTTP/1.1 (\d+).*^X-Pid: (\d+)}ms);
    };
    is($t->get('/off', token => $good)->{status}, 200, 'a good token is known');
    my (%bad, %good, $pid);
    my $open = sub {
        my ($set, $token, $want) = @_;
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port) or die "connect: $!";
        my ($status, $worker) = (0);
        for (1 .. 8) {
            last if $status == $want;
            print $s $ask->($token->(), 'first');
            $s->flush;
            ($status, $worker) = $answer->($s);
        }
        push @{ $set->{$worker} }, $s;
    };
    for (1 .. 40) {
        $open->(\%bad, \&forged, 429);
        $open->(\%good, sub { $good }, 200);
        last if ($pid) = grep { @{ $bad{$_} } >= 4 && $good{$_} } keys %bad;
    }
    ok($pid, 'four over budget and a good one with one worker');
    my @bad = @{ $bad{$pid} }[0 .. 3];
    my $one = $good{$pid}[0];
    kill 'STOP', $pid;
    for my $s (@bad) { print $s map { $ask->(forged(), 'bad') } 1 .. 5; $s->flush }
    print $one map { $ask->($good, 'good') } 1 .. 8;
    $one->flush;
    sleep 0.1;
    kill 'CONT', $pid;
    is_deeply([map { ($answer->($one))[0] } 1 .. 8], [(200) x 8], 'good ones');
    my %status;
    for my $s (@bad) { $status{($answer->($s))[0]}++ for 1 .. 5 }
    is(($status{429} // 0) + ($status{401} // 0), 20, 'and the others, all of them');
    my @order = grep { $_ ne 'first' } split /\n/, slurp($t->dir . '/logs/order.log');
    my $before = join('', map { substr $_, 0, 1 } @order) =~ s/g[^g]*\z//r;
    is($before =~ tr/g//, 7, 'eight are logged');
    cmp_ok($before =~ tr/b//, '<=', 4, 'before the last of which four of theirs were served')
        or diag($before);
};

subtest 'over HTTP/2, too' => sub {
    my $good = token();
    my $curl = sub { my ($rc, $out) = $t->run('curl', '-sS',
        '--http2-prior-knowledge', '--unix-socket', $t->dir . '/h2.sock', '-w',
        '%{http_code} ', '-H', "Authorization: Bearer $_[0]",
        '-o', '/dev/null', 'http://x/tight'); return $out };
    my $load = sub { my ($rc, $out) = $t->run('h2load', '-H',
        "authorization: Bearer $_[0]", '--base-uri',
        'unix:' . $t->dir . '/h2.sock', @_[1 .. $#_], 'http://x/tight');
        return $out };
    is($curl->($good), '200 ', 'a good token');
    is($curl->(forged()), $_ > 5 ? '429 ' : '401 ', "bad $_") for 1 .. 6;
    my $last = sub { ($t->get('/metrics')->{content}
        =~ /^travel_auth_served_last_total (\d+)/m)[0] };
    my $was = $last->();
    like($load->(forged(), '-n600', '-c3', '-m10'),
        qr/600 done, 0 succeeded, 600 failed, 0 errored, 0 timeout/,
        'each of many is refused');
    cmp_ok($last->(), '>', $was, 'in line');
    like($load->($good, '-n30', '-c1', '-m3'), qr/30 done, 30 succeeded/,
        'and good ones are served');
};

subtest 'the default is 50 a second with a burst of 100' => sub {
    my $start = time;
    my %n;
    $n{ from('192.0.2.7', '/', forged())->{status} }++ for 1 .. 400;
    my $may = 100 + 50 * (time - $start);
    cmp_ok($n{401}, '>=', 100, 'the burst');
    cmp_ok($n{401}, '<=', $may + 1, 'not more than burst and rate');
    is($n{401} + ($n{429} || 0), 400, 'nothing else');
};

subtest 'the log is not the flood' => sub {
    my $lines = sub { scalar(() = slurp($t->dir . '/logs/error.log')
        =~ /travel_auth: TOKEN_INVALID/g) };
    sleep 1.1;                        # another second than the floods above
    my ($was, $start) = ($lines->(), time);
    my $bad = forged();
    from('192.0.2.8', '/off', $bad) for 1 .. 300;
    my $seconds = int(time - $start) + 2;
    cmp_ok($lines->() - $was, '<=', 10 * 2 * $seconds,
        'ten lines a second and worker');
    cmp_ok($lines->() - $was, '>=', 1, 'not none');
    sleep 1.1;
    from('192.0.2.8', '/off', $bad) for 1 .. 20;
    like(slurp($t->dir . '/logs/error.log'),
        qr/\[info\].*travel_auth: \d+ more tokens were refused/,
        'and how many there were besides');
};

subtest 'nginx -t says what to do' => sub {
    my %case = (
        '50' => qr/rate "50" must be off, N\/s or N\/m/,
        '0/s' => qr/rate "0\/s" must be off/,
        '100001/s' => qr/N of 1 to 100000/,
        '5/h' => qr/rate "5\/h" must be/,
        '5/s burst=0' => qr/"burst=0" must be a number from 1 to 100000/,
        '5/s x=1' => qr/"x=1" must be burst=/,
        '5/s; travel_signature_budget off' => qr/is duplicate/,
    );
    for my $line (sort keys %case) {
        my $text = slurp($t->dir . '/nginx.conf');
        $text =~ s/travel_signature_budget off;/travel_signature_budget $line;/;
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, "budget $line");
        like($out, $case{$line}, 'message');
    }
};

$t->finish;
done_testing();
