# Queues and types that operators pause: nothing new starts, what runs ends, what
# waits is kept in its order and takes no memory from others; it outlives
# restarts; and nothing is run twice by it.
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
processes = 2
type "maintenance.drill" { retries = 1 }
END
my $t = $p->t;
$p->until_owned;
# by both processes, so that what runs fills the slots of both
wait_for(sub { $p->t->sql("SELECT count(*) FROM (SELECT FROM jobs.partition
    WHERE queue = 'maintenance' AND expires_at > now()
    GROUP BY split_part(owner, '#', 1) HAVING count(*) = 2) AS s") == 2 }, 20,
    'each process to have its half');

sub ctl {
    my ($verb, @args) = @_;
    return $p->ctl('queue', $verb, @args);
}

sub said { slurp($t->dir . '/logs/worker.log') }

# Both processes have heard of it: each says so of each type, once a change.
my %heard;
sub change {
    my ($verb, $name, @more) = @_;
    my $like = $verb eq 'pause' ? qr/"maintenance\.noop: paused/
                                : qr/"maintenance\.noop: goes on/;
    is((ctl($verb, $name, @more))[0], 0, "$verb $name");
    $heard{$verb} += 2;
    wait_for(sub { $heard{$verb} <= (() = said() =~ /$like/g) }, 5,
        'both processes to hear of it');
}

sub once {
    my ($name, @ids) = @_;
    my %n;
    $n{$_}++ for said() =~ /"msg":"succeeded.*?"job":"(.*?)"/g;
    is_deeply([grep { $n{$_} != 1 } @ids], [], $name);
}

subtest 'a queue' => sub {
    my @run = map { $p->enqueue(partition => $_ % 4,
        body => { sleep_ms => 3000 }) } 1 .. 8;    # all slots, for long enough
    $p->until_status($_, 'running') for @run;
    my @wait = $p->preload(3000);
    change('pause', 'maintenance', '--reason', 'a try');
    my $before = $p->census(@wait)->{queued};
    cmp_ok($before, '>', 0, 'some had not begun');
    my $key = $p->new_uuid;
    push @wait, map { $p->enqueue(key => $key, partition => 2) } 1 .. 5;
    my $late = $p->delay(100);
    my $off = $p->enqueue(partition => 3, deadline => int(time * 1000) + 50);
    $p->until_over($_) for @run;
    is($p->census(@run)->{succeeded}, 8, 'what ran has ended');
    sleep 0.3;
    is($p->census(@wait)->{queued}, $before + 5, 'nothing else was started');
    is($p->status($late), 'queued', 'nor what has become due');
    my ($rc, $out) = ctl('paused', '--json');
    is_deeply([$rc, @{ json($out) }{qw(kind name reason)}],
        [0, 'queue', 'maintenance', 'a try'], 'it is told why');
    is((ctl('pause', 'maintenance'))[1], "maintenance was paused already\n",
        'once is enough');
    change('resume', 'maintenance');
    $p->until_empty(30);
    is($p->census(@wait)->{succeeded}, 3005, 'all went on');
    once('each was run once', @run, @wait, $late);
    is_deeply([$p->ran($key)], [@wait[-5 .. -1]], 'in their order');
    is($p->status($off), 'failed', 'the deadline had gone on');
    is((ctl('paused'))[0], 1, 'nothing is paused');
    is((ctl('resume', 'maintenance'))[0], 1, 'or can be resumed');
};

subtest 'a type among others' => sub {
    my $key = $p->new_uuid;
    change('pause', 'maintenance.noop');
    is((ctl('preload', '--type', 'maintenance.noop', '--count', 10000))[0], 0,
        'more than memory holds');
    my $first = $p->enqueue(partition => 1, key => $key);
    my @drill = $p->preload(500, type => 'maintenance.drill');
    my $second = $p->enqueue(partition => 1, key => $key,
        type => 'maintenance.drill');
    my $late = $p->delay(100);
    wait_for(sub { ($p->census(@drill)->{succeeded} // 0) == 500 }, 20,
        'the others, behind more than memory holds');
    is($p->left, 10003, 'the paused ones wait');
    is($p->status($second), 'queued', 'and with them who shares a key');
    is((ctl('pause', 'dead.drop'))[0], 1, 'what operators steer by never is');
    my ($score) = $p->r->call('ZSCORE', 'travel:{maintenance.0}:delayed',
        $late =~ s/.*\.//r);
    cmp_ok($score, '>', 1e12, 'what is due is put off, and in no hand');
    change('resume', 'maintenance.noop');
    $p->until_empty(60);
    once('each was run once', @drill, $first, $second, $late);
    is_deeply([$p->ran($key)], [$first, $second], 'in their order');
};

subtest 'it outlives restarts' => sub {
    change('pause', 'maintenance.noop');
    my @ids = $p->preload(50);
    is($p->stop_workers, 0, 'the pool ends');
    $t->restart_part('queue');
    $p->{r} = $t->redis('queue');
    $p->start_workers;
    $heard{pause} += 2;
    $p->until_owned;
    my $drill = $p->enqueue(type => 'maintenance.drill');
    $p->until_over($drill);
    is($p->census(@ids)->{queued}, 50, 'still paused, from the first on');
    is((ctl('resume', 'maintenance.noop'))[0], 0, 'resumed');
    $p->until_empty;
    is($p->census(@ids)->{succeeded}, 50, 'all ran');
};

subtest 'said wrongly' => sub {
    for (['pause', 'nothing', 1, qr/no queue "nothing": travelctl queue stat/],
        ['pause', 'no.such', 1, qr/no job type "no\.such"/],
        ['resume', 'booking', 1, qr/"booking" is not paused/])
    {
        my ($verb, $name, $want, $like) = @$_;
        my ($rc, $out, $err) = ctl($verb, $name);
        is($rc, $want, "$verb $name");
        like($err // $out, $like, 'and what to do');
    }
};

$p->finish;
done_testing;
