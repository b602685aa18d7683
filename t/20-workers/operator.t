# What operators see and steer, by HTTP (as the page at /operator/ does) and by
# travelctl: jobs by state, type, user and age; one of them; called off, due now;
# pauses, sagas, schedules, the pool; and who may.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(parts => 'postgres queue cache nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' }, conf => <<'END');
queues = { "maintenance", "account" }
type "maintenance.noop" { retries = 3 base = 20ms cap = 50ms timeout = 20s }
type "maintenance.drill" { retries = 3 base = 1h cap = 1h }
schedule "never" { cron = "0 0 1 1 *" type = "maintenance.noop" }
END
my $t = $p->t;
my @op = (token => $t->token(sub => $t->user(0),
    permissions => 'operator:read operator:write'));
my @reader = (token => $t->token(sub => $t->user(0),
    permissions => 'operator:read'));
my $api = '/api/v1/operator';
$p->until_owned;

sub ctl { return $p->ctl(@_) }

sub jobs {
    my (%filter) = @_;
    my $x = $t->post("$api/jobs", \%filter, @reader);
    is($x->{status}, 201, 'looked through') or diag $x->{content};
    my $list = json($x->{content});
    ok($list->{complete}, 'to the end');
    return @{ $list->{items} };
}

# One of each state, and of another user.
my $key = $p->new_uuid;
my $tp = '00-' . 'c3' x 16 . '-' . 'd4' x 8 . '-00';
my $run = $p->enqueue(partition => 1, key => $key, sub => $t->user(5),
    body => { sleep_ms => 60000 }, tp => $tp);
$p->until_status($run, 'running');
my $wait = $p->enqueue(partition => 1, key => $key, sub => $t->user(5),
    body => { card => 'eyJ', n => 7 }, sealed => 'card');
my $late = $p->delay(3_600_000, sub => $t->user(6));
my $retry = $p->enqueue(partition => 2, type => 'maintenance.drill',
    body => { fail_until => 9 });
$p->until_status($retry, 'retrying');

subtest 'by state, type, user, age' => sub {
    my %is = (queued => $wait, scheduled => $late, running => $run,
        retrying => $retry);
    for my $state (sort keys %is) {
        my @found = grep { $_->{id} !~ /^account/ } jobs(state => $state);
        is_deeply([map { $_->{id} } @found], [$is{$state}], $state);
        is($found[0]{state}, $state, 'as it says itself');
    }
    is_deeply([map { $_->{id} } jobs(type => 'maintenance.drill')], [$retry],
        'by type');
    is(scalar jobs(sub => $t->user(5)), 2, 'by user');
    is(scalar jobs(queue => 'maintenance', older => 3600), 0, 'none so old');
    my ($rc, $out) = ctl('jobs', 'list', '--state', 'scheduled', '--json');
    is($rc, 0, 'travelctl, too');
    my $one = json($out);
    is($one->{id}, $late, 'the same');
    like($one->{due_at}, qr/^20\d\d-/, 'when it is due');
    is((ctl('jobs', 'list', '--type', 'no.such'))[0], 1, 'none');
    like((ctl('jobs', 'list', '--state', 'dead'))[1],
        qr/queued, scheduled, running or retrying; travelctl dead list/,
        'what to do');
    my $few = json($t->post("$api/jobs", { limit => 1 }, @reader)->{content});
    ok(@{ $few->{items} } == 1 && !$few->{complete}, 'a part, and it says so');
};

subtest 'one of them' => sub {
    my ($one) = jobs(job => $wait);
    is_deeply([@$one{qw(id where called_off)}, $one->{body}],
        [$wait, 'maintenance.1:normal', JSON::PP::false,
        { card => '(sealed)', n => 7 }], 'where, and without what is sealed');
    my ($rc, $out) = ctl('jobs', 'show', $run);
    my $shown = json($out);
    is($rc, 0, 'travelctl shows it');
    is($shown->{trace_id}, 'c3' x 16, 'its trace');
    is($shown->{owner}, $p->owners->{1}, 'who runs it');
    my ($held) = jobs(job => $retry);
    like($held->{error}{message}, qr/attempt 1/, 'its error');
    is(jobs(job => 'booking.1.' . $p->new_uuid), 0, 'one that is not there');
    is((ctl('jobs', 'show', 'booking.1.' . $p->new_uuid))[0], 1, 'nor here');
};

subtest 'what runs' => sub {
    my $x = $t->get("$api/pool", @reader);
    is($x->{status}, 200, 'the pool says');
    my $pool = json($x->{content});
    my ($job) = grep { $_->{job} eq $run } map { @{ $_->{running} } }
        @{ $pool->{processes} };
    is($job->{type}, 'maintenance.noop', 'what is in its slots');
    ok($job->{seconds} > 0, 'since when');
    wait_for(sub { my ($part) = grep { $_->{partition} eq 'maintenance.1' }
        @{ json($t->get("$api/pool", @reader)->{content})->{partitions} };
        $part && $part->{normal} == 2 }, 10, 'and how long the queues are');
    my ($type) = grep { $_->{type} eq 'operator.jobs' } @{ $pool->{types} };
    ok($type->{succeeded} > 0 && $type->{p50} > 0, 'how the types do');
    is_deeply([map { $_->{name} } @{ $pool->{schedules} }], ['never'],
        'schedules, with the next time');
    like($pool->{schedules}[0]{next}, qr/-01-01T00:00:00/, 'which is right');
};

subtest 'due now, called off' => sub {
    my $x = $t->post("$api/jobs/now", { job => $late }, @op);
    is($x->{status}, 201, 'it need not wait') or diag $x->{content};
    $p->until_status($late, 'succeeded');
    is($t->post("$api/jobs/now", { job => $late }, @op)->{status}, 409,
        'it waits no more');
    is((ctl('jobs', 'now', $retry))[0], 0, 'a retry, by hand');
    wait_for(sub { $p->job($retry)->{attempts} >= 2 }, 10, 'it is tried again');
    is((ctl('jobs', 'now', $run))[0], 1, 'what runs does not wait');
    my $off = json($t->post("$api/jobs/cancel", { sub => $t->user(5) }, @op)
        ->{content});
    is_deeply([@$off{qw(cancelled told)}], [1, 1], 'a user\'s, by a filter');
    $p->until_status($run, 'cancelled', 15);
    is($p->status($wait), 'cancelled', 'before it began');
    my @more = map { $p->delay(3_600_000, partition => 3) } 1 .. 3;
    is((ctl('jobs', 'cancel'))[0], 2, 'travelctl asks which');
    is((ctl('jobs', 'cancel', '--state', 'scheduled'))[0], 0, 'by its state');
    is($p->census(@more)->{cancelled}, 3, 'all of them');
};

subtest 'a pause, by HTTP' => sub {
    is($t->post("$api/pause", { name => 'account', reason => 'a try' }, @op)
        ->{status}, 201, 'the queue by which operators steer');
    is($t->post("$api/pause", { name => 'maintenance.noop' }, @op)->{status},
        201, 'and a type');
    wait_for(sub { (() = $p->log_lines(qr/^maintenance\.noop: paused/)) }, 5,
        'the pool to hear of it');
    my $items = json($t->get("$api/paused", @reader)->{content})->{items};
    is_deeply([map { "$_->{kind} $_->{name}" } @$items],
        ['queue account', 'type maintenance.noop'], 'both are told');
    is($items->[0]{by}, $t->user(0), 'by whom');
    my $id = $p->enqueue;
    sleep 0.5;
    is($p->status($id), 'queued', 'it rests');
    is($t->post("$api/resume", { name => $_ }, @op)->{status}, 201,
        "$_ goes on") for qw(maintenance.noop account);
    $p->until_over($id);
    is($t->post("$api/pause", { name => 'nothing' }, @op)->{status}, 422,
        'no such queue');
    is($t->post("$api/pause", { name => 'operator.resume' }, @op)->{status},
        422, 'nor that by which it is resumed');
};

subtest 'by the clock' => sub {
    wait_for(sub { $t->sql('SELECT count(*) FROM jobs.schedule') }, 15,
        'the leader');
    is($t->post("$api/schedules/act", { name => 'never', act => 'pause' }, @op)
        ->{status}, 201, 'it rests');
    my $items = json($t->get("$api/schedules", @reader)->{content})->{items};
    is_deeply([@{ $items->[0] }{qw(name paused)}], ['never', JSON::PP::true],
        'and says so');
    my $x = $t->post("$api/schedules/act", { name => 'never', act => 'run' },
        @op);
    $p->until_status(json($x->{content})->{job}, 'succeeded');
    is($t->post("$api/schedules/act", { name => 'x', act => 'run' }, @op)
        ->{status}, 404, 'one that is not there');
};

subtest 'sagas' => sub {
    my ($id, $other) = ($p->new_uuid, $p->new_uuid);
    $t->sql("INSERT INTO jobs.saga_run (id, name, job_id, type, sub, key, body,
        state, error) VALUES ('$id', 'drill', 'maintenance.0.$id',
        'saga.drill', '" . $t->user(1) . "', '$id', '{}', 'stuck',
        '{\"code\": \"X\", \"message\": \"<b>stuck</b>\"}')");
    $t->sql("INSERT INTO jobs.saga_run (id, name, job_id, type, sub, key, body,
        state) SELECT '$other', name, job_id, type, sub, key, body, 'undoing' FROM jobs.saga_run WHERE id = '$id'");
    my $list = json($t->get("$api/sagas?state=stuck", @reader)->{content});
    is_deeply([map { $_->{id} } @{ $list->{items} }], [$id], 'the stuck one');
    is(json((ctl('saga', 'list', '--state', 'stuck', '--json'))[1])->{error},
        '<b>stuck</b>', 'by travelctl, too, as JSON');
    is_deeply(json($t->get("$api/sagas/$id", @reader)->{content})->{steps},
        [], 'its steps');
    is($t->post("$api/sagas/$id", { act => 'resume' }, @reader)->{status}, 403,
        'who reads may not steer');
    my $x = $t->post("$api/sagas/$id", { act => 'resume' }, @op);
    like(json($x->{content})->{job}, qr/^\w+\.\d/, 'a job takes it up');
    is($t->post("$api/sagas/$other", { act => 'close' }, @op)->{status}, 201,
        'settled by hand');
    is($t->post("$api/sagas/$other", { act => 'resume' }, @op)->{status}, 409,
        'it is over');
    is($t->get("$api/sagas/" . $p->new_uuid, @reader)->{status}, 404, 'none');
};

subtest 'who may' => sub {
    my @other = (token => $t->user_token(1));
    is($t->get("$api/$_")->{status}, 401, "$_: nobody unknown"),
        is($t->get("$api/$_", @other)->{status}, 403, "$_: nor a user")
        for qw(pool paused schedules sagas);
    is($t->post("$api/jobs", {}, @other)->{status}, 403, 'the jobs');
    is($t->post("$api/$_", { name => 'ai', job => $run, act => 'run' },
        @reader)->{status}, 403, "$_: not who reads")
        for qw(pause resume jobs/cancel jobs/now schedules/act);
    is($t->post("$api/jobs/cancel", {}, @op)->{status}, 422, 'not all by '
        . 'leaving something out');
};

# The page is files; what it can do is what it can ask.
subtest 'the page' => sub {
    my %file = map { $_ => $t->get("/operator/$_") }
        '', 'operator.css', 'operator.js';
    is($_->{status}, 200, 'served') for values %file;
    my $h = $file{''}{headers};
    like($h->{'content-security-policy'}, qr/^default-src\s'none';\sscript-src
        \s'self';(?!.*(?:unsafe|\*|http)).*frame-ancestors\ 'none'/x,
        'nothing but itself');
    unlike($file{''}{content}, qr/<script(?!\ssrc="operator\.js")|<style|
        \son\w+=|style=|https?:/x, 'nothing in line, nothing from elsewhere');
    my $js = $file{'operator.js'}{content};
    unlike($js, qr/innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|
        https?:/x, 'text is text');
    my %paths = map { $_ => 1 } ($js =~ /API \+ '(\/[\w\/]+)/g),
        map { "/../dead$_" } $js =~ m{'/api/v1/dead([\w/]*)}g;
    cmp_ok(scalar keys %paths, '>', 8, 'what it asks');
    my %in_files = map { $_ => 1 } map { slurp(Travel::Test::root()
        . "/conf/$_") =~ /location\s+(?:=|~)?\s*"?\^?([^\s"(]+)/g }
        'nginx.conf', map { "travel/routes/$_.conf" } '96-operator', '95-dead';
    is_deeply([grep { my $path = "$api$_" =~ s{/\w+/\.\.}{}r;
        !$in_files{$path} } sort keys %paths], [], 'has an answer each');
};

subtest 'metrics: names, units, and a line about each' => sub {
    my $text = slurp(Travel::Test::root() . '/conf/metrics.md');
    my $live = $p->metrics;
    my %type = $live =~ /^# TYPE (\S+) (\w+)$/mg;
    cmp_ok(scalar keys %type, '>', 30, 'there are some');
    $type{$_} //= '' for map { slurp($_) =~ /"(travel_[a-z]\w+?)(?:_bucket)?"/g }
        glob Travel::Test::root() . '/workers/pool/metrics*.c';
    is_deeply([grep { $text !~ /`\Q$_\E`/ } sort keys %type], [],
        'each has a line');
    is_deeply([grep { $type{$_} && ($type{$_} eq 'counter') != /_total$/ }
        sort keys %type], [], 'counters, and they alone, are totals');
    is_deeply([grep { /_(?:ms|millis\w*|us|minutes|hours|kb|mb)(?:_|$)/ }
        sort keys %type], [], 'in base units');
    is_deeply([grep { !($live =~ /^# HELP \Q$_\E \S/m) }
        grep { $type{$_} } sort keys %type], [], 'with help');
};

$p->finish;
done_testing;
