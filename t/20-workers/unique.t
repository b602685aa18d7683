# Follow-up jobs that are unique: of all that share a text the first alone is
# enqueued, until its window is over, whatever the relay repeats.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start;
my $t = $p->t;
$p->until_owned;

# One row as a transaction leaves it; the job's id.
sub asked_for {
    my ($unique, $ms) = @_;
    my $id = 'maintenance.1.' . $p->new_uuid(1);
    my $more = defined $unique ? qq(,"unique":"$unique","unique_ms":$ms) : '';
    my $key = $p->new_uuid;
    $t->sql("INSERT INTO jobs.outbox (queue, partition, kind, aggregate,
        payload) VALUES ('maintenance', 1, 'job', '$key', '{\"id\":\"$id\",
        \"type\":\"maintenance.noop\",\"sub\":\"" . $t->user(1) . "\",
        \"key\":\"$key\",\"priority\":\"normal\",\"body\":{},
        \"not_before\":0,\"bucket\":1$more}')");
    return $id;
}

sub relayed {
    wait_for(sub { !$t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at IS
        NULL') }, 10, 'the outbox to be empty');
    $p->until_empty(5);
    return map { $p->status($_) } @_;
}

is_deeply([relayed(asked_for('a', 60000), asked_for('a', 60000),
    asked_for('b', 60000), asked_for(undef), asked_for(undef))],
    ['succeeded', '', 'succeeded', 'succeeded', 'succeeded'],
    'the first of those that share a text');

$t->sql('UPDATE jobs.outbox SET sent_at = NULL');
my $ran = $p->ran;
is_deeply([relayed(asked_for('a', 60000))], [''], 'not later in its window');
is(scalar($p->ran), $ran, 'nor is anything run twice by a repeat');

is_deeply([relayed(asked_for('c', 1500))], ['succeeded'], 'a short window');
sleep 1.6;
is_deeply([relayed(asked_for('c', 1500))], ['succeeded'], 'is over');

# as a handler's transaction writes it (worker_tx_job_unique)
my @asked = map { $p->enqueue(partition => $_ % 4, body => { follow =>
    { unique => $_ < 4 ? 'same' : 'other', window_ms => 60000 } }) } 1 .. 5;
$p->until_over($_) for @asked;
is($p->census(@asked)->{succeeded}, 5, 'handlers that ask for one');
relayed();
my @rows = $t->sql("SELECT payload->>'id', payload->>'unique', payload->>'bucket'
    FROM jobs.outbox WHERE payload->>'unique' IN ('same', 'other') ORDER BY id");
is(scalar @rows, 5, 'each has written its row');
my %bucket = map { ($_->[1] => $_->[2]) } @rows;
is(scalar(grep { $bucket{ $_->[1] } ne $_->[2] } @rows), 0,
    'those of one text meet in one partition');
my %done;
for (@rows) {
    my ($uuid) = $_->[0] =~ /([^.]+)$/;
    $done{ $_->[1] } += grep { $p->status("maintenance.$_.$uuid") eq 'succeeded' }
        0 .. 3;
}
is_deeply(\%done, { same => 1, other => 1 }, 'one of each was run');

$p->finish;
done_testing;
