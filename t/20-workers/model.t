# The queue protocol and a repartitioning in all their states (t/model), and
# their mistakes.
use strict;
use warnings;
use Test::More;

my @lines = split /\n/, qx(scripts/model.sh 2>&1);
my $rc = $? >> 8;
is($rc, 0, 'the model holds, and every mistake is found') or diag @lines;
is(scalar(grep { /no error$/ } @lines), 4, 'without errors');
is(scalar(grep { /found: / } @lines), 10, 'ten mistakes');
done_testing;
