# Who goes first: callers take turns, types by their weights; how many at once
# and how many a second, for a caller and for a type, in all processes together.
# TRAVEL_FAIR=N: so many jobs of one caller before another's (20000).
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 1
slots = 2
type "maintenance.drill" { weight = 3 }
END
my $t = $p->t;
my ($greedy, $other) = ($t->user(1), $t->user(2));
$p->until_owned;

sub again {
    my ($conf) = @_;
    is($p->stop_workers, 0, 'the pool ends');
    $p->configure($conf);
    $p->start_workers;
    $p->until_owned;
}

# How many run right now, the most that was seen until all are over.
sub most_running {
    my (@ids) = @_;
    my $most = 0;
    my $until = time + 30;
    while (time < $until) {
        my $c = $p->census(@ids);
        my $n = $c->{running} // 0;
        $most = $n if $n > $most;
        last if ($c->{succeeded} // 0) == @ids;
        sleep 0.01;
    }
    is($p->census(@ids)->{succeeded}, scalar @ids, 'all succeeded');
    return $most;
}

subtest 'a caller with many jobs does not keep out one with one' => sub {
    my @many = $p->preload(150, sub => $greedy, partition => 1,
        body => { sleep_ms => 20 });
    my $one = $p->enqueue(sub => $other, partition => 1);
    $p->until_over($one, 10);
    cmp_ok($p->census(@many)->{succeeded} // 0, '<', 60,
        'most of the others still wait');
    $p->until_empty(30);
};

subtest 'a caller in order, callers in turn' => sub {
    my @block = map { $p->enqueue(partition => $_, body => { sleep_ms => 500 }) }
        0, 1;
    $p->until_status($_, 'running') for @block;
    my @ids = ([$p->preload(20, sub => $greedy, partition => 2,
        body => { sleep_ms => 15 })], [$p->preload(10, sub => $other,
        partition => 2, body => { sleep_ms => 15 })]);
    $p->until_empty(20);
    my %whose = map { my $n = $_; map { $_ => $n } @{ $ids[$n] } } 0, 1;
    my @order = map { $whose{$_} // () } $p->ran;
    my @last = grep { $order[$_] == 1 } 0 .. $#order;
    cmp_ok($last[-1], '<', 25, 'the shorter line ends before the longer');
};

subtest 'types by their weights' => sub {
    my @block = map { $p->enqueue(partition => $_, body => { sleep_ms => 500 }) }
        0, 2;
    $p->until_status($_, 'running') for @block;
    my @light = $p->preload(12, partition => 1, body => { sleep_ms => 15 });
    my @heavy = $p->preload(12, partition => 1, body => { sleep_ms => 15 },
        type => 'maintenance.drill');
    $p->until_empty(20);
    my %heavy = map { $_ => 1 } @heavy;
    my %light = map { $_ => 1 } @light;
    my @order = grep { $heavy{$_} || $light{$_} } $p->ran;
    my $n = grep { $heavy{$_} } @order[0 .. 11];
    cmp_ok($n, '>=', 7, "$n of the first dozen have the weight");
    cmp_ok($n, '<=', 11, 'and the others are among them');
};

subtest 'nor with more than memory holds' => sub {
    my $many = $ENV{TRAVEL_FAIR} || 20000;
    my $key = $p->new_uuid;
    $p->ctl('queue', 'preload', '--type', 'maintenance.noop',
        '--count', $many, '--sub', $greedy, '--body', '{"sleep_ms":300}');
    my $last = $p->enqueue(sub => $greedy, partition => 1, key => $key);
    my $same = $p->enqueue(sub => $other, partition => 1, key => $key);
    my $since = time;
    my @more = map { $p->enqueue(sub => $other, partition => $_ % 4) } 1 .. 8;
    my $order = $p->new_uuid;
    my @line = map { $p->enqueue(sub => $t->user(3), partition => 2,
        key => $order) } 1 .. 5;
    $p->until_over($_, 15) for @more, @line;
    is($p->census(@more)->{succeeded}, 8, 'the jobs of another are done');
    note sprintf '%d jobs of one in front: %d of others done in %.2f s', $many,
        @more + @line, time - $since;
    is_deeply([$p->ran($order)], \@line, 'those of one key in order');
    is($p->status($same), 'queued',
        'but not one that comes after his on the same key');
    cmp_ok($p->left, '>', 0.75 * $many, 'most of his wait');
    is($p->stop_workers, 0, 'the pool ends');
    $p->r->call('FLUSHALL');
    $p->start_workers;
    $p->until_owned;
};

again(<<'END');
processes = 1
slots = 8
type "maintenance.noop" { user_concurrency = 2 }
type "maintenance.drill" { user_rate = 10/s }
END

subtest 'so many of a caller at once' => sub {
    my @ids = $p->preload(16, sub => $greedy, partition => 1,
        body => { sleep_ms => 60 });
    my @free = map { $p->enqueue(sub => $t->user(10 + $_), partition => 1,
        body => { sleep_ms => 60 }) } 1 .. 4;
    is(most_running(@ids), 2, 'two of his');
    $p->until_over($_) for @free;
    my $end = (sort { $b <=> $a } map { $p->job($_)->{updated_at} } @ids)[0];
    is(scalar(grep { $p->job($_)->{updated_at} > $end } @free), 0,
        'others did not wait for him');
};

subtest 'so many of a caller a second' => sub {
    my $start = time;
    my @ids = $p->preload(12, sub => $greedy, partition => 1,
        type => 'maintenance.drill');
    my $free = $p->enqueue(sub => $other, partition => 1,
        type => 'maintenance.drill');
    $p->until_over($free, 5);
    cmp_ok($p->census(@ids)->{succeeded} // 0, '<', 12, 'he waits, not others');
    $p->until_empty(20);
    cmp_ok(time - $start, '>', 1, 'a second for eleven');
};

again(<<'END');
processes = 2
slots = 6
type "maintenance.noop" { concurrency = 4 }
type "maintenance.drill" { concurrency = 1 rate = 20/s }
END

subtest 'so many of a type at once, in all processes' => sub {
    my @ids = map { $p->enqueue(partition => $_ % 4,
        body => { sleep_ms => 100 }) } 1 .. 24;
    my $most = most_running(@ids);
    cmp_ok($most, '<=', 4, 'never more than four');
    cmp_ok($most, '>=', 3, 'and not much less');
};

subtest 'one at a time, and each process has its turn' => sub {
    my @ids = map { my $part = $_; map { $p->enqueue(partition => $part,
        type => 'maintenance.drill', body => { sleep_ms => 50 }) } 1 .. 12 } 0 .. 3;
    is(most_running(@ids), 1, 'one at a time');
    my %first;
    for my $id (@ids) {
        my ($part) = $id =~ /\.(\d+)\./;
        my $at = $p->job($id)->{updated_at};
        $first{$part} = $at if !$first{$part} || $at < $first{$part};
    }
    # of all that ended, how many before the last partition had its first?
    my ($last) = reverse sort { $a <=> $b } values %first;
    my $before = grep { $p->job($_)->{updated_at} < $last } @ids;
    cmp_ok($before, '<', 36, 'no partition waits for the end of others');
};

subtest 'so many of a type a second' => sub {
    my $start = time;
    my @ids = map { $p->enqueue(partition => $_ % 4,
        type => 'maintenance.drill') } 1 .. 24;
    $p->until_over($_) for @ids;
    cmp_ok(time - $start, '>', 0.8, 'a second or so for two dozen');
};

$p->finish;
done_testing;
