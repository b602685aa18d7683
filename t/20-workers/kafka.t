# Domain events to Kafka: each, in order per aggregate, through errors, brokers
# that are away and killed workers; and what waits, waits in the database.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use IO::Handle;
use IPC::Open2 ();
use Travel::Test;
use Travel::Pool;

my $mock = Travel::Test::build() . '/kafka-mock';
plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker' && -x $mock;

my $p = Travel::Pool->start(stopped => 1);
my $t = $p->t;
my $out = $t->dir . '/kafka.jsonl';

my $pid = IPC::Open2::open2(my $from, my $to, $mock, $out,
    'travel.trip-events:6', 'travel.analytics-events:2');
$to->autoflush(1);
chomp(my $brokers = <$from>);
ok($brokers, 'a cluster of three brokers');
END { local $?; if ($pid) { close $to; waitpid $pid, 0 } }

$p->configure(<<"END");
processes = 2
slots     = 1
kafka { brokers = "$brokers" topic_prefix = "travel."
        properties = { "reconnect.backoff.max.ms=500",
                       "retry.backoff.ms=50" } }
END
$p->start_workers;
$p->until_owned;

my $JOURNEY = q('{"origin": {"place_id": 1}, "destination": {"place_id": 2}}');

# n journeys with k more events each, in transactions of their own.
sub happen {
    my ($n, $k) = @_;
    $t->sql(join(';', map { my $id = $p->new_uuid; (
        "SELECT events.append('journey', '$id', NULL, 'journey.started',
            $JOURNEY, NULL, NULL, NULL)",
        map { "SELECT events.append('journey', '$id', NULL,
            'journey.completed', '{}', NULL, NULL, NULL)" } 1 .. $k)
    } 1 .. $n), role => 'travel_worker');
}

sub seen { return $t->_lines('kafka.jsonl') }

# (wrong order or place, aggregate => last version, repeats)
sub judge {
    my ($bad, $twice, %last, %where) = (0, 0);
    for my $m (grep { $_->{topic} eq 'travel.trip-events' } seen()) {
        my $e = $m->{event};
        my $id = $e->{aggregate_id};
        $bad++ if $m->{key} ne $id || ($where{$id} //= $m->{partition})
            != $m->{partition};
        if (($last{$id} // 0) >= $e->{version}) { $twice++; next }
        $bad++ if $e->{version} != ($last{$id} // 0) + 1;
        $last{$id} = $e->{version};
    }
    return ($bad, \%last, $twice);
}

sub until_all {
    my ($n, $version, $what) = @_;
    wait_for(sub { my (undef, $last) = judge();
        $n == keys %$last && !grep { $_ < $version } values %$last }, 60,
        $what);
    return judge();
}

subtest 'each, in its topic' => sub {
    happen(30, 2);
    $t->sql("SELECT events.append('trend', '" . $p->new_uuid . "', 0,
        'trend_detected', '{\"location\": {}, \"trend_type\": \"t\",
        \"confidence\": 1, \"source\": \"s\", \"metadata\": {}}', NULL, NULL,
        NULL)", role => 'travel_worker');
    my ($bad, undef, $twice) = until_all(30, 3, 'all to arrive');
    is($bad, 0, 'versions in order, an aggregate in one partition');
    is($twice, 0, 'none twice');
    my %parts = map { $_->{partition} => 1 } seen();
    cmp_ok(scalar keys %parts, '>', 3, 'over the partitions');
    my ($m) = wait_for(sub { my ($one) = grep { $_->{topic} =~ /analytics/ }
        seen(); $one }, 10, 'another topic');
    is($m->{type}, 'trend_detected', 'its type in a header');
    is($m->{id}, $m->{event}{id}, 'and what tells a repeat');
    is($m->{event}{data}{source}, 's', 'with its data');
};

subtest 'brokers that answer with errors' => sub {
    print $to "fail 7 3\n";             # REQUEST_TIMED_OUT
    happen(20, 2);
    my ($bad) = until_all(50, 3, 'all to arrive');
    is($bad, 0, 'in order');
};

subtest 'brokers that are away' => sub {
    my $state = sub { my ($row) = $t->sql("SELECT published, checkpoint FROM
        events.publisher WHERE name = 'kafka'", role => 'travel_worker');
        @$row };
    wait_for(sub { ($state->())[0] == 30 * 3 + 1 + 20 * 3 }, 10,
        'what was before to be settled');
    my ($n, $before) = $state->();
    print $to "down\n";
    happen(20, 2);
    $p->enqueue;
    $p->until_empty;
    pass('jobs go on');
    my (undef, $last) = judge();
    is(scalar keys %$last, 50, 'nothing arrives');
    is(($state->())[1], $before, 'the checkpoint stays');
    print $to "up\n";
    my ($bad) = until_all(70, 3, 'all to arrive');
    is($bad, 0, 'in order');
    wait_for(sub { ($state->())[0] == $n + 60 }, 10, 'all to be settled');
};

subtest 'killed workers' => sub {
    for my $round (1 .. 2) {
        happen(20, 2);
        kill 'KILL', $p->children;
    }
    my ($bad) = until_all(110, 3, 'all to arrive');
    is($bad, 0, 'in order, whatever is repeated');
    my ($n) = map { $_->[0] } $t->sql("SELECT count(*) FROM pg_locks WHERE
        locktype = 'advisory' AND classid = 29298 AND objid = 2 AND granted");
    is($n, 1, 'one publishes');
};

subtest 'a section that librdkafka would not take' => sub {
    my $conf = Travel::Test::slurp($t->dir . '/pool.conf');
    $t->write('bad.conf', $conf =~ s/retry\.backoff\.ms=50/no.such=1/r);
    my ($rc, $said) = $t->run(Travel::Test::build() . '/travel-worker', '-t',
        '-c', $t->dir . '/bad.conf');
    is($rc, 1, 'is refused');
    like($said, qr/bad\.conf:\d+: kafka: .*no\.such/, 'and named');
};

print $to "down\n";
happen(5, 0);
is($p->stop_workers, 0, 'the pool ends well, with brokers away');
$p->finish;
done_testing;
