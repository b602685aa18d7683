# A 202 is a promise: a thousand bookings, each with an Idempotency-Key, while
# worker processes are killed at random, the queue Redis once and the replica
# once.  What was accepted is confirmed, exactly once, as the partner, the event
# store and the mailbox see it; what nobody knew is settled by repeating it.
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

my $SECONDS = Travel::Faults->seconds(25);
my $CLIENTS = 5;
my $EACH    = int($SECONDS * 8);                   # 1,000 in 25 s
my $USERS   = 40;

my $t = Travel::Test->start(allow_5xx => 1,
    env => { TRAVEL_LIMITS => 'limits-open.conf' });
is($t->redis('queue')->call(qw(CONFIG GET appendfsync))->[1], 'always',
    'the queue is on disk before anybody hears of it');
wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'the edge is ready');
my @token = map { $t->user_token($_) } 1 .. $USERS;

# One booking by its key, which is its venue too, so that a row can be told
# from its key alone: (what became of it, its id).
sub book {
    my ($http, $key, $n, $prefer) = @_;
    my $r = $http->post($t->url . '/api/v1/bookings', { headers => {
            authorization     => "Bearer $token[$n % $USERS]",
            'content-type'    => 'application/json',
            'idempotency-key' => $key, prefer => $prefer,
        }, content => JSON::PP->new->encode({ partner => 'opentable',
            venue_id => $key, party_size => 2,
            booking_date => '2030-03-01T19:00:00Z' }) });
    my $j = eval { json($r->{content}) } || {};
    return ('accepted', $j->{id}) if $r->{status} =~ /^20[012]$/;
    return ('unknown', '-')
        if $r->{status} == 599 || ($j->{error}{code} // '') eq 'OUTCOME_UNKNOWN';
    return ('refused', '-')
        if ($j->{error}{code} // '') eq 'DEPENDENCY_UNAVAILABLE';
    return ("$r->{status} " . ($j->{error}{code} // $r->{content}), '-');
}

# A client: its bookings one after another, evenly in time, the last of them when
# the storm has done what it shall: on a loaded machine that takes longer.
# Refused ones are asked for again, unknown ones are left at that.
my $stormed = $t->dir . '/stormed';
sub client {
    my ($c, $out) = @_;
    my $http  = HTTP::Tiny->new(timeout => 30, keep_alive => 1);
    my $start = time;
    for my $i (0 .. $EACH - 1) {
        my $left = $start + $SECONDS * $i / $EACH - time;
        sleep $left if $left > 0;
        if ($i > 0.9 * $EACH) {
            for (1 .. 20) { last if -e $stormed; sleep 0.1 }
        }
        my $key = "key-$c-$i";
        for my $try (1 .. 200) {
            my ($what, $id) = book($http, $key, $c * $EACH + $i, 'respond-async');
            print $out "$key\t$what\t$id\n";
            last if $what ne 'refused';
            sleep 0.1;
        }
    }
}

my $storm = Travel::Faults->storm($t,
    [ every => 1.5,            kill_child => 'workers' ],
    [ after => $SECONDS * 0.3, lose       => 'queue', hold => 0.4 ],
    [ after => $SECONDS * 0.6, crash      => 'replica' ]);

my $clients = Travel::Faults->clients($t, $CLIENTS, \&client);
my $KILLS   = $SECONDS / 4;
wait_for(sub {
    my %n;
    $n{$_->[1]}++ for $storm->seen;
    ($n{kill_child} // 0) >= $KILLS && $n{lose} && $n{crash};
}, $SECONDS + 60, 'the storm to do it all');
$t->write('stormed', '');
my @rows = $clients->rows;
my @seen = $storm->end;

# Whether the storm left anything unknown is chance; this does: the queue is
# silent while it is told, and then gone.
sub unknown_one {
    my ($key, $n) = @_;
    my $file = $t->dir . '/client-unknown';
    for my $try (1 .. 5) {
        $t->freeze('queue');
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            my ($what) = book(HTTP::Tiny->new(timeout => 30), $key, $n,
                'respond-async');
            $t->write('client-unknown', $what);
            POSIX::_exit(0);
        }
        sleep 0.5;
        $t->kill_part('queue');
        $t->start_part('queue');
        waitpid $pid, 0;
        return 1 if Travel::Test::slurp($file) eq 'unknown';
    }
    return 0;
}
my $last_key = "key-0-$EACH";
ok(unknown_one($last_key, $EACH), 'one whose fate nobody knows');

my (%said, %id, %count);
for (@rows) {
    my ($key, $what, $id) = @$_;
    $count{$what}++;
    $said{$key} = $what;
    $id{$key}   = $id if $id ne '-';
}
my @accepted = grep { $said{$_} eq 'accepted' } keys %said;
my @unknown  = (grep({ $said{$_} eq 'unknown' } sort keys %said), $last_key);
note(join ', ', map { "$count{$_} $_" } sort keys %count);
note(join ' ', @$_) for @seen;

subtest 'the storm' => sub {
    cmp_ok(scalar(grep { $_->[1] eq 'kill_child' } @seen), '>=', $KILLS,
        'worker processes were killed');
    for my $what ('lose queue', 'crash replica') {
        is(scalar(grep { "$_->[1] $_->[2]" eq $what } @seen), 1, $what);
    }
    ok(!(grep { $_->[3] =~ /^failed/ } @seen), 'and came back')
        or diag(explain(\@seen));
    is(scalar keys %said, $CLIENTS * $EACH, 'every client was answered');
    is_deeply([grep { !/^(?:accepted|unknown|refused)$/ } keys %count], [],
        'with nothing else than yes, unknown, or no');
    cmp_ok(scalar @accepted, '>=', 0.9 * $CLIENTS * $EACH, 'mostly accepted');
};

sub confirmed {
    return map { $_->[0] => $_->[1] } $t->sql("SELECT venue_id, id
        FROM travel.bookings WHERE status = 'confirmed'");
}

subtest 'accepted, confirmed, unknown' => sub {
    my $q = $t->redis('queue');
    wait_for(sub {
        my %c = confirmed();
        !grep { !$c{$_} } @accepted;
    }, 60, 'what was accepted to be confirmed');
    my %c = confirmed();
    my @lost = grep { !$c{$_} } @accepted;
    is_deeply(\@lost, [], 'accepted is confirmed')
        or diag(explain([$t->sql('SELECT status, count(*), min(id::text)
            FROM travel.bookings GROUP BY 1')]));
    my %may = map { $_ => 1 } @accepted, @unknown;
    is_deeply([grep { !$may{$_} } sort keys %c], [],
        'confirmed is accepted, or unknown');
    is_deeply([grep { $c{$_} ne $id{$_} } grep { $c{$_} } @accepted], [],
        'under the ids that were promised');
};

subtest 'the unknown ones again' => sub {
    my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 1);
    for my $key (@unknown) {
        my ($c, $i) = $key =~ /(\d+)-(\d+)/;
        my ($what, $id);
        for my $try (1 .. 100) {         # refused is no answer, nor unknown
            ($what, $id) = book($http, $key, $c * $EACH + $i, 'wait=10');
            last if $what !~ /^(?:refused|unknown)$/;
            sleep 0.1;
        }
        is($what, 'accepted', "$key is known now");
        $id{$key} = $id;
    }
    wait_for(sub {
        my %c = confirmed();
        !grep { !$c{$_} } @unknown;
    }, 60, 'them to be confirmed');
    my %c = confirmed();
    is_deeply(\%c, \%id, 'every key has one booking, the one promised');
    is($t->sql('SELECT count(*) FROM travel.bookings'), $CLIENTS * $EACH + 1,
        'and there are no others');
};

subtest 'the outside saw each once' => sub {
    my %c = reverse confirmed();                  # id => key
    my (%hold, %confirm, %number);
    for my $call (grep { $_->{status} < 300 } $t->partner_calls) {
        my ($id) = $call->{idempotency_key} =~ /([0-9a-f]{8}-[0-9a-f-]{27})/
            or next;
        $hold{$id}{ $call->{idempotency_key} }++ if $call->{uri} =~ /holds$/;
        $confirm{$id}{ $call->{idempotency_key} }++
            if $call->{uri} =~ /confirm$/;
    }
    is_deeply([grep { keys %{ $confirm{$_} || {} } != 1 } sort keys %c], [],
        'one confirm key for each');
    is_deeply([grep { keys %{ $hold{$_} || {} } != 1 } sort keys %c], [],
        'one hold key for each');
    is_deeply([grep { !$c{$_} } keys %confirm], [], 'and for no other');
    my %keys = map { $_ => 1 } map { keys %$_ } values %confirm;
    is(scalar keys %keys, scalar keys %c, 'all distinct');

    for my $type (qw(booking.created booking.confirmed commission.calculated)) {
        my %n = map { $_->[0] => $_->[1] } $t->sql("SELECT stream_id, count(*)
            FROM events.event WHERE type = '$type' GROUP BY 1");
        is_deeply([grep { ($n{$_} // 0) != 1 } sort keys %c], [],
            "one $type for each");
        is(scalar keys %n, scalar keys %c, 'and no other');
    }

    my %of = map { $_->[0] => $_->[1] } $t->sql('SELECT confirmation_number, id
        FROM travel.bookings');
    my (%mail, $mails);
    wait_for(sub {
        %mail  = ();
        $mails = 0;
        for ($t->mails) {
            my ($number) = ($_->{text} // '') =~ /(SBX-[0-9A-F]{10})/ or next;
            $mail{ $of{$number} // $number }{ $_->{messageId} }++;
            $mails++;
        }
        keys %mail >= keys %c;
    }, 60, 'the mails');
    is_deeply([grep { keys %{ $mail{$_} || {} } != 1 } sort keys %c], [],
        'one Message-ID for each');
    is(scalar keys %mail, scalar keys %c, 'and for no other');
    my %ids = map { $_ => 1 } map { keys %$_ } values %mail;
    is(scalar keys %ids, scalar keys %c, 'all distinct');
    note("$mails mails for " . scalar(keys %c) . ' bookings');
};

subtest 'nothing is left in the queue' => sub {
    my $q = $t->redis('queue');
    my $left = sub {
        my %n;
        for my $key (@{ $q->call('KEYS', 'travel:{*') }) {
            my $n = $key =~ /:(?:high|normal|low)$/ ? $q->call('XLEN', $key)
                  : $key =~ /:delayed$/             ? $q->call('ZCARD', $key)
                  : $key =~ /:dead$/                ? $q->call('XLEN', $key) : 0;
            $n{$key} = $n if $n;
        }
        return \%n;
    };
    wait_for(sub { !%{ $left->() } }, 30, 'the streams to be empty');
    is_deeply($left->(), {}, 'no entry, none delayed, none dead');
    is($t->sql('SELECT count(*) FROM jobs.dead'), 0, 'none in jobs.dead');
    wait_for(sub { !$t->sql('SELECT count(*) FROM jobs.outbox WHERE sent_at '
        . 'IS NULL') }, 20, 'nothing in the outbox');
    my %status;
    for my $key (grep { /:job:/ } @{ $q->call('KEYS', 'travel:{booking*') }) {
        $status{ $q->call('HGET', $key, 'status') // 'none' }++;
    }
    is_deeply([keys %status], ['succeeded'], 'every job says so')
        or diag(explain(\%status));
};

$t->finish;
done_testing;
