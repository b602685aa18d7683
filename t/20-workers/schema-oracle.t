# JSON Schema against two other implementations: random schemas and instances
# of every keyword (t/lib/schema/pairs.js), judged by travelctl, by ajv and by
# python3-jsonschema.  Where those two agree, so must we; where they do not
# (each has its gaps), we must say what one of them says.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP ();
use Test::More;

my $ctl = ($ENV{TRAVEL_BUILD} || 'build') . '/travelctl';
my $ajv = 'scripts/node/node_modules/ajv/package.json';
my $python = '/usr/bin/python3';

plan skip_all => "$ctl is not built" unless -x $ctl;
plan skip_all => 'no ajv: run scripts/install.sh' unless -r $ajv;
plan skip_all => 'no python3-jsonschema: run scripts/install.sh'
    if system("$python -c 'import jsonschema' 2>/dev/null");

my $dir = tempdir('travel-oracle-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $seed = $ENV{TRAVEL_SEED} // 20261127;
my $schemas = $ENV{TRAVEL_SCHEMAS} // 70;
my $json = JSON::PP->new->utf8;

sub lines {
    open my $f, '-|:raw', $_[0] or die "$_[0]: $!";
    my @lines = <$f>;
    close $f or die "$_[0]: $?";
    return @lines;
}

sub spew {
    my ($name, $text) = @_;
    open my $f, '>:utf8', "$dir/$name" or die "$dir/$name: $!";
    print $f $text;
    close $f or die $!;
}

my @pairs = lines("node t/lib/schema/pairs.js $seed $schemas 6"
    . " | tee $dir/pairs.jsonl");
my @second = lines("$python -W ignore t/lib/schema/second.py"
    . " < $dir/pairs.jsonl");
is(scalar @pairs, $schemas * 6, "seed $seed: the pairs");
is(scalar @second, scalar @pairs, 'a second opinion on each');

my ($wrong, %told) = (0);
my $schema = '';
for my $n (0 .. $#pairs) {
    my $pair = $json->decode($pairs[$n]);
    spew('s.json', $schema = $pair->{schema}) if $pair->{schema} ne $schema;
    spew('i.json', $pair->{instance});
    my $rc = system("$ctl schema check --formats=annotate $dir/s.json "
        . "$dir/i.json 2>$dir/err") >> 8;
    my $ours = (qw(true false null))[$rc] // "exit $rc";
    my $one = !defined $pair->{ajv} ? 'null' : $pair->{ajv} ? 'true' : 'false';
    chomp(my $two = $second[$n]);
    $told{$ours}++;
    $told{differ}++ if $one ne $two;
    # ajv takes all elements for evaluated where there is a "contains"
    $one = 'null' if $pair->{schema} =~ /"unevaluatedItems"/
        && $pair->{schema} =~ /"contains"/ && $two eq 'null';
    next if $ours eq $one || ($one ne $two && $ours eq $two)
        || ($one eq 'null' && $two eq 'null');
    diag("travelctl $ours, ajv $one, jsonschema $two: ", $json->encode($pair))
        if $wrong++ < 5;
}
is($wrong, 0, 'nobody has reason to object');
cmp_ok($told{$_} // 0, '>', @pairs / 5, "enough that are $_") for qw(true false);
cmp_ok($told{null} // 0, '==', 0, 'all can be judged');
cmp_ok($told{differ} // 0, '<', @pairs / 20, 'the others mostly agree');

done_testing;
