# The same two jobs, a cached read and an accepted command, done by others on
# the same machine: nginx + Lua + Redis, FastAPI + Redis (peers/).  Value and
# ratio are ours against theirs; what they leave out is said in their files.
package Travel::Bench::Peers;

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(sleep);
use Travel::Bench;
use Travel::Test;

my $PAGE = '/api/v1/journeys?limit=5';
my $BODY = '{"partner":"opentable","venue_id":"rest_456",'
    . '"booking_date":"2030-03-01T19:00:00Z","party_size":4}';

my %PEER = (lua => \&start_lua, fastapi => \&start_fastapi,
    map { my $name = $_; $name => sub { start_node("$name.js", @_) } } qw(mercurius postgraphile));

# A process on core 0 that serves on a port of its own: { url, pid }.
sub spawn_peer {
    my ($claim, %env) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        %ENV = (%ENV, %env);
        open STDOUT, '>', $t->dir . '/logs/peer.log' or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT;
        chdir ROOT . '/scripts/bench/peers';
        my @cmd = $claim->();
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    return $pid;
}

sub start_lua {
    my ($port) = @_;
    my $conf = slurp(ROOT . '/scripts/bench/peers/lua.conf');
    my %value = (RUN => $t->dir, PORT => $port, CACHE => $t->socket('cache'),
        QUEUE => $t->socket('queue'), USER => '',
        PASSWORD => slurp($t->dir . '/keys/redis-admin.password'));
    $value{USER} = $1
        if slurp($t->dir . '/nginx.conf') =~ /^(user [^;]+;)/m;
    chomp %value;
    $conf =~ s/\@([A-Z]+)\@/$value{$1}/g;
    $t->write('peer-lua.conf', $conf);
    my $master = spawn_peer(sub { ('/usr/sbin/nginx', '-p', $t->dir,
        '-c', $t->dir . '/peer-lua.conf') });
    wait_for(sub { slurp("/proc/$master/task/$master/children") =~ /\d/ }, 10,
        'the peer') or die "no peer\n";
    my ($worker) = split ' ', slurp("/proc/$master/task/$master/children");
    return ($master, $worker);
}

sub start_fastapi {
    my ($port) = @_;
    my $password = slurp($t->dir . '/keys/redis-admin.password') =~ s/\s+\z//r;
    my $pid = spawn_peer(sub { ('/usr/bin/python3', '-m', 'uvicorn', 'app:app',
        '--host', '127.0.0.1', '--port', $port, '--loop', 'uvloop', '--http',
        'httptools', '--no-access-log', '--log-level', 'warning') },
        PEER_CACHE => $t->socket('cache'), PEER_QUEUE => $t->socket('queue'),
        PEER_JWKS => $t->dir . '/jwks.json', PEER_PASSWORD => $password,
        PYTHONDONTWRITEBYTECODE => 1);
    return ($pid, $pid);
}

# A GraphQL server on Node.js, reading where we read.
sub start_node {
    my ($script, $port) = @_;
    my $pid = spawn_peer(sub { ('node', $script, $port,
        readlink($t->dir . '/pg-replica'), $t->user(0)) },
        PGPASSFILE => $t->dir . '/keys/pgpass', NODE_ENV => 'production',
        GRAPHILE_ENV => 'production');
    return ($pid, $pid);
}

sub with_peer {
    my ($name, $code) = @_;
    my $ports = Travel::Test->new(parts => '');
    my ($master, $worker) = $PEER{$name}->($ports->port);
    my $url = 'http://127.0.0.1:' . $ports->port;
    my $ok = eval {
        pin(0, $worker);
        wait_for(sub { $t->get('/cached', base => $url, allow_5xx => 1,
            token => 'none')->{status} != 599 }, 10, "$name to serve")
            or die slurp($t->dir . '/logs/peer.log');
        $code->({ url => $url, pid => $worker });
        1;
    };
    my $error = $@;
    kill 'TERM', $master;
    waitpid $master, 0;
    $ports->_destroy;
    die $error unless $ok;
}

# The page that we have cached is what the peer has in its Redis.
sub cached {
    my ($name) = @_;
    my $r = Travel::Bench::Cached::cached_page($PAGE, $token);
    add_conf('');
    Travel::Bench::Cached::hit($PAGE, $token);
    $t->redis('cache')->call('SET', 'page:' . $t->user(0) . ':5', $r->{content});
    with_peer($name, sub {
        my ($peer) = @_;
        pairs("edge.cached.vs_$name", 'requests/s',
            sub { warm(sub { wrk('/cached?limit=5', $_[0], $peer) }) },
            sub { warm(sub { wrk($PAGE, $_[0]) }) });
    });
}

sub command {
    my ($name) = @_;
    my $ours = Travel::Bench::Command::ready_for_commands('');
    my $script = $t->dir . '/command.lua';
    with_peer($name, sub {
        my ($peer) = @_;
        pairs("edge.command.vs_$name", 'requests/s', sub {
            my $o = warm(sub {
                wipe();
                wrk('/command', $_[0], { %$peer, core => 0 }, '-s',
                    $script);
            });
            delete $o->{cpu};
            return $o;
        }, sub { warm($ours) });
    });
}

for my $name (qw(lua fastapi)) {
    bench("edge.cached.vs_$name", sub { cached($name) });
    bench("edge.command.vs_$name", sub { command($name) });
}

1;
