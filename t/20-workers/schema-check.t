# travelctl schema check: exit codes, the one line of reason, standard input.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;

my $ctl = ($ENV{TRAVEL_BUILD} || 'build') . '/travelctl';
plan skip_all => "$ctl is not built" unless -x $ctl;

my $dir = tempdir('travel-schema-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub spew {
    my ($name, $text) = @_;
    open my $f, '>:raw', "$dir/$name" or die "$dir/$name: $!";
    print $f $text;
    close $f or die $!;
    return "$dir/$name";
}

# Runs it with $stdin; returns (exit code, what it said on stderr, on stdout).
sub run_ctl {
    my ($stdin, @args) = @_;
    my $in = spew('stdin', $stdin);
    my $rc = system("'$ctl' schema check @args < $in > $dir/out 2> $dir/err");
    my @said = map { local (@ARGV, $/) = ("$dir/$_"); scalar <> } qw(err out);
    return ($rc >> 8, map { $_ // '' } @said);
}

my $schema = spew('s.json', '{"type":"object","required":["party_size"],
  "properties":{"party_size":{"type":"integer","minimum":1,"maximum":20}},
  "additionalProperties":false}');

for (
    [ '{"party_size":4}',            0, qr/^\z/ ],
    [ '{"party_size":21}',           1, qr{^VALIDATION_ERROR /party_size \S.*\n\z} ],
    [ '{}',                          1, qr{^VALIDATION_ERROR /party_size \S.*\n\z} ],
    [ '{"party_size":4,"x/y":1}',    1, qr{^VALIDATION_ERROR /x~1y \S.*\n\z} ],
    [ '[]',                          1, qr{^VALIDATION_ERROR  \S.*\n\z} ],
    [ '{"party_size":4,}',           1, qr{^MALFORMED_JSON \@16 \S.*\n\z} ],
    [ '',                            1, qr{^MALFORMED_JSON \@0 \S.*\n\z} ],
    [ "{\"a\":\"\xFF\"}",            1, qr{^MALFORMED_JSON \@6 \S.*\n\z} ],
    [ '{"party_size":4,"party_size":5}', 1, qr{^DUPLICATE_KEY /party_size \S.*\n\z} ],
) {
    my ($instance, $rc, $err) = @$_;
    my @by_pipe = run_ctl($instance, $schema, '-');
    is($by_pipe[0], $rc, "$instance: exit code");
    like($by_pipe[1], $err, "$instance: reason");
    is($by_pipe[2], '', "$instance: nothing on stdout");
    is_deeply([ run_ctl('', $schema, spew('i.json', $instance)) ], \@by_pipe,
        "$instance: the same from a file");
}

for (
    '{"$ref":"https://elsewhere.test/schema"}', '{"$ref":"#/$defs/none"}',
    '{"$schema":"http://json-schema.org/draft-07/schema#"}',
    '{"type":"strnig"}', '{"pattern":"("}', '{', '{"$ref":"#"}',
) {
    my ($rc, $err) = run_ctl($_, '-', $schema);
    is($rc, 2, "$_: cannot be judged");
    like($err, qr/^[^\n]{20,}\n\z/, "$_: one line says why");
}

is((run_ctl('{}', '-', '-'))[0], 2, 'one standard input for two');
is((run_ctl('{}', "$dir/none", '-'))[0], 2, 'no such schema');
is((run_ctl('{}', $schema, "$dir/none"))[0], 2, 'no such instance');
is((run_ctl('{}', $schema))[0], 2, 'an argument is missing');

done_testing();
