# A pool beside a Redis that somebody else has had his hands in: what one key,
# one entry or one command breaks must stay where it is.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET ();
use Test::More;
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my ($FAKE) = glob '/usr/lib/*/faketime/libfaketime.so.1';
my $p = Travel::Pool->start(stopped => 1);
my $t = $p->t;
my $r = $p->r;

# A clock that the test sets; a sanitizer would have to be loaded first.  And
# another malloc() than the C library's would ask it before it can tell.
my $clocks = $FAKE && !$ENV{TRAVEL_SAN};
sub set_clock { $t->write('clock', "$_[0]\n") }
if ($clocks) {
    set_clock('+0');
    %{ $t->{env} } = (%{ $t->{env} }, LD_PRELOAD => "$FAKE libc.so.6",
        FAKETIME_NO_CACHE => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1,
        FAKETIME_TIMESTAMP_FILE => $t->dir . '/clock');
}
$p->start_workers;
$p->until_owned;

sub are {
    my ($n, $status, @ids) = @_;
    wait_for(sub { ($p->census(@ids)->{$status} // 0) == $n }, 10,
        "$n jobs to be $status");
    return is($p->census(@ids)->{$status}, $n, "$n are $status");
}

subtest 'the scripts are gone from Redis' => sub {
    are(20, 'succeeded', $p->preload(20));
    $r->call('SCRIPT', 'FLUSH');
    are(20, 'succeeded', $p->preload(20));
};

subtest 'a key of one partition has another type' => sub {
    $r->call('DEL', 'travel:{maintenance.1}:low');
    $r->call('SET', 'travel:{maintenance.1}:low', 'x');
    are(3, 'succeeded', map { $p->enqueue(partition => $_) } 0, 2, 3);
    ok(wait_for(sub { $p->log_lines(qr/maintenance\.1\}:low is no stream/) },
        5, 'a line of the log'), 'what to do is said');
    $r->call('DEL', 'travel:{maintenance.1}:low');
    are(1, 'succeeded', $p->enqueue(partition => 1, priority => 'low'));
};

subtest 'a type with a zero byte in it' => sub {
    are(64, 'dead', map { $p->enqueue(type => "maintenance.noop\0" . 'x' x $_) }
        0 .. 63);
};

subtest 'a dead letter that no index takes' => sub {
    my (undef, undef, $xadd) = $p->commands(partition => 2);
    my %fields = @$xadd[3 .. $#$xadd];
    $fields{id} = join '', map { chr 33 + int rand 90 } 1 .. 9000;
    $r->call(@$xadd[0 .. 2], %fields);
    my $id = $p->enqueue(partition => 2, type => 'no.such');
    $p->until_over($id);
    ok(wait_for(sub { scalar $t->sql("SELECT count(*) FROM jobs.dead"
        . " WHERE job_id = '$id'") }, 10, 'the letter behind it'),
        'does not keep those behind it from the table');
    is(scalar($t->sql('SELECT count(*) FROM jobs.dead WHERE partition = 2 '
        . "AND cause = 'MALFORMED' AND length(envelope->>'id') = 9000")), 1,
        'and is there itself');
};

subtest 'a seat of a clock that was ahead' => sub {
    my ($seat) = @{ $r->call('ZRANGE', 'travel:workers', 0, -1) };
    my $ghost = $seat =~ s/\|.*/|ghost.1.0/r;
    $r->call('ZADD', 'travel:workers', int(1000 * (time + 3600)), $ghost);
    ok(wait_for(sub { !defined $r->call('ZSCORE', 'travel:workers', $ghost) },
        10, 'the seat to be free'), 'is not held for it');
};

subtest 'a server that does not answer' => sub {
    my $deaf = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $at = '127.0.0.1:' . $deaf->sockport;
    my @full = map { IO::Socket::INET->new(PeerAddr => $at, Blocking => 0) }
        1 .. 8;                     # its queue: what comes now is not heard
    my $conf = Travel::Test::slurp($t->dir . '/pool.conf');
    $p->stop_workers;
    $t->write('pool.conf', $conf =~ s/socket = "/socket = "$at, /r);
    $p->start_workers;
    are(1, 'succeeded', $p->enqueue);
};

subtest 'the clock is set' => sub {
    plan skip_all => 'no clock to set' unless $clocks;
    my ($child) = $p->children;
    my $id = $p->enqueue(body => { sleep_ms => 3000 });
    $p->until_status($id, 'running');
    set_clock('+7200s');
    are(1, 'succeeded', $id);
    is(scalar($p->log_lines(qr/hangs past/)), 0, 'nothing hangs');
    are(1, 'succeeded', $p->enqueue);
    set_clock('+0');
    are(1, 'succeeded', $p->delay(300));
    is(($p->children)[0], $child, 'the process is the same');
};

$p->finish;
done_testing;
