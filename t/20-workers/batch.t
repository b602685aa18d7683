# Batch handlers: many jobs, one statement, each with its own outcome; the edge
# takes them in batches, too, and the caller reads them back.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
no warnings "portable";
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(parts => 'postgres queue cache nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' }, stopped => 1, conf => <<'END');
queues = { "maintenance", "content" }
slots = 2
END
my ($t, $r) = ($p->t, $p->r);
my @me = (token => $t->user_token(1));

sub rows { return $t->sql('SELECT count(*) FROM travel.life_events') }

sub event {
    my (%o) = @_;
    return { type => 'trip.taken', title => 'A trip',
        occurred_at => '2026-05-01T10:00:00Z', %o };
}

sub record { return $p->preload(shift, queue => 'content',
    type => 'life_event.record', sub => $t->user(2), @_) }

subtest 'told over HTTP, in a batch, before any worker is there' => sub {
    my $x = $t->post('/api/v1/life-events', [map { event(title => "n$_") }
        1 .. 500], @me);
    is($x->{status}, 202, 'accepted') or diag $x->{content};
    is(scalar @{ json($x->{content})->{items} }, 500, 'all');
    is(rows(), 0, 'nothing yet');
};

subtest 'written with few statements' => sub {
    my @more = record(3000, body => event());
    $p->start_workers;
    wait_for(sub { rows() == 3500 }, 30, 'all rows');
    $p->until_over($_) for @more[0, -1];
    wait_for(sub { ($p->census(@more)->{succeeded} // 0) == 3000 }, 10,
        'all settled');
    my ($n, $largest) = @{ ($t->sql('SELECT count(*), max(n) FROM (SELECT
        count(*) AS n FROM travel.life_events GROUP BY xmin) AS s'))[0] };
    cmp_ok($n, '<', 1000, "$n statements");
    cmp_ok($largest, '>', 20, "$largest rows in the largest");
};

subtest 'read back' => sub {
    my $l = json($t->get('/api/v1/life-events?limit=100', @me)->{content});
    is(scalar @{ $l->{items} }, 100, 'a page');
    is($l->{items}[0]{type}, 'trip.taken', 'what was told');
    is_deeply(json($t->get('/api/v1/life-events', token => $t->user_token(3))
        ->{content})->{items}, [], 'not by others');
    like(join("\n", map { $_->[0] } $t->sql('SET enable_seqscan = off;
        SET enable_sort = off; EXPLAIN SELECT id FROM travel.life_events
        WHERE user_id = \'' . $t->user(1) . '\'
        ORDER BY occurred_at DESC, id DESC LIMIT 20')),
        qr/Index Only Scan Backward using life_events_pkey/, 'by the key');
    my $x = $t->post('/api/v1/life-events', event(title => 'now'), @me,
        headers => { prefer => 'wait=10' });
    is($x->{status}, 201, 'one by itself');
    like($x->{json}{id}, qr/^[0-9a-f-]{36}\z/, 'who waits hears which');
    is($t->sql("SELECT title FROM travel.life_events
        WHERE id = '$x->{json}{id}'"), 'now', 'by its id');
};

# A batch takes a fifth of a second, whatever a row takes.
subtest 'batches shrink where rows are slow' => sub {
    $t->sql("CREATE FUNCTION travel.slowly() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END';
        CREATE TRIGGER slowly BEFORE INSERT ON travel.life_events
        FOR EACH ROW EXECUTE FUNCTION travel.slowly()");
    my $all = sub {
        my @slow = record($_[0], body => event(type => $_[1]));
        wait_for(sub { ($p->census(@slow)->{succeeded} // 0) == @slow }, 60,
            'all');
    };
    $all->(40, 'slow') for 1 .. 3;
    $all->(200, 'slower');
    my @n = map { $_->[0] } $t->sql("SELECT count(*) FROM travel.life_events
        WHERE type = 'slower' GROUP BY xmin ORDER BY 1");
    cmp_ok($n[-1], '<=', 40, "to @n");
    $t->sql('DROP FUNCTION travel.slowly() CASCADE');
};

subtest 'one that cannot be written is its own fault' => sub {
    my $before = rows();
    my @good = record(50, body => event());
    my ($bad) = record(1, body => event(occurred_at => '2026-13-77T00:00:00Z'));
    my ($worse) = record(1, body => '{"not": json');
    push @good, record(50, body => event());
    wait_for(sub { ($p->census(@good)->{succeeded} // 0) == 100 }, 20,
        'the others');
    is(rows(), $before + 100, 'are written');
    $p->until_status($bad, 'retrying|dead');
    like(json($p->job($bad)->{error})->{message}, qr/23502/, 'told why');
    $p->until_status($worse, 'dead');
};

subtest 'many in one job, and one of them cannot be written' => sub {
    my $before = rows();
    my @many = map { event(title => "m$_") } 1 .. 40;
    $many[4] = undef;
    $many[7] = event(occurred_at => 'soon');
    $many[9] = event(title => "a\0b");
    my $text = JSON::PP->new->encode(\@many);
    $text =~ s/"title":"m12"/"title":"m12","data":{"n":1e999999}/;
    my ($one, $two) = map { record(1, body => $text) } 1, 2;
    my ($not) = record(1, body => '"text"');
    my ($none) = record(1, body => '[]');
    $p->until_over($_) for $one, $two, $none;
    is(rows(), $before + 72, 'the others are');
    my $result = json($p->job($one)->{result});
    is($result->{recorded}, 36, 'told');
    my ($part, $base) = $one =~ /content\.(\d)\.(.*)/;
    my @apart = map { $base =~ s/(.{12})\z/sprintf '%012x', hex($1) + $_/er }
        8, 10, 12;
    is_deeply($result->{apart}, [map { "content.$part.$_" } @apart],
        'which are jobs of their own');
    for my $id (@{ $result->{apart} }) {
        $p->until_status($id, 'retrying|dead');
        like(json($p->job($id)->{error})->{message}, qr/\(2[23]\w{3}\)/,
            'told why');
    }
    is($p->job($one)->{status}, 'succeeded', 'what is left of it is done');
    is_deeply([$t->sql("SELECT string_agg(title, ' ' ORDER BY id)
        FROM travel.life_events WHERE id > '$base' AND id <= '"
        . ($base =~ s/(.{12})\z/sprintf '%012x', hex($1) + 40/er) . "'")],
        [[join ' ', map { "m$_" } grep { !/^(?:5|8|10|12)$/ } 1 .. 40]],
        'under ids that follow from the job\'s');
    is(json($p->job($none)->{result})->{recorded}, 0, 'none are none');
    my ($deep) = record(1, body => '[' . JSON::PP->new->encode(event())
        =~ s/\}\z/',"data":{"x":' . '[' x 62 . ']' x 62 . '}}'/er . ']');
    $p->until_over($deep);
    is(json($p->job($deep)->{result} // '{}')->{recorded}, 1,
        'one as deep as the edge takes it');
    $p->until_status($not, 'dead');
};

subtest 'run again, written once' => sub {
    my @ids = record(200, body => event());
    wait_for(sub { ($p->census(@ids)->{succeeded} // 0) == 200 }, 10, 'done');
    my $before = rows();
    for my $id (@ids[0 .. 49]) {
        my ($part, $uuid) = $id =~ /content\.(\d+)\.(.*)/;
        my (undef, @again) = $p->commands(queue => 'content', uuid => $uuid,
            partition => $part, type => 'life_event.record',
            sub => $t->user(2), body => event());
        $r->call(@$_) for @again;
    }
    wait_for(sub { ($p->census(@ids)->{succeeded} // 0) == 200 }, 10, 'done');
    is(rows(), $before, 'no row more');

    my $many = JSON::PP->new->encode([map { event(title => "again $_") }
        1 .. 30]);
    my ($pack) = record(1, body => $many);
    $p->until_over($pack);
    is(rows(), $before + 30, 'many in one');
    my ($part, $uuid) = $pack =~ /content\.(\d+)\.(.*)/;
    my (undef, @again) = $p->commands(queue => 'content', uuid => $uuid,
        partition => $part, type => 'life_event.record', sub => $t->user(2),
        body => $many);
    $r->call(@$_) for @again;
    $p->until_over($pack);
    is(rows(), $before + 30, 'no row more');
};

subtest 'a stale fence leaves its rows to the new owner' => sub {
    my $before = rows();
    $t->sql("UPDATE jobs.partition SET fence = fence + 1, owner = 'somebody'
        WHERE queue = 'content' AND partition = 1");
    my @ours = record(20, body => event(), partition => 2);
    my @lost = record(20, body => event(), partition => 1);
    wait_for(sub { ($p->census(@ours)->{succeeded} // 0) == 20 }, 10, 'ours');
    sleep 0.3;
    is(rows(), $before + 20, 'and no others');
    $t->sql("UPDATE jobs.partition SET expires_at = '-infinity'
        WHERE queue = 'content' AND partition = 1");
    wait_for(sub { rows() == $before + 40 }, 20, 'later the new owner\'s');
};

$p->finish;
done_testing;
