# README's lines for an application that is already there work as they are
# printed: only the paths and the names of its hosts are put in.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my ($lines) = slurp("$FindBin::Bin/../../README.md")
    =~ /^## In front of an application[^\n]*\n\n((?:    [^\n]*\n)+)/m;
ok($lines, 'README shows them');
is(scalar(() = $lines =~ /;/g), 5, 'five directives');

my ($module, $jwks, $location) = $lines
    =~ /^\s*load_module\s+(\S+);\n\s*(travel_jwks.*?;)\n\s*(location.*)\z/ms;
ok($module && $jwks && $location, 'module, issuer, location');
$jwks =~ s{/etc/nginx/jwks\.json}{\@RUN\@/jwks.json};

my $t = Travel::Test->start(parts => 'nginx', conf => <<"CONF");
load_module \@BUILD\@/ngx_http_travel_module.so;
\@USER\@
error_log \@LOGS\@/error.log info;
pid \@PIDS\@/nginx.pid;
daemon off;
events { worker_connections 256; }
http {
    # Debian's own are closed to a plain user.
    client_body_temp_path \@RUN\@/tmp/body;
    proxy_temp_path \@RUN\@/tmp/proxy;
    fastcgi_temp_path \@RUN\@/tmp/fastcgi;
    uwsgi_temp_path \@RUN\@/tmp/uwsgi;
    scgi_temp_path \@RUN\@/tmp/scgi;
    access_log off;
    $jwks
    upstream app { server 127.0.0.1:\@PORT_SANDBOX\@; }
    server {
        listen 127.0.0.1:\@PORT\@;
        $location
        location / { return 204; }
    }
    server {
        listen 127.0.0.1:\@PORT_SANDBOX\@;
        location / { return 200 "the application"; }
        location /api/prefer { return 200 "\$http_prefer"; }
    }
}
CONF

my %bob = (sub => 'bob', issuer => 'https://id.example.com', audience => 'api');
my $r = $t->get('/api/x');
is($r->{status}, 401, 'without a token');
is($r->{json}{error}{code}, 'AUTHENTICATION_ERROR', '... the one shape');
$r = $t->get('/api/x', token => $t->token(%bob));
is($r->{status}, 200, 'with one');
is($r->{content}, 'the application', '... the application answers');
$r = $t->get('/api/prefer', token => $t->token(%bob, sub => 'carol'),
    headers => { prefer => 'return=minimal, wait=5' });
is($r->{content}, 'return=minimal, wait=5', 'what it is asked for is its own');
$r = $t->get('/api/x', token => $t->token(%bob, audience => 'other'));
is($r->{status}, 401, 'a token for another audience');
$r = $t->get('/api/x', token => $t->token(%bob, issuer => 'https://x.example'));
is($r->{status}, 401, 'a token of another issuer');
my %status;
$status{ $t->get('/api/x', token => $t->token(%bob))->{status} }++ for 1 .. 12;
is_deeply(\%status, { 200 => 9, 429 => 3 }, 'ten requests in ten seconds');

$t->finish;
done_testing;
