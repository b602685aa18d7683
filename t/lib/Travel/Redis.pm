package Travel::Redis;

# A small blocking Redis client: RESP2 over a unix socket, for tests only.
# Errors die; replies come as strings, numbers, undef or array references.

use strict;
use warnings;
use IO::Socket::UNIX ();

sub new {
    my ($class, %o) = @_;
    my $sock = IO::Socket::UNIX->new(Peer => $o{socket})
        or die "redis $o{socket}: $!\n";
    my $self = bless { sock => $sock, buf => '' }, $class;
    $self->call('AUTH', $o{user}, $o{password}) if $o{user};
    return $self;
}

sub call {
    my ($self, @args) = @_;
    return ($self->calls(\@args))[0];
}

# Several commands, each an array reference, in one write; their replies.
sub calls {
    my ($self, @commands) = @_;
    $self->_write(join '', map { _format(@$_) } @commands);
    return map { $self->_reply } @commands;
}

# A command whose reply is fetched later, with reply().
sub send {
    my ($self, @args) = @_;
    $self->_write(_format(@args));
}

sub reply { $_[0]->_reply }

sub _format {
    my (@args) = @_;
    my $out = '*' . @args . "\r\n";
    for (@args) {
        my $a = $_;
        utf8::encode($a) if utf8::is_utf8($a);
        $out .= '$' . length($a) . "\r\n$a\r\n";
    }
    return $out;
}

sub _write {
    my ($self, $out) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $out) {
        my $n = syswrite $self->{sock}, $out;
        die "redis: $!\n" unless defined $n;
        substr $out, 0, $n, '';
    }
}

sub _fill {
    my ($self) = @_;
    my $n = sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf};
    die 'redis: ' . (defined $n ? "closed\n" : "$!\n") unless $n;
}

sub _line {
    my ($self) = @_;
    my $at;
    $self->_fill while ($at = index $self->{buf}, "\r\n") < 0;
    my $line = substr $self->{buf}, 0, $at;
    substr $self->{buf}, 0, $at + 2, '';
    return $line;
}

sub _reply {
    my ($self) = @_;
    my $line = $self->_line;
    my $kind = substr $line, 0, 1, '';
    return $line if $kind eq '+' || $kind eq ':';
    die "redis: $line\n" if $kind eq '-';
    return undef if $line < 0;
    if ($kind eq '$') {
        $self->_fill while length $self->{buf} < $line + 2;
        my $text = substr $self->{buf}, 0, $line;
        substr $self->{buf}, 0, $line + 2, '';
        return $text;
    }
    return [map { $self->_reply } 1 .. $line] if $kind eq '*';
    die "redis: unknown reply $kind$line\n";
}

1;
