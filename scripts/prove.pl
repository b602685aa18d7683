#!/usr/bin/perl
# prove -r, plus a last line "N passed, N failed" that scripts can read.
#
# A file that dies, or plans more than it runs, counts as one failure even if
# every test it printed was ok.
use strict;
use warnings;
use File::Find ();
use TAP::Harness ();

my @files;
for my $what (@ARGV) {
    if (-f $what) { push @files, $what; next }
    File::Find::find({ no_chdir => 1,
        wanted => sub { push @files, $_ if -f && /\.t\z/ } }, $what);
}
@files = sort @files;
die "prove: no tests in @ARGV\n" unless @files;

my $harness = TAP::Harness->new({
    lib       => ['t/lib'],
    timer     => 1,
    failures  => 1,
    verbosity => $ENV{TEST_VERBOSE} ? 1 : 0,
    merge     => 0,
});
my $sum = $harness->runtests(@files);

my ($passed, $failed) = (scalar $sum->passed, scalar $sum->failed);
for my $file ($sum->descriptions) {
    my ($parser) = $sum->parsers($file);
    $failed++ if $parser->has_problems && !$parser->failed;
}
printf "%d passed, %d failed\n", $passed, $failed;
exit($failed ? 1 : 0);
