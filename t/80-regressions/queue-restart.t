# What scripts wrote is there after a crash of the queue.  Redis writes a
# script's effects to its append-only file as a transaction, and reads it back
# in the name of the user "default", with that user's permissions: without any,
# each transaction was dropped at the start, and accepted commands with it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t    = Travel::Test->start(parts => 'queue');
my $edge = $t->redis('queue', 'edge');
my $script = "redis.call('HSET', KEYS[1], 'status', 'queued')
    return redis.call('XADD', KEYS[2], '*', 'id', ARGV[1])";
$edge->call('EVAL', $script, 2, "travel:{booking.0}:job:$_",
    'travel:{booking.0}:normal', $_) for 1 .. 10;

$t->kill_part('queue');
$t->start_part('queue');

my $q = $t->redis('queue');
is($q->call('XLEN', 'travel:{booking.0}:normal'), 10, 'the entries');
is($q->call('HGET', 'travel:{booking.0}:job:7', 'status'), 'queued', 'the jobs');
unlike(Travel::Test::slurp($t->dir . '/logs/redis-queue.log'), qr/CRITICAL/,
    'nothing was refused while loading');

# And that user is still nobody.
for my $try ([ 'PING' ], [ qw(AUTH default), '' ], [ 'AUTH', '' ],
    [ qw(KEYS *) ]) {
    my $c = Travel::Redis->new(socket => $t->socket('queue'));
    ok(!eval { $c->call(@$try); 1 }, "default may not: @$try");
}

$t->finish;
done_testing;
