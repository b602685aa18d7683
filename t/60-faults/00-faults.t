# The faults themselves: each tool of t/lib really breaks what it says it
# breaks, and what it broke comes back.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Faults;
use Travel::Test;

my $t = Travel::Test->start(parts => 'postgres replica queue cache');

subtest 'crash of the queue keeps what was acknowledged' => sub {
    my $q  = $t->redis('queue', 'worker');
    my $id = $q->call(qw(XADD travel:{booking.0}:normal * id a));
    my $pid = $t->pid_of('queue');
    $t->kill_part('queue');
    ok(!defined $t->pid_of('queue'), 'it is gone');
    ok(!eval { $q->call('PING'); 1 }, 'and so is the connection');
    $t->start_part('queue');
    isnt($t->pid_of('queue'), $pid, 'another process');
    is($t->redis('queue', 'worker')->call(qw(XLEN travel:{booking.0}:normal)),
        1, 'the entry is there');
};

subtest 'crash of the primary keeps what was committed' => sub {
    $t->sql("UPDATE travel.partners SET commission_bps = 777
        WHERE code = 'klook'");
    $t->kill_part('postgres');
    ok(!eval { $t->sql('SELECT 1'); 1 }, 'no primary');
    is($t->sql('SELECT 1', on => 'replica'), 1, 'the replica answers');
    $t->start_part('postgres');
    is($t->sql("SELECT commission_bps FROM travel.partners
        WHERE code = 'klook'"), 777, 'committed');
    ok(wait_for(sub { $t->sql("SELECT commission_bps FROM travel.partners
        WHERE code = 'klook'", on => 'replica') == 777 }, 15,
        'the replica to follow'), 'the replica follows again');
};

subtest 'frozen: connected, and silent' => sub {
    my $c = $t->redis('cache');
    $t->freeze('cache');
    my $said = eval {
        local $SIG{ALRM} = sub { die "silent\n" };
        alarm 1;
        $c->call('PING');
    };
    alarm 0;
    is($said, undef, 'no answer');
    $t->unfreeze('cache');
    is($t->redis('cache')->call('PING'), 'PONG', 'goes on');
};

subtest 'cut: sessions end, nobody new gets in' => sub {
    for my $part ('queue', 'postgres') {
        $t->cut($part, sessions => 1);
        ok(!eval { $part eq 'queue' ? $t->redis('queue')
            : scalar $t->sql('SELECT 1'); 1 }, "$part is cut off");
        $t->mend($part);
        ok(eval { $part eq 'queue' ? $t->redis('queue')
            : scalar $t->sql('SELECT 1'); 1 }, "$part is back") or diag($@);
    }
};

subtest 'storm' => sub {
    my $storm = Travel::Faults->storm($t, [ every => 0.4, crash => 'cache' ],
        [ after => 0.5, restart => 'queue' ]);
    wait_for(sub {
        my %n;
        $n{$_->[1]}++ for $storm->seen;
        ($n{crash} // 0) >= 2 && $n{restart};
    }, 60, 'the storm to do it all');
    my @seen = $storm->end;
    cmp_ok(scalar(grep { $_->[1] eq 'crash' } @seen), '>=', 2, 'crashes');
    is(scalar(grep { $_->[1] eq 'restart' } @seen), 1, 'one restart');
    ok(!(grep { $_->[3] =~ /^failed/ } @seen), 'none failed')
        or diag(explain(\@seen));
    is($t->redis($_)->call('PING'), 'PONG', "$_ runs") for qw(queue cache);
};

$t->finish;
done_testing();
