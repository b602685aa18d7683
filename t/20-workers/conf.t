# workers.conf: the shipped one is good; a bad value is told by file, line and
# what to write instead.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use File::Temp ();
use Travel::Test;

my $worker = Travel::Test::build() . '/travel-worker';
plan skip_all => 'travel-worker is not built' unless -x $worker;

my $dir = File::Temp::tempdir(CLEANUP => 1);

# (exit status, what it said)
sub check {
    my ($text) = @_;
    open my $f, '>', "$dir/c.conf" or die $!;
    print $f $text;
    close $f;
    my $out = `$worker -t -c $dir/c.conf 2>&1`;
    return ($? >> 8, $out);
}

my $good = <<'END';
processes = 1
redis queue { socket = "/tmp/q.sock" }
postgres primary { dsn = "dbname=travel" }
END

is((check($good))[0], 0, 'the least that is needed');

my @bad = (
    ['slots = 0',                       qr/slots = 0 is outside 1\.\.256/],
    ['slots = many',                    qr/integer.*slots/],
    ['autoscale { slots = 300 }',       qr/outside 1\.\.256/],
    ['autoscale { age = 2 }',           qr/age.*250ms/],
    ['slots = 8 autoscale { slots = 4 }', qr/the most there may be.*1 and 8/],
    ['recycle { memory = 100 }',        qr/memory.*512m/],
    ['recycle { memory = 1m }',         qr/16m at least/],
    ['recycle { jitter = 2.0 }',        qr/outside 0\.\.1/],
    ['claim_check = 100m',              qr/1k to 16m/],
    ['lease_ttl = 10',                  qr/lease_ttl.*10s/],
    ['drain = "-1s"',                   qr/drain/],
    ['queues = { "booking", "hotel" }', qr/"hotel" is not the name of a queue/],
    ['log_level = "loud"',              qr/none of error, warn, info, debug/],
    ['metrics = "8084"',                qr/not host:port/],
    ['metrics = "127.0.0.1:0"',         qr/port from 1 to 65535/],
    ['metrics = "127.0.0.1:http"',      qr/port from 1 to 65535/],
    ['prompts = ""',                    qr/is empty/],
    ['smtp { from = "" }',              qr/is empty/],
    ['no_such_thing = 1',               qr/no_such_thing/],
    ['type "x" { base = soon }',        qr/base.*250ms/],
    ['type "x" { retries = -2 }',       qr/retries = -2/],
    ['partner p { url = "ftp://x" }',   qr{http://}],
    ['partner p { url = "http://x" header = { "X" } }', qr/Name: value/],
    ['otlp { sample = 1.5 }',           qr/outside 0\.\.1/],
    ['smtp { port = 70000 }',           qr/outside 1\.\.65535/],
    ['smtp { tls = "maybe" }',          qr/implicit/],
    ['smtp { ca_file = "/none" }',      qr/no file/],
    ['partner smtp { url = "http://x" }', qr/taken/],
    ['schedule s { cron = "61 * * * *" }', qr/minute: not from 0 to 59/],
    ['schedule s { timezone = "../x" }', qr/no time zone.*Europe.Berlin/],
    ['schedule s { timezone = "Europe" }', qr/no time zone.*Europe.Berlin/],
    ['schedule s { timezone = "tzdata.zi" }', qr/no time zone.*Europe.Berlin/],
    ['schedule s { catch_up = "some" }', qr/none of "skip", "once", "all"/],
    ['schedule s { body = "[]" }',      qr/not a JSON object/],
    ['schedule s { cron = "@daily" type = "no.such" }', qr/type of a job/],
    ['partner p { url = "http://x" breaker_failures = 0 }',
        qr/breaker_failures = 0 is outside 1/],
    ['partner p { url = "http://x" breaker_open = 5 }', qr/breaker_open.*10s/],
    ['topics = "maybe"',              qr/neither "on" nor "off"/],
    ['type "x" { rate = 50 }',            qr{rate.*50/s}],
    ['type "x" { user_rate = "0/s" }',    qr{user_rate.*30/m}],
    ['type "x" { weight = 0 }',           qr/weight = 0 is outside 1/],
    ['type "booking.creat" { retries = 1 }', qr/"booking.creat" is not the type/],
    ['type "booking.create" { base = 9s cap = 1s }', qr/base is above cap/],
    ['type "story.generate" { weight = 2 } type "story.generate" { weight = 3 }',
        qr/duplicate title 'story.generate'/],
    ['redis chace { socket = "/tmp/c.sock" }', qr/"queue" and "cache"/],
    ['postgres replica { dsn = "dbname=travel" }', qr/"primary" and "analytics"/],
    ['postgres analytics { dsn = "dbnam=travel" }', qr/dsn: .*"dbnam"/],
    ['queue "booking" { retention = 30d }', qr/retention.*1h to 21d/],
    ['queue "hotel" { retention = 2d }', qr/"hotel" is not the name/],
    ['etl e { batch = 0 }',             qr/outside 1\.\.100000/],
    ['schedule s { type = "maintenance.noop" }', qr/needs cron/],
    ['accounts { signing_key = "/none" }', qr/accounts needs signing_key/],
    ['accounts { signing_key = "/dev/null" }', qr/openssl ecparam/],
    ['accounts { link = "ftp://x" }',   qr{http://}],
    ['accounts { access_ttl = 30 }',    qr/access_ttl.*5m/],
    ['accounts { argon2_memory = 64 }', qr/outside 7168/],
    ['accounts { argon2_lanes = 0 }',   qr/outside 1\.\.16/],
);

for (@bad) {
    my ($line, $said) = @$_;
    my ($rc, $out) = check("$good\n\n$line\n\n# the end\n");
    is($rc, 1, "$line: refused");
    like($out, qr{^\Q$dir\E/c\.conf:6: }, 'the line is named');
    like($out, $said, 'and what is wrong');
    is(($out =~ tr/\n//), 1, 'in one line');
}

{
    my ($rc, $out) = check("# one\n  # two \"\n// three\n/* # four */\n"
        . "metrics = \"h:1\" # five\n${good}prompts = \"a#b\" slots = 0\n");
    is($rc, 1, 'comments of all kinds');
    like($out, qr{^\Q$dir\E/c\.conf:9: slots = 0}, 'move no line');
}

for (['socket = "10.0.0.1:1, 10.0.0.2:1" cluster = true acks = 1', undef],
     ['socket = "/tmp/q.sock" cluster = true', qr/known by host:port/],
     ['socket = "/tmp/q.sock" acks = 17',      qr/acks is 17, must be 0 to 16/])
{
    my ($redis, $said) = @$_;
    my ($rc, $out) = check($good =~ s/^redis queue .*$/redis queue { $redis }/mr);
    is($rc, $said ? 1 : 0, "redis queue { $redis }") or diag($out);
    like($out, $said, 'and what is wrong') if $said;
}
for my $cache ('cluster = true', 'acks = 1') {
    my ($rc, $out) = check("${good}redis cache { socket = \"h:1\" $cache }\n");
    is($rc, 1, "redis cache: $cache");
    like($out, qr/are for the queue/, 'and why not');
}

for my $without ('redis queue', 'postgres primary') {
    my ($rc, $out) = check($good =~ s/^\Q$without\E.*\n//mr);
    is($rc, 1, "without $without: refused");
    like($out, qr/no \Q$without\E/, 'and told so');
}

{
    my ($rc, $out) = check("run_dir = \"$dir\"\n$good");
    is($rc, 0, 'an option of older files');
    like($out, qr/deprecated option 'run_dir'/, 'is said to be one');
}

is((check("sealed_key = \"$dir/none\"\n$good"))[0], 1, 'no sealed_key there');

my ($rc, $out) = check($good =~ s/dsn = /password_file = "$dir\/none" dsn = /r);
is($rc, 1, 'a password file that is not there');
like($out, qr/No such file/, 'is named');

$out = `$worker -t -c $dir/nothing 2>&1`;
is($? >> 8, 1, 'no config at all');
like($out, qr/No such file/, 'told so');
is(system("$worker >/dev/null 2>&1") >> 8, 2, 'no arguments: usage');

# The shipped file, rendered as the scripts do; it is the reference, too.
my $root = Travel::Test::root();
{
    my $shipped = Travel::Test::slurp("$root/conf/workers.conf");
    my @options = map { Travel::Test::slurp($_)
        =~ /\bCFG_(?!END)[A-Z_]+\("(\w+)"/g } glob "$root/workers/pool/conf*.c";
    cmp_ok(scalar @options, '>', 60, 'options of workers.conf');
    is_deeply([grep { $shipped !~ /\b$_\b/ } @options], [],
        'each is in the shipped file');
}
mkdir "$dir/run";
mkdir "$dir/run/keys";
for my $name (qw(redis-worker pg-worker)) {
    open my $f, '>', "$dir/run/keys/$name.password" or die $!;
    print $f "secret\n";
    close $f;
}
is(system("openssl genpkey -algorithm X25519 -out $dir/run/keys/sealed.pem"), 0,
    'a key for sealed members');
is(system("openssl ecparam -name prime256v1 -genkey -noout -out "
    . "$dir/run/keys/signing.pem"), 0, 'a key for access tokens');
is(system("TRAVEL_RUN=$dir/run $root/scripts/render.sh "
    . "$root/conf/workers.conf $dir/w.conf"), 0, 'conf/workers.conf renders');
$out = `$worker -t -c $dir/w.conf 2>&1`;
is($? >> 8, 0, 'and is good') or diag $out;

done_testing;
