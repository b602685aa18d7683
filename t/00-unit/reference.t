# Every directive is explained, nothing is explained that is not there, and
# conf/README.md is what its parts say.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $root = abs_path(__FILE__) =~ s{/t/00-unit/[^/]+\z}{}r;

sub check { my ($dir) = @_; my $out = `$dir/scripts/reference.pl --check 2>&1`;
    return ($? >> 8, $out) }

my ($rc, $out) = check($root);
is($rc, 0, 'the reference is complete') or diag($out);

# and the check can fail
my $copy = tempdir(CLEANUP => 1);
make_path("$copy/scripts");
system 'cp', '-r', "$root/ngx_travel_module", "$root/conf", $copy;
system 'cp', "$root/scripts/reference.pl", "$copy/scripts";

sub edit {
    my ($file, $from, $to) = @_;
    open my $f, '<', "$copy/$file" or die "$file: $!";
    my $was = do { local $/; <$f> };
    (my $now = $was) =~ s/$from/$to/ or die "$file: no $from";
    open $f, '>', "$copy/$file" or die;
    print $f $now;
    close $f;
    my @r = check($copy);
    open $f, '>', "$copy/$file" or die;
    print $f $was;
    close $f;
    return @r;
}

is((check($copy))[0], 0, 'a copy is complete as well');
my @case = (
    ['conf/reference/cache.md', '### travel_cache', '### travel_cash',
        qr/no entry for travel_cache\n.*travel_cash is no directive/],
    ['conf/reference/cache.md', '- Syntax:', '- Form:', qr/no "- Syntax:" line/],
    ['conf/reference/cache.md', '## cache:', '## cash:', qr/must begin with/],
    ['conf/reference/live.md', '200ms to 1h', '100ms to 1h',
        qr/travel_live: heartbeat= is not said to be 200ms to 1h/],
    ['conf/reference/live.md', 'default 30s\): a ping', 'default 20s): a ping',
        qr/travel_live: heartbeat= is not said to have the default 30s/],
    ['conf/reference/live.md', ' \[topics=N\]', '',
        qr/travel_live: topics= is not in its syntax/],
    ['conf/reference/live.md', ' \[topics=N\]', ' [topics=N] [topic=N]',
        qr/travel_live takes no topic=/],
    ['conf/reference/live.md', '- `topics=N`', '- topics',
        qr/travel_live: topics= is not said to be 1 to 1000/],
    ['conf/reference/live.md', '- `max_body=SIZE`', '- this',
        qr/travel_publish: max_body= is not explained/],
    ['conf/reference/core.md', 'travel_limited', 'travel_rid',
        qr/variable \$travel_limited/],
    ['conf/README.md', 'Directives', 'directives', qr/not up to date/],
    ['ngx_travel_module/cache/ngx_http_travel_cache_module.c',
        'ngx_string\("travel_cache"\)', 'ngx_string("travel_new")',
        qr/no entry for travel_new/],
);
for (@case) {
    my ($rc, $out) = edit(@$_[0 .. 2]);
    is($rc, 1, "fails: $_->[1] is $_->[2]");
    like($out, $_->[3], '  and says why');
}

done_testing();
