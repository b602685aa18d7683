# A job as a stream of events: what is said, when and in what form, to whom;
# clients that leave, do not read, or come back; bounds; reload.  The test
# changes jobs as the workers' scripts do, who is watching told of it.  The same
# as a live topic, to sockets, event streams and polls.
use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::GraphqlSocket;
use Travel::Socket;
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'postgres queue cache nginx',
    ngx_workers => 1,
    allow_5xx   => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub { s/error\.log warn/error.log info/ },
);
my $conf = slurp($t->dir . '/nginx.conf');
my $q = $t->redis('queue');
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;

wait_for(sub { $t->get('/ready')->{status} == 200 }, 10, 'ready');

sub job {
    my $r = $t->post('/api/v1/bookings', { partner => 'opentable',
        venue_id => 'v', party_size => 4,
        booking_date => '2030-03-01T19:00:00Z' }, token => $alice);
    return $r->{json}{job}{id};
}

sub set {
    my ($job, %f) = @_;
    my ($queue, $n, $uuid) = split /\./, $job;
    $q->call('HSET', "travel:{$queue.$n}:job:$uuid", %f);
    return 0 + grep { $q->call('PUBLISH', $_, qq({"id":"$job"})) }
        split ' ', watchers($job) // '';
}

sub watchers {
    my ($queue, $n, $uuid) = split /\./, $_[0];
    return $q->call('HGET', "travel:{$queue.$n}:watch", $uuid);
}

# Opens the stream of a job; what came is in ->{got}, without chunk sizes.
sub follow {
    my ($job, %o) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port, %{ $o{socket} || {} }) or die "connect: $!";
    my $token = $o{token} // $alice;
    my $path = $o{path} // '/api/v1/jobs';
    print $s "GET $path/$job HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $token\r\nAccept: text/event-stream\r\n"
        . ($o{headers} // '') . "Connection: close\r\n\r\n";
    $s->flush;
    return { socket => $s, raw => '', got => '' };
}

# Reads until what came matches, or the stream ends, or time is up.
sub until_got {
    my ($f, $re, $seconds) = @_;
    my $end = time + ($seconds // 8);
    while ($f->{got} !~ $re && time < $end) {
        IO::Select->new($f->{socket})->can_read(0.2) or next;
        my $n = sysread $f->{socket}, $f->{raw}, 65536, length $f->{raw};
        ($f->{head}, my $body) = split /\r\n\r\n/, $f->{raw}, 2;
        $f->{got} = ($body // '') =~ s/^[0-9a-f]+\r\n(.*?)\r\n/$1/gmsr;
        if (!$n) { $f->{closed} = 1; last }
    }
    return $f->{got} =~ $re;
}

sub events {
    my ($f) = @_;
    return map { {
        id => /^id: (.*)$/m, event => /^event: (.*)$/m,
        data => json((/^data: (.*)$/m)[0]) } }
        grep { /^data: /m } split /\n\n/, $f->{got};
}

# A socket that watches the job's topic, or another.
sub watch_job {
    my ($token, $job, $cursor, $topic) = @_;
    my $s = Travel::Socket->open($t, '/api/v1/live', token => $token);
    $s->json({ type => 'subscribe', topic => $topic // "job:$job",
        $cursor ? (cursor => $cursor) : () });
    return $s;
}

sub worker_pid {
    my ($pid) = $t->children_of('nginx');
    return $pid;
}

subtest 'from queued to the end' => sub {
    my $job = job();
    my $f = follow($job);
    ok(until_got($f, qr/event: status\ndata: .*\n\n/), 'how it is, at once');
    like($f->{head}, qr{^HTTP/1\.1 200 }, 'answered');
    like($f->{head}, qr{^Content-Type: text/event-stream\r?$}m, 'its type');
    like($f->{head}, qr{^Cache-Control: no-store\r?$}m, 'not stored');
    like($f->{head}, qr{^X-Accel-Buffering: no\r?$}m, 'nor held back');
    like($f->{head}, qr{^Vary: Accept, Prefer\r?$}m, 'Vary');
    like($f->{got}, qr/^retry: \d+\n\n/, 'when to come back');

    wait_for(sub { watchers($job) }, 5, 'it is watched');
    my $others = follow($job);
    until_got($others, qr/event: status/);
    is(scalar(split ' ', watchers($job)), 1, 'an nginx worker is told once');
    is(set($job, status => 'running', attempts => 1), 1, 'and listens');
    ok(until_got($_, qr/"running".*\n\n/), 'running') for $f, $others;
    close $others->{socket};
    set($job, progress => 40);
    ok(until_got($f, qr/event: progress\n.*40.*\n\n/), 'progress');
    set($job, status => 'retrying');
    ok(until_got($f, qr/"retrying".*\n\n/), 'retrying');
    set($job, status => 'running', attempts => 2, progress => 80);
    ok(until_got($f, qr/"attempts":2.*\n\n/), 'again');
    set($job, status => 'succeeded', result => "{\"a\":\n\"x y\",\r\n\"b\":2}",
        attempts => 2);
    ok(until_got($f, qr/event: end\ndata: .*\n\n/), 'the end');
    until_got($f, qr/never/, 5);
    ok($f->{closed}, 'and the stream is closed');

    my @e = events($f);
    is_deeply([map { $_->{event} } @e],
        [qw(status status progress status status end)], 'in order')
        or diag($f->{got});
    is_deeply($e[2]{data}, { id => $job, progress => 40 }, 'what progress says');
    is_deeply($e[-1]{data}{result}, { a => 'x y', b => 2 }, 'the result, one line');
    is($e[-1]{data}{status}, 'succeeded', 'status');
    my $json = $t->get("/api/v1/jobs/$job", token => $alice);
    is_deeply($e[-1]{data}, $json->{json}, 'as the status_url tells it');
    like($json->{headers}{'content-type'}, qr{^application/json}, 'which is JSON');
    my $vary = $json->{headers}{vary};
    like(join(', ', ref $vary ? @$vary : $vary), qr/\bAccept, Prefer\b/,
        'Vary there too');
    is(scalar(grep { $_->{id} } @e), scalar @e, 'each has an id');

    $f = follow($job);
    until_got($f, qr/never/, 5);
    is_deeply([map { $_->{event} } events($f)], ['end'], 'asked later: the end');
    $f = follow($job, headers => "Last-Event-ID: end\r\n");
    until_got($f, qr/never/, 5);
    like($f->{raw}, qr{^HTTP/1\.1 204 }, 'who had the end need not come back');
    $f = follow($job, headers => "Last-Event-ID: 7\r\n");
    ok(until_got($f, qr/event: end/), 'any other id does no harm');
};

subtest 'not for others' => sub {
    my $job = job();
    for (['somebody else', $bob, 404], ['nobody', 'x', 401]) {
        my $f = follow($job, token => $_->[1]);
        until_got($f, qr/never/, 5);
        like($f->{raw}, qr{^HTTP/1\.1 $_->[2] }, $_->[0]);
        unlike($f->{raw}, qr/event-stream|booking\.create/, 'learns nothing');
    }
    my $f = follow($job =~ s/.$/$job =~ m{0$} ? 1 : 0/er);
    until_got($f, qr/never/, 5);
    like($f->{raw}, qr{^HTTP/1\.1 404 }, 'no such job');
    my $r = $t->request('HEAD', "/api/v1/jobs/$job", token => $alice,
        headers => { accept => 'text/event-stream' });
    is($r->{status}, 200, 'HEAD');
    is($r->{headers}{'content-type'}, 'text/event-stream', 'says what GET would');
};

subtest 'clients that leave' => sub {
    my $job = job();
    my @f = map { follow($job) } 1 .. 20;
    ok(!(grep { !until_got($_, qr/event: status/) } @f), 'twenty streams');
    my $open = sub { scalar split /\n/,
        `ls -l /proc/@{[worker_pid()]}/fd 2>/dev/null | grep socket` };
    my $before = $open->();
    close $_->{socket} for @f;
    ok(wait_for(sub { $open->() <= $before - 20 }, 5, 'gone'),
        'leave nothing behind');
};

subtest 'a queue that goes and comes' => sub {
    my $job = job();
    my $f = follow($job);
    until_got($f, qr/event: status/) or return fail('no stream');
    my $s = watch_job($alice, $job);
    is($s->next_json->{type}, $_, "a socket: $_") for qw(subscribed message);
    $t->cut('queue', sessions => 1);
    sleep 0.5;
    $t->mend('queue');
    $q = $t->redis('queue');
    set($job, status => 'running');
    ok(until_got($f, qr/"running"/, 10), 'the stream goes on');
    is($s->next_json(10)->{message}{type}, 'job.running', 'the socket, too');
};

# The same configuration with a second place for jobs, /jobs2/.
sub with_jobs2 {
    my ($parameters) = @_;
    my $place = 'location ~ "^/jobs2/(?<job2_id>[^/]+)$" {'
        . ' travel_auth required jwks=main audience=travel;'
        . " travel_job_status id=\$job2_id $parameters; }";
    return $conf =~ s/(location = \/health )/$place\n$1/r;
}

sub configure {
    my ($parameters) = @_;
    my $text = with_jobs2($parameters);
    die 'no place' if $text eq $conf;
    $t->write('nginx.conf', $text);
    $t->reload;
    delete $t->{http};      # its connection was the old worker's
    wait_for(sub { 1 == $t->children_of('nginx') }, 10, 'one nginx worker');
}

subtest 'a reload closes the streams of the old worker' => sub {
    my $job = job();
    my $f = follow($job);
    until_got($f, qr/event: status/) or return fail('no stream');
    my $s = watch_job($alice, $job);
    my $at = (map { $s->next_json } 1, 2)[1]{cursor};
    my $old = worker_pid();
    configure('wait=30s events=1s streams=2');      # waits for the old one
    until_got($f, qr/never/, 8);
    ok($f->{closed}, 'closed');
    like($f->{got}, qr/\nretry: 1000\n\n\z/, 'with a hint to come back soon');
    like($f->{raw}, qr/\r\n0\r\n\r\n\z/, 'and a proper last chunk');
    ok(wait_for(sub { !kill 0, $old }, 5, 'the old worker'), 'which leaves');
    is($s->next_json->{cursors}{"job:$job"}, $at, 'a socket has its cursor');
    $s = watch_job($alice, $job, $at);
    is($s->next_json->{cursor}, $at, '... and goes on there');
    wait_for(sub { watchers($job) =~ / .* / }, 5, 'it is watched');
    set($job, status => 'running');
    is($s->next_json->{message}{type}, 'job.running', '... with what comes');
};

subtest 'bounds' => sub {
    my $job = job();
    my $from = time;
    my $f = follow($job, path => '/jobs2');
    until_got($f, qr/never/, 8);
    ok($f->{closed}, 'after events= the stream is closed');
    cmp_ok(time - $from, '>=', 0.9, 'not before');
    unlike($f->{got}, qr/event: end/, 'which is not the end');
    my @f = map { follow($job, path => '/jobs2') } 1 .. 3;
    until_got($_, qr/event: status|QUEUE|Too many/) for @f;
    is(scalar(grep { $_->{raw} =~ m{^HTTP/1\.1 503 } } @f), 1,
        'one more than streams= is 503');
    my ($full) = grep { $_->{raw} =~ m{^HTTP/1\.1 503 } } @f;
    like($full->{raw}, qr/^Retry-After: \d+\r?$/m, 'Retry-After');
    configure('wait=30s events=0');
    is($t->get("/jobs2/$job", token => $alice,
        headers => { accept => 'text/event-stream' })->{json}{status},
        'queued', 'events=0: JSON for all');
    like($t->get('/metrics')->{content},
        qr/^travel_job_streams_total\{result="full"\} [1-9]/m, 'counted');
};

# nginx -t, with the sanitizer's runtime first where the module needs it.
subtest 'nginx -t' => sub {
    for (['events=11m', qr/"events=11m" must be a time/],
        ['streams=0', qr/from 1 to 100000/], ['event=1', qr/must be one of id=, wait=/])
    {
        $t->write('bad.conf', with_jobs2($_->[0]));
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $_->[0]);
        like($out, $_->[1], '... says why');
    }
};

subtest 'a topic: job:{id}' => sub {
    my $job = job();
    my $watch = sub { watch_job($_[0], $job, @_[1, 2]) };
    my $status = sub {
        my $m = $_[0]->next_json(10) or return 'nothing';
        return $m->{type} eq 'message' ? $m->{message}{type} : $m->{type};
    };
    my $s = $watch->($alice);
    is($status->($s), 'subscribed', 'the owner may');
    my $first = $s->next_json;
    is($first->{message}{type}, 'job.queued', 'how it is, at first');
    is_deeply($first->{message}{data},
        $t->get("/api/v1/jobs/$job", token => $alice)->{json},
        '... as its status_url tells it');
    is_deeply($first->{message}{aggregate}, { type => 'job', id => $job },
        '... which');
    is($first->{message}{id}, "$job/$first->{cursor}", '... with a name');

    my $m = $watch->($bob)->next_json;
    is_deeply([@$m{qw(type code)}], ['error', 'RESOURCE_NOT_FOUND'],
        'another user: as if it were not there');
    $m = $watch->($alice, undef, $job =~ s/^(.*)-[^-]+/job:$1-000000000000/r)
        ->next_json;
    is($m->{code}, 'RESOURCE_NOT_FOUND', 'none of that id');
    my $longer = job();
    set($longer, sub => $t->user(1) . '-x');
    $m = $watch->($alice, undef, "job:$longer")->next_json;
    is($m->{code}, 'RESOURCE_NOT_FOUND', 'one of a user with a longer id');
    is($watch->(undef)->next_json->{code}, 'AUTHORIZATION_ERROR', 'nobody');
    my $op = $watch->($t->token(sub => $t->user(2), permissions =>
        'jobs:watch'));
    is($status->($op), 'subscribed', 'by a permission');
    is($status->($op), 'job.queued', '... all of them');

    wait_for(sub { watchers($job) }, 5, 'it is watched');
    my $now = 1 + int time * 1000;
    my $step = sub { set($job, updated_at => $now++, @_) };
    is($step->(status => 'running'), 1, 'this nginx worker is told once');
    is($status->($_), 'job.running', 'running') for $s, $op;
    set($job, progress => 40);
    is($s->next_json->{message}{data}{progress}, 40, 'progress');
    $step->(status => 'retrying', attempts => 1);
    is($s->next_json->{message}{data}{attempts}, 1, 'retrying');
    $step->(status => 'running');
    my $running = $s->next_json;
    is($running->{message}{type}, 'job.running', 'again');
    is(join(' ', map { $status->($op) } 1 .. 3),
        'job.running job.retrying job.running', '... to all who watch');

    my $late = $watch->($alice, $running->{cursor});
    is($status->($late), 'subscribed', 'with the newest cursor');
    $late->json({ type => 'ping' });
    is($status->($late), 'pong', '... there is nothing to tell');
    my $older = $watch->($alice, $first->{cursor});
    is($status->($older), 'subscribed', 'with an older one');
    is($status->($older), 'job.running', '... how it is, and no gap');

    my $g = Travel::GraphqlSocket->open($t, token => $alice);
    $g->init;
    $g->ask('j', 'subscription($j: ID!) { jobUpdates(jobId: $j) '
        . '{ jobId status attempts } }', variables => { j => $job });
    is_deeply($g->next_json->{payload}{data}{jobUpdates}, { jobId => $job,
        status => 'running', attempts => 1 }, 'as a GraphQL subscription');
    for ([$bob, 'RESOURCE_NOT_FOUND'], [undef, 'AUTHENTICATION_ERROR']) {
        my $other = Travel::GraphqlSocket->open($t, token => $_->[0]);
        $other->init;
        $other->ask('j', "subscription { jobUpdates(jobId: \"$job\") "
            . '{ status } }');
        my $m = $other->next_json;
        is("$m->{type} $m->{payload}[0]{extensions}{code}",
            "error $_->[1]", '... not for another');
    }

    my $f = follow("live?topic=job:$job", path => '/api/v1');
    ok(until_got($f, qr/event: subscribed\n.*"job\.running".*\n\n/s),
        'as an event stream');
    my $other = follow("live?topic=job:$job", path => '/api/v1',
        token => $bob);
    ok(until_got($other, qr/event: error\n.*RESOURCE_NOT_FOUND/),
        '... not for another user');
    my $poll = $t->get("/api/v1/live?topic=job:$job", token => $alice)->{json};
    is($poll->{messages}[0]{message}{type}, 'job.running', 'by a poll');
    is($t->get("/api/v1/live?topic=job:$job", token => $bob)
        ->{json}{messages}[0]{code}, 'RESOURCE_NOT_FOUND',
        '... not for another user');

    $step->(status => 'succeeded', result => "{\"a\":\n1}");
    for ($s, $op, $late, $older) {
        my $m = $_->next_json;
        is($m->{message}{type}, 'job.succeeded', 'the end');
        is_deeply($m->{message}{data}{result}, { a => 1 }, '... its result');
    }
    is($g->next_json->{payload}{data}{jobUpdates}{status}, 'succeeded',
        '... as a subscription');
    ok(until_got($f, qr/"job\.succeeded".*\{"a": 1\}.*\n\n/),
        '... and in one line');
    is($t->get("/api/v1/live?topic=job:$job&cursor=$poll->{cursor}",
        token => $alice)->{json}{messages}[0]{message}{type},
        'job.succeeded', '... to the next poll');
};

$t->finish;
done_testing;
