# travel_explain: those with the permission are told why, nobody else is.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use Travel::Test;

my $CONF = <<'END';
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @RUN@/catalog;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;

    server {
        listen 127.0.0.1:@PORT@;
        error_page 404 502 /_travel/error;
        location = /_travel/error { internal; travel_error_page; }
        travel_auth optional jwks=main audience=travel;
        travel_explain debug:read;
        location = /health  { return 200; }
        location = /read    { travel_query GET t.read; }
        location = /kept    { travel_query GET t.read; travel_cache 60s; }
        location = /few     { travel_query GET t.read;
                              travel_limit $travel_user 1r/h name=few; }
        location = /app     { proxy_pass http://127.0.0.1:@PORT_SANDBOX@; }
        location = /dead    { proxy_pass http://127.0.0.1:1; }
        location = /off     { travel_query GET t.read; travel_explain off; }
        location / { try_files /nothing =404; }
    }
    server {
        listen 127.0.0.1:@PORT_SANDBOX@;
        location / { return 200; }
    }
END

my $t = Travel::Test->new(parts => 'postgres queue nginx', http => $CONF, ngx_workers => 1,
    allow_5xx => 1);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.read.sql', "-- \@public\n-- \@returns one\n"
    . "-- \@param s number 0..1 = 0\nSELECT (pg_sleep(:s) IS NULL)::text");
$t->launch;

my $ops = $t->user_token(1, permissions => 'debug:read');
my $ann = $t->user_token(2, permissions => 'debug:write journeys:read');
sub told { $t->get($_[0], token => $ops, allow_5xx => 1) }
sub why  { $_[0]{headers}{'travel-explain'} // '' }
sub dur  { my ($r, $what) = @_;
    ($r->{headers}{'server-timing'} // '') =~ /\b$what;dur=([\d.]+)/ ? $1 : undef }

wait_for(sub { why(told('/read')) =~ /server/ }, 10, 'the database');

subtest 'a read' => sub {
    my $r = told('/read?s=0.2');
    like(why($r), qr/^route="t\.read", .*server="primary";lag=0;load=\d+;share=0;primary$/,
        'route and server');
    cmp_ok(dur($r, 'store'), '>=', 200, 'how long the store took');
    cmp_ok(dur($r, 'total'), '>=', 200, 'and all of it');
    # an SF dictionary (RFC 9651): key=value, parameters after ';'
    my $item = qr/[a-z]+="[ -!#-\[\]-~]*"(?:;[a-z]+(?:=\d+)?)*/;
    like(why($r), qr/\A$item(?:, $item)*\z/, 'a dictionary');
};

subtest 'the cache' => sub {
    my $w = $t->redis('queue', 'worker');
    my $beat = sub { $w->call('XADD', 'travel:inval', '*', 'hb', 1, 'timeline', 1,
        'lsn', scalar $t->sql('SELECT pg_current_wal_flush_lsn()',
        role => 'postgres')) };
    ok(wait_for(sub { $beat->(); why(told('/kept')) =~ /cache="HIT"/ }, 10, 'hit'),
        'a hit is called one');
    unlike(why(told('/kept')), qr/server=/, 'no server was asked');
};

subtest 'a limit' => sub {
    told('/few');
    my $r = told('/few');
    is($r->{status}, 429, 'refused');
    like(why($r), qr/limited="few-3600", error="RATE_LIMIT_EXCEEDED"/, 'by which');
};

subtest 'an application behind it' => sub {
    my $r = told('/app');
    ok(defined dur($r, 'upstream'), 'how long it took');
    $r = told('/dead');
    is($r->{status}, 502, 'one that is gone');
    like(why($r), qr/error="EXTERNAL_SERVICE_ERROR"/, 'through error_page too');
    like(why(told('/nothing')), qr/error="RESOURCE_NOT_FOUND"/, '404 too')
        or diag explain told('/nothing');
};

subtest 'nobody else' => sub {
    for (['nobody'], ['somebody', token => $ann]) {
        my ($who, @o) = @$_;
        for my $path ('/read', '/kept', '/few', '/app', '/dead', '/nothing') {
            my $r = $t->get($path, @o, allow_5xx => 1);
            is($r->{headers}{'travel-explain'}, undef, "$who: $path");
            is($r->{headers}{'server-timing'}, undef, '  no times either');
        }
    }
    is(why(told('/off')), '', 'off is off');
};

subtest 'nginx -t' => sub {
    for ('travel_explain debug;', 'travel_explain :;',
        'travel_explain a:b; travel_explain c:d;')
    {
        $t->write('bad.conf', slurp($t->dir . '/nginx.conf')
            =~ s/travel_explain debug:read;/$_/r);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $_);
        like($out, qr/like debug:read|is duplicate/, '  says why');
    }
};

$t->finish;
done_testing();
