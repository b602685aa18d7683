# What breaks what: each part dies in its turn, under readers and writers, and
# clients see what the design promises and no more.  Starts first.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $BACKLOG = 12;

my $t = Travel::Test->start(allow_5xx => 1, allow_log => qr/exited on signal 9/,
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(    travel_catalog )/    travel_backlog $BACKLOG;\n$1/;
        s/(server_name _;)/$1
        add_header X-Cache  \$travel_cache_status always;
        add_header X-Server \$travel_server always;/;
    });

my $token = $t->user_token(1);
my @auth  = (token => $token);
my %table = (partner => 'opentable', venue_id => 'rest_456', party_size => 2,
    booking_date => '2030-03-01T19:00:00Z');
my $J = '/api/v1/journeys';
my $B = '/api/v1/bookings';

sub ready {
    my ($what) = @_;
    return wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, $what);
}

sub book {
    my ($prefer, %o) = @_;
    return $t->post($B, { %table }, token => $o{token} // $token,
        headers => { prefer => $prefer, %{ $o{headers} || {} } });
}

sub status_of { return $t->get("$B/$_[0]", @auth)->{json}{status} // 'none' }

sub comes {
    my ($id, $status, $what, $seconds) = @_;
    ok(wait_for(sub { status_of($id) eq $status }, $seconds // 20, $what), $what);
}

# Waits until what is not cached comes from there.
sub serves {
    my ($server, $what) = @_;
    return wait_for(sub {
        my $r = $t->get('/api/v1/places?q=' . join('', map {
            ('a' .. 'z')[rand 26] } 1 .. 4), @auth);
        ($r->{headers}{'x-server'} // '') =~ /$server/;
    }, 20, $what);
}

sub code_of { return $_[0]{json}{error}{code} // "$_[0]{status}" }

# Goes on reading while the code runs: what is cached, what is not, and one's
# own.  What it was told: [ time, path, status, seconds, cache, server ].
sub while_reading {
    my ($code, %o) = @_;
    my $file = $t->dir . '/reader';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my $over = 0;
        local $SIG{TERM} = sub { $over = 1 };
        open my $out, '>', $file or POSIX::_exit(1);
        my $http = HTTP::Tiny->new(timeout => 20, keep_alive => 1);
        for (my $i = 0; !$over; $i++) {
            my $path = ("$J?limit=10", '/api/v1/places?q=b' . join('', map {
                ('a' .. 'z')[rand 26] } 1 .. 3), '/api/v1/me')[$i % 3];
            my $start = time;
            my $r = $http->get($t->url . $path, { headers => {
                authorization => "Bearer $token" } });
            printf $out "%.3f %s %d %.3f %s %s\n", $start, $path, $r->{status},
                time - $start, $r->{headers}{'x-cache'} || '-',
                $r->{headers}{'x-server'} || '-';
            sleep 0.01;
        }
        close $out;
        POSIX::_exit(0);
    }
    sleep 0.3;
    my $from = time;
    $code->();
    my $to = time;
    sleep 0.2;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    return grep { $_->[0] >= $from && $_->[0] <= $to || $o{all} }
        map { [split / /] } split /\n/, Travel::Test::slurp($file);
}

# All of them answered, none of them late.
sub undisturbed {
    my ($longest, @reads) = @_;
    my @bad = grep { $_->[2] != 200 } @reads;
    my ($slow) = sort { $b->[3] <=> $a->[3] } @reads;
    cmp_ok(scalar @reads, '>=', 5, scalar(@reads) . ' reads');
    is_deeply([map { "@$_" } @bad[0 .. ($#bad > 4 ? 4 : $#bad)]], [],
        'all were answered');
    cmp_ok($slow->[3], '<', $longest, "the slowest in $slow->[3] s")
        or diag("@$slow");
}

ready('the edge');
my $journey = $t->post($J, { origin => 'Boston, US', theme => 'food',
    destination => 'Hartford, US' }, @auth, headers => { prefer => 'wait=10' });
is($journey->{status}, 201, 'a journey') or diag($journey->{content});
is(book('wait=10')->{status}, 201, 'a booking');
$t->get("$J?limit=10", @auth) for 1 .. 20;

subtest 'a worker process: nothing' => sub {
    $t->write('sandbox.mode', "slow\n");
    my @waits = map {
        pipe my $in, my $out or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            my $r = book('wait=30', token => $t->user_token($_));
            print $out join "\t", $r->{status}, $r->{json}{id} // '-',
                $r->{json}{status} // '-';
            close $out;
            POSIX::_exit(0);
        }
        close $out;
        [ $pid, $in ];
    } 1 .. 6;
    sleep 1;
    my @victims = $t->children_of('workers');
    kill 'KILL', @victims;
    cmp_ok(scalar @victims, '>=', 2, 'all killed in the middle of it');
    my @told;
    for (@waits) {
        my ($pid, $in) = @$_;
        push @told, [ split /\t/, scalar <$in> ];
        waitpid $pid, 0;
    }
    is_deeply([map { "$_->[0] $_->[2]" } @told], [('201 confirmed') x 6],
        'those who waited have their bookings') or diag(explain(\@told));
    unlink $t->dir . '/sandbox.mode';
    for my $id (map { $_->[1] } @told) {
        my %keys = map { $_->{idempotency_key} => 1 } grep {
            $_->{uri} =~ /confirm$/ && $_->{idempotency_key} =~ /\Q$id\E/
        } $t->partner_calls;
        is(scalar keys %keys, 1, 'under one key at the partner');
        is($t->sql("SELECT count(*) FROM events.event WHERE stream_id = '$id'
            AND type = 'booking.confirmed'"), 1, 'once in the event store');
    }
};

subtest 'the queue: reads go on, writes are refused' => sub {
    my $first = book('respond-async');
    my (@writes, @job, $health, $ready);
    my @reads = while_reading(sub {
        $t->kill_part('queue');
        sleep 1.6;
        for (1 .. 5) { push @writes, book('respond-async'); sleep 0.1 }
        push @job, $t->get($first->{json}{job}{status_url}, @auth);
        $health = $t->get('/health')->{status};
        $ready  = $t->get('/ready')->{status};
        sleep 0.5;
    });
    undisturbed(1, @reads);
    my $silent = $reads[0][0] + 1.3;
    my %cache;
    $cache{ $_->[4] }++ for grep { $_->[0] > $silent } @reads;
    ok(!$cache{HIT}, 'nothing is a hit after a second of silence')
        or diag(explain(\%cache));
    is_deeply([map { "$_->{status} " . code_of($_) } @writes],
        [('503 DEPENDENCY_UNAVAILABLE') x 5], 'writes: 503');
    ok(!(grep { !$_->{headers}{'retry-after'} } @writes), 'with Retry-After');
    is(code_of($job[0]), 'DEPENDENCY_UNAVAILABLE', 'what a job does: 503');
    is("$health $ready", '200 503', 'healthy, but not ready');

    $t->start_part('queue');
    ready('the edge again');
    my $r = wait_for(sub { my $r = book('wait=10'); $r->{status} == 201 && $r },
        10, 'writes again');
    ok($r, 'writes again');
    comes($first->{json}{id}, 'confirmed', 'what was accepted before is done');
    ok(wait_for(sub { ($t->get("$J?limit=10", @auth)->{headers}{'x-cache'}
        // '') eq 'HIT' }, 10, 'a hit'), 'and the cache is one again');
};

subtest 'the queue, silent: nobody knows' => sub {
    my %key = (headers => { 'idempotency-key' => 'silent' });
    my $mark = $t->sql('SELECT count(*) FROM travel.bookings');
    $t->freeze('queue');
    my $start = time;
    my $r = book('respond-async', %key);
    my $took = time - $start;
    is("$r->{status} " . code_of($r), '503 OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN');
    cmp_ok($took, '<', 3, 'within the link\'s time-out');
    ok($r->{headers}{'retry-after'}, 'with Retry-After');
    my $next = book('respond-async', headers => { 'idempotency-key' => 's2' });
    like(code_of($next), qr/^(?:DEPENDENCY_UNAVAILABLE|OUTCOME_UNKNOWN)$/,
        'the next: ' . code_of($next));
    $t->unfreeze('queue');
    ready('the edge again');
    my $again = book('wait=10', %key);
    is($again->{status}, 201, 'repeated by its key: done')
        or diag($again->{content});
    sleep 1;
    my $made = $t->sql('SELECT count(*) FROM travel.bookings') - $mark;
    ok($made == 1 || $made == 2, 'once');
    is($t->sql("SELECT count(*) FROM travel.bookings
        WHERE id = '$again->{json}{id}'"), 1, 'that one');
};

# Redis says no, and has done nothing.
sub refused {
    my ($what) = @_;
    my @r = map { book('respond-async', headers => $_) } {},
        { 'idempotency-key' => $what };
    is_deeply([map { "$_->{status} " . code_of($_) } @r],
        [('503 DEPENDENCY_UNAVAILABLE') x 2], "$what: 503");
    ok(!(grep { !$_->{headers}{'retry-after'} } @r), 'with Retry-After');
    is($t->get("$J?limit=10", @auth)->{status}, 200, 'reads go on');
}

sub over {
    my ($r) = @_;
    my $path = $r->{json}{job}{status_url};
    return wait_for(sub { $t->get($path, @auth)->{json}{status}
        eq 'succeeded' }, 30, "$path is over");
}

subtest 'the queue, full: jobs are done, and that makes room' => sub {
    $t->stop_part('workers');
    my @in = map { book('respond-async') } 1 .. 6;
    my $q = $t->redis('queue');
    $q->call(qw(CONFIG SET maxmemory 1));
    refused('full');
    $t->start_part('workers');
    ok(over($_), 'done') for @in;
    comes($_->{json}{id}, 'confirmed', 'confirmed') for @in;
    refused('full-still');
    $q->call(qw(CONFIG SET maxmemory 0));
    is(book('wait=10')->{status}, 201, 'room again');
};

subtest 'the queue, whose disk is full' => sub {
    my $q = $t->redis('queue');
    my $in = $t->dir . '/redis-queue/dump.rdb';
    mkdir $in and mkdir "$in/way" or die "$in: $!";
    $q->call(qw(CONFIG SET save), '3600 1');
    my $first = book('respond-async');
    $q->call('BGSAVE');
    wait_for(sub { $q->call('INFO', 'persistence')
        =~ /rdb_last_bgsave_status:err/ }, 10, 'MISCONF');
    refused('MISCONF');
    rmdir "$in/way" and rmdir $in or die "$in: $!";
    $q->call('BGSAVE');
    wait_for(sub { $q->call('INFO', 'persistence')
        =~ /rdb_last_bgsave_status:ok/ }, 10, 'a save');
    ok(over($first), 'what was accepted before is done');
    is(book('wait=10')->{status}, 201, 'and writes go on');
    $q->call(qw(CONFIG SET save), '');
    unlink $in;
};

subtest 'the queue, busy with a script' => sub {
    my $q = $t->redis('queue');
    $q->call(qw(CONFIG SET busy-reply-threshold 50));
    my $first = book('respond-async');
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        eval { $t->redis('queue')->call('EVAL', 'while true do end', 0) };
        POSIX::_exit(0);
    }
    wait_for(sub { !eval { $q->call('PING') } && $@ =~ /BUSY/ }, 10, 'BUSY');
    refused('BUSY');
    $q->call('SCRIPT', 'KILL');
    waitpid $pid, 0;
    ok(over($first), 'what was accepted before is done');
    is(book('wait=10')->{status}, 201, 'and writes go on');
};

# As a machine that loses its power leaves it; and while it is read again.
subtest 'the queue, its last write half on the disk' => sub {
    $t->stop_part('workers');
    my @in = map { book('respond-async') } 1 .. 3;
    my $q = $t->redis('queue');
    $q->calls(map { ['SET', "travel:pad:$_", 1, 'EX', 60] } 1 .. 4000);
    $t->kill_part('queue');
    my $home = $t->dir . '/redis-queue';
    my ($aof) = reverse sort glob "$home/appendonlydir/*.incr.aof";
    open my $out, '>>', $aof or die "$aof: $!";
    print $out "*5\r\n\$4\r\nXADD\r\n\$22\r\ntravel:{book";
    close $out;
    system('redis-server', "$home/redis.conf", '--key-load-delay', 300) == 0
        or die 'redis-server';
    ok(wait_for(sub { !eval { $t->redis('queue')->call('PING') }
        && $@ =~ /LOADING/ }, 20,
        'LOADING'), 'it loads');
    refused('LOADING');
    is($t->get('/ready')->{status}, 503, 'not ready');
    wait_for(sub { eval { $t->redis('queue')->call('PING') } }, 30, 'it');
    $t->start_part('workers');
    ready('the edge again');
    ok(over($_), 'what was accepted before is done') for @in;
    is(book('wait=10')->{status}, 201, 'and writes go on');
};

subtest 'the cache Redis: nothing' => sub {
    my @w;
    undisturbed(1, while_reading(sub {
        $t->kill_part('cache');
        for (1 .. 5) { push @w, book('wait=10')->{status}; sleep 0.1 }
    }));
    is("@w", '201 201 201 201 201', 'writes too');
    $t->start_part('cache');
};

subtest 'the replica: nothing' => sub {
    serves('replica', 'it serves');
    my @w;
    my @reads = while_reading(sub {
        $t->kill_part('replica');
        for (1 .. 3) { push @w, book('wait=10')->{status}; sleep 0.3 }
    });
    undisturbed(1, @reads);
    is("@w", '201 201 201', 'writes too');
    is_deeply([grep { $_->[0] > $reads[0][0] + 0.7 && $_->[5] =~ /replica/ }
        @reads], [], 'and nobody asks it any more');
    $t->start_part('replica');
    ok(serves('replica', 'it to serve again'), 'until it is back');
};

subtest 'the replica, silent: slower at most' => sub {
    my @reads = while_reading(sub {
        $t->freeze('replica');
        sleep 3.5;
        $t->unfreeze('replica');
        sleep 0.5;
    });
    undisturbed(3, @reads);
    my @late = grep { $_->[3] > 1 } @reads;
    cmp_ok(scalar @late, '<=', 2, 'one per nginx worker had to wait at most')
        or diag(map { "@$_\n" } @late);
    ok((grep { $_->[5] =~ /primary/ } @reads), 'the primary served');
    serves('replica', 'it serves again');
};

# A session that was asked only now has heard nothing all the same.
subtest 'the replica, asked in the middle of its silence' => sub {
    for my $after (0.1, 0.3, 0.45) {
        serves('replica', 'it serves');
        $t->freeze('replica');
        sleep $after;
        my @reads = map { $t->get('/api/v1/places?q=' . join('', map {
            ('a' .. 'z')[rand 26] } 1 .. 5), @auth)->{status} } 1 .. 20;
        $t->unfreeze('replica');
        is_deeply([grep { $_ != 200 } @reads], [], "after $after s: answered");
    }
};

subtest 'the primary: reads go on, writes are accepted' => sub {
    my (@w, $wait);
    my @reads = while_reading(sub {
        push @w, book('respond-async');
        $t->kill_part('postgres');
        sleep 1;
        for (1 .. 5) { push @w, book('respond-async'); sleep 0.1 }
        $wait = book('wait=1');
        sleep 5;                      # longer than all tries of a job take
    });
    undisturbed(1, @reads);
    is(join(' ', map { $_->{status} } @w), '202 202 202 202 202 202', 'accepted');
    is($wait->{status}, 202, 'a wait ends with the promise');
    is(status_of($_->{json}{id}), 'pending', 'pending') for $w[1];
    my $r = $t->get('/api/v1/places?q=zur&limit=50', @auth);
    is($r->{headers}{'x-cache'}, 'MISS', 'a read that is not cached');
    is($r->{headers}{'travel-consistency'}, 'unverified', 'says unverified');
    $t->start_part('postgres');
    comes($_->{json}{id}, 'confirmed', 'done when it is back', 40) for @w, $wait;
    ready('the edge again');
};

subtest 'both databases: what is cached stands in' => sub {
    ok(wait_for(sub { ($t->get("$J?limit=10", @auth)->{headers}{'x-cache'}
        // '') eq 'HIT' }, 10, 'a hit'), 'a hit before');
    $t->kill_part('replica');
    $t->kill_part('postgres');
    sleep 1;
    is($t->get("$J?limit=10", @auth)->{status}, 200, 'what is cached');
    my $r = $t->get('/api/v1/places?q=zurich&limit=49', @auth);
    is("$r->{status} " . code_of($r), '503 DEPENDENCY_UNAVAILABLE',
        'what is not: 503');
    ok($r->{headers}{'retry-after'}, 'with Retry-After');
    $r = book('respond-async');
    is("$r->{status} " . code_of($r), '503 DEPENDENCY_UNAVAILABLE',
        'what cannot be checked is not accepted');
    is($t->get('/health')->{status}, 200, 'healthy');
    is($t->get('/ready')->{status}, 503, 'not ready');
    $t->start_part('postgres');
    $t->start_part('replica');
    ready('the edge again');
    is(book('wait=10')->{status}, 201, 'a booking');
};

subtest 'the partner: 202 as ever, and another try' => sub {
    $t->stop_part('sandbox');
    my $r = book('respond-async');
    is($r->{status}, 202, 'accepted');
    my $s = wait_for(sub {
        my $s = $t->get($r->{json}{job}{status_url}, @auth);
        $s->{json}{status} eq 'retrying' && $s;
    }, 10, 'retrying') || {};
    cmp_ok($s->{json}{attempts} // 0, '>=', 1, 'the job says retrying');
    is(status_of($r->{json}{id}), 'pending', 'the booking is pending');
    $t->start_part('sandbox');
    comes($r->{json}{id}, 'confirmed', 'and confirmed when it is back', 30);
};

subtest 'SMTP: the booking stands, the mail comes later' => sub {
    $t->write('smtp.fail', "451\n");
    my $r = book('wait=10');
    is($r->{status}, 201, 'confirmed');
    my $number = $r->{json}{confirmation_number};
    sleep 1;
    my $came = sub { grep { ($_->{text} // '') =~ /\Q$number\E/ } $t->mails };
    is(scalar(() = $came->()), 0, 'no mail');
    unlink $t->dir . '/smtp.fail';
    ok(wait_for($came, 30, 'the mail'), 'then it comes');
};

subtest 'the collector: nothing' => sub {
    my %traced = (traceparent => '00-' . 'c' x 32 . '-' . 'd' x 16 . '-01');
    my @w;
    undisturbed(1, while_reading(sub {
        $t->kill_part('otlp');
        for (1 .. 5) {
            push @w, book('wait=10', headers => \%traced)->{status};
            sleep 0.2;
        }
    }));
    is("@w", '201 201 201 201 201', 'writes too');
    $t->start_part('otlp');
    $traced{traceparent} =~ s/c{32}/'e' x 32/e;
    book('wait=10', headers => \%traced);
    ok(wait_for(sub {
        my %of = map { $_->{resource}{'service.name'} => 1 }
            grep { $_->{trace_id} eq 'e' x 32 } $t->spans;
        keys %of == 2;
    }, 30, 'new spans'), 'new spans of both sides come');
};

subtest 'an nginx worker: nothing to who repeats' => sub {
    $t->get("$J?limit=10", @auth) for 1 .. 20;
    ok(wait_for(sub { ($t->get("$J?limit=10", @auth)->{headers}{'x-cache'}
        // '') eq 'HIT' }, 10, 'a hit'), 'a hit before');
    my @old = $t->children_of('nginx');
    my @reads = while_reading(sub {
        for (1 .. 3) { $t->kill_child('nginx'); sleep 0.6 }
    });
    my @bad = grep { $_->[2] != 200 } @reads;
    cmp_ok(scalar @bad, '<=', 3, 'one answer lost per worker at most')
        or diag(map { "@$_\n" } @bad);
    my %is = map { $_ => 1 } $t->children_of('nginx');
    is(scalar keys %is, scalar @old, 'as many as before');
    is($t->get("$J?limit=10", @auth)->{headers}{'x-cache'}, 'HIT',
        'the zones are as they were');
    is(book('wait=10')->{status}, 201, 'writes go on');
};

subtest 'a queue that is too long: 503, and room again' => sub {
    $t->stop_part('workers');
    my @r = map { book('respond-async') } 1 .. 3 * $BACKLOG;
    my @in   = grep { $_->{status} == 202 } @r;
    my @full = grep { $_->{status} == 503 } @r;
    cmp_ok(abs(@in - $BACKLOG), '<=', $BACKLOG, scalar(@in) . ' accepted');
    cmp_ok(scalar @full, '>=', $BACKLOG, 'the rest refused');
    is_deeply([grep { $_ ne 'QUEUE_FULL' } map { code_of($_) } @full], [],
        'QUEUE_FULL');
    ok(!(grep { !$_->{headers}{'retry-after'} } @full), 'with Retry-After');
    like($t->get('/metrics')->{content},
        qr/^travel_commands_total\{type="booking.create",outcome="full"\} [1-9]/m,
        'counted');
    $t->start_part('workers');
    comes($_->{json}{id}, 'confirmed', 'what was accepted is done', 30) for @in;
    sleep $full[0]{headers}{'retry-after'};
    is_deeply([map { book('wait=10')->{status} } 1 .. 8], [(201) x 8],
        'and there is room again, after Retry-After');
};

is_deeply([map { "@$_" } $t->sql('SELECT type, cause, last_error
    FROM jobs.dead')], [], 'nothing is dead');
is($t->sql("SELECT count(*) FROM travel.bookings WHERE status <> 'confirmed'"),
    0, 'every booking is confirmed');

$t->finish;
done_testing;
