# What `nginx -t` says to somebody who got the product's configuration wrong:
# the file, the line, and what to do.  Each case is the shipped configuration
# with one mistake in it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

# The shipped configuration, with the product in a folder that a case may spoil.
my $t = Travel::Test->new(parts => [], edit => sub {
    s{\@ROOT\@/conf/travel}{\@RUN\@/travel}g;
});
$t->launch;

my $dir  = $t->dir;
my $conf = Travel::Test::slurp("$dir/nginx.template");
my %file;                               # path below $dir => text as shipped
mkdir "$dir/travel";
for my $folder (qw(queries commands routes graphql messages)) {
    mkdir "$dir/travel/$folder";
    for my $path (glob Travel::Test::root() . "/conf/travel/$folder/*") {
        my $name = "travel/$folder/" . $path =~ s{.*/}{}r;
        $t->write($name, $file{$name} = Travel::Test::slurp($path));
    }
}

# nginx -t: exit status and what it said, without its prefix.
sub judge {
    $t->script('render.sh', "$dir/nginx.template", "$dir/nginx.conf");
    my ($rc, $said) = $t->run('nginx', '-t', '-p', $dir, '-c',
        "$dir/nginx.conf", '-e', "$dir/startup.log");
    # the two alerts of a user who may not write to nginx's own places
    return ($rc, join "\n", grep { !/could not open error log file/ }
        split /\n/, $said);
}

# The number of the first line that matches.
sub line_of {
    my ($text, $what) = @_;
    my $n = 0;
    for (split /\n/, $text) { $n++; return $n if $_ =~ $what }
    die "no line like $what\n";
}

# wrong WHAT, FILE, [ FROM => TO ], LINE, ADVICE: with FROM replaced in FILE
# ('nginx.conf', 'queries/x.sql', ...), nginx -t must name FILE:LINE (LINE is a
# regex that the spoilt file has on it) and say ADVICE.
sub wrong {
    my ($what, $name, $change, $line, $advice) = @_;
    my $path = $name eq 'nginx.conf' ? 'nginx.template' : "travel/$name";
    my $good = $name eq 'nginx.conf' ? $conf : $file{$path};
    my ($from, $to) = @$change;
    my $bad = $good;
    $bad =~ s/$from/$to/ or die "$what: nothing to spoil in $name\n";
    $t->write($path, $bad);
    my ($rc, $said) = judge();
    $t->write($path, $good);

    # The template's lines are those of nginx.conf, but for joined ones.
    my $shown = $name eq 'nginx.conf'
        ? Travel::Test::slurp("$dir/nginx.conf") : $bad;
    my $n = ref $line ? line_of($shown, $line) : $line;
    my $where = $name eq 'nginx.conf' ? "$dir/nginx.conf"
        : $name =~ m{^routes/} ? "$dir/travel/$name" : $name;
    subtest $what => sub {
        isnt($rc, 0, 'refused');
        like($said, qr/\Q$where\E:$n\b/, "at $name:$n") or diag($said);
        like($said, $advice, 'and what to do') or diag($said);
        is(scalar(grep { /\[emerg\]/ } split /\n/, $said), 1, 'one complaint')
            or diag($said);
        unlike($said, qr/signal|Sanitizer/, 'no crash');
    };
}

{
    my ($rc, $said) = judge();
    is($rc, 0, 'the shipped configuration is right') or diag($said);
}

# --- query declarations ------------------------------------------------------

my $list = 'queries/journeys.list.sql';
wrong('a type that is none', $list,
    [ qr/limit   int 1\.\.100/ => 'limit   integer 1..100' ],
    qr/limit   integer/, qr/use int, bigint, number, text, uuid/);
wrong('bounds the wrong way round', $list, [ qr/1\.\.100/ => '100..1' ],
    qr/100\.\.1/, qr/"100\.\.1" must be bounds like 1\.\.100, the smaller/);
wrong('a default out of its bounds', $list, [ qr/= 20/ => '= 200' ],
    qr/= 200/, qr/the default of parameter "limit".*100/);
wrong('a page without an end', $list, [ qr/1\.\.100/ => '1..5000' ],
    qr/1\.\.5000/, qr/a number with bounds, at most 1000/);
wrong('a cursor by no column', $list, [ qr/id desc/ => 'id down' ],
    qr/id down/, qr/\@cursor must be columns .* "created_at desc, id desc"/);
my $filtered = 'queries/bookings.list.sql';
wrong('optional, and with a default', $filtered,
    [ qr/journey_id  uuid\?/ =>
      'journey_id  uuid? = 00000000-0000-7000-8000-000000000000' ],
    qr/uuid\? =/, qr/'\?' and a default; keep one/);
wrong('a parameter that is not declared', $filtered,
    [ qr/:status IS NULL/ => ':statuss IS NULL' ], qr/:statuss/,
    qr/":statuss" is not declared; add "-- \@param statuss TYPE"/);
wrong('a parameter that is not used', $filtered,
    [ qr/-- \@param    status/ =>
      "-- \@param    theme   text?\n-- \@param    status" ],
    qr/theme   text/, qr/"theme" is not used; use :theme .* or take the line/);
wrong('declared twice', $filtered, [ qr/journey_id  uuid\?/ =>
    "journey_id  uuid?\n-- \@param    journey_id  uuid?" ], 5,
    qr/twice; keep one/);
wrong('a word that nobody knows', $list,
    [ qr/\@returns  list/ => '@return   list' ], qr/\@return   /,
    qr/"\@return" is not known; use \@public, \@requires, \@param/);
wrong('a way to return that is none', $list,
    [ qr/\@returns  list/ => '@returns  array' ], qr/array/,
    qr/\@returns must be one, list or rows/);
wrong('anybody\'s rows to anybody', 'queries/journeys.get.sql',
    [ qr/\n   AND j\.user_id = :viewer/ => '' ], qr/./,
    qr/bind :viewer, or add "-- \@requires PERMISSION", or "-- \@public"/);
wrong('a write', 'queries/journeys.get.sql',
    [ qr/^SELECT.*/ms => "DELETE FROM travel.journeys\n WHERE id = :id\n"
      . "   AND user_id = :viewer\n" ], qr/DELETE/,
    qr/SELECT or WITH: the edge reads; writes are commands/);
wrong('two statements', 'queries/journeys.get.sql',
    [ qr/j\.user_id = :viewer\n/ => "j.user_id = :viewer;\nSELECT 1\n" ],
    qr/^SELECT 1/, qr/one statement; take out what follows the ';'/);
wrong('a quote that is not closed', 'queries/bookings.precheck.sql',
    [ qr/no such partner\.'/ => 'no such partner.' ], 24,
    qr/a quote that starts here is not closed/);
wrong('a tag of what is no parameter', 'queries/journeys.get.sql',
    [ qr/journey:\{id\}/ => 'journey:{journey}' ], qr/\{journey\}/,
    qr/"\{journey\}" is no parameter of this query/);
wrong('a time-out that is none', 'queries/journeys.get.sql',
    [ qr/-- \@returns  one/ => "-- \@timeout  2\n-- \@returns  one" ],
    qr/\@timeout/, qr/duration.*500ms or 2s/);

# --- the GraphQL schema ---------------------------------------------------------

my $sdl = 'graphql/schema.graphql';
wrong('rows that are nobody\'s', $sdl,
    [ qr/(?<=travel\.journeys", key: "id desc"\)) \@owner\(column: "user_id"\)/
      => '' ],
    qr/^type Journey\b/, qr/"Journey" must say whose its rows are.*\@public/);
wrong('rows that are somebody\'s and everybody\'s', $sdl,
    [ qr/\@owner\(column: "id"\)/ => '@owner(column: "id") @public' ],
    qr/^type User\b/, qr/"User" must say whose its rows are.*not both/);
wrong('a table without a key', $sdl,
    [ qr/"travel\.stories", key: "id desc"/ => '"travel.stories", key: ""' ],
    qr/"travel\.stories"/, qr/needs name: and key:, columns that no two rows/);
wrong('a field of no type', $sdl, [ qr/theme: JourneyTheme!/ => 'theme: Topic!' ],
    qr/: Topic!/, qr/Unknown type "Topic"/);
wrong('a link that leads nowhere', $sdl,
    [ qr/from: "id", to: "journey_id"/ => 'from: "id", to: ""' ],
    qr/to: ""/, qr/\@relation needs from: and to:/);
wrong('a mutation of no command', $sdl, [ qr/"voice\.interact"/ => '"voice.act"' ],
    qr/^  voiceInteraction\(/, qr/voice\.act\.json.*cannot be read/);
wrong('an argument that does nothing', $sdl,
    [ qr/status: StoryStatus \@filter\(sql: "\{status\} = \{\$\}"\)/
      => 'status: StoryStatus' ], qr/status: StoryStatus\)/, qr/\@filter/);
wrong('text that is no SDL', $sdl, [ qr/^enum JourneyStatus \{/m
    => 'enum JourneyStatus' ], qr/active completed/, qr/Syntax Error|Expected/);

# --- commands and schemas ----------------------------------------------------

my $create = 'commands/booking.create.json';
wrong('JSON that is none', $create, [ qr/"queue": "booking",/ => '"queue": "booking"' ],
    qr/"priority"|"aggregate"/, qr/JSON/);
wrong('a member that nobody knows', $create,
    [ qr/"queue":/ => '"que": "x", "queue":' ], qr/"que":/,
    qr/"que" is not known; use type, queue, priority/);
wrong('a queue that is none', $create,
    [ qr/"queue": "booking"/ => '"queue": "bookings"' ], qr/"bookings"/,
    qr/no queue "bookings"; use journey, booking/);
wrong('a queue that clients may not write', $create,
    [ qr/"queue": "booking"/ => '"queue": "notification"' ], qr/notification/,
    qr/internal: workers alone write it; use another/);
wrong('a priority that is none', $create,
    [ qr/"priority": "\w+"/ => '"priority": "urgent"' ], qr/urgent/,
    qr/priority must be high, normal or low/);
wrong('another file\'s type', $create,
    [ qr/"type": "booking.create"/ => '"type": "booking.make"' ],
    qr/booking\.make/, qr/must be that of the file's name, "booking\.create"/);
wrong('a schema type that is none', $create,
    [ qr/"type": "integer"/ => '"type": "int"' ], qr/"int"/,
    qr/party_size.*type/);
wrong('a schema with a pattern that is none', $create,
    [ qr/"pattern": "/ => '"pattern": "(' ], qr/"pattern"/, qr/partner.*pattern/);
wrong('a schema that refers to nothing', $create,
    [ qr/\{ "type": "integer"/ => '{ "$ref": "#/$defs/size", "type": "integer"' ],
    qr/\$ref/, qr/\$ref/);
wrong('a pending member that is none', $create,
    [ qr/"pending": \{/ => '"pending": { "nobody": true,' ], qr/"nobody"/,
    qr/"nobody" must be a member of the schema/);

# --- directives --------------------------------------------------------------

wrong('a query without its file', 'routes/10-journeys.conf',
    [ qr/journeys\.list;/ => 'journeys.lists;' ], qr/journeys\.lists/,
    qr/journeys\.lists.*cannot be read|queries/s);
wrong('a command without its file', 'routes/20-bookings.conf',
    [ qr/booking\.create / => 'booking.creat ' ], qr/booking\.creat /,
    qr/booking\.creat.*cannot be read|commands/s);
wrong('a query parameter that is none', 'routes/10-journeys.conf',
    [ qr/GET journeys\.get id=/ => 'GET journeys.get jd=' ], qr/jd=/,
    qr/"jd=\$journey_id" must be NAME=VALUE with a NAME that .* declares/);
wrong('a check that returns no rows', 'routes/20-bookings.conf',
    [ qr/check=bookings\.precheck/ => 'check=bookings.list' ], qr/check=bookings\.list/,
    qr/must be a query that says "-- \@returns rows"/);
wrong('a command about nothing', 'routes/20-bookings.conf',
    [ qr/DELETE booking\.cancel id=\$booking_id / => 'DELETE booking.cancel ' ],
    qr/check=bookings\.cancel_precheck/, qr/add id=\$\.\.\., its id from the path/);
wrong('a method that does not write', 'routes/20-bookings.conf',
    [ qr/travel_command  POST/ => 'travel_command  GET' ], qr/travel_command  GET/,
    qr/must be POST, PUT, PATCH or DELETE/);
wrong('a parameter that nobody knows', 'routes/20-bookings.conf',
    [ qr/check=bookings\.precheck wait=10s/ => 'check=bookings.precheck waits=10s' ],
    qr/waits=/, qr/"waits=10s" must be one of check=, wait=/);
for (['until=status', qr/"until=status" must be MEMBER:VALUE:CODE/],
    ['until=status:over:GONE_BY', qr/must end with a code of common\/errors\.def/])
{
    my ($bad, $why) = @$_;
    wrong("travel_publish $bad", 'routes/10-journeys.conf',
        [ qr/until=\S+ keep/ => "$bad keep" ], qr/stream=travel:points/, $why);
}
for (['wait=11m', qr/"travel_command": "wait=11m" must be a time from 0 to 10m/],
    ['wait=1s wait=2s', qr/"travel_command": "wait=" is given twice/],
    ['wait=', qr/"wait=" needs a value/],
    ['max_body=2m', qr/"max_body=2m" must be a size from 1 to 1m/],
    ['batch=0', qr/"batch=0" must be a number from 1 to 1000: items of a body/],
    ['idempotency=on', qr/"idempotency=on" must be idempotency=optional\|required/],
    ['wait=1s wait_default=2s', qr/"wait_default=" of booking.create is longer/],
    ['resource=bookings', qr/"resource=bookings" must be a path/])
{
    my ($params, $why) = @$_;
    wrong("parameters $params", 'routes/20-bookings.conf',
        [ qr/check=bookings\.precheck wait=10s/ => "check=bookings.precheck $params" ],
        qr/check=bookings\.precheck/, $why);
}
wrong('a time that is none', 'routes/10-journeys.conf',
    [ qr/travel_cache    30s stale=60s/ => 'travel_cache    soon stale=60s' ],
    qr/travel_cache    soon/, qr/"soon" must be/);
wrong('a coding without a level', 'routes/10-journeys.conf',
    [ qr/travel_cache    30s stale=60s/ => 'travel_cache_gzip on level=11; travel_cache    30s stale=60s' ],
    qr/level=11/, qr/"level=11" must be a number from 1 to 9/);
wrong('a warm-up of something else', 'nginx.conf',
    [ qr/server_name _;/ => 'server_name _; travel_cache_warm journeys.list;' ],
    qr/travel_cache_warm/, qr/"journeys.list" must be a URI .*one of list=, host= or rate=/);
wrong('a warm-up of a list that is not there', 'nginx.conf',
    [ qr/server_name _;/ => 'server_name _; travel_cache_warm list=/no/list;' ],
    qr/travel_cache_warm/, qr/cannot read "\/no\/list": list= must be a file/);
wrong('permissions of nobody', 'routes/10-journeys.conf',
    [ qr/    travel_auth     required[^\n]*\n/ => "\n" ],
    qr/travel_require/, qr/permissions of nobody: add "travel_auth required"/);
wrong('a permission that is none', 'routes/10-journeys.conf',
    [ qr/GET journeys:read/ => 'GET read_journeys' ], qr/read_journeys/,
    qr/must be NOUN:VERB in lower case, as in journeys:read/);
wrong('keys that are nowhere', 'routes/10-journeys.conf',
    [ qr/jwks=main/ => 'jwks=mine' ], qr/jwks=mine/,
    qr/names jwks "mine", but there is no "travel_jwks mine file=/);
wrong('a rate that is none', 'nginx.conf',
    [ qr/include     \@ROOT\@\/conf\/\@LIMITS\@;/ => 'travel_limit $travel_user 60;' ],
    qr/travel_limit \$travel_user 60;/, qr/"60" must be a rate, <N>r\/s, r\/m, r\/h or r\/d/);
# Lines that say what cannot be, instead of nothing that anybody would notice.
for (['travel_cors https://a.example:443;', qr/must be an origin/],
    ['travel_cors https://a.example:70000;', qr/must be an origin/],
    ['travel_cors https://a.example methods=GET,,PUT;', qr/must be a list of/],
    ['travel_cors https://a.example "headers=x a";', qr/must be a list of/],
    ['travel_auth off jwks=main;', qr/is off and asks for something/],
    ['travel_cache http shared private;', qr/"private"/],
    ['travel_breaker off smtp;', qr/"off" is no destination/],
    ['travel_backlog 9 low=90% normal=50%;', qr/more room to low= than/],
    ['travel_redis cache unix:;', qr/must have 1 to 107 bytes/])
{
    my ($line, $why) = @$_;
    my $to = $line =~ /backlog|redis/ ? 'travel_revocation on;' : 'server_name _;';
    wrong("$line", 'nginx.conf', $line =~ /redis/
        ? [ qr/travel_redis    cache \@CACHE\@/ => 'travel_redis cache unix:' ]
        : $line =~ /cors/ ? [ qr/travel_cors http:[^;]*;/ => $line ]
        : [ qr/\Q$to\E/ => "$line $to" ],
        $line =~ /redis/ ? qr/travel_redis cache unix:/ : qr/\Q$line\E/, $why);
}
wrong('a zone that is none', 'nginx.conf',
    [ qr/travel_zone     limits 32m/ => 'travel_zone     limit 32m' ],
    qr/travel_zone     limit /, qr/"travel_zone limit" names no zone that is used here/);
wrong('a zone without room', 'nginx.conf',
    [ qr/travel_zone     limits 32m/ => 'travel_zone     limits 1k' ],
    qr/limits 1k/, qr/limits/);
wrong('a server in no role', 'nginx.conf',
    [ qr/travel_postgres replica/ => 'travel_postgres secondary' ],
    qr/max_lag=5s/, qr/role "secondary" must be/);
wrong('a connection string that is none', 'nginx.conf',
    [ qr/"host=\@PG_SOCKET\@ dbname=travel/ => '"hots=@PG_SOCKET@ dbname=travel' ],
    qr/connections=4 pipeline=16;/, qr/connection string.*hots/);
wrong('a Redis in no role', 'nginx.conf',
    [ qr/travel_redis    cache/ => 'travel_redis    caches' ],
    qr/travel_redis    caches/, qr/role "caches" must be "queue" or "cache"/);
wrong('a key file that is not there', 'nginx.conf',
    [ qr/\@RUN\@\/jwks\.json/ => '@RUN@/jwks.jsn' ], qr/jwks\.jsn/, qr/jwks\.jsn/);
wrong('a collector by https', 'nginx.conf',
    [ qr/travel_otlp     http:/ => 'travel_otlp     https:' ],
    qr/travel_otlp/, qr/http:\/\//);

ok(-s "$dir/jwks.json", 'there were keys all the time');
$t->finish;
done_testing;
