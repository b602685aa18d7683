package Travel::Origin;

# An origin server that answers as it is told and remembers what it was asked.
#
#     my $o = Travel::Origin->start($port);
#     $o->set('/x', headers => ['Cache-Control: max-age=60'], body => 'one');
#     ... requests through nginx ...
#     my @seen = $o->seen('/x');     # { method, target, headers => { lower } }
#     $o->stop;
#
# An answer: status (200), headers (lines; Date is added unless 'date' is
# undef), body ("%n" is how many requests for the path there were), delay
# (seconds before it), chunked, cut (bytes of the body after which it breaks
# off), raw (all of it, as it is), etag (304 when If-None-Match has it, with
# the same headers), hold (a file: waits while it exists).  Each request is a
# process of its own; a path without an answer is a 404.

use strict;
use warnings;
use Fcntl ':flock';
use File::Temp ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

my $JSON = JSON::PP->new->utf8->canonical;

sub start {
    my ($class, $port) = @_;
    my $dir = File::Temp::tempdir('/tmp/travel-o-XXXXXX', CLEANUP => 1);
    my $self = bless { port => $port, dir => $dir, pid => 0, owner => $$ }, $class;
    $self->up;
    return $self;
}

sub up {
    my ($self) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 128, ReuseAddr => 1)
        or die "origin: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $SIG{TERM} = 'DEFAULT';
        $SIG{CHLD} = 'IGNORE';
        $self->_serve($socket);
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
}

# The port refuses connections from now on.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    $self->stop if $self->{owner} == $$;
}

sub _name { return $_[0] =~ s/[^A-Za-z0-9]/_/gr }

sub set {
    my ($self, $path, %answer) = @_;
    $answer{date} = 'now' unless exists $answer{date};
    my $file = "$self->{dir}/answer." . _name($path);
    open my $f, '>', "$file.new" or die "$file: $!";
    print $f $JSON->encode(\%answer);
    close $f;
    rename "$file.new", $file or die "$file: $!";
}

sub seen {
    my ($self, $path) = @_;
    open my $f, '<', "$self->{dir}/log." . _name($path) or return;
    return map { $JSON->decode($_) } <$f>;
}

sub count { my ($self, $path) = @_; return scalar(my @all = $self->seen($path)) }

# --- the server's side ---------------------------------------------------------

sub _serve {
    my ($self, $socket) = @_;
    while (1) {
        my $client = $socket->accept or next;
        my $pid = fork;
        next if !defined $pid || $pid;
        close $socket;
        eval { $self->_answer($client) };
        POSIX::_exit(0);
    }
}

sub _request {
    my ($client) = @_;
    my $line = <$client> // return;
    my ($method, $target) = $line =~ /^(\S+) (\S+)/ or return;
    my %headers;
    while (defined(my $h = <$client>)) {
        last if $h =~ /^\r?\n$/;
        my ($k, $v) = $h =~ /^([^:]+):\s*(.*?)\r?\n/ or next;
        $k = lc $k;
        $headers{$k} = defined $headers{$k} ? "$headers{$k}, $v" : $v;
    }
    my $body = '';
    read $client, $body, $headers{'content-length'}
        if $headers{'content-length'};
    return { method => $method, target => $target, headers => \%headers,
        body => $body };
}

# Notes the request; how many there were for its path.
sub _note {
    my ($self, $path, $request) = @_;
    open my $f, '+>>', "$self->{dir}/log." . _name($path) or die;
    flock $f, LOCK_EX;
    print $f $JSON->encode($request), "\n";
    $f->flush;
    seek $f, 0, 0;
    my $n = () = <$f>;
    return $n;
}

sub http_date { return POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $_[0]) }

sub _answer {
    my ($self, $client) = @_;
    my $request = _request($client) or return;
    my ($path) = $request->{target} =~ /^([^?]*)/;
    my $file = "$self->{dir}/answer." . _name($path);
    my $a = { status => 404, date => 'now' };
    if (open my $f, '<', $file) { local $/; $a = $JSON->decode(<$f>) }
    # Once it is noted, what is set is for the next.
    my $n = $self->_note($path, $request);
    Time::HiRes::sleep($a->{delay}) if $a->{delay};
    if ($a->{hold}) { Time::HiRes::sleep(0.02) while -e $a->{hold} }
    if (defined $a->{raw}) { print $client $a->{raw}; close $client; return }

    my $status  = $a->{status} // 200;
    my @headers = @{ $a->{headers} // [] };
    push @headers, "ETag: $a->{etag}" if $a->{etag};
    push @headers, 'Date: ' . http_date(time) if ($a->{date} // '') eq 'now';
    push @headers, "Date: $a->{date}"
        if defined $a->{date} && $a->{date} ne 'now';
    my $body = ($a->{body} // 'answer %n') =~ s/%n/$n/gr;

    if ($a->{etag}
        && index($request->{headers}{'if-none-match'} // '', $a->{etag}) >= 0)
    {
        $status = 304;
        @headers = (@headers, @{ $a->{headers_304} // [] });
    }
    my $none = $status == 304 || $status == 204;
    push @headers, $a->{chunked} ? 'Transfer-Encoding: chunked'
        : 'Content-Length: ' . length $body
        unless $none || $a->{until_close};
    my $head = "HTTP/1.1 $status X\r\nConnection: close\r\n"
        . join('', map { "$_\r\n" } @headers) . "\r\n";
    $body = '' if $none || $request->{method} eq 'HEAD';
    my $cut = $a->{cut} // length $body;
    $body = substr $body, 0, $cut;
    if ($a->{chunked} && !$none) {
        $body = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
            $body =~ /(.{1,1000})/gs;
        $body .= "0\r\n\r\n" unless defined $a->{cut};
    }
    print $client $head, $body;
    close $client;
}

1;
