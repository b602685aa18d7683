# What is stored nowhere in clear text: members that the schema marks "x-sealed"
# (what Redis has of them, who reads them, what is bound to what), results that
# are told once; and what `nginx -t` wants for it.
use strict;
use warnings;
use Digest::SHA ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->new(
    ngx_workers => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        s{\@ROOT\@/conf/travel}{\@RUN\@/travel}g;
        s{(location = /health )}{location = /book {
            travel_auth required jwks=main audience=travel;
            travel_command POST booking.create wait=10s batch=10; }
        $1};
    },
);
my $dir = $t->dir;
system('cp', '-r', Travel::Test::root() . '/conf/travel', "$dir/travel") == 0
    or die 'no catalog';

# The product's command, with what is to be sealed and, since that is not to be
# told, less to be echoed.
my $product = Travel::Test::slurp("$dir/travel/commands/booking.create.json");
my $command = $product =~ s/"venue_id": true, //r =~ s/"party_size": true, //r
    =~ s/("venue_id": \{) ("type")/$1 "x\\u002dsealed": true, $2/r
    =~ s/("party_size": \{) ("type")/$1 "x-sealed": true, $2/r;
isnt($command, $product, 'marks');
$t->write('travel/commands/booking.create.json', $command);

my $register = Travel::Test::slurp("$dir/travel/commands/device.register.json");
$t->write('travel/commands/device.register.json',
    $register =~ s/("creates": true,)/$1 "result": "once",/r);

$t->write('travel/queries/t.reads.sql', "-- \@public\n-- \@param venue_id text\n"
    . "-- \@returns rows\nSELECT 'CONFLICT', '/venue_id', :venue_id\n");
$t->launch;
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');
$t->stop_part('workers');

my $q = $t->redis('queue');
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
my $n = 0;

sub body {
    my ($venue, $size) = @_;
    return qq({ "partner":"opentable", "venue_id" : "$venue" ,)
        . qq("booking_date":"2030-03-01T19:00:00Z","party_size":$size\n});
}

sub book {
    my ($body, %o) = @_;
    return $t->request('POST', '/book', body => $body,
        token => $o{token} // $alice, headers => {
            'content-type' => 'application/json', prefer => 'respond-async',
            %{ $o{headers} || {} } });
}

# What is queued: [stream, fields].
sub entries {
    my @all;
    for my $key (sort @{ $q->call('KEYS', 'travel:{booking*}:normal') }) {
        push @all, map { [$key, { @{ $_->[1] } }] }
            @{ $q->call('XRANGE', $key, '-', '+') };
    }
    return @all;
}

# All that Redis holds, and all that it has on disk.
sub anywhere {
    my ($what) = @_;
    my @found;
    for my $key (@{ $q->call('KEYS', '*') }) {
        my $type = $q->call('TYPE', $key);
        my $text = $type eq 'hash' ? JSON::PP::encode_json(
                $q->call('HGETALL', $key))
            : $type eq 'stream' ? JSON::PP::encode_json(
                $q->call('XRANGE', $key, '-', '+'))
            : $type eq 'string' ? $q->call('GET', $key) : '';
        push @found, $key if index($text, $what) >= 0;
    }
    my ($rc, $said) = $t->run('grep', '-rla', $what, "$dir/queue");
    push @found, split /\n/, $said if $rc == 0;
    return @found;
}

subtest 'on the stream' => sub {
    my $r = book(body('SECRET-venue-1', 7),
        headers => { 'idempotency-key' => 'seal-1' });
    is($r->{status}, 202, 'accepted') or diag($r->{content});
    my ($e) = entries();
    my $stored = json($e->[1]{body});
    is($e->[1]{sealed}, 'venue_id party_size', 'says which are sealed');
    like($stored->{$_}, qr/\Av1\.[\w-]{11}\.[\w-]{64,}\z/, "$_ is")
        for qw(venue_id party_size);
    is($stored->{partner}, 'opentable', 'the others are as they came');
    is($stored->{booking_date}, '2030-03-01T19:00:00Z', 'to the last');
    is_deeply([anywhere('SECRET-venue-1')], [], 'nowhere in clear text');
    my ($idem) = grep { /:idem:/ } @{ $q->call('KEYS', '*') };
    my $bare = Digest::SHA::sha256_hex(join '', map { pack('Q>', length) . $_ }
        'POST', '/book', body('SECRET-venue-1', 7));
    my ($print) = split / /, $q->call('GET', $idem);
    like($print, qr/\A[0-9a-f]{64}\z/, 'a fingerprint');
    isnt($print, $bare, 'that is no bare digest of it');
};

subtest 'a repeat' => sub {
    my %key = (headers => { 'idempotency-key' => 'seal-1' });
    my $r = book(body('SECRET-venue-1', 7), %key);
    is($r->{headers}{'idempotent-replayed'}, 'true',
        'the same, though sealed anew');
    is(book(body('SECRET-venue-2', 7), %key)->{status}, 422,
        'another sealed value is another request');
    is(scalar(my @e = entries()), 1, 'one entry');
};

subtest 'judged before' => sub {
    my $r = book(body('SECRET-venue-3', 0));
    is($r->{status}, 422, 'by the schema, in clear text');
    is(json($r->{content})->{error}{details}[0]{pointer}, '/party_size',
        'with its place');
};

my (%id, $moved);
subtest 'a batch' => sub {
    my $r = book('[' . body('SECRET-venue-4', 3) . ','
        . body('SECRET-venue-5', 4) . ']');
    is($r->{status}, 202, 'accepted') or diag($r->{content});
    $id{$_} = json($r->{content})->{items}[$_]{id} for 0, 1;
    my @e = entries();
    is(scalar @e, 3, 'three entries');
    my %sealed = map { json($_->[1]{body})->{venue_id} => 1 } @e;
    is(scalar keys %sealed, 3, 'each by itself');
    is_deeply([anywhere('SECRET-venue')], [], 'nowhere in clear text');
    $moved = json($e[0][1]{body});
};

# Who can write to the stream moves Alice's sealed members to a job of Bob.
my $bobs;
subtest 'moved to another caller' => sub {
    my $r = book(body('SECRET-venue-6', 5), token => $bob);
    $bobs = json($r->{content})->{job}{id};
    my ($e) = grep { $_->[1]{id} eq $bobs } entries();
    my ($stream, $f) = @$e;
    $f->{body} = JSON::PP::encode_json($moved);
    my ($entry) = grep { { @{ $_->[1] } }->{id} eq $bobs }
        @{ $q->call('XRANGE', $stream, '-', '+') };
    $q->call('XDEL', $stream, $entry->[0]);
    $q->call('XADD', $stream, '*', %$f);
    pass('done');
};

# A device is to be registered; the request is under way, and so is its job.
sub register {
    my ($key) = @_;
    my $body = '{"service":"fcm","token":"t"}';
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port) or die "connect: $!";
    my @before = @{ $q->call('KEYS', 'travel:{account.*}:job:*') };
    print $s join "\r\n", 'POST /api/v1/devices HTTP/1.1', 'Host: x',
        "Authorization: Bearer $alice", 'Content-Type: application/json',
        'Connection: close', "Idempotency-Key: $key", 'Prefer: wait=5',
        'Content-Length: ' . length $body, '', $body;
    $s->flush;
    my ($job) = wait_for(sub {
        my %new = map { $_ => 1 } @{ $q->call('KEYS', 'travel:{account.*}:job:*') };
        delete @new{@before};
        join '', keys %new }, 5, 'the job');
    my ($part, $uuid) = $job =~ /\{(.*?)\}:job:(.*)/;
    my ($entry) = map { { @{ $_->[1] } } } grep { "@{ $_->[1] }" =~ $uuid }
        @{ $q->call('XRANGE', "travel:{$part}:normal", '-', '+') };
    return { socket => $s, key => $job, id => "$part.$uuid", entry => $entry,
        hint => sub { $q->call('PUBLISH', $entry->{reply},
            qq({"id":"$part.$uuid","status":"succeeded"$_[0]})) },
        answer => sub { local $/; json((split /\r\n\r\n/, <$s>, 2)[1]) } };
}

subtest 'a result that is told once: the message and the hash' => sub {
    my $j = register('once-a');
    is($j->{entry}{once}, 1, 'the worker is told so');
    $q->call('HSET', $j->{key}, status => 'succeeded');
    $j->{hint}->('');
    sleep 0.1;
    is($j->{hint}->(',"result":{"secret":"}\"{"}'), 1, 'somebody listens');
    is_deeply($j->{answer}->(), { secret => '}"{' },
        'the end was seen first: the message is waited for');
    $j = register('once-b');
    $q->call('HSET', $j->{key}, status => 'succeeded');
    $j->{hint}->('');
    my $r = $j->{answer}->();
    ok(exists $r->{result} && !defined $r->{result}, 'a lost one is null');
    is($r->{job}{status}, 'succeeded', 'of a job that has succeeded');
    $q->call('DEL', $j->{key} =~ s/:job:.*/:normal/r);
};

subtest 'opened by the worker' => sub {
    $t->start_part('workers');
    my %want = ('SECRET-venue-1' => 7, 'SECRET-venue-4' => 3,
        'SECRET-venue-5' => 4);
    my %got;
    wait_for(sub {
        %got = map { $_->[0] => $_->[1] } $t->sql(q{SELECT venue_id, party_size
            FROM travel.bookings WHERE status = 'confirmed'});
        keys %got == keys %want;
    }, 30, 'the bookings');
    is_deeply(\%got, \%want, 'as they were meant');
    is($t->sql("SELECT venue_id FROM travel.bookings WHERE id = '$id{1}'"),
        'SECRET-venue-5', 'each its own');
    wait_for(sub { $q->call('HGET', job_key($bobs), 'status') eq 'dead' }, 20,
        'the moved one to end');
    like($q->call('HGET', job_key($bobs), 'error'), qr/is not what the edge/,
        'what was moved is not opened');
    my $dead;
    wait_for(sub { $dead = $t->sql("SELECT body->>'venue_id' FROM jobs.dead"
        . " WHERE job_id = '$bobs'") }, 20, 'the dead letter');
    like($dead, qr/\Av1\./, 'a dead letter keeps it sealed');
};

subtest 'a result that is told once' => sub {
    my $send = sub { $t->post('/api/v1/devices', { service => 'apns',
        token => 'ab' x 32 }, token => $alice, headers => {
            'idempotency-key' => 'once-1', prefer => 'respond-async' }) };
    my $r = $send->();
    is($r->{status}, 201, 'who would not wait is waited for')
        or diag($r->{content});
    is($r->{headers}{'preference-applied'}, undef, 'and told so');
    is($r->{json}{service}, 'apns', 'the result');
    my $id = $r->{json}{id};
    my ($key) = @{ $q->call('KEYS', "travel:{account.*}:job:$id") };
    my %hash = @{ $q->call('HGETALL', $key) };
    is($hash{status}, 'succeeded', 'the job');
    is($hash{result}, undef, 'does not have it');
    is_deeply([$t->sql('SELECT count(*), count(result) FROM jobs.inbox WHERE '
        . "job_id = '$id'", role => 'travel_worker')], [[1, 0]],
        'nor the inbox');
    my ($part) = $key =~ /\{(.*?)\}/;
    my $job = $t->get("/api/v1/jobs/$part.$id", token => $alice)->{json};
    is($job->{status}, 'succeeded', 'its status page');
    is($job->{result}, undef, 'has none');
    my $again = $send->();
    is($again->{status}, 201, 'a repeat');
    is($again->{headers}{'idempotent-replayed'}, 'true', 'is one');
    is_deeply($again->{json}, { id => $id, result => undef, job => {
        id => "$part.$id", status => 'succeeded',
        status_url => "/api/v1/jobs/$part.$id" } }, 'and hears it no more');
};

sub job_key {
    my ($q, $p, $uuid) = split /\./, $_[0];
    return "travel:{$q.$p}:job:$uuid";
}

# nginx -t on the configuration and catalog as they are.
sub refused {
    my ($what, $says) = @_;
    my ($rc, $said) = $t->run('nginx', '-t', '-p', $dir, '-c',
        "$dir/nginx.conf", '-e', "$dir/startup.log");
    isnt($rc, 0, $what);
    like($said, $says, 'says what to do');
}

subtest 'nginx -t' => sub {
    my $conf = Travel::Test::slurp("$dir/nginx.conf");
    for my $key (qw(travel_sealed_key travel_consistency_key)) {
        $t->write('nginx.conf', $conf =~ s/^\s*$key\s.*?;//mr);
        refused("without $key", qr/booking\.create\.json.*"$key FILE"/);
    }
    $t->write('nginx.conf',
        $conf =~ s{(travel_sealed_key\s+).*?;}{$1$dir/keys/sealed.pem;}r);
    refused('a private key', qr/must be a public X25519 key.*-pubout/);
    $t->write('nginx.conf', $conf =~ s/(booking\.create wait=10s)/$1 check=t.reads/r);
    refused('a check that reads it', qr/which booking\.create seals/);
    $t->write('nginx.conf', $conf
        =~ s{location = /health}{location /o { travel_command POST device.register; }\n$&}r);
    refused('nobody waits', qr/device\.register tells its result once.*add wait=/);
    $t->write('nginx.conf', $conf
        =~ s{location = /health}{location /o { travel_command POST device.register wait=1s batch=2; }\n$&}r);
    refused('a batch', qr/no batch=/);
    $t->write('nginx.conf', $conf);
    my $journey = Travel::Test::slurp("$dir/travel/commands/journey.start.json");
    $t->write('travel/commands/journey.start.json',
        $journey =~ s/("creates": true,)/$1 "result": "once",/r);
    refused('a GraphQL mutation', qr/"journey.start" tells.*mutation/);
    $t->write('travel/commands/journey.start.json', $journey);
    $t->write('nginx.conf', $conf);
    my ($rc, $said) = $t->run(Travel::Test::build() . "/travel-worker", '-t', '-c',
        "$dir/workers.conf");
    is($rc, 0, 'the workers\' key is good') or diag($said);
    my $workers = Travel::Test::slurp("$dir/workers.conf");
    $t->write('bad.conf',
        $workers =~ s{sealed_key = .*}{sealed_key = "$dir/keys/sealed.pub"}r);
    ($rc, $said) = $t->run(Travel::Test::build() . '/travel-worker', '-t', '-c',
        "$dir/bad.conf");
    isnt($rc, 0, 'a public key is none');
    like($said, qr/private X25519 keys in PEM/, 'says what to do');
};

$t->finish;
done_testing;
