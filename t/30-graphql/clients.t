# Real clients: GraphiQL in a browser, TypeScript made of our introspection and
# compiled, Apollo Client over HTTP.
use strict;
use warnings;
use JSON::PP;
use Test::More;
use Travel::Test;

my $t = Travel::Test->new(parts => 'postgres queue cache nginx workers',
    env => { TRAVEL_LIMITS => 'limits-open.conf' }, edit => sub {
        s{(server_name _;)}{$1
            location = /off { travel_auth optional jwks=main audience=travel;
                travel_graphql; }} or die });
system('scripts/graphiql.sh', $t->dir . '/graphiql') == 0 or die 'graphiql.sh';
$t->launch;
my $url = $t->url . '/api/graphql';
my $token = $t->user_token(3);

# --- GraphiQL ---------------------------------------------------------------------

my %browser = (accept => 'text/html,application/xhtml+xml,*/*;q=0.8');
my $r = $t->request('GET', '/api/graphql', headers => { %browser });
is($r->{status}, 200, 'a browser gets the page');
like($r->{headers}{'content-security-policy'}, qr/script-src 'self';/, 'which takes scripts from here alone');
unlike($r->{content}, qr{https?://}, '... and names no other place');
for my $file ($r->{content} =~ m{(?:src|href)="([^"]+)"}g) {
    is($t->get($file)->{status}, 200, "$file is here");
}
is($t->request('GET', '/off', headers => { %browser })->{status}, 400, 'off by default');
is($t->request('GET', '/api/graphql?query=%7B__typename%7D', headers => { %browser })->{json}{data}{__typename},
    'Query', 'a query is answered all the same');
is($t->request('GET', '/api/graphql', headers => { accept => 'application/json' })->{status}, 400,
    'a client that is no browser hears what is missing');

SKIP: {
    skip 'no chromium-headless-shell', 3 if !`which chromium-headless-shell`;
    my $shot = $t->dir . '/graphiql.png';
    my $chromium = 'timeout 60 chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage'
        . ' --user-data-dir=' . $t->dir . '/chromium --window-size=1280,800 --virtual-time-budget=15000';
    my $page = `$chromium --dump-dom --screenshot=$shot $url 2> /dev/null`;
    like($page, qr/graphiql-container/, 'GraphiQL runs in a browser');
    like($page, qr/graphiql-doc-explorer.*Mutation/s, 'and shows our schema');
    cmp_ok(-s $shot // 0, '>', 20_000, 'a screenshot of it');
    system('cp', $shot, $ENV{TRAVEL_KEEP_SHOTS}) if $ENV{TRAVEL_KEEP_SHOTS};
}

# --- TypeScript -------------------------------------------------------------------

my $ts = $t->dir . '/ts';
mkdir $ts;
$t->write('ts/operations.graphql', <<'DOC');
query Mine($limit: Int, $theme: JourneyTheme) {
  myJourneys(limit: $limit, theme: $theme) { id theme createdAt stories(limit: 2) { title } }
}
mutation Start($context: JourneyContextInput!) { startJourney(context: $context) { success journey { id distanceMiles } } }
DOC
my $out = `node scripts/node/graphql-typescript.js $url $ts/operations.graphql $ts/types.ts 2>&1`;
is($?, 0, 'TypeScript from our introspection') or diag $out;
$t->write('ts/good.ts', <<'TS');
import { MineQuery, MineQueryVariables, StartMutationVariables } from './types';
const variables: MineQueryVariables = { limit: 3, theme: 'food' };
const start: StartMutationVariables = { context: { origin: 'Lyon', destination: 'Paris', theme: 'food' } };
export function first(q: MineQuery): string | null | undefined { return q.myJourneys[0].stories[0].title; }
export default [variables, start];
TS
$t->write('ts/bad.ts', <<'TS');
import { StartMutationVariables } from './types';
export const start: StartMutationVariables = { context: { origin: 'Lyon', destination: 1, theme: 'nonsense' } };
TS
my $tsc = 'scripts/node/node_modules/.bin/tsc --noEmit --strict --skipLibCheck';
$out = `$tsc $ts/good.ts 2>&1`;
is($?, 0, 'it compiles, with who uses it') or diag $out;
$out = `$tsc $ts/bad.ts 2>&1`;
like($out, qr/number.*string/s, '... and refuses what the schema does');

# --- Apollo Client ------------------------------------------------------------------

my %said = map { my ($k, $v) = split / /, $_, 2; $k => $v }
    split /\n/, `node scripts/node/graphql-apollo.js $url '$token' 2>&1`;
is_deeply(decode_json($said{query} // '{}'), [ { __typename => 'Place', name => 'Lyon', countryCode => 'FR' } ],
    'Apollo Client: a query') or diag explain \%said;
is($said{cached}, '1', '... the second time from its own cache');
is($said{persisted}, 'FR', 'a persisted query, by its hash');
is($said{mutation}, 'true', 'a mutation');
like($said{errors} // '', qr/^2 Cannot query field/, 'all mistakes of a document');
like($said{variables} // '', qr/expected "Int"/, 'and of variables');

$t->finish;
done_testing();
