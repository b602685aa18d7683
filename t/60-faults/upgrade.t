# A new binary takes over (USR2, then QUIT to the old master) while clients
# read and write: no request is lost, nothing accepted is forgotten, limits
# count in zones that start empty, a token that was taken back is never good
# again, who watches a topic comes back by his cursor and has missed nothing,
# and what the old master held is gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Client;
use Travel::Crowd;
use Travel::Faults;
use Travel::Socket;
use Travel::Test;

my $UPGRADES = 2;
my $PAUSE    = Travel::Faults->seconds(8) / $UPGRADES;

my $t = Travel::Test->start(
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(server_name _;)/$1
        location = \/strict {
            travel_auth  required jwks=main audience=travel;
            travel_limit \$travel_user 50r\/h name=strict;
            travel_query GET me.get;
        }/;
        # an upgrade hands down only what it is told to
        s/^(events \{)/env LD_PRELOAD;\nenv ASAN_OPTIONS;\nenv UBSAN_OPTIONS;\n$1/m;
    });
my $JSON  = JSON::PP->new->utf8->canonical;
my @token = map { $t->user_token($_) } 0 .. 6;
my $revoked = $t->user_token(9);
my $crowd = Travel::Crowd->new($t);
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

sub request {
    my ($i, $n, $connection) = @_;
    my $head = "Host: travel\r\nConnection: $connection\r\n"
        . "Authorization: Bearer $token[$n]\r\n";
    return "GET /api/v1/bookings?limit=5 HTTP/1.1\r\n$head\r\n" if $i % 10;
    my $body = $JSON->encode({ partner => 'klook', venue_id => "v-$n-$i",
        party_size => 2, booking_date => '2030-03-01T19:00:00Z' });
    return "POST /api/v1/bookings HTTP/1.1\r\n${head}"
        . "Content-Type: application/json\r\nPrefer: respond-async\r\n"
        . "Idempotency-Key: k-$n-$i\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

sub client {
    my ($n, $keep, $out) = @_;
    my $c = Travel::Client->new($t, keep => $keep);
    my ($done, $accepted) = (0, 0);
    for (my $i = 0; !$crowd->over; $i++) {
        my ($status, $why) = $c->send(request($i, $n,
            $keep ? 'keep-alive' : 'close'));
        $done++;
        $accepted++ if $status == 202;
        print $out "request $i: ", $status || $why, "\n"
            if $status !~ /^20[02]$/;
        sleep 0.01;
    }
    print $out "did $done $accepted ", $c->repeated, "\n";
}

# With a token that was taken back: never anything but 401.
sub outcast {
    my (undef, $out) = @_;
    my $c = Travel::Client->new($t);
    my $asked = 0;
    for (; !$crowd->over; $asked++) {
        my ($status, $why) = $c->send("GET /api/v1/me HTTP/1.1\r\nHost: travel"
            . "\r\nConnection: close\r\nAuthorization: Bearer $revoked\r\n\r\n");
        print $out 'answered ', $status || $why, "\n" if $status ne '401';
        sleep 0.005;
    }
    print $out "did $asked\n";
}

# Says one thing after the other, and for a while after it is over.
my $TOPIC = 'system:announcements';
sub speaker {
    my (undef, $out) = @_;
    my ($c, $n, $script) = ($t->redis('cache'), 0, $t->live_script);
    while (!$crowd->over) {
        $c->call('EVAL', $script, 1, "travel:live:$TOPIC", sprintf(
            '{"type":"test","n":%d}', ++$n), 100_000, 60000);
        sleep 0.02;
    }
    $c->call('EVAL', $script, 1, "travel:live:$TOPIC",
        '{"type":"test","n":0}', 100_000, 60000);
    print $out "did $n\n";
}

# Hears all of it, at whichever nginx: comes back when he is sent away.
sub watcher {
    my ($n, $out) = @_;
    my ($last, $came, $cursor) = (0, 0);
    my $end;
    while (!$end || time < $end) {
        $end //= time + 20 if $crowd->over;
        my $s = Travel::Socket->open($t, '/api/v1/live', token => $token[$n]);
        if (($s->status // 0) != 101) { sleep 0.05; next }
        $came++;
        $s->json({ type => 'subscribe', topic => $TOPIC,
            $cursor ? (cursor => $cursor) : () });
        while (my $m = $s->next_json(5)) {
            last if $m->{close};
            $cursor = $m->{cursor} if $m->{cursor};
            print $out "a gap\n" if $m->{type} eq 'gap';
            next if $m->{type} ne 'message';
            my $k = $m->{message}{n};
            if ($k == 0) { print $out "did $last $came\n"; return }
            print $out "$k after $last\n" if $last && $k != $last + 1;
            $last = $k;
        }
    }
    print $out "did $last $came, and did not hear the end\n";
}

# The pid of the master that the pid file names.
sub master { $t->pid_of('nginx') }

sub alive { return -d "/proc/$_[0]"
    && slurp("/proc/$_[0]/status") !~ /^State:\s+Z/m }

sub upgrade {
    my $old = master();
    my @old = ($old, $t->children_of('nginx'));
    kill 'USR2', $old;
    my $new = wait_for(sub { my $p = master(); $p && $p != $old && $p }, 15,
        'a new master') or return;
    wait_for(sub { $t->children_of('nginx') }, 15, 'its workers');
    sleep 0.5;                         # both serve
    kill 'QUIT', $old;
    ok(wait_for(sub { !grep { alive($_) } @old }, 20, 'the old ones to end'),
        "$old gave way to $new");
}

my $strict = sub { return $t->get('/strict', token => $token[0],
    headers => { connection => 'close' })->{headers}{ratelimit} // '' };
like($strict->(), qr/"strict-3600";r=49/, 'a limit');

is($t->get('/api/v1/me', token => $revoked)->{status}, 200, 'a token is good');
my ($rc, $out) = $t->ctl('token', 'revoke', '--user',
    $t->user(9), '--config', $t->dir . '/workers.conf');
is($rc, 0, 'and is taken back') or diag($out);
wait_for(sub { $t->get('/api/v1/me', token => $revoked)->{status} == 401 }, 5,
    'it to be refused');

my @keeps = (0, 0, 0, 1, 1, 1);
for my $n (1 .. @keeps) {
    $crowd->add("client-$n", sub { client($n, $keeps[$n - 1], $_[1]) });
}
$crowd->add('outcast', \&outcast);
for my $n (1, 2) {
    $crowd->add("watcher-$n", sub { watcher($n, $_[1]) });
}
$crowd->add('speaker', \&speaker);
for (1 .. $UPGRADES) {
    sleep $PAUSE / 2;
    upgrade();
    like($strict->(), qr/"strict-3600";r=49/, 'limits count, from zero');
    sleep $PAUSE / 2;
}
$crowd->end;

my @outcast = $crowd->said('outcast');
like(pop @outcast // '', qr/^did \d{2,}$/, 'the outcast went on asking');
is_deeply([splice @outcast, 0, 5], [], 'and was refused each time');

my ($spoke) = ($crowd->said('speaker'))[-1] =~ /^did (\d+)$/;
for my $n (1, 2) {
    my @said = $crowd->said("watcher-$n");
    my ($did, $came) = (pop @said // '') =~ /^did (\d+) (\d+)$/;
    is_deeply([splice @said, 0, 5], [], "watcher $n came " . ($came // 0)
        . ' times, and nothing was lost or told twice');
    is($did, $spoke, 'to the end');
    cmp_ok($came // 0, '>', $UPGRADES, 'sent away by each upgrade');
}

my $accepted = 0;
for my $n (1 .. @keeps) {
    my @said = $crowd->said("client-$n");
    my ($did, $took, $repeated) = (pop @said // '') =~ /^did (\d+) (\d+) (\d+)/;
    is_deeply([splice @said, 0, 5], [], "client $n: " . ($did // 0)
        . ' requests, none lost, ' . ($repeated // 0) . ' repeated');
    cmp_ok($did // 0, '>=', 50, 'and enough of them');
    $accepted += $took // 0;
}
ok(wait_for(sub { $t->sql("SELECT count(*) FROM travel.bookings
    WHERE status = 'confirmed'") == $accepted }, 30, 'the bookings'),
    "$accepted accepted, as many confirmed");

$t->finish;
done_testing;
