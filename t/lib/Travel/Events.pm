package Travel::Events;

# A client of text/event-stream (over HTTP/1.1, chunked).
#
#     my $e = Travel::Events->open($t, '/live?topic=...', token => ...);
#     $e->status;  $e->header('content-type');
#     my $ev = $e->next(5);     # { event, id, data (JSON), retry }, undef: none
#     $e->ended(5);             # has the answer come to its end?
#     $e->comments;             # how many came so far

use strict;
use warnings;
use parent -norequire, 'Travel::Socket';
use Time::HiRes qw(time);
use Travel::Socket;
use Travel::Test;

sub open {
    my ($class, $t, $path, %o) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $o{port} || $t->port, %{ $o{socket} || {} })
        or die "connect: $!";
    my $self = bless { socket => $s, in => '', head => '', body => '',
        comments => 0 }, $class;
    my %h = (Host => '127.0.0.1', Accept => 'text/event-stream',
        $o{token} ? (Authorization => "Bearer $o{token}") : (),
        %{ $o{headers} || {} });
    my $method = $o{method} || 'GET';
    $self->raw(join("\r\n", "$method $path HTTP/1.1",
        (map { "$_: $h{$_}" } grep { defined $h{$_} } sort keys %h), '', '')
        . ($o{with} // ''));
    return $self if $o{no_wait};
    $self->fill(10) until $self->{eof}
        || $self->{in} =~ s/\A(.*?\r\n\r\n)//s;
    $self->{head} = $1 // '';
    return $self;
}

# Chunks become body.
sub _chunks {
    my ($self) = @_;
    while ($self->{in} =~ /\A([0-9a-f]+)\r\n/i) {
        my ($n, $head) = (hex $1, length $&);
        return if length $self->{in} < $head + $n + 2;
        $self->{end} = 1 if $n == 0;
        $self->{body} .= substr $self->{in}, $head, $n;
        substr $self->{in}, 0, $head + $n + 2, '';
    }
}

sub next {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // 10);
    while (1) {
        $self->_chunks;
        while ($self->{body} =~ s/\A(.*?\n)\n//s) {
            my ($block, %e) = ($1);
            for (split /\n/, $block) {
                if (/\A:/) { $self->{comments}++; next }
                /\A(\w+): ?(.*)/ and $e{$1} = $2;
            }
            next unless defined $e{data} || defined $e{retry}
                || defined $e{event};
            $e{data} = json($e{data}) if ($e{data} // '') ne '';
            return \%e;
        }
        return if $self->{end} || $self->{eof} || time > $end;
        $self->fill($end - time > 0 ? $end - time : 0);
    }
}

sub comments { $_[0]{comments} }

sub ended {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // 10);
    $self->_chunks;
    while (!$self->{end} && !$self->{eof} && time < $end) {
        $self->fill(0.5);
        $self->_chunks;
    }
    return $self->{end} || $self->{eof} ? 1 : 0;
}

1;
