# Payloads and results of workers that are too large for Redis rest in the
# database: read by the handler, by whoever asks for the job, by travelctl.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(parts => 'postgres queue cache nginx',
    conf => "claim_check = 2k\nprocesses = 2\n");
my $t = $p->t;
my $r = $p->r;
my @me = (token => $t->user_token(1));
$p->until_owned;

sub claims { return $t->sql('SELECT count(*) FROM jobs.claim' . ($_[0]
    ? " WHERE what = '$_[0]'" : '')) }

sub told { my ($rc, $out) = $p->ctl('jobs', 'status', $_[0]);
    is($rc, 0, 'travelctl tells'); return json($out) }

# A follow-up job as a transaction leaves it in the outbox.
sub follow {
    my ($body) = @_;
    my $id = 'maintenance.1.' . $p->new_uuid(1);
    my $key = $p->new_uuid;
    $t->sql("INSERT INTO jobs.outbox (queue, partition, kind, aggregate,
        payload) VALUES ('maintenance', 1, 'job', '$key', '{\"id\":\"$id\",
        \"type\":\"maintenance.noop\",\"sub\":\"" . $t->user(1) . "\",
        \"key\":\"$key\",\"priority\":\"normal\",\"not_before\":0,
        \"bucket\":1,\"body\":$body}')");
    wait_for(sub { !$t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at IS
        NULL') }, 10, 'the outbox to be empty');
    return $id;
}

subtest 'results' => sub {
    my ($small, $large) = map { $p->enqueue(body => { result_kb => $_ }) } 1, 300;
    $p->until_over($_) for $small, $large;
    ok($p->job($small)->{result}, 'a small one is in the hash');
    my $job = $p->job($large);
    is($job->{status}, 'succeeded', 'a large one');
    is($job->{result}, undef, 'is not');
    is($job->{claim}, 1, 'which says so');
    is(claims('result'), 1, 'it is in the database');
    my $pad = 'x' x (300 << 10);
    my $a = $t->get("/api/v1/jobs/$large", @me);
    is($a->{status}, 200, 'by HTTP');
    is($a->{json}{result}{pad}, $pad, 'all of it');
    is($t->get("/api/v1/jobs/$small", @me)->{json}{result}{pad}, 'x' x 1024,
        'as a small one is');
    is($t->get("/api/v1/jobs/$large", token => $t->user_token(2))->{status},
        404, 'not for others');
    is(told($large)->{result}{pad}, $pad, '... the whole');
    is(told($small)->{result}{pad}, 'x' x 1024, '... as ever');
};

subtest 'who waits gets it, too' => sub {
    my $id = $p->enqueue(body => { result_kb => 4, sleep_ms => 700 });
    my $a = $t->get("/api/v1/jobs/$id", @me,
        headers => { prefer => 'wait=10' });
    is(length $a->{json}{result}{pad}, 4096, 'a long poll') or diag $a->{content};
};

subtest 'payloads' => sub {
    my $n = 100_000;
    my $pad = 'p' x $n;
    my $id = follow(qq({"wants":$n,"pad":"$pad"}));
    $p->until_over($id);
    is($p->status($id), 'succeeded', 'the handler sees it');
    is(claims('body'), 1, 'it was in the database');
    # one that waits shows what Redis holds
    my $held = follow(qq({"wants":$n,"pad":"$pad","fail_until":2,"retry_ms":1500}));
    $p->until_status($held, 'retrying');
    cmp_ok(length $p->job($held)->{entry}, '<', 1000, 'not in Redis');
    $p->until_over($held, 15);
    is($p->status($held), 'succeeded', 'not even for its retry');
    $id = follow(qq({"wants":1,"pad":"$pad"}));
    $p->until_over($id);
    is($p->status($id), 'failed', 'a handler that wants another is heard');
};

subtest 'a dead one is requeued with it' => sub {
    my $n = 50_000;
    my $pad = 'd' x $n;
    my $id = follow(qq({"wants":$n,"pad":"$pad","fail_until":6}));
    $p->until_status($id, 'dead', 20);
    wait_for(sub { $t->sql('SELECT count(*) FROM jobs.dead') }, 10, 'the letter');
    is($t->sql("SELECT length(body->>'pad') FROM jobs.dead"), $n,
        'its letter has the payload');
    $t->sql("UPDATE jobs.claim SET expires_at = now() - interval '1 day'");
    $t->sql('SELECT jobs.expire_claims(1000)', role => 'travel_worker');
    is(claims('body'), 1, 'which outlives its time as long as the letter does');
    my $runs = () = $p->ran;
    is(($p->ctl('dead', 'requeue', $id))[0], 0, 'requeued');
    $p->until_status($id, 'dead|succeeded', 20);
    wait_for(sub { (() = $p->ran) > $runs }, 10, 'it to run');
    $p->until_status($id, 'dead', 20);
    like($p->job($id)->{error}, qr/attempt 4 fails/, 'it came as far as before');
};

subtest 'lost' => sub {
    my ($gone, $hset, $xadd) = $p->commands(partition => 1);
    splice @$xadd, 3, 0, claim => 1;
    $r->call(@$_) for $hset, $xadd;
    $p->until_over($gone);
    is($p->status($gone), 'dead', 'a payload that is not there');
    like($p->job($gone)->{error}, qr/MALFORMED/, 'is told so');
};

subtest 'kept as long as it may be asked for' => sub {
    $t->sql("UPDATE jobs.claim SET expires_at = now() - interval '1 day'
        WHERE what = 'result'");
    $t->sql('TRUNCATE jobs.dead');
    my ($rc) = $p->ctl('queue', 'preload', '--type', 'maintenance.expire',
        '--count', 1);
    is($rc, 0, 'the clean-up');
    ok(wait_for(sub { claims('result') == 0 }, 15, 'it'), 'takes what is past its time');
};

$p->finish;
done_testing;
