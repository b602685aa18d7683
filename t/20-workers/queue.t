# What a queue does with a job: order per key, priorities, cancel, deadline,
# the reply, entries that cannot be run.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => "slots = 8\n");
my $r = $p->r;
$p->until_owned;

subtest 'a job runs and is settled' => sub {
    my $id = $p->enqueue;
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'succeeded', 'succeeded');
    is($job->{attempts}, 1, 'at the first attempt');
    is($job->{error}, undef, 'no error');
    cmp_ok($job->{updated_at}, '>=', $job->{created_at}, 'in that order');
    is($p->noted($id), 1, 'noted as over');
    is($r->call('TTL', $p->hash_key($id)), -1, 'and kept');
    $p->until_empty(5);
};

subtest 'over for four days: forgotten' => sub {
    my ($old, $again, $alive) = map { $p->enqueue(partition => 2) } 1 .. 3;
    $p->until_over($_) for $old, $again, $alive;
    my ($old_key, $again_key, $alive_key) = map { $p->hash_key($_) } $old, $again, $alive;
    $r->call('HSET', $alive_key, status => 'retrying');
    $p->over_since(4 * 86400 + 60, $old, $alive);
    wait_for(sub { !$r->call('EXISTS', $old_key) }, 20, 'the hash to go');
    is($r->call('EXISTS', $alive_key), 1, 'not that of one that lives again');
    is($r->call('TTL', $alive_key), -1, 'which is kept');
    $r->call('HSET', $alive_key, status => 'succeeded');
    $p->over_since(4 * 86400 - 60, $alive, $again);
    $r->call('HSET', $again_key, updated_at => int(1000 * time));
    my $note = $again_key =~ s/job:.*/ended/r;
    sleep 6;
    is($r->call('XLEN', $note), 1, 'nor sooner');
    $p->over_since(4 * 86400 + 60, $alive);
    wait_for(sub { !$r->call('XLEN', $note) }, 20, 'the rest');
    ok(!$r->call('EXISTS', $alive_key), 'but then');
};

subtest 'one job of a key at a time, in order; keys beside each other' => sub {
    my %ids;
    my @keys = map { $p->new_uuid } 1 .. 4;
    for my $n (1 .. 25) {
        for my $key (@keys) {
            push @{ $ids{$key} }, $p->enqueue(key => $key, partition => 1,
                body => { sleep_ms => int rand 15 });
        }
    }
    my $start = time;
    $p->until_empty(30);
    my $took = time - $start;
    for my $key (@keys) {
        is_deeply([$p->ran($key)], $ids{$key}, "25 jobs of $key in order");
    }
    is($p->census(map { @$_ } values %ids)->{succeeded}, 100, 'all succeeded');
};

subtest 'a high priority overtakes a long low one' => sub {
    my @low = $p->preload(160, priority => 'low', partition => 2,
        body => { sleep_ms => 100 });
    sleep 0.3;
    my $high = $p->enqueue(priority => 'high', partition => 2);
    $p->until_over($high, 5);
    my $c = $p->census(@low);
    cmp_ok($c->{succeeded} // 0, '<', 100, 'many low ones still wait');
    $p->until_empty(30);
};

subtest 'cancelled before it started' => sub {
    my $key = $p->new_uuid;
    my $first = $p->enqueue(key => $key, partition => 0,
        body => { sleep_ms => 500 });
    my $second = $p->enqueue(key => $key, partition => 0);
    my $third = $p->enqueue(key => $key, partition => 0);
    $p->until_status($first, 'running');
    $r->call('HSET', $p->hash_key($second), 'status', 'cancelled');
    $p->until_over($third);
    is($p->status($second), 'cancelled', 'it stays cancelled');
    is_deeply([$p->ran($key)], [$first, $third], 'and never ran');
    $p->until_empty(5);
};

subtest 'a deadline that has passed' => sub {
    my $id = $p->enqueue(deadline => int(time * 1000) - 1000);
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'failed', 'failed');
    is(json($job->{error})->{code}, 'DEADLINE_EXCEEDED', 'with the reason');
    my $later = $p->enqueue(deadline => int(time * 1000) + 60000);
    $p->until_over($later);
    is($p->status($later), 'succeeded', 'one that has not passed');
};

subtest 'the waiter is told' => sub {
    my $sub = $p->t->redis('queue');
    $sub->call('SUBSCRIBE', 'travel:reply:test');
    my $id = $p->enqueue(reply => 'travel:reply:test');
    my $message = $sub->_reply;
    is_deeply(json($message->[2]), { id => $id, status => 'succeeded' },
        'by a message that names job and status');
};

subtest 'a result that is told once' => sub {
    my $sub = $p->t->redis('queue');
    $sub->call('SUBSCRIBE', 'travel:reply:once');
    my %job = (reply => 'travel:reply:once',
        body => { answer => { secret => [1, 'a "b"'] } });
    my $kept = $p->enqueue(%job);
    is_deeply(json($sub->_reply->[2]), { id => $kept, status => 'succeeded' },
        'a result as usual is not in the message');
    is_deeply(json($p->job($kept)->{result}), $job{body}{answer}, 'but kept');
    my $id = $p->enqueue(%job, once => 1);
    is_deeply(json($sub->_reply->[2]), { id => $id, status => 'succeeded',
        result => $job{body}{answer} }, 'one for who waits is');
    is($p->job($id)->{result}, undef, 'and nowhere else');
    is($p->status($id), 'succeeded', 'it has succeeded all the same');
    my $silent = $p->enqueue(once => 1, body => $job{body});
    $p->until_over($silent);
    is($p->job($silent)->{result}, undef, 'nor where nobody waits');
    my $again = $p->enqueue(%job, once => 1,
        body => { %{ $job{body} }, fail_until => 2 });
    is(json($sub->_reply->[2])->{result}{secret}[0], 1, 'after a retry, too');
    is($p->job($again)->{result}, undef, 'kept nowhere');
};

subtest 'who watches is told of each change' => sub {
    my $sub = $p->t->redis('queue');
    $sub->call('SUBSCRIBE', "travel:reply:watch$_") for 1, 2;
    my $watch = 'travel:{maintenance.1}:watch';
    my $uuid = $p->new_uuid(1);
    my ($id, @commands) = $p->commands(uuid => $uuid, partition => 1,
        body => { fail_until => 2, retry_ms => 1 });
    $r->call('HSET', $watch, $uuid, 'travel:reply:watch1 travel:reply:watch2',
        $p->new_uuid(1), 'travel:reply:watch1');
    $r->call(@$_) for @commands;
    my %told;
    for (1 .. 8) {
        my $m = $sub->_reply;
        is(json($m->[2])->{id}, $id, 'by the id') if !$told{ $m->[1] }++;
    }
    is_deeply(\%told, { map { ("travel:reply:watch$_" => 4) } 1, 2 },
        'of start, retry, start and end, on each channel');
    $p->until_over($id);
    is($r->call('HEXISTS', $watch, $uuid), 0, 'that was all');
    is($r->call('HLEN', $watch), 1, 'others are still watched');
    $r->call('DEL', $watch);
};

subtest 'refused for good' => sub {
    my $id = $p->enqueue(body => { reject => 'VALIDATION_ERROR' });
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'failed', 'failed');
    is(json($job->{error})->{code}, 'VALIDATION_ERROR', 'with its code');
    is($job->{attempts}, 1, 'without a retry');
};

sub dead {
    my ($part, $id) = @_;
    my @e = map { +{ @{ $_->[1] } } }
        @{ $r->call('XRANGE', "travel:{maintenance.$part}:dead", '-', '+') };
    return grep { !defined $id || ($_->{id} // '') eq $id } @e;
}

subtest 'a type nobody knows' => sub {
    my $id = $p->enqueue(type => 'maintenance.unheard', partition => 3);
    $p->until_over($id);
    is($p->status($id), 'dead', 'dead');
    my ($e) = dead(3, $id);
    is($e->{cause}, 'UNKNOWN_TYPE', 'the letter says why');
    is($e->{type}, 'maintenance.unheard', 'and holds the envelope');
};

subtest 'entries that cannot be read' => sub {
    my $stream = 'travel:{maintenance.3}:normal';
    my $n = () = dead(3);
    $r->call('XADD', $stream, '*', 'nonsense', "\xff\x00\x01");
    $r->call('XADD', $stream, '*', 'id', 'booking.1.' . $p->new_uuid,
        'type', 'maintenance.noop', 'v', 1, 'sub', 'x', 'key', $p->new_uuid,
        'ts', 1, 'body', '{}');
    my $id = $p->enqueue(partition => 3, body => '{"not": json');
    my $other = $p->enqueue(partition => 3, key => 'no-id');
    my $after = $p->enqueue(partition => 3);
    $p->until_over($_) for $id, $other, $after;
    is($p->status($after), 'succeeded', 'those behind them run');
    is($p->status($_), 'dead', 'a known job is told') for $id, $other;
    $p->until_empty(5);
    my @new = (dead(3))[$n .. $n + 3];
    is(scalar(grep { defined && $_->{cause} eq 'MALFORMED' } @new), 4,
        'four letters, cause MALFORMED');
    is($r->call('EXISTS', 'travel:{maintenance.3}:job:-'), 0,
        'no hash for an entry without a name');
};

subtest 'idle: from the enqueue to the answer' => sub {
    my $sub = $p->t->redis('queue');
    $sub->call('SUBSCRIBE', 'travel:reply:idle');
    my @ms;
    for (1 .. 100) {
        my $t0 = time;
        $p->enqueue(reply => 'travel:reply:idle');
        $sub->_reply;
        push @ms, (time - $t0) * 1000;
        sleep 0.005;
    }
    @ms = sort { $a <=> $b } @ms;
    diag(sprintf 'enqueue to answer: p50 %.2f ms, p99 %.2f ms', @ms[49, 98]);
    # No bell would mean the safety poll, once a second.
    cmp_ok($ms[49], '<', 100, 'the bell rings');
};

$p->finish;
done_testing;
