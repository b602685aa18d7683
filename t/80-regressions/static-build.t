#!/usr/bin/perl
# Linked into nginx (--add-module), our header filters were installed before
# nginx's own, which starts the chain anew: X-Request-Id and the rate limit's
# headers were missing there, and only there.
use strict;
use warnings;
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

my $root = getcwd();
my $dist = '/usr/share/nginx/src';
plan skip_all => "no nginx sources in $dist" unless -x "$dist/configure";

my $dir = tempdir('/tmp/travel-static-XXXXXX', CLEANUP => 1);
is(system("cp -rL $dist/. $dir && cd $dir && ./configure --with-compat "
    . "--add-module='$root' > configure.log 2>&1"), 0, 'configures')
    or diag(`tail -20 $dir/configure.log`);

open my $in, '<', "$dir/objs/ngx_modules.c" or die "ngx_modules.c: $!\n";
my ($names) = do { local $/; <$in> } =~ /ngx_module_names\[\] = \{(.*?)\}/s;
my @order = $names =~ /"(\w+)"/g;
my %at = map { $order[$_] => $_ } 0 .. $#order;

my @ours = grep { /^ngx_http_travel_/ } @order;
cmp_ok(scalar @ours, '>=', 8, 'every room is linked');
is_deeply([ grep { $at{$_} < $at{ngx_http_header_filter_module} } @ours ], [],
    'every room comes after the filter that starts the chain');
is_deeply([ grep { $at{$_} < $at{ngx_http_access_module} } @ours ], [],
    'our access handlers run before the stock ones, as when loaded');

# Handlers run from last to first, and the zones are laid out at the very end.
cmp_ok($at{ngx_http_travel_limit_module}, '<',
    $at{ngx_http_travel_auth_module}, 'auth is asked before limit');
is($ours[-1], 'ngx_http_travel_zone_module', 'zones come last');

done_testing();
