# ETL into a database of its own: incremental, idempotent, resumed after a
# kill, by name.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start(parts => 'postgres queue sandbox');
my $t = $j->t;
my $dir = $t->dir;
$t->script('warehouse.sh');
$t->script('warehouse.sh', 'up');
my $root = Travel::Test::root();
my $pg = readlink "$dir/pg";
my $port = $t->port + 4;
my $warehouse = <<"END";
metrics   = "127.0.0.1:$port"
processes = 1
slots     = 1
queues    = { "maintenance" }
postgres analytics { dsn = "host=$pg dbname=travel_analytics user=travel_analytics"
                     password_file = "$dir/keys/pg-analytics.password" }
etl fact_journeys { file = "$root/conf/travel/etl/fact_journeys.sql" batch = 3 }
etl fact_bookings { file = "$root/conf/travel/etl/fact_bookings.sql" }
etl broken        { file = "$dir/broken.sql" }
END
$t->write('broken.sql', "-- \@extract\nSELECT 1 AS id WHERE \$1::xid8 <= \$2::xid8\n-- \@load\n"
    . "SELECT 1 / 0 FROM jsonb_array_elements(\$1::jsonb)\n");
$j->configure(more => $warehouse);

# Rows of the warehouse.
sub facts {
    my ($sql) = @_;
    my ($rc, $out) = $t->run('/usr/bin/psql', '-XAtq', '-F', ' ', '-v',
        'ON_ERROR_STOP=1', '-d', "host=$pg dbname=travel_analytics "
        . 'user=travel_owner', '-c', $sql);
    die $out if $rc;
    return split /\n/, $out;
}

sub etl { return $j->job('etl.run', { job => $_[0] }) }

my $user = '0190cccc-0000-7000-8000-000000000001';
my @by = (sub => $user);

sub journey {
    return $j->job('journey.start', { origin => 'Berlin',
        destination => $_[0] }, @by)->{result};
}

my %b = (partner => 'opentable', venue_id => 'v', party_size => 2,
    booking_date => '2030-03-01T19:00:00+01:00');
my @y = map { journey($_) } qw(Hamburg Potsdam Dresden);
$j->job('story.generate', { journey_id => $y[0]{id}, theme => 'history' }, @by);
my @booked = map { $j->job('booking.create', { %b, journey_id => $_->{id} },
    @by)->{result} } @y[0, 1];

subtest 'the first run takes all' => sub {
    my $r = etl('fact_journeys')->{result};
    cmp_ok($r->{batches}, '>', 1, 'in batches');
    is($r->{complete}, 1, 'to the end');
    is_deeply([facts('SELECT id, story_count, booking_count FROM
        analytics.fact_journeys ORDER BY created_at')], ["$y[0]{id} 1 1",
        "$y[1]{id} 0 1", "$y[2]{id} 0 0"], 'journeys, what they led to');
    is(etl('fact_bookings')->{result}{rows}, 2, 'bookings');
    is_deeply([facts("SELECT partner, bookings, confirmed, revenue_cents -
        ($booked[0]{commission_cents} + $booked[1]{commission_cents})
        FROM analytics.daily_revenue")], ['opentable 2 2 0'], 'daily revenue');
    is_deeply([facts('SELECT journeys, with_story, with_booking, users FROM
        analytics.funnel')], ['3 1 2 1'], 'funnel');
};

subtest 'the next only what changed' => sub {
    is(etl('fact_journeys')->{result}{rows}, 0, 'nothing');
    $j->job('booking.cancel', { booking_id => $booked[1]{id} }, @by,
        key => $booked[1]{id});
    is(etl('fact_journeys')->{result}{rows}, 1, 'the one whose booking went');
    is(etl('fact_bookings')->{result}{rows}, 1, 'and that booking');
    is_deeply([facts("SELECT confirmed, cancelled, revenue_cents -
        $booked[0]{commission_cents} FROM analytics.daily_revenue")],
        ['1 1 0'], 'revenue is what is left');
    $j->job('journey.complete', { journey_id => $y[2]{id} }, @by,
        key => $y[2]{id});
    is(etl('fact_journeys')->{result}{rows}, 1, 'and the one that ended');
    is_deeply([facts("SELECT status, duration_s BETWEEN 0 AND 600,
        completed_at > created_at FROM analytics.fact_journeys
        WHERE id = '$y[2]{id}'")], ['completed t t'], 'how long it took');
    is_deeply([facts('SELECT journeys, completed FROM analytics.funnel')],
        ['3 1'], 'the funnel to its end');
    my ($last) = facts("SELECT last_sync > now() - interval '1 min', runs FROM
        analytics.etl_job_status WHERE job_name = 'fact_journeys'");
    is($last, 't 4', 'its watermark');
};

subtest 'again from the start: the same' => sub {
    my $all = 'SELECT * FROM (SELECT id, status, story_count, booking_count
        FROM analytics.fact_journeys UNION ALL SELECT id, status,
        amount_cents, commission_cents FROM analytics.fact_bookings) AS x
        ORDER BY id';
    my @before = facts($all);
    facts("UPDATE analytics.etl_job_status SET last_xid = '0'");
    etl($_) for qw(fact_journeys fact_bookings);
    is_deeply([facts($all)], \@before, 'row for row');
};

subtest 'killed on the way' => sub {
    journey('Leipzig') for 1 .. 12;
    facts("TRUNCATE analytics.fact_journeys;
        UPDATE analytics.etl_job_status SET last_xid = '0', rows = 0");
    my $p = $j->spawn('etl.run', { job => 'fact_journeys' });
    wait_for(sub { my ($n) = facts('SELECT count(*) FROM
        analytics.fact_journeys'); $n > 2 }, 10, 'some rows');
    $j->kill_spawned($p);
    my ($some) = facts('SELECT count(*) FROM analytics.fact_journeys');
    my $r = etl('fact_journeys')->{result};
    is_deeply([facts('SELECT count(*) FROM analytics.fact_journeys')], [15],
        "all, $some of them before the kill");
    is($r->{complete}, 1, 'to the end');
};

subtest 'what does not work' => sub {
    is(etl('nobody')->{verdict}, 'reject', 'no such job');
    my $r = etl('broken');
    is($r->{verdict}, 'retry', 'a load that fails');
    like($r->{error}{message} // $r->{output}, qr/division by zero/, 'why');
    is_deeply([facts("SELECT last_xid, rows FROM analytics.etl_job_status
        WHERE job_name = 'broken'")], ['0 0'], 'its point did not move');
};

subtest 'as metrics' => sub {
    $j->start_workers;
    my $m = wait_for(sub { my $m = $t->request('GET', '/metrics',
        base => "http://127.0.0.1:$port", allow_5xx => 1)->{content};
        $m =~ /travel_etl_rows_total/ && $m }, 20, 'the figures');
    my ($rows) = facts("SELECT rows FROM analytics.etl_job_status
        WHERE job_name = 'fact_journeys'");
    like($m, qr/^travel_etl_rows_total\{job="fact_journeys"\} $rows$/m,
        'rows');
    like($m, qr/^travel_etl_last_sync_timestamp_seconds\{job="fact_journeys"\} \d/m,
        'how far it is');
    unlike($m, qr/^travel_etl_last_sync\S*broken/m,
        'of one that never loaded nothing is said');
    $j->stop_workers;
};

$t->finish;
done_testing;
