# Ten reloads under load.  Who asks with Connection: close sees no error at all;
# who keeps connections sees none if he repeats what was cut off before the
# first byte of its answer; and what is in shared memory stays: limit counts,
# cache entries, counters.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Faults;
use Travel::Test;

my $RELOADS = 10;
my $PAUSE   = Travel::Faults->seconds(12) / $RELOADS;

my $t = Travel::Test->start(
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(server_name _;)/$1
        add_header X-Cache \$travel_cache_status always;
        location = \/strict {
            travel_auth  required jwks=main audience=travel;
            travel_limit \$travel_user 5000r\/h name=strict;
            travel_query GET me.get;
        }/;
    });
my $JSON  = JSON::PP->new->utf8->canonical;
my @token = map { $t->user_token($_) } 0 .. 8;
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

# --- a client that knows how its connection ended ----------------------------

sub dial {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port, Timeout => 10);
}

# ('ok', status), ('cut', why) before the first byte of an answer, or
# ('bad', why).
sub exchange {
    my ($s, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $n = syswrite $s, $bytes;
    return ('cut', "write: $!") unless defined $n && $n == length $bytes;
    my ($in, $sel, $end) = ('', IO::Select->new($s), time + 20);
    while (time < $end) {
        next unless $sel->can_read(1);
        my $got = sysread $s, $in, 65536, length $in;
        if (!$got) {
            my $why = defined $got ? 'closed' : "$!";
            return ($in eq '' ? 'cut' : 'bad', $why . ': ' . substr $in, 0, 80);
        }
        my ($head) = $in =~ /^(.*?\r\n\r\n)/s or next;
        my ($want) = $head =~ /^Content-Length: (\d+)/mi;
        return ('bad', "no length: $head") unless defined $want;
        next if length($in) < length($head) + $want;
        my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
        return ('ok', $status, $head =~ /^Connection: close/mi ? 1 : 0);
    }
    return ('bad', 'no answer in 20 s');
}

sub request {
    my ($i, $n, $connection) = @_;
    my $auth = "Host: travel\r\nConnection: $connection\r\n"
        . "Authorization: Bearer $token[$n]\r\n";
    return "GET /api/v1/journeys?limit=5 HTTP/1.1\r\n$auth\r\n" if $i % 4 == 0;
    return "GET /api/v1/places?q=zur HTTP/1.1\r\n$auth\r\n"     if $i % 4 == 1;
    return "GET /api/v1/me HTTP/1.1\r\n$auth\r\n"               if $i % 4 == 2;
    my $body = $JSON->encode({ partner => 'klook', venue_id => "v-$n-$i",
        party_size => 2, booking_date => '2030-03-01T19:00:00Z' });
    return "POST /api/v1/bookings HTTP/1.1\r\n${auth}"
        . "Content-Type: application/json\r\nIdempotency-Key: k-$n-$i\r\n"
        . 'Prefer: ' . ($i % 8 == 3 ? 'wait=10' : 'respond-async') . "\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

# Until there is a file 'over'.  Prints what went wrong, then what it did.
sub client {
    my ($n, $keep, $out) = @_;
    my ($s, $fresh, %did);
    for (my $i = 0; !-e $t->dir . '/over'; $i++) {
        my $bytes = request($i, $n, $keep ? 'keep-alive' : 'close');
        for my $try (1 .. 3) {
            if (!$s) { $s = dial(); $fresh = 1 }
            if (!$s) { print $out "connect: $!\n"; last }
            my ($what, $why, $close) = exchange($s, $bytes);
            if ($what eq 'ok') {
                $did{$why}++;
                print $out "request $i: $why\n" if $why !~ /^20[012]$/;
                undef $s if !$keep || $close;
                $fresh = 0;
                last;
            }
            undef $s;
            # A kept connection may be closed while it is idle: once more.
            if ($what eq 'cut' && $keep && !$fresh) { $did{repeated}++; next }
            print $out "request $i: $what $why\n";
            last;
        }
    }
    print $out 'did ' . $JSON->encode(\%did) . "\n";
}

sub start_client {
    my ($n, $keep) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    open my $out, '>', $t->dir . "/client-$n" or POSIX::_exit(1);
    client($n, $keep, $out);
    close $out;
    POSIX::_exit(0);
}

# --- what is in the zones ----------------------------------------------------

sub strict_left {
    my $r = $t->get('/strict', token => $token[8]);
    my ($left) = ($r->{headers}{ratelimit} // '') =~ /"strict-3600";r=(\d+)/;
    return $left;
}

sub counter {
    my ($name) = @_;
    my ($v) = $t->get('/metrics')->{content} =~ /^\Q$name\E (\d+)/m;
    return $v;
}
my $ACCEPTED = 'travel_commands_total{type="journey.start",outcome="accepted"}';

for (1 .. 3) {
    my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
        destination => 'Hartford, US', theme => 'food' }, token => $token[8],
        headers => { prefer => 'wait=10' });
    is($r->{status}, 201, "journey $_") or diag($r->{content});
}
my $left = strict_left();
ok($left, 'a limit of its own') or diag(explain($t->get('/strict',
    token => $token[8])));
my $accepted = counter($ACCEPTED);
is($accepted, 3, 'a counter');

# An entry that the database would not give again: nobody is told of the change.
my $entry = '/api/v1/places?q=zurich&limit=3';
my $hit = wait_for(sub {
    my $r = $t->get($entry);
    ($r->{headers}{'x-cache'} // '') eq 'HIT' && $r;
}, 10, 'a hit') or die;
my $was = $hit->{content};
$t->sql("UPDATE travel.place SET name = 'Elsewhere', region = 'Nowhere'
    WHERE id = 2657896");
is($t->get($entry)->{content}, $was, 'a cached answer');

# --- the reloads -------------------------------------------------------------

# What nginx holds open; the workers open theirs as their slots are used.
sub held {
    my $f = $t->figures;
    my @edge = grep { /travel-edge|user=edge/ } split /\n/,
        $t->redis('queue')->call('CLIENT', 'LIST');
    return { 'file descriptors' => $f->{'nginx file descriptors'},
        'replica sessions' => $f->{'replica sessions'},
        'queue clients' => scalar @edge };
}

my $held   = held();
my @keeps  = (0, 0, 0, 1, 1, 1);
my @pids   = map { start_client($_ + 1, $keeps[$_]) } 0 .. $#keeps;
my %before = map { $_ => 1 } $t->children_of('nginx');
sleep 0.5;
for my $n (1 .. $RELOADS) {
    $t->reload;
    # Whoever answers now is of the new ones, or soon is.
    my $r = $t->get($entry, headers => { connection => 'close' });
    is($r->{content}, $was, "reload $n: the entry is there");
    $left--;
    is(strict_left(), $left, 'the limit counts on');
    sleep $PAUSE;
}
$t->write('over', '');
waitpid $_, 0 for @pids;

is(counter($ACCEPTED), $accepted, 'the counters count on');
is($t->get($entry)->{headers}{'x-cache'}, 'HIT', 'still a hit');

my $all = 0;
for my $n (1 .. @keeps) {
    my @said = split /\n/, Travel::Test::slurp($t->dir . "/client-$n");
    my ($did) = (pop @said // '') =~ /^did (.*)/;
    $did = $did ? json($did) : {};
    my $repeated = delete $did->{repeated} // 0;
    my $sum = 0;
    $sum += $_ for values %$did;
    $all += $sum;
    my $kind = $keeps[$n - 1] ? "keeps, $repeated repeated" : 'closes';
    is_deeply([@said[0 .. ($#said > 4 ? 4 : $#said)]], [],
        "client $n ($kind): $sum answers, no error");
    cmp_ok($sum, '>=', 50, 'and enough of them');
}
note("$all answers in all");

ok(wait_for(sub {
    my @now = $t->children_of('nginx');
    @now == keys %before && !grep { $before{$_} } @now;
}, 15, 'the old workers to end'), 'none of the old workers is left');

my $now;
ok(wait_for(sub {
    $now = held();
    !grep { $now->{$_} > $held->{$_} + 2 } keys %$held;
}, 10, 'what nginx holds'), 'nginx holds what it held')
    or diag(explain([$held, $now]));

# Nothing was accepted and then forgotten.
my %sent = map { $_->[0] => 1 } $t->sql('SELECT venue_id FROM travel.bookings');
ok(wait_for(sub { $t->sql("SELECT count(*) FROM travel.bookings
    WHERE status <> 'confirmed'") == 0 }, 30, 'the bookings'),
    scalar(keys %sent) . ' bookings, all confirmed');
is($t->sql('SELECT count(*) - count(DISTINCT venue_id) FROM travel.bookings'),
    0, 'none twice');

$t->finish;
done_testing;
