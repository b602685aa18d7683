# main-job.t can fail: each step, broken by configuration, turns it red at
# that step.  Two at a time, for they mostly wait.  Starts first.

use strict;
use warnings;
use FindBin;
use Test::More;

plan skip_all => 'proved by the plain build; sanitizers add nothing here'
    if $ENV{TRAVEL_SAN};

for my $pair ([ 1, 4 ], [ 2, 5 ], [ 3, 6 ]) {
    my %run;
    for my $step (@$pair) {
        local $ENV{TRAVEL_BREAK} = $step;
        open $run{$step}, '-|', "$^X $FindBin::Bin/main-job.t 2>&1"
            or die "main-job.t: $!";
    }
    for my $step (@$pair) {
        my $out = do { local $/; readline $run{$step} };
        close $run{$step};
        isnt($? >> 8, 0, "main-job.t fails with step $step broken");
        like($out, qr/^not ok \d+ - step $step:/m, "... at step $step")
            or diag($out);
        next unless $step > 1 && $step != 4;
        unlike($out, qr/^not ok \d+ - step 1:/m, '... and not from the start');
    }
}

done_testing;
