# Jobs by the clock: what was missed, one leader and the next, one job per fire
# time, and what the shipped schedules do.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use POSIX ();
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

# Half an hour from now, so that no fire time is near while the test runs.
my $minute = ((gmtime(time + 1800))[1]);
my $p = Travel::Pool->start(stopped => 1, conf => <<"END");
processes = 2
slots     = 2
schedule "none"  { cron = "$minute * * * *" type = "maintenance.noop"
                   catch_up = "skip" }
schedule "last"  { cron = "$minute * * * *" type = "maintenance.noop"
                   catch_up = "once" body = "{\\"sleep_ms\\": 1}" }
schedule "every" { cron = "$minute * * * *" type = "maintenance.noop"
                   catch_up = "all" timezone = "Europe/Berlin" }
schedule "rests" { cron = "$minute * * * *" type = "maintenance.noop"
                   catch_up = "all" }
schedule "new"   { cron = "* * 29 2 *" type = "maintenance.noop" }
schedule "expiry"     { cron = "0 0 30 2 *" type = "maintenance.expire" }
schedule "partitions" { cron = "0 0 30 2 *" type = "maintenance.partitions" }
schedule "archival"   { cron = "0 0 30 2 *" type = "maintenance.archive" }
schedule "snapshots"  { cron = "0 0 30 2 *" type = "maintenance.snapshots" }
schedule "routes"     { cron = "0 0 30 2 *" type = "maintenance.project" }
schedule "reminders"  { cron = "0 0 30 2 *" type = "booking.remind" }
END
my ($t, $r) = ($p->t, $p->r);

sub worker { return $t->sql($_[0], role => 'travel_worker') }

sub ctl { return $p->ctl('schedule', @_) }

sub fired {
    my ($name) = @_;
    return scalar worker("SELECT fired FROM jobs.schedule WHERE name = '$name'");
}


sub done { my %seen; $seen{$_}++ for $p->ran; return scalar keys %seen }
sub runs { my @all = $p->ran; return scalar @all }

worker("INSERT INTO jobs.schedule (name, cron, timezone, type, catch_up,
    last_fire, paused) SELECT n, '-', '-', '-', '-', now() - interval '3 h'
    - interval '5 min', n = 'rests' FROM unnest(ARRAY['none', 'last', 'every',
    'rests']) AS n");
$p->start_workers;
$p->until_owned;
wait_for(sub { fired('every') == 3 }, 15, 'what was missed');

subtest 'what was missed goes by its policy' => sub {
    is(fired('every'), 3, 'all');
    is(fired('last'), 1, 'once');
    is(fired('none'), 0, 'skip');
    is(scalar worker("SELECT skipped FROM jobs.schedule WHERE name = 'none'"),
        1, 'and that is on record');
    is(fired('rests'), 0, 'a paused one rests');
    is(fired('new'), 0, 'a new one begins now');
    wait_for(sub { done() == 4 }, 10, 'four jobs');
    my $job = worker("SELECT last_job FROM jobs.schedule WHERE name = 'last'");
    $p->until_over($job);
    my $body = json($p->job($job)->{body} // '{}');
    is($p->status($job), 'succeeded', 'the job ran');
    like($job, qr/^maintenance\.\d\.[0-9a-f]{8}-[0-9a-f]{4}-8/, 'a UUIDv8');
    like(scalar worker("SELECT last_fire FROM jobs.schedule
        WHERE name = 'last'"), qr/:\Q@{[sprintf '%02d', $minute]}\E:00/,
        'the time that was meant');
};

sub leader {
    my ($owner, $pid) = @{ ($t->sql("SELECT owner, pid FROM
        jobs.schedule_leader WHERE EXISTS (SELECT FROM pg_locks WHERE
        locktype = 'advisory' AND pid = schedule_leader.pid)"))[0] // [] };
    return $owner;
}

# The worker process that is called so.
sub process {
    my ($owner) = @_;
    my ($seat) = $owner =~ /\.(\d+)\.\d+\z/;
    my %at = map { ($_->{msg} =~ /^started as (\S+) .*pid (\d+)/) }
        $p->log_lines(qr/^started as/);
    return $at{$owner};
}

subtest 'fired twice is one job' => sub {
    my $before = runs();
    worker("UPDATE jobs.schedule SET last_fire = last_fire - interval '3 h'
        WHERE name = 'every'");
    wait_for(sub { fired('every') == 6 }, 15, 'the same times again');
    is(scalar worker("SELECT count(*) FROM jobs.schedule WHERE name = 'every'
        AND last_fire > now() - interval '1 h'"), 1, 'up to now');
    select undef, undef, undef, 0.5;
    is(runs(), $before, 'no job ran again');
};

subtest 'fired by a clock that was ahead' => sub {
    worker("UPDATE jobs.schedule SET last_fire = '2100-01-01'
        WHERE name = 'every'");
    ok(wait_for(sub { scalar worker("SELECT count(*) FROM jobs.schedule
        WHERE name = 'every' AND last_fire < now() + interval '1 h'") }, 10,
        'its time'), 'it goes on from now');
    ok($p->log_lines(qr/by a clock that was ahead/), 'and that is said');
};

subtest 'the leader is killed' => sub {
    my $owner = leader();
    my $pid = process($owner);
    ok($pid, "$owner leads");
    kill 'KILL', $pid;
    worker("UPDATE jobs.schedule SET paused = false WHERE name = 'rests'");
    my $began = time;
    wait_for(sub { fired('rests') == 3 }, 15, 'the next leader');
    isnt(wait_for(sub { leader() }, 10, 'its name'), $owner, 'is another');
    $p->until_owned;
};

subtest 'the leader is frozen' => sub {
    my $owner = leader();
    my $pid = process($owner);
    kill 'STOP', $pid;
    worker("UPDATE jobs.schedule_leader SET at = now() - interval '1 minute'");
    wait_for(sub { my $now = leader(); $now && $now ne $owner }, 15,
        'another leader');
    my $before = fired('last');
    worker("UPDATE jobs.schedule SET last_fire = now() - interval '70 min'
        WHERE name = 'last'");
    wait_for(sub { fired('last') == $before + 1 }, 15, 'it fires');
    kill 'CONT', $pid;
    is(scalar(() = $p->log_lines(qr/led and gave no sign/)), 1,
        'ousted, once');
    $p->until_owned;
};

subtest 'travelctl schedule' => sub {
    my ($rc, $out) = ctl('list');
    is($rc, 0, 'list');
    like($out, qr/^every +\Q$minute * * * *\E +Europe\/Berlin +maintenance\.noop/m,
        'a line each');
    like($out, qr/^expiry .*never .*active$/m, 'one that never fires');
    is((ctl('pause', 'every'))[0], 0, 'pause');
    like((ctl('list'))[1], qr/^every .*paused$/m, 'it is seen');
    is((ctl('resume', 'every'))[0], 0, 'resume');
    is((ctl('pause', 'nobody'))[0], 1, 'no such schedule');
    is((ctl('run', 'nobody'))[0], 1, 'nor to run');
};

subtest 'added while it runs' => sub {
    my @add = ('add', 'mine', '--cron', '*/5 * * * *', '--type',
        'maintenance.noop', '--body', '{"answer": {"a": 1}}');
    is((ctl(@add))[0], 0, 'added');
    like((ctl('list'))[1], qr/^mine +\*\/5 \* \* \* \* +UTC .*skip active$/m,
        'listed');
    is((ctl(@$_))[0], 1, "refused: $$_[-1]") for
        ['add', 'every', @add[2 .. 5]], ['add', 'x', '--cron', '* * * * *'],
        [@add, '--cron', 'sometimes'], [@add, '--type', 'no.such'],
        [@add, '--timezone', 'Mars/Base'], [@add, '--body', '[]'],
        [@add, '--catch-up', 'all'], ['remove', 'nobody'];
    my $turn = sub {
        my $id = $p->enqueue(type => 'schedule.turn');
        $p->until_over($id);
        return json($p->job($id)->{result})->{fired};
    };
    my $back = sub { $t->sql("UPDATE jobs.own_schedule SET last_fire =
        date_trunc('minute', now()) - interval '$_[0]'") };
    my $now = (gmtime)[1];       # due once, whenever it is looked at
    $back->('30 minutes');
    $t->sql("UPDATE jobs.own_schedule SET cron = '$now * * * *',
        catch_up = 'once'");
    is($turn->(), 1, 'due');
    is($turn->(), 0, 'once');
    my ($job, $body) = @{ ($t->sql("SELECT payload->>'id', payload->'body'
        FROM jobs.outbox WHERE payload->'body'->>'schedule' = 'mine'"))[0] };
    like(json($body)->{fire_at}, qr/:00\.000Z$/, 'with the time that is meant');
    is_deeply(json($body)->{answer}, { a => 1 }, 'and its body');
    is((ctl('pause', 'mine'))[0], 0, 'paused');
    $back->('30 minutes');
    is($turn->(), 0, 'it rests');
    is((ctl('resume', 'mine'))[0], 0, 'resumed');
    $t->sql("UPDATE jobs.own_schedule SET cron = '0 0 1 1 *',
        catch_up = 'skip', last_fire = '2020-01-01'");
    is($turn->(), 0, 'what was missed is skipped');
    is(scalar $t->sql('SELECT skipped FROM jobs.own_schedule'), 1, 'and counted');
    $t->sql("UPDATE jobs.own_schedule SET catch_up = 'once',
        last_fire = '2020-01-01'");
    is($turn->(), 1, 'or made up, once');
    $t->sql("UPDATE jobs.own_schedule SET last_fire = '2100-01-01'");
    is($turn->(), 0, 'fired by a clock that was ahead');
    is(scalar $t->sql("SELECT last_fire < now() + interval '1 h'
        FROM jobs.own_schedule"), 't', 'goes on from now');
    is((ctl('run', 'mine'))[0], 0, 'run by hand');
    is((ctl('remove', 'mine'))[0], 0, 'taken out');
    unlike((ctl('list'))[1], qr/^mine /m, 'gone');
};

sub run_now {
    my ($name) = @_;
    my ($rc, $id) = ctl('run', $name);
    chomp $id;
    is($rc, 0, "$name: run") or diag $id;
    $p->until_over($id);
    is($p->status($id), 'succeeded', "$name: succeeded")
        or diag explain $p->job($id);
    return json($p->job($id)->{result} // '{}');
}

subtest 'expired rows go, others stay' => sub {
    $t->sql("INSERT INTO jobs.inbox (job_id, step, created_at) SELECT
        gen_random_uuid(), 's', now() - make_interval(days => 29 + n)
        FROM generate_series(0, 3) AS n;
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload,
        created_at, sent_at) SELECT 'booking', 0, 'job', gen_random_uuid(),
        '{}', now() - interval '8 d', CASE WHEN n > 0 THEN now() END
        FROM generate_series(0, 2) AS n;
        INSERT INTO jobs.saga (job_id, step, state, key, fence, updated_at)
        SELECT gen_random_uuid(), 's', s, 'k', 1, now() - interval '31 d'
        FROM unnest(ARRAY['taken', 'done', 'undoing', 'undone']) AS s");
    $t->sql("INSERT INTO travel.route_stories SELECT n, n, 'food', 't', 'c',
        '[]', 'p', now() - make_interval(hours => 12 * n)
        FROM generate_series(1, 3) AS n;
        INSERT INTO travel.trends SELECT gen_random_uuid(), n, 'a', 's', 1,
        now() - make_interval(days => 60 * n), '{}', '{}', '{}', '{}'
        FROM generate_series(1, 2) AS n");
    is_deeply(run_now('expiry'), { inbox => 3, outbox => 2, saga => 2,
        dead => 0 }, 'what is over and old');
    is(scalar $t->sql("SELECT count(*) FROM jobs.outbox WHERE sent_at IS NULL
        AND queue = 'booking'"), 1, 'not what waits');
    is(scalar $t->sql("SELECT string_agg(state, ' ' ORDER BY state) FROM
        jobs.saga"), 'taken undoing', 'nor what is open');
    is(scalar $t->sql("SELECT (SELECT count(*) FROM travel.route_stories) || ' '
        || (SELECT count(*) FROM travel.trends)"), '1 1', 'texts, trends');
};

subtest 'the other shipped jobs' => sub {
    is_deeply(run_now('partitions'), { made => 0 }, 'partitions are there');
    is_deeply(run_now('archival'), { archived => 0 }, 'nothing is that old');
    is_deeply(run_now('snapshots'), { made => 0 }, 'nothing is that long');
    worker("SELECT events.append('journey', gen_random_uuid(), 0,
        'journey.started', '{\"origin\": {\"place_id\": 1}, \"destination\":
        {\"place_id\": 2}}', NULL, NULL, NULL)");
    is_deeply(run_now('routes'), { events => 1 }, 'projections move');
    is(scalar worker('SELECT journeys FROM travel.route_counts'), 1, 'counted');
};

subtest 'reminders, once each' => sub {
    $t->sql("INSERT INTO travel.bookings (id, user_id, partner, venue_id,
        booking_date, party_size, status, confirmation_number)
        SELECT gen_random_uuid(), '" . $t->user(0) . "', 'klook', 'v' || n,
        now() + make_interval(hours => n * 10), 2,
        CASE WHEN n = 1 THEN 'cancelled' ELSE 'confirmed' END, 'c' || n
        FROM generate_series(0, 4) AS n");
    is_deeply(run_now('reminders'), { reminded => 1 }, 'the one due');
    is_deeply(run_now('reminders'), { reminded => 0 }, 'not again');
    my @mails = map { json($_->[0]) } $t->sql("SELECT payload FROM jobs.outbox
        WHERE payload->>'type' = 'notification.email'");
    is_deeply([map { [@{ $_->{body} }{qw(template to)},
        $_->{body}{data}{venue_name}] } @mails],
        [['booking_reminder', 'demo@travel.local', 'v2']], 'its mail');
    $t->sql("INSERT INTO travel.devices (id, user_id, service, token)
        SELECT gen_random_uuid(), '" . $t->user($_) . "', 'fcm', 'd$_';
        UPDATE travel.users SET email = NULL WHERE id = '" . $t->user(1) . "';
        INSERT INTO travel.bookings (id, user_id, partner, venue_id,
        booking_date, party_size, status, confirmation_number) VALUES
        (gen_random_uuid(), '" . $t->user($_) . "', 'klook', 'w$_',
        now() + interval '9 hours', 2, 'confirmed', 'c')") for 0, 1;
    is_deeply(run_now('reminders'), { reminded => 2 }, 'two, with devices');
    is_deeply([map { $_->[0] } $t->sql("SELECT (payload->>'type') || ' ' ||
        coalesce(payload->'body'->>'to', payload->'body'->>'user') FROM
        jobs.outbox WHERE payload->'body'->'data'->>'venue_name' LIKE 'w%'
        ORDER BY 1")], ['notification.email demo@travel.local',
        map { 'notification.push ' . $t->user($_) } 0, 1],
        'pushed to their devices; a mail where there is an address');
};

is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
