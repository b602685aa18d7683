# Another number of partitions for a queue that is in use: what is accepted,
# queued, running, waiting for a retry or dead; ids and keys of before.
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
    env => { TRAVEL_LIMITS => 'limits-open.conf' }, conf => "processes = 2\nslots = 6\nqueues = { \"maintenance\" }\n");
my $t = $p->t;
my $r = $p->r;
my $me = $t->user_token(1);
$p->until_owned;

sub repartition {
    return $p->ctl('queue', 'repartition', @_);
}

sub layout { return $r->call('HGET', 'travel:layout', $_[0]) }

# --- the edge: nobody works on bookings here, so what is accepted stays there -----

sub book {
    my ($venue, %o) = @_;
    return $t->post('/api/v1/bookings', { partner => 'opentable',
        venue_id => $venue, party_size => 2,
        booking_date => '2031-01-01T20:00:00Z' },
        token => $o{token} // $me, headers => $o{headers} // {},
        allow_5xx => $o{allow_5xx});
}

sub part { return ($_[0]{json}{job}{id} =~ /^booking\.(\d+)\./)[0] }

subtest 'commands' => sub {
    my %key = (headers => { 'idempotency-key' => 'once' });
    my $first = book('v1', %key);
    is($first->{status}, 202, 'one before');
    my $plain = book('v2');
    my %known = map { $_ => 1 } @{ $r->call('KEYS', '*:idem:*') };
    is(book('v4', headers => { 'idempotency-key' => 'torn' })->{status}, 202,
        'one whose key will not be readable');
    my ($torn) = grep { !$known{$_} } @{ $r->call('KEYS', '*:idem:*') };
    cmp_ok(part($first), '<', 4, 'in the partitions of before');
    # until the last moment, on connections that know nothing of it
    my @before = map { book("b$_", token => $t->user_token($_)) } 1 .. 8;
    my ($rc, $out) = repartition('--wait', '0', 'booking', 6);
    is($rc, 1, 'done, though bookings of before are left') or diag $out;
    like($out, qr/^booking has 6 partitions now, 4 to 9$/m, 'told so');
    like($out, qr/^11 jobs of before are not over yet$/m, 'and how many');
    is(layout('booking'), '6@4<4@0', 'the layout');

    my @after = map { book("a$_", token => $t->user_token($_)) } 1 .. 30;
    is(scalar(grep { $_->{status} != 202 } @after), 0, 'none is refused');
    is(scalar(grep { part($_) < 4 || part($_) > 9 } @after), 0,
        'all of them in the new partitions');
    my $again = book('v1', %key);
    is($again->{status}, 202, 'a repeat under an Idempotency-Key of before');
    is($again->{json}{id}, $first->{json}{id}, 'is that one');
    is($again->{json}{job}{id}, $first->{json}{job}{id}, '... its job, too');
    is(book('other', %key)->{status}, 422, 'another request is none');
    $r->call('DEL', $torn);
    $r->call('RPUSH', $torn, 'x');
    is(book('v4', headers => { 'idempotency-key' => 'torn' }, allow_5xx => 1)->{status}, 503,
        'one that cannot be looked up is not accepted once more');
    my $fresh = book('v3', headers => { 'idempotency-key' => 'twice' });
    is(book('v3', headers => { 'idempotency-key' => 'twice' })->{json}{id},
        $fresh->{json}{id}, 'and one of after is found as ever');
    is($t->get($plain->{json}{job}{status_url}, token => $me)->{json}{status},
        'queued', 'a job of before by its id');
    is($t->get("/api/v1/bookings/$plain->{json}{id}", token => $me)->{json}{status},
        'pending', 'a booking that is not made yet');
    is($t->delete("/api/v1/bookings/$plain->{json}{id}", token => $me)->{status},
        202, 'and can be cancelled');
    is($t->delete($first->{json}{job}{status_url}, token => $me)->{json}{status},
        'cancelled', 'a job of before is called off');
    my %runs;
    $runs{$_->{json}{id}}++ for @before, @after, $first, $plain, $fresh;
    is(scalar(keys %runs), 41, 'every one has its own id');
};

subtest 'what travelctl refuses' => sub {
    is((repartition('booking', 6))[0], 1, 'as many as there are');
    my ($rc, $out) = repartition('booking', 3);
    is($rc, 1, 'while jobs of before the last time are left');
    like($out, qr/before the last repartitioning/, 'told so');
    is((repartition('hotel', 3))[0], 2, 'no such queue');
    is((repartition('booking', 0))[0], 2, 'none at all');
    is((repartition('booking', 257))[0], 2, 'more than there can be');
    $r->call('SET', 'travel:layout:lock', 1);
    is((repartition('ai', 3))[0], 1, 'while another is at it');
    $r->call('DEL', 'travel:layout:lock');
    is(layout('ai'), undef, 'nothing was done');
};

# --- the workers: jobs of some keys, in order, from somebody who keeps on -------

# As the edge does it: by the layout it knows, which it asks for again when a
# partition is closed.  Appends "key id" to a file once a job is in.
sub keep_on {
    my ($seconds) = @_;
    my $pid = fork // die;
    return $pid if $pid;
    $p->{r} = $t->redis('queue');
    open my $log, '>>', $t->dir . '/accepted' or POSIX::_exit(1);
    $log->autoflush(1);
    my @keys = map { $p->new_uuid($_ * 7) } 1 .. 24;
    my ($n, $base) = (4, 0);
    my ($until, $i) = (time + $seconds, 0);
    while (time < $until) {
        my $key = $keys[$i++ % @keys];
        my $bucket = hex substr $key, 15, 3;
        my %body = (sleep_ms => 3);
        %body = (fail_until => 2, retry_ms => 900) if $i % 41 == 0;
        %body = (sleep_ms => 1200) if $i % 97 == 0;
        while (1) {
            my ($id, @c) = $p->commands(key => $key, body => \%body,
                uuid => $p->new_uuid($bucket),
                partition => $base + $bucket % $n);
            $p->r->call(@{ $c[0] });
            my $in = eval { $p->r->call(@{ $c[1] }) };
            if ($in && $in =~ /^\d+-\d+$/) {
                print $log "$key $id\n";
                last;
            }
            ($n, $base) = (layout_now($p->r) =~ /^(\d+)(?:@(\d+))?/);
            $base //= 0;
        }
        sleep 0.004;
    }
    POSIX::_exit(0);
}

sub layout_now { return $_[0]->call('HGET', 'travel:layout', 'maintenance') // 4 }

subtest 'while it is used' => sub {
    my $pid = keep_on(9);
    sleep 1.5;
    my ($rc, $out) = repartition('--wait', '40s', 'maintenance', 6);
    is($rc, 0, 'six instead of four') or diag $out;
    sleep 0.5;
    kill 'KILL', ($p->children)[0];
    ($rc, $out) = repartition('--force', '--wait', '60s', 'maintenance', 3);
    is($rc, 0, 'three instead of six, and a process dies') or diag $out;
    is(layout('maintenance'), '3@10<6@4', 'twice');
    my @first = grep { /maintenance\.[0-3]\}/    # some were refused and went on
        && $p->r->call('HGET', $_, 'status') ne 'queued' }
        @{ $p->r->call('KEYS', 'travel:{maintenance.*}:job:*') };
    is(scalar(grep { $p->r->call('TTL', $_) < 0 } @first), 0,
        scalar(@first) . ' jobs of the first partitions will be forgotten');
    waitpid $pid, 0;
    is($?, 0, 'somebody kept on');
    my (%order, @ids);
    for (split /\n/, slurp($t->dir . '/accepted')) {
        my ($key, $id) = split ' ';
        push @{ $order{$key} }, $id;
        push @ids, $id;
    }
    wait_for(sub { ($p->census(@ids)->{succeeded} // 0) == @ids }, 60,
        'all to be done');
    is_deeply($p->census(@ids), { succeeded => scalar @ids },
        scalar(@ids) . ' jobs, all done');
    my %parts;
    $parts{ (/^\w+\.(\d+)/)[0] }++ for @ids;
    is(scalar(grep { $parts{$_} } 0 .. 3), 4, 'in the first partitions');
    is(scalar(grep { $parts{$_} } 4 .. 9), 6, 'the second');
    is(scalar(grep { $parts{$_} } 10 .. 12), 3, 'and the third');

    # a job that was lost with its process may have been run twice, in its place
    my (%seen, %ended);
    for ($p->log_lines(qr/^(?:succeeded|retrying|failed|dead)/)) {
        next unless $_->{key} && $order{ $_->{key} };
        push @{ $ended{ $_->{key} } }, $_->{job}
            unless $seen{ $_->{job} }++;
    }
    my @wrong = grep { "@{ $ended{$_} }" ne "@{ $order{$_} }" } keys %order;
    is(scalar @wrong, 0, 'the jobs of each key in the order they came');
    my %runs;
    $runs{ $_->{job} }++ for $p->log_lines(qr/^succeeded/);
    my @twice = grep { ($runs{$_} // 0) > 1 } @ids;
    cmp_ok(scalar @twice, '<=', 12, 'none twice, but what its process took with it');
};

subtest 'a dead one of before' => sub {
    my ($id, $hset, $xadd) = $p->commands(partition => 11,
        uuid => $p->new_uuid(7), body => { fail_until => 5 });
    $r->call(@$_) for $hset, $xadd;
    $p->until_status($id, 'dead', 20);
    wait_for(sub { $t->sql('SELECT count(*) FROM jobs.dead') == 1 }, 10, 'its letter');
    is((repartition('--force', '--wait', '30s', 'maintenance', 4))[0], 0,
        'once more');
    is(layout('maintenance'), '4@13<3@10', 'four others');
    is(($p->ctl('dead', 'requeue', $id))[0], 0, 'requeued');
    my $uuid = (split /\./, $id)[2];
    my $where = 'maintenance.' . (13 + hex(substr $uuid, 15, 3) % 4) . ".$uuid";
    $p->until_status($where, 'dead', 20);
    is($p->status($where), 'dead', 'it ran where its id has its place now');
    is($p->job($id)->{moved}, (split /\./, $where)[1], 'which the old one tells');
    $r->call('HSET', $p->hash_key($where), 'progress', 77);
    is($t->get("/api/v1/jobs/$id", token => $me)->{json}{progress}, 77,
        'and so does its status');
};

subtest 'numbers that come round again' => sub {
    # as after many times: no room behind those in use
    $r->call('HSET', 'travel:layout', 'maintenance', '4@13<3@10');
    my ($rc, $out) = repartition('--force', '--wait', '30s', 'maintenance', 240);
    is($rc, 1, 'more than are free') or diag $out;
    like($out, qr/no 240 numbers left/, 'told so');
    my $key = $p->new_uuid(0);
    my $long = $p->enqueue(partition => 13, key => $key, uuid => $p->new_uuid(0),
        body => { sleep_ms => 4000 });
    $p->until_status($long, 'running');
    is((repartition('--force', '--wait', '0', 'maintenance', 239))[0], 1,
        'up to the last');
    is(layout('maintenance'), '239@17<4@13', 'as many as there are');
    $p->until_over($long, 20);
    ok(wait_for(sub { (repartition('--force', '--wait', '0', 'maintenance', 2))[0]
        == 0 }, 20, 'it'), 'and from the first again');
    is(layout('maintenance'), '2@0<239@17', 'numbers of the first time');
    my @ids = map { $p->enqueue(partition => $_ % 2, uuid => $p->new_uuid($_))
    } 1 .. 20;
    wait_for(sub { ($p->census(@ids)->{succeeded} // 0) == 20 }, 30, 'jobs there');
    is($p->census(@ids)->{succeeded}, 20, 'are done');
};

subtest 'seen' => sub {
    my ($rc, $out) = $p->ctl('queue', 'stat', '--json');
    is($rc, 0, 'queue stat');
    my %by = map { my $j = json($_); ($j->{partition} => $j) } split /\n/, $out;
    is($by{'booking.0'}{normal} + $by{'booking.1'}{normal}
        + $by{'booking.2'}{normal} + $by{'booking.3'}{normal}, 11,
        'what is left in closed partitions');
    ok($by{'maintenance.16'}, 'and the new ones');
};

$p->finish;
done_testing;
