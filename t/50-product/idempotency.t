# The same Idempotency-Key: the first answer again, whatever is asked, how
# often, how fast, and whether or not the first has ended by then: its 202 for
# who was promised, its outcome for who waited for it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->start(env => { TRAVEL_LIMITS => 'limits-open.conf' });
my $token = $t->user_token(1);
my $B = '/api/v1/bookings';
my %good = (partner => 'opentable', venue_id => 'rest_456', party_size => 4,
    booking_date => '2030-03-01T19:00:00+01:00');

wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');

sub book {
    my ($key, %o) = @_;
    return $t->post($B, { %good, %{ $o{body} || {} } },
        token => $o{token} // $token, headers => {
            'idempotency-key' => $key, prefer => $o{prefer} // 'respond-async',
        });
}

sub replayed { return $_[0]{headers}{'idempotent-replayed'} // 'no' }

# How many bookings, events and calls a booking's key has made.
sub made {
    my ($id) = @_;
    my $events = join ' ', map { $_->[0] } $t->sql("SELECT type FROM
        events.event WHERE stream_id = '$id' ORDER BY version");
    my @calls = grep { ($_->{idempotency_key} // '') =~ /\Q$id\E/ }
        $t->partner_calls;
    return "$events; " . @calls . ' calls';
}
my $ONCE = 'booking.created booking.confirmed commission.calculated; 2 calls';

subtest 'a repeat' => sub {
    my $first = book('k-1');
    is($first->{status}, 202, 'accepted') or diag($first->{content});
    is(replayed($first), 'no', 'the first is no replay');
    my $again = book('k-1');
    like($again->{status}, qr/^20[12]$/, 'accepted again');
    is(replayed($again), 'true', 'a replay');
    is($again->{json}{id}, $first->{json}{id}, 'the same booking');
    is($again->{json}{job}{id}, $first->{json}{job}{id}, 'the same job')
        if $again->{status} == 202;
    is($again->{headers}{location}, $first->{headers}{location}, 'Location');
    my $quoted = book('"k-1"');
    is($quoted->{json}{id}, $first->{json}{id}, 'the key in quotes is the key');

    wait_for(sub { $t->get($first->{headers}{location}, token => $token)
        ->{json}{status} eq 'confirmed' }, 20, 'the booking');
    my $late = book('k-1', prefer => 'wait=5');
    is($late->{status}, 202, 'when it has ended: the same promise');
    is(replayed($late), 'true', 'still a replay');
    is($late->{content}, $first->{content}, 'to the byte');
    my $waited = book('k-1w', prefer => 'wait=10');
    is($waited->{status}, 201, 'a first that waits');
    $late = book('k-1w');
    is($late->{status}, 201, 'is repeated with its outcome');
    is($late->{content}, $waited->{content}, 'the booking itself');
    is(made($first->{json}{id}), $ONCE, 'made once');
};

subtest 'another request under the key' => sub {
    my @ops = (token => $t->user_token(1,
        permissions => 'bookings:write debug:read'));
    my $first = book('k-2', @ops);
    is($first->{status}, 202, 'accepted');
    like($first->{headers}{'travel-explain'}, qr/job="booking\./,
        'its job is told to who may know');
    unlike(book('k-2', @ops, body => { party_size => 6 })
        ->{headers}{'travel-explain'}, qr/job=/, 'there is none of another');
    for my $change ({ party_size => 5 }, { venue_id => 'rest_457' }) {
        my $r = book('k-2', body => $change);
        is($r->{status}, 422, 'refused');
        is($r->{json}{error}{code}, 'IDEMPOTENCY_MISMATCH', 'with the code');
        unlike($r->{content}, qr/\Q$first->{json}{id}\E/, 'nothing is told');
    }
    my $bad = book('k-2b', body => { party_size => 99 });
    is($bad->{status}, 422, 'a refusal');
    my $good = book('k-2b');
    is($good->{status}, 202, 'does not use up the key') or
        diag($good->{content});
};

subtest 'whose key, and for what' => sub {
    my $first = book('k-3');
    my $other = book('k-3', token => $t->user_token(2));
    is($other->{status}, 202, 'somebody else\'s is another');
    isnt($other->{json}{id}, $first->{json}{id}, 'another booking');
    is(replayed($other), 'no', 'no replay');
    my %key = (headers => { 'idempotency-key' => 'k-3',
        prefer => 'respond-async' }, token => $token);
    my $journey = $t->post('/api/v1/journeys', { origin => 'Boston, US',
        destination => 'Hartford, US', theme => 'food' }, %key);
    is($journey->{status}, 202, 'for another command it is another');
    is(replayed($journey), 'no', 'no replay');

    my ($a, $b) = map { book("k-3-$_", prefer => 'wait=10')->{json} } 1, 2;
    my $one = $t->delete("$B/$a->{id}", %key);
    my $two = $t->delete("$B/$b->{id}", %key);
    is($one->{status}, 202, 'cancel one');
    is($two->{status}, 202, 'cancel another under the same key');
    isnt($one->{json}{job}{id}, $two->{json}{job}{id}, 'two jobs');
    my $again = $t->delete("$B/$a->{id}", %key);
    like($again->{status}, qr/^20[02]$/, 'and the first again');
    is(replayed($again), 'true', 'is a replay');
    is(($again->{json}{job} || $one->{json}{job})->{id},
        $one->{json}{job}{id}, 'of the same job') or diag($again->{content});
};

# n clients send the same at the same moment; what each was told.
sub at_once {
    my ($n, $key, $prefer) = @_;
    my $start = time + 0.3;
    my @readers;
    for (1 .. $n) {
        pipe my $in, my $out or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $in;
            my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 1);
            $http->get($t->url . '/health');
            sleep(($start - time) || 0.001) if $start > time;
            my $r = $http->post($t->url . $B, { headers => {
                    authorization => "Bearer $token", prefer => $prefer,
                    'idempotency-key' => $key,
                    'content-type' => 'application/json',
                }, content => JSON::PP->new->canonical->encode(\%good) });
            my $j = eval { json($r->{content}) } || {};
            print $out join "\t", $r->{status}, $j->{id} // '-',
                $r->{headers}{'idempotent-replayed'} // 'no', $j->{status};
            close $out;
            POSIX::_exit(0);
        }
        close $out;
        push @readers, [ $pid, $in ];
    }
    my @told;
    for (@readers) {
        my ($pid, $in) = @$_;
        local $/;
        push @told, [ split /\t/, scalar <$in> ];
        waitpid $pid, 0;
    }
    return @told;
}

subtest 'many at once' => sub {
    for my $round (1 .. 5) {
        my @told = at_once(12, "k-4-$round", 'respond-async');
        is(scalar(grep { $_->[0] =~ /^20[12]$/ } @told), 12,
            "round $round: all accepted");
        my %ids = map { $_->[1] => 1 } @told;
        is(scalar keys %ids, 1, 'one booking');
        is(scalar(grep { $_->[2] eq 'no' } @told), 1, 'one is the first');
    }
};

subtest 'many at once, who all wait' => sub {
    my @told = at_once(12, 'k-5', 'wait=10');
    is(join(' ', map { $_->[0] } @told), join(' ', (201) x 12), 'all created');
    my %ids = map { $_->[1] => 1 } @told;
    is(scalar keys %ids, 1, 'one booking');
    is(join(' ', map { $_->[3] } @told), join(' ', ('confirmed') x 12),
        'which they all see confirmed');
    is(made((keys %ids)[0]), $ONCE, 'made once');
};

subtest 'a job that is refused' => sub {
    $t->write('sandbox.mode', "refuse\n");
    my $first = book('k-6', prefer => 'wait=10');
    cmp_ok($first->{status}, '>=', 400, "refused: $first->{status}");
    my $again = book('k-6', prefer => 'wait=10');
    is($again->{status}, $first->{status}, 'and again');
    is($again->{json}{error}{code}, $first->{json}{error}{code}, 'alike');
    unlink $t->dir . '/sandbox.mode';
    $again = book('k-6', prefer => 'wait=10');
    is($again->{status}, $first->{status},
        'also when the partner has changed its mind');
};

is($t->sql("SELECT count(*) FROM (SELECT stream_id FROM events.event
    WHERE type = 'booking.created' GROUP BY stream_id HAVING count(*) > 1)
    AS twice"), 0, 'no booking was made twice');
is($t->sql('SELECT count(*) FROM travel.bookings'),
    scalar(my @holds = $t->sql("SELECT DISTINCT job_id FROM jobs.saga
    WHERE step = 'hold'")), 'nor held twice');

# Beside the rest: what `make reload` does to a whole backend.
subtest 'reload' => sub {
    my @old = map { $t->children_of($_) } qw(workers nginx);
    $t->script('instance.sh', 'reload', 'workers', 'nginx');
    wait_for(sub { !grep { -e "/proc/$_" && Travel::Test::accepts($_) } @old },
        30, 'other processes');
    is($t->get('/health')->{status}, 200, 'the new ones serve');
    my @now = $t->children_of('nginx');
    $t->write('spoilt.conf', "events {}\nhttp { travel_nothing; }\n");
    local $t->{env}{TRAVEL_NGX_CONF} = $t->dir . '/spoilt.conf';
    my ($rc, $out) = $t->run(Travel::Test::root() . '/scripts/instance.sh',
        'reload', 'nginx');
    isnt($rc, 0, 'a mistake');
    like($out, qr/"travel_nothing"/, 'is told');
    is_deeply([$t->children_of('nginx')], \@now, 'and what runs goes on');
};

$t->finish;
done_testing;
