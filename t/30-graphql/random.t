# Any valid document gives SQL that PostgreSQL takes: documents made at random
# from the shipped schema, each asked for real; and more of them than there is
# room for plans, so that sessions forget and prepare anew.
use strict;
use warnings;
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(parts => 'postgres queue cache nginx',
    ngx_workers => 1, env => { TRAVEL_LIMITS => 'limits-open.conf' });
my $token = $t->user_token(5);
$t->sql("INSERT INTO travel.journeys (id, user_id, origin, destination,
    origin_place_id, destination_place_id, theme, distance_miles)
    SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '" . $t->user(5)
    . "', 'a', 'b', p.id, p.id, 'food', n FROM generate_series(1, 3) AS n,
    (SELECT id FROM travel.place LIMIT 1) AS p", role => 'postgres');

my $seed = $ENV{TRAVEL_SEED} // time;
srand $seed;
diag "seed $seed" if $ENV{TRAVEL_SEED};

# --- the schema, by its own account ---------------------------------------------

my $r = $t->post('/api/graphql', { query => '{ __schema { types { name kind enumValues { name }
    fields { name args { name defaultValue type { ...T } } type { ...T } } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }' });
my %type = map { $_->{name} => $_ } @{ $r->{json}{data}{__schema}{types} };

sub base { my ($t) = @_; $t = $t->{ofType} while $t->{ofType}; return $t->{name} }

my %VALUE = (
    Int => sub { int rand 5 }, Boolean => sub { 'true' }, String => sub { '"FR"' },
    ID => sub { '"01900000-0000-7000-8000-000000000001"' },
    DateTime => sub { '"2026-12-01T00:00:00Z"' },
);

sub value {
    my ($field, $arg) = @_;
    my $name = base($arg->{type});
    return '"2"' if $field eq 'place' && $name eq 'ID';
    return $type{$name}{enumValues}[rand @{ $type{$name}{enumValues} }]{name}
        if $type{$name}{kind} eq 'ENUM';
    return $VALUE{$name}->();
}

my $alias = 0;

sub selection {
    my ($name, $depth) = @_;
    my @out;
    my @fields = grep { $depth > 0 || !$type{ base($_->{type}) }{fields} } @{ $type{$name}{fields} };
    push @fields, { name => '__typename', args => [], type => { name => 'String' } };
    for my $f (map { $fields[rand @fields] } 1 .. 1 + rand 4) {
        my @args = map { "$_->{name}: " . value($f->{name}, $_) }
            grep { $_->{name} !~ /^(?:after|before)$/ && ($_->{type}{kind} eq 'NON_NULL' || rand() < 0.5) } @{ $f->{args} };
        @args = grep { !/^last:/ } @args if grep { /^first:/ } @args;
        my $s = 'f' . ++$alias . ": $f->{name}" . (@args ? '(' . join(', ', @args) . ')' : '');
        $s .= ' ' . selection(base($f->{type}), $depth - 1) if $type{ base($f->{type}) }{fields};
        $s = "... on $name { $s }" if rand() < 0.1;
        push @out, $s;
    }
    return "{ @out }";
}

my ($asked, $answered, $large) = (0, 0, 0);
my @docs = map { selection('Query', 4) } 1 .. 700;
for my $doc (@docs, @docs[0 .. 20]) {
    $r = $t->post('/api/graphql', { query => $doc }, token => $token);
    $asked++;
    my $errors = $r->{json}{errors};
    if ($errors && $errors->[0]{message} =~ /too large/) { $large++; next }
    $answered++ if $r->{json}{data};
    next if !$errors;
    fail('a valid document') or diag "seed $seed: $doc\n$r->{content}";
    last;
}
is($answered + $large, $asked, "$asked documents, of which $large cost too much");
cmp_ok($answered, '>', 400, 'most were answered');
my ($made) = $t->get('/metrics')->{content} =~ /^travel_graphql_plans_total\{result="made"\} (\d+)/m;
cmp_ok($made, '>', 512, 'more than there is room for');

$t->finish;
done_testing();
