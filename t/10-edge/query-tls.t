# PostgreSQL over TLS: the certificate is checked, SCRAM and a password from the
# environment, answers of every size, and no secret in a log.
use strict;
use warnings;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $CONF = <<'END';
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 1;
error_log @LOGS@/error.log debug;
pid       @PIDS@/nginx.pid;
daemon    off;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path       @RUN@/tmp/proxy;
    fastcgi_temp_path     @RUN@/tmp/fastcgi;
    uwsgi_temp_path       @RUN@/tmp/uwsgi;
    scgi_temp_path        @RUN@/tmp/scgi;
    travel_postgres primary "host=HOST port=@PORT_SANDBOX@ dbname=travel
                    user=travel_edge sslmode=verify-full sslrootcert=@RUN@/CA"
                    password_env=EDGE_PASSWORD connections=2 slow=1;
    travel_catalog  @RUN@/catalog;
    server {
        listen 127.0.0.1:@PORT@;
        location = /health { return 200; }
        location = /text { travel_query GET t.text; }
        location = /slow { travel_query GET t.slow; }
        location = /tls  { travel_query GET t.tls; }
    }
}
END

my $t = Travel::Test->new(parts => 'postgres', ngx_workers => 1,
    conf => $CONF =~ s/HOST/localhost/r =~ s{/CA}{/ca.pem}r);
my $dir = $t->dir;
mkdir "$dir/$_" for 'catalog', 'catalog/queries';
my $head = "-- \@public\n-- \@returns one\n";
$t->write('catalog/queries/t.text.sql', "$head-- \@param n int 0..4000000\n"
    . "SELECT repeat('x', :n)");
$t->write('catalog/queries/t.slow.sql', "$head-- \@param n int 0..4000000\n"
    . "-- \@class slow\nSELECT repeat('y', :n)");
$t->write('catalog/queries/t.tls.sql', "$head" . "SELECT version || ' ' || "
    . "(SELECT usename FROM pg_stat_activity WHERE pid = pg_backend_pid()) "
    . "FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
$t->launch;
my $secret = slurp("$dir/keys/pg-edge.password") =~ s/\s+\z//r;
$t->{env}{EDGE_PASSWORD} = $secret;

# A CA of our own, a server with its certificate, and another CA.
sub openssl {
    my ($rc, $out) = $t->run('openssl', @_);
    die "openssl @_: $out" if $rc;
}
sub ca {
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
        'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', "/CN=$_[0]",
        '-keyout', "$dir/$_[0].key", '-out', "$dir/$_[0].pem");
}
ca('ca');
ca('other');
openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-subj', '/CN=localhost', '-keyout', "$dir/pg.key", '-out', "$dir/pg.csr");
$t->write('ext', "subjectAltName=DNS:localhost\n");
openssl('x509', '-req', '-in', "$dir/pg.csr", '-CA', "$dir/ca.pem", '-CAkey',
    "$dir/ca.key", '-CAcreateserial', '-days', '2', '-extfile', "$dir/ext",
    '-out', "$dir/pg.pem");
my $data = readlink("$dir/postgres") // "$dir/postgres";
for my $f ('pg.key', 'pg.pem') {
    system('cp', "$dir/$f", "$data/primary/$f") == 0 or die;
    chmod 0600, "$data/primary/$f";
    chown((stat "$data/primary")[4, 5], "$data/primary/$f");
}
my $port = $t->port + 1;
$t->sql($_, role => 'postgres') for "ALTER SYSTEM SET port = $port",
    "ALTER SYSTEM SET listen_addresses = '127.0.0.1'", 'ALTER SYSTEM SET ssl = on',
    "ALTER SYSTEM SET ssl_cert_file = 'pg.pem'",
    "ALTER SYSTEM SET ssl_key_file = 'pg.key'";
$t->stop_part('postgres');
$t->start_part('postgres');
symlink ".s.PGSQL.$port", readlink("$dir/pg") . '/.s.PGSQL.5432' or die "$!";
$t->start_part('nginx');

sub get { $t->get($_[0], allow_5xx => 1) }
ok(wait_for(sub { get('/tls')->{status} == 200 }, 10, 'TLS'), 'connected');
like(get('/tls')->{content}, qr/^TLSv1\.3 travel_edge$/, 'by TLS 1.3, with SCRAM');

sub every_size {
    my ($worst, $bad) = (0, 0);
    for my $n (0, 1, (map { 1000 * $_ + 7 } 1 .. 70), (map { 16384 + $_ } -5 .. 5),
        200_000, 1_000_000, 4_000_000)
    {
        my $start = time;
        my $r = get("/text?n=$n");
        my $took = time - $start;
        $worst = $took if $took > $worst;
        $bad++ unless $r->{status} == 200 && length $r->{content} == $n;
        last if $bad > 2;
    }
    is($bad, 0, 'whole');
    cmp_ok($worst, '<', 1.5, "none waits: $worst s");
    is(length get("/slow?n=$_")->{content}, $_, "class slow, $_")
        for 7, 20_007, 300_000;
}

# Many at once share a pipeline, and their answers a record.  (To be asked first:
# libpq's buffer grows with what it sees, and never shrinks.)
sub at_once {
    my ($worst, $bad) = (0, 0);
    for my $n (map { 700 * $_ } 1 .. 20) {
        my $start = time;
        my @s = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $t->port) or die } 1 .. 24;
        syswrite $_, "GET /text?n=$n HTTP/1.0\r\n\r\n" for @s;
        for my $s (@s) {
            my $in = '';
            1 while sysread $s, $in, 65536, length $in;
            $bad++ unless $in =~ /\r\n\r\n(x*)\z/ && length $1 == $n;
        }
        my $took = time - $start;
        $worst = $took if $took > $worst;
        last if $bad;
    }
    is($bad, 0, 'many at once: whole');
    cmp_ok($worst, '<', 1.5, "none waits: $worst s");
}

subtest 'answers of every size' => sub { at_once(); every_size() };

# Of a record of 16 KB, libpq takes what fits its buffer; the rest waits in the
# TLS library, where epoll sees nothing of it, until something else comes.
subtest 'and by a pooler with large records' => sub {
    my $pid = open my $pooler, '-|', 'node', $t->root . '/t/lib/tls-pooler.js',
        $port + 1, readlink("$dir/pg") . '/.s.PGSQL.5432', "$dir/pg.pem",
        "$dir/pg.key" or die "node: $!";
    like(scalar <$pooler>, qr/ready/, 'it listens');
    my $conf = slurp("$dir/nginx.conf");
    $t->write('nginx.conf', $conf =~ s/port=$port/'port=' . ($port + 1)/er);
    $t->reload;
    ok(wait_for(sub { get('/text?n=1')->{status} == 200 }, 10, 'the pooler'), 'works');
    at_once();
    every_size();
    $t->write('nginx.conf', $conf);
    $t->reload;
    kill 'TERM', $pid;
    close $pooler;
};

subtest 'who is not trusted' => sub {
    for (['another CA', 'localhost', 'other.pem', qr/certificate verify failed/],
        ['another name', '127.0.0.1', 'ca.pem', qr/does not match host name/])
    {
        my ($what, $host, $ca, $why) = @$_;
        $t->write('nginx.conf', slurp("$dir/nginx.conf")
            =~ s/host=\S+/host=$host/r =~ s{sslrootcert=\S+/\w+\.pem}
            {sslrootcert=$dir/$ca}r);
        my $before = -s "$dir/logs/error.log";
        $t->reload;
        ok(wait_for(sub { get('/tls')->{status} == 503 }, 10, $what), $what);
        ok(wait_for(sub { substr(slurp("$dir/logs/error.log"), $before) =~ $why },
            5, 'the log'), 'the log says why');
    }
};

subtest 'secrets' => sub {
    my @secrets = map { slurp("$dir/keys/$_.password") =~ s/\s+\z//r }
        'pg-edge', 'pg-super';
    my @told;
    for my $file (glob("$dir/logs/*"), "$dir/nginx.conf") {
        my $text = slurp($file);
        push @told, $file for grep { index($text, $_) >= 0 } @secrets;
    }
    is_deeply(\@told, [], 'in no log, nor in the configuration');
    my $conf = slurp("$dir/nginx.conf");
    for (['password_env=NO_SUCH_THING', qr/not in nginx's environment/],
        ["password_file=$dir/none", qr/cannot open password file/])
    {
        $t->write('bad.conf', $conf =~ s/password_env=\S+/$_->[0]/r);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $_->[0]);
        like($out, $_->[1], '  says what to do');
        ok(index($out, $secret) < 0, '  and no secret');
    }
};

$t->{parts} = ['postgres', 'nginx'];
$t->finish;
done_testing();
