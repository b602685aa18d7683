# What a worker commits reaches who watches: the user and, of a journey, its
# watchers, each once and in order; while the cache role is away jobs go on and
# what is to be told waits.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache sandbox smtp workers nginx',
    ngx_workers => 1,
    allow_5xx => 1,
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
);
my $alice = $t->user_token(1);
my $ua = $t->user(1);
wait_for(sub { $t->get('/ready')->{status} == 200 }, 10, 'ready');

my $s = Travel::Socket->open($t, '/api/v1/live', token => $alice);
my $bob = Travel::Socket->open($t, '/api/v1/live', token => $t->user_token(2));
$s->json({ type => 'subscribe', topic => "user:$ua:events" });
is($s->next_json->{type}, 'subscribed', 'watching');
$bob->json({ type => 'subscribe', topic => 'user:' . $t->user(2) . ':events' });
is($bob->next_json->{type}, 'subscribed', 'somebody else too');

sub journey {
    my $r = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
        destination => 'Paris, FR', theme => 'history', @_ }, token => $alice,
        headers => { prefer => 'wait=10' });
    return $r->{json}{id};
}

my $id = journey();
ok($id, 'a journey begins');
my $m = $s->next_json(15);
is($m->{message}{type}, 'journey.started', 'its user hears');
is($m->{message}{aggregate}{id}, $id, '... which');
is($m->{message}{id}, "$id/1", '... the event\'s own number');
ok(!$bob->next(0.3), 'nobody else does');

is($t->redis('cache')->call('XLEN', "travel:live:journey:$id"), 1,
    'it is in the journey\'s history');
like($t->redis('cache')->call('XRANGE', "travel:live:journey:$id", '-', '+')
    ->[0][1][1], qr/"lat": 52\.52437,/, 'numbers are as they were written');

{
    my $ctl = sub { $t->run(Travel::Test::build() . '/travelctl', 'live', 'tell',
        @_) };
    $bob->json({ type => 'subscribe', topic => 'system:announcements' });
    is($bob->next_json->{type}, 'subscribed', 'announcements');
    my ($rc, $cursor) = $ctl->('system:announcements', 'maintenance',
        '{"lat": 52.52437}');
    is($rc, 0, 'travelctl live tell') or diag $cursor;
    my $m = $bob->next_json(10);
    is($m->{message}{type}, 'maintenance', 'is heard');
    is($m->{message}{data}{lat}, 52.52437, 'with what it says');
    is("$m->{cursor}\n", $cursor, 'at its cursor');
    for (['journey:*', 'x', qr/is a pattern/], ['nowhere', 'x', qr/no topic/],
        ['system:announcements', 'x', '[]', qr/not a JSON object/])
    {
        my ($rc, $out) = $ctl->(@$_[0 .. $#$_ - 1]);
        is($rc, 2, "live tell @$_[0 .. $#$_ - 1]: exit 2");
        like($out, $_->[-1], 'and why');
    }
}

$t->kill_part('cache');
my $second = journey();
ok($second, 'without the cache role jobs go on');
$t->start_part('cache');
my @got;
while (my $m = $s->next_json(10)) {
    push @got, $m->{type} eq 'message' ? $m->{message}{aggregate}{id} // ''
        : $m->{type};
    last if $got[-1] eq $second;
}
is($got[-1], $second, 'and what happened is told when it is back');
is_deeply([grep { $_ eq 'gap' } @got], ['gap'], 'after the gap');

$t->finish;
done_testing;
