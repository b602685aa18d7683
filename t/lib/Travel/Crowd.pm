package Travel::Crowd;

# Many clients at once: each a process with an HTTP connection of its own.
# What it prints is what the test reads when the process is over.
#
#     my $c = Travel::Crowd->new($t);
#     $c->add('writer-1', sub { my ($http, $out) = @_; ... print $out "done 9" });
#     $c->running;                 # how many there still are
#     $c->over;                    # inside: has end() been called?
#     $c->end;                     # tells them, and waits
#     my @lines = $c->said('writer-1');

use strict;
use warnings;
use HTTP::Tiny ();
use POSIX ();
use Travel::Test;

sub new {
    my ($class, $t) = @_;
    return bless { t => $t, pid => {} }, $class;
}

sub add {
    my ($self, $name, $code) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid) { $self->{pid}{$name} = $pid; return }
    srand;
    open my $out, '>', $self->{t}->dir . "/crowd-$name" or POSIX::_exit(1);
    $out->autoflush(1);
    my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 1,
        max_redirect => 0);
    eval { $code->($http, $out); 1 } or print $out "died: $@";
    close $out;
    POSIX::_exit(0);
}

sub running {
    my ($self) = @_;
    for my $name (keys %{ $self->{pid} }) {
        delete $self->{pid}{$name}
            if waitpid($self->{pid}{$name}, POSIX::WNOHANG()) != 0;
    }
    return scalar keys %{ $self->{pid} };
}

sub over { return -e $_[0]{t}->dir . '/crowd-over' }

sub end {
    my ($self) = @_;
    $self->{t}->write('crowd-over', '');
    waitpid $_, 0 for values %{ $self->{pid} };
    $self->{pid} = {};
}

sub said {
    my ($self, $name) = @_;
    return split /\n/, slurp($self->{t}->dir . "/crowd-$name");
}

# One request: HTTP::Tiny's answer, and its JSON or {}.  A body is sent as JSON;
# the rest of the arguments are headers.
sub ask {
    my ($self, $http, $method, $url, $token, $body, %headers) = @_;
    my %o = (headers => { authorization => "Bearer $token", %headers });
    if ($body) {
        $o{headers}{'content-type'} = 'application/json';
        $o{content} = JSON::PP::encode_json($body);
    }
    my $r = $http->request($method, $url, \%o);
    return ($r, eval { json($r->{content}) } || {});
}

1;
