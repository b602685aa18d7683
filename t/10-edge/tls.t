# The sample of a TLS 1.3 server (conf/tls.conf) works as it stands: nginx takes
# it, 1.3 is spoken and nothing older, and HSTS is said there alone.
use strict;
use warnings;
use Test::More;
use Travel::Test;

my $root = Travel::Test->root;
my $t = Travel::Test->new(parts => 'nginx', allow_5xx => 1, edit => sub {
    my $sample = slurp("$root/conf/tls.conf") =~ s/\@PORT_TLS\@/\@PORT_SMTP\@/r;
    s/^\}\s*\z/$sample\n}\n/m;
});
my $dir = $t->dir;
mkdir "$dir/keys";

# the lines that the sample itself gives
my ($cmd) = slurp("$root/conf/tls.conf")
    =~ /^#   (openssl req .*?tls\.pem)$/ms or die 'no command';
$cmd =~ s/\\\n#\s*//g;
$cmd =~ s/\@KEYS\@/$dir\/keys/g;
is(system("$cmd 2>/dev/null"), 0, 'the command for a certificate works');
$t->launch;

my $url = 'https://localhost:' . ($t->port + 2);
my @curl = ('curl', '-sS', '--max-time', 10, '--cacert', "$dir/keys/tls.pem");
sub curl { $t->run(@curl, @_) }

my ($rc, $out) = curl('-i', '-w', '\n%{http_version} %{ssl_verify_result}',
    '--tlsv1.3', "$url/health");
is($rc, 0, 'a request') or diag $out;
like($out, qr/^HTTP\/2 200/, 'answered by HTTP/2');
like($out, qr/^strict-transport-security: max-age=31536000; includeSubDomains\r$/mi,
    'HSTS');
like($out, qr/^x-content-type-options: nosniff\r$/mi, 'and the others');
like($out, qr/^x-request-id: [0-9a-f]{32}\r$/mi, 'X-Request-Id');
like($out, qr/\n2 0\z/, 'the certificate is the one');

($rc, $out) = curl('-i', '--http1.1', "$url/api/v1/journeys");
like($out, qr/^HTTP\/1\.1 401 /, 'the product, by HTTP/1.1');
like($out, qr/"error":\{"code":"AUTHENTICATION_ERROR"/, 'the one shape');
($rc, $out) = curl('-i', "$url/nothing");
like($out, qr/^HTTP\/2 404.*"code":"RESOURCE_NOT_FOUND"/s, 'what is not there');

($rc, $out) = curl('--tls-max', '1.2', "$url/health");
isnt($rc, 0, 'TLS 1.2 is refused');
($rc, $out) = $t->run('sh', '-c', 'openssl s_client -connect 127.0.0.1:'
    . ($t->port + 2) . ' -tls1_3 </dev/null 2>&1');
like($out, qr/TLSv1\.3, Cipher is TLS_/, 'a cipher of 1.3');

my $r = $t->request('GET', '/health', base => 'http://127.0.0.1:' . ($t->port + 2));
is($r->{status}, 400, 'plain HTTP on that port');
is($r->{json}{error}{code}, 'MALFORMED_REQUEST', 'the one shape as well');
$r = $t->get('/health');
is($r->{headers}{'strict-transport-security'}, undef, 'no HSTS over plain HTTP');

$t->finish;
done_testing();
