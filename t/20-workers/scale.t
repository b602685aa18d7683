# The pool's size follows its work, and its processes do not grow old: up to the
# bounds while jobs wait, down again when it is idle; replaced after so many
# jobs or so much memory.  Nothing is lost by any of it, nor run twice.
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
slots = 1
autoscale { processes = 3 slots = 2 age = 200ms every = 300ms idle = 600ms }
END
$p->until_owned;

sub figure {
    my ($name) = @_;
    return $p->metrics =~ /^travel_worker_\Q$name\E (\S+)$/m ? $1 : undef;
}

sub size { return join ' x ', map { figure("pool_$_") } qw(processes slots) }

# All of these ended well, each after one run.
sub once {
    my ($what, @ids) = @_;
    is($p->census(@ids)->{succeeded}, scalar @ids, "$what: all succeeded");
    my %runs;
    $runs{$_}++ for $p->ran;
    is(scalar(grep { ($runs{$_} // 0) != 1 } @ids), 0, '... after one run');
}

subtest 'up and down' => sub {
    is(size(), '1 x 1', 'the least');
    my @ids = map { $p->preload(40, partition => $_,
        body => { sleep_ms => 50 }) } 0 .. 3;
    ok(wait_for(sub { size() eq '3 x 2' }, 15, 'the most'), 'grows to its bounds');
    cmp_ok(figure('slot_wait_seconds'), '>', 0.1, 'for jobs wait');
    $p->until_empty(30);
    ok(wait_for(sub { size() eq '1 x 1' }, 30, 'the least again'),
        'shrinks to them');
    once('through all of it', @ids);
    my %n = $p->metrics =~ /^travel_worker_pool_scalings_total\{direction="(\w+)"\} (\d+)$/mg;
    cmp_ok($n{up}, '>=', 3, 'step by step');
    cmp_ok($n{down}, '>=', 3, '... both ways');
    ok(wait_for(sub { $p->children == 1 }, 15, 'one process'), 'one process is left');
    is(scalar($p->log_lines(qr/killed by signal|does not end/)), 0,
        'the others were let go in order');
};

is($p->stop_workers, 0, 'the pool ends');
$p->configure(<<'END');
processes = 2
slots = 2
recycle { jobs = 40 jitter = 0.5 }
END
$p->start_workers;
$p->until_owned;

subtest 'so many jobs' => sub {
    my @ids = map { my $part = $_; map { $p->enqueue(partition => $part,
        body => { sleep_ms => 10 }) } 1 .. 45 } 0 .. 3;
    $p->until_empty(30);
    once('by processes that come and go', @ids);
    ok(wait_for(sub { $p->log_lines(qr{has done enough \(jobs\)}) }, 10,
        'one to be replaced'), 'processes were replaced');
    ok(wait_for(sub { $p->metrics =~
        /^travel_worker_recycled_total\{process="\d",reason="jobs"\} [1-9]/m }, 10,
        'its metric'), 'and counted');
};

is($p->stop_workers, 0, 'the pool ends');
$p->configure(<<'END');
processes = 1
recycle { memory = 150m jitter = 0 }
END
$p->start_workers;
$p->until_owned;

subtest 'so much memory' => sub {
    my ($before) = $p->children;
    my $slow = $p->enqueue(partition => 1, body => { sleep_ms => 2500 });
    my $large = $p->enqueue(partition => 0, body => { grow_mb => 200 });
    my @after = map { $p->enqueue(partition => $_ % 4,
        body => { sleep_ms => 20 }) } 1 .. 20;
    ok(wait_for(sub { my ($now) = $p->children; $now && $now != $before },
        20, 'another process'), 'a process that has grown is replaced');
    $p->until_over($_, 20) for $slow, $large, @after;
    once('what ran, and what came', $slow, $large, @after);
    is(scalar($p->log_lines(qr/has done enough \(memory\)/)), 1, 'once');
};

$p->finish;
done_testing;
