# Lists by pages: "@cursor" in a query file is all a new list needs; the cursor
# is opaque, signed, and good for its own list and caller only.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;
use Travel::Test;

my $CONF = <<'END';
    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @RUN@/catalog;
    travel_jwks     main file=@RUN@/jwks.json issuer=https://travel.local ours;
    travel_consistency_key @KEYS@/consistency.key;

    server {
        listen 127.0.0.1:@PORT@;
        travel_auth optional jwks=main audience=travel;
        add_header X-Cache $travel_cache_status always;
        location = /health { return 200; }
        location = /rows   { travel_query GET t.rows; }
        location = /rows2  { travel_query GET t.rows2; }
        location = /up     { travel_query GET t.up; }
        location = /mine   { travel_query GET t.mine; }
        location = /kept   { travel_query GET t.rows; travel_cache 60s; }
        location = /recent { travel_query GET trips.recent; }
        location = /of     { travel_query GET t.of; }
        location = /null   { travel_query GET t.null; }
    }
END

my $t = Travel::Test->new(parts => 'postgres queue nginx', http => $CONF);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';

# 57 rows on 6 days, 5 names: many equal keys; the id makes the order total
my $ROWS = "(SELECT n AS id, timestamptz '2026-01-01 00:00:00.123456Z'
    + n % 6 * interval '1 day' AS at, 'n \"' || n % 5 AS name
    FROM generate_series(1, 57) AS n
    UNION ALL SELECT 1000 + commission_bps, '2027-01-01', 'new'
    FROM travel.partners WHERE code = 'klook' AND commission_bps <> 1000) AS r";
my $HEAD = "-- \@returns list\n-- \@param limit int 1..20 = 10\n";
my $ITEM = "json_build_object('id', id) AS item";
$t->write('catalog/queries/t.rows.sql', "-- \@public\n$HEAD-- \@tags rows\n"
    . "-- \@cursor at desc, id desc\nSELECT at, id, $ITEM FROM $ROWS;\n");
$t->write('catalog/queries/t.rows2.sql', "-- \@public\n$HEAD"
    . "-- \@cursor name desc, at, id desc\n-- \@param from int = 0\n"
    . "SELECT name, at, id, $ITEM FROM $ROWS WHERE id >= :from -- all\n");
$t->write('catalog/queries/t.up.sql', "-- \@public\n$HEAD"
    . "-- \@cursor id\nSELECT id, $ITEM FROM $ROWS");
$t->write('catalog/queries/t.mine.sql', "$HEAD-- \@cursor id\n"
    . "SELECT id, $ITEM FROM $ROWS WHERE :viewer IS NOT NULL");
$t->write('catalog/queries/t.null.sql', "-- \@public\n$HEAD"
    . "-- \@cursor id\nSELECT id, $ITEM FROM $ROWS WHERE false");
# the list of something that may not be there: thing 1 has rows, 2 has none
$t->write('catalog/queries/t.of.sql', "-- \@public\n-- \@returns one\n"
    . "-- \@param limit int 1..20 = 10\n-- \@param thing int\n-- \@cursor id\n"
    . "SELECT r.id, CASE WHEN r.id IS NOT NULL THEN $ITEM END AS item "
    =~ s/ AS item (END)/ $1/r
    . "FROM (VALUES (1), (2)) AS t (thing) LEFT JOIN $ROWS ON t.thing = 1 "
    . "WHERE t.thing = :thing");
# README's own example of a read
my ($recent) = slurp($t->root . '/README.md')
    =~ /^`conf\/travel\/queries\/trips\.recent\.sql`:\n\n((?: {4}.*\n)+)/m or die;
$t->write('catalog/queries/trips.recent.sql', $recent =~ s/^ {4}//mgr);
$t->launch;

my @rows = map { { id => $_, day => $_ % 6, name => $_ % 5 } } 1 .. 57;
sub ids { map { $_->{id} } @_ }

sub pages {
    my ($path, $limit, %o) = @_;
    my (@seen, $cursor);
    for (1 .. 60) {
        my $r = $t->get("$path?limit=$limit" . ($o{args} // '')
            . ($cursor ? "&cursor=$cursor" : ''),
            $o{token} ? (token => $o{token}) : ());
        is($r->{status}, 200, "$path limit=$limit") or return diag $r->{content};
        push @seen, map { $_->{id} } @{ $r->{json}{items} };
        $cursor = $r->{json}{next_cursor} or last;
        like($cursor, qr/^[A-Za-z0-9_-]+\z/, 'a cursor that needs no encoding');
        $o{between}->() if $o{between};
    }
    return \@seen;
}

subtest 'each row once, in order' => sub {
    my @down = ids(sort { $b->{day} <=> $a->{day} || $b->{id} <=> $a->{id} } @rows);
    is_deeply(pages('/rows', $_), \@down, "two columns down, by $_") for 7, 20;
    my @mixed = ids(sort { $b->{name} <=> $a->{name} || $a->{day} <=> $b->{day}
        || $b->{id} <=> $a->{id} } @rows);
    is_deeply(pages('/rows2', $_), \@mixed, "three, up and down, by $_") for 8, 19;
    is_deeply(pages('/rows2', 8, args => '&from=20'),
        [grep { $_ >= 20 } @mixed], 'with a parameter');
    is_deeply(pages('/up', 19), [1 .. 57], 'up, ending with a full page');
};

subtest 'the shape' => sub {
    my $r = $t->get('/null');
    is($r->{content}, '{"items":[],"next_cursor":null}', 'nothing is a list too');
    is($r->{headers}{'content-length'}, length $r->{content}, 'its length');
    is_deeply($t->get('/up?limit=2')->{json}{items}, [{ id => 1 }, { id => 2 }],
        'items as they are');
};

subtest 'limits' => sub {
    is(@{ $t->get('/up')->{json}{items} }, 10, 'the default');
    is($t->get("/up?limit=$_")->{status}, 422, "limit=$_") for 0, 21, -1, 'x';
};

sub no_cursor {
    my ($path, $cursor, $what, %o) = @_;
    my $r = $t->get("$path?cursor=$cursor", %o);
    is($r->{status}, 422, $what) or diag $r->{content};
    is($r->{json}{error}{code}, 'VALIDATION_ERROR', '  code');
    is_deeply([map { "$_->{pointer} $_->{code}" } @{ $r->{json}{error}{details} }],
        ['/cursor cursor'], '  and where');
}

subtest 'a cursor that is not ours' => sub {
    my $good = $t->get('/up?limit=5')->{json}{next_cursor};
    is($t->get("/up?cursor=$good")->{json}{items}[0]{id}, 6, 'the good one');
    is($t->get("/up?limit=2&cursor=$good")->{json}{items}[0]{id}, 6,
        'with another page length');
    no_cursor('/up', 'x', 'none');
    no_cursor('/up', 'A' x 2000, 'a long one');
    no_cursor('/up', '%00', 'a zero byte');
    no_cursor('/up', '%4', 'ill-encoded');
    no_cursor('/up', "$good=", 'padded');
    no_cursor('/up', substr($good, 0, -1), 'cut');
    no_cursor('/up', $good . 'AA', 'longer');
    my $raw = decode_base64url($good);
    no_cursor('/up', encode_base64url($raw =~ s/5/0/r), 'another position');
    no_cursor('/up', encode_base64url("$raw" ^ ("\0" x (length($raw) - 1) . "\1")),
        'another signature');
    no_cursor('/rows', $good, 'that of another list');
    no_cursor('/mine', $good, 'that of another list', token => $t->user_token(1));
    my $mine = $t->get('/mine?limit=5', token => $t->user_token(1))
        ->{json}{next_cursor};
    is($t->get("/mine?cursor=$mine", token => $t->user_token(1))
        ->{json}{items}[0]{id}, 6, 'my own');
    no_cursor('/mine', $mine, "somebody else's", token => $t->user_token(2));
    is($t->get('/up?cursor=')->{json}{items}[0]{id}, 1, 'an empty one is none');
};

subtest 'a row that comes while somebody turns pages' => sub {
    my $n = 0;
    my $seen = pages('/rows', 10, between => sub {
        $t->sql("UPDATE travel.partners SET commission_bps = 2000
            WHERE code = 'klook'") if !$n++;
    });
    is(scalar @$seen, 57, 'moves nothing');
    is($t->get('/rows?limit=1')->{json}{items}[0]{id}, 3000, 'and is first now');
};

subtest 'from the cache' => sub {
    my $w = $t->redis('queue', 'worker');
    my $beat = sub { $w->call('XADD', 'travel:inval', '*', 'hb', 1, 'timeline', 1,
        'lsn', scalar $t->sql('SELECT pg_current_wal_flush_lsn()',
        role => 'postgres')) };
    my $hit = sub {
        my ($path) = @_;
        my $r;
        wait_for(sub { $beat->(); $r = $t->get($path);
            $r->{headers}{'x-cache'} eq 'HIT' }, 10, "a hit of $path");
        return $r;
    };
    my $first = $hit->('/kept');
    is_deeply($first->{json}, $t->get('/rows')->{json}, 'the same page');
    my $next = $hit->('/kept?cursor=' . $first->{json}{next_cursor});
    isnt($next->{content}, $first->{content}, 'another page is another answer');
    is_deeply($next->{json}, $t->get('/rows?cursor='
        . $first->{json}{next_cursor})->{json}, 'the right one');
};

subtest 'of something that may not be there' => sub {
    is_deeply(pages('/of', 20, args => '&thing=1'), [1 .. 57, 3000], 'it has some');
    is($t->get('/of?thing=2')->{content}, '{"items":[],"next_cursor":null}',
        'it has none');
    my $r = $t->get('/of?thing=3');
    is($r->{status}, 404, 'it is not there');
    is($r->{json}{error}{code}, 'RESOURCE_NOT_FOUND', 'the code');
};

subtest "README's example" => sub {
    my $r = $t->get('/recent?limit=1', token => $t->user_token(1));
    is_deeply($r->{json}, { items => [], next_cursor => undef }, 'works')
        or diag $r->{content};
};

subtest 'after a reload' => sub {
    my $c = $t->get('/up?limit=5')->{json}{next_cursor};
    $t->reload;
    is($t->get("/up?cursor=$c")->{json}{items}[0]{id}, 6, 'it still holds');
};

$t->finish;
done_testing();
