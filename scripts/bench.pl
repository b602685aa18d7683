# make bench: runs the benchmarks of scripts/bench/ that are named, or all.
# How it is measured stands in t/lib/Travel/Bench.pm.

use strict;
use warnings;
use FindBin;
use Test::More ();
use Travel::Bench;

$| = 1;
Test::More->builder->output(\my $tap);
for my $file (sort glob "$FindBin::Bin/bench/[0-9]*.pl") {
    do $file or die "$file: ", $@ || $!, "\n";
}
exit(Travel::Bench::run(@ARGV) ? 0 : 1);
