# Ends and new beginnings: SIGTERM, SIGHUP, a slot that hangs, the config.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => "slots = 4\ndrain = 3s\n");
my $r = $p->r;
$p->until_owned;

subtest 'SIGTERM: what runs ends, what waits is left' => sub {
    my @long = $p->preload(4, body => { sleep_ms => 1500 });
    $p->until_status($_, 'running') for @long;
    my @wait = $p->preload(20, body => { sleep_ms => 1500 });
    my $t0 = time;
    is($p->stop_workers, 0, 'the pool ends with code 0');
    cmp_ok(time - $t0, '<', 4, 'as soon as the running jobs have ended');
    is($p->census(@long)->{succeeded}, 4, 'which were settled');
    my $c = $p->census(@wait);
    is(($c->{queued} // 0) + ($c->{running} // 0), 20, 'the others wait');
    is_deeply($p->owners, {}, 'no lease is left behind');
    is($r->call('ZCARD', 'travel:workers'), 0, 'nor a seat');
    $p->start_workers;
    $p->until_empty(30);
    is($p->census(@wait)->{succeeded}, 20, 'the next pool runs them');
};

subtest 'SIGTERM: a job that takes too long is left to the next owner' => sub {
    my $id = $p->enqueue(body => { sleep_ms => 8000 });
    $p->until_status($id, 'running');
    my $due = $p->delay(500);
    my $t0 = time;
    kill 'TERM', $p->pid;
    sleep 1.5;
    my ($child) = $p->children;
    my @cpu = split ' ', slurp("/proc/$child/stat") =~ s/^.*\) //sr;
    cmp_ok($cpu[11] + $cpu[12], '<', 60,
        'while a job that is due waits, too, the process is idle');
    is($p->stop_workers, 0, 'the pool ends with code 0');
    my $took = time - $t0;
    cmp_ok($took, '>', 2.5, 'not before the drain is over');
    cmp_ok($took, '<', 7, 'nor with the job');
    is($p->status($id), 'running', 'it is not settled');
    $p->start_workers;
    $p->until_over($id, 20);
    is($p->status($id), 'succeeded', 'it runs again');
    is($p->job($id)->{attempts}, 1, 'and that is no second attempt');
    $p->until_over($due, 5);
};

subtest 'SIGHUP: new processes with the new config' => sub {
    my %old = map { $_ => 1 } $p->children;
    my @ids = $p->preload(60, body => { sleep_ms => 50 });
    $p->configure("processes = 2\nslots = 2\ndrain = 3s\n");
    kill 'HUP', $p->pid;
    wait_for(sub {
        my @c = $p->children;
        @c == 2 && !grep { $old{$_} } @c;
    }, 15, 'two new processes');
    $p->until_empty(20);
    is($p->census(@ids)->{succeeded}, 60, 'no job was lost on the way');
    my @started = $p->log_lines(qr/^started as .* with 2 slots/);
    is(scalar @started, 2, 'they have the new number of slots');
};

subtest 'SIGHUP with a broken config changes nothing' => sub {
    my %old = map { $_ => 1 } $p->children;
    my $good = slurp($p->t->dir . '/pool.conf');
    $p->t->write('pool.conf', $good . "slots = many\n");
    kill 'HUP', $p->pid;
    wait_for(sub { $p->log_lines(qr/is not good/) }, 5, 'the complaint');
    sleep 0.5;
    is(scalar(grep { $old{$_} } $p->children), 2, 'the same two processes');
    my $id = $p->enqueue;
    $p->until_over($id);
    is($p->status($id), 'succeeded', 'which go on');
    $p->t->write('pool.conf', $good);
};

subtest 'a process in a crash loop is started again, ever slower' => sub {
    kill 'KILL', $p->children;
    wait_for(sub { $p->children == 2 }, 5, 'two processes');
    for (1 .. 3) {
        kill 'KILL', $p->children;
        wait_for(sub { $p->children == 2 }, 15, 'two processes again');
    }
    my $id = $p->enqueue;
    $p->until_over($id, 20);
    is($p->status($id), 'succeeded', 'jobs run');
    like($p->metrics, qr/^travel_worker_restarts_total\{process="0"\} [1-9]/m,
        'restarts are counted');
};

subtest 'metrics' => sub {
    my $text = $p->metrics;
    like($text, qr/^travel_worker_jobs_total\{type="maintenance\.noop",outcome="succeeded"\} [1-9]/m,
        'jobs by type and outcome');
    like($text, qr/^travel_worker_job_duration_seconds_bucket\{type="maintenance\.noop",le="\+Inf"\} [1-9]/m,
        'their run time');
    wait_for(sub { $p->metrics =~ /^travel_queue_depth\{queue="maintenance",partition="0",priority="normal"\} 0/m },
        10, 'depth per stream');
    pass('depth per stream');
    my %seen;
    my @twice = grep { /^[^#]/ && $seen{ (split / /)[0] }++ } split /\n/, $text;
    is_deeply(\@twice, [], 'no series twice');
    is($p->t->request('GET', '/', base => 'http://127.0.0.1:'
        . ($p->t->port + 4))->{status}, 404, 'nothing else is served');
};

$p->finish;
done_testing;
