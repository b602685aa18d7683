# Kept GraphQL answers: by document, values and viewer; gone with what a
# command changes; with rights judged on each hit; filled once for many.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use Travel::Test;

# The product, but that a place has a tag of its own instead of one for all.
my $t = Travel::Test->new(parts => 'postgres queue cache nginx workers',
    env => { TRAVEL_LIMITS => "limits-open.conf" },
    edit => sub { s{(travel_catalog\s+)[^;]+}{$1\@RUN\@/catalog} });
system('cp', '-r', $t->root . '/conf/travel', $t->dir . '/catalog') == 0 or die 'cp';
$t->write('catalog/graphql/schema.graphql', slurp($t->root . '/conf/travel/graphql/schema.graphql')
    =~ s/tags: "places"/row: "place:{id}"/r);
$t->launch;
my $token = $t->user_token(5);
my $theirs = $t->user_token(6);
my $mine = '{ myJourneys { id theme } }';

sub ask {
    my ($query, %o) = @_;
    return $t->post('/api/graphql', { query => $query, ($o{variables} ? (variables => $o{variables}) : ()) },
        (($o{token} // $token) ? (token => $o{token} // $token) : ()), headers => $o{headers} // {});
}
sub hits { my ($n) = $t->get('/metrics')->{content}
    =~ /^travel_cache_requests_total\{route="graphql",result="hit"\} (\d+)/m; return $n // 0 }
sub hit { my $before = hits(); my $r = ask(@_); return wantarray ? (hits() - $before, $r) : hits() - $before }
sub kept { my @a = @_; return wait_for(sub { hit(@a) }, 10, 'a hit') }

ok(kept($mine), 'an answer is kept');
ok(kept("{ myJourneys {\n  id theme } }"), 'white space makes another plan, the same statement');
is(hit('{ myJourneys { id } }'), 0, 'other fields are another answer');
is(hit($mine, token => $theirs), 0, "another's is not his");
is_deeply(ask($mine, token => $theirs)->{json}, { data => { myJourneys => [] } }, 'which is empty');

my $q = 'query($n: Int) { myJourneys(limit: $n) { id } }';
ok(kept($q, variables => { n => 3 }), 'with a variable');
is(hit($q, variables => { n => 4 }), 0, 'another value, another answer');
ok(kept($q, variables => { n => 3 }), 'the first is still there');

my $reader = $t->token(sub => $t->user(5), permissions => 'stories:read');
is(ask($mine, token => $reader)->{status}, 403, 'what is kept is not for who may not ask');

# --- a command makes an end of it, for its caller alone ---------------------------

ok(kept($mine, token => $theirs), "another's answer is kept as well");
my $made = ask('mutation { startJourney(context: { origin: "Lyon, FR", destination: "Paris, FR", theme: food }) { journey { id } } }')
    ->{json}{data}{startJourney}{journey}{id};
ok($made, 'a journey');
is(ask($mine)->{json}{data}{myJourneys}[0]{id}, $made, 'is in the very next answer');
my ($n, $r) = hit($mine, token => $theirs);
is($n, 1, "another's answer stays");
$r = $t->post('/api/v1/journeys', { origin => 'Paris, FR', destination => 'Lyon, FR', theme => 'music' },
    token => $token, headers => { prefer => 'wait=10' });
is(ask($mine)->{json}{data}{myJourneys}[0]{theme}, 'music', 'and what REST writes is seen, too');

# --- what not everybody may see ------------------------------------------------

my $some = '{ me { id } journey(journeyId: "' . $made . '") { theme } }';
for (1, 2) {
    ok(kept($some), 'an answer of which not everybody sees all');
    ($n, $r) = hit($some, token => $reader);
    is($n, 0, 'is not for who may see less');
    is_deeply([ $r->{status}, $r->{json}{data}, $r->{json}{errors}[0]{path}, $r->{json}{errors}[0]{extensions}{code} ],
        [ 200, { me => { id => $t->user(5) }, journey => undef }, ['journey'], 'AUTHORIZATION_ERROR' ], 'who gets that part') or diag $r->{content};
}

# --- cursors are for whom they were made, kept or not -------------------------------

my $page = '{ journeys(first: 1) { nodes { id } pageInfo { endCursor } } }';
my $cursor = ask($page)->{json}{data}{journeys}{pageInfo}{endCursor};
ok(kept($page), 'a page is kept');
is(ask($page)->{json}{data}{journeys}{pageInfo}{endCursor}, $cursor, 'with its cursor');
is(ask('query($a: String) { journeys(first: 1, after: $a) { nodes { id } } }', variables => { a => $cursor })
    ->{json}{data}{journeys}{nodes}[0]{id}, $made, 'that goes on from there');

# --- the tags of the rows that were touched; what is nobody's own is kept for all ------

my ($lyon, $paris) = map { ask("{ places(query: \"$_\", limit: 1) { id } }")->{json}{data}{places}[0]{id} } 'Lyon', 'Paris';
my $row = "{ a: place(id: \"$lyon\") { name } }";
my $other = "{ a: place(id: \"$paris\") { name } }";
ok(kept($row) && kept($other), 'two rows');
is(hit($row, token => $theirs), 1, 'the same answer for another caller');
is(hit($row, token => ''), 1, '... and for nobody');
$t->redis('queue', 'worker')->call('XADD', 'travel:inval', '*', 'tags', "place:$lyon", 'timeline', 1,
    'lsn', scalar $t->sql('SELECT pg_current_wal_flush_lsn()', role => 'postgres'));
ok(wait_for(sub { !hit($row) }, 10, 'the row'), 'what touched the row is gone with its tag');
is(hit($other), 1, '... what touched another stays');

# --- many at once ---------------------------------------------------------------------

$t->sql('SELECT count(*) FROM travel.place', role => 'postgres');
my ($before) = $t->get('/metrics')->{content} =~ /^travel_route_total\{to="primary"\} (\d+)/m;
my @kids = map {
    my $pid = fork // die;
    if (!$pid) { delete $t->{http}; ask('{ searchEvents(location: "DE", dateFrom: "2026-12-01T00:00:00Z", limit: 200) { eventId eventName startsAt } }'); require POSIX; POSIX::_exit(0) }
    $pid;
} 1 .. 12;
waitpid $_, 0 for @kids;
my ($after) = $t->get('/metrics')->{content} =~ /^travel_route_total\{to="primary"\} (\d+)/m;
cmp_ok($after - $before, '<', 12, 'twelve who ask the same do not ask the database twelve times');

$t->finish;
done_testing();
