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

# --- the last wins ------------------------------------------------------------

# A job whose transaction asks for one that is debounced, with a word of its own;
# the row's job, wherever it was put.
sub debounced {
    my ($unique, $word, $quiet, $max) = @_;
    my $id = $p->enqueue(body => { follow => { unique => $unique,
        quiet_ms => $quiet, window_ms => $max,
        body => { answer => { word => $word } } } });
    $p->until_over($id);
    my ($uuid) = $id =~ /([^.]+)$/;
    return wait_for(sub { $t->sql("SELECT payload->>'id' FROM jobs.outbox
        WHERE aggregate = '$uuid' AND sent_at IS NOT NULL") }, 10, 'relayed');
}

# All jobs of a text are where its bucket says.
sub where {
    my ($id) = @_;
    my ($uuid) = $id =~ /([^.]+)$/;
    return (grep { $p->status($_) } map { "maintenance.$_.$uuid" } 0 .. 3)[0];
}

# Its time has come, or when that is.
sub due {
    my ($id, @now) = @_;
    my ($part, $uuid) = where($id) =~ /^(\w+\.\d+)\.(.*)$/;
    my $set = "travel:{$part}:delayed";
    return @now ? $p->r->call('ZADD', $set, 1, $uuid)
        : $p->r->call('ZSCORE', $set, $uuid);
}

sub word { return json($p->job(where($_[0]))->{result} // '{}')->{word} }

my @words = map { debounced('d', "word $_", 300000, 600000) } 1 .. 3;
is_deeply([map { $p->status(where($_)) } @words],
    ['queued', 'cancelled', 'cancelled'], 'the first waits, others are merged');
like($p->job(where($words[2]))->{error}, qr/MERGED.*\Q${\ where($words[0])}/,
    'they say into which');
$t->sql('UPDATE jobs.outbox SET sent_at = NULL');
wait_for(sub { !$t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at IS
    NULL') }, 10, 'the outbox is told again');
is($p->status(where($words[0])), 'queued', 'told twice is merged once');
due($words[0], 'now');
$p->until_over(where($words[0]));
is(word($words[0]), 'word 3', 'it is run with the last body');
my $next = debounced('d', 'word 4', 50, 60000);
isnt($p->status(where($next)), 'cancelled', 'one that comes after that');
$p->until_over(where($next));
is(word($next), 'word 4', 'is another');

my $first = debounced('e', 'first', 300000, 300500);
my $was = due($first);
sleep 0.2;
debounced('e', 'more', 300000, 300500);
cmp_ok(due($first), '>', $was, 'another puts it off');
sleep 0.6;
debounced('e', 'more', 300000, 300500);
is(due($first), $p->job(where($first))->{created_at} + 300500,
    'no longer than it may be');

$p->finish;
done_testing;
