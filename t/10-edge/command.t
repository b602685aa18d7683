# Writes: what is accepted and how it lies in Redis, what is refused without a
# trace, idempotency, waiting, job status, pending reads, a queue that is gone
# or full.  PostgreSQL and Redis are real; the worker is this test.
use strict;
use warnings;
use IO::Compress::Gzip ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->start(
    parts       => 'postgres replica queue cache nginx',
    ngx_workers => 1,
    allow_5xx   => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s/error\.log warn/error.log info/;
        s/sample=0\.1/sample=0/;
        s/(travel_catalog)/travel_backlog 200;\n    $1/;
    },
);
my $q = $t->redis('queue');
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my $UUID7 = qr/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

my %GOOD = (partner => 'opentable', venue_id => 'rest_456', party_size => 4,
    booking_date => '2030-03-01T19:00:00+01:00');

sub book {
    my ($more, %o) = @_;
    my %body = (%GOOD, %{ $more || {} });
    delete @body{ grep { !defined $body{$_} } keys %body };
    return $t->post('/api/v1/bookings', \%body, token => $alice, %o);
}

# In a child, so that several wait at once; returns a sub that waits for it.
sub later {
    my @args = @_;
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) {
        delete $t->{http};
        syswrite $out, JSON::PP->new->encode(book(@args));
        POSIX::_exit(0);
    }
    close $out;
    return sub { my $s = do { local $/; <$in> }; waitpid $pid, 0; json($s) };
}

# All entries of all streams, oldest first: [key, id, {fields}].
sub entries {
    my @all;
    for my $key (sort @{ $q->call('KEYS', 'travel:{*}:normal') }) {
        push @all, map { [$key, $_->[0], { @{ $_->[1] } }] }
            @{ $q->call('XRANGE', $key, '-', '+') };
    }
    return sort { $a->[1] cmp $b->[1] } @all;
}

sub hash_of {
    my ($job) = @_;
    my ($queue, $n, $uuid) = split /\./, $job;
    return { @{ $q->call('HGETALL', "travel:{$queue.$n}:job:$uuid") } };
}

# Ends a job as the settle script does.
sub settle {
    my ($redis, $job, $reply, %f) = @_;
    my ($queue, $n, $uuid) = split /\./, $job;
    $redis->call('HSET', "travel:{$queue.$n}:job:$uuid", %f, attempts => 1);
    $redis->call('PUBLISH', $reply, qq({"id":"$job","status":"$f{status}"}))
        if $reply;
}

# A worker in a process of its own: answers every new command by its type.
sub worker {
    my ($answer) = @_;
    my %at = map { $_->[0] => $_->[1] } entries();
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    my $redis = $t->redis('queue');
    while (getppid() != 1) {
        for my $key (@{ $redis->call('KEYS', 'travel:{*}:normal') }) {
            my $from = $at{$key} ? "($at{$key}" : '-';
            for my $e (@{ $redis->call('XRANGE', $key, $from, '+') }) {
                $at{$key} = $e->[0];
                my %f = @{ $e->[1] };
                my ($delay, %end) = $answer->(\%f);
                next unless %end;
                sleep $delay;
                settle($redis, $f{id}, $f{reply}, %end);
            }
        }
        sleep 0.005;
    }
    POSIX::_exit(0);
}

sub stop { kill 'KILL', $_[0]; waitpid $_[0], 0 }

wait_for(sub { $t->get('/ready')->{status} == 200 }, 10, 'ready');

my ($booking, $job);

my $GOOD = '{"partner":"opentable","venue_id":"v","party_size":4,'
    . '"booking_date":"2030-03-01T19:00:00Z"}';

subtest 'a promise' => sub {
    my $r = book();
    is($r->{status}, 202, 'accepted') or diag($r->{content});
    ($booking, $job) = ($r->{json}{id}, $r->{json}{job}{id});
    like($booking, $UUID7, 'a UUIDv7');
    is($job =~ s/^booking\.\d\.//r, $booking, 'its id is the command id');
    is_deeply($r->{json}, { id => $booking, status => 'pending', job => {
        id => $job, status => 'queued', status_url => "/api/v1/jobs/$job" } },
        'the body');
    is($r->{headers}{location}, "/api/v1/bookings/$booking", 'Location');
    is($r->{headers}{'travel-consistency'}, "job:$job", 'token');
    is($r->{headers}{'preference-applied'}, undef, 'no preference');

    my ($e, @more) = entries();
    is(scalar @more, 0, 'one entry');
    my ($n) = $job =~ /^booking\.(\d)/;
    is($e->[0], "travel:{booking.$n}:normal", 'in its stream');
    my %f = %{ $e->[2] };
    cmp_ok(abs($f{ts} / 1000 - time), '<', 5, 'now');
    delete $f{ts};
    is_deeply(json(delete $f{body}), \%GOOD, 'the body as it was sent');
    is_deeply(\%f, { id => $job, type => 'booking.create', v => 1,
        sub => $t->user(1), email => 'user1@travel.local', key => $booking },
        'the envelope, without reply and trace');
    my $h = hash_of($job);
    is($h->{status}, 'queued', 'the job hash');
    is($h->{sub}, $t->user(1), 'of the caller');
    is($h->{resource}, "/api/v1/bookings/$booking", 'resource');
    is($h->{created_at}, $h->{updated_at}, 'times');
};

subtest 'one user, one partition' => sub {
    my %n = map { (book({}, token => $_->[0])->{json}{job}{id}
        =~ /^(booking\.\d)/)[0] => 1 } ([$alice]) x 8;
    is(scalar keys %n, 1, 'always the same') or diag(join ' ', keys %n);
    my %all = map { (book({}, token => $t->user_token($_))->{json}{job}{id}
        =~ /^(booking\.\d)/)[0] => 1 } 10 .. 40;
    is(scalar keys %all, 4, 'many users use all four');
};

subtest 'pending reads and job status' => sub {
    my $r = $t->get("/api/v1/bookings/$booking", token => $alice);
    is($r->{status}, 200, 'there at once');
    is($r->{json}{status}, 'pending', 'pending');
    is($r->{json}{venue_id}, 'rest_456', 'with what was asked');
    is($r->{json}{job}{id}, $job, 'and its job');
    is($t->get("/api/v1/bookings/$booking", token => $bob)->{status}, 404,
        'not for others');
    my $other = $booking =~ s/.$/$booking =~ m{0$} ? 1 : 0/er;
    is($t->get("/api/v1/bookings/$other", token => $alice)->{status}, 404,
        'nor another id');

    $r = $t->get("/api/v1/jobs/$job", token => $alice);
    is($r->{status}, 200, 'status');
    is_deeply([@{ $r->{json} }{qw(id type status progress attempts result
        error)}], [$job, 'booking.create', 'queued', undef, 0, undef, undef],
        'says all');
    like($r->{json}{created_at}, qr/^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/, 'RFC 3339');
    for my $bad ($job =~ s/^booking/nothing/r, $job =~ s/\.\d\./.99./r,
        $job =~ s/\.\d\./.04./r, 'x', "$job-", $job =~ s/^booking/journey/r)
    {
        is($t->get("/api/v1/jobs/$bad", token => $alice)->{status}, 404, $bad);
    }
    is($t->get("/api/v1/jobs/$job", token => $bob)->{status}, 404, 'mine only');
    is($t->get("/api/v1/jobs/$job")->{status}, 401, 'nobody');

    settle($q, $job, '', status => 'failed',
        error => '{"code":"EXTERNAL_SERVICE_ERROR","message":"No table."}');
    $r = $t->get("/api/v1/bookings/$booking", token => $alice);
    is($r->{status}, 200, 'a failed create');
    is($r->{json}{status}, 'failed', 'is told');
    is($r->{json}{error}{message}, 'No table.', 'with the cause');
    $r = $t->delete("/api/v1/bookings/$booking", token => $alice);
    is($r->{status}, 404, 'and cannot be cancelled');
};

subtest 'cancelling what is still queued' => sub {
    my $made = book()->{json};
    my $n = () = entries();
    my $r = $t->delete("/api/v1/bookings/$made->{id}", token => $alice);
    is($r->{status}, 202, 'DELETE right after POST') or diag($r->{content});
    is($r->{json}{id}, $made->{id}, 'the booking');
    my $e = (entries())[-1];
    is($e->[2]{type}, 'booking.cancel', 'is a command');
    is($e->[2]{key}, $made->{id}, 'ordered by the booking');
    is($e->[2]{body}, qq({"booking_id":"$made->{id}"}), 'says which');
    is($r->{json}{job}{id} =~ s/\.[^.]+$//r, $made->{job}{id} =~ s/\.[^.]+$//r,
        'in the same partition');
    is($t->delete("/api/v1/bookings/$made->{id}", token => $bob)->{status},
        404, 'not by others');
    is($t->delete('/api/v1/bookings/nonsense', token => $alice)->{status},
        404, 'an id that is none');
    is(scalar(() = entries()), $n + 1, 'nothing else');

    my $url = $made->{job}{status_url};
    is($t->delete($url, token => $bob)->{status}, 404, 'not their job');
    $r = $t->delete($url, token => $alice);
    is($r->{status}, 200, 'a queued job can be called off');
    is($r->{json}{status}, 'cancelled', 'cancelled');
    $r = $t->delete($url, token => $alice);
    is($r->{status}, 409, 'once');
    is($r->{json}{error}{code}, 'JOB_NOT_CANCELLABLE', 'code');
    is($t->get("/api/v1/bookings/$made->{id}", token => $alice)
        ->{json}{status}, 'cancelled', 'and the booking says so');
};

subtest 'calling off what has begun' => sub {
    my $job = book()->{json}{job};
    my ($part, $uuid) = $job->{id} =~ /^(\w+\.\d+)\.(.+)$/;
    my $key = "travel:{$part}:job:$uuid";
    for my $status (qw(running retrying)) {
        $q->call('HSET', $key, 'status', $status);
        is($t->delete($job->{status_url}, token => $bob)->{status}, 404,
            "$status: not their job");
        is($q->call('HGET', $key, 'cancel'), undef, 'nobody is told');
        for (1, 2) {
            my $r = $t->delete($job->{status_url}, token => $alice);
            is($r->{status}, 202, 'its owner: accepted');
            is($r->{json}{status}, $status, 'it goes on until its handler ends it');
        }
        is($q->call('HGET', $key, 'cancel'), 1, 'the workers are told');
        $q->call('HDEL', $key, 'cancel');
    }
    $q->call('HSET', $key, 'status', 'succeeded');
    is($t->delete($job->{status_url}, token => $alice)->{status}, 409,
        'not what is over');
};

subtest 'bad input leaves nothing' => sub {
    my $before = () = entries();
    my $json = '{"partner":"opentable","venue_id":"v","party_size":4,'
        . '"booking_date":"2030-03-01T19:00:00Z"}';
    my @cases = (
        # body, status, code, pointer, offset
        ['{"partner":', 400, 'MALFORMED_JSON', '', 11],
        ['{"partner": tru}', 400, 'MALFORMED_JSON', '', 15],
        ["$json x", 400, 'MALFORMED_JSON', '', length($json) + 1],
        ["{\"partner\":\"\xff\"}", 400, 'MALFORMED_JSON', '', 12],
        [$json =~ s/\}$/,"partner":"klook"}/r, 400, 'DUPLICATE_KEY', '/partner'],
        ['[]', 422, 'VALIDATION_ERROR', ''],
        ['{}', 422, 'VALIDATION_ERROR', '/partner'],
        [$json =~ s/:4/:"4"/r, 422, 'VALIDATION_ERROR', '/party_size'],
        [$json =~ s/:4/:0/r, 422, 'VALIDATION_ERROR', '/party_size'],
        [$json =~ s/:4/:51/r, 422, 'VALIDATION_ERROR', '/party_size'],
        [$json =~ s/:4/:1.5/r, 422, 'VALIDATION_ERROR', '/party_size'],
        [$json =~ s/\}$/,"x":1}/r, 422, 'VALIDATION_ERROR', '/x'],
        [$json =~ s/opentable/Open Table/r, 422, 'VALIDATION_ERROR', '/partner'],
        [$json =~ s/Z"/"/r, 422, 'VALIDATION_ERROR', '/booking_date'],
        [$json =~ s/"v"/"v\\u0000"/r, 422, 'VALIDATION_ERROR', '/venue_id'],
        [$json =~ s/\}$/,"journey_id":"x"}/r, 422, 'VALIDATION_ERROR',
            '/journey_id'],
        # what only the database knows
        [$json =~ s/opentable/nobody/r, 422, 'VALIDATION_ERROR', '/partner'],
        [$json =~ s/2030/2020/r, 422, 'VALIDATION_ERROR', '/booking_date'],
        [$json =~ s/\}$/,"journey_id":"01890000-0000-7000-8000-0000000000ff"}/r,
            404, 'RESOURCE_NOT_FOUND', '/journey_id'],
        ['x' x 65537, 413, 'PAYLOAD_TOO_LARGE'],
    );
    for my $c (@cases) {
        my ($body, $status, $code, $pointer, $offset) = @$c;
        my $r = $t->request('POST', '/api/v1/bookings', body => $body,
            token => $alice);
        my $name = length $body > 120 ? 'a large body' : $body;
        is($r->{status}, $status, $name);
        is($r->{json}{error}{code}, $code, '... its code') or diag($r->{content});
        next unless defined $pointer;
        my ($d) = grep { $_->{pointer} eq $pointer } @{ $r->{json}{error}{details} };
        ok($d, "... points at '$pointer'") or diag($r->{content});
        is($d->{offset}, $offset, '... and the byte') if defined $offset;
        my $at = { '/party_size' => qr{^/properties/party_size/\w+$},
            '/x' => qr{/additionalProperties} }->{$pointer};
        like($d->{schema}, $at, '... and the place in the schema') if $at;
    }
    my $r = $t->request('POST', '/api/v1/bookings', body => $json,
        headers => { 'content-type' => 'text/plain' }, token => $alice);
    is($r->{status}, 415, 'wrong media type');
    $r = $t->request('POST', '/api/v1/bookings', body => $json,
        headers => { 'content-type' => 'application/json; charset=utf-8' },
        token => $alice);
    is($r->{status}, 202, 'a parameter is none');
    $r = $t->post('/api/v1/journeys', { origin => 'Qqqqqq', theme => 'food',
        destination => 'Boston, US' }, token => $alice);
    is($r->{status}, 422, 'an unknown place');
    is($r->{json}{error}{details}[0]{pointer}, '/origin', '... which');
    $r = $t->post('/api/v1/journeys/nonsense/stories', {}, token => $alice);
    is($r->{status}, 404, 'a path id that is none');
    $r = $t->post("/api/v1/journeys/$booking/stories",
        { journey_id => $booking }, token => $alice);
    is($r->{status}, 422, 'what the path says is not the body\'s to say');
    my $many = '{' . join(',', map { "\"a$_\":1" } 1 .. 40) . '}';
    $r = $t->request('POST', '/api/v1/bookings', body => $many, token => $alice);
    cmp_ok(scalar @{ $r->{json}{error}{details} }, '<=', 20, 'twenty errors');
    is(scalar(() = entries()), $before + 1, 'and no effect');
};

subtest 'a client that goes away' => sub {
    my $before = () = entries();
    my $body = '{"partner":"opentable","venue_id":"v","party_size":4,'
        . '"booking_date":"2030-03-01T19:00:00Z"}';
    my $head = "POST /api/v1/bookings HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $alice\r\nContent-Type: application/json\r\n";
    # while the check waits for a table that somebody has locked, until told
    my $kid = fork // die;
    if (!$kid) {
        eval { $t->sql('BEGIN; LOCK TABLE travel.partners; SELECT pg_sleep(30)',
            role => 'postgres') };
        POSIX::_exit(0);
    }
    for my $server ('primary', 'replica') {
        wait_for(sub { $t->sql(q{SELECT count(*) FROM pg_locks WHERE granted
            AND mode = 'AccessExclusiveLock'
            AND relation = 'travel.partners'::regclass}, role => 'postgres',
            on => $server) }, 5, "the lock on the $server") or return;
        $t->sql('SELECT pg_switch_wal()', role => 'postgres');
    }
    $t->raw($head . 'Content-Length: ' . length($body) . "\r\n\r\n$body",
        timeout => 0.3);
    $t->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()},
        role => 'postgres');
    waitpid $kid, 0;
    $t->raw($head . "Content-Length: 500\r\n\r\n$body", hang_up => 1);
    $t->raw($head . "Transfer-Encoding: chunked\r\n\r\n40\r\n$body",
        hang_up => 1);
    sleep 0.5;
    is(scalar(() = entries()), $before, 'no XADD');
    my $log = slurp($t->dir . '/logs/error.log');
    like($log, qr/client (?:hung up|prematurely closed).*POST \/api\/v1\/bookings/,
        'a log line');
    my $r = $t->raw($head . "Transfer-Encoding: chunked\r\nConnection: close"
        . "\r\n\r\n" . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
        $body =~ /(.{1,20})/g) . "0\r\n\r\n");
    like($r, qr{^HTTP/1.1 202 }, 'a chunked body is a body');
};

subtest 'a body in any wrapping' => sub {
    my $before = () = entries();
    my $send = sub {
        my ($body, %h) = @_;
        return $t->request('POST', '/api/v1/bookings', body => $body,
            token => $alice, headers => { 'content-type' => 'application/json',
            %h });
    };
    my %gzip = ('content-encoding' => 'gzip');
    my $zip = sub { my ($in) = @_;
        IO::Compress::Gzip::gzip(\$in, \my $out) or die; $out };
    my $r = $send->($zip->($GOOD), %gzip);
    is($r->{status}, 202, 'gzip') or diag($r->{content});
    is((entries())[-1][2]{body}, $GOOD, 'is enqueued as what is in it');
    is($send->($zip->(substr $GOOD, 0, 9) . $zip->(substr $GOOD, 9),
        'content-encoding' => 'X-GZIP')->{status}, 202, 'in two members');
    my $key = 'gzip-' . $$;
    my %k = ('idempotency-key' => $key);
    my $one = $send->($GOOD, %k);
    $r = $send->($zip->($GOOD), %gzip, %k);
    is($r->{headers}{'idempotent-replayed'}, 'true', 'the same request, zipped');
    is($r->{content}, $one->{content}, 'is the same');
    is($send->($GOOD, 'content-encoding' => 'identity')->{status}, 202, 'identity');

    # $before + 4 from here on
    my $bomb = $zip->('{"x":"' . 'a' x 20_000_000 . '"}');
    cmp_ok(length $bomb, '<', 65536, 'a bomb');
    $r = $send->($bomb, %gzip);
    is($r->{status}, 413, 'is too large');
    is($r->{json}{error}{code}, 'PAYLOAD_TOO_LARGE', 'and is told so');
    is($send->($zip->('"' . 'a' x 65534 . '"'), %gzip)->{status}, 422,
        'as large as may be');
    is($send->($zip->('"' . 'a' x 65535 . '"'), %gzip)->{status}, 413,
        'and a byte more');
    for (['cut off', substr $zip->($GOOD), 0, -5], ['no gzip', $GOOD],
        ['more than gzip', $zip->($GOOD) . 'x'], ['a bit turned',
        $zip->($GOOD) ^ ("\0" x 30 . "\1")])
    {
        $r = $send->($_->[1], %gzip);
        is($r->{status}, 400, $_->[0]);
        is($r->{json}{error}{code}, 'MALFORMED_REQUEST', '... its code');
    }
    $r = $send->($GOOD, 'content-encoding' => 'br');
    is($r->{status}, 415, 'another coding');
    is($r->{headers}{'accept-encoding'}, 'gzip, identity', 'which would do');
    is($send->($zip->($zip->($GOOD)), 'content-encoding' => 'gzip, gzip')
        ->{status}, 415, 'two of them');
    is(scalar(() = entries()), $before + 4, 'nothing of these went in');

    # larger than nginx's buffer: in a file, and in chunks of all sizes
    my $large = $GOOD =~ s/^\{/'{' . ' ' x 60_000/er;
    is($send->($large)->{status}, 202, 'a body in a temp file');
    is((entries())[-1][2]{body}, $large, 'whole');
    my $head = "POST /api/v1/bookings HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $alice\r\nContent-Type: application/json\r\n"
        . "Connection: close\r\n";
    for my $size (7, 4096, 40_000) {
        my $raw = $t->raw($head . "Transfer-Encoding: chunked\r\n\r\n"
            . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
            unpack "(a$size)*", $large) . "0\r\n\r\n", timeout => 5);
        like($raw, qr{^HTTP/1\.1 202 }, "in chunks of $size");
        is((entries())[-1][2]{body}, $large, 'whole');
    }
    my $z = $zip->($large);
    like($t->raw($head . "Content-Encoding: gzip\r\nTransfer-Encoding: chunked"
        . "\r\n\r\n" . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
        unpack '(a50)*', $z) . "0\r\n\r\n"), qr{^HTTP/1\.1 202 },
        'zipped, and in chunks');
    is((entries())[-1][2]{body}, $large, 'whole');
};

subtest 'Idempotency-Key' => sub {
    my $before = () = entries();
    my %k = (headers => { 'idempotency-key' => '"once"' });
    my $one = book({}, %k);
    is($one->{status}, 202, 'first') or diag($one->{content});
    is($one->{headers}{'idempotent-replayed'}, undef, 'not a replay');
    my $two = book({}, headers => { 'idempotency-key' => 'once' });
    is($two->{status}, 202, 'again, as a bare token');
    is($two->{headers}{'idempotent-replayed'}, 'true', 'a replay');
    is($two->{content}, $one->{content}, 'the same ids');
    is($two->{headers}{location}, $one->{headers}{location}, 'Location');
    my $r = book({ party_size => 5 }, %k);
    is($r->{status}, 422, 'another body');
    is($r->{json}{error}{code}, 'IDEMPOTENCY_MISMATCH', 'code');
    unlike($r->{content}, qr/\Q$one->{json}{id}\E/, 'and tells nothing');
    $r = book({}, %k, token => $bob);
    is($r->{status}, 202, 'another caller');
    isnt($r->{json}{id}, $one->{json}{id}, 'has keys of their own');
    is(scalar(() = entries()), $before + 2, 'two entries in all');
    $r = book({}, headers => { 'idempotency-key' => '"on\\"ce \\\\"' });
    is($r->{status}, 202, 'a string of RFC 8941');
    $r = book({}, headers => { 'idempotency-key' => ['a', 'b'] });
    is($r->{status}, 400, 'two keys are none');
    for my $bad ('""', 'a b', 'x' x 256, "\"a\"b\"", '"a\\b"', '"a\\"') {
        is(book({}, headers => { 'idempotency-key' => $bad })->{status}, 400,
            'bad key ' . substr $bad, 0, 10);
    }
    settle($q, $one->{json}{job}{id}, '', status => 'succeeded',
        result => '{"id":"x"}', timeline => 1, lsn => '0/10', inval => '5-0');
    $r = book({}, %k);
    is($r->{status}, 202, 'after it is done: what the first was told');
    is($r->{content}, $one->{content}, 'to the byte');
    is($r->{headers}{'idempotent-replayed'}, 'true', 'replayed');
    $r = book({}, headers => { %{ $k{headers} }, prefer => 'wait=5' });
    is($r->{content}, $one->{content}, 'whatever the repeat prefers');
    is($r->{headers}{'preference-applied'}, undef, 'which is not applied');
    $q->call('DEL', grep { /:job:\Q$one->{json}{id}\E/ }
        @{ $q->call('KEYS', 'travel:{*}:job:*') });
    $r = book({}, %k);
    is($r->{status}, 202, 'when the job is forgotten');
    is($r->{json}{id}, $one->{json}{id}, 'the id still holds');
    is($t->redis('queue')->call('SCRIPT', 'FLUSH'), 'OK', 'scripts forgotten');
    is(book({}, headers => { 'idempotency-key' => 'two' })->{status}, 202,
        'no matter');
};

subtest 'a repeat that the check would refuse' => sub {
    my $id = '0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee';
    my $user = $t->user(1);
    $t->sql("INSERT INTO travel.bookings (id, user_id, partner, venue_id, "
        . "booking_date, party_size, status) VALUES ('$id', '$user', "
        . "'opentable', 'v', now() + interval '1 day', 2, 'confirmed')",
        role => 'postgres');
    my %k = (token => $alice, headers => { 'idempotency-key' => 'cancel-1' });
    my $one = $t->delete("/api/v1/bookings/$id", %k);
    is($one->{status}, 202, 'cancelled') or diag($one->{content});
    my $job = $one->{json}{job}{id};
    $t->sql("UPDATE travel.bookings SET status = 'cancelled' WHERE id = '$id'",
        role => 'postgres');
    my $before = () = entries();
    my $two = $t->delete("/api/v1/bookings/$id", %k);
    is($two->{status}, 202, 'the repeat hears the same') or diag($two->{content});
    is($two->{json}{job}{id}, $job, 'the same job');
    is($two->{headers}{'idempotent-replayed'}, 'true', 'as a replay');
    settle($q, $job, '', status => 'succeeded', result => '{"done":1}');
    $two = $t->delete("/api/v1/bookings/$id", %k);
    is($two->{status}, 202, 'also when it has ended');
    is($two->{content}, $one->{content}, 'to the byte');
    is($t->delete("/api/v1/bookings/$id", token => $alice)->{json}{error}{code},
        'BOOKING_NOT_CANCELLABLE', 'without the key it is refused');
    is($t->delete("/api/v1/bookings/$id", token => $alice,
        headers => { 'idempotency-key' => 'cancel-2' })->{status}, 409,
        'under another key too');
    is(scalar(() = entries()), $before, 'nothing went in');
};

subtest 'waiting' => sub {
    my $pid = worker(sub {
        my ($f) = @_;
        my %b = (venue_id => '', %{ json($f->{body}) });
        return 0.05, status => 'failed', error =>
            '{"code":"CONFLICT","message":"Taken."}' if $b{venue_id} eq 'taken';
        return 0.05, status => 'dead', error =>
            '{"code":"HTTP_500","message":"partner \u00e9"}' if $b{venue_id} eq 'dead';
        return if $b{venue_id} eq 'never';
        return 0.3, status => 'succeeded', timeline => 1, lsn => '0/20',
            inval => '7-1', result => qq({"id":"$f->{key}","x":1.50});
    });
    my %w = (headers => { prefer => 'wait=5' });
    my $from = time;
    my $r = book({}, %w);
    is($r->{status}, 201, 'the result') or diag($r->{content});
    cmp_ok(time - $from, '<', 2, 'as soon as it is there');
    is($r->{content}, qq({"id":"$r->{json}{id}","x":1.50}), 'its bytes');
    is($r->{headers}{location}, "/api/v1/bookings/$r->{json}{id}", 'Location');
    is($r->{headers}{'preference-applied'}, 'wait=5', 'preference');
    like($r->{headers}{'travel-consistency'}, qr/^[\w-]{40,}$/, 'a signed token');
    like((entries())[-1][2]{reply}, qr/^travel:reply:.+-\d+$/, 'reply channel');
    $r = book({ venue_id => 'taken' }, %w);
    is($r->{status}, 409, 'a refusal');
    is($r->{json}{error}{code}, 'CONFLICT', 'its code');
    is($r->{json}{error}{message}, 'Taken.', 'its words');
    like($r->{json}{error}{details}[0]{message}, qr/^booking\.\d\./, 'the job');
    $r = book({ venue_id => 'dead' }, %w);
    is($r->{status}, 502, 'a code that is not ours');
    $from = time;
    $r = book({ venue_id => 'never' }, headers => { prefer => 'wait=1' });
    is($r->{status}, 202, 'not in time');
    cmp_ok(abs(time - $from - 1), '<', 0.5, 'one second');
    is($r->{headers}{'preference-applied'}, 'wait=1', 'preference');
    $from = time;
    $r = book({}, headers => { prefer => 'respond-async' });
    is($r->{status}, 202, 'respond-async');
    cmp_ok(time - $from, '<', 0.25, 'at once');
    is($r->{headers}{'preference-applied'}, 'respond-async', 'preference');
    my $s = $t->get($r->{json}{job}{status_url}, %w, token => $alice);
    is($s->{json}{status}, 'succeeded', 'a long poll');
    is($s->{json}{result}{x}, 1.5, 'with the result');
    is($s->{json}{attempts}, 1, 'attempts');
    $r = $t->get("/api/v1/jobs/$r->{json}{job}{id}", token => $bob, %w);
    is($r->{status}, 404, 'no long poll for others');

    # the same key, while the first is being done: one job, one result
    my %k = (headers => { prefer => 'wait=5', 'idempotency-key' => 'w' });
    $r = book({}, headers => { 'idempotency-key' => 'w' });
    $s = book({}, %k);
    is($s->{status}, 202, 'a repeat of a promise is that promise');
    is($s->{content}, $r->{content}, 'to the byte');
    $k{headers}{'idempotency-key'} = 'w2';
    $r = book({}, %k);
    is($r->{status}, 201, 'a first that waited');
    $s = book({}, headers => { 'idempotency-key' => 'w2' });
    is($s->{status}, 201, 'is repeated with its outcome');
    is($s->{content}, $r->{content}, 'to the byte');
    is($s->{headers}{'idempotent-replayed'}, 'true', 'as a replay');
    $k{headers}{'idempotency-key'} = 'w3';
    $r = book({ venue_id => 'taken' }, %k);
    $s = book({ venue_id => 'taken' }, %k);
    is($r->{status}, 409, 'so is a refusal');
    is($s->{status}, 409, 'by the job');
    $k{headers}{'idempotency-key'} = 'w4';
    $k{headers}{prefer} = 'wait=1';
    $r = book({ venue_id => 'never' }, %k);
    is($r->{status}, 202, 'one that waited in vain');
    settle($q, $r->{json}{job}{id}, '', status => 'succeeded', result => '1');
    $s = book({ venue_id => 'never' }, %k);
    is($s->{content}, $r->{content}, 'is a promise from then on');
    $k{headers}{'idempotency-key'} = 'w5';
    $k{headers}{prefer} = 'wait=5';
    my $gone = $t->raw("POST /api/v1/bookings HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $alice\r\nContent-Type: application/json\r\n"
        . "Prefer: wait=5\r\nIdempotency-Key: w5\r\nContent-Length: "
        . length($GOOD) . "\r\n\r\n$GOOD", timeout => 0.1);
    $s = $t->request('POST', '/api/v1/bookings', body => $GOOD,
        token => $alice, headers => { %{ $k{headers} },
            'content-type' => 'application/json' });
    is($s->{status}, 201, 'and one whose client left before its answer');
    is($s->{headers}{'idempotent-replayed'}, 'true', 'is told the outcome');

    # preferences
    my @preferences = (['respond-async, wait=1', 'respond-async, wait=1'],
        ['foo="a, respond-async;b", WAIT = "1" ; x=y', 'wait=1'],
        ['wait=1, wait=9', 'wait=1'], [['wait=1', 'wait=9'], 'wait=1'],
        [['unknown', 'respond-async'], 'respond-async'], ['wait=x, wait=1', undef],
        ['wait=-1', undef], ['handling=lenient', undef]);
    my @answers = map { later({ venue_id => 'never' },
        headers => { prefer => $_->[0] }) } @preferences;
    for (@preferences) {
        $r = shift(@answers)->();
        is($r->{headers}{'preference-applied'}, $_->[1],
            'Prefer: ' . join ' | ', ref $_->[0] ? @{ $_->[0] } : $_->[0]);
        my $vary = $r->{headers}{vary} // '';
        like(join(', ', ref $vary ? @$vary : $vary), qr/\bPrefer\b/, 'Vary');
    }

    # journeys wait two seconds unasked
    $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
        destination => 'Hartford, US', theme => 'food' }, token => $alice);
    is($r->{status}, 201, 'wait_default');

    # a reload does not cut the wait
    my $kid = fork // die;
    if (!$kid) { sleep 0.1; kill 'HUP', $t->pid_of('nginx'); POSIX::_exit(0) }
    $r = book({}, %w);
    is($r->{status}, 201, 'through a reload');
    waitpid $kid, 0;
    delete $t->{http};      # its connection was the old worker's

    # a message that is lost, and a link that breaks
    $kid = fork // die;
    if (!$kid) {
        my $redis = $t->redis('queue');
        sleep 0.1;
        $redis->call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        POSIX::_exit(0);
    }
    $from = time;
    $r = book({}, %w);
    is($r->{status}, 201, 'through a lost channel');
    cmp_ok(time - $from, '<', 4, 'and not by time-out');
    waitpid $kid, 0;
    stop($pid);
};

subtest 'a story waits for its journey' => sub {
    my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
        destination => 'Hartford, US', theme => 'food' }, token => $alice,
        headers => { prefer => 'respond-async' });
    is($r->{status}, 202, 'a journey in the queue');
    my $s = $t->post("/api/v1/journeys/$r->{json}{id}/stories", {},
        token => $alice);
    is($s->{status}, 202, 'its story is accepted') or diag($s->{content});
    my $e = (entries())[-1];
    is($e->[2]{body}, qq({"journey_id":"$r->{json}{id}"}), 'and names it');
    like($e->[0], qr/^travel:\{ai\.\d\}/, 'in the queue of stories');
    is($t->post("/api/v1/journeys/$r->{json}{id}/stories", {}, token => $bob)
        ->{status}, 404, 'not for others');
};

subtest 'tracing' => sub {
    my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    book({}, headers => { traceparent => "00-$trace-00f067aa0ba902b7-01" });
    my $tp = (entries())[-1][2]{tp};
    like($tp, qr/^00-$trace-[0-9a-f]{16}-0[13]$/, 'the envelope goes on with it');
    unlike($tp, qr/00f067aa0ba902b7/, 'under a span of its own');
};

subtest 'full' => sub {
    my $token = $t->user_token(77);
    my ($n, $r) = (0);
    for (1 .. 400) {
        $r = book({}, token => $token);
        last if $r->{status} != 202;
        $n++;
    }
    is($r->{status}, 503, 'bounded') or diag($n);
    is($r->{json}{error}{code}, 'QUEUE_FULL', 'code');
    cmp_ok($r->{headers}{'retry-after'}, '>=', 1, 'Retry-After');
    cmp_ok($n, '<=', 200, 'not more than the bound');
    $q->call('DEL', @{ $q->call('KEYS', 'travel:{booking.*}:normal') });
    ok(wait_for(sub { book({}, token => $token)->{status} == 202 }, 5,
        'room again'), 'and open again');
};

subtest 'a queue that hangs, and one that is gone' => sub {
    $t->freeze('queue');
    my $r = book({}, headers => { 'idempotency-key' => 'lost' });
    is($r->{status}, 503, 'no answer');
    is($r->{json}{error}{code}, 'OUTCOME_UNKNOWN', 'unknown');
    is($r->{headers}{'retry-after'}, 1, 'Retry-After');
    $t->unfreeze('queue');
    my $again = wait_for(sub {
        my $a = book({}, headers => { 'idempotency-key' => 'lost' });
        $a->{status} == 202 && $a;
    }, 10, 'again') or return;
    is(scalar(grep { $_->[2]{key} eq $again->{json}{id} } entries()), 1,
        'one entry, whatever became of the first');
    is(scalar(grep { $_->[2]{id} eq $again->{json}{job}{id} } entries()), 1,
        'one job');

    $t->cut('queue', sessions => 1);
    sleep 0.3;
    $r = book();
    is($r->{status}, 503, 'gone');
    is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'and known so');
    is($t->get('/api/v1/bookings', token => $alice)->{status}, 200,
        'reads go on');
    $t->mend('queue');
    ok(wait_for(sub { book()->{status} == 202 }, 10, 'back'), 'and writes again');
};

subtest 'a queue that is out of memory' => sub {
    $q = $t->redis('queue');
    my ($old) = $q->call('CONFIG', 'GET', 'maxmemory')->[1];
    my $before = () = entries();
    $q->call('CONFIG', 'SET', 'maxmemory', '1');
    for my $h ({}, { 'idempotency-key' => 'oom' }) {
        my $r = book({}, headers => $h);
        is($r->{status}, 503, 'refused');
        is($r->{json}{error}{code}, 'DEPENDENCY_UNAVAILABLE', 'nothing was done');
    }
    $q->call('CONFIG', 'SET', 'maxmemory', $old);
    is(scalar(() = entries()), $before, 'indeed');
    is(book({}, headers => { 'idempotency-key' => 'oom' })->{status}, 202,
        'the key can be used again');
};

subtest 'counters' => sub {
    my $m = $t->get('/metrics')->{content};
    like($m, qr/^travel_commands_total\{type="booking.create",outcome="$_->[0]"\} [1-9]/m,
        $_->[0]) for ['accepted'], ['replayed'], ['refused'], ['full'],
        ['unavailable'], ['unknown'];
    like($m, qr/^travel_redis_connects_total\{server="queue"\} [1-9]/m, 'links');
};

# nginx -t, with the sanitizer's runtime first where the module needs it.
subtest 'nginx -t' => sub {
    my @cases = (
        ['travel_command GET booking.create', qr/method "GET" must be POST/],
        ['travel_command POST no.such', qr/no\.such\.json.*(?:open|read)/],
        ['travel_command DELETE booking.cancel', qr/add id=\$/],
        ['travel_command POST booking.create id=$x', qr/remove id=/],
        ['travel_command POST booking.create waits=1', qr/"waits=1" must be one of/],
        ['travel_command POST booking.create wait=never', qr/"wait=never" must be a time/],
        ['travel_command POST booking.create set=x', qr/member:value/],
        ['travel_command POST booking.create check=no.check', qr/no\.check/],
        ['travel_command POST booking.create check=bookings.list', qr/\@returns rows/],
        ['travel_command POST booking.create max_body=2g', qr/max_body/],
        ['travel_command POST booking.create max_errors=101', qr/from 1 to 100/],
        ['travel_command POST booking.create formats=maybe', qr/formats=assert\|annotate/],
        ['travel_command POST booking.create idempotency_ttl=4d', qr/from 1s to 3d/],
        ['travel_command POST booking.create unique_ttl=1h', qr/"unique_ttl=" of booking.create .* add unique=, or remove it/],
        ['travel_job_status wait=1s', qr/needs id=/],
    );
    my $conf = slurp($t->dir . '/nginx.conf');
    for my $c (@cases) {
        (my $text = $conf) =~ s/(location = \/health )/location = \/t { set \$x 1; $c->[0]; }\n$1/
            or die 'no place';
        $t->write('bad.conf', $text);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, $c->[0]);
        like($out, $c->[1], '... says why');
        like($out, qr/bad\.conf:\d+/, '... and where');
    }
};

$t->finish;
done_testing;
