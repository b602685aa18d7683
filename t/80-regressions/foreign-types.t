# Who may write into a queue may not thereby have the jobs of another queue
# run: the edge's login reaches "booking", and mails are not its to send.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(
    conf => qq(queues = { "maintenance", "booking", "notification" }\n));
my $t = $p->t;
$p->until_owned;

sub edge {
    my $r = $t->redis('queue', 'edge');
    return $r;
}

my %body = ('notification.email' => '{"template":"booking_confirmed",'
        . '"to":"somebody@example.org","data":{}}',
    'booking.release' => '{"booking_id":"x","partner":"opentable",'
        . '"hold_id":"h-1"}',
    'booking.cancel_settle' => '{"partner":"opentable","number":"n-1",'
        . '"cancel_job":"x"}',
    'maintenance.noop' => '{}');

for my $type (sort keys %body) {
    my ($id, $hset, $xadd) = $p->commands(queue => 'booking', partition => 1,
        type => $type, body => $body{$type});
    my $edge = edge();
    $edge->call(@$_) for $hset, $xadd;
    $p->until_over($id);
    my $job = $p->job($id);
    is($job->{status}, 'dead', "$type in \"booking\" is not run");
    like($job->{error}, qr/"code":"WRONG_QUEUE"/, 'and says why');
    my ($letter) = grep { $_->{id} eq $id } map { +{ @{ $_->[1] } } }
        @{ $p->r->call('XRANGE', 'travel:{booking.1}:dead', '-', '+') };
    is($letter->{cause}, 'WRONG_QUEUE', 'a dead letter');
}

is(scalar($t->sql('SELECT count(*) FROM jobs.inbox')), 0, 'without effect');
is(scalar($t->sql('SELECT count(*) FROM jobs.saga')), 0, 'nor outside call');

my $id = $p->enqueue;
$p->until_over($id);
is($p->status($id), 'succeeded', 'in its own queue a type runs as ever');

$p->finish;
done_testing;
