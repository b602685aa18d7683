# Where no command is taken nginx has no reply channel: a job's topic is looked
# at in short turns.  The table of watchers was asked to take nobody's name, and
# said that it is in it, so that the turns were long.
use strict;
use warnings;
use Test::More;
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->new(parts => 'queue cache nginx', ngx_workers => 1,
    http => <<'END');
    travel_redis queue @QUEUE@ user=edge
        password_file=@KEYS@/redis-edge.password;
    travel_redis cache @CACHE@ user=edge
        password_file=@KEYS@/redis-edge.password;
    travel_jwks  main file=@RUN@/jwks.json issuer=https://travel.local ours;
    server {
        listen 127.0.0.1:@PORT@;
        location = /health { return 200; }
        location = /api/v1/live {
            travel_auth required jwks=main audience=travel;
            travel_live topics; }
    }
END
$t->launch;

my $q = $t->redis('queue');
my $uuid = '01890000-0000-7000-8000-0000000000aa';
my $hash = "travel:{booking.1}:job:$uuid";
$q->call('HSET', $hash, status => 'queued', sub => $t->user(1),
    type => 'booking.create', created_at => 1, updated_at => 1);

my $s = Travel::Socket->open($t, '/api/v1/live', token => $t->user_token(1));
$s->json({ type => 'subscribe', topic => "job:booking.1.$uuid" });
is($s->next_json->{type}, 'subscribed', 'a job is watched');
is($s->next_json->{message}{type}, 'job.queued', 'how it is');
$q->call('HSET', $hash, status => 'running', updated_at => 2);
is($s->next_json(15)->{message}{type}, 'job.running', 'what becomes of it');
unlike($q->call('INFO', 'commandstats'), qr/cmdstat_eval/,
    'nobody is asked to tell');

$t->finish;
done_testing;
