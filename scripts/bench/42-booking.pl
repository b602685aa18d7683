# Bookings from the queue to their end: hold and confirmation at a partner,
# commission, events, who watches is told, and the mail's job has run; from the
# start of a cold pool until nothing of it is left anywhere.  The ceiling is what
# the same statements and calls take without a pool.
package Travel::Bench::Booking;

use strict;
use warnings;
use List::Util qw(sum0);
use POSIX ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $USERS = 100;                  # without an address: no mail is sent
my $EACH  = $ENV{BENCH_BOOKINGS} || 1000;    # half a minute of them
my $JOBS  = $USERS * $EACH;
my $BODY  = '{"partner":"opentable","venue_id":"rest_456","party_size":4,'
    . '"booking_date":"2036-03-01T19:00:00Z"}';

sub user { sprintf 'b0000000-0000-4000-8000-%012d', $_[0] }

# An nginx that answers at once, in the sandbox's place; its pid.
sub partner {
    my %value = (RUN => $t->dir, PORT => $t->port + 1, USER => '');
    $value{USER} = $1 if slurp($t->dir . '/nginx.conf') =~ /^(user [^;]+;)/m;
    my $conf = slurp(ROOT . '/scripts/bench/partner.conf');
    $conf =~ s/\@([A-Z]+)\@/$value{$1}/g;
    $t->write('partner.conf', $conf);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        exec '/usr/sbin/nginx', '-p', $t->dir, '-c', $t->dir . '/partner.conf'
            or POSIX::_exit(127);
    }
    wait_for(sub { slurp("/proc/$pid/task/$pid/children") =~ /\d/ }, 10,
        'the partner') or die "no partner\n";
    return $pid;
}

sub preloaded {
    for my $user (map { user($_) } 1 .. $USERS) {
        my ($rc, $out) = $t->run(Travel::Test::build() . '/travelctl', 'queue',
            'preload', '--type', 'booking.create', '--count', $EACH, '--sub',
            $user, '--body', $BODY, '--config', $t->dir . '/workers.conf');
        die "preload: $out" if $rc;
    }
}

# Processor seconds of a process and all below it, the dead ones included.
sub spent {
    my ($pid) = @_;
    my @f = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    my $ticks = $f[11] + $f[12] + $f[13] + $f[14];
    $ticks += 100 * spent($_) for split ' ', slurp("/proc/$pid/task/$pid/children");
    return $ticks / 100;
}

sub spent_by {
    my ($partner) = @_;
    return (partner => spent($partner), map { $_ => spent($t->pid_of($_)) }
        grep { $t->pid_of($_) } qw(postgres queue cache workers));
}

sub left {
    my ($redis) = @_;
    my $n = 0;
    $n += $redis->call('XLEN', $_) for map { my $q = $_;
        map { "travel:{$q.$_}:normal" } 0 .. 3 } qw(booking notification);
    return $n || $t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at IS NULL');
}

sub confirmed {
    return $t->sql("SELECT count(*) FROM travel.bookings WHERE status = "
        . "'confirmed' AND confirmation_number = 'SBX-' || id"
        . ' AND commission_cents = 988');
}

sub explain_why {
    return join ', ', map { "@$_" } $t->sql('SELECT count(*), status,
        coalesce(error::text, confirmation_number) FROM travel.bookings
        GROUP BY 2, 3 ORDER BY 1 DESC LIMIT 5');
}

# A shared machine says little by the clock: there it is what two cores would do
# whose whole time went into it.
sub rate_of {
    my ($jobs, $took, $spent) = @_;
    return { rate => $ENV{BENCH_SHARED} ? $jobs / ($spent / 2) : $jobs / $took };
}

sub pool_rate {
    my ($redis, $partner) = @_;
    wipe();
    preloaded();
    my $before = confirmed();
    my %spent = spent_by($partner);
    my $began = time;
    $t->start_part('workers');
    while (left($redis)) {
        die "not done at 250 a second\n" if time - $began > $JOBS / 250;
        sleep 0.1;
    }
    my $took = time - $began;
    my %now = spent_by($partner);
    $now{$_} -= $spent{$_} // 0 for keys %now;
    $t->stop_part('workers');
    my $done = confirmed() - $before;
    die "only $done of $JOBS: ", explain_why() if $done != $JOBS;
    printf "# us of a processor for each: %s\n", join ', ',
        map { sprintf '%s %.0f', $_, 1e6 * $now{$_} / $JOBS } sort keys %now;
    return rate_of($JOBS, $took, sum0(values %now));
}

# --- the ceiling -------------------------------------------------------------

# The same three statements by pgbench, which has PostgreSQL make up their rows,
# 64 at a time; and the two calls by wrk.  One after the other they would take
# so long for a booking.
sub ceiling {
    my ($partner) = @_;
    my $sql = sql_rate();
    my %spent = spent_by($partner);
    my ($rc, $out) = $t->run('wrk', '-t1', '-c64', '-d' . SECONDS . 's',
        'http://127.0.0.1:' . ($t->port + 1) . '/v1/holds');
    my ($calls) = $out =~ /(\d+) requests in/ or die "wrk: $out";
    my ($seconds) = $out =~ /requests in ([\d.]+)s/;
    my $http = rate_of($calls, $seconds, 2 * (spent($partner) - $spent{partner}));
    return { rate => 1 / (1 / $sql->{rate} + 2 / $http->{rate}) };
}

sub sql_rate {
    my $count = $t->sql("SELECT count(*) FROM travel.bookings");
    my $spent = spent($t->pid_of('postgres'));
    my $began = time;
    my ($rc, $out) = $t->run('/usr/bin/pgbench', '-n', '-M', 'prepared', '-c', 4,
        '-j', 1, '-T', SECONDS, '-f', $t->dir . '/booking.pgbench', '-h',
        readlink($t->dir . '/pg'), '-U', 'travel_worker', 'travel');
    die "pgbench: $out" if $rc || $out =~ /aborted/;
    my $n = $t->sql("SELECT count(*) FROM travel.bookings") - $count;
    return rate_of($n, time - $began, spent($t->pid_of('postgres')) - $spent);
}

sub prepare_ceiling {
    my $hold = '{"hold_id":"hold_b0000000-0000-4000-8000-000000000000",'
        . '"venue_id":"rest_456","venue_name":"Golden Lantern",'
        . '"amount_cents":12345,"status":"held"}';
    my $confirm = '{"confirmation_number":"SBX-none","venue_name":'
        . '"Golden Lantern","amount_cents":12345,"status":"confirmed"}';
    my $mail = '{"id":"notification.0","type":"notification.email"}';
    $t->sql(<<"END", role => 'postgres');
CREATE FUNCTION public.bench_rows(k bigint) RETURNS TABLE (owners text[],
    queues text[], partitions integer[], fences bigint[], places integer[],
    ids uuid[], subs uuid[], nothing text[], bodies text[], steps text[],
    holds text[], nexts text[], confirms text[], mails text[])
LANGUAGE sql STABLE AS \$\$
    SELECT '{bench}'::text[], ARRAY[p.queue], ARRAY[p.partition],
           ARRAY[p.fence], array_agg(1), array_agg(md5(k || '/' || i)::uuid),
           array_agg(('b0000000-0000-4000-8000-'
                      || lpad((1 + i)::text, 12, '0'))::uuid),
           array_agg(NULL::text), array_agg('$BODY'::text),
           array_agg('hold'::text), array_agg('$hold'::text),
           array_agg('confirm'::text), array_agg('$confirm'::text),
           array_agg('$mail'::text)
      FROM generate_series(0, 63) AS i, jobs.partition AS p
     WHERE p.queue = 'booking' AND p.partition = 0
     GROUP BY p.queue, p.partition, p.fence
\$\$
END
    my %own = ('travel.bookings_begin' => 'subs nothing nothing bodies',
        'jobs.sagas_go_on' => 'steps holds nexts',
        'travel.bookings_confirm' =>
            'subs nothing nothing holds nothing confirms mails');
    $t->write('booking.pgbench', "\\set k random(1, 1000000000000)\n" . join '',
        map { my $f = $_; "SELECT count(*) FROM public.bench_rows(:k) AS r, $f("
            . join(', ', map { "r.$_" } split ' ', 'owners queues partitions '
            . "fences places ids $own{$f}") . ");\n" }
        qw(travel.bookings_begin jobs.sagas_go_on travel.bookings_confirm));
}

# Its partition is ours for the time.
sub alone {
    my ($code) = @_;
    $t->sql("INSERT INTO jobs.partition (queue, partition, owner, fence,
        expires_at) VALUES ('booking', 0, 'bench', 1, 'infinity')
        ON CONFLICT (queue, partition) DO UPDATE SET owner = 'bench',
        fence = jobs.partition.fence + 1, expires_at = 'infinity'",
        role => 'postgres');
    my $r = $code->();
    $t->sql("UPDATE jobs.partition SET owner = NULL, expires_at = '-infinity'
        WHERE queue = 'booking' AND partition = 0", role => 'postgres');
    $t->sql("UPDATE jobs.outbox SET sent_at = now() WHERE sent_at IS NULL");
    return $r;
}

bench('worker.booking', sub {
    my $redis = $t->redis('queue');
    $redis->call('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0);
    $t->stop_part('workers');
    $t->sql('INSERT INTO travel.users (id, sub) VALUES ' . join ',', map {
        my $u = user($_); "('$u', '$u')" } 1 .. $USERS);
    prepare_ceiling();
    my $pid = partner();
    my $ok = eval {
        pairs('worker.booking', 'jobs/s per process',
            sub { alone(sub { ceiling($pid) }) },
            sub { pool_rate($redis, $pid) });
        1;
    };
    my $error = $@;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    die $error unless $ok;
}, parts => 'postgres queue cache smtp workers nginx',
    # what is written to stays in memory, as on a server of its own
    env => { TRAVEL_SHARED_BUFFERS => '1GB' },
    edit => sub { s/concurrency = 16/concurrency = 256/ });

1;
