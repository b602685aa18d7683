# GraphQL over HTTP as the reference audits it, introspection as the reference
# reads it, and what a document may not bring along.
use strict;
use warnings;
use Test::More;
use Travel::Test;

my $t = Travel::Test->new(parts => 'postgres queue cache nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' }, edit => sub {
        s{(server_name _;)}{$1
            location = /strict { travel_graphql status=strict persisted=off depth=3; }
            location = /listed { travel_graphql persisted=\@RUN\@/listed; }} or die });
mkdir $t->dir . '/listed';
$t->write('listed/places.graphql', '{ places(query: "Lyon", limit: 1) { name } }');
$t->launch;
my $url = $t->url . '/api/graphql';
my $audit = $t->root . '/scripts/node/graphql-audit.js';

my %seen;
for (`node $audit $url 2>&1`) {
    chomp;
    my ($status, $id, $name, $reason) = split /\t/;
    $seen{$status}++;
    # a MAY that is not taken is a notice
    ok($status eq 'ok' || $status eq 'notice', "$id $name")
        or diag "$status: $reason";
}
cmp_ok($seen{ok}, '>', 50, 'audits passed');

# --- introspection -------------------------------------------------------------

my $schema = `node $audit $url schema 2>&1`;
like($schema, qr/type Journey \{/, 'the reference builds our schema')
    or diag $schema;
like($schema, qr/\Q  stories(limit: Int = 20, status: StoryStatus): [Story!]!\E/, 'with arguments and defaults');
like($schema, qr/scalar DateTime\s*\@specifiedBy\(url: "https:/, '@specifiedBy');
my $sdl = $t->get('/api/graphql/schema.graphql');
like($sdl->{content}, qr/\Qstories(limit: Int = 20, status: StoryStatus): [Story!]!\E/, 'the same as SDL');
unlike("$sdl->{content}$schema", qr/travel\.|\@table|user_id/, 'nothing of tables');

my $r = $t->post('/api/graphql', { query => 'query($n: String!) { __type(name: $n) { name kind
    enumValues { name } fields { name } } __schema { queryType { name } } none: __type(name: "X") { name } }',
    variables => { n => 'StoryStatus' } });
is_deeply($r->{json}{data}{__type}, { name => 'StoryStatus', kind => 'ENUM', fields => undef,
    enumValues => [ map { { name => $_ } } qw(pending ready failed) ] }, '__type');
is($r->{json}{data}{none}, undef, 'no such type');
$r = $t->post('/api/graphql', { query => '{ p: places(query: "Lyon", limit: 1) { name } __schema { queryType { name } } }' });
is_deeply($r->{json}{data}, { p => [ { name => 'Lyon' } ], __schema => { queryType => { name => 'Query' } } },
    'data and introspection in one');

# --- requests ---------------------------------------------------------------------

sub post { my ($body, %h) = @_;
    return $t->request('POST', '/api/graphql', body => $body, headers => { %h }) }
my $q = '{"query":"{ __typename }"}';

is(post($q, 'content-type' => 'text/plain')->{status}, 415, 'a form of another site is not taken');
is(post($q, 'content-type' => 'application/x-www-form-urlencoded')->{status}, 415, '... nor this');
is(post($q, 'content-type' => 'application/json; charset=latin1')->{status}, 415, '... nor another charset');
is(post($q, accept => 'text/html')->{status}, 406, 'what is not to be had');
is(post('[' . $q . ']')->{status}, 400, 'no batches');
is(post('{"query": 1}')->{status}, 400, 'no string');
is(post('{')->{status}, 400, 'no JSON');
is(post('{"query":"' . 'x' x 300_000 . '"}')->{status}, 413, 'too large');
$r = $t->get('/api/graphql?query=mutation+%7B+__typename+%7D');
is($r->{status}, 405, 'GET is for queries');
is($r->{headers}{allow}, 'POST', '... and says so');
$r = $t->get('/api/graphql?query=query(%24n:Int)%7BmyPlaces:places(query:%22Lyon%22,limit:%24n)%7Bname%7D%7D&variables=%7B%22n%22:1%7D');
is_deeply($r->{json}{data}, { myPlaces => [ { name => 'Lyon' } ] }, 'GET with variables');

# --- the switches ----------------------------------------------------------------

my %modern = (headers => { accept => 'application/graphql-response+json' });
is($t->post('/strict', { query => '{ nothing }' }, %modern)->{status}, 422, 'strict: a document that is not valid');
is($t->post('/strict', { query => '{' }, %modern)->{status}, 400, 'strict: one that cannot be read');
is($t->post('/strict', { query => '{ place(id: "x") { name } }' }, %modern)->{status}, 294, 'strict: data with errors');
is($t->post('/strict', { query => '{ place(id: "1") { position { lat } } }' }, %modern)->{status}, 200, 'as deep as it may be');
like($t->post('/strict', { query => '{ places(query: "x") { position { lat } } a: __typename }' }, %modern)->{content},
    qr/"places"/, 'introspection and names cost no depth');
$r = $t->post('/listed', { query => '{ places(query: "Lyon", limit: 1) { name } }' });
is_deeply($r->{json}{data}{places}, [ { name => 'Lyon' } ], 'a document on the list');
is($t->post('/listed', { query => '{ __typename }' })->{status}, 403, 'and none that is not');

# --- persisted ---------------------------------------------------------------------

my $doc = '{ places(query: "Lyon", limit: 1) { name countryCode } }';
my $sha = qx(printf '%s' '$doc' | sha256sum) =~ s/\s.*//sr;
my %ext = (persistedQuery => { version => 1, sha256Hash => $sha });
my $pid = 0;
for (1 .. 20) {
    $r = $t->post('/api/graphql', { extensions => \%ext });
    last if $r->{json}{data};
    is($r->{json}{errors}[0]{message}, 'PersistedQueryNotFound', 'not known yet') if $_ == 1;
    $t->post('/api/graphql', { query => $doc, extensions => \%ext });
}
is_deeply($r->{json}{data}{places}, [ { name => 'Lyon', countryCode => 'FR' } ], 'known by its hash');
my %upper = (persistedQuery => { version => 1, sha256Hash => uc $sha });
for (1 .. 20) {
    $r = $t->post('/api/graphql', { extensions => \%upper });
    last if $r->{json}{data};
    $t->post('/api/graphql', { query => $doc, extensions => \%upper });
}
is_deeply($r->{json}{data}{places}, [ { name => 'Lyon', countryCode => 'FR' } ], '... in upper case, too');
$r = $t->post('/api/graphql', { query => "$doc ", extensions => \%ext });
is($r->{status}, 400, 'a hash that is of another text');

$t->finish;
done_testing();
