# Domain events in their topics: each, in order per aggregate, through a kill
# and a Redis that was away; old ones go, but for what a group still needs.
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
    my ($rc, $out) = $p->ctl('topic', 'list');
    is($rc, 0, 'good');
    like($out, qr/^trip-events +12  7 days +\d{3} +0  .*journey\.started/m,
        'partitions, retention, entries, waiting, types');
    like($out, qr/^booking-events +6  30 days +0 +0 /m, 'an empty one');
    like($out, qr/^ai-agent-events +24  1 day /m, 'and another');
};

# n entries of long ago.
sub old {
    my ($redis, $key, $n) = @_;
    $redis->call('XADD', $key, "1000-$_", 'id', 0, 'type', 'old',
        'event', '{}') for 1 .. $n;
}

subtest 'old entries go' => sub {
    my $redis = $t->redis('queue');
    my $key = 'travel:topic:ai-agent-events:3';
    old($redis, $key, 300);
    ok(wait_for(sub { $redis->call('XLEN', $key) < 101 }, 20), 'of 300 past '
        . 'their time, with nothing new behind them: whole blocks go');
    $redis->call('DEL', $key);
};

subtest 'but none that a group has not acknowledged' => sub {
    my $redis = $t->redis('queue');
    my @key = map { "travel:topic:ai-agent-events:$_" } 4 .. 7;
    my @left = (['reads nothing', 1000], ['has one of the first in hand', 1000],
        ['lags behind one that is ahead', 400], ['is done with all', 100]);
    $redis->call('MULTI');
    for my $key (@key) {
        $redis->call('XGROUP', 'CREATE', $key, 'slow', '0', 'MKSTREAM');
        old($redis, $key, 1000);
    }
    my $read = sub {
        my ($key, $group, $n, $ack) = @_;
        $redis->call('XREADGROUP', 'GROUP', $group, 'c', 'COUNT', $n,
            'STREAMS', $key, '>');
        $redis->call('XACK', $key, $group, map { "1000-$_" } @$ack) if @$ack;
    };
    $read->($key[1], 'slow', 1000, [2 .. 1000]);
    $redis->call('XGROUP', 'CREATE', $key[2], 'ahead', '1000-900');
    $read->($key[2], 'slow', 700, [1 .. 700]);
    $read->($key[3], 'slow', 1000, [1 .. 1000]);
    $redis->call('EXEC');
    ok(wait_for(sub { $redis->call('XLEN', $key[3]) < 101
        && $redis->call('XLEN', $key[2]) < 401 }, 20), 'what is acknowledged '
        . 'goes');
    for my $i (0 .. 3) {
        my $n = $redis->call('XLEN', $key[$i]);
        my ($what, $most) = @{ $left[$i] };
        cmp_ok($n, '<=', $most, "a group that $what: $n at most");
        cmp_ok($n, '>=', $most - 100, 'and no fewer than it must have');
    }
    my $next = $redis->call('XREADGROUP', 'GROUP', 'slow', 'c', 'COUNT', 1000,
        'STREAMS', $key[2], '>');
    is_deeply([map { $_->[0] } @{ $next->[0][1] }], [map { "1000-$_" }
        701 .. 1000], 'it reads on, each');
    is($redis->call('XRANGE', $key[1], '1000-1', '1000-1')->[0][0], '1000-1',
        'what is in its hand is there');
    ok(scalar($p->log_lines(qr/the group .*slow.* has not acknowledged/)),
        'and the log names who keeps them');

    $redis->call('XGROUP', 'DESTROY', $_, 'slow') for @key;
    ok(wait_for(sub { !grep { $redis->call('XLEN', $_) > 100 } @key[0, 1, 3] },
        20), 'without the group all go');
    $redis->call('DEL', @key);
};

subtest 'nor more than a partition holds' => sub {
    my $redis = $t->redis('queue');
    my @key = map { "travel:topic:ai-agent-events:$_" } 8, 9;
    $redis->call('EVAL', q{
        redis.call('XGROUP', 'CREATE', KEYS[2], 'slow', '0', 'MKSTREAM')
        for _, key in ipairs(KEYS) do
            for n = 1, 100500 do redis.call('XADD', key, '*', 'id', n) end
        end}, 2, @key);
    ok(wait_for(sub { $redis->call('XLEN', $key[0]) <= 100100 }, 20),
        'the oldest go');
    cmp_ok($redis->call('XLEN', $key[0]), '>=', 100000, 'and only those');
    is($redis->call('XLEN', $key[1]), 100500, 'but for a group\'s');
    $redis->call('XGROUP', 'SETID', $key[1], 'slow', '$');
    ok(wait_for(sub { $redis->call('XLEN', $key[1]) <= 100100 }, 20),
        'until it has read them');
    cmp_ok($redis->call('XLEN', $key[1]), '>=', 100000, 'no more then');
    $redis->call('DEL', @key);
};

is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
