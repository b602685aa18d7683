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
    my $in = spew('jobs', join '', map { $json->encode($_) . "\n" } @jobs);
    my @said = map { $json->decode($_) } `node $node < $in`;
    is(scalar @said, scalar @jobs, 'the reference judged them all');
    return @said;
}

# Ours: each mistake as its places.
sub ours {
    my ($job) = @_;
    my @args = ('--schema', spew('schema.graphql', $job->{schema}));
    push @args, '--variables', $json->encode($job->{variables}) if $job->{variables};
    push @args, spew('document.graphql', $job->{document}) if defined $job->{document};
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec $ctl, 'graphql', 'check', @args;
        exit 127;
    }
    my ($more, @mistakes) = (0);
    while (my $line = <$out>) {
        chomp $line;
        $more = 1 if $line =~ /: and more$/;
        next if $line !~ /^\S+?:(\d+):(\d+): .*?(?: \[([\d:, ]+)\])?$/;
        push @mistakes, { line => $line,
            error => [ [ $1 + 0, $2 + 0 ], map { [ map { $_ + 0 } split /:/ ] } split /, /, $3 // '' ] };
    }
    close $out;
    return { rc => $? >> 8, mistakes => \@mistakes, more => $more };
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

# All jobs, by both; a job may say how far they are to agree.
sub compare {
    my ($what, @jobs) = @_;
    my @theirs = theirs(@jobs);
    my ($valid, $wrong) = (0, 0);
    for my $job (@jobs) {
        my $theirs = shift @theirs;
        my $ours = ours($job);
        my $rc = @{ $theirs->{errors} } ? 1 : 0;
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

my ($valid, $wrong) = compare('made at random',
    map { { schema => $SCHEMA, document => rand() < 0.5 ? clean_document() : wrong_document() } } 1 .. ($ENV{TRAVEL_DOCUMENTS} // 600));
cmp_ok($valid, '>', 30, 'some are valid');
cmp_ok($wrong, '>', 100, 'and many are not');

done_testing();
