# Domain events in their topics: each, in order per aggregate, through a kill
# and a Redis that was away; old ones go.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 2
slots     = 1
topics    = "on"
END
my ($t, $r) = ($p->t, $p->r);
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

# partition => entries, each { id, type, event }
sub entries {
    my ($topic) = @_;
    my %at;
    my $redis = $t->redis('queue');
    for my $key (@{ $redis->call('KEYS', "travel:topic:$topic:*") }) {
        my ($n) = $key =~ /(\d+)\z/;
        $at{$n} = [map { my %f = @{ $_->[1] }; \%f }
            @{ $redis->call('XRANGE', $key, '-', '+') }];
    }
    return \%at;
}

sub published { return scalar $t->sql('SELECT published FROM
    events.publisher', role => 'travel_worker') // 0 }

sub in_order {
    my ($topic) = @_;
    my ($at, %last, %where, $bad) = (entries($topic), (), ());
    for my $n (sort keys %$at) {
        for my $e (map { json($_->{event}) } @{ $at->{$n} }) {
            my $id = $e->{aggregate_id};
            $bad++ if ($where{$id} //= $n) != $n;
            next if ($last{$id} // 0) >= $e->{version};       # a repeat
            $bad++ if $e->{version} != ($last{$id} // 0) + 1;
            $last{$id} = $e->{version};
        }
    }
    return ($bad // 0, \%last, scalar keys %$at);
}

subtest 'each, in its topic' => sub {
    happen(40, 2);
    $t->sql("SELECT events.append('trend', '" . $p->new_uuid . "', 0,
        'trend_detected', '{\"location\": {}, \"trend_type\": \"t\",
        \"confidence\": 1, \"source\": \"s\", \"metadata\": {}}', NULL, NULL,
        NULL), events.append('system', '" . $p->new_uuid . "', 0,
        'system.error', '{\"code\": \"X\"}', NULL, NULL, NULL)",
        role => 'travel_worker');
    wait_for(sub { published() == 121 }, 10, 'all to be published');
    my ($bad, $last, $parts) = in_order('trip-events');
    is($bad, 0, 'versions in order, an aggregate in one partition');
    is(scalar(grep { $_ == 3 } values %$last), 40, 'all of them');
    cmp_ok($parts, '>', 6, 'over the partitions');
    my ($one) = map { @$_ } values %{ entries('analytics-events') };
    is($one->{type}, 'trend_detected', 'another topic');
    is(json($one->{event})->{data}{source}, 's', 'with its data');
    like($one->{id}, qr/^\d+$/, 'and what tells a repeat');
};

subtest 'through kills and a Redis that was away' => sub {
    for my $round (1 .. 3) {
        happen(30, 1);
        my ($pid) = $p->children;
        kill 'KILL', $pid;
        if ($round == 2) {
            $t->stop_part('queue');
            happen(10, 1);
            $t->start_part('queue');
        }
    }
    my $want = 40 + 3 * 30 + 10;
    wait_for(sub { my (undef, $last) = in_order('trip-events');
        $want == keys %$last
            && !grep { $_ < 2 } values %$last }, 30, 'all to be published');
    my ($bad, $last) = in_order('trip-events');
    is($bad, 0, 'in order');
    is(scalar keys %$last, $want, 'none is lost');
};

subtest 'travelctl topic list' => sub {
    my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'topic',
        'list', '--config', $t->dir . '/pool.conf');
    is($rc, 0, 'good');
    like($out, qr/^trip-events +12  7 days +\d{3} +0  .*journey\.started/m,
        'partitions, retention, entries, waiting, types');
    like($out, qr/^booking-events +6  30 days +0 +0 /m, 'an empty one');
    like($out, qr/^ai-agent-events +24  1 day /m, 'and another');
};

subtest 'old entries go' => sub {
    my $redis = $t->redis('queue');
    my $key = 'travel:topic:trip-events:' . (sort keys
        %{ entries('trip-events') })[0];
    my ($n) = $key =~ /(\d+)\z/;
    $redis->call('DEL', $key);
    $redis->call('XADD', $key, '1000-' . $_, 'id', 0, 'type', 'old', 'event',
        '{}') for 1 .. 300;
    happen(60, 0);
    wait_for(sub { grep { $_->{type} ne 'old' } @{ entries('trip-events')
        ->{$n} } }, 10, 'a new one there');
    my $old = grep { $_->{type} eq 'old' } @{ entries('trip-events')->{$n} };
    cmp_ok($old, '<', 101, "of 300 past their time $old are left: whole blocks "
        . 'go');
};

is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
