package Travel::Client;

# A client that knows how its connection ended: a request that was cut off
# before the first byte of its answer may be sent again on a new connection, and
# nothing else may happen to it.
#
#     my $c = Travel::Client->new($t, keep => 1);
#     my ($status, $why) = $c->send($bytes);     # status 0: lost, and why
#     $c->repeated;                               # how often it had to
#
# Without 'keep' every request has a connection of its own, and none is repeated.

use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use Time::HiRes qw(time);

sub new {
    my ($class, $t, %o) = @_;
    return bless { t => $t, keep => $o{keep}, repeated => 0 }, $class;
}

sub repeated { $_[0]{repeated} }

sub send {
    my ($self, $bytes) = @_;
    for my $try (1 .. 3) {
        my $fresh = !$self->{socket};
        $self->{socket} ||= $self->_dial or return (0, "connect: $!");
        my ($what, $why, $close) = exchange($self->{socket}, $bytes);
        delete $self->{socket} if $what ne 'ok' || !$self->{keep} || $close;
        return ($why) if $what eq 'ok';
        # A kept connection may be closed while it is idle: once more.
        return (0, "$what $why") if $what ne 'cut' || $fresh || !$self->{keep};
        $self->{repeated}++;
    }
    return (0, 'closed three times');
}

sub _dial {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{t}->port, Timeout => 10);
}

# ('ok', status, whether it closes), ('cut', why) before the first byte of an
# answer, or ('bad', why).
sub exchange {
    my ($s, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $n = syswrite $s, $bytes;
    return ('cut', "write: $!") unless defined $n && $n == length $bytes;
    my ($in, $sel, $end) = ('', IO::Select->new($s), time + 20);
    while (time < $end) {
        next unless $sel->can_read(1);
        my $got = sysread $s, $in, 65536, length $in;
        if (!$got) {
            my $why = defined $got ? 'closed' : "$!";
            return ($in eq '' ? 'cut' : 'bad', $why . ': ' . substr $in, 0, 80);
        }
        my ($head) = $in =~ /^(.*?\r\n\r\n)/s or next;
        my ($want) = $head =~ /^Content-Length: (\d+)/mi;
        return ('bad', "no length: $head") unless defined $want;
        next if length($in) < length($head) + $want;
        my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
        return ('ok', $status, $head =~ /^Connection: close/mi ? 1 : 0);
    }
    return ('bad', 'no answer in 20 s');
}

1;
