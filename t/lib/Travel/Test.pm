package Travel::Test;

# Starts a private instance of the whole backend, or of parts of it, and talks
# to it: HTTP, raw sockets, SQL, Redis, tokens, mails, spans, partner calls.
#
#     use Travel::Test;
#     my $t = Travel::Test->start(parts => 'all');
#     my $r = $t->get('/health');
#     is($r->{status}, 200);
#     $t->finish;                       # checks the logs; then done_testing
#
# Each instance is a folder of its own under /tmp, on free ports and private
# sockets, started by scripts/instance.sh as `make run` does.  PostgreSQL
# comes migrated and loaded, from a template (scripts/template.sh).  When the
# test ends, however it ends, everything is stopped and deleted; with
# TRAVEL_KEEP=1 the folder stays.
#
# start() options:
#   parts        list, or names in one string; 'all' for everything but
#                'replica2', a second replica that is only started by name
#   conf         nginx.conf template: a path, or text if it has a newline
#   http         what is in its http{}, as text: the usual is written around it
#   edit         sub that changes the nginx.conf template in $_
#   workers      the same for workers.conf: edit_workers => sub { ... }
#   env          what the scripts and daemons get in their environment
#   ngx_workers  nginx worker processes (2)
#   disk         1: databases on the disk, as a measurement wants them
#   allow_5xx    1: answers >= 500 are expected here (also request by request)
#   allow_log    regex of [alert]/[emerg] lines that are expected here

use strict;
use warnings;
use Cwd ();
use Exporter 'import';
use File::Path ();
use File::Temp ();
use HTTP::Tiny ();
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Socket ();
use Storable ();
use Test::More ();
use Time::HiRes ();
use Travel::Postgres ();
use Travel::Redis ();

our @EXPORT = qw(wait_for slurp json);

# HTTP::Tiny writes a body after its head; without this the kernel holds it back
# until the head is acknowledged, which takes 40 ms.
{
    no warnings 'redefine';
    my $connect = HTTP::Tiny::Handle->can('connect');
    *HTTP::Tiny::Handle::connect = sub {
        my $handle = $connect->(@_);
        setsockopt $handle->{fh}, Socket::IPPROTO_TCP(),
            Socket::TCP_NODELAY(), 1;
        return $handle;
    };
}

my $ROOT  = Cwd::abs_path(__FILE__) =~ s{/t/lib/Travel/Test\.pm\z}{}r;
my $BUILD = $ENV{TRAVEL_BUILD} || "$ROOT/build";
$BUILD = "$ROOT/$BUILD" unless $BUILD =~ m{^/};
# nginx lives where a plain user's PATH does not look.
$ENV{PATH} .= ':/usr/sbin:/sbin' unless ":$ENV{PATH}:" =~ m{:/usr/sbin:};
# A stock nginx needs the sanitizers' runtime before a sanitized module: under
# TRAVEL_SAN, whoever calls `nginx` gets one that has it.
if ($ENV{TRAVEL_SAN} && !-x "$BUILD/bin/nginx") {
    my ($real) = grep { -x } map { "$_/nginx" } split /:/, $ENV{PATH};
    chomp(my $runtime = `gcc -print-file-name=libasan.so`);
    mkdir "$BUILD/bin";
    open my $f, '>', "$BUILD/bin/nginx.$$" or die "$BUILD/bin: $!";
    print $f "#!/bin/sh\nASAN_OPTIONS=\$ASAN_OPTIONS:detect_leaks=0 "
        . "LD_PRELOAD=$runtime exec $real \"\$@\"\n";
    close $f;
    chmod 0755, "$BUILD/bin/nginx.$$";
    rename "$BUILD/bin/nginx.$$", "$BUILD/bin/nginx";
}
$ENV{PATH} = "$BUILD/bin:$ENV{PATH}" if $ENV{TRAVEL_SAN};

my @ALL = qw(postgres replica queue cache sandbox smtp otlp workers nginx);
my $JSON = JSON::PP->new->utf8->allow_nonref->canonical;
my @LIVE;

sub root  { $ROOT }
sub build { $BUILD }
sub dir   { $_[0]{dir} }
sub port  { $_[0]{port} }
sub url   { "http://127.0.0.1:$_[0]{port}" }

# --- plain helpers -----------------------------------------------------------

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or return '';
    local $/;
    return scalar <$f> // '';
}

sub json { return $JSON->decode($_[0]) }

# wait_for(sub, seconds, what): polls until true; the value, or a failed test.
sub wait_for {
    my ($cond, $seconds, $what) = @_;
    my $end = Time::HiRes::time() + ($seconds || 10);
    while (1) {
        my $v = eval { $cond->() };
        return $v if $v;
        last if Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.02);
    }
    Test::More::diag($@) if $@;
    Test::More::fail('waited ' . ($seconds || 10) . 's for '
        . ($what || 'a condition'));
    return;
}

# Five free ports in a row, below the range the kernel gives out by itself.  A
# name that only this process holds keeps another test from finding them free
# before they are taken.
sub _free_ports {
    for (1 .. 200) {
        my $base = 12000 + 5 * int rand 3500;
        my $claim = IO::Socket::UNIX->new(Listen => 1,
            Local => "\0travel-test-ports-$base") or next;
        my @held = grep { defined } map {
            IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_,
                Listen => 1, ReuseAddr => 1)
        } $base .. $base + 4;
        return ($base, $claim) if @held == 5;
    }
    die "no five free ports\n";
}

# A database that never syncs may as well live in memory.  On the disk the files
# of many instances, made and deleted all the time, cost more than what is done
# with them: ext4 looks long for an inode that was not in use a minute ago.
# Undef: there is not so much memory to spare.
sub _memory {
    my $room = 6 << 20;                 # KB
    my ($available) = slurp('/proc/meminfo') =~ /^MemAvailable: *(\d+)/m;
    return unless ($available // 0) >= $room && -w '/dev/shm';
    my ($free) = `df -kP /dev/shm` =~ /^tmpfs +\d+ +\d+ +(\d+)/m;
    return unless ($free // 0) >= $room;
    return '/dev/shm';
}

# --- life --------------------------------------------------------------------

sub start {
    my ($class, %o) = @_;
    my $self = $class->new(%o);
    $self->launch;
    return $self;
}

sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp::tempdir('/tmp/travel-t-XXXXXX');
    chmod 0755, $dir;
    my @parts = ref $o{parts} ? @{ $o{parts} } : split ' ', $o{parts} // 'all';
    @parts = @ALL if "@parts" eq 'all';
    my ($port, $claim) = _free_ports();
    my $http = delete $o{http};      # {http} is the client
    my $self = bless {
        %o, http_conf => $http, dir => $dir, parts => \@parts, port => $port, ports => $claim,
        pid => $$, http5xx => [], tokens => {},
    }, $class;
    push @LIVE, $self;

    # nginx's workers and PostgreSQL are other users, who must be able to write
    mkdir "$dir/san";
    chmod 01777, "$dir/san";
    my $san = $ENV{TRAVEL_SAN} ? ":log_path=$dir/san/san" : '';
    my $fsync = $o{env}{TRAVEL_FSYNC} // 'off';
    my $memory = $fsync eq 'off' && !$o{disk} && !$ENV{TRAVEL_SOAK}
        ? _memory() : undef;
    $self->{env} = {
        TRAVEL_RUN            => $dir,
        TRAVEL_BUILD          => $BUILD,
        PORT                  => $self->{port},
        TRAVEL_FSYNC          => $fsync,
        $memory ? (TRAVEL_PG_BASE => $memory . $dir =~ s{^/tmp}{}r) : (),
        TRAVEL_SHARED_BUFFERS => '64MB',
        TRAVEL_NGX_WORKERS    => $o{ngx_workers} // 2,
        STOP_WAIT             => 15,
        $san ? (
            ASAN_OPTIONS  => ($ENV{ASAN_OPTIONS} // '') . $san,
            UBSAN_OPTIONS => ($ENV{UBSAN_OPTIONS} // '') . $san,
        ) : (),
        %{ $o{env} || {} },
    };
    return $self;
}

# What scripts/env.sh finds out about the instance, so that each script need not.
sub _found {
    my ($self) = @_;
    my (undef, $out) = $self->run('/bin/bash', '-c', '. "$0" && exec env -0',
        "$ROOT/scripts/env.sh");
    return map { /^(TRAVEL_FOUND|TAG|PG_BIN|PG_USER|NGX_USER|PG_HOME)=(.*)/s
        ? ($1, $2) : () } split /\0/, $out;
}

sub launch {
    my ($self) = @_;
    my @p = @{ $self->{parts} };
    %{ $self->{env} } = (%{ $self->{env} }, $self->_found);
    if (grep { $_ eq 'postgres' } @p) {
        $self->script('template.sh', 'restore');
    }
    $self->script('instance.sh', 'init');
    $self->_templates;
    $self->script('instance.sh', 'start', @p) if @p;
}

# A whole nginx.conf around what a test has to say; no access log unless it says
# where.
sub _around {
    my ($http) = @_;
    my $log = $http =~ /^ *access_log/m ? '' : "    access_log off;\n";
    my $temp = join '', map { "    ${_}_temp_path \@RUN\@/tmp/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);
    return <<"END";
load_module \@BUILD\@/ngx_http_travel_module.so;
\@USER\@
worker_processes \@WORKERS\@;
error_log \@LOGS\@/error.log info;
pid \@PIDS\@/nginx.pid;
daemon off;
events { worker_connections 512; }
http {
$log$temp
$http}
END
}

# Changed templates go beside the rendered files; render.sh does the rest.
sub _templates {
    my ($self) = @_;
    $self->{conf} = _around($self->{http_conf}) if defined $self->{http_conf};
    my %set = (
        TRAVEL_NGX_CONF     => ['nginx', $self->{conf}, $self->{edit}],
        TRAVEL_WORKERS_CONF => ['workers', $self->{conf_workers},
                                $self->{edit_workers}],
    );
    for my $var (keys %set) {
        my ($name, $conf, $edit) = @{ $set{$var} };
        next unless defined $conf || $edit;
        my $text = defined $conf && $conf =~ /\n/ ? $conf
                 : slurp($conf // "$ROOT/conf/$name.conf");
        if ($edit) {
            local $_ = $text;
            $edit->();
            die "edit changed nothing in $name.conf\n" if $_ eq $text;
            $text = $_;
        }
        $self->write("$name.template", $text);
        $self->{env}{$var} = "$self->{dir}/$name.template";
    }
}

# Runs one of scripts/, in this instance's environment; dies with its output.
sub script {
    my ($self, $name, @args) = @_;
    my ($rc, $out) = $self->run("$ROOT/scripts/$name", @args);
    die "$name @args: exit $rc\n$out" if $rc;
    return $out;
}

# Any command in this instance's environment: (exit status, output of both).
sub run {
    my ($self, @cmd) = @_;
    my $log = File::Temp->new;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %{ $self->{env} }, PGPASSFILE => "$self->{dir}/keys/pgpass");
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>&', $log;
        open STDERR, '>&', $log;
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $rc = $? >> 8 || ($? & 127 ? 128 + ($? & 127) : 0);
    return ($rc, slurp("$log"));
}

# What the build's travelctl answers, likewise.
sub ctl { my $self = shift; return $self->run("$BUILD/travelctl", @_) }

# And `nginx -t` of a file of the instance.
sub nginx_t {
    my ($self, $conf) = @_;
    return $self->run('nginx', '-t', '-e', 'stderr', '-p', $self->{dir},
        '-c', "$self->{dir}/$conf");
}

sub write {
    my ($self, $name, $text) = @_;
    open my $f, '>:raw', "$self->{dir}/$name" or die "$name: $!";
    print $f $text;
    close $f or die "$name: $!";
}

# --- parts, and faults -------------------------------------------------------

sub start_part   { my $s = shift; $s->script('instance.sh', 'start', @_) }
sub stop_part    { my $s = shift; $s->script('instance.sh', 'stop', @_) }
sub kill_part    { my $s = shift; $s->script('instance.sh', 'kill', @_) }
sub restart_part { my $s = shift; $s->stop_part(@_); $s->start_part(@_) }

sub pid_of {
    my ($self, $part) = @_;
    my ($rc, $out) = $self->run("$ROOT/scripts/instance.sh", 'pid', $part);
    return $rc ? undef : $out + 0;
}

# Processes below a part's first one: nginx workers, worker processes, backends.
sub children_of {
    my ($self, $part) = @_;
    my $pid = $self->pid_of($part) or return;
    return split ' ', slurp("/proc/$pid/task/$pid/children");
}

# kill -9 to one random child of the part ('workers': a worker process).
sub kill_child {
    my ($self, $part) = @_;
    my @c = $self->children_of($part) or return;
    my $victim = $c[rand @c];
    kill 'KILL', $victim;
    return $victim;
}

# A black hole: connected, and silent.  unfreeze() lets it go on.
sub freeze {
    my ($self, $part) = @_;
    kill 'STOP', grep { defined } $self->pid_of($part), $self->children_of($part);
}

sub unfreeze {
    my ($self, $part) = @_;
    kill 'CONT', grep { defined } $self->pid_of($part), $self->children_of($part);
}

# A cut wire: nobody new can connect; with 'sessions' the old are ended too.
sub cut {
    my ($self, $part, %o) = @_;
    my $path = $self->socket($part);
    rename $path, "$path.cut" or die "cut $part: $!";
    return unless $o{sessions};
    if ($part eq 'queue' || $part eq 'cache') {
        eval { $self->_redis_at($part, 'admin', "$path.cut")
            ->call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') };
    } else {
        rename "$path.cut", $path;
        $self->sql('SELECT count(pg_terminate_backend(pid)) FROM '
            . "pg_stat_activity WHERE usename LIKE 'travel\\_%'",
            on => $part, role => 'postgres');
        rename $path, "$path.cut";
    }
}

sub mend {
    my ($self, $part) = @_;
    my $path = $self->socket($part);
    rename "$path.cut", $path or die "mend $part: $!";
}

sub socket {
    my ($self, $part) = @_;
    my $dir = $self->{dir};
    return readlink("$dir/$part.sock") if $part eq 'queue' || $part eq 'cache';
    my $pg = readlink($dir . _pg_link($part));
    return "$pg/.s.PGSQL.5432";
}

# kill -HUP, and wait until a new generation of workers serves and the old one
# accepts no more: the master lets it go on for 100 ms.
sub reload {
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->children_of('nginx');
    delete $self->{http};            # what it keeps open will be closed
    kill 'HUP', $self->pid_of('nginx');
    wait_for(sub {
        my @now = $self->children_of('nginx');
        (grep { !$old{$_} } @now) && !grep { $old{$_} && accepts($_) } @now;
    }, 10, 'new nginx workers');
}

sub accepts {
    my ($pid) = @_;
    my $title = slurp("/proc/$pid/cmdline");
    return $title ne '' && $title !~ /shutting down/;
}

# --- HTTP --------------------------------------------------------------------

# request('POST', '/path', headers => {}, json => $data | body => $bytes,
#         token => $jwt): HTTP::Tiny's answer, plus {json} if it is JSON.
sub request {
    my ($self, $method, $path, %o) = @_;
    my %h = %{ $o{headers} || {} };
    $h{authorization} = "Bearer $o{token}" if defined $o{token};
    my %args = (headers => \%h);
    if (exists $o{json}) {
        $h{'content-type'} //= 'application/json';
        $args{content} = $JSON->encode($o{json});
    } elsif (defined $o{body}) {
        $h{'content-type'} //= 'application/json';
        $args{content} = $o{body};
    }
    my $http = $self->{http} //= HTTP::Tiny->new(timeout => 30,
        keep_alive => 1, max_redirect => 0, agent => 'travel-test');
    my $r = $http->request($method, ($o{base} // $self->url) . $path, \%args);
    $r->{json} = eval { $JSON->decode($r->{content}) }
        if ($r->{headers}{'content-type'} // '') =~ m{[/+]json};
    $self->_saw_5xx("$method $path: $r->{status} "
        . substr($r->{content} // '', 0, 200), $o{allow_5xx})
        if $r->{status} >= 500;
    return $r;
}

sub _saw_5xx {
    my ($self, $what, $allowed) = @_;
    if ($allowed) { $self->{tolerated_5xx}++ }
    else { push @{ $self->{http5xx} }, $what }
}

sub get    { my ($s, $p, %o) = @_; $s->request('GET', $p, %o) }
sub post   { my ($s, $p, $d, %o) = @_; $s->request('POST', $p, json => $d, %o) }
sub delete { my ($s, $p, %o) = @_; $s->request('DELETE', $p, %o) }

# Sends bytes as they are, returns what comes back until the server closes or
# is silent for a while.  hang_up => 1 closes at once after sending.
sub raw {
    my ($self, $bytes, %o) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $o{port} // $self->{port}, Timeout => 5) or die "raw: $!";
    local $SIG{PIPE} = 'IGNORE';
    syswrite $s, $bytes;
    if ($o{hang_up}) { close $s; return '' }
    my ($in, $sel) = ('', IO::Select->new($s));
    while ($sel->can_read($o{timeout} // 2)) {
        my $n = sysread $s, $in, 65536, length $in;
        last unless $n;
    }
    $self->_saw_5xx((split /\r\n/, $in)[0], $o{allow_5xx})
        if $in =~ m{^HTTP/1\.[01] 5};
    return $in;
}

# --- tokens ------------------------------------------------------------------

# token(sub => uuid, permissions => 'a:b c:d', ttl => '1h', ...) as travelctl
# token mint takes them; the demo user's by default.  Remembered.
sub token {
    my ($self, %o) = @_;
    my $id = join "\0", map { "$_=$o{$_}" } sort keys %o;
    return $self->{tokens}{$id} //= do {
        my ($rc, $out) = $self->ctl('token', 'mint',
            '--key', "$self->{dir}/keys/signing.pem",
            map { ("--$_", $o{$_}) } sort keys %o);
        die "token mint: $out" if $rc;
        $out =~ s/\s+\z//r;
    };
}

# The id of test user number n (0 is the demo user).
sub user { return sprintf '01890000-0000-7000-8000-%012x', $_[1] // 0 }

sub user_token {
    my ($self, $n, %o) = @_;
    return $self->token(sub => $self->user($n),
        email => $n ? "user$n\@travel.local" : 'demo@travel.local', %o);
}

# --- PostgreSQL and Redis ----------------------------------------------------

# Where a part's socket is: 'postgres' (the default), 'replica', 'replica2'.
sub _pg_link { return $_[0] =~ /\Areplica2?\z/ ? "/pg-$_[0]" : '/pg' }

# Rows as array references of text; one value in scalar context.
sub sql {
    my ($self, $query, %o) = @_;
    my $role = $o{role} // 'travel_owner';
    my $dir  = readlink($self->{dir} . _pg_link($o{on} // ''));
    my ($password) = slurp("$self->{dir}/keys/pgpass") =~ /:\Q$role\E:(.*)$/m
        or die "sql: no password of $role\n";
    my $out = eval {
        Travel::Postgres::query(socket => "$dir/.s.PGSQL.5432", user => $role,
            password => $password, database => 'travel', query => $query);
    };
    die "sql: $@" unless defined $out;
    my @rows = map { [split /\x1f/, $_, -1] } split /\n/, $out;
    return wantarray ? @rows : @rows ? $rows[0][0] : undef;
}

sub _redis_at {
    my ($self, $which, $user, $path) = @_;
    return Travel::Redis->new(socket => $path, user => $user,
        password => slurp("$self->{dir}/keys/redis-$user.password"));
}

# A connection to 'queue' or 'cache' as admin, worker or edge.
sub redis {
    my ($self, $which, $user) = @_;
    return $self->_redis_at($which, $user // 'admin', $self->socket($which));
}

# The script by which live messages are published: EVAL with the key
# travel:live:TOPIC, a message, how many are kept, and for how many ms.
sub live_script {
    my ($text) = slurp("$ROOT/common/live_message.c")
        =~ /travel_live_publish\[\] =\n(.*?);\n/s;
    return join '', map { s/\\n/\n/r } $text =~ /"(.*?)"\n?/g;
}

# --- what the outside saw ----------------------------------------------------

# The JSON lines of a file that grows, each decoded once: tests look often, and
# get copies, for they may change them.  A log's ('log') are plain, the same each
# time, and what is no JSON is left out.
sub _lines {
    my ($self, $file, $log) = @_;
    open my $in, '<:raw', "$self->{dir}/$file" or return;
    my ($inode, $size) = (stat $in)[1, 7];
    my $seen = $self->{seen}{$file};
    $seen = $self->{seen}{$file} = { inode => $inode, to => 0, lines => [] }
        if !$seen || $seen->{inode} != $inode || $seen->{to} > $size;
    seek $in, $seen->{to}, 0;
    while (defined(my $line = <$in>)) {
        last if $line !~ /\n\z/;                # it is still being written
        $seen->{to} += length $line;
        next if $line !~ /\}\s*\z/;
        my $value = eval { $JSON->decode($line) };
        die "$file: $@: $line" if !$value && !$log;
        push @{ $seen->{lines} }, $value if $value;
    }
    return @{ $log ? $seen->{lines} : Storable::dclone($seen->{lines}) };
}

sub mails         { $_[0]->_lines('mails.jsonl') }
sub spans         { $_[0]->_lines('traces.jsonl') }
# The sandbox answers first and logs then; what it has answered is in its log once
# it answers something else.
sub partner_calls {
    my ($self) = @_;
    my $sync = '/v1/what-was-answered-is-logged';
    $self->get($sync, base => 'http://127.0.0.1:' . ($self->port + 1),
        token => 'none', allow_5xx => 1);
    return grep { $_->{uri} ne $sync } $self->_lines('logs/sandbox.log');
}


# --- leftovers and logs ------------------------------------------------------

# File descriptors of nginx and the workers, database sessions, Redis clients.
sub figures {
    my ($self) = @_;
    my %f;
    for my $part (grep { /^(?:nginx|workers)$/ } @{ $self->{parts} }) {
        for my $pid ($self->children_of($part)) {
            my @fds = glob "/proc/$pid/fd/*";
            $f{"$part file descriptors"} += @fds;
        }
    }
    for my $part (grep { /^(?:postgres|replica2?)$/ } @{ $self->{parts} }) {
        $f{"$part sessions"} = $self->sql(q{SELECT count(*) FROM
            pg_stat_activity WHERE usename LIKE 'travel\_%'
            AND backend_type = 'client backend'},
            on => $part, role => 'postgres');
    }
    for my $part (grep { /^(?:queue|cache)$/ } @{ $self->{parts} }) {
        my $list = $self->redis($part)->call('CLIENT', 'LIST');
        $f{"$part clients"} = grep { !/ user=admin / } split /\n/, $list;
    }
    return \%f;
}

# What nginx alone holds open: the workers connect slot by slot as jobs come.
sub edge_figures {
    my ($self) = @_;
    my $f = $self->figures;
    my @edge = grep { / user=edge / }
        split /\n/, $self->redis('queue')->call('CLIENT', 'LIST');
    return { 'queue clients' => scalar @edge,
        map { $_ => $f->{$_} } 'nginx file descriptors', 'replica sessions' };
}

# Call when the pools are warm; finish() then wants the same figures back.
sub settle { $_[0]{start_figures} = $_[0]->figures }

sub _check_figures {
    my ($self) = @_;
    my $was = $self->{start_figures} or return;
    my ($now, @more);
    for (1 .. 50) {
        $now  = $self->figures;
        @more = grep { ($now->{$_} // 0) > $was->{$_} } sort keys %$was;
        last unless @more;
        Time::HiRes::sleep(0.2);
    }
    Test::More::ok(!@more, 'nothing is left over')
        or Test::More::diag(map { "$_: $was->{$_}, now $now->{$_}\n" } @more);
}

my $BAD_LINE = qr/\[(?:alert|emerg)\]|Sanitizer|runtime\ error:|Can't\ open\ file|
                  \bPANIC:|worker\ process\ \d+\ exited\ on\ signal/x;

# Line by line, as millions of requests make logs of gigabytes.
sub _lines_like {
    my ($file, $pattern) = @_;
    open my $log, '<:raw', $file or return;
    my @lines;
    while (my $line = <$log>) {
        push @lines, $line if $line =~ $pattern;
    }
    chomp @lines;
    return @lines;
}

sub bad_lines {
    my ($self) = @_;
    my @bad;
    for my $file (glob("$self->{dir}/logs/* $self->{dir}/san/*")) {
        my $short = $file =~ s{.*/}{}r;
        for (_lines_like($file, $BAD_LINE)) {
            next if $self->{allow_log} && $_ =~ $self->{allow_log};
            push @bad, "$short: $_";
        }
    }
    return @bad;
}

# Figures, then an orderly stop, then the logs.  The last call of a test.
sub finish {
    my ($self) = @_;
    return if $self->{finished}++;
    $self->_check_figures;
    $_->stop for @{ $self->{nodes} || [] };
    my ($rc, $out) = $self->run("$ROOT/scripts/instance.sh", 'stop', 'all');
    Test::More::is($rc, 0, 'everything stopped') or Test::More::diag($out);
    Test::More::unlike($out, qr/killed/, 'nothing had to be killed');
    my @bad = $self->bad_lines;
    Test::More::ok(!@bad, 'no alert, crash or sanitizer line in the logs')
        or Test::More::diag(join "\n", @bad[0 .. ($#bad > 19 ? 19 : $#bad)]);
    if (!$self->{allow_5xx}) {
        my @e = @{ $self->{http5xx} };
        # What others than request() and raw() were told, wrk for one.
        my @log = _lines_like("$self->{dir}/logs/access.log",
            qr/"status":"?5\d\d/);
        push @e, @log if @log > @e + ($self->{tolerated_5xx} // 0);
        Test::More::ok(!@e, 'no unexpected 5xx')
            or Test::More::diag(join "\n", @e[0 .. ($#e > 19 ? 19 : $#e)]);
    }
}

sub _destroy {
    my ($self) = @_;
    return if $self->{pid} != $$ || $self->{destroyed}++;
    $_->stop for @{ delete $self->{nodes} || [] };
    if ($self->{parts} && !$self->{finished}) {
        $self->unfreeze($_) for @{ $self->{parts} };
        $self->run("$ROOT/scripts/instance.sh", 'stop', 'all');
        Test::More::diag("$_\n") for $self->bad_lines;
    }
    if ($ENV{TRAVEL_KEEP}) {
        Test::More::diag("kept: $self->{dir}");
        return;
    }
    my $sockets = readlink("$self->{dir}/queue.sock") // '';
    my $base    = readlink("$self->{dir}/postgres");
    File::Path::remove_tree($sockets =~ s{/[^/]*\z}{}r)
        if $sockets =~ m{^/tmp/travel-[0-9a-f]+/};
    File::Path::remove_tree($base)
        if $base && $base =~ m{^/(?:var/tmp|dev/shm)/travel-};
    File::Path::remove_tree($self->{dir});
}

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);

END {
    local ($?, $@);
    $_->_destroy for @LIVE;
}

1;
