# The frame layer of WebSocket, case by case of what conformance suites ask:
# handshake, framing, pings, reserved bits, opcodes, fragments, UTF-8, closing,
# limits, permessage-deflate; clients that are rude, slow or gone; reload.
use strict;
use warnings;
use Compress::Raw::Zlib;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'nginx',
    ngx_workers => 1,
    conf        => <<'CONF',
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
error_log @LOGS@/error.log info;
pid @PIDS@/nginx.pid;
daemon off;
worker_processes 1;
worker_shutdown_timeout 5s;
events { worker_connections 512; }
http {
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path @RUN@/tmp/proxy;
    fastcgi_temp_path @RUN@/tmp/fastcgi;
    uwsgi_temp_path @RUN@/tmp/uwsgi;
    scgi_temp_path @RUN@/tmp/scgi;
    access_log @LOGS@/access.log;
    server {
        listen 127.0.0.1:@PORT@;
        listen 127.0.0.1:@PORT_SANDBOX@ sndbuf=8k;
        location = /health { travel_health; }
        location = /metrics { travel_metrics; }
        location = /echo { travel_live echo rate=0 max_message=1m; }
        location = /small { travel_live echo max_message=1000 rate=20
            deflate=off heartbeat=400ms close=500ms queue=8k; }
        listen unix:@RUN@/h2.sock http2;
        location = /flood { travel_live echo rate=0 queue=64k close=200ms; }
        location = /page { travel_live echo origins=https://*.example.com; }
    }
}
CONF
);

sub open_echo { Travel::Socket->open($t, $_[0] // '/echo', @_[1 .. $#_]) }

sub echoes {
    my ($name, @frames) = @_;
    my $want = pop @frames;
    my $s = open_echo();
    $s->raw(join '', map { Travel::Socket->encode(@$_) } @frames);
    is_deeply([map { $s->next } @$want], [map { [@$_, 0] } @$want], $name);
    $s->frame(0x88, pack 'n', 1000);
    my $code = $s->closed;
    is($code, 1000, "$name: the close is answered");
    is($s->eof, 'closed', "$name: then TCP");
}

# The code that it is closed with, after the frames (or raw bytes).
sub breaks {
    my ($name, $code, @frames) = @_;
    my $s = open_echo();
    $s->raw(join '', map { ref $_ ? Travel::Socket->encode(@$_) : $_ }
        @frames);
    is(scalar $s->closed, $code, $name);
}

subtest 'handshake' => sub {
    my $s = open_echo();
    is($s->status, 101, 'switched');
    is($s->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
        'the accept of section 1.3');
    is(lc $s->header('Upgrade'), 'websocket', 'Upgrade');
    is(lc $s->header('Connection'), 'upgrade', 'Connection');
    is($s->header('Sec-WebSocket-Extensions'), undef, 'nothing is offered');
    unlike($s->{head}, qr/Content-Length|Transfer-Encoding/i, 'no body');

    is(open_echo('/echo', headers => { Upgrade => undef })->status, 426,
        'no upgrade');
    is(open_echo('/echo', headers => { Connection => 'close' })->status, 426,
        'Connection says nothing of it');
    is(open_echo('/echo', headers => { Upgrade => 'h2c, WebSocket',
        Connection => 'keep-alive, UPGRADE' })->status, 101, 'lists, any case');
    $s = open_echo('/echo', headers => { 'Sec-WebSocket-Version' => 8 });
    is($s->status, 426, 'version 8');
    is($s->header('Sec-WebSocket-Version'), 13, 'which one then');
    for my $key (undef, 'short', 'dGhlIHNhbXBsZSBub25jZR==', 'x' x 24) {
        is(open_echo('/echo', headers => { 'Sec-WebSocket-Key' => $key })
            ->status, 400, 'key: ' . ($key // 'none'));
    }
    is(open_echo('/page', headers => { Origin => $_->[0] })->status, $_->[1],
        "origin $_->[0]") for ['https://a.example.com', 101],
        ['https://example.com.evil.test', 403], ['null', 403];
    is(open_echo('/page')->status, 101, 'a program has no origin');
    is(open_echo('/echo', headers => { Origin => 'http://evil.test',
        Cookie => 'a=b' })->status, 403, 'cookies, a stranger page');
    is(open_echo('/echo', headers => { Origin => 'http://127.0.0.1',
        Cookie => 'a=b' })->status, 101, 'cookies, our page');

    like(scalar `curl -si --http2-prior-knowledge --unix-socket @{[
        $t->dir]}/h2.sock http://x/echo`, qr{\AHTTP/2 426 }, 'over HTTP/2');
    $s = open_echo('/echo', with => Travel::Socket->encode(0x81, 'early'));
    is($s->next->[1], 'early', 'a frame that came with the request');
    is(open_echo('/echo', headers => { Cookie => 'x' x 5000 })->status, 101,
        'large headers');
};

subtest '1 framing' => sub {
    for my $n (0, 125, 126, 127, 128, 65535, 65536) {
        for my $op (0x81, 0x82) {
            my $data = 'x' x $n;
            my $s = open_echo();
            $s->frame($op, $data);
            my $f = $s->next;
            ok($f && $f->[0] == ($op & 15) && $f->[1] eq $data,
                "opcode $op, $n bytes");
        }
    }
    my $s = open_echo();
    for my $byte (split //, Travel::Socket->encode(0x81, 'one by one')) {
        $s->raw($byte);
        sleep 0.002;
    }
    is($s->next->[1], 'one by one', 'byte by byte');
};

subtest '2 pings and pongs' => sub {
    echoes('ping', [0x89, ''], [[10, '']]);
    echoes('ping with a payload', [0x89, "\xff\x00x"], [[10, "\xff\x00x"]]);
    echoes('of 125', [0x89, 'p' x 125], [[10, 'p' x 125]]);
    breaks('of 126', 1002, [0x89, 'p' x 126]);
    echoes('unasked pong', [0x8A, 'x'], [0x89, 'y'], [[10, 'y']]);
    echoes('ten', (map { [0x89, $_] } 1 .. 10), [map { [10, $_] } 1 .. 10]);
};

subtest '3 reserved bits, 4 opcodes' => sub {
    breaks(sprintf('first byte %02x', $_), 1002, [$_, 'x'])
        for 0xC1, 0xA1, 0x91, 0xF1, 0xC9, 0xA8, 0x83, 0x87, 0x8B, 0x8F;
    my $s = open_echo();
    $s->frame(0x81, 'before');
    $s->frame(0x83, 'x');
    is($s->next->[1], 'before', 'what came before is answered');
    is(scalar $s->closed, 1002, 'then closed');
    breaks('no mask', 1002, "\x81\x01x");
};

subtest '5 fragments' => sub {
    echoes('two', [0x01, 'a'], [0x80, 'b'], [[1, 'ab']]);
    echoes('ping between', [0x02, 'a'], [0x89, 'p'], [0x80, 'b'],
        [[10, 'p'], [2, 'ab']]);
    echoes('empty ones', [0x01, ''], [0x00, ''], [0x80, ''], [[1, '']]);
    echoes('empty around', [0x01, ''], [0x00, 'm'], [0x80, ''], [[1, 'm']]);
    breaks('a control in two', 1002, [0x09, 'a'], [0x80, 'b']);
    breaks('nothing to continue', 1002, [0x80, 'x']);
    breaks('nothing to continue, more', 1002, [0x00, 'x']);
    breaks('text within text', 1002, [0x01, 'x'], [0x81, 'y']);
    breaks('after the end', 1002, [0x81, 'x'], [0x80, 'y']);
    echoes('pings between all of many', (map { ([$_ ? 0x00 : 0x02, "f$_,"],
        [0x89, "p$_"], [0x8A, 'unasked']) } 0 .. 9), [0x80, 'end'],
        [(map { [10, "p$_"] } 0 .. 9),
        [2, join('', map { "f$_," } 0 .. 9) . 'end']]);
    breaks('a close between', 1000, [0x01, 'x'], [0x88, pack 'n', 1000]);
    breaks('a reserved opcode between', 1002, [0x01, 'x'], [0x8B, '']);
};

subtest '6 UTF-8' => sub {
    echoes('greek', [0x81, "\xce\xba\xe1\xbd\xb9\xcf\x83"],
        [[1, "\xce\xba\xe1\xbd\xb9\xcf\x83"]]);
    echoes('cut within a character', [0x01, "\xce"], [0x80, "\xba"],
        [[1, "\xce\xba"]]);
    breaks($_->[0], 1007, [0x81, $_->[1]]) for ['stray', "a\x80"],
        ['overlong', "\xc0\xaf"], ['surrogate', "\xed\xa0\x80"],
        ['too high', "\xf4\x90\x80\x80"], ['unfinished', "\xe2\x82"];
    breaks("no UTF-8: " . unpack('H*', $_), 1007, [0x81, $_]) for
        "\xfe", "\xf8\x88\x80\x80\x80", "\xc1\xbf", "\xe0\x9f\xbf",
        "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xc3\x28";
    # the least and the greatest of each length, around the surrogates, what is
    # no character, and what is before others
    my @good = ("\0", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbe", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf");
    echoes('all that is', (map { [0x81, $_] } @good), [map { [1, $_] } @good]);
    my @cut = map { my @c = split //, $_; my $last = pop @c; ((map { [$_ ? 0x00
        : 0x01, $c[$_]], [0x89, ''] } 0 .. $#c), [@c ? 0x80 : 0x81, $last]) }
        @good;
    echoes('each byte a fragment, pings between', @cut,
        [map { ((map { [10, ''] } 2 .. length), [1, $_]) } @good]);
    breaks('wrong in the second fragment', 1007, [0x01, "\xf4"],
        [0x00, "\x90"]);
    breaks('unfinished by the last fragment', 1007, [0x01, "\xf0\x9f"],
        [0x00, "\x98"], [0x80, '']);
    echoes('binary is not looked at', [0x82, "\xff\xfe"], [[2, "\xff\xfe"]]);
    my $s = open_echo();
    $s->raw("\x01\x84\0\0\0\0\xed\xa0");    # at once, not at the end
    is(scalar $s->closed, 1007, 'fails before the frame is complete');
};

subtest '7 closing' => sub {
    my $s = open_echo();
    $s->frame(0x88, '');
    my $f = $s->next;
    is_deeply($f, [8, '', 0], 'without a code: none in answer');
    $s->fill(5) until $s->eof;
    is($s->eof, 'closed', 'the server closes first');

    for my $code (1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999) {
        $s = open_echo();
        $s->frame(0x88, pack('n', $code) . 'bye');
        is(scalar $s->closed, $code, "code $code");
    }
    breaks("code $_", 1002, [0x88, pack 'n', $_])
        for 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
        65535;
    breaks('one byte', 1002, [0x88, "\x03"]);
    breaks('126 bytes', 1002, [0x88, pack('n', 1000) . 'x' x 124]);
    breaks('the reason is no UTF-8', 1007, [0x88, pack('n', 1000) . "\xff"]);
    breaks('the reason ends within a character', 1007,
        [0x88, pack('n', 1000) . "\xe2\x82"]);
    breaks('the longest reason', 1000, [0x88, pack('n', 1000) . 'x' x 123]);
    breaks('in two frames', 1002, [0x08, pack 'n', 1000], [0x80, '']);

    $s = open_echo();
    $s->raw(Travel::Socket->encode(0x88, pack 'n', 1000)
        . Travel::Socket->encode(0x81, 'late') x 3);
    is_deeply([map { $_ ? $_->[0] : () } $s->next, $s->next(1)], [8],
        'what comes after a close is not answered');
};

# From a seed that is told: masked or not, whole or cut, and then silence.
subtest 'garbage' => sub {
    my $seed = $ENV{TRAVEL_SEED} || int rand 1e6;
    note("TRAVEL_SEED=$seed");
    srand $seed;
    my %how;
    for my $i (1 .. 60) {
        my $junk = join '', map { chr int rand 256 } 1 .. 1 + rand 300;
        $junk = Travel::Socket->encode(int rand 256, $junk) if $i % 2;
        my $s = open_echo('/small');
        $s->raw($junk);
        CORE::shutdown($s->socket, 1);
        my $code = $s->closed(5);
        $how{$s->eof || 'open'}{$code // 'no close frame'}++;
    }
    is_deeply([keys %how], ['closed'], 'all are ended')
        or diag(explain(\%how));
    is_deeply([grep { !/^(?:no close frame|100[0-9]|101[0-9]|[34]\d{3})\z/ }
        keys %{ $how{closed} }], [], 'by codes that may be sent');
    my $s = open_echo();
    $s->text('still here');
    is($s->next->[1], 'still here', 'and it serves');
};

subtest '9 limits' => sub {
    my $s = open_echo();
    $s->frame(0x82, 'y' x 1048576);
    is(length($s->next->[1]), 1048576, '1 MB');
    $s->frame(0x82, 'y' x 1048577);
    is(scalar $s->closed, 1009, 'a byte more');

    $s = open_echo('/small');
    $s->frame(0x01, 'y' x 600);
    $s->frame(0x80, 'y' x 600);
    is(scalar $s->closed, 1009, 'in fragments');
    $s = open_echo('/small');
    $s->raw("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
    is(scalar $s->closed, 1009, '2^63 - 1 is refused by its head');
    breaks("$_->[0]", 1002, $_->[1]) for
        ['2^63', "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"],
        ['2^64 - 1', "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"],
        ['125 in two bytes', "\x82\xfe\0\x7d\0\0\0\0"],
        ['65535 in eight', "\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"];
    $s = open_echo();
    my $mega = join '', map { chr 32 + $_ % 90 } 1 .. 1048576;
    for my $size (65536, 4096, 512) {
        my @f = unpack "(a$size)*", $mega;
        $s->raw(join '', map { Travel::Socket->encode(($_ ? 0 : 1)
            | ($_ == $#f ? 0x80 : 0), $f[$_]) } 0 .. $#f);
        ok($s->next->[1] eq $mega, "1 MB in fragments of $size");
    }

    $s = open_echo('/small');
    $s->frame(0x89, '') for 1 .. 100;
    my ($code, $why) = $s->closed;
    is("$code $why", '1008 too many messages', 'a flood of pings');
    for my $flood (['pongs', 0x8A], ['empty fragments', 0x00]) {
        $s = open_echo('/small');
        $s->frame(0x01, '');
        $s->raw(Travel::Socket->encode($flood->[1], '') x 200);
        is(scalar $s->closed, 1008, "a flood of $flood->[0]");
    }

    # where no rate bounds them, by one who does not read what he asks for
    my $was = memory();
    my $slow = metric('travel_live_ended_total{how="slow"}');
    $s = open_echo('/flood', port => $t->port + 1);
    my $pings = Travel::Socket->encode(0x89, '') x 20000;
    my $end = time + 20;
    1 while time < $end && $s->raw($pings)
        && metric('travel_live_ended_total{how="slow"}') == $slow;
    is(metric('travel_live_ended_total{how="slow"}'), $slow + 1,
        'a flood of pings, unread: it is let go');
    cheap($was, '... and costs no more than its queue');
};

subtest '12 permessage-deflate' => sub {
    my $pmd = 'permessage-deflate';
    my $ours = "$pmd; server_no_context_takeover; client_no_context_takeover";
    my $s = open_echo('/echo', headers => {
        'Sec-WebSocket-Extensions' => "$pmd; client_max_window_bits" });
    is($s->header('Sec-WebSocket-Extensions'), $ours, 'agreed');

    my $pack = sub {
        my $d = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15,
            -AppendOutput => 1, defined $_[1] ? (-Dictionary => $_[1]) : ());
        $d->deflate($_[0], my $out);
        $d->flush($out, Z_SYNC_FLUSH);
        return substr $out, 0, -4;
    };
    my $unpack = sub {
        my $i = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15);
        my $in = $_[0] . "\0\0\xff\xff";
        $i->inflate($in, my $out);
        return $out;
    };
    for my $text ('', 'Hello', join(',', 1 .. 3000)) {
        $s->frame(0xC1, $pack->($text));
        my $f = $s->next;
        is($f->[2] ? $unpack->($f->[1]) : $f->[1], $text,
            length($text) . " bytes, packed: $f->[2]");
    }
    $s->frame(0x81, 'plain');
    is_deeply($s->next, [1, 'plain', 0], 'not packed');
    my $packed = $pack->('in two' x 100);
    $s->frame(0x41, substr $packed, 0, 5);
    $s->frame(0x80, substr $packed, 5);
    is($unpack->($s->next->[1]), 'in two' x 100, 'fragmented');
    my $long = join ',', 1 .. 50;
    my @bytes = split //, $pack->($long);
    $s->raw(join '', map { Travel::Socket->encode(($_ ? 0 : 0x41)
        | ($_ == $#bytes ? 0x80 : 0), $bytes[$_]) } 0 .. $#bytes);
    is($s->next->[1], $long, 'each byte a fragment');
    for my $case (['a stored block', "\0\5\0\xfa\xffHello\0", 'Hello'],
        ['two blocks', $pack->('Hello') . "\0\0\xff\xff" . $pack->(', you'),
            'Hello, you'],
        ['the final bit', "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 'Hello'],
        ['nothing', "\0", ''])
    {
        $s->frame(0xC1, $case->[1]);
        is($s->next->[1], $case->[2], $case->[0]);
    }
    $s->frame(0xC1, $pack->("\xff"));
    is(scalar $s->closed, 1007, 'no UTF-8 inside');

    # 64 MB of zeroes between two full flushes can be repeated
    my $d = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15,
        -AppendOutput => 1);
    my $bomb = '';
    $d->deflate("\0" x 1048576, $bomb) for 1 .. 64;
    $d->flush($bomb, Z_FULL_FLUSH);
    $bomb x= int 1048000 / length $bomb;
    my ($was, $spent) = (memory(), spent());
    for my $case (['garbage', 0xC2, "\xff\xff\xff", 1007],
        ['a stored block cut short', 0xC2, "\0\5\0\xfa\xffHe", 1007],
        ['what refers to an earlier message', 0xC2, $pack->($long, $long),
            1007],
        ['3 MB, packed', 0xC2, $pack->("\0" x 3_000_000), 1009],
        [length($bomb) . ' bytes that are a gigabyte', 0xC2, $bomb, 1009],
        ['a packed ping', 0xC9, 'x', 1002],
        ['another reserved bit', 0xE1, $pack->('x'), 1002])
    {
        $s = open_echo('/echo', headers => {
            'Sec-WebSocket-Extensions' => $pmd });
        $s->frame($case->[1], $case->[2]);
        is(scalar $s->closed, $case->[3], $case->[0]);
    }
    cheap($was, 'bombs cost no memory');
    cmp_ok(spent() - $spent, '<', 500, '... and no time');
    $s = open_echo('/echo', headers => { 'Sec-WebSocket-Extensions' => $pmd });
    $s->frame(0x41, $pack->('x'));
    $s->frame(0xC0, '');
    is(scalar $s->closed, 1002, 'the bit again, on a continuation');
    is(open_echo('/echo', headers => { 'Sec-WebSocket-Extensions' => $_->[0] })
        ->header('Sec-WebSocket-Extensions'), $_->[1], $_->[0])
        for ["$pmd; server_max_window_bits=10",
            "$ours; server_max_window_bits=10"],
        ["$pmd; server_max_window_bits=7", undef], ['x-other', undef],
        ["$pmd; nonsense, $pmd", $ours];
    is(open_echo('/small', headers => { 'Sec-WebSocket-Extensions' => $pmd })
        ->header('Sec-WebSocket-Extensions'), undef, 'off');
};

subtest 'rude, slow, gone' => sub {
    my $s = open_echo('/small');
    my $f = $s->next(5, pings => 1);
    is($f && $f->[0], 9, 'a ping comes by itself');
    $s->fill(1) until $s->eof || $s->{in} =~ /\x{0}{999}/;
    is($s->eof, 'closed', 'who never answers is dropped');

    # a frame that never ends, from a client that answers pings
    $s = open_echo('/small');
    $s->raw(substr Travel::Socket->encode(0x81, 'x' x 100), 0, 20);
    my $code;
    my $end = time + 8;
    while (time < $end && (my $f = $s->next(3, pings => 1))) {
        if ($f->[0] == 8) { $code = unpack 'n', $f->[1]; last }
        $s->raw('x');
    }
    is($code, 1008, 'slow-loris');

    # asks for much and reads nothing
    my $slow = metric('travel_live_ended_total{how="slow"}');
    $s = open_echo();
    $s->socket->blocking(0);
    my $mega = Travel::Socket->encode(0x82, 'z' x 1_000_000);
    my ($at, $tick) = (0, 0);
    $end = time + 15;
    while (time < $end) {
        my $w = syswrite $s->socket, $mega, length($mega) - $at, $at;
        if ($w) { $at = ($at + $w) % length $mega; next }
        last if !$!{EAGAIN}
            || metric('travel_live_ended_total{how="slow"}') > $slow;
        sleep 0.05;
    }
    undef $s;
    wait_for(sub { metric('travel_live_ended_total{how="slow"}') > $slow },
        15, 'who does not read is let go');

    open_echo()->close for 1 .. 20;
    wait_for(sub {
        my ($o) = metric('travel_live_opened_total');
        my $e = 0;
        $e += metric("travel_live_ended_total{how=\"$_\"}")
            for qw(closed lost silent slow broken flood released);
        return $o == $e;
    }, 15, 'all that opened has ended');
};

subtest 'reload' => sub {
    my @s = map { open_echo() } 1 .. 50;
    is($_->status, 101, 'open') for $s[0];
    # some do not read, some never answer: the old worker ends all the same
    my @deaf = map { open_echo() } 1 .. 3;
    my $mega = Travel::Socket->encode(0x82, 'z' x 1_000_000);
    $deaf[0]->socket->blocking(0);
    1 while syswrite $deaf[0]->socket, $mega;
    my ($old) = $t->children_of('nginx');
    $t->reload;
    ok(wait_for(sub { !kill 0, $old }, 15), 'it ends in its time');
    is(scalar(grep { ($_->closed)[0] == 1001 } @s), 50, 'all are told 1001');
    my $s = open_echo();
    $s->text('again');
    is($s->next->[1], 'again', 'and the new ones serve');
};

# Of the nginx worker: KB that are its own; CPU spent, in ms.
sub memory {
    my ($pid) = $t->children_of('nginx');
    return (slurp("/proc/$pid/smaps_rollup")
        =~ /^Private_Dirty:\s+(\d+)/m)[0];
}

# Sanitizers keep what is freed.
sub cheap {
    my ($was, $name) = @_;
    my $more = memory() - $was;
    return ok(1, "$name: not under a sanitizer") if $ENV{TRAVEL_SAN};
    cmp_ok($more, '<', 4096, "$name: $more KB");
}

sub spent {
    my ($pid) = $t->children_of('nginx');
    my @f = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr;
    return 10 * ($f[11] + $f[12]);
}

sub metric {
    my ($name) = @_;
    my $m = $t->get('/metrics')->{content};
    return ($m =~ /^\Q$name\E (\d+)/m)[0] // 0;
}

$t->finish;
done_testing;
