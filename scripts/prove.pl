#!/usr/bin/perl
# prove -r, plus a last line "N passed, N failed" that scripts can read.
#
# A file that dies, or plans more than it runs, counts as one failure even if
# every test it printed was ok.
#
# Most of a test's time is waiting, so TRAVEL_JOBS (4) files run side by side.
# Those of t/60-faults, which are about time, run last and three at a time, two
# under sanitizers; one that loads the machine to its limit says "Runs alone." in
# its head, and does.  A long one says "Starts first.", so that nobody waits for it
# at the end.
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

my $JOBS = $ENV{TRAVEL_JOBS} || 4;

sub harness {
    my ($jobs) = @_;
    return TAP::Harness->new({
        lib       => ['t/lib'],
        jobs      => $jobs,
        timer     => 1,
        failures  => 1,
        verbosity => $ENV{TEST_VERBOSE} ? 1 : 0,
        merge     => 0,
    });
}

# What a run of files came to: {passed, failed, bad => [files], ok_in_bad}.
sub prove {
    my ($jobs, @what) = @_;
    my %r = (passed => 0, failed => 0, bad => [], ok_in_bad => 0);
    return \%r unless @what;
    my $sum = harness($jobs)->runtests(@what);
    %r = (%r, passed => scalar $sum->passed, failed => scalar $sum->failed);
    for my $file ($sum->descriptions) {
        my ($parser) = $sum->parsers($file);
        next unless $parser->has_problems;
        push @{ $r{bad} }, $file;
        $r{ok_in_bad} += $parser->passed;
        $r{failed}++ unless $parser->failed;
    }
    return \%r;
}

# What its comment on top says of a file.
sub says {
    my ($file, $what) = @_;
    open my $f, '<', $file or die "$file: $!\n";
    while (defined(my $line = <$f>)) {     # not $_: it is the caller's
        last unless $line =~ /^#/;
        return 1 if $line =~ /\b\Q$what\E/;
    }
    return 0;
}

# other, timed or alone
sub kind {
    my ($file) = @_;
    return 'other' unless $file =~ m{(?:^|/)60-faults/};
    return says($file, 'Runs alone.') ? 'alone' : 'timed';
}

my (@first, @then, %files);
push @{ says($_, 'Starts first.') ? \@first : \@then }, $_ for @files;
push @{ $files{ kind($_) } }, $_ for @first, @then;
my $r = prove($JOBS, @{ $files{other} || [] });
my $timed = $ENV{TRAVEL_SAN} ? 2 : 3;
for ([timed => $JOBS < $timed ? $JOBS : $timed], [alone => 1]) {
    my ($kind, $jobs) = @$_;
    my $more = prove($jobs, @{ $files{$kind} || [] });
    $r->{$_} += $more->{$_} for qw(passed failed ok_in_bad);
    push @{ $r->{bad} }, @{ $more->{bad} };
}

# The servers under test share two cores with whatever else the machine does.
# Where TRAVEL_RETRY is set (.ci/run) at most three files that failed may show
# once more, alone, that it was the clock; the log keeps both runs.
my @bad = @{ $r->{bad} };
if ($ENV{TRAVEL_RETRY} && @bad && @bad <= 3) {
    print "\nonce more, alone: @bad\n";
    my $again = prove(1, @bad);
    $r->{passed} += $again->{passed} - $r->{ok_in_bad};
    $r->{failed} = $again->{failed};
    print "passed only the second time: ",
        join(' ', grep { my $f = $_; !grep { $_ eq $f } @{ $again->{bad} } }
            @bad), "\n";
}

printf "%d passed, %d failed\n", $r->{passed}, $r->{failed};
exit($r->{failed} ? 1 : 0);
