# Life events: from the stream into the table, and all the way from HTTP; how
# late they are there; and how soon a job starts when there is nothing else.
#
# Everything has the same two cores: the client (wrk, or Perl at a constant
# rate), nginx with one worker, the queue Redis with fsync always, one worker
# process, PostgreSQL with fsync.  There is no replica and no other part.
# A request has 500 events; callers take turns.  The figures of processor time
# are of everything there is, the client too.
package Travel::Bench::Ingest;

use strict;
use warnings;
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(time sleep clock_gettime CLOCK_MONOTONIC);
use Travel::Bench;
use Travel::Test;

my $JOBS    = 100_000;
my $BATCH   = 500;
my $USERS   = 16;
my $SAMPLES = 2500;
my @PARTS   = (parts => 'postgres queue cache workers nginx');
my $EVENT   = '{"type":"trip.taken","title":"A trip to the sea",'
    . '"occurred_at":"%s","data":{"place_id":2950159%s}}';

# Commits reach the disk, and say when.
sub durable {
    my $redis = $t->redis('queue');
    $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    $t->stop_part('workers');
    $t->sql("ALTER SYSTEM SET $_", role => 'postgres')
        for 'fsync = on', 'track_commit_timestamp = on';
    $t->stop_part('postgres');
    $t->start_part('postgres');
    $t->start_part('workers');
    wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'ready');
    return $redis;
}

# At any moment of a year, with more members of data.
sub event {
    return sprintf $EVENT, POSIX::strftime('%Y-%m-%dT%H:%M:%SZ',
        gmtime(1767225600 + int rand 365 * 86400)), $_[0] // '';
}

sub lines { return join '', map { event($_[0]) . "\n" } 1 .. $BATCH }

sub rows { return $t->sql('SELECT count(*) FROM travel.life_events') }

sub emptied {
    my ($redis, $began) = @_;
    while (1) {
        my $left = 0;
        $left += $redis->call('XLEN', "travel:{content.$_}:normal") for 0 .. 3;
        last if !$left;
        die "not done after 90 s\n" if time - $began > 90;
        sleep 0.005;
    }
    return time - $began;
}

# --- from the stream ---------------------------------------------------------

sub insert_rate {
    $t->sql('TRUNCATE travel.life_events');
    my $began = time;
    $t->sql("INSERT INTO travel.life_events (id, user_id, type, title,
        occurred_at, data) SELECT gen_random_uuid(), '" . $t->user(0) . "',
        'trip.taken', 'A trip to the sea', now(), '{\"place_id\":2950159}'
        FROM generate_series(1, $JOBS)");
    return { rate => $JOBS / (time - $began) };
}

# 'each' events in a job.
sub table_rate {
    my ($redis, $each) = @_;
    my $events = join ',', map { event() } 1 .. $each;
    wipe();
    $t->sql('TRUNCATE travel.life_events');
    my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
        'preload', '--type', 'life_event.record', '--count', $JOBS / $each,
        '--body', $each == 1 ? $events : "[$events]",
        '--config', $t->dir . '/workers.conf');
    die "preload: $out" if $rc;
    my $began = time;
    $t->start_part('workers');
    my $took = emptied($redis, $began);
    $t->stop_part('workers');
    die 'only ' . rows() . " rows\n" if rows() != $JOBS;
    return { rate => $JOBS / $took };
}

for my $bench (['ingest.single', 1], ['ingest.table', 400]) {
    my ($name, $each) = @$bench;
    bench($name, sub {
        my $redis = durable();
        $t->stop_part('workers');
        pairs($name, "rows/s per process, $each a job", \&insert_rate,
            sub { table_rate($redis, $each) });
    }, @PARTS);
}

# --- from HTTP ---------------------------------------------------------------

sub tokens { return map { $t->user_token($_, ttl => '2h') } 1 .. $USERS }

# Processor time of the parts, in seconds, and of our own dead children.
sub spent {
    my %of = (nginx => [$t->children_of('nginx')],
        redis => [$t->pid_of('queue')],
        workers => [$t->children_of('workers')],
        postgres => [$t->children_of('postgres')]);
    my %spent = (client => (times)[2] + (times)[3]);
    for my $part (keys %of) {
        $spent{$part} += cpu_of($_)
            for grep { -e "/proc/$_/stat" } @{ $of{$part} };
    }
    return \%spent;
}

# wrk posts batches for some seconds; counted is what is in the table when the
# streams are empty, by the time until then.
sub http_rate {
    my ($redis, $script) = @_;
    wipe();
    $t->sql('TRUNCATE travel.life_events');
    my ($before, $began) = (spent(), time);
    my ($rc, $out) = $t->run('wrk', '-t1', '-c16', '-d' . SECONDS . 's', '-s',
        $script, $t->url . '/api/v1/life-events');
    die "wrk: $out" if $rc || $out =~ /Socket errors|Non-2xx/;
    my $took = emptied($redis, $began);
    my $after = spent();
    my $rows = rows();
    return { rate => $rows / $took, us => { map {
        $_ => ($after->{$_} - $before->{$_}) / $rows * 1e6 } keys %$after } };
}

sub http_bench {
    my $redis = durable();
    $t->write('events.ndjson', lines());
    $t->write('ingest.lua', 'local f = io.open("' . $t->dir
        . "/events.ndjson\")\nlocal body = f:read('*a')\nlocal all = {}\n"
        . "function init(args)\nfor _, token in ipairs({'" . join("','", tokens()) . "'}) do\n"
        . "all[#all + 1] = wrk.format('POST', nil, {\n"
        . "['Content-Type'] = 'application/x-ndjson',\n"
        . "['Authorization'] = 'Bearer ' .. token}, body)\nend\nend\n"
        . "local n = 0\nfunction request()\nn = n + 1\n"
        . "return all[n % #all + 1]\nend\n");
    my @runs = map { http_rate($redis, $t->dir . '/ingest.lua') }
        1 .. ($ENV{BENCH_PAIRS} || 5);
    my @rates = map { $_->{rate} } @runs;
    report('ingest.http', 'events/s, client and all on the same two cores',
        value => median(@rates), pairs => scalar @rates,
        spread => spread('%.0f', @rates));
    my %us;
    for my $part (keys %{ $runs[0]{us} }) {
        $us{$part} = median(map { $_->{us}{$part} } @runs);
    }
    my $all = 0;
    $all += $_ for values %us;
    report('ingest.http.cpu', 'us of processor time per event',
        value => $all, pairs => scalar @runs, spread => join ', ',
        map { sprintf '%s %.1f', $_, $us{$_} } sort keys %us);
    return median(@rates);
}

# --- how late ----------------------------------------------------------------

# Clients that send 'per_s' requests a second between them, each at its moment
# whatever the last ones took; what they send is told the moment it was due.
# When each was answered: {number => time}.
sub paced {
    my ($clients, $per_s, $seconds, $request) = @_;
    my $start = clock_gettime(CLOCK_MONOTONIC) + 0.5;
    my $wall = time - clock_gettime(CLOCK_MONOTONIC);
    my @pids;
    for my $c (0 .. $clients - 1) {
        my $pid = fork // die "fork: $!";
        if ($pid) {
            push @pids, $pid;
            next;
        }
        my $good = eval {
            my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $t->port, Timeout => 5) or die "connect: $!";
            setsockopt $s, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;
            open my $log, '>', $t->dir . "/paced.$c" or die "log: $!";
            for (my $n = $c; $n < $per_s * $seconds; $n += $clients) {
                my $due = $start + $n / $per_s;
                my $wait = $due - clock_gettime(CLOCK_MONOTONIC);
                sleep $wait if $wait > 0;
                answered($s, $request->($n, int(($due + $wall) * 1e6)));
                printf $log "%d %.6f\n", $n, time;
            }
            close $log;
            1;
        };
        print $@ if !$good;
        POSIX::_exit($good ? 0 : 1);
    }
    my $failed = 0;
    for (@pids) {
        waitpid $_, 0;
        $failed ||= $?;
    }
    die "a client failed\n" if $failed;
    return map { split } map { split /\n/, slurp($t->dir . "/paced.$_") }
        0 .. $clients - 1;
}

sub answered {
    my ($s, $bytes) = @_;
    for (my $at = 0; $at < length $bytes; ) {
        $at += syswrite($s, $bytes, length($bytes) - $at, $at)
            // die "write: $!";
    }
    my $in = '';
    while ($in !~ /\r\n\r\n/) {
        sysread $s, $in, 1 << 18, length $in or die "no answer\n";
    }
    my ($head) = $in =~ /\A(.*?\r\n\r\n)/s;
    $head =~ m{\AHTTP/1.1 202} or die "answer: $in\n";
    my ($size) = $head =~ /^content-length: (\d+)/mi;
    while (length $in < length($head) + $size) {
        sysread $s, $in, 1 << 18, length $in or die "half an answer\n";
    }
}

sub post {
    my ($token, $type, $body) = @_;
    return "POST /api/v1/life-events HTTP/1.1\r\nHost: bench\r\n"
        . "Authorization: Bearer $token\r\nContent-Type: $type\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

# From the moment a request was due until its rows were committed.
bench('ingest.http', sub {
    my $rate = http_bench();
    my @tokens = tokens();
    my $lines = lines(',"due":0');
    my $seconds = 2 * SECONDS;
    first(qw(nginx queue workers postgres));
    wipe();
    $t->sql('TRUNCATE travel.life_events');
    paced(4, $rate / 2 / $BATCH, $seconds, sub {
        my ($n, $due) = @_;
        return post($tokens[$n % @tokens], 'application/x-ndjson',
            $lines =~ s/"due":0/"due":$due/gr);
    });
    emptied($t->redis('queue'), time);
    my ($n, $p50, $p99, $max) = @{ ($t->sql("SELECT count(*),
        percentile_disc(0.5) WITHIN GROUP (ORDER BY ms),
        percentile_disc(0.99) WITHIN GROUP (ORDER BY ms), max(ms)
        FROM (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000
                     - (data->>'due')::numeric / 1000 AS ms
                FROM travel.life_events) AS e"))[0] };
    report('ingest.http.p99', sprintf('ms from HTTP to the commit at %.0f '
        . 'events/s, p99', $n / $seconds), value => $p99, pairs => 1,
        spread => sprintf('p50 %.1f, max %.1f, %d events', $p50, $max, $n));
}, @PARTS);

# One event each, and nothing else to do.  The statement's time is a little
# later than the handler's start.  The first ones find slots that have no
# session yet; they do not count.
bench('worker.start', sub {
    durable();
    first(qw(nginx queue workers postgres));
    my @tokens = tokens();
    my $cold = 200;
    my %told = paced(1, 100, ($cold + $SAMPLES) / 100, sub {
        my ($n) = @_;
        return post($tokens[$n % @tokens], 'application/json',
            event(sprintf ',"n":%d,"sent":%.6f', $n, time));
    });
    emptied($t->redis('queue'), time);
    my (@whole, @accepted);
    for my $row ($t->sql("SELECT data->>'n', data->>'sent',
        extract(epoch FROM created_at) FROM travel.life_events
        WHERE (data->>'n')::integer >= $cold"))
    {
        my ($n, $sent, $began) = @$row;
        push @whole, ($began - $sent) * 1000;
        push @accepted, ($began - $told{$n}) * 1000;
    }
    die 'only ' . @whole . " samples\n" if @whole < $SAMPLES;
    my $figures = sub { sprintf 'p50 %.2f, max %.1f, %d jobs at 100/s',
        quantile(0.5, @_), quantile(1 - 1e-9, @_), scalar @_ };
    report('worker.start', 'ms from the 202 to the handler\'s statement, p99',
        value => quantile(0.99, @accepted), pairs => 1,
        spread => $figures->(@accepted));
    report('worker.start.http', 'ms from the request to the handler\'s '
        . 'statement, p99', value => quantile(0.99, @whole), pairs => 1,
        spread => $figures->(@whole));
}, @PARTS);

# From the enqueue until the waiter is told, in an idle pool: so more than to the
# start of the handler.
bench('worker.idle', sub {
    my $redis = $t->redis('queue');
    my $sub = $t->redis('queue');
    $sub->call('SUBSCRIBE', 'travel:reply:idle');
    my @ms;
    for my $n (1 .. 2000) {
        my $uuid = sprintf '%08x-%04x-7%03x-8%03x-%012x', time / 65.536,
            int rand 65536, 4 * int(rand 1024) + 1, int rand 4096, $n;
        my $t0 = time;
        $redis->call('HSET', "travel:{maintenance.1}:job:$uuid", status =>
            'queued');
        $redis->call('XADD', 'travel:{maintenance.1}:normal', '*', id =>
            "maintenance.1.$uuid", type => 'maintenance.noop', v => 1,
            sub => $t->user(0), key => $uuid, ts => 1,
            reply => 'travel:reply:idle', body => '{}');
        $sub->_reply;
        push @ms, (time - $t0) * 1000;
        sleep 0.002;
    }
    report('worker.idle', 'ms from enqueue to answer, p99',
        value => quantile(0.99, @ms), pairs => 1,
        spread => sprintf('p50 %.2f', quantile(0.5, @ms)));
});

1;
