# Bad input: each kind is refused with the envelope, a precise code, a pointer
# or a byte offset; as a problem document to who accepts one; and has no effect:
# no job, no entry in a stream, no row.
#
# There are no workers at first, so that whatever got into the queue would stay
# there and be seen.  At the end they start, and make one row of the one good
# command in between.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Crypt::PK::ECC ();
use IO::Socket::INET ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres replica queue cache sandbox smtp otlp nginx',
    env   => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit  => sub { s/error\.log warn/error.log info/ });
my $redis = $t->redis('queue');
my $token = $t->user_token(1);

my ($mine, $theirs) = map { "01890000-0000-7000-8000-0000000000$_" } qw(a1 a2);
my ($booking) = map { "01890000-0000-7000-8000-0000000000$_" } qw(b2);
for ([ $mine, 1 ], [ $theirs, 2 ]) {
    my ($id, $who) = ($_->[0], $t->user($_->[1]));
    $t->sql("INSERT INTO travel.journeys (id, user_id, origin, destination,
        origin_place_id, destination_place_id, theme, distance_miles) SELECT
        '$id', '$who', 'Boston', 'Hartford', min(id), max(id), 'food', 1
        FROM travel.place");
}
$t->sql("INSERT INTO travel.bookings (id, user_id, partner, venue_id,
    booking_date, party_size, status) VALUES ('$booking', '" . $t->user(2)
    . "', 'klook', 'v', '2030-01-01', 2, 'confirmed')");
wait_for(sub { $t->sql("SELECT count(*) FROM travel.bookings",
    on => 'replica') == 1 }, 10, 'the replica');

# Everything that a request may leave behind in the queue.
sub left_behind {
    my %n = (jobs => 0, keys => 0, entries => 0);
    for my $key (@{ $redis->call('KEYS', 'travel:{*') }) {
        if    ($key =~ /:job:/)               { $n{jobs}++ }
        elsif ($key =~ /:idem:/)              { $n{keys}++ }
        elsif ($key =~ /:(?:high|normal|low)$/) {
            $n{entries} += $redis->call('XLEN', $key);
        }
    }
    return "$n{jobs} jobs, $n{keys} keys, $n{entries} entries";
}

sub rows {
    return join ' ', map { scalar $t->sql("SELECT count(*) FROM $_") }
        qw(travel.journeys travel.stories travel.bookings events.event
           jobs.inbox jobs.outbox);
}

my $queue = left_behind();
my $rows  = rows();
is($queue, '0 jobs, 0 keys, 0 entries', 'nothing in the queue');

sub is_envelope {
    my ($r, $status, $code) = @_;
    is($r->{status}, $status, "status $status") or diag($r->{content});
    is($r->{headers}{'content-type'}, 'application/json', 'JSON');
    my $e = ($r->{json} || {})->{error} || {};
    is($e->{code}, $code, $code) or diag($r->{content});
    is_deeply([sort keys %$e],
        [qw(code details message request_id timestamp)], 'the envelope');
    like($e->{message} // '', qr/^\S.*\S$/, 'a sentence');
    like($e->{timestamp} // '', qr/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/, 'when');
    like($e->{request_id} // '', qr/^[0-9a-f]{32}$/, 'which');
    is(ref $e->{details}, 'ARRAY', 'details');
    return @{ $e->{details} || [] };
}

sub is_problem {
    my ($r, $status, $code) = @_;
    is($r->{status}, $status, "problem: $status");
    is($r->{headers}{'content-type'}, 'application/problem+json',
        'problem+json to who accepts it');
    my $p = $r->{json} || {};
    is($p->{status}, $status, 'says its status');
    is($p->{code}, $code, 'the same code');
    my $slug = lc($code) =~ tr/_/-/r;
    like(lc($p->{type} // '') =~ tr/_/-/r, qr{/problems/\Q$slug\E$}, 'its type');
    ok(length($p->{$_} // ''), "its $_") for qw(title detail request_id);
    return @{ $p->{errors} || [] };
}

# refused WHAT, METHOD, PATH, STATUS, CODE, request options...; of these,
# pointer => text or list, offset => byte and detail => code say what the
# details must have.
sub refused {
    my ($what, $method, $path, $status, $code, %o) = @_;
    my ($pointer, $offset, $why) = delete @o{qw(pointer offset detail)};
    $o{token} = $token unless exists $o{token};
    $o{allow_5xx} = 1 if $status >= 500;
    subtest $what => sub {
        my @d = is_envelope($t->request($method, $path, %o), $status, $code);
        if (defined $pointer) {
            my @want = sort ref $pointer ? @$pointer : $pointer;
            is_deeply([sort map { $_->{pointer} } @d], \@want, "at @want")
                or diag(explain(\@d));
        }
        if (defined $offset) {
            is($d[0]{offset}, $offset, "at byte $offset")
                or diag(explain(\@d));
        }
        is($d[0]{code}, $why, "because of $why") if defined $why;

        $o{headers} = { %{ $o{headers} || {} },
            accept => 'application/problem+json, application/json;q=0.5' };
        my @e = is_problem($t->request($method, $path, %o), $status, $code);
        is_deeply([map { $_->{pointer} } @e], [map { $_->{pointer} } @d],
            'the same details');
        is(left_behind(), $queue, 'no effect');
    };
}

my $B = '/api/v1/bookings';
my $J = '/api/v1/journeys';
my %good = (partner => 'opentable', venue_id => 'rest_456', party_size => 4,
    booking_date => '2030-03-01T19:00:00+01:00');
my %way = (origin => 'Boston, US', destination => 'Hartford, US',
    theme => 'food');

sub booking { return json => { %good, @_ } }
sub journey { return json => { %way, @_ } }

# --- JSON that is none -------------------------------------------------------

for ([ 'an end too early',     '{"partner":"klook"',          18 ],
     [ 'nothing but space',    "  \n",                         3 ],
     [ 'a comma too many',     '{"a":1,}',                     7 ],
     [ 'a colon too few',      '{"partner" "x"}',             11 ],
     [ 'single quotes',        q({'a':1}),                     1 ],
     [ 'a leading zero',       '{"a":01}',                     6 ],
     [ 'a bare word',          '{"a":yes}',                    5 ],
     [ 'NaN',                  '{"a":NaN}',                    5 ],
     [ 'two documents',        '{}{}',                         2 ],
     [ 'a byte order mark',    "\xef\xbb\xbf{}",               0 ],
     [ 'a control character',  "{\"a\":\"x\ny\"}",             7 ],
     [ 'a NUL byte',           "{\"a\":\"x\0y\"}",             7 ],
     [ 'bytes of no UTF-8',    "{\"a\":\"\xff\"}",             6 ],
     [ 'an overlong slash',    "{\"a\":\"\xc0\xaf\"}",         6 ],
     [ 'a surrogate in UTF-8', "{\"a\":\"\xed\xa0\x80\"}",     6 ],
     [ 'half a pair',          '{"a":"\ud83d"}',               6 ],
     [ 'an escape of none',    '{"a":"\x"}',                   6 ],
     [ 'too deep',             '[' x 5000,                    64 ]) {
    my ($what, $body, $offset) = @$_;
    refused("JSON: $what", POST => $B, 400, 'MALFORMED_JSON', body => $body,
        offset => $offset);
}

refused('JSON: the same member twice', POST => $B, 400, 'DUPLICATE_KEY',
    body => '{"partner":"klook","party_size":2,"partner":"tabelog"}',
    pointer => '/partner');
refused('JSON: twice, once escaped', POST => $B, 400, 'DUPLICATE_KEY',
    body => '{"partner":"klook","p\u0061rtner":"tabelog"}',
    pointer => '/partner');
refused('JSON: twice, further in', POST => $B, 400, 'DUPLICATE_KEY',
    body => '{"a":[{"b/c":1,"d":2,"b/c":3}]}', pointer => '/a/0/b~1c');

# --- what the schema says ----------------------------------------------------

my $V = 'VALIDATION_ERROR';
for ([ 'text for a number',   { party_size => '4' },     '/party_size', 'type' ],
     [ 'a fraction',          { party_size => 4.5 },     '/party_size', 'type' ],
     [ 'null',                { party_size => undef },   '/party_size', 'type' ],
     [ 'nobody',              { party_size => 0 },       '/party_size', 'minimum' ],
     [ 'a crowd',             { party_size => 51 },      '/party_size', 'maximum' ],
     [ 'a number for text',   { venue_id => 7 },         '/venue_id',   'type' ],
     [ 'no text',             { venue_id => '' },        '/venue_id',   'minLength' ],
     [ 'too much text',       { venue_id => 'v' x 129 }, '/venue_id',   'maxLength' ],
     [ 'not the pattern',     { partner => 'Open Table' }, '/partner',  'pattern' ],
     [ 'a date in words',     { booking_date => 'tomorrow' }, '/booking_date', 'format' ],
     [ 'a date without time', { booking_date => '2030-03-01' }, '/booking_date', 'format' ],
     [ 'a time of no zone',   { booking_date => '2030-03-01T19:00:00' }, '/booking_date', 'format' ],
     [ 'a day of no month',   { booking_date => '2030-02-30T19:00:00Z' }, '/booking_date', 'format' ],
     [ 'hour 25',             { booking_date => '2030-03-01T25:00:00Z' }, '/booking_date', 'format' ],
     [ 'an id that is none',  { journey_id => 'seven' }, '/journey_id', 'format' ],
     [ 'a member of no use',  { price => 1 },            '/price',      'additionalProperties' ],
     [ 'a name like a path',  { 'a/b~c' => 1 },          '/a~1b~0c',    'additionalProperties' ]) {
    my ($what, $change, $pointer, $why) = @$_;
    refused("schema: $what", POST => $B, 422, $V, booking(%$change),
        pointer => $pointer, detail => $why);
}
refused('schema: a number beyond all', POST => $B, 422, $V,
    body => '{"partner":"klook","venue_id":"v","party_size":1e400,'
    . '"booking_date":"2030-03-01T19:00:00Z"}', pointer => '/party_size');
refused('schema: several at once', POST => $B, 422, $V,
    json => { partner => 'X Y', party_size => 99, fee => 1,
        booking_date => $good{booking_date} },
    pointer => [qw(/partner /party_size /venue_id /fee)]);
refused('schema: a list', POST => $B, 422, $V, json => [1], pointer => '',
    detail => 'type');
refused('schema: just null', POST => $B, 422, $V, body => 'null',
    pointer => '', detail => 'type');
refused('schema: no body at all', POST => $B, 422, $V,
    pointer => [qw(/booking_date /partner /party_size /venue_id)]);
refused('schema: a word that is none', POST => $J, 422, $V,
    journey(theme => 'horror'), pointer => '/theme', detail => 'enum');
refused('schema: U+0000', POST => $J, 422, $V,
    journey(origin => "Bos\0ton"), pointer => '/origin');
refused('schema: what the path says', POST => "$J/$mine/stories", 422, $V,
    json => { journey_id => $theirs }, pointer => '/journey_id');

# --- what only the database knows --------------------------------------------

refused('an unknown place', POST => $J, 422, $V,
    journey(origin => 'Nowhereville'), pointer => '/origin');
refused('two unknown places', POST => $J, 422, $V,
    journey(origin => '%', destination => "'; DROP TABLE travel.place; --"),
    pointer => [qw(/destination /origin)]);
refused('a place elsewhere', POST => $J, 422, $V,
    journey(destination => 'Paris, JP'), pointer => '/destination');
refused('a date in the past', POST => $B, 422, $V,
    booking(booking_date => '2020-03-01T19:00:00Z'),
    pointer => '/booking_date');
refused('a date past by its offset', POST => $B, 422, $V,
    booking(booking_date => do {
        my @t = gmtime(time + 3600);
        sprintf '%04d-%02d-%02dT%02d:%02d:%02d+14:00', $t[5] + 1900,
            $t[4] + 1, @t[3, 2, 1, 0];
    }), pointer => '/booking_date');
refused('a year that is none', POST => $B, 422, $V,
    booking(booking_date => '0000-01-01T00:00:00Z'),
    pointer => '/booking_date');
refused('an unknown partner', POST => $B, 422, $V,
    booking(partner => 'nobody'), pointer => '/partner');

# --- somebody else's, and ids that are none: not there -----------------------

my $N = 'RESOURCE_NOT_FOUND';
refused('their journey', GET => "$J/$theirs", 404, $N);
refused('their journey\'s stories', POST => "$J/$theirs/stories", 404, $N,
    json => {});
refused('a booking on their journey', POST => $B, 404, $N,
    booking(journey_id => $theirs), pointer => '/journey_id');
refused('their booking', GET => "$B/$booking", 404, $N);
refused('cancelling their booking', DELETE => "$B/$booking", 404, $N);
is($t->sql("SELECT status FROM travel.bookings WHERE id = '$booking'"),
    'confirmed', 'which stands');
for my $id ('seven', '01890000-0000-7000-8000-00000000000', "$mine-",
    '%27%20OR%201=1--', '..%2f..%2fetc', '%ff%fe', "$mine%0a", '1' x 300) {
    refused("no id: $id", GET => "$J/$id", 404, $N);
    refused("no id to book on: $id", DELETE => "$B/$id", 404, $N);
}
for my $id ('seven', "booking.0", "booking.0.$mine", "booking.99.$mine",
    "notification.0.$mine", "nowhere.0.$mine", "booking.-1.$mine",
    "booking.0.$mine.x", 'booking.0.{x}', "%2A.0.$mine") {
    refused("no job: $id", GET => "/api/v1/jobs/$id", 404, $N);
}
refused('no such path', GET => '/api/v1/nothing', 404, $N);

# --- query parameters --------------------------------------------------------

refused('a limit of none', GET => "$J?limit=0", 422, $V,
    pointer => '/limit', detail => 'range');
refused('a limit too far', GET => "$J?limit=101", 422, $V,
    pointer => '/limit', detail => 'range');
refused('a limit in words', GET => "$J?limit=ten", 422, $V,
    pointer => '/limit', detail => 'type');
refused('a cursor that is none', GET => "$J?cursor=x", 422, $V,
    pointer => '/cursor');
refused('a status that is none', GET => "$B?status=lost", 422, $V,
    pointer => '/status', detail => 'enum');
refused('%00 in a parameter', GET => '/api/v1/places?q=par%00is', 422, $V,
    pointer => '/q');
refused('no UTF-8 in a parameter', GET => '/api/v1/places?q=%ff%fe', 422, $V,
    pointer => '/q');
refused('too little to search', GET => '/api/v1/places?q=x', 422, $V,
    pointer => '/q');
refused('nothing to search', GET => '/api/v1/places', 422, $V,
    pointer => '/q', detail => 'required');

# --- who is asking -----------------------------------------------------------

my ($head, $claims, $sign) = split /\./, $token;
# The same, signed as it was, and over a minute ago: past any leeway.
my $signed = "$head." . encode_base64url(JSON::PP->new->encode(
    { %{ json(decode_base64url($claims)) }, exp => int(time) - 60 }));
my $expired = "$signed." . encode_base64url(
    Crypt::PK::ECC->new($t->dir . '/keys/signing.pem')
        ->sign_message_rfc7518($signed, 'SHA256'));
my %forged = (
    'no token'          => [ undef, 'AUTHENTICATION_ERROR' ],
    'no JWT'            => [ 'abc', 'TOKEN_INVALID' ],
    'three dots'        => [ '...', 'TOKEN_INVALID' ],
    'expired'           => [ $expired, 'TOKEN_EXPIRED' ],
    'another audience'  => [ $t->user_token(1, audience => 'bank'), 'TOKEN_INVALID' ],
    'another issuer'    => [ $t->user_token(1, issuer => 'https://evil'), 'TOKEN_INVALID' ],
    'another signature' => [ "$head.$claims." . encode_base64url('x' x 64), 'TOKEN_INVALID' ],
    'other claims'      => [ "$head." . encode_base64url(
        decode_base64url($claims) =~ s/000001"/000002"/r) . ".$sign", 'TOKEN_INVALID' ],
    'alg none'          => [ encode_base64url('{"alg":"none"}') . ".$claims.",
        'TOKEN_INVALID' ],
    'a token too long'  => [ 'a' x 9000, 'TOKEN_INVALID' ],
);
for my $what (sort keys %forged) {
    my ($bad, $code) = @{ $forged{$what} };
    refused("token: $what", POST => $B, 401, $code, booking(), token => $bad);
    my $r = $t->post($B, \%good, token => $bad);
    like($r->{headers}{'www-authenticate'} // '', qr/^Bearer realm="travel"/,
        "$what: a challenge");
}
refused('token: not for writing', POST => $B, 403, 'AUTHORIZATION_ERROR',
    booking(), token => $t->user_token(1, permissions => 'bookings:read'));
refused('token: for writing something else', DELETE => "$B/$booking", 403,
    'AUTHORIZATION_ERROR', token => $t->user_token(2,
    permissions => 'journeys:write bookings:read'));

# --- the request around the body ---------------------------------------------

my $L = 'PAYLOAD_TOO_LARGE';
my $S = 'UNSUPPORTED_MEDIA_TYPE';
my $one = JSON::PP->new->encode(\%good);
for my $type ('text/plain', 'application/xml', 'application/jsonp',
    'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '') {
    refused("type '$type'", POST => $B, 415, $S, body => $one,
        headers => { 'content-type' => $type });
}
refused('a body too large', POST => $B, 413, $L, body => ' ' x 65537);
refused('a body too large for nginx', POST => $B, 413, $L,
    body => ' ' x (1024 * 1024 + 1));
refused('an Idempotency-Key too long', POST => $B, 400, 'MALFORMED_REQUEST',
    booking(), headers => { 'idempotency-key' => 'k' x 256 });
refused('an Idempotency-Key in pieces', POST => $B, 400, 'MALFORMED_REQUEST',
    booking(), headers => { 'idempotency-key' => 'a b' });
refused('a consistency token that is none', GET => $J, 400,
    'MALFORMED_REQUEST', headers => { 'travel-consistency' => 'yes, please' });
for my $m (qw(PUT PATCH DELETE)) {
    refused("$m where there is none", $m => $B, 405, 'METHOD_NOT_ALLOWED',
        json => {});
}
refused('POST where there is none', POST => "$B/$booking", 405,
    'METHOD_NOT_ALLOWED', json => {});

# --- what no HTTP library sends ----------------------------------------------

# raw WHAT, BYTES, STATUS, CODE: an answer in our shape, the connection ended.
sub raw_refused {
    my ($what, $bytes, $status, $code) = @_;
    subtest "raw: $what" => sub {
        my $in = $t->raw($bytes, allow_5xx => 1, timeout => 5);
        my ($h, $body) = split /\r\n\r\n/, $in, 2;
        my ($got) = ($h // '') =~ m{^HTTP/1\.1 (\d+)};
        my ($type) = ($h // '') =~ /^Content-Type: ([^\r\n]*)/mi;
        my @d = is_envelope({ status => $got, content => $in,
            headers => { 'content-type' => $type },
            json => eval { json($body) } }, $status, $code);
        is(left_behind(), $queue, 'no effect');
    };
}

my $auth = "Host: travel\r\nAuthorization: Bearer $token\r\n";
my $post = "POST $B HTTP/1.1\r\n${auth}Content-Type: application/json\r\n";
my $M = 'MALFORMED_REQUEST';
raw_refused('%00 in the path', "GET $J/a%00b HTTP/1.1\r\n$auth\r\n", 400, $M);
raw_refused('a NUL in the path', "GET $J/a\0b HTTP/1.1\r\n$auth\r\n", 400, $M);
raw_refused('no Host', "GET $J HTTP/1.1\r\n\r\n", 400, $M);
raw_refused('two lengths', "${post}Content-Length: 2\r\nContent-Length: 3\r\n"
    . "\r\n{}", 400, $M);
raw_refused('a length and chunks', "${post}Content-Length: 2\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400, $M);
raw_refused('a length below nothing', "${post}Content-Length: -1\r\n\r\n",
    400, $M);
raw_refused('chunks that are none', "${post}Transfer-Encoding: chunked\r\n\r\n"
    . "zz\r\n{}\r\n0\r\n\r\n", 400, $M);
raw_refused('an encoding that is none', "${post}Transfer-Encoding: gzip\r\n"
    . "\r\n", 501, 'NOT_IMPLEMENTED');
raw_refused('HTTP of next century', "GET $J HTTP/7.0\r\n$auth\r\n", 505,
    'HTTP_VERSION_NOT_SUPPORTED');
raw_refused('a path above all', "GET /../../etc/passwd HTTP/1.1\r\n$auth\r\n",
    400, $M);
raw_refused('a long URI', "GET $J?q=" . 'x' x 20000 . " HTTP/1.1\r\n$auth\r\n",
    414, 'URI_TOO_LONG');
raw_refused('a huge header', "GET $J HTTP/1.1\r\n${auth}X-Big: "
    . 'x' x 20000 . "\r\n\r\n", 431, 'HEADERS_TOO_LARGE');
raw_refused('a lot of headers', "GET $J HTTP/1.1\r\n$auth"
    . join('', map { "X-$_: " . 'x' x 8000 . "\r\n" } 1 .. 12) . "\r\n", 431,
    'HEADERS_TOO_LARGE');
raw_refused('chunks too large', "${post}Transfer-Encoding: chunked\r\n\r\n"
    . sprintf("%x\r\n", 70000) . ' ' x 70000 . "\r\n0\r\n\r\n", 413, $L);

subtest 'raw: a refusal leaves the connection as it was' => sub {
    my $bad = '{"partner":';
    my $in = $t->raw("${post}Content-Length: " . length($bad) . "\r\n\r\n$bad"
        . "GET /health HTTP/1.1\r\nHost: travel\r\nConnection: close\r\n\r\n");
    like($in, qr{^HTTP/1\.1 400 .*HTTP/1\.1 200 }s, 'the next is answered');
};

# --- clients that do not stay ------------------------------------------------

# The access log's line of the one with this User-Agent, when it is there.
sub logged {
    my ($agent) = @_;
    return wait_for(sub {
        my ($line) = grep { /"user_agent":"\Q$agent\E"/ }
            split /\n/, Travel::Test::slurp($t->dir . '/logs/access.log');
        return $line && json($line);
    }, 10, "the log line of $agent");
}

sub goes_away {
    my ($what, $bytes, $status, %o) = @_;
    my $agent = 'gone-' . $what =~ s/\W+/-/gr;
    subtest "gone: $what" => sub {
        # Stopped meanwhile: nginx finds the bytes and the end at once.
        $t->freeze('nginx') if $o{frozen};
        my $in = $t->raw($bytes =~ s/\r\n/\r\nUser-Agent: $agent\r\n/r,
            hang_up => 1);
        if ($o{frozen}) { sleep 0.1; $t->unfreeze('nginx') }
        is($in, '', 'no answer');
        my $line = logged($agent) or return;
        like($line->{status}, $status, "logged as $line->{status}");
        is(left_behind(), $queue, 'no effect');
    };
}

my $all = "${post}Content-Length: " . length($one) . "\r\n\r\n$one";
goes_away('half a body', "${post}Content-Length: 500\r\n\r\n$one", qr/^4/);
goes_away('half a body in chunks', "${post}Transfer-Encoding: chunked\r\n\r\n"
    . sprintf("%x\r\n", length $one) . "$one\r\n", qr/^4/);
goes_away('half a chunk', "${post}Transfer-Encoding: chunked\r\n\r\n"
    . sprintf("%x\r\n", length($one) + 9) . $one, qr/^4/);
goes_away('right after the last byte', $all, qr/^499$/, frozen => 1);
goes_away('right after the last byte, with a key',
    $all =~ s/\r\n/\r\nIdempotency-Key: gone\r\n/r, qr/^499$/, frozen => 1);
goes_away('while it would wait', $all =~ s/\r\n/\r\nPrefer: wait=5\r\n/r,
    qr/^499$/, frozen => 1);
like(Travel::Test::slurp($t->dir . '/logs/error.log'),
    qr/\[info\].*prematurely closed/, 'and the error log says so');

# --- and all the while: what is good goes in, once ---------------------------

subtest 'one good command' => sub {
    my $r = $t->post($B, { %good, venue_id => "\x{1f35c} \"'\\\0x" =~ s/\0//r,
        journey_id => $mine }, token => $token);
    is($r->{status}, 202, 'accepted') or diag($r->{content});
    is(left_behind(), '1 jobs, 0 keys, 1 entries', 'is in the queue');
    is(rows(), $rows, 'no row yet');

    $t->start_part('workers');
    wait_for(sub { $t->get("$B/$r->{json}{id}", token => $token)
        ->{json}{status} eq 'confirmed' }, 20, 'the booking');
    is($t->sql('SELECT count(*) FROM travel.bookings'), 2, 'is the one row');
    is($t->sql('SELECT venue_id FROM travel.bookings WHERE user_id = \''
        . $t->user(1) . "'"), "\xf0\x9f\x8d\x9c \"'\\x", 'as it was sent');
    is($t->sql('SELECT count(DISTINCT job_id) FROM events.event'), 1,
        'of one job');
    is($t->sql('SELECT count(*) FROM travel.stories'), 0, 'and no story');
};

$t->finish;
done_testing;
