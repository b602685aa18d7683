# A history that cannot be read just now (Redis answers late) is no gap: who
# comes back hears all that was missed, when it can be read again.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'queue cache nginx',
    ngx_workers => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s/(travel_redis\s+cache\s+[^;]*)/$1 timeout=300ms/
            unless /travel_redis\s+cache\s+[^;]*timeout=/;
    },
);
my ($alice, $ua) = ($t->user_token(1), $t->user(1));
my $topic = "user:$ua:events";
my $c = $t->redis('cache');
my $script = $t->live_script;

sub publish {
    return $c->call('EVAL', $script, 1, "travel:live:$topic",
        qq({"type":"test","data":{"n":$_[0]}}), 256, 60000);
}

# One stays, so that the topic is known here; the other comes back.
my $stays = Travel::Socket->open($t, '/api/v1/live', token => $alice);
$stays->json({ type => 'subscribe', topic => $topic });
is($stays->next_json->{type}, 'subscribed', 'one is there');
my $cursor = publish(1);
publish($_) for 2 .. 6;
is_deeply([map { $stays->next_json->{message}{data}{n} } 1 .. 6], [1 .. 6],
    'he has all');

my $back = Travel::Socket->open($t, '/api/v1/live', token => $alice);
is($back->status, 101, 'another comes back');
$c->call('CLIENT', 'PAUSE', 2500, 'ALL');
$back->json({ type => 'subscribe', topic => $topic, cursor => $cursor });
is($back->next_json->{type}, 'subscribed', 'he is told where he stands');
is_deeply([map { my $m = $back->next_json(15);
    $m->{type} eq 'message' ? $m->{message}{data}{n} : $m->{type} } 1 .. 5],
    [2 .. 6], 'and what he missed, when Redis tells it; no gap');
publish(7);
is($back->next_json->{message}{data}{n}, 7, 'on it goes');

$t->finish;
done_testing;
