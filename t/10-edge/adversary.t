# Requests as nobody should send them, to everything that the product offers:
# each gets an answer of the 4xx, in the shape of all errors, or what it would
# get if it were written well; nothing hangs, and nothing is our fault.
use strict;
use warnings;
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'postgres queue cache workers nginx',
    ngx_workers => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s{(listen\s+\@LISTEN\@:\@PORT\@;)}{$1 listen unix:\@RUN\@/h2.sock http2;};
    });
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 10, 'ready');
my $token = $t->user_token(1);
my $auth  = "Authorization: Bearer $token";
my $BOOK  = '{"partner":"opentable","venue_id":"v","party_size":4,'
    . '"booking_date":"2030-03-01T19:00:00Z"}';
my $JSON  = 'Content-Type: application/json';
my $Q     = $t->redis('queue');

# An answer in pieces; it must come within two seconds.
sub ask {
    my (@lines) = @_;
    my $body = ref $lines[-1] ? ${ pop @lines } : '';
    my $raw = $t->raw(join('', map { "$_\r\n" } @lines, '') . $body,
        allow_5xx => 1);
    my ($head, $content) = split /\r\n\r\n/, $raw, 2;
    my ($status) = ($head // '') =~ m{\AHTTP/1\.[01] (\d+)};
    return { status => $status // 'none', head => $head // '',
        content => $content // '', raw => $raw };
}

# What is wrong with it as an answer to 'what', or nothing.
sub flaw {
    my ($r, $status) = @_;
    return "status $r->{status}" if $r->{status} !~ /^(?:$status)$/;
    return '' if $r->{status} !~ /^[45]/ || $r->{content} eq '';
    return 'another shape: ' . substr($r->{content}, 0, 80)
        if !eval { json($r->{content} =~ s/\A[0-9a-f]+\r\n(.*)\r\n0\r\n.*\z/$1/sr)
            ->{error}{code} };
    return '';
}

sub told {
    my ($name, $status, @request) = @_;
    my $r = ask(@request);
    is(flaw($r, $status), '', $name) or diag(substr $r->{raw}, 0, 300);
    return $r;
}

sub post { return ('POST /api/v1/bookings HTTP/1.1', 'Host: x', 'Connection: close',
    $auth, $JSON, @_) }
sub bookings { return scalar @{ $Q->call('KEYS', 'travel:{booking.*}:job:*') } }

subtest 'how a body is framed' => sub {
    my $n = bookings();
    my $size = sprintf '%x', length $BOOK;
    my %good = (
        'an extension'  => "$size;a=b;c=\"d\"\r\n$BOOK\r\n0\r\n\r\n",
        'capitals'      => uc($size) . "\r\n$BOOK\r\n0\r\n\r\n",
        'zeros in front' => "0000$size\r\n$BOOK\r\n000\r\n\r\n",
        'trailers'      => "$size\r\n$BOOK\r\n0\r\nContent-Type: a/b\r\n"
            . "Authorization: Bearer x\r\nRateLimit: \"x\";r=1\r\n\r\n",
        'byte by byte'  => join('', map { "1\r\n$_\r\n" } split //, $BOOK)
            . "0\r\n\r\n",
    );
    for (sort keys %good) {
        told("chunks: $_", 202, post('Transfer-Encoding: chunked'), \$good{$_});
    }
    is(bookings() - $n, keys %good, 'one command each');
    my %bad = (
        'no number'       => "xyz\r\n$BOOK\r\n0\r\n\r\n",
        'negative'        => "-5\r\n$BOOK\r\n0\r\n\r\n",
        'more than is'    => "ffffffffffffffffff\r\n$BOOK",
        'as much as fits' => "7fffffffffffffff\r\n$BOOK",
        'too short'       => "5\r\n$BOOK\r\n0\r\n\r\n",
    );
    for (sort keys %bad) {
        told("chunks: $_", '400|413', post('Transfer-Encoding: chunked'),
            \$bad{$_});
    }
    my $chunks = "$size\r\n$BOOK\r\n0\r\n\r\n";
    told('both lengths', 400, post('Transfer-Encoding: chunked',
        'Content-Length: ' . length $BOOK), \$chunks);
    told('two codings', '400|501', post('Transfer-Encoding: gzip, chunked'),
        \$chunks);
    told('another one', '400|501', post('Transfer-Encoding: xchunked'),
        \$chunks);
    told('two lengths', 400, post('Content-Length: 5', 'Content-Length: 6'),
        \$BOOK);
    told('no length', 400, post('Content-Length: five'), \$BOOK);
    told('a long length', '400|413', post('Content-Length: 99999999999999999999'),
        \$BOOK);
    told('less than nothing', 400, post('Content-Length: -1'), \$BOOK);
    told('nothing at all', '400|422', post('Content-Length: 0'));
    told('gzip in gzip', 415, post('Content-Encoding: gzip, gzip',
        'Content-Length: ' . length $BOOK), \$BOOK);
    is(bookings() - $n, keys %good, 'and nothing else went in');
    my $r = told('100-continue', '100', post('Expect: 100-continue',
        'Content-Length: ' . length $BOOK), \$BOOK);
    like($r->{raw}, qr{\r\n\r\nHTTP/1\.1 202 }, 'and then the answer');
};

subtest 'what a body says' => sub {
    my $send = sub { my ($name, $status, $body) = @_; told($name, $status,
        post('Content-Length: ' . length $body), \$body) };
    my %with = map { $_->[0] => $BOOK =~ s/"v"/$_->[1]/r }
        ['a NUL', '"\u0000"'], ['half a pair', '"\ud800"'],
        ['bytes that are none', "\"\xff\xfe\""], ['overlong', "\"\xc0\xaf\""],
        ['a raw NUL', "\"\0\""], ['a tab', "\"\t\""];
    $send->($_, '400|422', $with{$_}) for sort keys %with;
    $send->('deep', '400|413|422', '[' x 5000 . ']' x 5000);
    $send->('wide', '400|413|422', '{' . join(',', map { qq("m$_":1) } 1 .. 4000)
        . '}');
    $send->('a number', '400|422', '1' x 20000);
    $send->('a fraction', '400|422', '{"party_size":1e999999999}');
    $send->('a name twice', 400, '{"partner":"a","p\u0061rtner":"b"}');
    $send->('a mark first', 400, "\xef\xbb\xbf$BOOK");
    $send->('two', 400, $BOOK x 2);
    $send->('only blanks', 400, " \n\t" x 100);
};

subtest 'request lines' => sub {
    my @h = ('Host: x', 'Connection: close', $auth);
    my %line = (
        'a raw NUL'        => ["GET /api/v1/me\0 HTTP/1.1", 400],
        'a NUL in the path' => ['GET /api/v1/%00me HTTP/1.1', '400|404'],
        'a NUL for a value' => ['GET /api/v1/places?q=a%00b HTTP/1.1', '400|422'],
        'half an escape'   => ['GET /api/v1/places?q=%4 HTTP/1.1', '400|422'],
        'no escape'        => ['GET /api/v1/places?q=%zz HTTP/1.1', '400|422'],
        'no UTF-8'         => ['GET /api/v1/places?q=%ff%fe HTTP/1.1', '400|422'],
        'half of UTF-8'    => ['GET /api/v1/places?q=%e2%82 HTTP/1.1', '400|422'],
        'an escaped half in a path' => ['GET /api/v1/%4 HTTP/1.1', '400|404'],
        'up and up'        => ['GET /../../etc/passwd HTTP/1.1', '400|404'],
        'up, escaped'      => ['GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1', '400|404'],
        'up within'        => ['GET /api/v1/x/../me HTTP/1.1', 200],
        'slashes'          => ['GET //api//v1///me HTTP/1.1', '200|404'],
        'a fragment'       => ['GET /api/v1/me#x HTTP/1.1', 200],
        'a space'          => ['GET /api/v1/me x HTTP/1.1', 400],
        'small letters'    => ['get /api/v1/me HTTP/1.1', '400|405'],
        'no such method'   => ['BREW /api/v1/me HTTP/1.1', 405],
        'a long method'    => [('A' x 3000) . ' /api/v1/me HTTP/1.1', '4\d\d'],
        'TRACE'            => ['TRACE /api/v1/me HTTP/1.1', 405],
        'CONNECT'          => ['CONNECT x:80 HTTP/1.1', '400|405'],
        'a star'           => ['OPTIONS * HTTP/1.1', '\d+'],
        'version 3'        => ['GET /api/v1/me HTTP/3.0', '505'],
        'no version'       => ['GET /api/v1/me HTTP/', '400'],
        'a long URI'       => ['GET /api/v1/me?' . ('a' x 40000) . ' HTTP/1.1', 414],
        'a job\'s id with a slash' => ['GET /api/v1/jobs/booking%2f1 HTTP/1.1', 404],
        'a job\'s id, long' => ['GET /api/v1/jobs/' . ('a' x 3000) . ' HTTP/1.1', 404],
        'a job of no queue' => ['GET /api/v1/jobs/travel.1.'
            . '01890a5d-ac96-774b-bcce-b302099a8057 HTTP/1.1', 404],
        'a partition too far' => ['GET /api/v1/jobs/booking.99999999999.'
            . '01890a5d-ac96-774b-bcce-b302099a8057 HTTP/1.1', 404],
        'an id of another kind' => ['GET /api/v1/bookings/%7b%7d HTTP/1.1', 404],
        'a cursor that is none' => ['GET /api/v1/journeys?cursor=%00%ff HTTP/1.1', 422],
        'a limit beyond'   => ['GET /api/v1/journeys?limit=99999999999999999999 HTTP/1.1', 422],
        'a limit, twice'   => ['GET /api/v1/journeys?limit=1&limit=-1 HTTP/1.1', '200|422'],
    );
    told($_, $line{$_}[1], $line{$_}[0], @h) for sort keys %line;
    told('no Host', 400, 'GET /api/v1/me HTTP/1.1', $auth);
    told('two Hosts', 400, 'GET /api/v1/me HTTP/1.1', 'Host: a', 'Host: b', $auth);
    told('a Host that is none', '400', 'GET /api/v1/me HTTP/1.1', 'Host: a b', $auth);
    is(ask("GET /health")->{raw} =~ /\AHTTP|\A\{|\Aok|\A\z/ ? 1 : 0, 1, 'HTTP/0.9');
};

subtest 'headers' => sub {
    my @me = ('GET /api/v1/me HTTP/1.1', 'Host: x', 'Connection: close');
    told('a large one', '431', @me, $auth, 'X-A: ' . 'a' x 40000);
    told('many', '200|431', @me, $auth, map { "X-$_: a" } 1 .. 400);
    told('two Authorizations', 400, @me, $auth, $auth);
    told('... of which one is good', 400, @me, 'Authorization: Bearer x', $auth);
    told('two tokens in one', 401, @me, "$auth, Bearer $token");
    told('none in it', 401, @me, 'Authorization:');
    told('a scheme alone', 401, @me, 'Authorization: Bearer');
    told('another scheme', 401, @me, 'Authorization: Basic YTpi');
    told('a long token', '401|431', @me, 'Authorization: Bearer ' . 'a' x 7900);
    told('a name with a space', '200|400', @me, $auth, 'X A: b');
    told('a name that is none', '200|400', @me, $auth, ': b');
    told('a folded line', '200|400', @me, $auth, 'X-A: b', ' c');
    told('a NUL', '400', @me, $auth, "X-A: b\0c");
    told('odd preferences', '200', @me, $auth, 'Prefer: ;;,=,wait=,wait="',
        "Prefer: \xff\xfe");
    told('odd times', '200', @me, $auth, 'If-Modified-Since: never',
        'If-None-Match: "', 'Range: bytes=9-1,,-,x', 'If-Range: W/');
    told('an id of its own', '200', @me, $auth, "X-Request-Id: \xff<script>");
    my $r = told('an odd trace', '200', @me, $auth, 'traceparent: 00-0-0-0',
        'tracestate: ' . ',' x 600);
    for (['', 400], ['""', 400], ['"a', 400], ['a b', 400], ["\x7f", 400],
        ['x' x 300, 400], ['"a\\b"', 400], ['"ok"', 202])
    {
        told('Idempotency-Key: ' . substr($_->[0], 0, 9), $_->[1],
            post("Idempotency-Key: $_->[0]", 'Content-Length: ' . length $BOOK),
            \$BOOK);
    }
    told('a type with parameters', 202, 'POST /api/v1/bookings HTTP/1.1',
        'Host: x', 'Connection: close', $auth,
        'Content-Type: application/json; charset="utf-8"',
        'Content-Length: ' . length $BOOK, \$BOOK);
    for my $q ('', ';q=0', ';q=0.0', ';q=0.5') {
        my $e = ask('GET /api/v1/nothing HTTP/1.1', 'Host: x', 'Connection: close',
            "Accept: application/problem+json$q, */*");
        my ($type) = $e->{head} =~ m{^Content-Type: (\S+)}m;
        is($type, $q =~ /=0(?:\.0)?$/ ? 'application/json'
            : 'application/problem+json', "a problem$q");
    }
};

# Of everything that can be read: HEAD is GET without a body, conditions do not
# make something of what is not there, ranges are of what is.
my @READ = qw(/health /ready /metrics /breakers /problems/ /problems/CONFLICT
    /api/v1/me /api/v1/journeys /api/v1/bookings /api/v1/places?q=ber
    /api/v1/devices /api/v1/nothing /nothing
    /api/v1/bookings/01890a5d-ac96-774b-bcce-b302099a8057
    /api/v1/jobs/booking.1.01890a5d-ac96-774b-bcce-b302099a8057
    /api/graphql?query=%7B__typename%7D /_travel/purge);

subtest 'HEAD on everything' => sub {
    for my $path (@READ) {
        my ($get, $head) = map { ask("$_ $path HTTP/1.1", 'Host: x',
            'Connection: close', $auth) } qw(GET HEAD);
        is($head->{status}, $get->{status}, "$path: $get->{status}");
        is($head->{content}, '', '  no body');
        unlike($head->{status}, qr/^5/, '  not our fault');
        my ($type, $had) = map { $_->{head} =~ /^Content-Type: (.*)/m ? $1 : '' }
            $get, $head;
        is($had, $type, '  the same type');
    }
};

subtest 'conditions' => sub {
    for my $path (@READ) {
        my $plain = ask("GET $path HTTP/1.1", 'Host: x', 'Connection: close', $auth);
        my $r = ask("GET $path HTTP/1.1", 'Host: x', 'Connection: close', $auth,
            'If-None-Match: *', 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT');
        if ($plain->{status} == 200) {
            like($r->{status}, qr/^(?:200|304)$/, "$path: $r->{status}");
        } else {
            is($r->{status}, $plain->{status}, "$path: still $r->{status}");
        }
    }
    # what is not kept, as just after the start, has none
    my $etag = wait_for(sub {
        ask('GET /api/v1/me HTTP/1.1', 'Host: x', 'Connection: close',
            $auth)->{head} =~ /^ETag: (.*?)\r?$/m ? $1 : '';
    }, 10, 'a tag');
    ok($etag, 'a tag');
    my %cond = ("If-None-Match: $etag" => 304, "If-None-Match: W/$etag" => 304,
        "If-None-Match: \"a\", $etag" => 304, 'If-None-Match: "a"' => 200,
        'If-Match: "a"' => '412', "If-Match: $etag" => '200',
        'If-Match: *' => 200, 'Range: bytes=0-0' => '206|200',
        'Range: bytes=-1' => '206|200', 'Range: bytes=99999-' => '416|200',
        'Range: bytes=0-0,2-2' => '206|200', 'Range: lines=1-2' => '200',
        'Range: bytes=0-0,' . join(',', map { "$_-$_" } 1 .. 500) => '200|206|416');
    for (sort keys %cond) {
        told(substr($_, 0, 40), $cond{$_}, 'GET /api/v1/me HTTP/1.1', 'Host: x',
            'Connection: close', $auth, $_);
    }
};

subtest 'HTTP/2' => sub {
    my $curl = sub { my ($rc, $out) = $t->run('curl', '-sS', '--max-time', '5',
        '--http2-prior-knowledge', '--unix-socket', $t->dir . '/h2.sock',
        '-w', "\n%{http_code}", '-H', $auth, @_); return $out };
    like($curl->('http://x/api/v1/me'), qr/\n200$/, 'a read');
    like($curl->('-I', 'http://x/api/v1/me'), qr/\n200$/, 'HEAD');
    like($curl->('-H', $JSON, '-d', $BOOK, 'http://x/api/v1/bookings'),
        qr/\n202$/, 'a command');
    like($curl->('-H', $JSON, '-H', 'Content-Length:', '-d', $BOOK,
        'http://x/api/v1/bookings'), qr/\n202$/, 'one of no stated length');
    like($curl->('-H', $JSON, '-H', 'TE: trailers', '-d', $BOOK,
        'http://x/api/v1/bookings'), qr/\n202$/, 'who takes trailers');
    like($curl->('-H', $JSON, '-d', '{', 'http://x/api/v1/bookings'),
        qr/MALFORMED_JSON.*\n400$/s, 'an error');
    like($curl->('-H', 'X-A: ' . 'a' x 60000, 'http://x/api/v1/me'),
        qr/\n431$|stream|PROTOCOL|HTTP2/, 'a large header');
    like($curl->('-H', 'Accept: text/event-stream', 'http://x/api/v1/jobs/'
        . 'booking.1.01890a5d-ac96-774b-bcce-b302099a8057'), qr/\n404$/,
        'no such stream');
    my ($rc, $out) = $t->run('h2load', '-n2000', '-c4', '-m64', '-H', lc $auth,
        '--base-uri', 'unix:' . $t->dir . '/h2.sock', 'http://x/api/v1/me',
        'http://x/api/v1/nothing');
    like($out, qr/2000 done, \d+ succeeded, \d+ failed, 0 errored, 0 timeout/,
        'many streams') or diag($out);
};

subtest 'answers have no trailers' => sub {
    my $r = ask('GET /api/v1/me HTTP/1.1', 'Host: x', 'Connection: close', $auth,
        'TE: trailers');
    like($r->{head}, qr/^RateLimit: /m, 'RateLimit is a header');
    unlike($r->{head}, qr/^Trailer:/mi, 'none is announced');
    unlike($r->{content}, qr/RateLimit/, 'nor sent');
    my ($rc, $out) = $t->run('curl', '-sS', '--http2-prior-knowledge', '-v',
        '--unix-socket', $t->dir . '/h2.sock', '-H', $auth, '-H', 'TE: trailers',
        'http://x/api/v1/journeys');
    my ($head, $rest) = $out =~ /(.*?^< \r?$)(.*)/ms;
    like($head, qr/^< ratelimit: /mi, 'over HTTP/2');
    unlike($rest, qr/^< ratelimit/mi, 'the same');
};

subtest 'pipelined, good and bad' => sub {
    my $get = sub { "GET $_[0] HTTP/1.1\r\nHost: x\r\n$_[1]\r\n\r\n" };
    my $raw = $t->raw($get->('/api/v1/me', $auth) . $get->('/api/v1/nothing', $auth)
        . "POST /api/v1/bookings HTTP/1.1\r\nHost: x\r\n$auth\r\n$JSON\r\n"
        . 'Content-Length: ' . length($BOOK) . "\r\n\r\n$BOOK"
        . $get->('/api/v1/me', 'Authorization: Bearer x')
        . $get->('/api/v1/me', "$auth\r\nConnection: close"), timeout => 5);
    is(join(' ', $raw =~ m{HTTP/1\.1 (\d+) }g), '200 404 202 401 200',
        'each its own, in order');
};

$t->finish;
done_testing;
