# How many sockets and streams a user, an address, may have on a node; tokens
# refreshed on a socket of topics; how many watch a topic; more topics than the
# nginx workers' shared zone has room for.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Events;
use Travel::GraphqlSocket;
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'queue cache nginx',
    ngx_workers => 3,
    allow_5xx   => 1,
    allow_log   => qr/exited on signal 9/,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s{(include\s+\S+/conf/travel/routes/\*\.conf;)}{
            location = /live {
                travel_auth optional jwks=main audience=travel leeway=0s;
                travel_live topics per_user=3 presence=on; }
            location = /here {
                travel_auth optional jwks=main audience=travel;
                travel_live_allow journey all;
                travel_live topics per_address=4 topics=200; }
            location = /talk {
                travel_auth optional jwks=main audience=travel;
                travel_live graphql endpoint=/api/graphql per_user=3; }};
        s/(travel_zone\s+cache[^;]*;)/$1\n    travel_zone relay 64k;/;
    },
);
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my ($ua, $ub) = map { $t->user($_) } 1, 2;

sub live { Travel::Socket->open($t, '/live', token => $_[0]) }

subtest 'of a user' => sub {
    my @s = map { live($alice) } 1 .. 2;
    is_deeply([map { $_->status } @s], [101, 101], 'two');
    my $e = Travel::Events->open($t, '/live?topic=system:announcements',
        token => $alice);
    is($e->status, 200, 'a stream counts, too');
    is(live($alice)->status, 429, 'the fourth') for 1 .. 3;
    is($t->get('/live?topic=system:announcements', token => $alice)->{status},
        429, 'a poll is one more');
    my $talk = Travel::GraphqlSocket->open($t, token => undef, path => '/talk');
    $talk->json({ type => 'connection_init', payload => { authToken =>
        $alice } });
    is(scalar $talk->closed, 1013, 'by a token that comes later, too');
    is(live($bob)->status, 101, 'another user');
    is(live(undef)->status, 101, 'nobody');
    $e->close;
    ok(wait_for(sub { live($alice)->status == 101 }, 10),
        'a seat that is left is free');
    $_->close for @s;
};

subtest 'a worker that dies takes no seats with it' => sub {
    my $full = sub { my @s; while (1) { my $s = live($bob);
        last if $s->status != 101; push @s, $s } return @s };
    my @s;
    ok(wait_for(sub { @s = (); push @s, $full->(); @s == 3 }, 10), 'three');
    kill KILL => $_ for $t->children_of('nginx');
    ok(wait_for(sub { my $s = eval { live($bob) };
        $s && ($s->status // 0) == 101 }, 15), 'they are free again');
};

subtest 'of an address' => sub {
    my @s = map { Travel::Socket->open($t, '/here', token =>
        $t->user_token(10 + $_)) } 1 .. 4;
    is_deeply([map { $_->status } @s], [(101) x 4], 'four');
    is(Travel::Socket->open($t, '/here')->status, 429, 'the fifth');
    is(Travel::Socket->open($t, '/here', socket => { LocalAddr =>
        '127.0.0.2' })->status, 101, 'another address');
    is($s[0]->closed(1), undef, 'those who are there stay');
};

subtest 'a token is refreshed' => sub {
    my $short = $t->token(sub => $ua, ttl => '6s');
    my $s = live($short);
    $s->json({ type => 'auth', token => $_ }) for 'x.y.z';
    is_deeply($s->next_json->{ok}, JSON::PP::false(), 'one that is none');
    $s->json({ type => 'auth', token => $bob });
    is_deeply($s->next_json->{ok}, JSON::PP::false(), 'another user\'s');
    $s->json({ type => 'auth', token => $_ }) for "a\r\nb", '';
    is($s->next_json->{code}, 'VALIDATION_ERROR', 'no token') for 1, 2;
    $s->json({ type => 'auth', token => $alice });
    my $m = $s->next_json;
    ok($m->{ok}, 'a new one');
    cmp_ok($m->{expires}, '>', time + 60, 'until when');
    ok(!$s->next(7), 'the first has expired meanwhile');
    $s->json({ type => 'ping' });
    is($s->next_json->{type}, 'pong', 'and it goes on');
};

subtest 'presence' => sub {
    my $topic = 'system:announcements';
    my @s = map { live($t->user_token(20 + $_)) } 1 .. 6;
    $_->json({ type => 'subscribe', topic => $topic }) for @s;
    $_->next_json for @s;
    my $count = sub { $s[0]->json({ type => 'presence', topic => $topic });
        my $m; 1 while ($m = $s[0]->next_json) && $m->{type} ne 'presence';
        return $m->{count} };
    ok(wait_for(sub { $count->() == 6 }, 10), 'six, over all nginx workers');
    $_->close for @s[1 .. 3];
    ok(wait_for(sub { $count->() == 3 }, 10), 'three have left');
    $s[0]->json({ type => 'presence', topic => "user:$ub:events" });
    is($s[0]->next_json->{code}, 'AUTHORIZATION_ERROR', 'a stranger\'s');
    $s[0]->json({ type => 'presence', topic => 'x' });
    is($s[0]->next_json->{code}, 'RESOURCE_NOT_FOUND', 'no topic');
    my $here = Travel::Socket->open($t, '/here', socket => { LocalAddr =>
        '127.0.0.3' });
    $here->json({ type => 'presence', topic => $topic });
    is($here->next_json->{code}, 'RESOURCE_NOT_FOUND', 'where it is not told');
    $_->close for @s;
};

subtest 'more topics than there is room for' => sub {
    my @topic = map { sprintf 'journey:01890000-0000-7000-8000-%012x', $_ }
        1 .. 600;
    my (@s, %of);
    for my $i (0 .. 3) {
        push @s, my $s = Travel::Socket->open($t, '/here', token =>
            $t->user_token(30 + $i), socket => { LocalAddr => '127.0.0.4' });
        my @its = @topic[$i * 150 .. $i * 150 + 149];
        $s->json({ type => 'resume', cursors => { map { $_ => undef } @its } });
        my %said = map { my $m = $s->next_json(20); $m->{type} => 1 } @its;
        is_deeply([keys %said], ['subscribed'], '150 topics');
        $of{$_} = $s for @its;
    }
    ok(wait_for(sub { slurp($t->dir . '/logs/error.log') =~
        /subscribes to live topics on its own: no memory in travel_zone/ },
        10), 'the zone is full: so says the log, and what to do');
    my ($c, $script) = ($t->redis('cache'), $t->live_script);
    my @some = @topic[map { 20 * $_ } 0 .. 29];
    $c->call('EVAL', $script, 1, "travel:live:$_", '{"type":"x"}', 10, 60000)
        for @some;
    is_deeply([map { my $m = $of{$_}->next_json; $m->{topic} } @some], \@some,
        'and all is heard');
};

$t->finish;
done_testing;
