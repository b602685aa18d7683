package Travel::Pool;

# A worker pool of its own over a private PostgreSQL and queue Redis, fed with
# maintenance.noop jobs whose bodies say what to do (sleep_ms, fail_until,
# reject, crash); what ran, and in which order, is read from the pool's log.
#
#     my $p = Travel::Pool->start(conf => "processes = 2\n");
#     my $id = $p->enqueue(body => { sleep_ms => 50 }, key => $key);
#     $p->until_over($id);
#     is($p->job($id)->{status}, 'succeeded');
#     $p->finish;

use strict;
use warnings;
use JSON::PP ();
use Test::More ();
use Time::HiRes ();
use Travel::Test;

my $JSON   = JSON::PP->new->utf8->canonical;
my $SERIAL = 0;

sub start {
    my ($class, %o) = @_;
    my $t = Travel::Test->start(parts => $o{parts} // 'postgres queue',
        env => $o{env});
    my $self = bless { t => $t, %o }, $class;
    $self->{r} = $t->redis('queue');
    $self->configure($o{conf});
    $self->start_workers unless $o{stopped};
    return $self;
}

sub t { $_[0]{t} }
sub r { $_[0]{r} }

# 'conf' goes on top; what it does not say is small and quick.
sub configure {
    my ($self, $conf) = @_;
    my $t   = $self->t;
    my $dir = $t->dir;
    my $pg  = readlink "$dir/pg";
    my $queue = $t->socket('queue');
    my ($otlp, $metrics) = ($t->port + 3, $t->port + 4);
    $conf //= '';
    my %default = (processes => 1, slots => 4, lease_ttl => '3s',
        drain => '10s', log_level => 'debug', queues => '{ "maintenance" }');
    for my $name (sort keys %default) {
        $conf .= "\n$name = $default{$name}" unless $conf =~ /^\s*$name\s*=/m;
    }
    $conf .= "\n" . 'type "maintenance.noop" { retries = 3 base = 50ms '
        . 'cap = 200ms timeout = 20s }' unless $conf =~ /^\s*type /m;
    $conf .= "\n" . qq(otlp { url = "http://127.0.0.1:$otlp/v1/traces" )
        . 'sample = 0.0 }' if ($self->{parts} // '') =~ /otlp/;
    $t->write('pool.conf', <<"END");
$conf
metrics = "127.0.0.1:$metrics"
redis queue { socket = "$queue" user = "worker"
              password_file = "$dir/keys/redis-worker.password" }
postgres primary { dsn = "host=$pg dbname=travel user=travel_worker"
                   password_file = "$dir/keys/pg-worker.password" }
END
}

# --- the pool's processes ----------------------------------------------------

sub start_workers {
    my ($self) = @_;
    my $log = $self->t->dir . '/logs/worker.log';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %{ $self->t->{env} });
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        my @cmd = (Travel::Test::build() . '/travel-worker', '-c',
            $self->t->dir . '/pool.conf');
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    return push @{ $self->{pids} }, $pid;
}

# travelctl, told where this pool's configuration is: (exit code, output).
sub ctl {
    my $self = shift;
    return $self->t->ctl(@_, '--config', $self->t->dir . '/pool.conf');
}

sub pid { $_[0]{pids}[$_[1] // 0] }

sub children {
    my ($self, $n) = @_;
    my $pid = $self->pid($n);
    return split ' ', slurp("/proc/$pid/task/$pid/children");
}

# SIGTERM; the supervisor's exit status.
sub stop_workers {
    my ($self, $n) = @_;
    my $pid = splice @{ $self->{pids} }, $n // 0, 1;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    return $?;
}

sub finish {
    my ($self) = @_;
    while (@{ $self->{pids} || [] }) {
        Test::More::is($self->stop_workers, 0, 'the pool ends in order');
    }
    $self->t->finish;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    for my $pid (@{ $self->{pids} || [] }) {
        my @c = split ' ', slurp("/proc/$pid/task/$pid/children");
        kill 'CONT', @c;
        kill 'KILL', $pid, @c;
        waitpid $pid, 0;
    }
}

# --- jobs --------------------------------------------------------------------

sub new_uuid {
    my ($self, $bucket) = @_;
    my $ms = int(Time::HiRes::time() * 1000);
    return sprintf '%08x-%04x-7%03x-8%03x-%012x', $ms >> 16, $ms & 0xffff,
        $bucket // int rand 4096, int rand 4096, int rand(2**31) * 65536
        + ++$SERIAL;
}

# The commands that accept one job, as the edge sends them, and its id.
sub commands {
    my ($self, %o) = @_;
    my $queue = $o{queue} // 'maintenance';
    my $part  = $o{partition} // int rand 4;
    my $uuid  = $o{uuid} // $self->new_uuid($part + 4 * int rand 1024);
    my $id    = "$queue.$part.$uuid";
    my $tag   = "travel:{$queue.$part}";
    my $now   = int(Time::HiRes::time() * 1000);
    my $type  = $o{type} // 'maintenance.noop';
    my $sub   = $o{sub} // $self->t->user(1);
    my $key   = $o{key} // $uuid;
    my $body  = ref $o{body} ? $JSON->encode($o{body}) : $o{body} // '{}';
    my @more  = map { $_ => $o{$_} } grep { defined $o{$_} }
        qw(tp deadline reply email sealed once);
    return ($id,
        ['HSET', "$tag:job:$uuid", status => 'queued', type => $type,
            queue => $queue, sub => $sub, key => $key, route => 'test',
            resource => '/x', created_at => $now, updated_at => $now,
            attempts => 0],
        ['XADD', "$tag:" . ($o{priority} // 'normal'), '*', id => $id,
            type => $type, v => 1, sub => $sub, key => $key, ts => $now,
            @more, body => $body]);
}

sub enqueue {
    my ($self, %o) = @_;
    my ($id, @commands) = $self->commands(%o);
    $self->r->call(@$_) for @commands;
    return $id;
}

# Enqueued for $ms from now, as worker_enqueue leaves it: hash, packed entry,
# sorted set.
sub delay {
    my ($self, $ms, %o) = @_;
    my $partition = $o{partition} //= 0;
    my $uuid = $o{uuid} //= $self->new_uuid($partition);
    my ($id, $hset, $xadd) = $self->commands(%o);
    my $tag = "travel:{maintenance.$partition}";
    $self->r->call(@$hset);
    $self->r->call('EVAL', q{redis.call('HSET', KEYS[1], 'entry',
        cmsgpack.pack(ARGV))}, 1, "$tag:job:$uuid", @$xadd[3 .. $#$xadd]);
    $self->r->call('ZADD', "$tag:delayed", 
        int(Time::HiRes::time() * 1000) + $ms, $uuid);
    return $id;
}

# Many at once, pipelined; their ids.
sub preload {
    my ($self, $n, %o) = @_;
    my @ids;
    while (@ids < $n) {
        my @c;
        while (@c < 1000 && @ids < $n) {
            my ($id, @commands) = $self->commands(%o);
            push @ids, $id;
            push @c, @commands;
        }
        $self->pipeline(@c);
    }
    return @ids;
}

sub pipeline {
    my ($self, @commands) = @_;
    my $r = $self->r;
    $r->_write(join '', map {
        '*' . @$_ . "\r\n" . join '', map { '$' . length($_) . "\r\n$_\r\n" } @$_
    } @commands);
    return map { $r->_reply } @commands;
}

sub hash_key {
    my ($self, $id) = @_;
    my ($part, $uuid) = $id =~ /^(\w+\.\d+)\.(.*)$/;
    return "travel:{$part}:job:$uuid";
}

# The entries of :ended that name the job.
sub noted {
    my ($self, $id) = @_;
    my ($part, $uuid) = $self->hash_key($id) =~ /^(.*:)job:(.*)$/;
    return grep { index($_->[1][1], $uuid) >= 0 }
        @{ $self->r->call('XRANGE', "${part}ended", '-', '+') };
}

# As if these jobs of one partition, alone there, had been noted as over so many
# seconds ago, and had said so themselves.
sub over_since {
    my ($self, $seconds, @ids) = @_;
    my $at = int(1000 * (time - $seconds));
    my @hashes = map { $self->hash_key($_) } @ids;
    $self->r->call('EVAL', <<'LUA', 1 + @ids, $hashes[0] =~ s/job:.*/ended/r, @hashes,
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[1], ARGV[1] .. '-1', 'uuids', ARGV[2])
for i = 2, #KEYS do redis.call('HSET', KEYS[i], 'updated_at', ARGV[1]) end
LUA
        $at, join '', map { s/.*\.//r } @ids);
}

sub job {
    my ($self, $id) = @_;
    return { @{ $self->r->call('HGETALL', $self->hash_key($id)) } };
}

sub status { return $_[0]->job($_[1])->{status} // '' }

sub until_status {
    my ($self, $id, $status, $seconds) = @_;
    return wait_for(sub { $self->status($id) =~ /^(?:$status)$/ },
        $seconds // 10, "$id to be $status");
}

sub until_over {
    my ($self, $id, $seconds) = @_;
    return $self->until_status($id, 'succeeded|failed|dead|cancelled',
        $seconds);
}

# How many jobs have which status.
sub census {
    my ($self, @ids) = @_;
    my %n;
    while (my @some = splice @ids, 0, 1000) {
        $n{ $_ // 'gone' }++ for $self->pipeline(
            map { ['HGET', $self->hash_key($_), 'status'] } @some);
    }
    return \%n;
}

# Entries in streams and delayed ones: zero when all is done.
sub left {
    my ($self) = @_;
    my $n = 0;
    for my $part (0 .. 3) {
        my $tag = "travel:{maintenance.$part}";
        for my $p (qw(high normal low)) {
            $n += $self->r->call('XLEN', "$tag:$p");
        }
        $n += $self->r->call('ZCARD', "$tag:delayed");
    }
    return $n;
}

sub until_empty {
    my ($self, $seconds) = @_;
    return wait_for(sub { $self->left == 0 }, $seconds // 30,
        'streams to be empty');
}

# --- what the pool said ------------------------------------------------------

sub log_lines {
    my ($self, $match) = @_;
    return grep { !$match || $_->{msg} =~ $match }
        $self->t->_lines('logs/worker.log', 'log');
}

# Jobs in the order in which their runs ended.
sub ran {
    my ($self, $key) = @_;
    return map { $_->{job} } grep { $_->{job} && (!$key || $_->{key} eq $key) }
        $self->log_lines(qr/^(?:succeeded|failed|retrying|snoozed|dead)/);
}

sub owners {
    my ($self) = @_;
    my %o = map { @$_ } $self->t->sql('SELECT partition, owner FROM '
        . "jobs.partition WHERE queue = 'maintenance' AND owner IS NOT NULL "
        . 'AND expires_at > clock_timestamp()', role => 'travel_worker');
    return \%o;
}

sub until_owned {
    my ($self) = @_;
    return wait_for(sub { keys %{ $self->owners } == 4 }, 15,
        'all partitions to be owned');
}

sub metrics {
    my ($self) = @_;
    my $r = $self->t->request('GET', '/metrics',
        base => 'http://127.0.0.1:' . ($self->t->port + 4));
    return $r->{content};
}

1;
