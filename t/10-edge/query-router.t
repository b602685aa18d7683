# Which server answers: replica first, never one that is behind, the primary
# when none is fit, replicas alone when there is no primary; and nobody reads
# before their own write.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $CONF = <<'END';
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_postgres replica "host=@PG_REPLICA_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2 max_lag=3s slow_start=0;
    travel_catalog  @RUN@/catalog;
    travel_consistency_key @KEYS@/consistency.key;

    server {
        listen 127.0.0.1:@PORT@;
        add_header X-Server $travel_server always;
        location = /health { return 200; }
        location = /bps { travel_query GET t.bps; }
        location = /sleep { travel_query GET t.sleep; }
    }
END

my $t = Travel::Test->new(parts => 'postgres replica nginx', http => $CONF,
    ngx_workers => 1);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.bps.sql', "-- \@public\n-- \@returns one\n"
    . "SELECT commission_bps::text FROM travel.partners WHERE code = 'klook'");
$t->write('catalog/queries/t.sleep.sql', "-- \@public\n-- \@returns one\n"
    . "-- \@param s number 0..5\n"
    . "SELECT json_build_object('slept', pg_sleep(:s)::text)::text");
$t->launch;

sub get { $t->get($_[0] // '/bps', allow_5xx => 1, @_ ? @_[1 .. $#_] : ()) }
sub server { get()->{headers}{'x-server'} // '' }
sub set { $t->sql("UPDATE travel.partners SET commission_bps = $_[0]
    WHERE code = 'klook'") }
sub super { my ($q, $on) = @_;
    $t->sql($q, role => 'postgres', on => $on // 'postgres') }

# What a worker does four times a second.
sub beat { $t->sql('UPDATE travel.heartbeat SET seq = seq + 1, at = now(),
    timeline = ' . ($_[0] // 1)) }

sub token {
    my ($timeline, $lsn, $key) = @_;
    my ($hi, $lo) = map { hex } split m{/}, $lsn;
    my $body = pack 'CNNNQ>N', 1, $timeline, $hi, $lo, 0, 0;
    $key //= slurp($t->dir . '/keys/consistency.key') =~ s/\s+\z//r;
    return encode_base64url($body . substr hmac_sha256($body, $key), 0, 12);
}

sub goes_to {
    my ($want, $what, $seconds) = @_;
    ok(wait_for(sub { server() eq $want }, $seconds // 5, "$what: $want"), $what);
}

subtest 'replica first' => sub {
    goes_to('replica-1', 'the replica serves');
    my %seen;
    $seen{server()}++ for 1 .. 50;
    is_deeply(\%seen, { 'replica-1' => 50 }, 'all of it');
};

subtest 'a replica that lags' => sub {
    super('SELECT pg_wal_replay_pause()', 'replica');
    set(777);
    my $lsn = super('SELECT pg_current_wal_flush_lsn()');
    my $r = get();
    is($r->{headers}{'x-server'}, 'replica-1', 'within max_lag it still serves');
    is($r->{content}, '1000', 'what it has');
    $r = get('/bps', headers => { 'travel-consistency' => token(1, $lsn) });
    is($r->{headers}{'x-server'}, 'primary', 'but not to the one who wrote');
    is($r->{content}, '777', 'who reads the write');
    $r = get('/bps', headers => { 'travel-consistency' =>
        token(1, $lsn, 'x' x 64) });
    is($r->{content}, '777', 'nor to a token that another key signed');
    $r = get('/bps', headers => { 'travel-consistency' => token(1, '0/1') });
    is($r->{headers}{'x-server'}, 'replica-1', 'an old token is no hindrance');
    my $end = time + 5;
    while (time < $end) { beat(); sleep 0.1 }
    is(server(), 'primary', 'behind by more than max_lag: the primary');
    is(get()->{content}, '777', 'with the truth');
    super('SELECT pg_wal_replay_resume()', 'replica');
    beat();
    goes_to('replica-1', 'caught up: the replica again');
    is(get()->{content}, '777', 'with the truth as well');
};

subtest 'an idle primary' => sub {
    # no heartbeat, no writes: a replica that has everything does not lag
    my $end = time + 4;
    my %seen;
    while (time < $end) { $seen{server()}++; sleep 0.05 }
    is_deeply([keys %seen], ['replica-1'], 'the replica goes on serving');
};

subtest 'a replica that dies' => sub {
    my $pid = fork // die;
    if (!$pid) {
        my $bad = 0;
        my $h = HTTP::Tiny->new(timeout => 10);
        for (1 .. 300) {
            $bad++ if $h->get($t->url . '/bps')->{status} != 200;
            sleep 0.005;
        }
        POSIX::_exit($bad > 250 ? 250 : $bad);
    }
    sleep 0.3;
    $t->kill_part('replica');
    waitpid $pid, 0;
    is($? >> 8, 0, 'no client noticed');
    is(server(), 'primary', 'the primary serves');
    $t->start_part('replica');
    goes_to('replica-1', 'it comes back', 15);
};

subtest 'a query under way when its server dies' => sub {
    my ($r, $pid) = ('', 0);
    my $replica = $t->pid_of('replica');
    pipe my $in, my $out or die;
    $pid = fork // die;
    if (!$pid) {
        my $a = HTTP::Tiny->new(timeout => 10)->get($t->url . '/sleep?s=1');
        syswrite $out, "$a->{status} $a->{headers}{'x-server'}";
        POSIX::_exit(0);
    }
    close $out;
    sleep 0.4;
    kill 'KILL', $replica;              # at once: no script is quick enough
    waitpid $pid, 0;
    wait_for(sub { !$t->pid_of('replica') }, 15, 'its end');
    sysread $in, $r, 100;
    is($r, '200 primary', 'asked once more elsewhere');
    $t->start_part('replica');
    goes_to('replica-1', 'back again', 15);
};

subtest 'no primary' => sub {
    $t->stop_part('postgres');
    goes_to('replica-1', 'reads go on', 15);
    ok(wait_for(sub { (get()->{headers}{'travel-consistency'} // '')
        eq 'unverified' }, 15, 'unverified'), 'and say that they are unverified');
    is(get()->{content}, '777', 'with what is there');
    my $r = get('/bps', headers => { 'travel-consistency' =>
        token(1, 'F/0') });
    is($r->{headers}{'travel-consistency'}, 'unverified',
        'to a writer too, who is told');
    $t->start_part('postgres');
    ok(wait_for(sub { !get()->{headers}{'travel-consistency'} }, 15,
        'the primary'), 'until it is back');
};

subtest 'no server at all' => sub {
    $t->stop_part('replica');
    $t->stop_part('postgres');
    ok(wait_for(sub { get()->{status} == 503 }, 5, 'a 503'), 'refused');
    my $start = time;
    my $r = get();
    cmp_ok(time - $start, '<', 0.5, 'told at once');
    is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'the code');
    is($r->{headers}{'retry-after'}, 1, 'and when to come back');
    # a worker that is born into this
    $t->reload;
    $start = time;
    is(get()->{status}, 503, 'a new worker says so too');
    cmp_ok(time - $start, '<', 5, 'after a moment for the first probe');
    $t->start_part('postgres');
    $t->start_part('replica');
    goes_to('replica-1', 'all back', 20);
};

subtest 'a new primary' => sub {
    $t->stop_part('postgres');
    super('SELECT pg_promote()', 'replica');
    wait_for(sub { super('SELECT pg_is_in_recovery()', 'replica') eq 'f' }, 10,
        'promotion');
    ok(wait_for(sub { my $r = get(); $r->{status} == 200
        && !$r->{headers}{'travel-consistency'} }, 5, 'verified'),
        'the promoted one is the primary');
    $t->sql("UPDATE travel.partners SET commission_bps = 888
        WHERE code = 'klook'", on => 'replica', role => 'postgres');
    is(get()->{content}, '888', 'and has what was written since');
    # the old one comes back with what it thinks
    $t->start_part('postgres');
    my %seen;
    my $end = time + 3;
    while (time < $end) { $seen{get()->{content}}++; sleep 0.05 }
    is_deeply([keys %seen], ['888'], 'the old primary is not believed');
};

$t->finish;
done_testing();
