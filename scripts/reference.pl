#!/usr/bin/perl
# Assembles conf/README.md, the reference of the directives, from the rooms'
# own files, conf/reference/ROOM.md.
#   reference.pl            write it
#   reference.pl --check    nothing is written; fails when it is not what would
#                           be written, when a directive in the code has no
#                           entry (### NAME, then its "- Syntax:" line) in its
#                           room's file, an entry has no directive, a
#                           parameter, its bounds or its default are not what
#                           the code has, or a variable is mentioned nowhere
use strict;
use warnings;
use FindBin qw($Bin);

my @ROOMS = qw(core net auth limit breaker query cache command graphql live
    observe);
my $ROOT  = "$Bin/..";
my $INTRO = <<'END';
# Directives of ngx_travel

All of them work in nginx's own configuration, beside its directives; sizes and
times are written as nginx writes them. `nginx -t` checks every value, and needs
neither Redis nor PostgreSQL. [nginx.conf](nginx.conf) is a complete example.

This file is made by `scripts/reference.pl` from `reference/`: change it there.

END

my @faults;

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return;
    local $/;
    return scalar <$f>;
}

# The directives and variables of a room, by its command and variable tables.
sub in_code {
    my ($room) = @_;
    my (@directives, @variables);
    for my $file (sort glob "$ROOT/ngx_travel_module/$room/*.c") {
        my $c = slurp($file);
        while ($c =~ /ngx_command_t\s+\w+\[\]\s*=\s*\{(.*?)\n\};/sg) {
            push @directives, $1 =~ /ngx_string\("(travel_\w+)"\)/g;
        }
        while ($c =~ /ngx_http_variable_t\s+\w+\[\]\s*=\s*\{(.*?)\n\};/sg) {
            push @variables, $1 =~ /ngx_string\("(travel_\w+)"\)/g;
        }
    }
    return (\@directives, \@variables);
}

# {directive => [["name=", low, high, default], ...]} of a room, by its tables
# of parameters; undef where a row has none, no "=" where the name stands alone.
sub parameters {
    my ($room) = @_;
    my %params;
    my $text = qr/"[^"]*"|NULL/;
    for my $file (sort glob "$ROOT/ngx_travel_module/$room/*.c") {
        my $c = slurp($file);
        while ($c =~ /ngx_http_travel_param_t\s+ngx_http_(travel_\w+)_params\[\]
                \s*=\s*\{(.*?)\n\};/xsg) {
            my ($directive, $rows) = ($1, $2);
            while ($rows =~ /\{\s*"(\w+)",\s*(\w+),.*?
                    ($text),\s*($text),\s*($text),\s*$text,\s*\d+\s*\}/xsg) {
                push @{ $params{$directive} },
                    [$1 . ($2 eq 'ngx_http_travel_param_alone' ? '' : '='),
                    map { /"(.*)"/ ? $1 : undef } $3, $4, $5];
            }
        }
    }
    return \%params;
}

# What is wrong with an entry's text about a directive's parameters: each stands
# in the syntax, and where it is explained its bounds and its default do.
sub compare_parameters {
    my ($room, $directive, $text, @params) = @_;
    my $syntax = $text =~ s/^- Syntax: (.*?)(?: · Default| *\n)//m ? $1 : '';
    my %known = map { $_->[0] => 1 } @params;
    for my $name ($syntax =~ /\b([a-z_]+=)/g) {
        push @faults, "$room.md: $directive takes no $name" if !$known{$name};
    }
    for (@params) {
        my ($name, $low, $high, $default) = @$_;
        my $fault = sub { push @faults, "$room.md: $directive: $name $_[0]" };
        $fault->('is not in its syntax')
            if $syntax !~ /\b\Q$name\E(?<==|\b)/;
        my $mention = $name =~ s/=\z//r . '(?:=|`)';
        my @said = $text =~ /`$mention(?=((?:(?!\n- ).){0,300}))/gs
            or do { $fault->('is not explained'); next };
        $fault->("is not said to be $low to $high") if defined $low
            && !grep { /\b\Q$low\E\s+to\s+\Q$high\E(?!\w)/ } @said;
        $fault->("is not said to have the default $default")
            if defined $default
            && !grep { /\bdefault\s+`?\Q$default\E(?!\w)/ } @said;
    }
}

sub entries {
    my ($room, $text) = @_;
    my @entries = $text =~ /^### (\S+)$/mg;
    for (@entries) {
        push @faults, "$room.md: $_ has no \"- Syntax:\" line below its heading"
            unless $text =~ /^### \Q$_\E\n\n?- Syntax: `$_/m;
    }
    return @entries;
}

sub compare {
    my ($room, $directives, @entries) = @_;
    my %code = map { $_ => 1 } @$directives;
    my %text;
    $text{$_}++ for @entries;
    push @faults, map { "$room.md: no entry for $_" }
        grep { !$text{$_} } sort keys %code;
    push @faults, map { "$room.md: $_ is no directive of this room" }
        grep { !$code{$_} } sort keys %text;
    push @faults, map { "$room.md: $_ has two entries" }
        grep { $text{$_} > 1 } sort keys %text;
}

my ($index, $body, @variables) = ('', '');
for my $room (@ROOMS) {
    my $text = slurp("$ROOT/conf/reference/$room.md") // '';
    push @faults, "$room.md: must begin with \"## $room: ...\""
        unless $text =~ /\A## \Q$room\E: \S/;
    my ($directives, $variables) = in_code($room);
    my @entries = entries($room, $text);
    compare($room, $directives, @entries);
    my $params = parameters($room);
    for my $directive (sort keys %$params) {
        # a form of a directive has a heading of its own, "#### NAME WORD: ..."
        my $form = $directive =~ s/\A.*\K_/ /r;
        my ($entry) = $text
            =~ /^(?:### \Q$directive\E|#### \Q$form\E:.*?)\n(.*?)(?=^###|\z)/ms
            or do { push @faults, "$room.md: no entry for $directive, which has "
                . 'parameters'; next };
        compare_parameters($room, $directive, $entry, @{ $params->{$directive} });
    }
    push @variables, @$variables;
    $index .= "- $room: " . join(', ', map { "[`$_`](#$_)" } @entries) . "\n";
    $body  .= "\n" . $text =~ s/\s*\z/\n/r;
}

my $made = $INTRO . $index . $body;
push @faults, map { "no file mentions the variable \$$_" }
    grep { $made !~ /\$\Q$_\E\b/ } @variables;

for (glob "$ROOT/conf/reference/*.md") {
    my ($room) = m{([^/]+)\.md\z};
    push @faults, "$room.md: no room of that name"
        unless grep { $_ eq $room } @ROOMS;
}

if ("@ARGV" eq '--check') {
    push @faults, 'conf/README.md is not up to date: run scripts/reference.pl'
        if (slurp("$ROOT/conf/README.md") // '') ne $made;
} elsif (@ARGV) {
    die "usage: reference.pl [--check]\n";
} else {
    open my $f, '>', "$ROOT/conf/README.md" or die "conf/README.md: $!\n";
    print $f $made;
    close $f or die "conf/README.md: $!\n";
}

print STDERR map { "reference: $_\n" } @faults;
exit(@faults ? 1 : 0);
