# Three nginx nodes on one pair of Redis, two replicas that lag in turn: who
# writes on one node and reads on another, with the answer's token, never reads
# what was before; what was announced is gone from every node at once, and no
# node goes back in time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Crowd;
use Travel::Faults;
use Travel::Node;
use Travel::Test;

my $SECONDS = Travel::Faults->seconds(25);
my $PAIRS   = $ENV{TRAVEL_PAIRS} || 1e9;       # in all, or until the time is over
my $WRITERS = 6;
my $MAX_LAG = 2;

my $t = Travel::Test->start(
    parts => [qw(postgres replica replica2 queue cache sandbox smtp workers nginx)],
    ngx_workers => 1,
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(travel_postgres replica )(.*?)max_lag=5s;/
          my ($what, $rest) = ($1, $2);
          my $second = $rest =~ s{\@PG_REPLICA_SOCKET\@}{\@RUN\@\/pg-replica2}r;
          "$what${rest}max_lag=${MAX_LAG}s;\n    "
          . "$what${second}max_lag=${MAX_LAG}s;"/se;
        s/^\s*travel_otlp.*\n//m;
    });
my @node = ($t, map { Travel::Node->start($t) } 2, 3);
for my $n (@node) {
    wait_for(sub { $n->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
        'a node is ready');
}

my $crowd = Travel::Crowd->new($t);
my @token = map { $t->user_token($_, ttl => '12h') } 0 .. $WRITERS;
my $J     = '/api/v1/journeys';

sub elsewhere { my ($i) = @_; return ($i + 1 + int rand(@node - 1)) % @node }

# Writes on one node and reads on the others, by the token alone.  One of four
# writes is not waited for: its token is its job.
sub writer {
    my ($n, $http, $out) = @_;
    my $ask = sub { $crowd->ask($http, @_) };
    my ($pairs, $longest) = (0, 0);
    my $end = time + $SECONDS;
    for (my $i = 1; time < $end && $pairs < $PAIRS / $WRITERS; $i++) {
        my $at = int rand @node;
        my ($w, $j) = $ask->('POST', $node[$at]->url . $J, $token[$n],
            { origin => 'Boston, US', destination => 'Hartford, US',
              theme => 'food' },
            prefer => $i % 4 ? 'wait=10' : 'respond-async');
        if ($w->{status} !~ /^20[12]$/) {
            print $out "write $i: $w->{status} $w->{content}\n";
            next;
        }
        my @proof = ('travel-consistency' => $w->{headers}{'travel-consistency'});
        for my $path ("$J/$j->{id}", $w->{status} == 201 ? "$J?limit=5" : ()) {
            my $to = elsewhere($at);
            my $start = time;
            my ($r, $got) = $ask->('GET', $node[$to]->url . $path, $token[$n],
                undef, @proof);
            my $seen = $got->{items} ? $got->{items}[0]{id} : $got->{id};
            print $out "pair $i, node $at to $to: $path $r->{status} has "
                . ($seen // $r->{content}) . ", not $j->{id}\n"
                if ($seen // '') ne $j->{id};
            $longest = time - $start if $longest < time - $start;
            $pairs++;
        }
    }
    printf $out "done %d pairs, longest %.3f\n", $pairs, $longest;
}

# Reads on one node what the changer writes, without any token.
sub reader {
    my ($n, $http, $out) = @_;
    until ($crowd->over) {
        my $start = time;
        my ($r, $me) = $crowd->ask($http, 'GET', $node[$n]->url . '/api/v1/me',
            $token[0]);
        if ($r->{status} != 200) {
            print $out "failed $r->{status} $r->{content}\n";
        } elsif (($me->{name} // '') =~ /^no (\d+)$/) {
            printf $out "%.6f %d\n", $start, $1;
        }
        sleep 0.05;
    }
}

# Commits, then announces as a worker does; prints when each was done.
sub changer {
    my ($http, $out) = @_;
    my $q = $t->redis('queue', 'worker');
    my $timeline = $t->sql('SELECT timeline FROM travel.heartbeat');
    my $user = $t->user(0);
    for (my $n = 1; !$crowd->over; $n++) {
        $t->sql("UPDATE travel.users SET name = 'no $n' WHERE id = '$user'");
        my $lsn = $t->sql('SELECT pg_current_wal_flush_lsn()',
            role => 'postgres');
        $q->call('XADD', 'travel:inval', '*', 'tags', "user:$user",
            'timeline', $timeline, 'lsn', $lsn);
        printf $out "%d %.6f\n", $n, time;
        sleep 0.2;
    }
}

for my $n (1 .. $WRITERS) {
    $crowd->add("writer-$n", sub { writer($n, @_) });
}
$crowd->add("reader-$_", do { my $n = $_; sub { reader($n, @_) } }) for 0 .. 2;
$crowd->add('changer', \&changer);

# One replica or the other stands still, within max_lag and beyond.
my $stretches = 0;
while ($crowd->running > 4) {
    my $which = ('replica', 'replica2')[$stretches % 2];
    my @on = (on => $which, role => 'postgres');
    $t->sql('SELECT pg_wal_replay_pause()', @on);
    sleep((0.3, 0.8, 1.6, 3)[$stretches++ / 2 % 4]);
    $t->sql('SELECT pg_wal_replay_resume()', @on);
    sleep 0.3;
}
$crowd->end;

my $pairs = 0;
for my $n (1 .. $WRITERS) {
    my @said = $crowd->said("writer-$n");
    my ($did, $longest) = (pop @said // '') =~ /^done (\d+) pairs, longest (\S+)/;
    ok($did, "writer $n: " . ($did // 0) . ' pairs');
    $pairs += $did // 0;
    is_deeply([splice @said, 0, 10], [], 'none older than its write');
    cmp_ok($longest // 99, '<', 5, 'nor long in coming');
}
cmp_ok($pairs, '>=', 500, "$pairs pairs in all");
cmp_ok($stretches, '>=', 5, "replicas stood still $stretches times");

my @announced;
for ($crowd->said('changer')) {
    $announced[$1] = $2 if /^(\d+) (\S+)$/;
}
cmp_ok(scalar @announced, '>=', 20, 'changes');
for my $n (0 .. $#node) {
    my ($last, $reads, $late, @bad) = (0, 0, 0);
    for ($crowd->said("reader-$n")) {
        if (!/^(\d+\.\d+) (\d+)$/) { push @bad, $_; next }
        my ($at, $seen) = ($1, $2);
        push @bad, "$seen after $last" if $seen < $last;
        $last = $seen;
        $reads++;
        my $since = $announced[$seen + 1] // $at;
        $late = $at - $since if $late < $at - $since;
    }
    cmp_ok($reads, '>=', 50, "node $n: $reads reads");
    is_deeply(\@bad, [], 'none failed, none went back');
    cmp_ok($late, '<', 0.5, sprintf 'what was announced was served for %.3f s',
        $late);
}

$t->finish;
done_testing;
