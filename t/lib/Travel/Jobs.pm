package Travel::Jobs;

# Runs single jobs outside the queue (travelctl jobs run) against the real
# PostgreSQL, sandbox, SMTP sink and collector of a Travel::Test instance.
#
#     my $j = Travel::Jobs->start;
#     my $r = $j->job('booking.create', { ... }, id => $id, sub => $user);
#     $r->{verdict}, $r->{result}, $r->{error}
#
# 'more' is more of workers.conf, 'partner' of each partner's section.
#
# 'mode' sets the sandbox's mood (slow, fail, refuse; "@step" for one step).

use strict;
use warnings;
use JSON::PP ();
use POSIX ();
use Time::HiRes ();
use Travel::Test ();

my $JSON = JSON::PP->new->utf8->canonical;

sub start {
    my ($class, %o) = @_;
    my $t = Travel::Test->start(
        parts => $o{parts} // 'postgres sandbox smtp otlp');
    my $self = bless { t => $t, timeout => $o{timeout} // '5s',
        more => $o{more}, partner => $o{partner} }, $class;
    $self->configure;
    return $self;
}

sub t { $_[0]{t} }

# A workers.conf of its own: these jobs need no Redis.
sub configure {
    my ($self, %o) = @_;
    my $t   = $self->t;
    my $dir = $t->dir;
    my $pg  = readlink "$dir/pg";
    my ($sandbox, $smtp, $otlp) = map { $t->port + $_ } 1 .. 3;
    my $more = $o{more} // $self->{more} // '';
    my $queue = readlink("$dir/queue.sock") // "$dir/queue.sock";
    my $root = Travel::Test::root();
    my $timeout = $o{timeout} // $self->{timeout};
    my $partners = join "\n", map {
        qq(partner $_ { url = "http://127.0.0.1:$sandbox" timeout = "$timeout")
            . ' ' . ($o{partner} // $self->{partner} // '') . ' }'
    } qw(opentable klook tabelog);
    $t->write('jobs.conf', <<"END");
prompts   = "$root/conf/travel/prompts"
templates = "$root/conf/travel/templates"
redis queue { socket = "$queue" user = "worker"
              password_file = "$dir/keys/redis-worker.password" }
postgres primary { dsn = "host=$pg dbname=travel user=travel_worker"
                   password_file = "$dir/keys/pg-worker.password" }
smtp { host = "127.0.0.1" port = $smtp from = "Travel <travel\@travel.local>" }
otlp { url = "http://127.0.0.1:$otlp/v1/traces" sample = 0.0 }
$partners
$more
END
}

sub _command {
    my ($self, $type, $body, %o) = @_;
    my @opts;
    for my $name (sort keys %o) {
        push @opts, $o{$name} eq 'yes' ? "--$name" : ("--$name", $o{$name});
    }
    return (Travel::Test::build() . '/travelctl', 'jobs', 'run', '--config',
        $self->t->dir . '/jobs.conf', @opts, $type, $JSON->encode($body));
}

sub _read {
    my ($self, $rc, $out) = @_;
    my ($line) = grep { /^\{.*"verdict"/ } split /\n/, $out;
    my $r = $line ? $JSON->decode($line) : { verdict => 'none' };
    return { %$r, rc => $rc, output => $out };
}

sub job {
    my ($self, $type, $body, %o) = @_;
    return $self->_read($self->t->run($self->_command($type, $body, %o)));
}

# The same in the background: an object to kill, or to wait for.
sub spawn {
    my ($self, $type, $body, %o) = @_;
    my $log = $self->t->dir . '/spawn.' . ++$self->{spawned};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %{ $self->t->{env} },
            PGPASSFILE => $self->t->dir . '/keys/pgpass');
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        my @cmd = $self->_command($type, $body, %o);
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    return { pid => $pid, log => $log };
}

sub finish_spawned {
    my ($self, $s) = @_;
    waitpid $s->{pid}, 0;
    return $self->_read($? >> 8, Travel::Test::slurp($s->{log}));
}

sub kill_spawned {
    my ($self, $s) = @_;
    kill 'KILL', $s->{pid};
    waitpid $s->{pid}, 0;
    # the lease of the dead lapses; a test need not wait for it
    $self->t->sql(q{UPDATE jobs.partition SET expires_at = '-infinity'});
}

sub mode {
    my ($self, $mode) = @_;
    my $path = $self->t->dir . '/sandbox.mode';
    return $mode ? $self->t->write('sandbox.mode', "$mode\n") : unlink $path;
}

# The worker pool on the same config, for tests of whole flows.
sub start_workers {
    my ($self) = @_;
    my $log = $self->t->dir . '/logs/worker.log';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %{ $self->t->{env} },
            PGPASSFILE => $self->t->dir . '/keys/pgpass');
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        my @cmd = (Travel::Test::build() . '/travel-worker', '-c',
            $self->t->dir . '/jobs.conf');
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    return $self->{workers} = $pid;
}

# kill -9 to one worker process.
sub kill_worker {
    my ($self) = @_;
    my $pid = $self->{workers};
    my @c = split ' ', Travel::Test::slurp("/proc/$pid/task/$pid/children");
    kill 'KILL', $c[rand @c] if @c;
    return scalar @c;
}

# SIGTERM; the supervisor's exit status.
sub stop_workers {
    my ($self) = @_;
    my $pid = delete $self->{workers} or return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    return $?;
}

sub DESTROY {
    my ($self) = @_;
    local $?;
    $self->stop_workers;
}

# Partner calls since the last time they were asked for.
sub calls {
    my ($self) = @_;
    my @all = $self->t->partner_calls;
    my @new = @all[($self->{seen} // 0) .. $#all];
    $self->{seen} = @all;
    return @new;
}

# Follow-up jobs waiting in the outbox, oldest first, taken out by this.
sub outbox {
    my ($self) = @_;
    my @rows = $self->t->sql('UPDATE jobs.outbox SET sent_at = now()'
        . " WHERE sent_at IS NULL AND kind = 'job' RETURNING payload");
    return map { $JSON->decode($_->[0]) } @rows;
}

# Runs a follow-up job as the relay and the queue would.
sub follow {
    my ($self, $p) = @_;
    return $self->job($p->{type}, $p->{body}, id => $p->{id},
        key => $p->{key}, sub => $p->{sub},
        $p->{tp} ? (traceparent => $p->{tp}) : ());
}

# A fresh job id of a queue, by travelctl's own making elsewhere: any UUIDv7.
sub new_id {
    my ($self, $queue) = @_;
    my $ms = int(Time::HiRes::time() * 1000);
    return sprintf '%s.%d.%08x-%04x-7%03x-8%03x-%012x', $queue, int rand 4,
        $ms >> 16, $ms & 0xffff, int rand 4096, int rand 4096,
        int rand(2**32) + ++$self->{serial};
}

sub uuid_of { my (undef, $id) = @_; return (split /\./, $id)[2] }

sub events {
    my ($self, $id) = @_;
    return map { $_->[0] } $self->t->sql(
        "SELECT type FROM events.event WHERE stream_id = '$id' ORDER BY version");
}

1;
