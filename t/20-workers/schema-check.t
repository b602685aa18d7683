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

# What is easily got wrong: schema, instance, exit code.
my $TREE = '{"$id":"http://t.test/strict","$dynamicAnchor":"node","$ref":"tree",'
    . '"unevaluatedProperties":false,"$defs":{"tree":{"$id":"tree",'
    . '"$dynamicAnchor":"node","type":"object","properties":{"data":true,'
    . '"children":{"type":"array","items":{"$dynamicRef":"#node"}}}}}}';
my $LIST = '{"$id":"http://t.test/main","if":{"properties":{"kind":{"const":"n"}}},'
    . '"then":{"$ref":"numbers"},"else":{"$ref":"strings"},"$defs":{'
    . '"list":{"$id":"list","properties":{"list":{"items":{"$dynamicRef":"#item"}}},'
    . '"$defs":{"any":{"$dynamicAnchor":"item"}}},'
    . '"numbers":{"$id":"numbers","$defs":{"i":{"$dynamicAnchor":"item",'
    . '"type":"number"}},"$ref":"list"},'
    . '"strings":{"$id":"strings","$defs":{"i":{"$dynamicAnchor":"item",'
    . '"type":"string"}},"$ref":"list"}}}';
my $BIG = '1' . '0' x 400;

for (
    # boolean schemas, unknown keywords, siblings of $ref
    [ 'true', 'null', 0 ], [ 'false', 'null', 1 ], [ '{}', '[1]', 0 ],
    [ '{"not":{}}', '1', 1 ], [ '{"nonsense":{"type":1},"x":[]}', '1', 0 ],
    [ '{"properties":{"a":false}}', '{"a":1}', 1 ],
    [ '{"properties":{"a":false}}', '{}', 0 ],
    [ '{"$ref":"#/$defs/a","maximum":3,"$defs":{"a":{"minimum":2}}}', '4', 1 ],
    [ '{"$ref":"#/$defs/a","maximum":3,"$defs":{"a":{"minimum":2}}}', '1', 1 ],
    [ '{"$ref":"#/$defs/a","maximum":3,"$defs":{"a":{"minimum":2}}}', '3', 0 ],
    [ '{"$ref":"#/x/y","x":{"y":{"type":"string"}}}', '1', 1 ],
    [ '{"properties":{"$ref":{"type":"string"}}}', '{"$ref":1}', 1 ],
    [ '{"const":{"$ref":"#/none"}}', '{"$ref":"#/none"}', 0 ],
    [ '{"type":"array","items":{"$ref":"#"}}', '[[[]],[]]', 0 ],
    [ '{"type":"array","items":{"$ref":"#"}}', '[[[]],[1]]', 1 ],
    [ '{"dependencies":{"a":["b"]}}', '{"a":1}', 0 ],
    [ '{"definitions":{"a":{"$anchor":"x","type":"null"}},"$ref":"#x"}', '1', 1 ],
    # numbers
    [ '{"type":"integer"}', '1.0', 0 ], [ '{"type":"integer"}', '1e3', 0 ],
    [ '{"type":"integer"}', '1.5', 1 ], [ '{"type":"integer"}', '15e-1', 1 ],
    [ '{"type":"integer"}', "$BIG.0", 0 ], [ '{"type":"integer"}', '1e400', 0 ],
    [ '{"multipleOf":0.01}', '1.13', 0 ], [ '{"multipleOf":0.01}', '1.131', 1 ],
    [ '{"multipleOf":0.01}', '19.99', 0 ], [ '{"multipleOf":0.0001}', '0.0075', 0 ],
    [ '{"multipleOf":1e-8}', '12391239123', 0 ], [ '{"multipleOf":3}', $BIG, 1 ],
    [ '{"multipleOf":7}', '0', 0 ], [ '{"multipleOf":0.1}', '1e300', 0 ],
    [ '{"maximum":9007199254740992}', '9007199254740993', 1 ],
    [ '{"minimum":9007199254740993}', '9007199254740992', 1 ],
    [ '{"const":9007199254740993}', '9007199254740992', 1 ],
    [ q({"exclusiveMaximum":1e400}), $BIG, 1 ], [ q({"maximum":1e400}), $BIG, 0 ],
    [ '{"minimum":0}', '-0.0', 0 ], [ '{"const":0}', '-0', 0 ],
    [ '{"const":1}', '1.0', 0 ], [ '{"const":1}', 'true', 1 ],
    [ '{"enum":[false]}', '0', 1 ], [ '{"enum":[[1.0]]}', '[1]', 0 ],
    # strings: code points, ECMA-262 with the u flag
    [ '{"maxLength":2}', '"\uD83D\uDE00\uD83D\uDE00"', 0 ],
    [ '{"minLength":2}', "\"\xF0\x9F\x98\x80\"", 1 ],
    [ '{"pattern":"^.$"}', '"\uD83D\uDE00"', 0 ],
    [ '{"pattern":"^\\\\p{Letter}+$"}', "\"\xC3\xA9a\"", 0 ],
    [ q({"pattern":"^\\\\p{digit}+$"}), q("12"), 0 ],
    [ '{"pattern":"^\\\\d$"}', "\"\xD9\xA1\"", 1 ],
    [ '{"pattern":"^\\\\w$"}', "\"\xC3\xA9\"", 1 ],
    [ '{"pattern":"\\\\s"}', "\"\xC2\xA0\"", 0 ],
    [ '{"pattern":"a$"}', '"a\n"', 1 ], [ '{"pattern":"p"}', '"xpx"', 0 ],
    [ '{"pattern":"(x+x+)+y"}', '"' . 'x' x 5000 . '"', 1 ],
    [ '{"pattern":"[\\\\u{1F600}-\\\\u{1F64F}]"}', '"\uD83D\uDE01"', 0 ],
    # objects
    [ '{"required":["a"]}', '{"a":null}', 0 ], [ '{"required":["a"]}', '[]', 0 ],
    [ '{"propertyNames":{"maxLength":1}}', '{"ab":1}', 1 ],
    [ '{"propertyNames":false}', '{}', 0 ],
    [ '{"dependentSchemas":{"a":{"required":["b"]}}}', '{"a":1}', 1 ],
    [ '{"dependentRequired":{"a":["b"]}}', '{"b":1}', 0 ],
    [ '{"patternProperties":{"^x":{"type":"null"}},"additionalProperties":false}',
        '{"x1":null}', 0 ],
    [ '{"patternProperties":{"^x":true},"additionalProperties":false}',
        '{"y":1}', 1 ],
    [ '{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}',
        '{"a":1}', 0 ],
    [ '{"allOf":[{"properties":{"a":true}}],"additionalProperties":false}',
        '{"a":1}', 1 ],
    [ '{"anyOf":[{"properties":{"a":{"type":"null"}}},{"required":["a"]}],'
        . '"unevaluatedProperties":false}', '{"a":1}', 1 ],
    [ '{"not":{"not":{"properties":{"a":true}}},"unevaluatedProperties":false}',
        '{"a":1}', 1 ],
    [ '{"if":{"properties":{"a":{"const":1}},"required":["a"]},'
        . '"unevaluatedProperties":false}', '{"a":1}', 0 ],
    [ '{"dependentSchemas":{"a":{"properties":{"b":true}}},"properties":{"a":true},'
        . '"unevaluatedProperties":false}', '{"a":1,"b":2}', 0 ],
    # arrays
    [ '{"contains":{"type":"null"},"minContains":0}', '[]', 0 ],
    [ '{"contains":{"type":"null"}}', '[]', 1 ], [ '{"minContains":9}', '[]', 0 ],
    [ '{"contains":true,"maxContains":1}', '[1,2]', 1 ],
    [ '{"prefixItems":[{"type":"null"}],"items":{"type":"string"}}',
        '[null,"a"]', 0 ],
    [ '{"prefixItems":[{"type":"null"}],"items":false}', '[null,1]', 1 ],
    [ '{"prefixItems":[true],"contains":{"type":"string"},'
        . '"unevaluatedItems":false}', '[1,"a"]', 0 ],
    [ '{"prefixItems":[true],"contains":{"type":"string"},'
        . '"unevaluatedItems":false}', '[1,"a",2]', 1 ],
    [ '{"uniqueItems":true}', '[1,1.0]', 1 ], [ '{"uniqueItems":true}', '[1,true]', 0 ],
    [ '{"uniqueItems":true}', '[{"a":1,"b":2},{"b":2.0,"a":1}]', 1 ],
    [ '{"uniqueItems":true}', '[[1,2],[2,1]]', 0 ],
    [ '{"uniqueItems":true}', '[' . join(',', 0 .. 40, '4e1') . ']', 1 ],
    # references: anchors, resources, pointers, dynamic scope
    [ '{"$ref":"#%2F$defs%2Fa%25b","$defs":{"a%b":{"type":"null"}}}', '1', 1 ],
    [ '{"$ref":"#/$defs/a~1b~0c","$defs":{"a/b~c":{"type":"null"}}}', '1', 1 ],
    [ '{"$id":"http://t.test/a/","$ref":"b#c","$defs":{"x":{"$id":"b","$defs":'
        . '{"y":{"$anchor":"c","type":"null"}}}}}', '1', 1 ],
    [ '{"$defs":{"b":{"$id":"urn:x:y","type":"null"}},"$ref":"urn:x:y"}', '1', 1 ],
    [ $TREE, '{"children":[{"data":1}]}', 0 ],
    [ $TREE, '{"children":[{"daat":1}]}', 1 ],
    [ $LIST, '{"kind":"n","list":[1.1]}', 0 ],
    [ $LIST, '{"kind":"n","list":["a"]}', 1 ],
    [ $LIST, '{"kind":"s","list":["a"]}', 0 ],
    [ $LIST, '{"kind":"s","list":[1.1]}', 1 ],
    # what cannot be judged
    [ '{"$ref":"#nowhere"}', '1', 2 ], [ '{"$ref":"other.json"}', '1', 2 ],
    [ '{"$ref":"#/$defs/a%"}', '1', 2 ], [ '{"allOf":[{"$ref":"#"}]}', '1', 2 ],
    [ '{"multipleOf":0}', '1', 2 ], [ '{"minLength":-1}', '"a"', 2 ],
    [ '{"minLength":1.5}', '"a"', 2 ], [ '{"minLength":2.0}', '"a"', 1 ],
    [ '{"type":[]}', '1', 2 ], [ '{"items":[{}]}', '1', 2 ], [ '[]', '1', 2 ],
    [ '{"anyOf":[]}', '1', 2 ], [ '{"required":["a","a"]}', '1', 2 ],
    [ '{"$id":"a#b"}', '1', 2 ], [ '{"pattern":"(?<=a)b"}', '"b"', 2 ],
    # JSON itself
    [ '{}', '"\uD800"', 1 ], [ '{}', "\"\xED\xA0\x80\"", 1 ], [ '{}', '01', 1 ],
    [ '{}', '"\uD83D\uDE00"', 0 ], [ '{}', '-', 1 ], [ '{}', '1.', 1 ],
    [ '{}', '.5', 1 ], [ '{}', '+1', 1 ], [ '{}', 'NaN', 1 ],
    [ '{}', "\xEF\xBB\xBF1", 1 ], [ '{}', "\"\t\"", 1 ], [ '{}', '"\x61"', 1 ],
    [ '{}', '{"a":1,"\u0061":2}', 1 ], [ '{}', '1 2', 1 ], [ '{}', "\x0B1", 1 ],
    [ '{}', '[' x 64 . ']' x 64, 0 ], [ '{}', '[' x 65 . ']' x 65, 1 ],
    [ '{}', "\"\xC0\x80\"", 1 ], [ '{}', "\"\xF4\x90\x80\x80\"", 1 ],
) {
    my ($text, $instance, $rc) = @$_;
    my @got = run_ctl($instance, spew('one.json', $text), '-');
    is($got[0], $rc, substr("$text of $instance", 0, 120)) or diag($got[1]);
}

for (
    [ 'date', '2024-02-29', '2023-02-29' ], [ 'ipv4', '1.2.3.4', '1.2.3.04' ],
    [ 'date-time', '1998-12-31T23:59:60Z', '1998-12-31T22:59:60Z' ],
    [ 'time', '08:30:06-08:00', '08:30:06' ], [ 'email', 'a@b.cd', 'a@' ],
    [ 'uuid', '2EB8AA08-AA98-11EA-B4AA-73B441D16380', '2eb8aa08aa98' ],
    [ 'hostname', 'a-b.example', '-a.example' ], [ 'ipv6', '::1', '1::2::3' ],
    [ 'uri', 'http://a/b?c#d', '//a/b' ], [ 'duration', 'P4DT12H', 'PT' ],
    [ 'uri-reference', '/a b' =~ s/ /%20/r, '/a b' ],
    [ 'json-pointer', '/a~0b', '/a~2b' ], [ 'regex', '^a+$', '^(' ],
    [ 'relative-json-pointer', '1/a', '-1/a' ],
) {
    my ($format, $good, $bad) = @$_;
    my $s = spew('f.json', qq({"format":"$format"}));
    is((run_ctl("\"$good\"", $s, '-'))[0], 0, "$format: $good");
    is((run_ctl("\"$bad\"", $s, '-'))[0], 1, "$format: $bad");
    is((run_ctl("\"$bad\"", '--formats=annotate', $s, '-'))[0], 0,
        '... is only a note where the caller says so');
}
is((run_ctl('1', '--formats=maybe', $schema, '-'))[0], 2, 'a word of two');

done_testing();
