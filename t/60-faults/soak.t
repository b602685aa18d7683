# Everything dies in turn, under 2,000 commands a second: worker processes and
# their supervisor (with it the leader of the schedules), workers of nginx, the
# queue Redis, the cache Redis, the primary, the replica, the partner.  Then the
# books are closed: what was accepted is over, once, in order, and nothing that
# was not asked for has happened.  `make soak T=600` goes on for ten minutes.
#
# Most commands register a device, in batches.  Some take one away again without
# waiting for its registration: same key, so the second finds what the first
# has done, or their order was lost.
#
# Runs alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Faults;
use Travel::Test;

my $SECONDS = Travel::Faults->seconds(60);
my $RATE    = $ENV{TRAVEL_SOAK_RATE} || ($ENV{TRAVEL_SAN} ? 400 : 2000);
my $CLIENTS = 2;
my $BATCH   = 100;
my $REMOVED = 3;                                   # of each batch
my $USERS   = 20;

my $t = Travel::Test->start(allow_5xx => 1,
    allow_log => qr/exited on signal 9/,
    env => { TRAVEL_LIMITS => 'limits-open.conf', TRAVEL_WORKERS => 2 },
    edit => sub {
        s{(include     \@ROOT\@/conf/travel/routes)}{location = /soak {
            travel_auth required jwks=main audience=travel;
            travel_command POST device.register batch=$BATCH;
        }
        $1};
    });
wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'the edge is ready');
my @token = map { $t->user_token($_) } 1 .. $USERS;
my $q     = sub { $t->redis('queue') };

# --- the load ----------------------------------------------------------------

my $JSON = JSON::PP->new->utf8;

# One batch: [ what, device, job ] of each item.
sub register {
    my ($http, $user, $name) = @_;
    my $r = $http->post($t->url . '/soak', { headers => {
            authorization  => "Bearer $token[$user]",
            'content-type' => 'application/json',
        }, content => $JSON->encode([map {
            { service => 'fcm', token => "$name-$_" } } 1 .. $BATCH]) });
    my $j = eval { $JSON->decode($r->{content}) } || {};
    if (ref $j->{items} eq 'ARRAY') {
        return map { [said($_->{status}, $_->{error}), $_->{id} // '-',
            $_->{job}{id} // '-'] } @{ $j->{items} };
    }
    return map { [said($r->{status}, $j->{error}), '-', '-'] } 1 .. $BATCH;
}

sub said {
    my ($status, $error) = @_;
    return 'accepted' if $status =~ /^20[012]$/;
    my $code = $error->{code} // '-';
    return 'unknown' if $status == 599 || $code eq 'OUTCOME_UNKNOWN';
    return "refused" if $code =~ /^(?:DEPENDENCY_UNAVAILABLE|QUEUE_FULL)$/;
    return "$status $code";
}

sub remove {
    my ($http, $user, $device) = @_;
    my $r = $http->delete($t->url . "/api/v1/devices/$device", { headers => {
            authorization     => "Bearer $token[$user]",
            'idempotency-key' => $device,   # HTTP::Tiny repeats a DELETE
            prefer            => 'respond-async' } });
    my $j = eval { $JSON->decode($r->{content}) } || {};
    return (said($r->{status}, $j->{error}), $j->{job}{id} // '-');
}

sub client {
    my ($c, $out) = @_;
    my $http  = HTTP::Tiny->new(timeout => 20, keep_alive => 1);
    my $every = $CLIENTS * $BATCH / $RATE;
    my $start = time;
    for (my $n = 0; time < $start + $SECONDS; $n++) {
        my $left = $start + $n * $every - time;
        sleep $left if $left > 0;
        my $user = ($n * $CLIENTS + $c) % $USERS;
        my @got  = register($http, $user, "$c-$n");
        print $out join("\t", 'register', @$_), "\n" for @got;
        my @some = grep { $_->[0] eq 'accepted' } @got;
        for my $device (map { $_->[1] } splice @some, 0, $REMOVED) {
            my ($what, $job) = remove($http, $user, $device);
            print $out join("\t", 'remove', $what, $device, $job), "\n";
        }
    }
}

my $every = $SECONDS > 120 ? 2 : 1;
my $storm = Travel::Faults->storm($t,
    [ every => 2,           kill_child => 'workers'  ],
    [ every => 11,          crash      => 'workers'  ],
    [ every => 4,           kill_child => 'nginx'    ],
    [ every => 13 * $every, crash      => 'queue'    ],
    [ every => 17 * $every, lose       => 'queue', hold => 0.4 ],
    [ every => 19 * $every, crash      => 'cache'    ],
    [ every => 23 * $every, crash      => 'postgres' ],
    [ every => 21 * $every, crash      => 'replica'  ],
    [ every => 15,          freeze     => 'sandbox', hold => 2 ]);

my @rows = Travel::Faults->clients($t, $CLIENTS, \&client)->rows;
my @seen = $storm->end;

# --- what was said -----------------------------------------------------------

my (%count, %device, %removed, @jobs);
for (@rows) {
    my ($command, $what, $id, $job) = @$_;
    $count{$command}{$what}++;
    next if $what ne 'accepted';
    push @jobs, $job;
    $command eq 'register' ? $device{$id} = $job : ($removed{$id} = $job);
}
for my $command (sort keys %count) {
    note("$command: ", join ', ', map { "$count{$command}{$_} $_" }
        sort keys %{ $count{$command} });
}
my %faults;
$faults{"$_->[1] $_->[2]"}++ for @seen;
note(join ', ', map { "$faults{$_} x $_" } sort keys %faults);

subtest 'the storm' => sub {
    for my $what ('kill_child workers', 'crash workers', 'kill_child nginx',
        'crash queue', 'crash cache', 'crash postgres', 'crash replica')
    {
        cmp_ok($faults{$what} // 0, '>=', 1, $what);
    }
    ok(!(grep { $_->[3] =~ /^failed/ } @seen), 'and came back')
        or diag(explain([grep { $_->[3] =~ /^failed/ } @seen]));
    my %all = map { map { $_ => 1 } keys %$_ } values %count;
    is_deeply([grep { !/^(?:accepted|unknown|refused)$/ } keys %all], [],
        'every command was answered with yes, unknown, or no');
    cmp_ok(scalar @jobs, '>=', 0.2 * $SECONDS * $RATE, 'many were accepted');
};

# --- the books ---------------------------------------------------------------

# What is not over yet, by partition.
sub left {
    my %n;
    my $r = $q->();
    for my $key (@{ $r->call('KEYS', 'travel:{*') }) {
        my $n = $key =~ /:(?:high|normal|low)$/ ? $r->call('XLEN', $key)
              : $key =~ /:delayed$/             ? $r->call('ZCARD', $key) : 0;
        $n{$key} = $n if $n;
    }
    return \%n;
}

sub statuses {
    my $r = $q->();
    my %n;
    my @ids = @_;
    while (my @some = splice @ids, 0, 1000) {
        my $got = $r->call('EVAL', 'local s = {} for i, k in ipairs(ARGV) do '
            . "s[i] = redis.call('HGET', k, 'status') or 'gone' end return s",
            0, map { s/^(.*)\.([^.]+)$/travel:{$1}:job:$2/r } @some);
        push @{ $n{ $got->[$_] } }, $some[$_] for 0 .. $#some;
    }
    return \%n;
}

sub told {
    my ($job) = @_;
    return { @{ $q->()->call('HGETALL',
        $job =~ s/^(.*)\.([^.]+)$/travel:{$1}:job:$2/r) } };
}

my $drained = time;
wait_for(sub { !%{ left() } }, 60 + 4 * $SECONDS, 'everything to be over');
note(sprintf 'over %.1f s after the storm', time - $drained);

subtest 'accepted is over, once, in order' => sub {
    my $s = statuses(@jobs);
    is_deeply({ map { $_ => scalar @{ $s->{$_} } } keys %$s },
        { succeeded => scalar @jobs }, 'each accepted command succeeded')
        or diag(explain([map { told($_) } grep { defined }
            map { @{ $s->{$_} }[0 .. 2] } grep { $_ ne 'succeeded' } keys %$s]));

    my %n = map { $_->[0] => [@$_[1, 2]] } $t->sql(q{SELECT stream_id,
        count(*) FILTER (WHERE type = 'device.registered'),
        count(*) FILTER (WHERE type = 'device.removed')
        FROM events.event WHERE stream_type = 'device' GROUP BY 1});
    is_deeply([grep { ($n{$_}[0] // 0) != 1 } keys %device], [],
        'one registration for each');
    is_deeply([grep { ($n{$_}[1] // 0) != 1 } keys %removed], [],
        'one removal for each: none came before its registration');
    is(scalar(grep { $_->[0] > 1 || $_->[1] > 1 } values %n), 0,
        'nothing happened twice');
    cmp_ok(keys(%n) - keys(%device), '<=', $count{register}{unknown} // 0,
        'what was not accepted and happened is unknown');
    my %there = map { $_->[0] => 1 } $t->sql('SELECT id FROM travel.devices');
    is_deeply([grep { $there{$_} } keys %removed], [], 'the removed are gone');
    is(scalar keys %there,
        (grep { $_->[0] } values %n) - (grep { $_->[1] } values %n),
        'the others are there');
};

subtest 'nothing is left' => sub {
    is_deeply(left(), {}, 'no entry, none delayed or in a hand');
    is($t->sql('SELECT count(*) FROM jobs.dead'), 0, 'none dead');
    wait_for(sub { !$t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at '
        . 'IS NULL') }, 60, 'nothing in the outbox');
    my %sessions = map { $_->[0] => $_->[1] } $t->sql(q{SELECT usename, count(*)
        FROM pg_stat_activity WHERE backend_type = 'client backend'
        AND usename LIKE 'travel\_%' GROUP BY 1}, role => 'postgres');
    note(join ', ', map { "$sessions{$_} $_" } sort keys %sessions);
    cmp_ok($sessions{travel_worker} // 0, '<=', 2 * (16 + 4),
        'no session is left of the dead');
    my @clients = grep { / user=worker / } split /\n/,
        $q->()->call('CLIENT', 'LIST');
    cmp_ok(scalar @clients, '<=', 2 * 8, 'nor a connection to Redis');
    for my $part (qw(nginx workers)) {
        for my $pid ($t->children_of($part)) {
            my ($kb) = Travel::Test::slurp("/proc/$pid/status")
                =~ /^RssAnon:\s+(\d+)/m;
            cmp_ok($kb, '<', 200_000, "$part: $kb KB") unless $ENV{TRAVEL_SAN};
        }
    }
};

$t->finish;
done_testing;
