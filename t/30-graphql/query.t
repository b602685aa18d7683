# GraphQL queries through nginx: one statement each, by the shipped schema and
# against the shipped database.
use strict;
use warnings;
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(parts => 'postgres queue cache nginx workers',
    env => { TRAVEL_LIMITS => 'limits-open.conf' });

my $user = '01890000-0000-7000-8000-000000000005';
my $other = '01890000-0000-7000-8000-000000000006';
my $token = $t->user_token(5);
my $theirs = $t->user_token(6);

$t->sql(<<"END", role => 'postgres');
INSERT INTO travel.journeys (id, user_id, origin, destination, origin_place_id,
    destination_place_id, theme, distance_miles, personality)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       CASE WHEN n <= 7 THEN '$user' ELSE '$other' END::uuid,
       'Lyon', 'Paris', p.id, p.id,
       CASE WHEN n % 2 = 0 THEN 'food' ELSE 'history' END, n * 1.5, 'wit'
  FROM generate_series(1, 9) AS n,
       (SELECT id FROM travel.place WHERE name = 'Lyon' ORDER BY population DESC
         LIMIT 1) AS p;
INSERT INTO travel.stories (id, journey_id, user_id, status, theme, title)
SELECT ('01910000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       '01900000-0000-7000-8000-000000000007',
       CASE WHEN n <= 3 THEN '$user' ELSE '$other' END::uuid, 'ready', 'food',
       'Story ' || n
  FROM generate_series(1, 4) AS n;
END

sub ask {
    my ($query, %o) = @_;
    my %body = (query => $query);
    $body{variables} = $o{variables} if $o{variables};
    $body{operationName} = $o{operation} if $o{operation};
    my $r = $t->post('/api/graphql', \%body, (exists $o{token} ? $o{token} ? (token => $o{token}) : ()
                             : (token => $token)),
        headers => { accept => 'application/graphql-response+json',
                     %{ $o{headers} // {} } });
    return wantarray ? ($r, eval { json($r->{content}) }) : json($r->{content});
}

my ($r, $a) = ask('{ myJourneys(limit: 2) { id theme distanceMiles } }');
is($r->{status}, 200, 'a query is answered') or diag explain $r;
like($r->{headers}{'content-type'}, qr{^application/graphql-response\+json; charset=utf-8},
    'in its own type');
is_deeply($a, { data => { myJourneys => [
    { id => '01900000-0000-7000-8000-000000000007', theme => 'history', distanceMiles => 10.5 },
    { id => '01900000-0000-7000-8000-000000000006', theme => 'food', distanceMiles => 9 } ] } },
    'the newest first, the fields asked for');

# --- what is nested, named, merged ---------------------------------------------

$a = ask('query Q($n: Int = 1, $with: Boolean!) {
    mine: myJourneys(limit: $n) { ...J __typename
        stories(limit: 2) { title journey { id } }
        originPlace { name position { lat } } }
    mine: myJourneys(limit: $n) { theme @include(if: $with) ... on Journey { status } } }
    fragment J on Journey { id }', variables => { with => JSON::PP::true() });
is_deeply($a->{data}{mine}[0]{stories},
    [ map { { title => "Story $_", journey => { id => '01900000-0000-7000-8000-000000000007' } } } 3, 2 ],
    'what is nested, newest first; of the caller alone');
is($a->{data}{mine}[0]{originPlace}{name}, 'Lyon', 'many to one');
is($a->{data}{mine}[0]{__typename}, 'Journey', '__typename');
is($a->{data}{mine}[0]{status}, 'active', 'selections of one key are merged');
is($a->{data}{mine}[0]{theme}, 'history', '@include');
is(@{ $a->{data}{mine} }, 1, "a variable's default");

$a = ask('{ me { id journeyCount totalMiles favoritePersonality journeys(first: 1) { totalCount } } }');
is_deeply($a->{data}{me}, { id => $user, journeyCount => 7, totalMiles => 42,
    favoritePersonality => 'wit', journeys => { totalCount => 7 } }, 'computed fields');
for my $who ([$token, 7], [$t->user_token(8), 0]) {
    ($r, $a) = ask('{ a: journeys { totalCount } b: journeys { __typename } }', token => $who->[0]);
    is_deeply($a, { data => { a => { totalCount => $who->[1] }, b => { __typename => 'JourneyConnection' } } },
        "a connection of $who->[1] rows, none of them asked for");
}

($r) = ask('{ z: __typename b: __typename a: __typename }');
like($r->{content}, qr/"z".*"b".*"a"/, 'in the order asked for');
my $many = join ' ', map { "a$_: __typename" } 1 .. 120;
$a = ask("{ me { $many } }");
is(scalar(keys %{ $a->{data}{me} }), 120, 'an object of more fields than a function has arguments');

# --- whose it is ----------------------------------------------------------------

$a = ask('{ journey(journeyId: "01900000-0000-7000-8000-000000000008") { id } }');
is_deeply($a, { data => { journey => undef } }, "another's row is null");
$a = ask('{ journey(journeyId: "01900000-0000-7000-8000-000000000008") { id } }', token => $theirs);
is($a->{data}{journey}{id}, '01900000-0000-7000-8000-000000000008', 'to its owner it is not');
($r, $a) = ask('{ myJourneys { id } }', token => '');
is($r->{status}, 401, 'nobody has no journeys');
is($a->{errors}[0]{extensions}{code}, 'AUTHENTICATION_ERROR', 'and is told so');
($r, $a) = ask('{ places(query: "Lyon", limit: 1) { name countryCode } }', token => '');
is_deeply($a->{data}{places}, [ { name => 'Lyon', countryCode => 'FR' } ], 'what is public is not asked who');

# --- filters, orders, pages -------------------------------------------------------

$a = ask('query($t: JourneyTheme, $o: JourneyOrder) { myJourneys(theme: $t, orderBy: $o) { distanceMiles } }',
    variables => { t => 'food', o => 'SHORTEST' });
is_deeply([ map { $_->{distanceMiles} } @{ $a->{data}{myJourneys} } ], [ 3, 6, 9 ], 'a filter and an order');
$a = ask('query($t: JourneyTheme, $o: JourneyOrder) { myJourneys(theme: $t, orderBy: $o) { distanceMiles } }',
    variables => { o => 'LONGEST', t => undef });
is(@{ $a->{data}{myJourneys} }, 7, 'null is no filter');
is($a->{data}{myJourneys}[0]{distanceMiles}, 10.5, 'another order by the same document');

my $pages = 'query($f: Int, $a: String) { journeys(first: $f, after: $a, orderBy: LONGEST)
    { edges { cursor node { distanceMiles } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }';
my (@seen, $after);
for (1 .. 4) {
    $a = ask($pages, variables => { f => 2, a => $after });
    my $page = $a->{data}{journeys} or last;
    push @seen, map { $_->{node}{distanceMiles} } @{ $page->{edges} };
    is($page->{totalCount}, 7, "page $_: the total");
    is($page->{pageInfo}{endCursor}, $page->{edges}[-1]{cursor}, 'its end');
    is($page->{pageInfo}{startCursor}, $page->{edges}[0]{cursor}, 'its start');
    is(!!$page->{pageInfo}{hasPreviousPage}, !!($_ > 1), 'what was before');
    is(!!$page->{pageInfo}{hasNextPage}, !!($_ < 4), 'what comes');
    $after = $page->{pageInfo}{endCursor};
}
is_deeply(\@seen, [ 10.5, 9, 7.5, 6, 4.5, 3, 1.5 ], 'a connection, page by page');
($r, $a) = ask($pages, variables => { f => 2, a => $after }, token => $theirs);
is($r->{status}, 400, "another's cursor is none");
($r, $a) = ask($pages =~ s/LONGEST/NEWEST/r, variables => { f => 2, a => $after });
is($a->{errors}[0]{extensions}{code}, 'VALIDATION_ERROR', "nor is another order's");

# --- what is wrong ------------------------------------------------------------------

for (
    [ '{ me { id', 400, qr/Syntax Error: Expected/, 'a document that ends too soon' ],
    [ '{ me { nothing } }', 400, qr/Cannot query field "nothing" on type "User"/, 'no such field' ],
    [ '{ me }', 400, qr/must have a selection/, 'an object without a selection' ],
    [ '{ me { id { x } } }', 400, qr/must not have a selection/, 'a scalar with one' ],
    [ '{ journey { id } }', 400, qr/is required/, 'an argument that is missing' ],
    [ '{ me(x: 1) { id } }', 400, qr/Unknown argument "x"/, 'one that is unknown' ],
    [ '{ me { ...F } }', 400, qr/Unknown fragment/, 'no such fragment' ],
    [ '{ me { ...F } } fragment F on User { journeys { nodes { stories { journey { ...G } } } } }
       fragment G on Journey { stories { journey { ...G } } }', 400, qr/within itself/, 'a fragment in itself' ],
    [ '{ myJourneys(limit: 101) { id } }', 400, qr/from 0 to 100/, 'a limit over its bound' ],
    [ '{ myJourneys(limit: -1) { id } }', 400, qr/from 0 to 100/, 'and below it' ],
    [ '{ myJourneys(limit: "x") { id } }', 400, qr/type "Int", found a string/, 'one that is no number' ],
    [ '{ myJourneys(theme: nonsense) { id } }', 400, qr/type "JourneyTheme", found nonsense/, 'no value of the enum' ],
    [ '{ myJourneys(limit: 100) { stories(limit: 50) { journey { stories(limit: 50) { id } } } } }',
      400, qr/too large/, 'what would cost too much' ],
    [ '{ me @Journey { id } }', 400, qr/Unknown directive/, "a type's name for a directive's" ],
    [ '{ a: myJourneys { id } a: me { id } }', 400, qr/conflict/, 'two fields of one name' ],
    [ 'query A { __typename } query B { __typename }', 400, qr/operation name/, 'no operation chosen' ],
    [ 'query($n: Int!) { myJourneys(limit: $n) { id } }', 400, qr/was not provided/, 'a variable that is missing' ],
) {
    my ($query, $status, $like, $name) = @$_;
    ($r, $a) = ask($query);
    is($r->{status}, $status, $name) or diag $r->{content};
    like($a->{errors}[0]{message}, $like, 'and why');
    ok(!exists $a->{data}, 'without data');
    unlike($r->{content}, qr/SELECT|travel\./, 'nothing of the SQL');
}

# --- all that is wrong, at once ------------------------------------------------------

my $modern = { accept => 'application/graphql-response+json' };
$r = $t->post('/api/graphql', { query => "{ nope\n  myJourneys(limit: true) { id(x: 1) }\n  me }" },
    token => $token, headers => $modern);
is($r->{status}, 400, 'several mistakes');
is_deeply([ map { [ $_->{locations}[0]{line}, $_->{locations}[0]{column}, $_->{extensions}{code} ] }
    @{ $r->{json}{errors} } ], [ map { [ @$_, 'VALIDATION_ERROR' ] } [1, 3], [2, 21], [2, 32], [3, 3] ],
    'each with its place');
$r = $t->post('/api/graphql', { query => '{ a: me { id } a: __typename b: me { id } b: me { name id: email } }' }, token => $token);
is_deeply($r->{json}{errors}[0]{locations}, [ { line => 1, column => 3 }, { line => 1, column => 16 } ],
    'two places of one mistake');
$r = $t->post('/api/graphql', { query => '{ ' . join(' ', map { "no$_" } 1 .. 500) . ' }' }, token => $token);
is(scalar @{ $r->{json}{errors} }, 32, 'as many as are told');

$r = $t->post('/api/graphql', { query => 'mutation($c: JourneyContextInput!, $n: [ID!]) { startJourney(context: $c) { success }
    a: cancelBooking(bookingId: "x") { success } @skip(if: true) }' }, token => $token, headers => $modern);
is($r->{status}, 400, 'a document that is none');
$r = $t->post('/api/graphql', { query => 'query($n: Int!, $t: JourneyTheme) { myJourneys(limit: $n, theme: $t) { id } }',
    variables => { n => 1.5, t => 'nonsense' } }, token => $token, headers => $modern);
is($r->{status}, 400, 'variables that are not what is declared');
is_deeply([ map { $_->{message} } @{ $r->{json}{errors} } ],
    [ 'Variable "$n" got an invalid value at "n": expected "Int!", found 1.5.',
      'Variable "$t" got an invalid value at "t": expected "JourneyTheme", found the string "nonsense".' ],
    'which, where, what');
$r = $t->post('/api/graphql', { query => 'mutation($c: JourneyContextInput!) { startJourney(context: $c) { success } }',
    variables => { c => { origin => 1, theme => 'food', nope => 1 } } }, token => $token);
is_deeply([ sort map { $_->{message} =~ s/^Variable "\$c" got an invalid value at //r } @{ $r->{json}{errors} } ],
    [ '"c": field "destination" of required type "String!" was not provided.',
      '"c": field "nope" is not defined by type "JourneyContextInput".',
      '"c.origin": expected "String!", found 1.' ], 'and the path');

$r = $t->post('/api/graphql', { query => 'query($n: Int!, $i: ID!) { myJourneys(limit: $n) { id } journey(journeyId: $i) { id } }',
    variables => { n => JSON::PP::decode_json('[1e0]')->[0], i => $user } }, token => $token);
is($r->{json}{errors}, undef, 'a variable') or diag $r->{content};
$r = $t->request('POST', '/api/graphql', token => $token,
    body => '{"query":"query($n: Int!) { myJourneys(limit: $n) { id } places(query: \\"Lyon\\", limit: $n) { name } }","variables":{"n":1.0}}');
is_deeply($r->{json}{data}{places}, [ { name => 'Lyon' } ], 'a whole number, however it is written') or diag $r->{content};

# --- scalars of the schema's own -------------------------------------------------------

my $on = 'query($d: DateTime!) { searchEvents(location: "FR", dateFrom: $d, limit: 0) { eventId } }';
for (['2026-12-01T00:00:00Z', 1], ['2026-12-01t10:00:00.123456+05:30', 1], ['2028-02-29T23:59:60Z', 1],
    ['2026-02-29T00:00:00Z', 0], ['2026-12-01', 0], ['2026-12-01T00:00:00', 0], ['now', 0], ['', 0], [5, 0],
    ["2026-12-01T00:00:00Z'; DROP", 0], ['infinity', 0]) {
    my ($value, $good) = @$_;
    $r = $t->post('/api/graphql', { query => $on, variables => { d => $value } }, token => $token, headers => $modern);
    is($r->{status}, $good ? 200 : 400, "a DateTime: $value") or diag $r->{content};
    my $literal = $on =~ s/query\(.*?\) //r =~ s/\$d/JSON::PP->new->allow_nonref->encode($value)/er;
    $r = $t->post('/api/graphql', { query => $literal }, token => $token, headers => $modern);
    is($r->{status}, $good ? 200 : 400, '... as a literal') or diag $r->{content};
}
like($r->{json}{errors}[0]{message}, qr/Expected value of type "DateTime!"/, 'and it says what is expected');

my $bomb = '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }';
like($t->post('/api/graphql', { query => $bomb })->{json}{errors}[0]{message}, qr/Introspection/, 'a bomb of introspection');

# --- one field fails, the others do not ----------------------------------------------

($r, $a) = ask('{ good: me { id } bad: journey(journeyId: "no uuid") { id } also: places(query: "Lyon", limit: 1) { name } }');
is($r->{status}, 200, 'a field that fails');
is_deeply($a->{data}, { good => { id => $user }, bad => undef, also => [ { name => 'Lyon' } ] },
    'is null, the others are answered');
is_deeply($a->{errors}[0]{path}, ['bad'], 'with its path');
is($a->{errors}[0]{extensions}{code}, 'VALIDATION_ERROR', 'and a code');
unlike($r->{content}, qr/invalid input syntax|uuid:/, "not the database's words");

# --- what a document becomes ---------------------------------------------------------

sub explained {
    my ($query, @more) = @_;
    $t->write('explain.graphql', $query);
    return $t->run($t->build . '/travelctl', 'graphql', 'explain', '--dir', $t->root . '/conf/travel', @more,
        $t->dir . '/explain.graphql');
}
my ($rc, $out) = explained('query($n: Int) { me { totalMiles } myJourneys(limit: $n) { id stories(limit: 3) { title } } }',
    '--variables', '{"n":7}', '--dsn', 'host=' . $t->socket('postgres') =~ s{/[^/]*\z}{}r . ' dbname=travel user=travel_edge');
is($rc, 0, 'explain') or diag $out;
like($out, qr/^SELECT '\{"data":' [^\n;]*FROM travel\.users[^\n;]*FROM travel\.journeys[^\n;]*FROM travel\.stories[^\n;]*\n\n/, '... one statement');
like($out, qr/^\$\d+ viewer$/m, '... its parameters');
like($out, qr/^cost 42  depth 3  fields 6$/m, '... its cost: 1 + 5, 1 + 7 * (1 + 1 + 3)');
like($out, qr/^route a replica/m, '... whom it may be asked by');
like($out, qr/^tags user:\{viewer\} journeys:\{viewer\} stories:\{viewer\}$/m, '... its tags');
like($out, qr/^requires journeys:read stories:read$/m, '... what it requires');
like($out, qr/^prepared$/m, '... and a database takes it');
is((explained('{ nope }'))[0], 1, 'explain: what is not valid');
like((explained('mutation { cancelBooking(bookingId: "x") { success } }'))[1], qr/^route the command's queue/m, 'explain: a command');

$t->finish;
done_testing();
