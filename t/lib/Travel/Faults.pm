package Travel::Faults;

# Bad luck for an instance, in the background while a test goes on.
#
#     my $storm = Travel::Faults->storm($t,
#         [ every => 1.5, kill_child => 'workers' ],
#         [ after => 3,   crash      => 'queue'   ]);
#     ... load ...
#     my @log = $storm->end;            # [ time, fault, part, victim ], as they came
#
# Faults: kill_child (kill -9 of one random child), crash (kill -9 and start
# again), lose (the same after it was silent for 'hold' seconds: what it was
# told meanwhile is lost), restart (an orderly one), freeze and cut (for 'hold'
# seconds, 1 by default).  `every` repeats with a jitter of a half, `after` happens once.
# The storm is one child process: faults come one after another, never at once,
# and what it crashed is running again when end() returns.

use strict;
use warnings;
use IO::Select ();
use POSIX ();
use Time::HiRes qw(time sleep);

my %FAULT = (
    kill_child => sub {
        my ($t, $part) = @_;
        return $t->kill_child($part);
    },
    crash => sub {
        my ($t, $part) = @_;
        my $pid = $t->pid_of($part);
        $t->kill_part($part);
        $t->start_part($part);
        return $pid;
    },
    lose => sub {
        my ($t, $part, $hold) = @_;
        my $pid = $t->pid_of($part);
        $t->freeze($part);
        sleep $hold;
        $t->kill_part($part);
        $t->start_part($part);
        return $pid;
    },
    restart => sub {
        my ($t, $part) = @_;
        $t->restart_part($part);
        return $part;
    },
    freeze => sub {
        my ($t, $part, $hold) = @_;
        $t->freeze($part);
        sleep $hold;
        $t->unfreeze($part);
        return $part;
    },
    cut => sub {
        my ($t, $part, $hold) = @_;
        $t->cut($part, sessions => 1);
        sleep $hold;
        $t->mend($part);
        return $part;
    },
);

# $n processes of this test's, each with $work->($number, $out): a line of words
# apart by tabs for each thing that it was told.  rows() waits for them:
#
#     my $clients = Travel::Faults->clients($t, 3, sub { ... });
#     my @rows = $clients->rows;         # [ word, ... ], client by client
sub clients {
    my ($class, $t, $n, $work) = @_;
    my @files = map { $t->dir . "/client-$_" } 0 .. $n - 1;
    my @pids;
    for my $c (0 .. $n - 1) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            open my $out, '>', $files[$c] or POSIX::_exit(1);
            my $done = eval { $work->($c, $out); 1 } or warn $@;
            close $out;
            POSIX::_exit($done ? 0 : 1);    # no END block: the instance is not ours
        }
        push @pids, $pid;
    }
    return bless { pids => \@pids, files => \@files }, 'Travel::Faults::Clients';
}

sub Travel::Faults::Clients::rows {
    my ($self) = @_;
    waitpid $_, 0 for @{ $self->{pids} };
    return map { [split /\t/, $_, -1] }
        map { split /\n/, Travel::Test::slurp($_) } @{ $self->{files} };
}

# How long a fault test goes on: 60 s a file under prove, T under make soak.
sub seconds { return $ENV{TRAVEL_SOAK} || $_[1] || 60 }

sub storm {
    my ($class, $t, @faults) = @_;
    my @plan = map { _planned(@$_) } @faults;
    pipe my $log, my $say or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $log;
        _rage($t, $say, @plan);
        POSIX::_exit(0);            # no END block: the instance is not ours
    }
    close $say;
    return bless { pid => $pid, log => $log, said => '' }, $class;
}

sub _planned {
    my %f = @_;
    my ($kind) = grep { exists $FAULT{$_} } keys %f;
    die "no fault in @_\n" unless $kind;
    return { kind => $kind, part => $f{$kind}, every => $f{every},
             hold => $f{hold} // 1, at => time + ($f{after} // _jitter($f{every})) };
}

sub _jitter { my ($s) = @_; return $s * (0.5 + rand) }

sub _rage {
    my ($t, $say, @plan) = @_;
    my $over = 0;
    local $SIG{TERM} = sub { $over = 1 };
    srand;
    $say->autoflush(1);
    until ($over) {
        my ($next) = sort { $a->{at} <=> $b->{at} } @plan;
        last unless $next;
        my $left = $next->{at} - time;
        if ($left > 0) { sleep($left < 0.2 ? $left : 0.2); next }
        my $victim = eval { $FAULT{ $next->{kind} }
            ->($t, $next->{part}, $next->{hold}) };
        my $what = $@ ? "failed: $@" =~ s/\s+/ /gr : $victim // '-';
        printf $say "%.3f\t%s\t%s\t%s\n", time, $next->{kind}, $next->{part},
            $what;
        if ($next->{every}) { $next->{at} = time + _jitter($next->{every}) }
        else { @plan = grep { $_ != $next } @plan }
    }
}

# What happened so far, in order: [ time, fault, part, victim ].
sub seen {
    my ($self) = @_;
    my $in = IO::Select->new($self->{log});
    while ($in->can_read(0)) {
        sysread $self->{log}, $self->{said}, 65536, length $self->{said}
            or last;
    }
    return map { [split /\t/, $_, 4] } $self->{said} =~ /^(.*)\n/mg;
}

# Ends the storm; all that happened.
sub end {
    my ($self) = @_;
    return if $self->{ended}++;
    kill 'TERM', $self->{pid};
    my $log = $self->{log};
    $self->{said} .= do { local $/; readline($log) // '' };
    waitpid $self->{pid}, 0;
    return $self->seen;
}

sub DESTROY { local ($?, $@); $_[0]->end if $_[0]{pid} }

1;
