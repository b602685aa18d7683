# A client that hangs up before its command is looked at leaves nothing behind.
# When request and end arrive together, nginx sees the end while it reads the
# body: the command is refused inside nginx's own handler, which then went on
# with a request that was freed already.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(ngx_workers => 1,
    parts => 'postgres queue cache nginx',
    env   => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit  => sub {
        s{(location / )}{location = /command {
            travel_auth    required jwks=main audience=travel;
            travel_command POST booking.create;
        }
        $1};
    });
my $token = $t->user_token(0);
my $body  = '{"partner":"opentable","venue_id":"rest_456",'
    . '"booking_date":"2030-03-01T19:00:00Z","party_size":4}';

sub request {
    my ($json) = @_;
    return "POST /command HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $token\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($json) . "\r\n\r\n$json";
}

sub jobs {
    return scalar
        @{ $t->redis('queue')->call('KEYS', 'travel:{booking.*}:job:*') };
}

# The partitions are known from here on, and the queue is there.
wait_for(sub {
    $t->request('POST', '/command', body => $body, token => $token,
        allow_5xx => 1)->{status} == 202;
}, 20, 'a first command');
my $first = jobs();
my ($worker) = $t->children_of('nginx');

for my $case ([ 'a good command', $body ], [ 'a bad one', '{"partner":1}' ],
    [ 'no JSON', '{' ]) {
    my ($name, $json) = @$case;
    $t->freeze('nginx');
    $t->raw(request($json), hang_up => 1) for 1 .. 20;
    $t->unfreeze('nginx');
    is($t->get('/health')->{status}, 200, "$name: nginx goes on");
    is(($t->children_of('nginx'))[0], $worker, "$name: the same nginx worker");
}
is(jobs(), $first, 'nothing was accepted');

# Who hangs up while the queue is asked: the command is in, and counted.
sub outcome {
    my ($n) = $t->get('/metrics')->{content} =~ /travel_commands_total\{type=
        "booking\.create",outcome="$_[0]"\}\ (\d+)/x;
    return $n;
}
my $accepted = outcome('accepted');
for my $key (undef, 'hang-up-1') {
    my $unheard = outcome('unheard');
    my $name = $key ? 'with an Idempotency-Key' : 'plain';
    my $text = request($body);
    $text =~ s/\r\n\r\n/\r\nIdempotency-Key: $key\r\n\r\n/ if $key;
    $t->freeze('queue');
    $t->raw($text, timeout => 0.5);      # no answer: it goes
    $t->get('/health');                  # nginx has seen both
    $t->unfreeze('queue');
    wait_for(sub { outcome('unheard') == $unheard + 1 }, 10, "$name: unheard");
}
is(outcome('accepted'), $accepted, 'and not as accepted');
is(jobs(), $first + 2, 'both are in');

$t->finish;
done_testing;
