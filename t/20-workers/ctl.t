# travelctl as a stranger uses it: exit codes, one-line reasons, tokens,
# migrations, the queue's figures, the dead, the catalog.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start(parts => 'postgres queue');
my $t = $j->t;
my $dir = $t->dir;
my $pg = readlink "$dir/pg";
my $conf = "$dir/jobs.conf";

# (exit code, output of both) of travelctl; a string reference is its stdin.
sub ctl {
    my @args = @_;
    my $in = ref $args[0] ? ${ shift @args } : undef;
    my $ctl = Travel::Test::build() . '/travelctl';
    return $t->run($ctl, @args) unless defined $in;
    $t->write('stdin', $in);
    return $t->run('/bin/sh', '-c', 'f=$1; shift; exec "$@" < "$f"', 'sh',
        "$dir/stdin", $ctl, @args);
}

sub refused {
    my ($name, $want, $like, @args) = @_;
    my ($rc, $out) = ctl(@args);
    is($rc, $want, "$name: exit $want") or diag $out;
    like($out, $like, "$name: reason");
}

subtest 'help and mistakes' => sub {
    my ($rc, $out) = ctl('--help');
    is($rc, 0, '--help');
    my @commands = $out =~ /^  (\w+ +\w+) /mg;
    cmp_ok(scalar @commands, '>=', 15, 'lists the commands');
    for (@commands) {
        ($rc, $out) = ctl(split(' ', $_), '--help');
        is($rc, 0, "$_ --help");
        like($out, qr/^usage: travelctl \Q@{[join ' ', split ' ', $_]}\E/, 'usage');
    }
    refused('no command', 2, qr/^usage/);
    refused('unknown command', 2, qr/unknown command "token x"/, 'token', 'x');
    refused('unknown option', 2, qr/unknown option --x/, 'token', 'mint', '--x');
    refused('bad duration', 2, qr/write 90s/, 'token', 'mint', '--ttl', '3 weeks');
    refused('value missing', 2, qr/needs a value/, 'token', 'mint', '--ttl');
    refused('argument missing', 2, qr/usage/, 'token', 'verify');
    refused('permissions that are none', 2, qr/write noun:verb/, 'key', 'create',
        '--owner', $t->user(1), '--permissions', 'journeys:read write');
};

subtest 'tokens' => sub {
    my $key = "$dir/keys/signing.pem";
    my $jwks = "$dir/jwks.json";
    my ($rc, $token) = ctl('token', 'mint', '--key', $key, '--email', 'a@b.c',
        '--permissions', 'x:read,y:write');
    is($rc, 0, 'mint');
    chomp $token;
    ($rc, my $out) = ctl('token', 'verify', '--jwks', $jwks, '--issuer',
        'https://travel.local', '--audience', 'travel', $token);
    is($rc, 0, 'verify') or diag $out;
    my $c = json($out);
    is_deeply([@$c{qw(iss sub aud email)}], ['https://travel.local',
        $t->user(0), 'travel', 'a@b.c'], 'claims');
    is_deeply($c->{permissions}, ['x:read', 'y:write'], 'permissions');
    is($c->{exp} - $c->{iat}, 12 * 3600, 'twelve hours');
    is((ctl(\$token, 'token', 'verify', '--jwks', $jwks, '-'))[0], 0,
        'token from standard input');
    is((ctl(\slurp($jwks), 'token', 'verify', '--jwks', '-', $token))[0], 0,
        'keys from standard input');

    my @verify = ('token', 'verify', '--jwks', $jwks);
    my $invalid = qr/^TOKEN_INVALID \S+ \S.*\n\z/;
    refused('issuer', 1, $invalid, @verify, '--issuer', 'https://other', $token);
    refused('audience', 1, $invalid, @verify, '--audience', 'other', $token);
    (my $bent = $token) =~ s/\.(.)([^.]*)$/'.' . ($1 eq 'A' ? 'B' : 'A') . $2/e;
    refused('signature', 1, $invalid, @verify, $bent);
    refused('no token', 1, $invalid, @verify, 'abc');
    (undef, my $old) = ctl('token', 'mint', '--key', $key, '--ttl', '0');
    sleep 1;
    chomp $old;
    refused('expired', 1, qr/^TOKEN_EXPIRED \S+ \S.*\n\z/, @verify, $old);
    is((ctl(@verify, '--signature-only', $old))[0], 0,
        'expired, but only the signature was asked about');
    refused('broken keys', 2, qr/\S/, 'token', 'verify', '--jwks', $key, $token);
    refused('no keys', 2, qr/No such file/, 'token', 'verify', '--jwks',
        "$dir/nothing", $token);
    refused('another kid', 2, qr/is not the key/, 'token', 'mint', '--key', $key,
        '--kid', 'other');

    # RFC 8037, appendix A: a JWS whose payload is no JSON
    my $ed = '{"keys":[{"kty":"OKP","crv":"Ed25519",'
        . '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}';
    my $jws = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.'
        . 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVs'
        . 'Pt9g7sVvpAr_MuM0KAg';
    ($rc, $out) = ctl(\$ed, 'token', 'verify', '--signature-only', '--jwks',
        '-', $jws);
    is($rc, 0, 'any compact JWS') or diag $out;
    is($out, "Example of Ed25519 signing\n", 'its payload');
    is((ctl(\$ed, 'token', 'verify', '--jwks', '-', $jws))[0], 1,
        'which is no token');
};

subtest 'migrations' => sub {
    my %env = (dsn => "host=$pg dbname=m user=travel_owner",
        super => "host=$pg dbname=m user=postgres");
    $t->sql('CREATE DATABASE m', role => 'postgres');
    mkdir "$dir/m" or die;
    my $write = sub { $t->write("m/$_[0]", $_[1]) };
    my $migrate = sub { ctl('migrate', shift, '--dir', "$dir/m", '--dsn',
        $env{dsn}, '--superuser-dsn', $env{super}, @_) };

    $write->('000_base.sql', 'CREATE EXTENSION cube; CREATE SCHEMA s AUTHORIZATION travel_owner;');
    $write->('000_base.down.sql', 'DROP SCHEMA s CASCADE; DROP EXTENSION cube;');
    $write->('010_a.sql', "-- \x{c3}\x{bc}\nCREATE TABLE s.a (x int);\n");
    $write->('010_a.down.sql', 'DROP TABLE s.a;');
    $write->('020_b.sql', "CREATE TABLE s.b (x int);\n\nSELECT nope;\n");
    $write->('notes.txt', 'no schema file');

    my ($rc, $out) = $migrate->('status');
    is($rc, 1, 'status: pending');
    is(() = $out =~ /^pending/mg, 3, 'three of them');
    ($rc, $out) = $migrate->('up');
    is($rc, 2, 'up: stops at an error');
    like($out, qr{/020_b\.sql:3: .*nope}, 'file and line');
    ($rc, $out) = $migrate->('status');
    like($out, qr/^applied.*000_base\napplied.*010_a\npending.*020_b/ms,
        'what came before stays, nothing of it does');

    $write->('020_b.sql', "CREATE TABLE s.b (x int);\nCOMMIT;\n");
    ($rc, $out) = $migrate->('up');
    is($rc, 2, 'a file that ends its transaction is refused');
    $t->run('/usr/bin/psql', '-Xq', '-d', $env{super}, '-c', 'DROP TABLE s.b');
    $write->('020_b.sql', "CREATE TABLE s.b (x int);\n");
    $write->('020_b.down.sql', "DROP TABLE s.b;\n");
    is(($migrate->('up'))[0], 0, 'up');
    is(($migrate->('up'))[0], 0, 'up again: nothing to do');
    is(($migrate->('status'))[0], 0, 'status: all applied');

    # two at once: one waits for the other
    is(($migrate->('down', '--to', '0'))[0], 0, 'down to 0');
    my @pids = map {
        my $pid = fork // die;
        POSIX::_exit(($migrate->('up'))[0]) unless $pid;
        $pid;
    } 1, 2;
    my @rc = map { waitpid $_, 0; $? >> 8 } @pids;
    is_deeply(\@rc, [0, 0], 'two at once');

    $write->('010_a.sql', "CREATE TABLE s.a (x bigint);\n");
    ($rc, $out) = $migrate->('up');
    is($rc, 1, 'a changed file is refused');
    like($out, qr/010_a was changed/, 'by name');
    like(($migrate->('status'))[1], qr/^changed .*010_a/m, 'status says so');
    is(($migrate->('down'))[0], 0, 'down: the last one');
    like(($migrate->('status'))[1], qr/^pending .*020_b/m, 'which is pending');
    $write->('010_other.sql', "SELECT 1;\n");
    refused('one number twice', 2, qr/same number/, 'migrate', 'status',
        '--dir', "$dir/m", '--dsn', $env{dsn});
    refused('no database named', 2, qr/--dsn or TRAVEL_OWNER_DSN/, 'migrate',
        'up', '--dir', "$dir/m");
};

subtest 'the schema goes down and up' => sub {
    my @o = ('--dir', Travel::Test::root() . '/conf/travel/schema', '--dsn',
        "host=$pg dbname=updown user=travel_owner", '--superuser-dsn',
        "host=$pg dbname=updown user=postgres");
    $t->sql('CREATE DATABASE updown', role => 'postgres');
    for my $way ('up', 'down --to 0', 'up') {
        my ($rc, $out) = ctl('migrate', split(' ', $way), @o);
        is($rc, 0, $way) or diag $out;
    }
};

subtest 'the queue' => sub {
    my @c = ('--config', $conf);
    my ($rc, $out) = ctl('queue', 'init', @c);
    is($rc, 0, 'init') or diag $out;
    my $r = $t->redis('queue');
    my %layout = @{ $r->call('HGETALL', 'travel:layout') };
    is($layout{booking}, 4, 'four partitions of booking');
    is(scalar keys %layout, 8, 'eight queues');
    is((ctl('queue', 'init', @c))[0], 0, 'init again');

    ($rc, $out) = ctl('queue', 'preload', @c, '--type', 'maintenance.noop',
        '--count', '1234');
    is($rc, 0, 'preload') or diag $out;
    ($rc, $out) = ctl('queue', 'stat', @c, '--queue', 'maintenance', '--json');
    is($rc, 0, 'stat') or diag $out;
    my @p = map { json($_) } split /\n/, $out;
    my $sum = 0;
    $sum += $_->{high} + $_->{normal} + $_->{low} for @p;
    is($sum, 1234, 'all are there');
    cmp_ok((grep { $_->{high} + $_->{normal} + $_->{low} > 200 } @p), '==', 4,
        'on every partition');
    ok(!(grep { $_->{owner} || $_->{age_s} < 0 } @p), 'nobody owns them');
    like((ctl('queue', 'stat', @c))[1], qr/^maintenance\.3 +\d+/m, 'as a table');
    my ($key) = grep { /:job:/ } @{ $r->call('KEYS', 'travel:{maintenance.*') };
    my ($part, $uuid) = $key =~ /\{(.*?)\}:job:(.*)/;
    ($rc, $out) = ctl('jobs', 'status', @c, "$part.$uuid");
    is($rc, 0, 'jobs status') or diag $out;
    my $s = json($out);
    is_deeply([@$s{qw(id type status attempts result)}],
        ["$part.$uuid", 'maintenance.noop', 'queued', 0, undef], 'what it says');
    refused('unknown job', 1, qr/^RESOURCE_NOT_FOUND/, 'jobs', 'status', @c,
        'booking.0.01890000-0000-7000-8000-000000000000');
    refused('no job id', 2, qr/is not a job id/, 'jobs', 'status', @c, 'x.1');
    refused('unknown type', 2, qr/no job type/, 'queue', 'preload', @c,
        '--type', 'no.such');
    refused('unknown queue', 2, qr/no queue/, 'queue', 'stat', @c, '--queue', 'x');
    refused('no config', 2, qr/none\.conf/, 'queue', 'stat', '--config',
        "$dir/none.conf");
};

subtest 'the dead' => sub {
    my @c = ('--config', $conf);
    my $id = 'booking.1.01890000-0000-7000-8000-0000000000dd';
    refused('none', 1, qr/\A\z/, 'dead', 'list', @c);
    $t->sql(q{INSERT INTO jobs.dead (job_id, queue, partition, type, attempts,
        cause, first_error, last_error, envelope) VALUES ('} . $id . q{',
        'booking', 1, 'booking.create', 4, 'EXTERNAL_SERVICE_ERROR', 'first',
        'status 503', '{"v":"1"}')});
    my ($rc, $out) = ctl('dead', 'list', @c);
    is($rc, 0, 'list') or diag $out;
    like($out, qr/\Q$id\E +booking\.create +4 +EXTERNAL_SERVICE_ERROR: status 503/,
        'one line');
    ok(json((split /\n/, (ctl('dead', 'list', @c, '--json'))[1])[0])->{cause},
        'as JSON');
    is((ctl('dead', 'list', @c, '--queue', 'ai'))[0], 1, 'of another queue: none');
    ($rc, $out) = ctl('dead', 'show', @c, $id);
    is($rc, 0, 'show');
    is(json($out)->{first_error}, 'first', 'with its first error');
    refused('not dead', 1, qr/^RESOURCE_NOT_FOUND/, 'dead', 'show', @c, 'x');
};

subtest 'the catalog' => sub {
    my @dsn = ('--dsn', "host=$pg dbname=travel user=travel_edge");
    my ($rc, $out) = ctl('catalog', 'check', '--dir',
        Travel::Test::root() . '/conf/travel', @dsn);
    is($rc, 0, 'the product holds') or diag $out;
    like($out, qr/^[1-9]\d* good, 0 bad$/m, 'all of it');

    mkdir "$dir/p" or die;
    mkdir "$dir/p/$_" or die for qw(queries commands);
    $t->write('p/queries/a.sql', "-- A.\n-- \@public\n-- \@returns one\n"
        . "SELECT row_to_json(u)::text\n  FROM travel.users AS u\n"
        . " WHERE u.nope = 1\n");
    $t->write('p/queries/b.sql', "-- B.\n-- \@returns one\nSELECT '1'\n");
    ($rc, $out) = ctl('catalog', 'check', '--dir', "$dir/p", @dsn);
    is($rc, 1, 'one that does not');
    like($out, qr{/a\.sql:6: column u\.nope does not exist}, 'file and line');
    like($out, qr{/b\.sql:\d+: \S}, 'and one nobody may ask');
    is((ctl('catalog', 'check', '--offline', '--dir', "$dir/p"))[0], 1,
        'without a database too');

    mkdir "$dir/p/graphql" or die;
    $t->write('p/graphql/schema.graphql', my $sdl = <<'SDL');
directive @table(name: String!, key: String!) on OBJECT
directive @owner(column: String!) on OBJECT
directive @public on OBJECT
directive @sql(expr: String!) on FIELD_DEFINITION
directive @relation(from: String!, to: String!) on FIELD_DEFINITION
directive @filter(sql: String!) on ARGUMENT_DEFINITION
directive @order(by: String!) on ENUM_VALUE
enum By { NAME @order(by: "name") NOPE @order(by: "nope") }
type User @table(name: "travel.users", key: "id") @owner(column: "id") {
  id: ID!
  nope: String
  name(much: Int = 1): String @sql(expr: "upper({name}, {$much})")
  stories: [Story!]! @relation(from: "id", to: "author")
  there: [Nothing] @relation(from: "id", to: "id")
}
type Story @table(name: "travel.stories", key: "id") @owner(column: "user_id") { id: ID! titel: String }
type Nothing @table(name: "travel.nothing", key: "id") @public { id: ID! }
type Query { me: User
  users(by: By): [User]
  stories(id: Int @filter(sql: "{id} = {$}::int")): [Story] all: [Story] }
SDL
    ($rc, $out) = ctl('catalog', 'check', '--dir', "$dir/p", @dsn);
    is_deeply([ $out =~ m{/(schema\.graphql:\d+:\d+: "\S+": .*)}g ],
        [ 'schema.graphql:19:3: "Query.users": column t1.nope does not exist',
          'schema.graphql:20:3: "Query.stories": operator does not exist: uuid = integer',
          'schema.graphql:11:3: "User.nope": column t1.nope does not exist',
          'schema.graphql:12:3: "User.name": function upper(text, unknown) does not exist',
          'schema.graphql:13:3: "User.stories": column t2.author does not exist',
          'schema.graphql:14:3: "User.there": relation "travel.nothing" does not exist',
          'schema.graphql:16:90: "Story.titel": column t1.titel does not exist' ],
        'what the database has not, of all that the GraphQL schema says') or diag $out;
    $t->write('p/graphql/schema.graphql', $sdl =~ s/ \@public \{/ {/r);
    ($rc, $out) = ctl('catalog', 'check', '--offline', '--dir', "$dir/p");
    like($out, qr{/schema\.graphql:17:1: "Nothing" must say whose its rows are}, 'without a database, what it does not say');
    refused('no folder', 2, qr/No such file/, 'catalog', 'check', '--offline',
        '--dir', "$dir/none");
};

subtest 'jobs run beside a worker' => sub {
    $t->sql(q{INSERT INTO jobs.partition (queue, partition, owner, fence,
        expires_at) SELECT 'journey', g, 'somebody', 1, now() + interval '1 h'
        FROM generate_series(0, 3) AS g});
    my $r = $j->job('journey.start', { origin => 'Berlin',
        destination => 'Paris' });
    is($r->{rc}, 2, 'refused where the partition has an owner');
};

$t->finish;
done_testing();
