package Travel::Node;

# A further nginx on the Redis and PostgreSQL of a Travel::Test instance: a
# port, zones, logs and temporary files of its own.
#
#     my $b = Travel::Node->start($t);            # $t's own nginx is node 1
#     my $c = Travel::Node->start($t, edit => sub { s/a/b/ });
#     $b->get('/health'); $b->reload; $b->kill; $b->start_again; $b->stop;
#
# It has the methods of Travel::Test that talk to nginx (get, post, raw, token,
# children_of, reload, ...).  $t->finish reads its logs with all others, and
# stops what still runs.

use strict;
use warnings;
use parent -norequire, 'Travel::Test';
use POSIX ();
use Scalar::Util ();
use Time::HiRes ();
use Travel::Test;

sub start {
    my ($class, $t, %o) = @_;
    my $n = 2 + @{ $t->{nodes} //= [] };
    my ($port, $claim) = Travel::Test::_free_ports();
    my $self = bless { dir => $t->dir, port => $port, ports => $claim,
        number => $n, tokens => {}, http5xx => $t->{http5xx}, parts => [],
        env => $t->{env}, pid => $$ }, $class;
    push @{ $t->{nodes} }, $self;
    Scalar::Util::weaken($self->{instance} = $t);
    $self->{conf} = $self->_conf($o{edit});
    $self->start_again;
    return $self;
}

# The instance's nginx.conf with every path of nginx's own moved aside.
sub _conf {
    my ($self, $edit) = @_;
    my ($dir, $n) = @$self{qw(dir number)};
    my $was  = $self->{instance}->port;
    my $text = slurp("$dir/nginx.conf");
    $text =~ s/(listen\s+127\.0\.0\.1:)\Q$was\E\b/$1$self->{port}/g
        or die "nginx.conf listens nowhere\n";
    $text =~ s{^(\s*(?:error_log|access_log)\s+\S*/)([^/\s]+)}{$1node$n-$2}gm;
    $text =~ s{^(\s*pid\s+)\S+;}{$1$dir/node$n.pid;}gm;
    $text =~ s{^(\s*\w+_temp_path\s+)\S+/([^/\s;]+);}{$1$dir/tmp/node$n-$2;}gm;
    if ($edit) {
        local $_ = $text;
        $edit->();
        die "edit changed nothing in nginx.conf\n" if $_ eq $text;
        $text = $_;
    }
    $self->write("node$n.conf", $text);
    return "$dir/node$n.conf";
}

sub start_again {
    my ($self) = @_;
    my $log = "$self->{dir}/logs/node$self->{number}-start.log";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %{ $self->{env} });
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>>', $log or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT;
        exec 'nginx', '-p', $self->{dir}, '-c', $self->{conf}
            or POSIX::_exit(127);
    }
    $self->{master} = $pid;
    wait_for(sub { $self->get('/health', allow_5xx => 1)->{status} != 599 },
        30, "node $self->{number}") or die slurp($log);
}

sub pid_of { $_[0]{master} }

sub _end {
    my ($self, $signal) = @_;
    my $pid = delete $self->{master} or return;
    my @all = ($pid, split ' ', slurp("/proc/$pid/task/$pid/children"));
    my $end = Time::HiRes::time() + 30;
    my $again = 0;
    # A master that has only begun remembers a signal, and waits for the next.
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        my $now = Time::HiRes::time();
        if ($now > $again) {
            $signal = 'KILL' if $now > $end;
            CORE::kill $signal, $signal eq 'KILL' ? @all : $pid;
            $again = $now + 2;
        }
        Time::HiRes::sleep(0.02);
    }
}

sub stop { $_[0]->_end('QUIT') }
sub kill { $_[0]->_end('KILL') }

sub finish   { $_[0]->stop }
sub _destroy { }

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->_end('TERM') if $self->{pid} == $$;
}

1;
