# Dead letters in an operator's hands, by HTTP and by travelctl: listed, shown,
# requeued (one, a filter, all, at a rate) exactly once under the old id, dropped,
# expired by their queue's retention.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;
use Travel::Socket;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(parts => 'postgres queue cache nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' }, conf => <<'END');
queues = { "maintenance", "account" }
type "maintenance.noop" { retries = 1 base = 20ms cap = 50ms timeout = 20s }
queue "maintenance" { retention = 2h }
END
my ($t, $r) = ($p->t, $p->r);
my @op = (token => $t->token(sub => $t->user(0),
    permissions => 'dead:read dead:write'));
my @reader = (token => $t->token(sub => $t->user(0),
    permissions => 'dead:read'));
$p->until_owned;

sub ctl { return $p->ctl('dead', @_) }

# So many jobs, dead and on record; they would do well from a moment on.
sub dead_ones {
    my ($n, %o) = @_;
    my $body = $o{body} // { fail_before => int(time * 1000) + 700 };
    my @ids = map { $p->enqueue(partition => 1, %o, body => $body) } 1 .. $n;
    $p->until_over($_) for @ids;
    is($p->census(@ids)->{dead}, $n, "$n dead");
    wait_for(sub { rows(@ids) == $n }, 10, 'rows');
    sleep 0.8 unless $o{body};
    return @ids;
}

sub rows {
    return $t->sql('SELECT count(*) FROM jobs.dead WHERE job_id IN ('
        . join(',', map { "'$_'" } @_) . ')');
}

sub letters { return $r->call('XLEN', 'travel:{maintenance.1}:dead') }

subtest 'seen' => sub {
    my $key = $p->new_uuid;
    my ($id) = dead_ones(1, key => $key, body => { fail_until => 9 },
        tp => '00-' . 'c3' x 16 . '-' . 'd4' x 8 . '-01');
    my $list = json($t->get('/api/v1/dead?type=maintenance.noop', @reader)
        ->{content});
    is(scalar @{ $list->{items} }, 1, 'one in the list');
    my $e = $list->{items}[0];
    is_deeply([@$e{qw(job queue type key attempts cause trace_id)}],
        [$id, 'maintenance', 'maintenance.noop', $key, 2,
        'DEPENDENCY_UNAVAILABLE', 'c3' x 16], 'what it was');
    like($e->{first_error}{message}, qr/attempt 1/, 'the first error');
    like($e->{last_error}{message}, qr/attempt 2/, 'the last');
    ok($e->{requeueable}, 'fit to be run');
    is_deeply(json($t->get('/api/v1/dead?cause=X', @reader)->{content}),
        { items => [], next_cursor => undef }, 'none of another cause');
    my $one = json($t->get("/api/v1/dead/$id", @reader)->{content});
    is($one->{body}{fail_until}, 9, 'shown with its body');
    is($t->get('/api/v1/dead/maintenance.1.' . $p->new_uuid, @reader)
        ->{status}, 404, 'one that is not dead');
    my ($rc, $out) = ctl('list', '--cause', 'DEPENDENCY_UNAVAILABLE');
    is($rc, 0, 'travelctl lists it');
    like($out, qr/\Q$id\E/, 'by its id');
    is((ctl('list', '--queue', 'booking'))[0], 1, 'none of another queue');
    is((ctl('drop', $id))[0], 0, 'dropped');
    wait_for(sub { letters() == 0 }, 10, 'the letter to be gone');
    is($p->status($id), 'dead', 'it stays dead');
    is((ctl('drop', $id))[0], 1, 'once');
};

subtest 'who may' => sub {
    is($t->get('/api/v1/dead')->{status}, 401, 'nobody unknown');
    is($t->get('/api/v1/dead', token => $t->user_token(1))->{status}, 403,
        'nobody without the permission');
    is($t->post('/api/v1/dead/requeue', { all => JSON::PP::true }, @reader)
        ->{status}, 403, 'who reads may not write');
    is($t->post('/api/v1/dead/drop', {}, @op)->{status}, 422,
        'without a filter nothing');
    is($t->post('/api/v1/dead/requeue', { job => 'maintenance.1.x' }, @op)
        ->{status}, 404, 'one that is not dead');
    is((ctl('requeue'))[0], 2, 'travelctl asks which');
};

subtest 'requeued, one, by HTTP' => sub {
    my ($id) = dead_ones(1);
    my $old = $p->job($id);
    my $x = $t->post("/api/v1/dead/$id/requeue", {}, @op);
    is($x->{status}, 201, 'at once') or diag $x->{content};
    is(json($x->{content})->{requeued}, 1, 'one');
    is(rows($id), 0, 'the row is gone with it');
    $p->until_status($id, 'succeeded');
    my $job = $p->job($id);
    is($job->{attempts}, 1, 'its attempts began anew');
    is($job->{created_at}, $old->{created_at}, 'it is the same job');
    is($job->{error}, undef, 'without its old error');
    is($p->noted($id), 2, 'it was over twice');
    $p->over_since(7300, $id);
    wait_for(sub { !$r->call('EXISTS', $p->hash_key($id)) }, 20,
        'kept as long as its queue says');
    wait_for(sub { letters() == 0 }, 10, 'the letter to be gone');
};

subtest 'once, whatever the relay does' => sub {
    my ($id) = dead_ones(1, body => { fail_until => 9 }, sub => $t->user(1));
    my $s = Travel::Socket->open($t, '/api/v1/live',
        token => $t->user_token(1));
    $s->json({ type => 'subscribe', topic => "job:$id" });
    is($s->next_json->{type}, 'subscribed', 'its caller watches');
    my $until = sub {
        my ($status, @seen) = @_;
        while (my $m = $s->next_json(10)) {
            push @seen, $m->{message}{data}{status} // next;
            return 1 if $seen[-1] eq $status;
        }
        diag "seen: @seen";
        return 0;
    };
    ok(wait_for(sub { $r->call('HEXISTS', 'travel:{maintenance.1}:watch',
        $id =~ /([^.]+)$/) }, 10), 'and is to be told of what becomes of it');
    is((ctl('requeue', $id))[0], 0, 'requeued');
    wait_for(sub { 4 == $p->ran($p->job($id)->{key}) }, 10, 'two more runs');
    ok($until->('retrying'), 'who watches hears it at once: it lives');
    wait_for(sub { rows($id) }, 10, 'dead again');
    is_deeply([$t->sql("SELECT e.type, e.data->>'code' = d.cause, e.user_id
        FROM events.event AS e JOIN jobs.dead AS d ON d.job_id =
        e.data->>'job' WHERE e.stream_type = 'system' AND d.job_id = '$id'")],
        [(['system.error', 't', $t->user(1)]) x 2], 'each death is an event');
    ok($until->('dead'), 'and that it died');
    $t->sql("UPDATE jobs.outbox SET sent_at = NULL WHERE kind = 'requeue'");
    wait_for(sub { !$t->sql("SELECT count(*) FROM jobs.outbox WHERE
        sent_at IS NULL") }, 10, 'the relay to repeat itself');
    sleep 0.3;
    is(scalar($p->ran($p->job($id)->{key})), 4, 'not run again');
    is($p->status($id), 'dead', 'dead as before');
    is((ctl('requeue', $id))[0], 0, 'requeued once more');
    ok($until->('retrying'), 'who watched it die hears that, too');
    wait_for(sub { rows($id) }, 10, 'dead for good');
    $s->close;
    is((ctl('drop', '--all'))[0], 0, 'put aside');
    $p->over_since(7300, $id);
    wait_for(sub { !$r->call('EXISTS', $p->hash_key($id)) }, 20,
        'its hash to go');
    is($r->call('HEXISTS', 'travel:{maintenance.1}:watch', $id =~ /([^.]+)$/),
        0, 'and with it who watched');
};

subtest 'as it was enqueued, but for deadline and waiter' => sub {
    my %e = (type => 'maintenance.unheard', tp => '00-' . 'e5' x 16 . '-'
        . 'f6' x 8 . '-01', email => 'a\@b.c', sealed => 'card');
    my ($id) = dead_ones(1, %e, deadline => 9e12, reply => 'travel:reply:x',
        body => { card => 'x' });
    my $first = json(scalar $t->sql("SELECT envelope FROM jobs.dead WHERE
        job_id = '$id'"));
    is((ctl('requeue', '--type', $e{type}))[0], 0, 'requeued');
    wait_for(sub { rows($id) }, 10, 'dead again: nobody knows it');
    my $again = json(scalar $t->sql("SELECT envelope FROM jobs.dead WHERE
        job_id = '$id'"));
    delete $first->{$_} for qw(deadline reply);
    delete $_->{died_at} for $first, $again;
    is_deeply($again, $first, 'the same letter');
    is($again->{sealed}, 'card', 'with what is sealed');
    is((ctl('drop', $id))[0], 0, 'put aside');
};

subtest 'a filter, in the order of death' => sub {
    my $key = $p->new_uuid;
    my @ids = dead_ones(3, key => $key);
    my @died = map { (split /\./, $_->[0])[2] } $t->sql('SELECT job_id FROM
        jobs.dead ORDER BY died_at, job_id');
    my ($other) = dead_ones(1, body => { fail_until => 9 }, partition => 2);
    my $until = $t->sql("SELECT travel.rfc3339(died_at) FROM jobs.dead WHERE
        job_id = '$other'");
    my $x = $t->post('/api/v1/dead/requeue', { before => $until,
        type => 'maintenance.noop' }, @op);
    is(json($x->{content})->{requeued}, 3, 'those before') or diag $x->{content};
    $p->until_status($_, 'succeeded') for @ids;
    my @again = map { (split /\./)[2] } grep { $_ } ($p->ran($key))[-3 .. -1];
    is_deeply(\@again, \@died, 'one after the other');
    is(rows($other), 1, 'not the one after');
    is((ctl('drop', $other))[0], 0, 'put aside');
};

subtest 'all, at a rate' => sub {
    my @ids = dead_ones(5);
    my ($rc, $out) = ctl('requeue', '--all', '--rate', 2);
    is($rc, 0, 'requeued');
    like($out, qr/^5 requeued$/m, 'five');
    $p->until_status($_, 'succeeded') for @ids;
    my @at = sort { $a <=> $b } map { $p->job($_)->{updated_at} } @ids;
    cmp_ok($at[-1] - $at[0], '>=', 600, 'spread over two seconds');
    @ids = dead_ones(3);
    my $x = $t->post('/api/v1/dead/requeue', { all => JSON::PP::true,
        rate => 2 }, @op);
    is(json($x->{content})->{requeued}, 3, 'by HTTP') or diag $x->{content};
    $p->until_status($_, 'succeeded') for @ids;
    my @due = reverse map { $_->[0] } $t->sql("SELECT payload->>'not_before'
        FROM jobs.outbox WHERE kind = 'requeue' ORDER BY id DESC LIMIT 3");
    is_deeply([map { $_ - $due[0] } @due], [0, 500, 1000],
        'at a rate as well');
    @ids = dead_ones(2, body => { fail_until => 9 });
    $x = $t->post('/api/v1/dead/drop', { type => 'maintenance.noop' }, @op);
    is(json($x->{content})->{dropped}, 2, 'or dropped, by a filter')
        or diag $x->{content};
};

subtest 'a letter that names another partition' => sub {
    my $uuid = $p->new_uuid;
    $r->call('XADD', 'travel:{maintenance.3}:normal', '*',
        id => "account.0.$uuid", type => 'dead.drop', v => 1,
        sub => $t->user(1), key => $uuid, ts => 1, body => '{"all":true}');
    wait_for(sub { rows("account.0.$uuid") }, 10, 'the letter');
    my ($rc, $out) = ctl('requeue', '--all');
    is($rc, 1, 'is not requeued');
    like($out, qr/^0 requeued, 1 cannot be run again$/m, 'and told');
    ok(!json($t->get("/api/v1/dead/account.0.$uuid", @reader)->{content})
        ->{requeueable}, 'nor looks fit');
    is($t->delete("/api/v1/dead/account.0.$uuid", @op)->{status}, 201,
        'dropped by HTTP');
    is(rows("account.0.$uuid"), 0, 'gone');
};

subtest 'retention' => sub {
    my @ids = dead_ones(2, body => { fail_until => 9 });
    $t->sql("UPDATE jobs.dead SET died_at = now() - interval '121 minutes'
        WHERE job_id = '$ids[0]'");
    my $expire = $p->enqueue(type => 'maintenance.expire');
    $p->until_over($expire);
    is(json($p->job($expire)->{result})->{dead}, 1, 'one was past its time');
    is(rows(@ids), 1, 'one was not');
};

$p->finish;
done_testing;
