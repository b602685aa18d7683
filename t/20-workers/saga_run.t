# Sagas as tables: a crash goes on at the right step, what was done is undone
# in reverse order, one that is stuck is seen and steered.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 2
slots     = 2
queues    = { "maintenance", "booking" }
type "saga.drill_undo" { retries = 1 base = 50ms cap = 100ms timeout = 5s }
partner opentable { url = "http://127.0.0.1:9" timeout = 1s }
schedule "pending" { cron = "0 0 30 2 *" type = "booking.check_pending"
                     body = "{\"older\": \"1 second\"}" }
END
my ($t, $r) = ($p->t, $p->r);
$p->until_owned;

sub worker { return $t->sql($_[0], role => 'travel_worker') }

sub ctl {
    my ($rc, $out) = $p->ctl(@_);
    chomp $out;
    return wantarray ? ($rc, $out) : $out;
}

# Starts a drill; the saga's id.
sub drill {
    my (%body) = @_;
    my ($rc, $out) = ctl('queue', 'preload', '--type', 'saga.drill', '--count',
        1, '--body', JSON::PP::encode_json(\%body));
    is($rc, 0, 'begun') or diag $out;
    return wait_for(sub { worker("SELECT id FROM jobs.saga_run
        WHERE name = 'drill' ORDER BY created_at DESC, id DESC LIMIT 1") }, 10,
        'the saga');
}

sub state { return scalar worker("SELECT state FROM jobs.saga_run
    WHERE id = '$_[0]'") // '' }

sub until_state {
    my ($id, $want) = @_;
    return wait_for(sub { state($id) eq $want }, 15, "$want, not " . state($id));
}

sub steps {
    my ($id) = @_;
    return join ' ', map { $_->[0] } worker("SELECT step FROM jobs.inbox
        WHERE job_id = '$id' ORDER BY created_at, step");
}

# What was undone, by whichever jobs, in order.
sub undone {
    return join ' ', map { $_->[0] =~ s/undo //r } worker("SELECT step FROM
        jobs.inbox WHERE step LIKE 'undo %' ORDER BY created_at, step");
}

sub forget { $t->sql("DELETE FROM jobs.inbox; DELETE FROM jobs.saga_run") }

subtest 'forwards' => sub {
    my $id = drill();
    until_state($id, 'done');
    is(steps($id), 'a b c', 'in order');
    is(scalar worker("SELECT string_agg(result->>'steps before', ' '
        ORDER BY step) FROM jobs.inbox WHERE job_id = '$id'"), '0 1 2',
        'each with the results of those before');
    is((ctl('saga', 'list'))[0], 1, 'nothing is open');
    like(scalar ctl('saga', 'list', '--state', 'done'),
        qr/^$id  drill +done +\S+Z  a=done b=done c=done/, 'what is over');
    forget();
};

subtest 'the process dies at a step' => sub {
    my ($rc, $out) = ctl('queue', 'preload', '--type', 'saga.drill', '--count',
        1, '--body', '{"crash": "b"}');
    my $id = wait_for(sub { worker("SELECT job_id FROM jobs.inbox
        WHERE step = 'a'") }, 10, 'step a');
    wait_for(sub { $p->log_lines(qr/^process \d was killed by signal 6/) }, 15,
        'the crash');
    wait_for(sub { worker("SELECT error FROM jobs.saga_run
        WHERE id = '$id'") || state($id) eq 'undone'
        || state($id) eq 'undoing' }, 30, 'it is given up');
    until_state($id, 'undone');
    is(steps($id), 'a fail', 'a was done once, b never');
    is(undone(), 'a', 'and a undone');
    $p->until_owned;
    forget();
};

subtest 'backwards' => sub {
    my $id = drill(fail => 'c');
    until_state($id, 'undone');
    is(steps($id), 'a b fail', 'two steps, then refused');
    is(undone(), 'b a', 'undone last first');
    my $row = json(scalar ctl('saga', 'show', $id));
    is($row->{error}{message}, 'drill: c', 'why');
    is_deeply([map { $_->{step} } @{ $row->{steps} }], [qw(a b fail)],
        'saga show');
    is((ctl('saga', 'compensate', $id))[0], 1, 'nothing to compensate');
    is((ctl('saga', 'resume', $id))[0], 1, 'nothing to resume');
    forget();
};

subtest 'stuck, and steered' => sub {
    my $id = drill(fail => 'c', fail_undo => 'undo a');
    until_state($id, 'stuck');
    is(undone(), 'b', 'one of two is undone');
    like(scalar ctl('saga', 'list', '--state', 'stuck'),
        qr/^$id  drill +stuck .*drill: undo a$/, 'it is seen');
    is((ctl('saga', 'resume', $id))[0], 1, 'it does not go forwards');
    is((ctl('saga', 'compensate', $id))[0], 0, 'tried again');
    wait_for(sub { worker("SELECT count(*) FROM jobs.inbox WHERE step =
        'stuck'") == 2 }, 15, 'the second try');
    $t->sql("UPDATE jobs.saga_run SET undo = undo - 'fail' WHERE id = '$id'");
    my ($rc, $job) = ctl('saga', 'compensate', $id);
    is($rc, 0, 'once more, the cause removed');
    until_state($id, 'undone');
    is(undone() =~ s/b //gr, 'a', 'now it is');
    my $open = drill(fail => 'c', fail_undo => 'undo b');
    until_state($open, 'stuck');
    is((ctl('saga', 'close', $open))[0], 0, 'closed by hand');
    is((ctl('saga', 'close', $open))[0], 1, 'once');
    is((ctl('saga', 'list'))[0], 1, 'nothing is open');
    is((ctl('saga', 'show', $t->user(9)))[0], 1, 'no such saga');
    forget();
};

# One that a crash, say, has left in a state, as saga list shows it.
sub left {
    my ($name, $type, $state, $undo) = @_;
    my $id = $p->new_uuid;
    $t->sql("INSERT INTO jobs.saga_run (id, name, job_id, type, sub, key, body,
        state, undo) VALUES ('$id', '$name', 'ai.0.$id', '$type',
        '${\ $t->user(1)}', '$id', '{}', '$state', " . ($undo // 'NULL') . ')');
    return $id;
}

subtest 'those of other flows' => sub {
    my $id = left('persona', 'persona.generate', 'stuck',
        "'{\"saga\": \"x\"}'");
    my ($rc, $job) = ctl('saga', 'compensate', $id);
    is($rc, 0, 'a persona is compensated') or diag $job;
    like((ctl('jobs', 'status', $job =~ s/\s+\z//r))[1],
        qr/"type": "persona.discard"/, 'by its own job');
    $id = left('itinerary', 'itinerary.generate', 'running');
    is((ctl('saga', 'compensate', $id))[0], 0, 'an itinerary is turned round');
    $id = left('itinerary', 'itinerary.generate', 'undone');
    ($rc, my $out) = ctl('saga', 'compensate', $id);
    is($rc, 1, 'one that is over is not');
    like($out, qr/is undone, there is nothing to undo/, 'and why');
    forget();
};

subtest 'what is no saga' => sub {
    for (['show', 'x'], ['resume', 'x'], ['compensate', 'x'], ['close', 'x'],
        ['list', '--state', 'lost'])
    {
        my ($rc, $out) = ctl('saga', @$_);
        is($rc, 2, "saga @$_: exit 2");
        like($out, qr/is a UUID|running, undoing, stuck/, 'and what to write');
    }
};

# A saga whose own job is lost after its first step.
sub lost {
    my ($type, $queue, $body, $sub) = @_;
    my $uuid = $p->new_uuid;
    worker("INSERT INTO jobs.saga_run (id, name, job_id, type, sub, key, body,
        updated_at) VALUES ('$uuid', '" . ($type =~ /booking/ ? 'booking'
        : 'drill') . "', '$queue.0.$uuid', '$type', '$sub', '$uuid', '"
        . JSON::PP::encode_json($body) . "', now() - interval '1 hour')");
    worker("INSERT INTO jobs.inbox (job_id, step, result) VALUES ('$uuid', 'a',
        '{}')") if $type =~ /drill/;
    return $uuid;
}

subtest 'taken up where it was' => sub {
    my $id = lost('saga.drill', 'maintenance', {}, $t->user(1));
    my ($rc, $job) = ctl('saga', 'resume', $id);
    is($rc, 0, 'resume');
    until_state($id, 'done');
    is(steps($id), 'a b c', 'the steps that were left');
    $p->until_over($job);
    is($p->status($job), 'succeeded', 'by a job of its own');

    my $turned = lost('saga.drill', 'maintenance', {}, $t->user(1));
    is((ctl('saga', 'compensate', $turned))[0], 0, 'compensate');
    until_state($turned, 'undone');
    is(steps($turned), 'a fail', 'turned round');
    like(undone(), qr/^a$/, 'and undone');

    my $busy = lost('saga.drill', 'maintenance', {}, $t->user(1));
    $r->call('HSET', "travel:{maintenance.0}:job:$busy", 'status', 'retrying');
    ($rc, $job) = ctl('saga', 'resume', $busy);
    $p->until_over($job);
    is($p->status($job), 'failed', 'not while its own job is under way');
    forget();
};

subtest 'pending bookings are looked after' => sub {
    my $uuid = lost('booking.create', 'booking', { partner => 'opentable',
        venue_id => 'v', party_size => 2,
        booking_date => '2020-01-01T00:00:00Z' }, $t->user(2));
    my $fresh = lost('booking.create', 'booking', {}, $t->user(2));
    worker("UPDATE jobs.saga_run SET updated_at = now() + interval '1 min'
        WHERE id = '$fresh'");
    my ($rc, $job) = ctl('schedule', 'run', 'pending');
    $p->until_over($job);
    is($p->job($job)->{result}, '{"resumed":1}', 'one was left alone too long');
    until_state($uuid, 'undone');
    is(scalar worker("SELECT error->>'message' FROM jobs.saga_run
        WHERE id = '$uuid'"), 'booking_date lies in the past', 'it was run');
    is(state($fresh), 'running', 'the fresh one was not');
    ($rc, $job) = ctl('schedule', 'run', 'pending');
    $p->until_over($job);
    is($p->job($job)->{result}, '{"resumed":0}', 'not at each look');
};

is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
