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
            location = /many { travel_auth optional jwks=main audience=travel; travel_graphql batch=3; }
            location = /large { travel_graphql max_body=4m; client_max_body_size 4m; }
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
is(`node $audit $url sdl $url/schema.graphql 2>&1`, "same\n", '... which says all that introspection does');
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
for (['application/json;q=0.5, application/graphql-response+json', 'graphql-response+json'],
    ['application/graphql-response+json;q=0.1, application/json', 'json'], ['application/graphql-response+json, */*', 'graphql-response+json'],
    ['text/html, */*;q=0.1', 'json'], ['application/*;q=0.2', 'json'], ['application/json;q=0, */*', 'graphql-response+json'],
    ['Application/GraphQL-Response+JSON; charset=utf-8 ;Q=0.9,application/json; q=0.8', 'graphql-response+json'],
    ['application/graphql-response+json;q=0,application/json;q=0.000', undef], ['application/jsonx', undef], [',', undef]) {
    $r = post($q, accept => $_->[0]);
    $_->[1] ? like($r->{headers}{'content-type'}, qr{^application/\Q$_->[1]\E;}, "Accept: $_->[0]") : is($r->{status}, 406, "Accept: $_->[0]");
}
is(post('[' . $q . ']')->{status}, 400, 'no batches');
is(post('{"query": 1}')->{status}, 400, 'no string');
is(post('{')->{status}, 400, 'no JSON');
is(post('{"query":"' . 'x' x 300_000 . '"}')->{status}, 413, 'too large');
$r = $t->get('/api/graphql?query=mutation+%7B+__typename+%7D');
is($r->{status}, 405, 'GET is for queries');
is($r->{headers}{allow}, 'POST', '... and says so');
$r = $t->get('/api/graphql?query=query(%24n:Int)%7BmyPlaces:places(query:%22Lyon%22,limit:%24n)%7Bname%7D%7D&variables=%7B%22n%22:1%7D');
is_deeply($r->{json}{data}, { myPlaces => [ { name => 'Lyon' } ] }, 'GET with variables');

# --- what the audit does not ask ---------------------------------------------------

my $new = 'application/graphql-response+json';
is(post('{"query":"{ __typename }","more":{"a":[1]},"id":7}', accept => $new)->{status}, 200, 'members that nobody knows are passed over');
is(post('{"query":"{ __typename }","query":"{ a: __typename }"}')->{status}, 400, 'one name twice is no request');
is(post("{\"query\":\"{ places(query: \\\"\xff\\\") { name } }\"}")->{status}, 400, 'a body that is not UTF-8');
is_deeply(post('{"query":"{ places(query: \"Z\\u00fcrich\", limit: 1) { name } }"}')->{json}{data}{places}, [ { name => "Z\xfcrich" } ], 'UTF-8 both ways');
for ('application/json;charset="UTF-8"', 'APPLICATION/JSON ; Charset=utf-8') {
    is(post($q, 'content-type' => $_)->{status}, 200, "Content-Type: $_");
}
is(post($q, 'content-type' => $new)->{status}, 415, 'what is only for answers is no request');
like($t->raw("POST /api/graphql HTTP/1.1\r\nHost: x\r\nContent-Length: " . length($q) . "\r\nConnection: close\r\n\r\n$q"),
    qr{^HTTP/1.1 415 }, 'a body of no type');
is_deeply($t->request('PUT', '/api/graphql', body => $q)->{headers}{allow}, 'GET, HEAD, POST', 'other methods: 405 with Allow');
$r = $t->post('/api/graphql', { query => '{ __typename }' }, token => 'a.b.c', headers => { accept => $new });
is($r->{status}, 401, 'a token that is none');
like($r->{headers}{'content-type'}, qr{^application/json}, '... is told before GraphQL, in no type of its');
$r = post('{"query":"{ place(id: \"x\") { name } }"}', accept => $new);
is($r->{status}, 200, 'data beside errors is 200');
like($r->{content}, qr/^\{"errors":\[/, 'errors come first');
is_deeply([ sort keys %{ $r->{json}{errors}[0] } ], [ qw(extensions locations message path) ], 'what is told of one, and no more');
is_deeply([ sort keys %{ post('{"query":"{ nope }"}', accept => $new)->{json} } ], ['errors'], 'a request that is refused has no data');
is_deeply([ sort keys %{ post($q, accept => $new)->{json} } ], ['data'], 'no errors, no member of that name');
my $two = '"query A { a: __typename } query B { b: __typename }"';
is_deeply(post(qq({"query":$two,"operationName":"B"}), accept => $new)->{json}{data}, { b => 'Query' }, 'the operation that is named');
for (['', 'Must provide operation name'], [',"operationName":"C"', 'Unknown operation named']) {
    like(post(qq({"query":$two$_->[0]}), accept => $new)->{content}, qr/$_->[1]/, 'an operation must be named that is there');
}
is_deeply(post('{"query":"query A { a: __typename }","operationName":""}')->{json}{data}, { a => 'Query' }, 'an empty name is none');
is_deeply(post('{"query":"query($a: Int = 1, $b: String! = \"Lyon\") { places(query: $b, limit: $a) { name } }","variables":{"zz":2}}')->{json}{data}{places},
    [ { name => 'Lyon' } ], 'defaults stand in, what nobody declared is passed over');
is(post('{"query":"query($b: String! = \"x\") { places(query: $b) { name } }","variables":{"b":null}}', accept => $new)->{status}, 400,
    'null is given, and is not the default');
is($t->get('/api/graphql?query=%7B__typename%7D&variables=5', headers => { accept => $new })->{status}, 400, 'GET: variables that are no map');
$r = $t->get('/api/graphql?operationName=B&query=' . 'query+A%7Ba:__typename%7Dquery+B%7Bb:__typename%7D', headers => { accept => $new });
is_deeply($r->{json}{data}, { b => 'Query' }, 'GET: the operation that is named');
like(join(', ', map { ref $_ ? @$_ : $_ } $r->{headers}{vary}), qr/\bAccept\b/, '... and that it depends on Accept');
$r = post('{"query":"subscription { journeyUpdates(journeyId: \"x\") { __typename } }"}', accept => $new);
is($r->{status}, 400, 'a subscription is not for POST');
my @wide = sort map { $_->{name} } @{ $t->post('/api/graphql', { query => '{ __schema { directives { name } } }' })->{json}{data}{__schema}{directives} };
is_deeply([ grep { /^(?:deprecated|include|oneOf|skip|specifiedBy)\z/ } @wide ], [ qw(deprecated include oneOf skip specifiedBy) ], 'directives that every schema has');

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

# --- batches ------------------------------------------------------------------------

sub many { return $t->post('/many', $_[0], @_[1 .. $#_]) }
my $me = { query => '{ me { id } }' };
$r = many([ { query => 'query($n: String!) { places(query: $n, limit: 1) { name } }', variables => { n => 'Lyon' } },
    { query => '{ nope }' }, $me ], token => $t->user_token(5));
is($r->{status}, 200, 'a batch, where it is allowed') or diag $r->{content};
is_deeply($r->{json}[0], { data => { places => [ { name => 'Lyon' } ] } }, 'each in its place');
like($r->{json}[1]{errors}[0]{message}, qr/Cannot query field "nope"/, '... one that is wrong');
is_deeply($r->{json}[2], { data => { me => { id => $t->user(5) } } }, '... by the caller');
$r = many([ $me, { query => '{ __typename }' } ]);
is($r->{json}[0]{errors}[0]{extensions}{code}, 'AUTHENTICATION_ERROR', 'nobody is nobody in a batch');
is_deeply($r->{json}[1], { data => { __typename => 'Query' } }, '... which is no matter to the others');
is(many([ ($me) x 4 ])->{status}, 400, 'too many');
is(many([])->{status}, 400, 'none');
is(many([ [ $me ] ])->{status}, 400, 'a batch in a batch');
is(many([ $me, 5 ])->{status}, 400, 'what is no operation');
is(many({ query => '{ __typename }' })->{json}{data}{__typename}, 'Query', 'one alone, as ever');
$r = $t->request('POST', '/many', body => ' [ {"query":"{ __typename }"} , {"query":"{ a: __typename }","variables":{"x":"],}{"}} ] ');
is_deeply($r->{json}, [ { data => { __typename => 'Query' } }, { data => { a => 'Query' } } ], 'with room around them') or diag $r->{content};

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

# --- bombs -------------------------------------------------------------------------

# By the time that the workers computed, whatever else this machine does.
sub ticks {
    my $sum = 0;
    for my $pid ($t->children_of('nginx')) {
        open my $f, '<', "/proc/$pid/stat" or next;
        my @stat = split ' ', <$f> =~ s/^.*\) //r;
        $sum += $stat[11] + $stat[12];
    }
    return $sum;
}

sub resident {
    my $sum = 0;
    for my $pid ($t->children_of('nginx')) {
        open my $f, '<', "/proc/$pid/status" or next;
        my ($kb) = join('', <$f>) =~ /VmRSS:\s+(\d+)/;
        $sum += $kb;
    }
    return $sum;
}

sub nested { my ($open, $n, $in, $close) = @_; return $open x $n . $in . $close x $n }

my %bomb = (
    'depth' => [ '{ me ' . nested('{ journeys { nodes { stories { journey ', 1500, '{ id }', '} } } }') . ' }', qr/\S/ ],
    'depth of nothing' => [ nested('{ ... ', 15_000, '{ __typename }', '}'), qr/\S/ ],
    'a megabyte of aliases' => [ '{ ' . join(' ', map { "a$_:me{id}" } 1 .. 80_000) . ' }', qr/too large/ ],
    'aliases' => [ '{ ' . join(' ', map { "a$_: __typename" } 1 .. 20_000) . ' }', qr/too many fields|too large/ ],
    'one name' => [ '{ ' . 'me { id name } ' x 10_000 . '}', qr/too complicated/ ],
    'a list in lists' => [ '{ places(query: ' . nested('[', 40_000, '1', ']') . ') { name } }', qr/Expected value/ ],
    'fragments, each twice' => [ '{ me { ...F0 } } ' . join(' ', map { my $n = $_ + 1;
        "fragment F$_ on User { journeys { nodes { stories { journey { ...G$_ ...G$_ } } } } ...F$n ...F$n } fragment G$_ on Journey { id ...G$n }" }
        0 .. 999) . ' fragment F1000 on User { id } fragment G1000 on Journey { id }', qr/\S/ ],
    'fragments in a circle' => [ '{ me { ...F0 } } ' . join(' ', map { "fragment F$_ on User { ...F" . ($_ + 1) % 3000 . ' }' } 0 .. 2999),
        qr/within itself/ ],
    'operations and fragments' => [ join(' ', map { "query Q$_(\$v: Int) { me { ...F0 } }" } 1 .. 900) . ' '
        . join(' ', map { "fragment F$_ on User { ...F" . ($_ + 1) . ' }' } 0 .. 899) . ' fragment F900 on User { id }', qr/\S/ ],
    'one huge name' => [ '{ ' . 'x' x 1_000_000 . ' }', qr/Cannot query/ ],
    'one huge string' => [ '{ places(query: "' . 'x' x 1_000_000 . '", limit: true) { name } }', qr/Expected value/ ],
);
for my $name (sort keys %bomb) {
    my ($text, $like) = @{ $bomb{$name} };
    my ($before, $rss) = (ticks(), resident());
    $r = $t->post('/large', { query => $text }, headers => { accept => 'application/graphql-response+json' });
    is($r->{status}, 400, "a bomb: $name");
    like(join("\n", map { $_->{message} } @{ $r->{json}{errors} }), $like, '... and what it is told');
    cmp_ok(ticks() - $before, '<', 100, '... within a second of computing');
    cmp_ok(resident() - $rss, '<', 100_000, '... and a bounded room');
    cmp_ok(length $r->{content}, '<', 50_000, '... in a short answer');
}

$t->finish;
done_testing();
