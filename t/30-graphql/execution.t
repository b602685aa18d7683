# What a document means, by the reference implementation's word: a schema of
# every kind of mapping over small tables, documents made at random, each
# answered by our one SQL statement and by npm graphql's execution over the same
# rows: the same data, the same nulls, the same paths of errors.
use strict;
use warnings;
use JSON::PP;
use Test::More;
use Travel::Test;

my $SDL = <<'SDL';
directive @table(name: String!, key: String!, where: String) on OBJECT
directive @rows(key: String!) on INTERFACE | UNION
directive @owner(column: String!) on OBJECT
directive @public on OBJECT
directive @cache(ttl: Int, tags: String, row: String) on OBJECT | FIELD_DEFINITION
directive @sql(expr: String!) on FIELD_DEFINITION
directive @relation(from: String!, to: String!) on FIELD_DEFINITION
directive @embed on FIELD_DEFINITION
directive @list(max: Int, default: Int, order: String) on FIELD_DEFINITION
directive @connection(max: Int, default: Int, order: String) on FIELD_DEFINITION
directive @filter(sql: String!) on ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION
directive @order(by: String!) on ENUM_VALUE
directive @render(sql: String!) on SCALAR
directive @format(is: String!) on SCALAR

scalar Date @format(is: "date")
scalar DateTime @render(sql: "travel.rfc3339({})") @format(is: "date-time")
scalar JSON @render(sql: "{}") @format(is: "json")

enum Mood { happy sad calm }
enum PersonOrder { NEWEST @order(by: "id desc") AGE @order(by: "rank, id desc") }

interface Node { id: ID! }
interface Named implements Node { id: ID! name: String }
interface Thing implements Node @rows(key: "at desc, id") { id: ID! label: String! city: City }
union Any = City | River | Stone
union Anything @rows(key: "id desc") = Person | Tree | City

type City implements Named & Node @table(name: "g.city", key: "id") @public {
  id: ID! name: String! size: Int founded: Date spot: Spot! @embed
  people(limit: Int = 3, mood: Mood @filter(sql: "{mood} = {$}"), orderBy: PersonOrder): [Person!]!
    @relation(from: "id", to: "city_id") @list(max: 50)
  rivers: [River!] @relation(from: "id", to: "city_id")
  things(limit: Int): [Thing] @relation(from: "id", to: "city_id") @list(max: 9, default: 4)
  page(first: Int = 2, after: String, last: Int, before: String): ThingPage! @connection(max: 50) @relation(from: "id", to: "city_id")
}
type Spot { lat: Float! lon: Float }
type Person implements Named & Node @table(name: "g.person", key: "id") @owner(column: "user_id") {
  id: ID! name: String age: Int born: Date seen: DateTime
  nick: String! @sql(expr: "{name}")
  shout(text: String = "x", times: Int = 2): String @sql(expr: "repeat({$text}, {$times}) || {name}")
  tags: [String] marks: [Int!] grid: [[Int]!] mood: Mood data: JSON
  boss: Person @relation(from: "boss_id", to: "id")
  city: City! @relation(from: "city_id", to: "id")
  team(limit: Int, where: PersonWhere): [Person]! @relation(from: "id", to: "boss_id") @list(max: 20)
}
type River implements Named & Node @table(name: "g.river", key: "id") @owner(column: "user_id") {
  id: ID! name: String length: Float! city: City @relation(from: "city_id", to: "id")
}
type Stone implements Thing & Node @table(name: "g.thing", key: "id", where: "{kind} = 'stone'") @owner(column: "user_id") {
  id: ID! label: String! city: City @relation(from: "city_id", to: "id") weight: Int
}
type Tree implements Thing & Node @table(name: "g.thing", key: "id", where: "{kind} = 'tree'") @owner(column: "user_id") {
  id: ID! label: String! city: City @relation(from: "city_id", to: "id") height: Int! @sql(expr: "{weight}")
}
type ThingPage { edges: [ThingEdge!]! nodes: [Thing!]! pageInfo: PageInfo! totalCount: Int! }
type ThingEdge { cursor: String! node: Thing! }
type AnyPage { edges: [AnyEdge] nodes: [Any] pageInfo: PageInfo totalCount: Int }
type AnyEdge { cursor: String node: Any }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }

input PersonWhere {
  minAge: Int = 1 @filter(sql: "{age} >= {$}")
  moods: [Mood!] @filter(sql: "{mood} = ANY({$})")
  and: PersonAnd
}
input PersonAnd { tag: String @filter(sql: "{$} = ANY({tags})") mood: Mood @filter(sql: "{mood} = {$}") }
input Deep { some: Int = 7 words: [String] deeper: [Deep!] anyThing: JSON mood: Mood = calm }

type Query {
  person(id: ID! @filter(sql: "{id} = {$}")): Person
  people(limit: Int = 4, orderBy: PersonOrder, where: PersonWhere
    moods: [Mood!] @filter(sql: "{mood} = ANY({$})")): [Person!]! @list(max: 50)
  cities(limit: Int): [City!]! @list(max: 50, order: "size desc")
  thing(id: ID! @filter(sql: "{id} = {$}")): Thing
  things(limit: Int, city: ID @filter(sql: "{city_id} = {$}")): [Thing!] @list(max: 50)
  named(id: ID! @filter(sql: "{id} = {$}")): Named
  node(id: ID! @filter(sql: "{id} = {$}")): Node!
  anything(limit: Int): [Anything]! @list(max: 50)
  all(first: Int, after: String, before: String, last: Int): AnyPage! @connection(max: 50)
  echo(list: [Int], lists: [[Int]], words: [String!], deep: Deep, deeps: [Deep!], json: JSON): JSON
    @sql(expr: "json_build_object('list', {$list}::int[], 'lists', {$lists}::json, 'words', {$words}::text[], 'deep', {$deep}::json, 'deeps', {$deeps}::json[], 'json', {$json}::json)")
}
SDL

my $t = Travel::Test->new(parts => 'postgres nginx', ngx_workers => 1, http => <<'END');
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @RUN@/catalog;
    travel_consistency_key @KEYS@/consistency.key;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    server {
        listen 127.0.0.1:@PORT@;
        location = /health { return 200; }
        location = /graphql { travel_auth optional jwks=main audience=travel;
            travel_graphql depth=24 fields=2000 cost=1000000; }
    }
END
mkdir $t->dir . "/catalog$_" for '', '/graphql', '/queries', '/commands';
# What the reference is not asked about: fields that fail while they are read,
# and fields that not everybody may see.
my $MORE = <<'SDL';
directive @auth(requires: String!) on OBJECT | FIELD_DEFINITION
type Sum @table(name: "g.person", key: "id") @owner(column: "user_id") {
  id: ID!
  share(of: Int = 12): Int @sql(expr: "{$of}::int / {rank}")
  must: Int! @sql(expr: "12 / {rank}")
  number(text: String): Int @sql(expr: "{$text}::int")
  team(limit: Int = 3, born: String @filter(sql: "{born} = {$}::date")): [Sum!] @relation(from: "id", to: "boss_id") @list(max: 20)
  page(first: Int = 2, born: String @filter(sql: "{born} = {$}::date")): SumPage @connection(max: 20) @relation(from: "id", to: "boss_id")
  born: Date @auth(requires: "born:read")
  sealed: Sealed @embed
  mayor: Mayor @relation(from: "city_id", to: "id")
}
input One @oneOf { a: Int b: String }
enum Age { STONE @deprecated(reason: "long ago") IRON }
type SumPage { nodes: [Sum] edges: [SumEdge] totalCount: Int }
type SumEdge @auth(requires: "secret:read") { node: Sum }
type Crowd @table(name: "g.crowd", key: "id") @public {
  id: ID! people: Int! city: City! @relation(from: "id", to: "id")
}
type Sealed @auth(requires: "secret:read") { rank: Int! age: Int iron: Age @sql(expr: "'IRON'") }
type Mayor @table(name: "g.city", key: "id") @public @auth(requires: "secret:read") { name: String! }
SDL
my $ROOTS = <<'SDL';
type Query {
  sums(limit: Int): [Sum] @list(max: 50)
  sum(id: ID! @filter(sql: "{id} = {$}::int")): Sum
  crowds(limit: Int): [Crowd!]! @list(max: 50, order: "people desc")
  secret: Int @auth(requires: "secret:read") @sql(expr: "40 + 2")
  old(new: One, gone: Int @deprecated(reason: "no more")): Int @deprecated @sql(expr: "({$new}::json->>'a')::int + coalesce({$gone}, 0)")
SDL
$t->write('catalog/graphql/schema.graphql', $MORE . $SDL =~ s/^type Query \{\n/$ROOTS/mr);
$t->launch;
my ($viewer, $other) = map { $t->user($_) } 5, 6;

$t->sql(<<"END", role => 'postgres');
CREATE SCHEMA g;
GRANT USAGE ON SCHEMA g TO travel_edge;
CREATE TABLE g.city (id int PRIMARY KEY, name text NOT NULL, size int NOT NULL, founded date, lat float8, lon float8);
CREATE TABLE g.person (id int PRIMARY KEY, user_id uuid, name text, age bigint, born date, seen timestamptz, tags text[],
    marks int[], grid int[], mood text, data json, boss_id int, city_id int, rank int NOT NULL);
CREATE TABLE g.river (id int PRIMARY KEY, user_id uuid, name text, length float8, city_id int);
CREATE TABLE g.thing (id int PRIMARY KEY, user_id uuid, kind text, label text, weight int, city_id int, at timestamptz NOT NULL);
INSERT INTO g.city SELECT n, 'city ' || n, n % 3, CASE n % 2 WHEN 0 THEN date '1900-01-01' + n END,
    CASE WHEN n <> 4 THEN n + 0.5 END, CASE n WHEN 2 THEN NULL ELSE -n END FROM generate_series(0, 5) AS n;
INSERT INTO g.person SELECT n, CASE WHEN n % 5 = 4 THEN '$other' ELSE '$viewer' END::uuid,
    CASE WHEN n % 4 <> 1 THEN 'ann' || n END, CASE WHEN n % 3 <> 2 THEN n % 6 END, date '2000-02-28' + n,
    timestamptz '2026-01-01 10:00:00.25+00' + n * interval '1 hour',
    CASE n % 3 WHEN 0 THEN ARRAY['b', NULL, 'x"\\y'] WHEN 1 THEN '{}' END, CASE n % 4 WHEN 0 THEN ARRAY[1, 2] WHEN 1 THEN ARRAY[n, NULL] END,
    CASE n % 3 WHEN 0 THEN ARRAY[[1, 2], [NULL, 3]] END, (ARRAY['happy', 'sad', 'calm', NULL])[1 + n % 4],
    CASE n % 3 WHEN 1 THEN '{"null": null, "b": [1, "null"]}' WHEN 2 THEN 'null' END::json, CASE WHEN n > 0 THEN n / 2 END,
    CASE n % 7 WHEN 6 THEN 99 WHEN 5 THEN NULL ELSE n % 6 END, n % 4 FROM generate_series(0, 19) AS n;
INSERT INTO g.river SELECT n, CASE WHEN n % 4 = 3 THEN '$other' ELSE '$viewer' END::uuid, CASE WHEN n % 3 > 0 THEN 'river ' || n END,
    CASE WHEN n % 5 <> 2 THEN n * 1.5 END, n % 6 FROM generate_series(0, 9) AS n;
INSERT INTO g.thing SELECT n, CASE WHEN n % 4 = 3 THEN '$other' ELSE '$viewer' END::uuid, CASE WHEN n % 2 = 0 THEN 'stone' ELSE 'tree' END,
    CASE WHEN n % 7 <> 3 THEN 'thing ' || n END, CASE WHEN n % 5 <> 1 THEN n END, n % 6,
    timestamptz '2026-01-01 00:00:00+00' + (n % 3) * interval '1 day' FROM generate_series(0, 15) AS n;
UPDATE g.person SET mood = 'angry' WHERE id IN (2, 11);
UPDATE g.person SET age = 2147483648 WHERE id = 8;
UPDATE g.person SET born = 'infinity' WHERE id = 6;
UPDATE g.city SET founded = '-infinity' WHERE id = 0;
UPDATE g.river SET length = 'NaN' WHERE id = 6;
CREATE VIEW g.crowd AS SELECT city_id AS id, count(*)::int AS people FROM g.person WHERE id > 16 AND city_id IS NOT NULL GROUP BY city_id;
GRANT SELECT ON ALL TABLES IN SCHEMA g TO travel_edge;
END

my ($rows) = map { $_->[0] } $t->sql(<<'END', role => 'postgres');
SELECT translate(json_build_object('g.city', (SELECT json_agg(x) FROM g.city AS x), 'g.river', (SELECT json_agg(x) FROM g.river AS x),
    'g.thing', (SELECT json_agg(x) FROM g.thing AS x), 'g.person', (SELECT json_agg(x) FROM
        (SELECT p.id, p.user_id, p.name, p.age, p.born, travel.rfc3339(p.seen) AS seen, p.tags, p.marks, p.grid, p.mood, p.data,
                p.boss_id, p.city_id, p.rank FROM g.person AS p) AS x))::text, E'\n', '')
END
$t->write('world.json', encode_json({ sdl => $SDL, viewer => $viewer }) =~ s/\}\z/,"rows":$rows}/r);

my $seed = $ENV{TRAVEL_SEED} // time;
my @said = $t->run('node', $t->root . '/scripts/node/graphql-execution.js', $t->url . '/graphql', $t->user_token(5),
    $t->dir . '/world.json', $seed, my $documents = $ENV{TRAVEL_DOCUMENTS} // 300);
my @lines = split /\n/, $said[1];
my $sum = eval { decode_json($lines[-1] // '') } // {};
is($said[0], 0, 'both answered') or diag $said[1];
is($sum->{differ}, 0, 'and the same') or diag "seed $seed", map { "\n$_" } @lines;
cmp_ok($sum->{withErrors} // 0, '>', $documents / 10, 'many with nulls that may not be');
cmp_ok($sum->{invalid} // 1e9, '<', $sum->{asked} // 0, 'most documents are valid');

# --- the reference's schema of our introspection --------------------------------------

my $built = `node scripts/node/graphql-audit.js @{[ $t->url ]}/graphql schema 2>&1`;
for my $line ('union Any = City | River | Stone', 'type City implements Named & Node {', 'interface Named implements Node {',
    'things(limit: Int): [Thing]', 'input Deep {', 'mood: Mood = calm', 'people(limit: Int = 4, orderBy: PersonOrder, where: PersonWhere, moods: [Mood!]): [Person!]!') {
    like($built, qr/^ *\Q$line\E$/m, "introspection: $line");
}

# --- what is deprecated, what is one of several ----------------------------------------

my $kinds = $t->post('/graphql', { query => '{ q: __type(name: "Query") { fields { name } all: fields(includeDeprecated: true) { name isDeprecated
    deprecationReason args { name } every: args(includeDeprecated: true) { name isDeprecated deprecationReason } } }
    e: __type(name: "Age") { enumValues { name } all: enumValues(includeDeprecated: true) { name deprecationReason } }
    one: __type(name: "One") { isOneOf inputFields { name } } deep: __type(name: "Deep") { isOneOf } city: __type(name: "City") { isOneOf } }' })->{json}{data};
is_deeply([ grep { /^(?:old|secret)\z/ } map { $_->{name} } @{ $kinds->{q}{fields} } ], ['secret'], 'a deprecated field is told when it is asked for');
is_deeply([ grep { $_->{name} eq 'old' } @{ $kinds->{q}{all} } ], [ { name => 'old', isDeprecated => JSON::PP::true(),
    deprecationReason => 'No longer supported', args => [ { name => 'new' } ], every => [ { name => 'new', isDeprecated => JSON::PP::false(),
    deprecationReason => undef }, { name => 'gone', isDeprecated => JSON::PP::true(), deprecationReason => 'no more' } ] } ], '... and its arguments');
is_deeply($kinds->{e}, { enumValues => [ { name => 'IRON' } ], all => [ { name => 'STONE', deprecationReason => 'long ago' },
    { name => 'IRON', deprecationReason => undef } ] }, '... and values of enums');
is_deeply([ map { $kinds->{$_}{isOneOf} } qw(one deep city) ], [ JSON::PP::true(), JSON::PP::false(), undef ], 'isOneOf');

# --- pages of several types --------------------------------------------------------

sub ask {
    my ($query, %o) = @_;
    return $t->post('/graphql', { query => $query, variables => $o{variables} // {} },
        token => $o{token} // $t->user_token(5))->{json};
}
my $all = ask('{ all(first: 50) { nodes { __typename ... on City { id } ... on River { id } ... on Stone { id } } totalCount } }')->{data}{all};
my (@seen, $after);
for (1 .. 20) {
    my $page = ask('query($a: String) { all(first: 3, after: $a) { nodes { __typename ... on City { id } ... on River { id }
        ... on Stone { id } } pageInfo { endCursor hasNextPage } } }', variables => { a => $after })->{data}{all};
    push @seen, @{ $page->{nodes} };
    $after = $page->{pageInfo}{endCursor};
    last if !$page->{pageInfo}{hasNextPage};
}
is_deeply(\@seen, $all->{nodes}, 'a connection over a union, page by page');
is($all->{totalCount}, scalar @seen, 'and the number of all');
my %types;
$types{ $_->{__typename} }++ for @seen;

# What is between two cursors, from either end, by the steps of the cursor
# specification (4.2 and 4.3) over all there is.
sub pages {
    my ($field, $of, $before, $after) = @_;
    my $get = sub { my $d = shift->{data}; return $d->{cities} ? $d->{cities}[0] : $d };
    my $whole = $get->(ask("{ $before x: $field(first: 50) { edges { cursor node { __typename $of } } } $after }"))->{x}{edges};
    cmp_ok(scalar @$whole, '>', 2, "$field: there are rows");
    my (@got, @expected);
    for my $document (1 .. 6) {
        my (@asked, @want);
        for my $n (0 .. 19) {
            my ($i, $j, $count) = (int rand @$whole, int rand @$whole, int rand 1 + @$whole);
            my ($is_after, $is_before, $last) = map { rand() < 0.5 } 1 .. 3;
            my @edges = @$whole[($is_after ? $i + 1 : 0) .. ($is_before ? $j - 1 : $#$whole)];
            my $all = @edges;
            @edges = $last ? @edges[($all > $count ? $all - $count : 0) .. $#edges] : @edges[0 .. ($all > $count ? $count : $all) - 1];
            push @asked, "p$n: $field(" . join(', ', ($last ? 'last' : 'first') . ": $count",
                $is_after ? qq(after: "$whole->[$i]{cursor}") : (), $is_before ? qq(before: "$whole->[$j]{cursor}") : ())
                . ") { edges { cursor node { __typename $of } } pageInfo { hasPreviousPage hasNextPage startCursor endCursor } totalCount }";
            push @want, { edges => \@edges, totalCount => scalar @$whole, pageInfo => {
                hasPreviousPage => bool($last ? $all > $count : $is_after), hasNextPage => bool($last ? $is_before : $all > $count),
                startCursor => @edges ? $edges[0]{cursor} : undef, endCursor => @edges ? $edges[-1]{cursor} : undef } };
        }
        my $said = ask("{ $before @asked $after }");
        push @got, map { $get->($said)->{"p$_"} } 0 .. $#asked;
        push @expected, @want;
    }
    is_deeply(\@got, \@expected, "$field: pages from both ends") or diag "seed $seed";
}
sub bool { return $_[0] ? JSON::PP::true() : JSON::PP::false() }
srand $seed;
pages('all', '... on City { id } ... on River { id } ... on Stone { id }', '', '');
pages('page', 'id label', 'cities(limit: 1) {', '}');
is_deeply(\%types, { City => 6, River => 8, Stone => 8 }, 'of each type, what the viewer may see');
my $theirs = ask('{ all(first: 50) { nodes { __typename } } }', token => $t->user_token(6))->{data}{all}{nodes};
is(scalar(grep { $_->{__typename} eq 'River' } @$theirs), 2, "another's are another's");
is($t->post('/graphql', { query => '{ anything { __typename } }' })->{status}, 401, 'and nobody has none, of whatever type');

is_deeply(ask('{ crowds { people city { name } } }')->{data}{crowds}, [ map { { people => 1, city => { name => "city $_" } } } 0, 5 ],
    'a type on a view');

# --- fields that fail while they are read -------------------------------------------

sub wrong { return [ map { [ join('.', @{ $_->{path} }), $_->{extensions}{code} ] } @{ $_[0]{errors} // [] } ] }

my $said = ask('{ sums(limit: 4) { id share boss: team { id } } ok: cities(limit: 1) { name } }');
is_deeply($said->{data}, { ok => [ { name => 'city 2' } ], sums => [ map { { id => "$_->[0]", share => undef,
    boss => [ map { { id => "$_" } } @{ $_->[1] } ] } } [0, [1]], [1, [2, 3]], [2, [5]], [3, [6, 7]] ] },
    'a field that fails is null, all around it is there') or diag explain $said;
is_deeply(wrong($said), [ map { ["sums.$_.share", 'INTERNAL_ERROR'] } 0 .. 3 ], 'each with its path');
is_deeply($said->{errors}[0]{locations}, [ { line => 1, column => 23 } ], 'and its place');
is_deeply(ask('{ sums(limit: 3) { share(of: 0) } x: sum(id: 1) { share } }')->{data}{x}, { share => 12 }, 'another root with it is its own');

$said = ask('{ sums(limit: 2) { a: share b: number(text: "x") c: number(text: "7") team { d: number(text: "") e: must } } }');
is_deeply($said->{data}{sums}, [ map { { a => undef, b => undef, c => 7, team => [ map { { d => undef, e => $_ } } @$_ ] } } [12], [6, 4] ],
    'several that fail') or diag explain $said;
my %codes = map { @$_ } @{ wrong($said) };
is_deeply(\%codes, { (map { ("sums.$_.a" => 'INTERNAL_ERROR', "sums.$_.b" => 'VALIDATION_ERROR') } 0, 1),
    map { ("sums.$_.d" => 'VALIDATION_ERROR') } '0.team.0', '1.team.0', '1.team.1' }, '... each for its reason') or diag explain $said;

$said = ask('{ sums(limit: 2) { id must } }');
is_deeply($said->{data}, { sums => [ undef, undef ] }, 'one that must not be null: its parent is');
is_deeply(wrong($said), [ map { ["sums.$_.must", 'INTERNAL_ERROR'] } 0, 1 ], '... and the path is the field\'s');
$said = ask('{ sums(limit: 2) { id team(born: "no date") { id number(text: "1") } page(born: "") { nodes { id } totalCount } } }');
is_deeply($said->{data}{sums}, [ map { { id => "$_", team => undef, page => undef } } 0, 1 ], 'rows that cannot be read');
is_deeply(wrong($said), [ map { (["sums.$_.team", 'VALIDATION_ERROR'], ["sums.$_.page", 'VALIDATION_ERROR']) } 0, 1 ], '... what is within them is not to blame');
$said = ask('{ sum(id: "x") { id share } other: sum(id: 1) { id } }');
is_deeply([ $said->{data}, wrong($said) ], [ { sum => undef, other => { id => '1' } }, [ ['sum', 'VALIDATION_ERROR'] ] ], 'a root that fails itself');
$said = ask('{ sums(limit: 2) { ' . join(' ', map { "s$_: share" } 1 .. 9) . ' } }');
is_deeply([ $said->{data}, wrong($said) ], [ { sums => undef }, [ ['sums', 'INTERNAL_ERROR'] ] ], 'more than are looked for: the root');
$said = ask('{ ' . join(' ', map { "r$_: sums(limit: 2) { id " . join(' ', map { "s$_: share" } 1 .. 3) . ' }' } 1 .. 12) . ' }');
is_deeply([ map { $_->[1] } grep { $_->[0] =~ /^r1\./ } @{ wrong($said) } ], [ ('INTERNAL_ERROR') x 6 ], 'what is looked for first is found');
is($said->{data}{r12}, undef, '... and there is an end to it');
is((grep { $_->[0] eq 'r12' } @{ wrong($said) })[0][1], 'INTERNAL_ERROR', '... which the root tells');

# --- fields that not everybody may see ---------------------------------------------

my %may = (none => '', born => 'born:read', secret => 'secret:read', both => 'born:read secret:read');
$_ = $t->token(sub => $viewer, permissions => $_) for values %may;
my $closed = '{ sum(id: 1) { id born sealed { rank } mayor { name } page { nodes { id } } } }';
my @open = (id => '1', page => { nodes => [ { id => '2' }, { id => '3' } ] });
my @born = (born => '2000-02-29');
my @secret = (sealed => { rank => 1 }, mayor => { name => 'city 1' });
for my $round (1, 2) {
    for (['none', { @open, born => undef, sealed => undef, mayor => undef }, 'sum.born', 'sum.sealed', 'sum.mayor'],
        ['both', { @open, @born, @secret }], ['born', { @open, @born, sealed => undef, mayor => undef }, 'sum.sealed', 'sum.mayor'],
        ['secret', { @open, @secret, born => undef }, 'sum.born']) {
        my ($who, $sees, @not) = @$_;
        $said = ask($closed, token => $may{$who});
        is_deeply($said->{data}, { sum => $sees }, "permissions, round $round: $who sees what he may") or diag explain $said;
        is_deeply(wrong($said), [ map { [$_, 'AUTHORIZATION_ERROR'] } @not ], '... and hears of the rest');
    }
}
is_deeply($said->{errors}[0]{locations}, [ { line => 1, column => 19 } ], 'with its place');
$said = ask('{ sum(id: 1) { page { edges { node { id } } } } secret }', token => $may{born});
is_deeply([ $said->{data}, wrong($said) ], [ { sum => { page => undef }, secret => undef },
    [ map { [$_, 'AUTHORIZATION_ERROR'] } 'sum.page', 'secret' ] ], "an edge's type is not to be seen: nor is its page") or diag explain $said;
$said = ask('{ sums(limit: 2) { id born share(of: 1) } }', token => $may{none});
is_deeply($said->{data}{sums}, [ map { { id => "$_", born => undef, share => undef } } 0, 1 ], 'not to be seen beside what fails');
is_deeply({ map { @$_ } @{ wrong($said) } }, { map { ("sums.$_.born" => 'AUTHORIZATION_ERROR', "sums.$_.share" => 'INTERNAL_ERROR') } 0, 1 },
    '... each for its reason');
my $r = $t->post('/graphql', { query => '{ secret __typename }' }, token => $may{born});
is($r->{status}, 403, 'nothing to be seen: refused');
is($r->{json}{errors}[0]{message}, 'The permission "secret:read" is missing.', '... and it is told which is missing');
is($t->post('/graphql', { query => $closed })->{status}, 401, 'who is nobody');
for (['secret', 'private'], ['crowds { people }', 'public']) {
    $r = $t->get("/graphql?query=" . $_->[0] =~ s/^/{/r =~ s/$/}/r =~ s/ /+/gr, token => $may{secret});
    is($r->{headers}{'cache-control'}, "$_->[1], no-cache", "what takes a permission is not for all: $_->[0]") or diag $r->{content};
}

$t->finish;
done_testing();
