# docker/ as far as it can be read without containers: packages are those that
# the project is built and linked with, each service has the secrets that its
# configuration names and no others, ports, hosts, users, signals and grace
# periods fit conf/.  `make images` builds the images and runs them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use JSON::PP ();
use Test::More;
use Travel::Test;

my $root   = Travel::Test::root();
my $build  = Travel::Test::build();
my $docker = slurp("$root/docker/Dockerfile");
my $text   = slurp("$root/docker/compose.yaml");
my $dir    = File::Temp->newdir;

# Stages: name => { from, packages => [...], text }.
my %stage;
{
    my $joined = $docker =~ s/^#.*\n//mgr =~ s/\\\n\s*/ /gr;
    for my $part (split /^(?=FROM )/m, $joined) {
        my ($from, $name) = $part =~ /^FROM (\S+) AS (\w+)/ or next;
        my ($list) = $part =~ /install -y --no-install-recommends (.*?) &&/;
        $stage{$name} = { from => $from, text => $part,
            packages => [split ' ', $list] };
    }
}

my $yaml = `/usr/bin/python3 -c '
import json, sys, yaml
print(json.dumps(yaml.safe_load(open(sys.argv[1]))))' $root/docker/compose.yaml`;
my $compose = eval { JSON::PP->new->utf8->decode($yaml) }
    or BAIL_OUT("compose.yaml: $@");
my $service = $compose->{services};

my %value = map { /^([A-Z_]+)=(.*)/ ? ($1, $2) : () }
    split /\n/, slurp("$root/docker/values");

subtest 'packages' => sub {
    my @listed = map { (split ' ')[0] // () }
        grep { !/^#/ } split /\n/, slurp("$root/scripts/packages.txt");
    my %listed = map { $_ => 1 } @listed;
    my %build = map { $_ => 1 } @{ $stage{build}{packages} };
    # What only tests are compiled with, and what gcc's recommends bring.
    my %beside = map { $_ => 1 } qw(libcmocka-dev libclang-rt-14-dev);
    is_deeply([grep { /-dev$/ && !$beside{$_} && !$build{$_} } @listed], [],
        'the build has all libraries of packages.txt');
    is_deeply([grep { $_ ne 'libc6-dev' && !$listed{$_} } sort keys %build], [],
        '... and no others');
    my @server = map { grep { /^(?:nginx|redis|postgresql|nodejs|lua|libnginx)/ }
        @{ $stage{$_}{packages} } } sort keys %stage;
    is_deeply([grep { !$listed{$_} } @server], [],
        'servers are those that the tests run with');
    is($_->{from}, '${BASE}', 'one base for all') for values %stage;
};

subtest 'what is linked is installed' => sub {
    my %of = (edge => ['ngx_http_travel_module.so'],
        workers => ['travel-worker', 'travelctl']);
    for my $name (sort keys %of) {
        my %path;                      # of each library that it names
        for my $file (map { "$build/$_" } @{ $of{$name} }) {
            my %where = `ldd $file` =~ /(\S+) => (\/\S+)/g;
            $path{$_} = $where{$_} for grep { !/^lib(?:c|m|asan|ubsan)\.so/ }
                `readelf -d $file` =~ /NEEDED.*\[(lib[^\]]+)\]/g;
        }
        # dpkg knows /usr/lib, the loader says /lib
        my %owner = reverse map { /^([^:\s]+):\S* (\S+)$/ ? ($1, $2) : () }
            `dpkg -S @{[ map { ($_, "/usr$_") } values %path ]} 2>/dev/null`;
        my %want = map { $owner{ $path{$_} } // $owner{"/usr$path{$_}"}
            // "whose is $_" => 1 } keys %path;
        my %has = map { $_ => 1 } @{ $stage{$name}{packages} };
        cmp_ok(scalar keys %want, '>=', 5, "$name links libraries");
        is_deeply([grep { !$has{$_} } sort keys %want], [],
            'and has the package of each');
        ok($has{tzdata}, 'and time zones');
    }
};

# The configuration of the images, as they carry it.
is(system("$root/docker/render-all.sh", "$dir/image"), 0, 'it renders');
my %conf = (edge => slurp("$dir/image/etc/nginx/nginx.conf"),
    workers => slurp("$dir/image/etc/travel/workers.conf"));

subtest 'secrets' => sub {
    mkdir "$dir/keys";
    is(system("$root/scripts/keys.sh", "$dir/keys"), 0, 'keys.sh');
    my %made = map { s{.*/}{}r => 1 } glob "$dir/keys/*";
    is_deeply([grep { !$made{$_} } keys %{ $compose->{secrets} }], [],
        'it makes each that compose hands out');
    my %used = map { $_ => 1 } map { @{ $_->{secrets} || [] } } values %$service;
    is_deeply([sort keys %used], [sort keys %{ $compose->{secrets} }],
        'each is handed to somebody');
    for my $name (sort keys %conf) {
        my %named = map { $_ => 1 }
            ($conf{$name} =~ s/^\s*#.*$//mgr) =~ m{/run/secrets/([\w.-]+)}g;
        is_deeply([sort @{ $service->{$name}{secrets} }], [sort keys %named],
            "$name has those its configuration names, and no others");
    }
    is_deeply([grep { grep { $_ eq 'signing.pem' }
        @{ $service->{$_}{secrets} || [] } } sort keys %$service], ['workers'],
        'what mints tokens is the workers\' alone');
    is_deeply([grep { grep { $_ eq 'pgpass' } @{ $service->{$_}{secrets} || [] } }
        sort keys %$service], [qw(load-data migrate)],
        'the owner\'s password where the schema is made');
    unlike($text, qr/PASSWORD|SECRET_KEY/, 'none in the environment');
    my ($jwks) = $conf{edge} =~ /file=(\S+jwks\.json)/;
    is_deeply($service->{edge}{volumes}, ["./secrets/jwks.json:$jwks:ro"],
        'the public keys');
};

subtest 'hosts and ports' => sub {
    my %host = map { $_ => 1 } grep { /^[a-z]+$/ } map { s/:\d+$//r }
        map { $value{$_} } qw(QUEUE CACHE QUEUE_SOCKET CACHE_SOCKET PG_SOCKET
            PG_REPLICA_SOCKET HOST_SANDBOX HOST_SMTP HOST_OTLP);
    is_deeply([grep { !$service->{$_} } sort keys %host], [],
        'each host is a service');
    for my $store (qw(queue cache primary replica)) {
        ok($service->{$store}{networks}{data}{ipv4_address},
            "$store has an address that stays");
        ok(!$service->{$store}{ports}, '... and no way in from outside');
    }
    ok($compose->{networks}{data}{internal}, 'their network has none either');
    is_deeply([map { @{ $_->{ports} || [] } } values %$service],
        ["127.0.0.1:\${PORT:-8080}:$value{PORT}"],
        'one port is published, on loopback');
    my %port = (edge => 'PORT', workers => 'PORT_METRICS');
    for my $name (sort keys %port) {
        my $n = $value{ $port{$name} };
        like($stage{$name}{text}, qr/^EXPOSE $n$/m, "$name: EXPOSE");
        like($stage{$name}{text}, qr/CMD \["healthy", "$n"/, '... and health');
        like($conf{$name}, qr/\b0\.0\.0\.0:$n\b/, '... where it listens');
    }
    my $tools = slurp("$root/docker/tools.sh");
    like($tools, qr/--port $value{$_}\b/, $_) for qw(PORT_SMTP PORT_OTLP);
    my ($location) = $stage{edge}{text} =~ m{"healthy", "\d+", "(/\w+)"};
    like($conf{edge}, qr/location = $location \s+\{ travel_health;/,
        'the edge is asked what answers');
};

subtest 'rights' => sub {
    for my $name (sort keys %$service) {
        my $s = $service->{$name};
        ok($s->{read_only}, "$name: nothing is written");
        is_deeply($s->{cap_drop}, ['ALL'], '... no capability');
        ok(!$s->{privileged} && !$s->{cap_add}, '... nor a way to one');
        my $target = $s->{build}{target};
        like($stage{$target}{text}, qr/^USER (?!root|0)\S+$/m, "... not root");
    }
    for my $name (qw(edge workers redis postgres)) {
        like($stage{$name}{text}, qr/^HEALTHCHECK /m, "$name has a health check");
    }
};

subtest 'how they end' => sub {
    my %signal = (edge => 'SIGQUIT', workers => 'SIGTERM', redis => 'SIGTERM',
        postgres => 'SIGINT');
    like($stage{$_}{text}, qr/^STOPSIGNAL $signal{$_}$/m, "$_: $signal{$_}")
        for sort keys %signal;
    my ($shutdown) = $conf{edge} =~ /^worker_shutdown_timeout (\d+)s;/m;
    my ($drain) = $conf{workers} =~ /^drain\s*=\s*(\d+)s/m;
    my $grace = sub { ($service->{$_[0]}{stop_grace_period} =~ /^(\d+)s$/)[0] };
    cmp_ok($grace->('edge'), '>=', $shutdown + 5,
        'the edge has time for its requests');
    cmp_ok($grace->('workers'), '>=', $drain + 5, 'the workers for their jobs');
    cmp_ok($grace->($_), '>=', 30, "$_ for its disk") for qw(queue primary);
};

subtest 'the queue and the cache' => sub {
    my $redis = slurp("$root/docker/redis.sh");
    unlike($redis, qr/appendonly|appendfsync|maxmemory/,
        'conf/redis.conf alone says what is kept');
    ok((grep { m{^queue:/var/lib/travel/redis-queue$} }
        @{ $service->{queue}{volumes} }), 'the queue is on a volume');
    is($service->{cache}{volumes}, undef, 'the cache is not');
    my ($max) = slurp("$root/conf/redis.conf") =~ /^\@cache maxmemory (\d+)mb/m;
    my ($limit) = $service->{cache}{deploy}{resources}{limits}{memory}
        =~ /^(\d+)m$/;
    cmp_ok($limit, '>=', $max * 1.25, 'and has room for what it may hold');
};

subtest 'scripts' => sub {
    for my $file (glob "$root/docker/*.sh") {
        is(system('bash', '-n', $file), 0, $file =~ s{.*/}{}r);
        ok(-x $file, 'can be run');
    }
    my %copied = map { $_ => 1 } $docker =~ m{^COPY docker/([\w.-]+)}mg;
    ok(-e "$root/docker/$_", "$_ is there") for sort keys %copied;
};

done_testing;
