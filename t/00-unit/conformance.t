# t/CONFORMANCE.md, t/GRAPHQL.md and t/PROMISES.md name tests that are there: every
# file, and in it every test's name, or its parts: names are put together ("not stored: " and a
# case).
use strict;
use warnings;
use Test::More;

my (%text, @missing);
my ($rows, $names) = (0, 0);
local @ARGV = qw(t/CONFORMANCE.md t/GRAPHQL.md t/PROMISES.md);
while (my $row = <>) {
    my $line = "$ARGV:$.";
    close ARGV if eof;              # lines are counted by file
    my ($tests) = $row =~ /^\| .* \| (.*) \|\s*$/ or next;
    next if $tests =~ /^-+$|^tests?\b/;
    $rows++;
    my @parts = split /`([^`]+)`/, $tests;
    shift @parts;
    push @missing, "$line: no test" unless @parts;
    while (my ($path, $said) = splice @parts, 0, 2) {
        next unless $path =~ m{^t/};
        if (!exists $text{$path}) {
            open my $t, '<', $path or $text{$path} = undef;
            $text{$path} = do { local $/; <$t> } =~ s/\\//gr if $t;
        }
        if (!defined $text{$path}) { push @missing, "$line: $path"; next }
        for my $name (($said // '') =~ /"([^"]+)"/g) {
            $names++;
            for my $part (grep { length > 2 } 
                split /\s*\.\.\.\s*|:\s+|\$\w+/, $name)
            {
                push @missing, "$line: $path has no \"$part\""
                    if index($text{$path}, $part) < 0;
            }
        }
        for my $function (($said // '') =~ /\b(test_\w+)/g) {
            $names++;
            push @missing, "$line: $path has no $function"
                if index($text{$path}, $function) < 0;
        }
    }
}
cmp_ok($rows, '>', 100, "$rows lines of standards");
cmp_ok($names, '>', 100, "$names tests are named");
is(join("\n", @missing), "", "and all of them are there");

done_testing;
