# Jobs called off by an operator: before they begin, while they run in a slot,
# while they wait for the outside, while they wait for a retry.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(stopped => 1);
my $port = $p->t->port + 1;
$p->configure(<<"END");
slots = 2
type "maintenance.noop" { retries = 3 base = 2s cap = 4s timeout = 60s }
partner slow { url = "http://127.0.0.1:$port" timeout = 50s }
END
my $server_pid = open my $server, '-|', 'node', Travel::Test::root()
    . '/t/lib/slow.js', $port or die "node: $!";
<$server>;
$p->start_workers;
$p->until_owned;

sub cancel {
    return $p->ctl('jobs', 'cancel', @_);
}

my $key = $p->new_uuid;
my $runs = $p->enqueue(key => $key, body => { sleep_ms => 40000 }, partition => 1);
my $waits = $p->enqueue(key => $key, partition => 1);
my $asks = $p->enqueue(body => { ask => 'slow/40000' });
my $fails = $p->enqueue(body => { fail_until => 9, retry_ms => 3000 });
$p->until_status($_, 'running') for $runs, $asks;
$p->until_status($fails, 'retrying');

is_deeply([cancel($waits)], [0, "cancelled\n"], 'one that has not begun');
is($p->status($waits), 'cancelled', 'is cancelled');
is_deeply([cancel($_)], [0, "told\n"], 'one that has is told')
    for $runs, $asks, $fails;
my $start = time;
$p->until_status($_, 'cancelled', 15) for $runs, $asks, $fails;
for my $id ($runs, $asks, $fails) {
    is(json($p->job($id)->{error})->{code}, 'CANCELLED', 'with the reason');
}
is(scalar(grep { $_ eq $fails } $p->ran), 1, 'what waited did not run again');
my $after = $p->enqueue(key => $key, partition => 1);
$p->until_over($after);
is($p->status($after), 'succeeded', 'the key is free');
is($p->noted($waits), 1, 'what was cancelled before it began is forgotten later');
my ($rc, $out) = cancel($after);
is($rc, 1, 'one that is over is not');
like($out, qr/the job is succeeded/, 'told so');
is((cancel('maintenance.1.' . $p->new_uuid))[0], 1, 'nor one that is not there');
$p->until_empty(5);

$p->finish;
kill 'TERM', $server_pid;
close $server;
done_testing;
