package Travel::Postgres;

# One query on a connection of its own, as `psql -Atq -c` gives it, but without
# a process: tests ask thousands of times.  Protocol 3.0 over a unix socket,
# with a password (SCRAM-SHA-256).
#
#     my $text = Travel::Postgres::query(socket => $path, user => 'travel_owner',
#         password => $password, database => 'travel', query => $sql);
#
# The rows' fields are apart by "\x1f", the rows end in "\n"; null is nothing.
# Several statements in one text are one transaction, as psql's -c is.  What the
# server refuses dies as "ERROR:  ..." with its detail, hint and context.

use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 sha256);
use IO::Select ();
use IO::Socket::UNIX ();
use MIME::Base64 qw(decode_base64 encode_base64);

sub query {
    my (%o) = @_;
    my $sock = IO::Socket::UNIX->new(Peer => $o{socket})
        or die "connection to $o{socket} failed: $!\n";
    my $self = bless { sock => $sock, buf => '', %o }, __PACKAGE__;
    $self->_log_in;
    my $query = $o{query};
    utf8::encode($query) if utf8::is_utf8($query);
    $self->_send('Q', "$query\0");
    my ($out, $error) = ('', undef);
    while (1) {
        my ($kind, $body) = eval { $self->_message } or die $error // '', $@;
        if ($kind eq 'D') { $out .= _row($body) }
        elsif ($kind eq 'E') { $error //= _error($body) }
        elsif ($kind eq 'Z') { last }
    }
    $self->_leave;
    die $error if defined $error;
    return $out;
}

# --- messages ----------------------------------------------------------------

sub _write {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{sock}, $bytes;
        next if !defined $n && $!{EINTR};
        die "connection lost: $!\n" unless defined $n;
        substr $bytes, 0, $n, '';
    }
}

sub _send {
    my ($self, $kind, $body) = @_;
    $self->_write($kind . pack('N', 4 + length $body) . $body);
}

sub _fill {
    my ($self, $want) = @_;
    while (length $self->{buf} < $want) {
        my $n = sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf};
        next if !defined $n && $!{EINTR};
        die 'server closed the connection unexpectedly: '
            . (defined $n ? "end\n" : "$!\n") unless $n;
    }
}

sub _message {
    my ($self) = @_;
    $self->_fill(5);
    my ($kind, $length) = unpack 'aN', $self->{buf};
    $self->_fill(1 + $length);
    my $body = substr $self->{buf}, 5, $length - 4;
    substr $self->{buf}, 0, 1 + $length, '';
    return ($kind, $body);
}

sub _row {
    my ($body) = @_;
    my ($fields, $at, @values) = (unpack('n', $body), 2);
    for (1 .. $fields) {
        my $length = unpack 'N', substr $body, $at, 4;
        $at += 4;
        if ($length == 0xffffffff) { push @values, ''; next }
        push @values, substr $body, $at, $length;
        $at += $length;
    }
    return join("\x1f", @values) . "\n";
}

sub _error {
    my ($body) = @_;
    my %f = map { substr($_, 0, 1) => substr $_, 1 } split /\0/, $body;
    my %more = (D => 'DETAIL', H => 'HINT', W => 'CONTEXT');
    return join '', "$f{S}:  $f{M}\n",
        map { defined $f{$_} ? "$more{$_}:  $f{$_}\n" : () } qw(D H W);
}

# Gone when this returns: who counts sessions afterwards does not see it.
sub _leave {
    my ($self) = @_;
    $self->_send('X', '');
    my $in = IO::Select->new($self->{sock});
    while ($in->can_read(2)) {
        last unless sysread $self->{sock}, my $rest, 65536;
    }
    close $self->{sock};
}

# --- the login (RFC 5802, RFC 7677) ------------------------------------------

sub _log_in {
    my ($self) = @_;
    my $start = pack('N', 196608) . join('', map { "$_\0" }
        user => $self->{user}, database => $self->{database},
        application_name => 'travel-test') . "\0";
    $self->_write(pack('N', 4 + length $start) . $start);
    while (1) {
        my ($kind, $body) = $self->_message;
        die _error($body) if $kind eq 'E';
        return if $kind eq 'Z';
        $self->_authenticate($body) if $kind eq 'R';
    }
}

sub _authenticate {
    my ($self, $body) = @_;
    my ($what, $data) = unpack 'Na*', $body;
    return if $what == 0 || $what == 12;          # ok, the server's proof
    if ($what == 10) {
        $self->{nonce} = encode_base64(join('', map { chr rand 256 } 1 .. 18),
            '');
        my $first = "n,,n=,r=$self->{nonce}";
        return $self->_send('p', "SCRAM-SHA-256\0"
            . pack('N', length $first) . $first);
    }
    die "a login of kind $what\n" if $what != 11;
    my ($nonce, $salt, $rounds) = $data =~ /^r=([^,]+),s=([^,]+),i=(\d+)/
        or die "SCRAM: $data\n";
    my $last = "c=biws,r=$nonce";
    my $key = hmac_sha256('Client Key',
        _salted($self->{password}, decode_base64($salt), $rounds));
    my $proof = $key ^ hmac_sha256("n=,r=$self->{nonce},$data,$last",
        sha256($key));
    $self->_send('p', "$last,p=" . encode_base64($proof, ''));
}

# Thousands of rounds, so once for each password.
my %SALTED;

sub _salted {
    my ($password, $salt, $rounds) = @_;
    return $SALTED{"$rounds $salt $password"} //= do {
        my $sum = my $u = hmac_sha256($salt . pack('N', 1), $password);
        for (2 .. $rounds) {
            $u = hmac_sha256($u, $password);
            $sum ^= $u;
        }
        $sum;
    };
}

1;
