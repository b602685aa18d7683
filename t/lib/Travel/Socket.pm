package Travel::Socket;

# A WebSocket client that can be as rude as a test wants: frames by hand.
#
#     my $s = Travel::Socket->open($t, '/live', token => ..., headers => ...);
#     $s->status;                       # 101, or what else came
#     $s->text('hello');  $s->frame(0x81, 'hello');  $s->raw($bytes);
#     my $m = $s->next;                 # [opcode, payload, rsv1], undef: none
#     my ($code, $reason) = $s->closed; # waits for the close, then for EOF

use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Time::HiRes qw(time);

my $JSON = JSON::PP->new->utf8->canonical;

sub open {
    my ($class, $t, $path, %o) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $o{port} || $t->port, %{ $o{socket} || {} })
        or die "connect: $!";
    $s->autoflush(1);
    my %h = (Host => '127.0.0.1', Upgrade => 'websocket',
        Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
        $o{token} ? (Authorization => "Bearer $o{token}") : (),
        %{ $o{headers} || {} });
    my $self = bless { socket => $s, in => '', head => '' }, $class;
    $self->raw(join("\r\n", "GET $path HTTP/1.1",
        (map { "$_: $h{$_}" } grep { defined $h{$_} } sort keys %h), '', '')
        . ($o{with} // ''));
    return $self if $o{no_wait};
    $self->fill($o{timeout} // 10) until $self->{eof}
        || $self->{in} =~ s/\A(.*?\r\n\r\n)//s;
    $self->{head} = $1 // '';
    return $self;
}

sub status { ($_[0]{head} =~ m{\AHTTP/1\.1 (\d+)})[0] }
sub header { ($_[0]{head} =~ /^\Q$_[1]\E: *(.*?)\r$/mi)[0] }
sub socket { $_[0]{socket} }
sub eof    { $_[0]{eof} }

# More bytes within the time, or the end; false: neither.
sub fill {
    my ($self, $seconds) = @_;
    return 0 if $self->{eof};
    if (!IO::Select->new($self->{socket})->can_read($seconds)) {
        $self->{eof} = 'timeout' if $self->{head} eq '';
        return 0;
    }
    my $n = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
    $self->{eof} = 'closed' unless $n;
    return 1;
}

sub raw {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite($self->{socket}, $bytes) or return 0;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

sub encode {
    my ($class, $first, $data) = @_;
    my $n = length $data;
    my $len = $n < 126 ? pack('C', 128 | $n)
        : $n < 65536 ? pack('Cn', 254, $n) : pack('CQ>', 255, $n);
    my $mask = "\x12\x34\xAB\xCD";
    return pack('C', $first) . $len . $mask
        . ("$data" ^ substr($mask x ($n / 4 + 1), 0, $n));
}

sub frame { $_[0]->raw($_[0]->encode($_[1], $_[2] // '')) }
sub text  { $_[0]->frame(0x81, $_[1]) }
sub json  { $_[0]->text($JSON->encode($_[1])) }

# The next frame that is no ping of the server (with pings => 1: any).
sub next {
    my ($self, $seconds, %o) = @_;
    my $end = time + ($seconds // 10);
    while (1) {
        if (my $f = $self->parse) {
            next if $f->[0] == 9 && !$o{pings};
            return $f;
        }
        return if $self->{eof} || time > $end;
        $self->fill($end - time > 0 ? $end - time : 0);
    }
}

sub parse {
    my ($self) = @_;
    return if length $self->{in} < 2;
    my ($first, $n) = unpack 'CC', $self->{in};
    my $head = $n < 126 ? 2 : $n == 126 ? 4 : 10;
    return if length $self->{in} < $head;
    $n = unpack $n == 126 ? 'x2n' : 'x2Q>', $self->{in} if $n >= 126;
    return if length $self->{in} < $head + $n;
    my $data = substr $self->{in}, $head, $n;
    substr $self->{in}, 0, $head + $n, '';
    return [$first & 15, $data, $first >> 6 & 1];
}

# The next message as JSON.
sub next_json {
    my ($self, $seconds) = @_;
    my $f = $self->next($seconds) or return;
    return $f->[0] == 1 ? $JSON->decode($f->[1]) : { close => unpack('n', $f->[1]) };
}

# Reads on to the close frame, answers it, and waits for the end.
sub closed {
    my ($self, $seconds) = @_;
    my ($code, $reason);
    while (my $f = $self->next($seconds)) {
        next unless $f->[0] == 8;
        ($code, $reason) = unpack 'na*', $f->[1];
        $self->frame(0x88, $f->[1]);
        last;
    }
    my $end = time + ($seconds // 10);
    $self->fill(0.5) until $self->{eof} || time > $end;
    return wantarray ? ($code, $reason) : $code;
}

sub close { close $_[0]{socket} }

1;
