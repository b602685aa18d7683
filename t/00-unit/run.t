# Runs every cmocka test that make built from t/00-unit/*.c, each as a subtest.
use strict;
use warnings;
use Test::More;

my $build = $ENV{TRAVEL_BUILD} || 'build';
my @tests = map { s{^t/00-unit/(.*)\.c$}{$1}r } sort glob 't/00-unit/*.c';

plan skip_all => 'no unit tests' unless @tests;

for my $name (@tests) {
    my $bin = "$build/t-unit/$name";
    subtest $name => sub {
        ok(-x $bin, "$name is built") or return;
        local $ENV{CMOCKA_MESSAGE_OUTPUT} = 'TAP';
        my $out = `$bin 2>&1`;
        my $rc  = $?;
        my $n   = 0;
        for (split /\n/, $out) {
            next unless /^(not )?ok \d+(?: - (.*))?/;
            ok(!$1, $2 // 'unnamed');
            $n++;
        }
        ok($n > 0, 'it ran tests');
        is($rc, 0, 'exit status') or diag($out);
        unlike($out, qr/runtime error:|Sanitizer/, 'no sanitizer report');
    };
}

done_testing();
