# Warm-up: a node asks itself for what it is told to know before anybody asks,
# past limits, again after everything was lost, and without being in the way.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Origin;
use Travel::Test;

my $CONF = <<'END';
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 2;
error_log @LOGS@/error.log notice;
pid       @PIDS@/nginx.pid;
daemon    off;
events { worker_connections 512; }
http {
    log_format seen '$remote_addr $status $host "$request_uri" "$http_user_agent"';
    access_log @LOGS@/access.log seen;
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path       @RUN@/tmp/proxy;
    fastcgi_temp_path     @RUN@/tmp/fastcgi;
    uwsgi_temp_path       @RUN@/tmp/uwsgi;
    scgi_temp_path        @RUN@/tmp/scgi;

    travel_redis    cache unix:@CACHE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @RUN@/catalog;
    travel_zone     cache 4m shards=2;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;

    server {
        listen 127.0.0.1:@PORT@;
        server_name warm.example;
        travel_auth optional jwks=main audience=travel;
        add_header X-Cache $travel_cache_status always;
        travel_cache_warm /value?id=1 list=@RUN@/warm.txt rate=100r/s;
        location = /health { return 200; }
        location = /metrics { travel_metrics; }
        location = /purge { travel_purge; }
        location = /value {
            travel_limit $binary_remote_addr 1r/h;
            travel_query GET t.value; travel_cache 60s;
        }
        location = /mine { travel_query GET t.mine; travel_cache 60s; }
        location /up/ { proxy_pass http://127.0.0.1:@PORT_SANDBOX@; travel_cache http; }
    }
    server {
        listen 127.0.0.1:@PORT_SMTP@;
        travel_cache_warm /value?id=77 host=other.example;
        location = /value { travel_query GET t.value; travel_cache 60s "tags=two"; }
    }
}
END

my $t = Travel::Test->new(parts => 'postgres cache nginx', conf => $CONF,
    allow_5xx => 1, allow_log => qr/exited on signal 9/);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.value.sql',
    "-- \@public\n-- \@returns one\n-- \@param id int = 0\n"
    . "-- \@tags value:{id}\n"
    . "SELECT json_build_object('id', :id, 'run', clock_timestamp())::text");
$t->write('catalog/queries/t.mine.sql', "-- \@returns one\n"
    . "SELECT json_build_object('me', :viewer)::text");
$t->write('warm.txt', join '', "# what people ask for first\n\n",
    (map { "/value?id=$_\n" } 2 .. 60), "/up/page  \r\n/mine\n/nowhere?x=%20y\n");
$t->launch;
my $o = Travel::Origin->start($t->port + 1);
$o->set('/up/page', headers => ['Cache-Control: max-age=60'], body => 'x' x 100000);

sub metric {
    my ($result) = @_;
    my ($n) = $t->get('/metrics')->{content}
        =~ /^travel_cache_warmed_total\{result="$result"\} (\d+)/m;
    return $n;
}
sub rounds { scalar(() = slurp($t->dir . '/logs/error.log') =~ /travel_cache_warm: \d+ URIs/g) }
sub fresh { my ($id, %o) = @_; $t->get("/value?id=$id",
    token => $t->user_token($id), %o) }

wait_for(sub { rounds() == 1 }, 20, 'the first round');
like slurp($t->dir . '/logs/error.log'),
    qr/travel_cache_warm: 62 URIs answered, 2 not, in \d+ ms/,
    'what was answered, and what was not, is logged';
is metric('answered'), 62, '... and counted';
is metric('failed'), 6, '... failures with each of three tries';

my $log = slurp($t->dir . '/logs/access.log');
is scalar(() = $log =~ m{^unix: 200 warm\.example "/value\?id=\d+" "ngx_travel warm-up"$}mg),
    60, 'requests under the name of the server, limits do not count them';
like $log, qr{^unix: 401 warm\.example "/mine"}m, 'they are nobody\'s';
like $log, qr{^unix: 404 warm\.example "/nowhere\?x=%20y"}m, '... and pass all locations';
like $log, qr{^unix: 200 other\.example "/value\?id=77"}m, 'each server has its own list';

my $hit = $t->get('/value?id=1');
is $hit->{headers}{'x-cache'}, 'HIT', 'the first client has a hit';
is $t->get('/value?id=60')->{status}, 429, '... and limits as ever';
is $o->count('/up/page'), 1, 'an upstream was asked';
like $t->raw("GET /up/page HTTP/1.1\r\nHost: warm.example\r\n"
    . "Connection: close\r\n\r\n"), qr/^X-Cache: HIT\r$/m,
    '... for what clients of that name ask for';

# --- again when everything is lost, and only then ----------------------------

sleep 1.5;
is rounds(), 1, 'one round is enough';
my $admin = $t->token(sub => $t->user(1), permissions => 'cache:purge');
$t->post('/purge?tag=value:1', undef, token => $admin);
$t->post('/purge?all=1&soft=1', undef, token => $admin);
sleep 1.5;
is rounds(), 1, 'a purge of something begins none';
is $t->post('/purge?all=1', undef, token => $admin)->{status}, 200, 'a purge of all';
ok wait_for(sub { rounds() == 2 }, 20, 'another'), '... begins another';
is metric('answered'), 124, '... of all';

$t->reload;
ok wait_for(sub { rounds() == 3 }, 20, 'new'), 'new workers have a round of their own';
kill 'KILL', $t->children_of('nginx');
ok wait_for(sub { rounds() == 4 }, 20, 'successors'), '... and those after a crash';

# A round under way holds no worker up that shall go.
$t->write('warm.txt', join '', map { "/value?id=$_\n" } 1 .. 5000);
$t->reload;
sleep 0.5;
my $old = join ' ', sort $t->children_of('nginx');
$t->reload;
ok wait_for(sub { my %now = map { $_ => 1 } $t->children_of('nginx');
    !grep { $now{$_} } split / /, $old }, 10, 'gone'), 'a round under way ends with its worker';

$t->finish;
done_testing;
