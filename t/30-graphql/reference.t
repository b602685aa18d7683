# The language by the reference implementation's word: documents of every kind,
# made at random and by hand, are valid, or wrong in the same places, for
# "travelctl graphql check" and for it.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin qw($Bin);
use JSON::PP;
use Test::More;

my $root = "$Bin/../..";
my $ctl = ($ENV{TRAVEL_BUILD} || 'build') . '/travelctl';
my $node = "$root/scripts/node/graphql-verdicts.js";
plan skip_all => "$ctl is not built" unless -x $ctl;

my $dir = tempdir('travel-graphql-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $json = JSON::PP->new->canonical->utf8;
my $seed = $ENV{TRAVEL_SEED} // time;
srand $seed;

sub spew {
    my ($name, $text) = @_;
    open my $f, '>:raw', "$dir/$name" or die "$dir/$name: $!";
    print $f $text;
    close $f or die $!;
    return "$dir/$name";
}

# --- what both say --------------------------------------------------------------

# The reference's verdicts, of all jobs in one run.
sub theirs {
    my @jobs = @_;
    my @asked;
    for my $job (@jobs) {
        my %job = map { $_ => $job->{$_} } grep { defined $job->{$_} } qw(schema document variables);
        utf8::decode($job{$_}) for grep { $_ ne 'variables' } keys %job;
        push @asked, $json->encode(\%job) . "\n";
    }
    my $in = spew('jobs', join '', @asked);
    my @said = map { $json->decode($_) } `node $node < $in`;
    is(scalar @said, scalar @jobs, 'the reference judged them all');
    return @said;
}

# What ours says on stderr, and its exit code.
sub check {
    my (@args) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec $ctl, 'graphql', 'check', @args;
        exit 127;
    }
    chomp(my @lines = <$out>);
    close $out;
    return ($? >> 8, @lines);
}

# Ours: each mistake as its places; many documents of one schema at once.
sub ours {
    my @jobs = @_;
    my @args = ('--schema', spew('schema.graphql', $jobs[0]{schema}));
    push @args, '--variables', $json->encode($jobs[0]{variables}) if $jobs[0]{variables};
    my $only = !defined $jobs[0]{document};
    push @args, map { spew("$_.graphql", $jobs[$_]{document}) } $only ? () : 0 .. $#jobs;
    my ($rc, @lines) = check(@args);
    my @said = map { { mistakes => [], more => 0, rc => 0 } } @jobs;
    for my $line (@lines) {
        my ($n, $rest) = $line =~ /^\S*?(\d+|schema)\.graphql: ?(.*)/ or next;
        my $said = $said[$only ? 0 : $n];
        $said->{rc} = $rc == 2 ? 2 : 1;
        $said->{more} = 1 if $rest =~ /^and more$/;
        push @{ $said->{mistakes} }, { line => $line,
            error => [ $1 ? [ $1 + 0, $2 + 0 ] : (), map { [ map { $_ + 0 } split /:/ ] } split /, /, $3 // '' ] }
            if $rest =~ /^(\d+):(\d+): .*?(?: \[([\d:, ]+)\])?$/;
    }
    $said[0]{rc} = $rc if @jobs == 1;
    return @said;
}

# Places of a mistake, in any order; the first eight are what ours keeps.
sub places {
    my ($error) = @_;
    return 'many places' if @$error >= 8;
    my %seen;
    return join ' ', sort grep { !$seen{$_}++ } map { "$_->[0]:$_->[1]" } @$error;
}

sub same {
    my ($ours, $theirs) = @_;
    my @a = sort map { places($_->{error}) } @{ $ours->{mistakes} };
    my @b = sort map { places($_) } @{ $theirs->{errors} };
    return "@{[ map { qq($_;) } @a ]}" eq "@{[ map { qq($_;) } @b ]}";
}

# Is a job one for a process of its own?
sub alone { my ($job) = @_; return $job->{variables} || !defined $job->{document} || $job->{alone} }

# All jobs, by both; a job may say how far they are to agree.
sub compare {
    my ($what, @jobs) = @_;
    my @theirs = theirs(@jobs);
    my ($valid, $wrong) = (0, 0);
    my @ours;
    my @left = @jobs;
    while (@left) {
        my $many = 1;
        $many++ while !alone($left[0]) && $many < 50 && $many < @left && !alone($left[$many])
            && $left[$many]{schema} eq $left[0]{schema};
        push @ours, ours(splice @left, 0, $many);
    }
    for my $job (@jobs) {
        my $theirs = shift @theirs;
        my $ours = shift @ours;
        if (my $apart = $job->{apart}) {
            my @both = grep { $theirs->{messages}[$_] !~ $apart } 0 .. $#{ $theirs->{messages} };
            @{ $theirs->{$_} } = @{ $theirs->{$_} }[@both] for qw(errors messages);
            $job->{stricter} = $apart;
        }
        my $rc = @{ $theirs->{errors} } ? 1 : 0;
        # who asks for the verdict alone is not told why: both refuse
        if ($job->{stricter} && !($rc && $job->{verdict})) {
            @{ $ours->{mistakes} } = grep { $_->{line} !~ $job->{stricter} } @{ $ours->{mistakes} };
            $ours->{rc} = @{ $ours->{mistakes} } ? 1 : 0;
        }
        $rc ? $wrong++ : $valid++;
        # a syntax error is one, whether at a token or in it
        my $syntax = "@{ $theirs->{messages} }" =~ /^Syntax Error/
            && "@{[ map { $_->{line} } @{ $ours->{mistakes} } ]}" =~ /: Syntax Error/;
        my $agree = $ours->{rc} == $rc && ($syntax || $job->{verdict} || $ours->{more} || same($ours, $theirs));
        next if $agree;
        my %theirs;
        push @{ $theirs{ places($theirs->{errors}[$_]) } }, $theirs->{messages}[$_]
            for 0 .. $#{ $theirs->{errors} };
        my @only = grep { !shift @{ $theirs{ places($_->{error}) } // [] } } @{ $ours->{mistakes} };
        fail("$what: agreed upon") or diag join "\n", "seed $seed",
            $job->{document} // $job->{schema}, ($job->{variables} ? $json->encode($job->{variables}) : ()),
            "ours only ($ours->{rc}):", (map { $_->{line} } @only), 'theirs only:',
            map { my $at = $_; map { "$at $_" } @{ $theirs{$at} } } sort keys %theirs;
        last if $ENV{TRAVEL_FIRST};
    }
    pass("$what: $valid valid, $wrong wrong");
    return ($valid, $wrong);
}

my $SCHEMA = <<'SDL';
directive @tag(name: String!, n: Int = 1) repeatable on QUERY | MUTATION | SUBSCRIPTION | FIELD
  | FRAGMENT_DEFINITION | FRAGMENT_SPREAD | INLINE_FRAGMENT | VARIABLE_DEFINITION
directive @once(box: Box) on FIELD | FRAGMENT_SPREAD
scalar Stamp
enum Colour { RED GREEN BLUE }
interface Node { id: ID! }
interface Named implements Node { id: ID! name(short: Boolean = false, n: Int): String }
type City implements Named & Node {
  id: ID! name(short: Boolean = false, n: Int): String people: Int! mayor: Person
  rivers(first: Int = 3, colour: Colour): [River!]! near: [[City]] size: Float
}
type River implements Named & Node {
  id: ID! name(short: Boolean = false, n: Int): String size: Int cities(in: Box): [City] flows: Place
}
type Person implements Named & Node {
  id: ID! name(short: Boolean = false, n: Int): String size: [Int] home: City friends(pick: Pick): [Person!]
}
type Mark { at: Stamp! size: Int! by: Person of: Any }
union Place = City | River
union Any = Person | Mark | City
input Box { w: Int! h: Int = 2 deep: Float tags: [String!] in: Box colour: Colour = RED when: Stamp grid: [[Int!]!] need: Boolean! = true }
input Pick @oneOf { id: ID name: String box: Box ids: [ID!] }
type Query {
  node(id: ID!): Node named(names: [String!]!): [Named] city(id: ID, box: Box): City place(pick: Pick): Place
  any(colours: [Colour!] = [RED], grid: [[Int]]): [Any!] count(box: Box! = { w: 1 }, at: Stamp): Int person(id: ID! = 1): Person
}
type Mutation { mark(box: Box!, at: Stamp): Mark move(pick: Pick): City }
type Subscription { marks(colour: Colour): Mark moved: City }
SDL

# --- documents, made at random ----------------------------------------------------

# Of each type: fields as [name, type, {argument => type}].
my %args = (name => { short => 'Boolean', n => 'Int' });
my %type = (
    Node => [ [ 'id', '' ] ], Named => [ [ 'id', '' ], [ 'name', '' ] ],
    City => [ [ 'id', '' ], [ 'name', '' ], [ 'people', '' ], [ 'size', '' ], [ 'mayor', 'Person' ],
        [ 'rivers', 'River', { first => 'Int', colour => 'Colour' } ], [ 'near', 'City' ] ],
    River => [ [ 'id', '' ], [ 'name', '' ], [ 'size', '' ], [ 'cities', 'City', { in => 'Box' } ], [ 'flows', 'Place' ] ],
    Person => [ [ 'id', '' ], [ 'name', '' ], [ 'size', '' ], [ 'home', 'City' ], [ 'friends', 'Person', { pick => 'Pick' } ] ],
    Mark => [ [ 'at', '' ], [ 'size', '' ], [ 'by', 'Person' ], [ 'of', 'Any' ] ],
    Place => [], Any => [],
    Query => [ [ 'node', 'Node', { id => 'ID!' } ], [ 'named', 'Named', { names => '[String!]!' } ],
        [ 'city', 'City', { id => 'ID', box => 'Box' } ], [ 'place', 'Place', { pick => 'Pick' } ],
        [ 'any', 'Any', { colours => '[Colour!]', grid => '[[Int]]' } ],
        [ 'count', '', { box => 'Box!', at => 'Stamp' } ], [ 'person', 'Person', { id => 'ID!' } ] ],
    Mutation => [ [ 'mark', 'Mark', { box => 'Box!', at => 'Stamp' } ], [ 'move', 'City', { pick => 'Pick' } ] ],
    Subscription => [ [ 'marks', 'Mark', { colour => 'Colour' } ], [ 'moved', 'City' ] ],
);
my %box = (w => 'Int!', h => 'Int', deep => 'Float', tags => '[String!]', in => 'Box', colour => 'Colour',
    when => 'Stamp', grid => '[[Int!]!]', need => 'Boolean!');
my %pick = (id => 'ID', name => 'String', box => 'Box', ids => '[ID!]');
my @fits = map { [ split / / ] } 'Node Named City River Person', 'Named Node City River Person Place Any',
    'City Node Named Place Any', 'River Node Named Place', 'Person Node Named Any', 'Mark Any',
    'Place City River Node Named Any', 'Any City Person Mark Place';
my %fits = map { my @t = @$_; $t[0] => \@t } @fits;

my $alias = 0;
our ($slip, %var, @fragment);       # how often something is wrong; what is used
sub slips { return rand() < $slip * ($_[0] // 1) }
sub one { return $_[rand @_] }

sub variable {
    my ($type) = @_;
    $type = one('Int', 'ID!', '[Int]', 'Box', 'Pick!', 'Boolean', $type) if slips;
    $type =~ s/!$// if slips 2;
    my $name = 'v' . int rand 6;
    $var{$name} //= $type;
    return $var{$name} eq $type || slips(5) ? "\$$name" : literal($type, 1);
}

sub object {
    my ($depth, %fields) = @_;
    my @names = grep { rand() < 0.3 } sort keys %fields;
    push @names, grep { /^(w)$/ && !slips } keys %fields;
    push @names, 'nope' if slips;
    my %seen;
    @names = grep { !$seen{$_}++ || slips } @names;
    return '{' . join(', ', map { "$_: " . value($fields{$_} // 'Int', $depth + 1) } @names) . '}';
}

sub literal {
    my ($type, $depth) = @_;
    $type = one('Int', 'String', 'Colour', 'Box', '[Int]', 'Boolean', 'Stamp') if slips;
    return 'null' if $type !~ /!$/ ? rand() < 0.05 : slips;
    $type =~ s/!$//;
    if ($type =~ /^\[(.*)\]$/) {
        my $inner = $1;
        return value($inner, $depth + 1) if rand() < 0.2;
        return '[' . join(', ', map { value($inner, $depth + 1) } 1 .. rand 3) . ']';
    }
    return 1 + int(rand 50) . (slips() ? '000000000' : '') if $type eq 'Int';
    return one('1.5', '-2e3', '7') if $type eq 'Float';
    return one('"x"', '12') if $type eq 'ID';
    return one('"y"', '"""z"""') if $type eq 'String';
    return one('true', 'false') if $type eq 'Boolean';
    return slips() ? 'PINK' : one('RED', 'GREEN', 'BLUE') if $type eq 'Colour';
    return one('"now"', '5', '[1, 2]', '{a: NOW}', 'LATER', 'true') if $type eq 'Stamp';
    return $depth > 3 && !slips() ? '{w: 1}' : object($depth, %box) if $type eq 'Box';
    my $key = one(keys %pick);
    return slips(2) ? object($depth, %pick) : "{$key: " . value($pick{$key} . '!', $depth + 1) . '}';
}

sub value { my ($type, $depth) = @_; return rand() < 0.15 ? variable($type) : literal($type, $depth) }

sub arguments {
    my ($args) = @_;
    my @names = grep { $args->{$_} =~ /!$/ ? !slips : rand() < 0.3 } sort keys %$args;
    push @names, one(@names, 'extra') if slips;
    return '' if !@names;
    return '(' . join(', ', map { "$_: " . value($args->{$_} // 'Int', 0) } @names) . ')';
}

sub directives {
    return '' if rand() > 0.12;
    my @d = (one('@skip(if: ' . value('Boolean!', 0) . ')', '@include(if: true)', '@tag(name: "a")',
        '@tag(name: "b") @tag(n: 2, name: "c")', '@once(box: ' . value('Box', 0) . ')'));
    push @d, one('@nope', '@skip', '@deprecated', '@once @once', '@skip(if: 1)', '@tag(name: "a", x: 1)') if slips 3;
    return ' ' . join ' ', @d;
}

sub field {
    my ($type, $depth) = @_;
    my @fields = @{ $type{$type} };
    @fields = grep { !$_->[1] } @fields if $depth <= 0 && !slips;
    my $f = @fields && rand() > 0.08 ? one(@fields) : [ '__typename', '' ];
    my ($name, $of) = @$f;
    my $text = $name ne '__typename' && rand() < 0.15 ? one('a', 'b', 'id') . ": $name" : $name;
    $text =~ s/\w+$/nope/ if slips;
    $text .= arguments($f->[2] // $args{$name} // {}) . directives();
    my $below = $of ? !slips : slips;
    return $text . ($below ? ' ' . selection($of || 'City', $depth - 1) : '');
}

sub selection {
    my ($type, $depth) = @_;
    my @out;
    for (1 .. 1 + rand 4) {
        my $on = slips() ? one(sort(keys %type), 'Box', 'Colour', 'Nope') : one(@{ $fits{$type} // [ $type ] });
        if (rand() < 0.12 && $depth > 0) {
            push @out, (rand() < 0.2 ? '...' . directives() . ' ' . selection($type, $depth - 1)
                : "... on $on" . directives() . ' ' . selection($on, $depth - 1)) if $type{$on};
            push @out, "... on $on { id }" if !$type{$on};
        } elsif (rand() < 0.12 && @fragment) {
            my ($f) = slips(2) ? one(@fragment) : grep { grep { $_ eq $type } @{ $fits{ $_->{on} } // [] } } @fragment;
            push @out, '...' . (slips() ? 'Missing' : $f ? $f->{name} : 'F0') . directives() if $f || $slip;
            push @out, '__typename' if !$f && !$slip;
        } else {
            push @out, field($type, $depth);
        }
    }
    return '{ ' . join("\n  ", @out, map { one(@out) } grep { rand() < 0.1 } 1 .. 2) . ' }';
}

# One operation, its fragments, and all that they use declared.
sub clean_document {
    local $slip = 0;
    local %var;
    local @fragment = map { { name => "F$_", on => one(grep { $fits{$_} } sort keys %type) } } 0 .. rand 3;
    my @all = @fragment;
    my $op = one('query', 'query', 'mutation', 'subscription');
    my $text = $op eq 'subscription' ? '{ moved ' . selection('City', 4) . ' }' : selection(ucfirst $op, 4);
    for my $f (@all) {
        shift @fragment;
        my $body = selection($f->{on}, 2);
        $text .= "\nfragment $f->{name} on $f->{on} $body" if $text =~ /\.\.\.$f->{name}\b/;
    }
    my @vars = map { "\$$_: $var{$_}" } grep { $text =~ /\$$_\b/ } sort keys %var;
    $text =~ s/ \@(skip|include)(\([^()]*\))?//g if $op eq 'subscription';
    @vars = grep { my ($v) = /^\$(\w+)/; $text =~ /\$$v\b/ } @vars;
    # each field its own name, so that none is another's
    $text =~ s/(?<![.\w"\$\@(])(?<!: )(?<!on )(id|name|people|size|mayor|rivers|near|cities|flows|home|friends|by|at|of|node|named|city|place|any|count|person|mark|move)\b(?![:\w"])/'x' . ++$alias . ": $1"/ge;
    return one($op, "$op Q", "\"why\" $op Q") . (@vars ? '(' . join(', ', @vars) . ')' : '') . " $text";
}

sub wrong_document {
    local $slip = one(0.003, 0.01, 0.05);
    local @fragment = map { { name => "F$_", on => one(grep { $fits{$_} } sort keys %type) } } 0 .. rand 3;
    my @out;
    my $last = $#fragment;
    my $n = one(1, 1, 1, 2);
    for my $i (1 .. $n) {
        local %var;
        my $op = one('query', 'query', 'query', 'mutation', 'subscription');
        my $body = selection(ucfirst $op, 4);
        my %more = slips() ? (unused => 'Int') : ();
        my @vars = map { "\$$_: " . (slips() ? one('Nope', 'City', '[Int!]') : $var{$_} // $more{$_})
            . (rand() < 0.2 ? ' = ' . do { local %var; my $l = literal($var{$_} // 'Int', 2); $l =~ /\$/ ? '1' : $l } : '')
            . (rand() < 0.05 ? ' @tag(name: "v")' : '') } grep { !slips } sort keys %var, keys %more;
        push @vars, $vars[0] if @vars && slips;
        my $name = $n > 1 || rand() < 0.5 ? slips() ? ' Q1' : " Q$i" : '';
        $name = '' if slips;
        push @out, "$op$name" . (@vars ? '(' . join(', ', @vars) . ')' : '') . directives() . " $body";
    }
    # fragments see only the variables of the last operation, and later fragments
    for my $i (0 .. $last) {
        my ($f) = splice @fragment, 0, 1;
        push @fragment, $f if slips;
        push @out, "fragment $f->{name} on $f->{on}" . directives() . ' ' . selection($f->{on}, 2);
    }
    my $text = join "\n", @out;
    $text =~ s/ \@(skip|include)(\([^()]*\))?//g if $text =~ /^subscription/m;
    return $text;
}

my $documents = $ENV{TRAVEL_DOCUMENTS} // 400;
my ($valid, $wrong) = compare('made at random', map { { schema => $SCHEMA,
    document => rand() < 0.5 ? clean_document() : wrong_document() } } 1 .. $documents);
cmp_ok($valid, '>', $documents / 8, 'many are valid');
cmp_ok($wrong, '>', $documents / 4, 'and many are not');

# --- documents, one rule each -------------------------------------------------------

my @rules = map { { schema => $SCHEMA, document => $_ } } split /\n(?=[^ ])/, <<'DOCS';
{ node(id: 1) { id } } type A { a: Int }
query Q { node(id: 1) { id } } query Q { node(id: 1) { id } } query R { count }
{ node(id: 1) { id } } query R { count }
subscription { moved { id } marks { size } a: moved { id } }
subscription { __typename }
subscription { ...F ...F } fragment F on Subscription { moved { id } moved { name } }
{ city { ... on Nope { id } rivers { ... on Box { w } } } } fragment F on Colour { a }
query($a: City, $b: [Place!]!, $c: Nope) { node(id: $a) { id } count(box: $b, at: $c) }
{ city { people { x } mayor } count { y } }
{ city { nope } any { name } place { id } nope }
{ any { ... on City { nope } ... on Node { id } ... on Named { name } ... on River { id } } }
{ city { ...F ...G } } fragment F on City { id } fragment F on River { id } fragment G on Place { ...F }
{ city { ...A } } fragment A on City { ...B } fragment B on City { near { ...A } mayor { home { ...B } } }
{ city { ...A ...A } } fragment A on City { id ...A } fragment Z on City { id }
query($a: Int, $b: Int, $a: Int) { city(box: {w: 1, h: $a}) { id } }
query($a: Int) { ...F } query Other($a: Int) { count } fragment F on Query { city(id: $a, box: $b) { id } }
{ city @nope { id @skip(if: true) @skip(if: false) @deprecated } count @tag(name: "a") @tag(name: "b") }
query @skip(if: true) { count @specifiedBy(url: "x") ... @tag { count } }
query($v: Int @tag(name: "x") @once) { city(box: {w: 2, h: $v}) { id } }
{ city(id: 1, id: 2, id: 3, nope: 4) { name(n: 1, short: true) name(short: true, n: 1) } }
{ city(box: {w: 1, w: 2, nope: 3}) { id } count(box: {h: 1}) }
{ city(box: {w: "x", h: 1.5, deep: true, tags: [1, "a", null], colour: "RED", need: null, grid: [1, [2], [null], null]}) { id } }
{ city(box: [{w: 1}]) { id } count(box: 1) named(names: "a") { id } x: named(names: [["b"]]) { id } }
{ any(colours: RED, grid: 3) { __typename } y: any(colours: [PINK], grid: [[1], [[2]]]) { __typename } }
{ count(box: {w: 1, when: {a: [$x]}}) count(at: [1, {b: ENUM}]) }
{ place(pick: {}) { __typename } a: place(pick: {id: 1, name: "x"}) { __typename } b: place(pick: {id: null}) { __typename } }
query($a: ID, $b: ID!, $c: ID = 1) { a: place(pick: {id: $a}) { __typename } b: place(pick: {id: $b}) { __typename } c: place(pick: {id: $c}) { __typename } }
{ node { id } named { id } person { id } city { friends { id } } count(box: null) }
query($a: Int, $b: [String], $c: Int = 1, $d: Int = null) { city(box: {w: $a, h: $b}) { x: name(n: $b) } count(box: {w: $c}) e: count(box: {w: $d}) }
query($a: [Int], $b: [[Int]], $c: Int, $d: [Int!]) { any(grid: $a) { __typename } b: any(grid: $b) { __typename } c: any(grid: [$c, $d]) { __typename } d: any(grid: [[$c]]) { __typename } }
query($n: Boolean, $m: Boolean = true) { count(box: {w: 1, need: $n}) a: count(box: {w: 1, need: $m}) b: person(id: $k) { id } }
{ city { a: id a: name b: near { id } b: near { id: name } } }
{ city { name(n: 1) name(n: 2) near { x: id } near { x: people } near { x: size } } }
{ any { ... on City { size a: size } ... on Mark { size a: size } ... on Person { size a: size } } }
{ any { ... on City { a: people } ... on Mark { a: size } } place { ... on City { x: mayor { id } } ... on River { x: flows { ... on City { id: name } } } } }
{ city { ...A ...B } } fragment A on City { x: id near { y: id } } fragment B on City { x: name near { y: name } }
{ city { ...A near { ...C } } } fragment A on City { near { ...B } } fragment B on City { q: id } fragment C on City { q: name ...A }
{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }
{ __type(name: "City") { interfaces { possibleTypes { name ...T } } } } fragment T on __Type { inputFields { name } }
{ __schema { directives { name locations args { name type { ofType { ofType { name } } } } } } __type { name } __typename }
mutation { mark(box: {w: 1}) { of { ... on Node { id } ... on Place { __typename } ... on Mark { at } } by { ... on City { id } } } }
"a" query A($a: Int = 1) { city(box: {w: $a, h: $a}) { id ...F } } """ c """ fragment F on City { id }
DOCS
($valid, $wrong) = compare('by hand', @rules);
cmp_ok($wrong, '>', 35, 'most are wrong');

# --- texts that may be none ---------------------------------------------------------

sub tokens { return $_[0] =~ /"""(?:.|\n)*?"""|"(?:[^"\\]|\\.)*"|\.\.\.|[\w.+-]+|\s+|./g }

sub mutant {
    my @t = tokens($_[0]);
    for (1 .. 1 + rand 2) {
        my ($i, $j) = map { int rand @t } 1, 2;
        my $what = int rand 4;
        if ($what == 0) { splice @t, $i, 1 }
        elsif ($what == 1) { splice @t, $i, 0, $t[$j] }
        elsif ($what == 2) { @t[$i, $j] = @t[$j, $i] }
        else { substr($t[$i], int rand length $t[$i], 1) = one('"', '{', '(', '1', 'a', '@', '$', '!', '.', "\xEF\xBB\xBF", '#', '\\u{61}') }
    }
    return join '', @t;
}

compare('mutants', map { { schema => $SCHEMA, verdict => 1, document => mutant(one(clean_document(), one(@rules)->{document})) } } 1 .. 250);

# --- schemas ------------------------------------------------------------------------

# The reference does not look at literals in a schema, nor at some names.
my $stricter = qr/: (?:Expected value of type|Field "\w+\.\w+" |OneOf Input Object|Field "\w+" is not defined by type|The default of input field|An operation or fragment is no part|The types of \w+ and|Directive "\@\w+" must not be used in its own|.*every schema)/;
my @schemas = map { { schema => $_, stricter => $stricter } } split /\n(?=[^ ])/, <<'SCHEMAS';
type Query { a: Int } type Query { b: Int } scalar Query
schema { query: Q } schema { query: Q query: Q } type Q { a: Int }
schema { query: Q } extend schema { query: Q mutation: Q } type Q { a: Int }
type Q { a: Int }
schema { query: Q mutation: I subscription: E } interface Q { a: Int } input I { a: Int } enum E { A }
type Query { a: Int a: Int b(c: Int, c: Int, c: Int): Int } extend type Query { a: Int }
enum E { A B A } extend enum E { B } input I { a: Int a: Int } type Query { a: E }
directive @d on FIELD directive @d on FIELD directive @e(a: Int, a: Int) on FIELD type Query { a: Int }
type Query { a: Nope b(c: Nope): [Nope!] } union U = Nope interface I implements Nope { a: Int }
type Query @nope { a: Int @skip(if: true) } enum E @deprecated { A @deprecated @deprecated }
directive @d(a: Int!) on OBJECT type Query @d { a: Int } type A @d(b: 1) { a: Int } type B @d(a: 1, a: 2) { a: Int }
directive @d on OBJECT type Query @d { a: Int } extend type Query @d
extend type Query { a: Int } extend scalar Nope @d
type Query { a: Int } extend interface Query { b: Int } extend input Query { a: Int } scalar S extend enum S { A }
type Query { a: I } input I { a: Int }
type Query { a(b: Query, c: U): Int } union U = Query
type Query type A implements Query { a: Int } interface I union U enum E input J
type Query { __a: Int b(__c: Int): Int } enum E { __A } input I { __a: Int } directive @__d(__a: Int) on FIELD type __T { a: Int }
interface I { a: Int } interface J implements I { a: Int } type Query implements J { a: Int }
interface I { a: Int b(c: Int): Int } type Query implements I & I { a: String b(d: Int!): Int }
interface I { a: Int! b: [I!] c(x: Int): I } type Query implements I { a: Int b: [Query] c(x: Int!): Query }
interface I { a: Int! b: [I] c: I } type Query implements I { a: Int! b: [Query!]! c(x: Int, y: Int = 1): Query! }
interface I implements I { a: Int } type Query implements I { a: Int }
interface I implements J { a: Int } interface J implements I { a: Int } type Query { a: I }
type Query { a: U } union U = Query | Query | I interface I { a: Int } union V = V
input I { a: I! } input J { k: K! } input K { j: J! l: L! } input L { k: K! x: [L!]! } type Query { a(i: I): Int }
input I { a: I b: [I!]! c: J } input J { i: I! } type Query { a(i: I): Int }
input O @oneOf { a: Int! b: Int = 1 c: Int } type Query { a(o: O): Int }
type Query { a(b: Int! @deprecated, c: Int! = 1 @deprecated, d: Int @deprecated): Int } input I { a: Int! @deprecated(reason: "x") b: Int! = 1 @deprecated } directive @d(a: Int! @deprecated) on FIELD
"q" type Query { "a" a("b" b: Int = 1): Int } "e" enum E { "A" A } "s" scalar S @specifiedBy(url: "x") "u" union U = Query "i" input I { "a" a: Int } "d" directive @d on QUERY
schema @d { query: Query } directive @d repeatable on SCHEMA extend schema @d @d type Query { a: Int }
scalar Int type Query { a: Int } directive @skip(if: Boolean!) on FIELD directive @include on QUERY
union U = | A | B type A { a: Int } type B { a: Int } extend union U = C type C { a: Int } type Query { u: U }
SCHEMAS
compare('schemas by hand', @schemas);
compare('schemas, changed', map { { schema => mutant(rand() < 0.5 ? $SCHEMA : one(@schemas)->{schema}),
    verdict => 1, stricter => $stricter } } 1 .. 60);

# Of every kind, with documents for each: interfaces of interfaces, unions, input
# objects with defaults, oneOf, directives that repeat, extensions anywhere.
my ($schemas, $each) = split /,/, $ENV{TRAVEL_SCHEMAS} // '16,12';
my @random = map { $json->decode($_) } `node $root/scripts/node/graphql-random.js $seed $schemas $each`;
is($?, 0, 'schemas and documents were made');
for my $job (@random) {
    utf8::encode($job->{$_}) for grep { defined $job->{$_} } qw(schema document);
    $job->{stricter} = $stricter if !defined $job->{document};
    # the reference overlooks it where the object must not be null
    $job->{apart} = qr/must be non-nullable to be used for OneOf/ if defined $job->{document};
    $job->{verdict} = 1 if $job->{variables};
}
($valid, $wrong) = compare('schemas and documents at random', @random);
cmp_ok($valid, '>', @random / 8, 'many are valid');
cmp_ok($wrong, '>', @random / 8, 'and many are not');

# --- variables ----------------------------------------------------------------------

sub json_value {
    my ($type, $depth) = @_;
    return undef if $type !~ /!$/ ? rand() < 0.15 : slips;
    return one(1, 'x', 1.5, \1, [], {}, [ 1 ], { w => 1 }, 'RED', -3e9) if slips;
    $type =~ s/!$//;
    if ($type =~ /^\[(.*)\]$/) {
        my $inner = $1;
        return json_value($inner, $depth + 1) if rand() < 0.15;
        return [ map { json_value($inner, $depth + 1) } 1 .. rand 4 ];
    }
    return int rand 9 if $type eq 'Int';
    return one(1, 2.5) if $type eq 'Float';
    return one('x', 12) if $type eq 'ID';
    return 'y' if $type eq 'String';
    return one(\0, \1) if $type eq 'Boolean';
    return one('RED', 'BLUE') if $type eq 'Colour';
    return one('now', [ 1 ], { a => 1 }) if $type eq 'Stamp';
    my %of = $type eq 'Box' ? %box : %pick;
    my @keys = $type eq 'Box' || slips ? grep { /^w$/ ? !slips : rand() < 0.4 } sort keys %of : one(sort keys %of);
    push @keys, 'nope' if slips;
    @keys = ('w') if $depth > 3 && $type eq 'Box';
    return { map { $_ => json_value($type eq 'Pick' && !slips() ? ($of{$_} // 'Int!') =~ s/!?$/!/r : $of{$_} // 'Int', $depth + 1) } @keys };
}

my @jobs;
for (1 .. 100) {
    local $slip = one(0, 0.05, 0.15);
    my %t = map { ("v$_" => one('Int', 'Int!', 'ID', '[String!]', '[[Int!]]!', 'Box', 'Box!', 'Pick!', 'Pick', '[Box]',
        'Colour', '[Colour!]!', 'Stamp', 'Float', 'Boolean!')) } 1 .. 2;
    my $document = 'query Q(' . join(', ', map { "\$$_: $t{$_}" } sort keys %t) . ') { '
        . join(' ', map { "$_(x: \$$_)" } sort keys %t) . ' }';
    push @jobs, { schema => $SCHEMA . 'extend type Query {' . join(' ', map { "$_(x: $t{$_}): Int" } sort keys %t) . '}',
        document => $document, verdict => $slip == 0,
        variables => { map { $_ => json_value($t{$_}, 0) } grep { !slips } sort keys %t } };
}
($valid, $wrong) = compare('variables', @jobs);
cmp_ok($valid, '>', 20, 'some are good');
cmp_ok($wrong, '>', 10, 'some are not');

# --- the command itself -------------------------------------------------------------

my @schema = ('--schema', spew('s.graphql', 'type Query { a(b: Int): Int }'));
my ($rc, @said) = check(@schema, spew('good.graphql', '{ a }'));
is("$rc @said", '0 ', 'valid');
($rc, @said) = check(@schema, spew('bad.graphql', "{ a(b: \"x\")\n  c }"));
is($rc, 1, 'not valid');
is_deeply(\@said, [ "$dir/bad.graphql:1:8: Expected value of type \"Int\", found a string.",
    "$dir/bad.graphql:2:3: Cannot query field \"c\" on type \"Query\"." ], 'every mistake, with its place');
is((check(@schema, "$dir/good.graphql", "$dir/bad.graphql"))[0], 1, 'one of two');
($rc, @said) = check(@schema, '--variables', '{"b":"x"}', spew('v.graphql', 'query($b: Int) { a(b: $b) }'));
is("$rc @said", "1 $dir/v.graphql:1:7: Variable \"\$b\" got an invalid value at \"b\": expected \"Int\", found the string \"x\".",
    'variables');
is((check('--schema', "$dir/none", "$dir/good.graphql"))[0], 2, 'no schema: it cannot be judged');
is((check('--schema', "$dir/bad.graphql", "$dir/good.graphql"))[0], 2, '... nor by one that is none');
is((check('--schema', "$dir/bad.graphql"))[0], 1, 'which by itself is wrong');
is((check(@schema, "$dir/none"))[0], 2, 'no document');
is((check(@schema, '--variables', '[', "$dir/good.graphql"))[0], 2, 'no variables');
($rc) = check(@schema, '--variables', spew('v.json', '{"b":"x"}'), "$dir/v.graphql");
is($rc, 1, 'variables in a file');
is((check(@schema, spew('large.graphql', '{ ' . 'a ' x 500_000 . '}')))[0], 2, 'a megabyte of fields is more than is read');
is((check())[0], 0, "the product's own schema");

done_testing();
