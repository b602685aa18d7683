# What a worker commits reaches who watches: the user and, of a journey, its
# watchers, each once and in order; while the cache role is away jobs go on and
# what is to be told waits.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::GraphqlSocket;
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
    ok(wait_for(sub {
        $bob->json({ type => 'presence', topic => 'system:announcements' });
        my $m = $bob->next_json;
        return $m->{type} eq 'presence' && $m->{count} == 1;
    }, 10), 'watched by one, as it is shipped');
    my ($rc, $cursor) = $ctl->('system:announcements', 'maintenance',
        '{"lat": 52.52437}');
    is($rc, 0, 'travelctl live tell') or diag $cursor;
    my $m = $bob->next_json(10);
    is($m->{message}{type}, 'maintenance', 'is heard');
    is($m->{message}{data}{lat}, 52.52437, 'with what it says');
    is("$m->{cursor}\n", $cursor, 'at its cursor');
    for (['journey:*', 'x', qr/is a pattern/], ['nowhere', 'x', qr/no topic/],
        ["job:booking.1.$id", 'x', qr/own state/],
        ['system:announcements', 'x', '[]', qr/not a JSON object/])
    {
        my ($rc, $out) = $ctl->(@$_[0 .. $#$_ - 1]);
        is($rc, 2, "live tell @$_[0 .. $#$_ - 1]: exit 2");
        like($out, $_->[-1], 'and why');
    }
}

# The user's notifications: what became of a booking, and what is sent to many.
{
    my $n = Travel::Socket->open($t, '/api/v1/live', token => $alice);
    $n->json({ type => 'subscribe', topic => "user:$ua:notifications" });
    is($n->next_json->{type}, 'subscribed', 'watching notifications');
    my $g = Travel::GraphqlSocket->open($t, token => $alice);
    $g->init;
    $g->ask('n', 'subscription { userUpdates(channel: notifications) '
        . '{ type subject subjectId } }');
    my $nobody = Travel::GraphqlSocket->open($t);
    $nobody->init;
    $nobody->ask('n', 'subscription { userUpdates(channel: events) { id } }');
    is($nobody->next_json->{type}, 'error', 'not for nobody');
    my $booking = $t->post('/api/v1/bookings', { partner => 'opentable',
        venue_id => 'v', party_size => 4,
        booking_date => '2030-03-01T19:00:00Z' }, token => $alice)->{json};
    my $w = Travel::Socket->open($t, '/api/v1/live', token => $alice);
    $w->json({ type => 'subscribe', topic => "job:$booking->{job}{id}" });
    is($w->next_json->{type}, 'subscribed', 'and the job');
    my (@job, %rank);
    @rank{qw(queued running succeeded)} = 0 .. 2;
    while (my $m = $w->next_json(15)) {
        push @job, $m->{message}{data}{status};
        last if $job[-1] eq 'succeeded';
    }
    is($job[-1], 'succeeded', 'its end is told');
    is_deeply(\@job, [sort { $rank{$a} <=> $rank{$b} } @job],
        'after all before it') or diag("@job");
    my $m = $n->next_json(15);
    is($m->{message}{type}, 'booking.confirmed', 'the booking\'s outcome');
    is($m->{message}{aggregate}{id}, $booking->{id}, '... which');
    my $first = $m->{cursor};
    is_deeply($g->next_json(15)->{payload}{data}{userUpdates}, { type =>
        'booking.confirmed', subject => 'booking', subjectId =>
        $booking->{id} }, '... as a GraphQL subscription');

    my $batch = $t->sql("SELECT jobs.notify('email', 'booking_reminder',
        ARRAY['$ua', '" . $t->user(2) . "']::uuid[], '{\"venue_name\": \"V\"}')");
    $m = $n->next_json(15);
    is_deeply([@{ $m->{message} }{qw(type id data)}], ['notification.made',
        $batch, { template => 'booking_reminder',
        data => { venue_name => 'V' } }], 'a mail to many');
    my $late = Travel::Socket->open($t, '/api/v1/live', token => $alice);
    $late->json({ type => 'subscribe', topic => "user:$ua:notifications",
        cursor => $first });
    is($late->next_json->{type}, 'subscribed', 'who was away');
    is($late->next_json->{message}{id}, $batch, '... hears the rest');
    while (my $m = $s->next_json(5)) {
        last if $m->{message}{type} eq 'booking.confirmed';
    }
    1 while $s->next(1);
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
