# Journeys, stories and mails: single jobs against the real gazetteer, SMTP
# sink and collector.
use strict;
use warnings;
use lib 't/lib';
use utf8;
use Test::More;
use Time::HiRes ();
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start;
my $t = $j->t;
my $demo = $t->user(0);

sub journey {
    my ($from, $to, %o) = @_;
    return $j->job('journey.start', { origin => $from, destination => $to,
        theme => $o{theme} // 'history' }, %{ $o{opts} || {} });
}

subtest 'journey.start' => sub {
    my $r = journey('Seattle, WA', 'Portland, Oregon');
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    my $y = $r->{result};
    is_deeply([sort keys %$y], [sort qw(id origin destination theme personality
        distance_miles status created_at completed_at)],
        'the resource as GET shows it');
    is_deeply([sort keys %{ $y->{origin} }],
        [sort qw(place_id name country_code admin1 lat lon)], 'an end of it');
    is($y->{origin}{place_id}, 5809844, 'Seattle is GeoNames 5809844');
    is($y->{destination}{country_code}, 'US', 'the Portland in the US');
    # haversine, R = 6371.0088 km: 233.0 km
    is($y->{distance_miles}, 144.8, 'miles');
    like($r->{output}, qr/"distance_miles":144\.8,/, 'with one decimal');
    like($r->{output}, qr/"lat":47\.60621,/, 'positions as they were loaded');
    like($y->{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'RFC 3339');
    is_deeply([$j->events($y->{id})], ['journey.started'], 'journey.started');
    my $shown = json(scalar $t->sql('SELECT travel.journey_json(j) FROM'
        . " travel.journeys j WHERE id = '$y->{id}'", role => 'travel_edge'));
    is_deeply($shown, $y, 'the edge role sees the same');
};

subtest 'places that are not' => sub {
    for my $pair (['Nowhere-upon-Nothing', 'Berlin'], ['Berlin', 'Xyzzyville'],
        ['Springfield, Atlantis', 'Berlin'], ['', 'Berlin'])
    {
        my $r = journey(@$pair);
        is($r->{verdict}, 'reject', "@$pair: rejected");
        is($r->{error}{code}, 'VALIDATION_ERROR', 'code');
    }
    my $r = journey("O'Fallon', MO\\", "x'); DROP TABLE travel.journeys;--");
    is($r->{error}{code}, 'VALIDATION_ERROR', 'quotes are only names');
    my $id = $j->new_id('journey');
    journey('Nowhere-upon-Nothing', 'Berlin', opts => { id => $id });
    journey('Nowhere-upon-Nothing', 'Berlin',
        opts => { id => $id, giveup => 'yes' });
    is_deeply([$j->events($j->uuid_of($id))], ['journey.failed'],
        'journey.failed');
};

subtest 'a caller nobody has seen' => sub {
    my $user = '01890000-0000-7000-8000-00000000ffff';
    my $r = journey('Berlin', 'Paris, FR', opts => { sub => $user,
        email => 'new@example.org' });
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    is(scalar($t->sql("SELECT email FROM travel.users WHERE id = '$user'")),
        'new@example.org', 'gets a row from the token');
    journey('Berlin', 'Paris, FR', opts => { sub => $user,
        email => 'other@example.org' });
    is(scalar($t->sql("SELECT email FROM travel.users WHERE id = '$user'")),
        'new@example.org', 'that later tokens do not change');
};

sub story {
    my ($journey, %o) = @_;
    return $j->job('story.generate', { journey_id => $journey,
        $o{theme} ? (theme => $o{theme}) : () }, %{ $o{opts} || {} });
}

subtest 'story.generate' => sub {
    my $y = journey('Seattle, WA', 'San Francisco')->{result};
    my $id = $j->new_id('ai');
    my $r = story($y->{id}, opts => { id => $id });
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    my $s = $r->{result};
    is($s->{id}, $j->uuid_of($id), 'the story is called as its job');
    is($s->{status}, 'ready', 'ready');
    is($s->{theme}, 'history', "the journey's theme");
    is($s->{provider}, 'offline', 'provider');
    like($s->{content}, qr/offline/, 'it says so itself');
    my @p = @{ $s->{places} };
    cmp_ok(scalar @p, '>=', 3, 'at least three places');
    my $last = 0;
    for my $p (@p) {
        like($s->{content}, qr/\Q$p->{name}\E/, "$p->{name} is in the text");
        cmp_ok($p->{miles_from_start}, '>=', $last, 'further on');
        $last = $p->{miles_from_start};
        is(scalar($t->sql("SELECT name FROM travel.place WHERE id ="
            . " $p->{place_id}")), $p->{name}, 'and is a real place');
    }
    cmp_ok($last, '<', $y->{distance_miles}, 'all before the end');
    my @paragraphs = split /\n\n/, $s->{content};
    is(scalar @paragraphs, @p + 3, 'a paragraph each, and opening, close, note');
    unlike($s->{content}, qr/\{\{/, 'no gap left open');
    is_deeply([$j->events($s->{id})], ['story.requested', 'story.generated'],
        'story.requested, story.generated');

    is_deeply(story($y->{id}, opts => { id => $id })->{result}, $s,
        'again: the same');
    $t->sql("DELETE FROM jobs.inbox WHERE job_id = '$s->{id}' AND step = 'ready'");
    $t->sql("UPDATE travel.stories SET status = 'pending' WHERE id = '$s->{id}'");
    is(story($y->{id}, opts => { id => $id })->{result}{content},
        $s->{content}, 'written again: the same text');
    my $schema = json(slurp(Travel::Test::root()
        . '/conf/travel/commands/story.generate.json'))->{schema};
    my @themes = grep { $_ ne 'history' }
        @{ $schema->{properties}{theme}{enum} };
    my $file = slurp(Travel::Test::root()
        . '/conf/travel/prompts/story.offline.txt');
    like($file, qr/^\[$_\]$/m, "sentences for $_") for @themes;
    for my $theme (@themes, 'odd') {
        my $r = story($y->{id}, theme => $theme);
        is($r->{result}{theme}, $theme, "theme $theme");
        isnt($r->{result}{content}, $s->{content}, 'another text');
    }
};

subtest 'ways that are short, long and empty' => sub {
    for my $pair (['Berlin', 'Potsdam'], ['Berlin', 'Berlin'],
        ['Lisbon', 'Vladivostok'], ['Honolulu', 'Sydney'])
    {
        my $y = journey(@$pair)->{result};
        my $r = story($y->{id});
        is($r->{verdict}, 'done', "@$pair: done") or diag $r->{output};
        cmp_ok(scalar @{ $r->{result}{places} }, '>=', 3, 'three places');
    }
};

subtest 'stories that cannot be' => sub {
    my $y = journey('Berlin', 'Paris, FR', opts => { sub => $t->user(5) });
    my $r = story($y->{result}{id});
    is($r->{error}{code}, 'RESOURCE_NOT_FOUND', "about somebody else's journey");
    my $mine = journey('Berlin', 'Paris, FR')->{result}{id};
    my $id = $j->new_id('ai');
    rename $t->dir . '/jobs.conf', $t->dir . '/jobs.kept' or die;
    my $conf = slurp($t->dir . '/jobs.kept') =~ s/^prompts .*/prompts = "\/nowhere"/mr;
    $t->write('jobs.conf', $conf);
    $r = story($mine, opts => { id => $id });
    is($r->{verdict}, 'retry', 'without its sentences: retry');
    is(scalar($t->sql("SELECT status FROM travel.stories WHERE id = '"
        . $j->uuid_of($id) . "'")), 'pending', 'pending meanwhile');
    story($mine, opts => { id => $id, giveup => 'yes' });
    is(scalar($t->sql("SELECT status FROM travel.stories WHERE id = '"
        . $j->uuid_of($id) . "'")), 'failed', 'then failed');
    is_deeply([$j->events($j->uuid_of($id))], 
        [qw(story.requested story.failed)], 'story.failed');
    rename $t->dir . '/jobs.kept', $t->dir . '/jobs.conf' or die;
};

sub mail {
    my ($to, %o) = @_;
    return $j->job('notification.email', { to => $to,
        template => $o{template} // 'booking_confirmed',
        data => { name => 'Ann', venue_name => 'Blue Fig', party_size => 2,
            confirmation_number => 'N1', %{ $o{data} || {} } } },
        %{ $o{opts} || {} });
}

subtest 'notification.email' => sub {
    my $tp = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    my $id = $j->new_id('notification');
    my $r = mail('ann@example.org', opts => { id => $id, traceparent => $tp },
        data => { name => '<b>Zoë & "Co"</b>', venue_name => 'Café Größe' });
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    my ($m) = $t->mails;
    is_deeply($m->{envelope}{to}, ['ann@example.org'], 'to');
    is($m->{messageId}, '<' . $j->uuid_of($id) . '@travel.local>', 'Message-ID');
    is($m->{subject}, 'Your table at Café Größe is booked (N1)', 'subject');
    like($m->{text}, qr/Hello <b>Zoë & "Co"<\/b>,/, 'text as it is');
    like($m->{html}, qr/Hello &lt;b&gt;Zoë &amp; &quot;Co&quot;&lt;\/b&gt;,/,
        'HTML escaped');
    like($m->{headers}{traceparent}, qr/^00-0af7651916cd43dd8448eb211c80319c-/,
        'carries the trace');
    my ($span) = wait_for(sub { grep { $_->{name} eq 'send mail' } $t->spans },
        10, 'the span');
    ok($span, 'and is in it');

    is_deeply(mail(undef)->{result}, { skipped => 'no address' }, 'no address');
    for my $bad ("a\@b.org\r\nBcc: c\@d.org", 'a b@c.org', 'nobody', '<a@b.org>') {
        is(mail($bad)->{verdict}, 'reject', 'refused: ' . ($bad =~ s/\s/ /gr));
    }
    is(mail('a@b.org', data => { venue_name => "x\r\nBcc: c\@d.org" })->{verdict},
        'reject', 'no header comes in by a name');
    is(mail('a@b.org', template => '../../nginx')->{verdict}, 'reject',
        'no template from elsewhere');
    is(scalar(my @m = $t->mails), 1, 'nothing of that was sent');
};

subtest 'a mail server that refuses' => sub {
    my $id = $j->new_id('notification');
    $t->write('smtp.fail', '451');
    is(mail('ann@example.org', opts => { id => $id })->{verdict}, 'retry',
        '4xx: retry');
    $t->write('smtp.fail', '550');
    my $other = $j->new_id('notification');
    is(mail('ann@example.org', opts => { id => $other })->{verdict}, 'reject',
        '5xx: rejected');
    unlink $t->dir . '/smtp.fail';
    is(mail('ann@example.org', opts => { id => $id })->{verdict}, 'done',
        'the first goes out later');
    is(mail('ann@example.org', opts => { id => $other })->{verdict}, 'reject',
        'the second stays refused');
    $t->stop_part('smtp');
    is(mail('ann@example.org')->{verdict}, 'retry', 'nobody there: retry');
};

subtest 'one trace' => sub {
    my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    my $r = $j->job('booking.create', { partner => 'klook', venue_id => 'v1',
        party_size => 2, booking_date => '2031-01-01T10:00:00Z' },
        traceparent => "00-$trace-00f067aa0ba902b7-01");
    is($r->{verdict}, 'done', 'done') or diag $r->{output};
    my @s = wait_for(sub { my @s = grep { $_->{trace_id} eq $trace } $t->spans;
        @s > 10 && \@s }, 10, 'spans');
    @s = @{ $s[0] };
    is_deeply([grep { $_->{parent_span_id} ne '00f067aa0ba902b7' } @s], [],
        'all below the given span');
    my ($sql) = grep { $_->{name} eq 'INSERT travel.bookings' } @s;
    is($sql->{kind}, 'client', 'SQL: kind');
    is($sql->{attributes}{'db.system.name'}, 'postgresql', 'SQL: system');
    unlike($sql->{attributes}{'db.query.text'}, qr/klook/, 'SQL: no values');
    is($sql->{attributes}{'db.query.summary'}, $sql->{name}, 'SQL: summary');
    is($sql->{attributes}{'db.namespace'}, 'travel|public', 'SQL: namespace');
    is($sql->{attributes}{'server.address'}, readlink $t->dir . '/pg',
        'SQL: server');
    my @http = grep { $_->{name} eq 'POST klook' } @s;
    is(scalar @http, 2, 'partner: two calls');
    is($http[0]{attributes}{'http.response.status_code'}, 201, 'partner: status');
    is($http[0]{attributes}{'server.address'}, '127.0.0.1', 'partner: server');
    is($http[0]{attributes}{'server.port'}, $t->port + 1, 'partner: port');
    is($http[0]{attributes}{'network.protocol.version'}, '1.1',
        'partner: protocol');
    unlike($http[1]{attributes}{'url.full'}, qr/\?/, 'partner: no query');
    my ($call) = grep { ($_->{traceparent} // '') =~ /$trace/ } $t->partner_calls;
    is((split /-/, $call->{traceparent})[2], $http[0]{span_id},
        'the partner was told the span of the call');
    ok((grep { $_->{name} eq 'send notification' && $_->{kind} eq 'producer' } @s),
        'the follow-up job is announced');
    my ($rc, $out) = $t->ctl('trace', 'show', $trace);
    is($rc, 0, 'travelctl trace show');
    like($out, qr/POST klook .*status_code=201/, 'shows the call');
};

subtest 'a mail in a trace' => sub {
    my $trace = '6bf92f3577b34da6a3ce929d0e0e4738';
    $t->start_part('smtp');
    for my $to ('ann@example.org', '550-5.1.1-ann@example.org') {
        $j->job('notification.email', { template => 'booking_reminder',
            to => $to, data => {} },
            traceparent => "00-$trace-00f067aa0ba902b7-01");
    }
    my $mails = wait_for(sub { my @s = grep { $_->{trace_id} eq $trace
        && $_->{name} eq 'send mail' } $t->spans; @s == 2 && \@s }, 10,
        'spans');
    my ($sent, $refused) = map { $_->{attributes} } @$mails;
    is($mails->[0]{kind}, 'client', 'kind');
    is($sent->{'network.protocol.name'}, 'smtp', 'protocol');
    is($sent->{'server.port'}, $t->port + 2, 'port');
    is($sent->{'smtp.response.status_code'}, 250, 'reply');
    is($mails->[0]{status}, 'unset', 'well');
    is($refused->{'error.type'}, '550', 'a refusal has its code');
    is($mails->[1]{status}, 'error', 'and its status');
};

subtest 'a collector with a bad second' => sub {
    my $trace = '5bf92f3577b34da6a3ce929d0e0e4737';
    $t->write('otlp.fail', '503');
    my $p = $j->spawn('journey.start', { origin => 'Berlin',
        destination => 'Paris, FR', theme => 'history' },
        traceparent => "00-$trace-00f067aa0ba902b7-01");
    wait_for(sub { -s $p->{log} }, 10, 'the job to end');
    Time::HiRes::sleep(0.5);
    unlink $t->dir . '/otlp.fail';
    is($j->finish_spawned($p)->{verdict}, 'done', 'the job does not mind');
    ok(wait_for(sub { grep { $_->{trace_id} eq $trace } $t->spans }, 10,
        'the spans'), 'its spans come with the next try');

    $t->stop_part('otlp');
    my $from = Time::HiRes::time();
    my $r = $j->job('journey.start', { origin => 'Berlin',
        destination => 'Paris, FR', theme => 'history' },
        traceparent => "00-$trace-00f067aa0ba902b7-01");
    is($r->{verdict}, 'done', 'nobody there: the job does not mind');
    cmp_ok(Time::HiRes::time() - $from, '<', 6, 'and the end is not held up');
};

subtest 'PostgreSQL goes away' => sub {
    $t->kill_part('postgres');
    my $r = journey('Berlin', 'Paris, FR');
    is($r->{rc}, 2, 'no lease without it');
    $t->start_part('postgres');
    is(journey('Berlin', 'Paris, FR')->{verdict}, 'done', 'and back');
};

$t->finish;
done_testing();
