# Leases: fair shares, take-over after kill -9, zombies that come back.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => "processes = 2\nlease_ttl = 3s\n");
my $r = $p->r;

sub shares {
    my %n;
    $n{$_}++ for values %{ $p->owners };
    return join ' ', sort { $a <=> $b } values %n;
}

sub fences {
    return map { $r->call('HGET', "travel:{maintenance.$_}:owner", 'fence') }
        0 .. 3;
}

subtest 'two processes share four partitions' => sub {
    wait_for(sub { shares() eq '2 2' }, 15, 'two each');
    is(shares(), '2 2', 'two each');
    wait_for(sub { 4 == grep { defined } fences() }, 5, 'fences in Redis');
    for my $part (0 .. 3) {
        my ($pg) = $p->t->sql('SELECT owner, fence FROM jobs.partition WHERE '
            . "queue = 'maintenance' AND partition = $part",
            role => 'travel_worker');
        my %o = @{ $r->call('HGETALL', "travel:{maintenance.$part}:owner") };
        $o{owner} =~ s{#\d+$}{};
        is_deeply([@o{qw(owner fence)}], $pg, "$part: Redis says the same");
    }
};

subtest 'kill -9: another goes on within seconds' => sub {
    my @ids = $p->preload(200, body => { sleep_ms => 20 });
    my @before = fences();
    my $t0 = time;
    kill 'KILL', ($p->children)[0];
    $p->until_empty(20);
    my $took = time - $t0;
    is($p->census(@ids)->{succeeded}, 200, 'all 200 succeeded');
    cmp_ok($took, '<', 8, 'in time');
    my @after = fences();
    is(scalar(grep { $after[$_] > $before[$_] } 0 .. 3), 2,
        'two fences were raised');
    wait_for(sub { shares() eq '2 2' }, 20, 'two each again');
    is(shares(), '2 2', 'the successor has its share');
};

subtest 'a zombie cannot settle, nor read' => sub {
    my $owners = $p->owners;
    my ($part) = sort keys %$owners;
    my $id = $p->enqueue(partition => $part, body => { sleep_ms => 6000 });
    $p->until_status($id, 'running');
    my ($zombie) = map { $_->{msg} =~ /pid (\d+)/ }
        $p->log_lines(qr/^started as \Q$owners->{$part}\E /);
    ok($zombie, 'the owner is found') or return;

    my ($fence) = $r->call('HGET', "travel:{maintenance.$part}:owner", 'fence');
    kill 'STOP', $zombie;
    wait_for(sub {
        $r->call('HGET', "travel:{maintenance.$part}:owner", 'fence') > $fence
    }, 15, 'the other process to take over');
    my $second = time;
    kill 'CONT', $zombie;

    # The zombie's run ends first; the job must stay running until the new
    # owner's has ended too.
    sleep 4;
    is($p->status($id), 'running', 'the zombie did not settle it');
    my $late = $p->enqueue(partition => $part);
    $p->until_over($late, 10);
    is($p->status($late), 'succeeded', 'nor does it take what is new');
    $p->until_over($id, 20);
    cmp_ok(time - $second, '>', 5, 'the new owner ran it to its end');
    is($p->job($id)->{attempts}, 1, 'and it was nobody\'s failure');
    $p->until_empty(10);
};

subtest 'a database from a backup: its fences catch up' => sub {
    $p->stop_workers;
    $r->call('HSET', "travel:{maintenance.$_}:owner", 'owner', 'somebody',
        'fence', 1000) for 0 .. 3;
    $p->start_workers;
    my @ids = $p->preload(40);
    $p->until_empty(20);
    is($p->census(@ids)->{succeeded}, 40, 'jobs run');
    is(scalar(grep { $_ > 1000 } fences()), 4, 'under higher fences');
};

$p->finish;
done_testing;
