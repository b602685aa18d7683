# Every migration of the product can be undone and done again: down to the
# gazetteer and up, the schema is what it was, with rows of the product in it.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(parts => 'postgres');
my $root = Travel::Test::root();
my $pg = readlink $t->dir . '/pg';

# What a dump says of the schema, without what differs from run to run.
sub schema {
    my ($rc, $out) = $t->run('/bin/sh', '-c', 'pg_dump -s -d "$1" '
        . '--no-comments | grep -v "^--" | grep -v "^\\\\\\\\"', 'sh',
        "host=$pg dbname=travel user=postgres");
    is($rc, 0, 'dumped') or diag $out;
    return join "\n", sort grep { /\S/ } split /\n/, $out;
}

# The number of the newest one that is applied.
sub newest {
    return scalar $t->sql('SELECT max(version) FROM public.schema_migrations');
}

$t->sql("SELECT events.append('journey', gen_random_uuid(), 0,
    'journey.started', '{\"origin\": {}, \"destination\": {}}', NULL, NULL,
    NULL)");
my $before = schema();
my $top = newest();
my $n = 0;

while (newest() > 60 && $n < 100) {
    my $at = newest();
    my $ok = eval { $t->script('migrate.sh', 'down'); 1 };
    ok($ok, "$at is undone") or diag($@), last;
    $n++;
}

is(scalar $t->sql("SELECT count(*) FROM events.event"), 1,
    'events outlive what was made of them');
$t->script('migrate.sh', 'up');
is(newest(), $top, 'all are done again');
my $after = schema();
ok($after eq $before, 'the schema is what it was') or do {
    my %b = map { $_ => 1 } split /\n/, $before;
    my %a = map { $_ => 1 } split /\n/, $after;
    diag "- $_" for grep { !$a{$_} } sort keys %b;
    diag "+ $_" for grep { !$b{$_} } sort keys %a;
};

$t->finish;
done_testing;
