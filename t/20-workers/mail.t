# Mails: TLS both ways, sessions used again, refusals told apart, and batches.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(stopped => 1);
my ($t, $r) = ($p->t, $p->r);
my $dir  = $t->dir;
my $port = $t->port + 2;

my ($rc, $out) = $t->run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
    '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout',
    "$dir/tls.key", '-out', "$dir/tls.crt");
die $out if $rc;
$t->write('smtp.password', "s3cret\n");

my $login = qq(user = "mailer" password_file = "$dir/smtp.password");

sub configure {
    my ($smtp) = @_;
    $p->configure(<<"END");
processes = 1
slots     = 2
queues    = { "maintenance", "notification" }
templates = "${\ Travel::Test::root()}/conf/travel/templates"
type "notification.email" { retries = 6 base = 50ms cap = 100ms timeout = 90s }
type "notification.batch" { retries = 8 base = 50ms cap = 100ms timeout = 60s }
partner slow { url = "http://127.0.0.1:@{[$port - 1]}" }
smtp { host = "127.0.0.1" port = $port from = "Travel <travel\@travel.local>"
       breaker_open = 500ms $smtp }
END
}

my @LOGIN = ('--user', 'mailer', '--password', 's3cret', '--ends-file',
    "$dir/ends");
my $server;
sub serve {
    my @more = @_;
    hang_up();
    $server = fork // die "fork: $!";
    if (!$server) {
        open STDOUT, '>>', "$dir/logs/smtp.log";
        open STDERR, '>&', \*STDOUT;
        my @cmd = ('node', 'scripts/node/smtp-sink.js', '--port', $port,
            '--out', "$dir/mails.jsonl", '--cert', "$dir/tls.crt", '--key',
            "$dir/tls.key", @more);
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    wait_for(sub { IO::Socket::INET->new("127.0.0.1:$port") }, 10, 'SMTP');
}

sub hang_up {
    return unless $server;
    kill 'TERM', $server;
    waitpid $server, 0;
    $server = 0;
}
END { hang_up() }

sub mail {
    my ($to) = @_;
    return $p->enqueue(queue => 'notification', type => 'notification.email',
        body => { template => 'booking_reminder', to => $to,
            data => { venue_name => "Z\x{fc}ni", name => 'A <b>' } });
}

sub over {
    my ($id) = @_;
    $p->until_over($id, 20);
    my $job = $p->job($id);
    return ($job->{status}, $job->{result} ? json($job->{result}) : undef,
        $job->{error} // '');
}

serve(@LOGIN);
configure(qq(tls = "starttls" ca_file = "$dir/tls.crt" concurrency = 3 $login));
$p->start_workers;
$p->until_owned;

subtest 'STARTTLS, with a login' => sub {
    my ($status) = over(mail('ann@example.org'));
    is($status, 'succeeded', 'accepted');
    my ($m) = $t->mails;
    ok($m->{secure}, 'over TLS');
    is($m->{user}, 'mailer', 'logged in');
    is($m->{subject}, "Soon: Z\x{fc}ni, ", 'subject in UTF-8');
    like($m->{text}, qr/Hello A <b>/, 'text as it is');
    like($m->{html}, qr/A &lt;b&gt;/, 'HTML escaped');
    over(mail('bob@example.org'));
    is(($t->mails)[1]{session}, $m->{session}, 'the session is used again');
};

subtest 'what a refusal means' => sub {
    my ($status, undef, $error) = over(mail('550-5.1.1-cy@example.org'));
    is($status, 'failed', '550 5.1.1: not tried again');
    like($error, qr/550 5\.1\.1/, 'with the server\'s words');
    my $result;
    ($status, $result) = over(mail('550-5.1.1-CY@example.org'));
    is($status, 'succeeded', 'the next one there is no error');
    like($result->{skipped}, qr/takes no mail/, 'it is not sent');
    ($status) = over(mail('554-5.7.1-cy@example.org'));
    is($status, 'failed', '554 5.7.1: neither');
    my $id = mail('452-4.2.2-cy@example.org');
    $p->until_status($id, 'retrying|dead');
    pass('452 4.2.2: later');
    is(scalar $t->mails, 2, 'none of them got there');
    ok(!$p->log_lines(qr/breaker for smtp/), 'and the server is well');
};

subtest 'a batch' => sub {
    my @who = ((map { { to => "u$_\@example.org", data => { name => "N$_" } } }
        1 .. 255), (map { { user => $t->user($_) } } 1 .. 5),
        { to => '550-5.1.1-gone@example.org' },
        { to => '554-5.7.1-spam@example.org' }, { to => 'no address' },
        { user => $t->user(9999) }, { to => '' });
    my $id = $p->enqueue(queue => 'notification',
        type => 'notification.batch', body => { channel => 'email',
            template => 'booking_reminder', recipients => \@who,
            data => { venue_name => 'V', name => 'all' } });
    my ($status, $result) = over($id);
    is($status, 'succeeded', 'succeeded');
    is_deeply($result, { sent => 260, refused => 3, failed => 0 }, 'counted');
    my @mails = ($t->mails)[2 .. 261];
    my %to = map { $_->{to}[0] => $_ } @mails;
    is(scalar keys %to, 260, 'each once');
    like($to{'u7@example.org'}{text}, qr/Hello N7,/, 'in his own words');
    like($to{'user1@travel.local'}{text}, qr/Hello all,/, 'or in all\'s');
    my %sessions = map { $_->{session} => 1 } @mails;
    cmp_ok(scalar keys %sessions, '<=', 8, 'over few sessions');
    my %ids = map { $_->{messageId} => 1 } @mails;
    is(scalar keys %ids, 260, 'Message-IDs of their own');
    my @gone = map { $_->[0] } $t->sql('SELECT address FROM jobs.suppressed
        ORDER BY 1');
    is(join(' ', @gone), '550-5.1.1-cy@example.org 550-5.1.1-gone@example.org '
        . 'no address',
        'hard bounces are on record');

    (undef, $result) = over($p->enqueue(queue => 'notification',
        type => 'notification.batch', body => { channel => 'email',
            template => 'booking_reminder',
            recipients => [{ to => '550-5.1.1-GONE@example.org' }] }));
    is_deeply($result, { sent => 0, refused => 1, failed => 0 },
        'and not written to again');

    (undef, $result) = over($p->enqueue(queue => 'notification',
        type => 'notification.batch', body => { channel => 'email',
            template => 'booking_reminder',
            recipients => [{ to => "dee\@b\x{fc}cher.example" },
                { to => "d\x{e9}e\@example.org" }] }));
    is_deeply($result, { sent => 1, refused => 1, failed => 0 },
        'letters of the world: in a domain, not before the @');
    is(($t->mails)[-1]{toLine}, 'To: dee@xn--bcher-kva.example',
        'by its A-labels');

    my $odd = $p->enqueue(queue => 'notification',
        type => 'notification.batch', body => { channel => 'email',
            template => 'booking_reminder',
            recipients => [{ to => '554-5.7.1-odd@example.org' }] });
    ($status, $result) = over($odd);
    is_deeply($result, { sent => 0, refused => 1, failed => 0 },
        'refused in other letters: refused');
    is($p->job($odd)->{attempts}, 1, 'at once');
    is((over(mail('550-5.1.1-odd@example.org')))[0], 'failed',
        'and a mail by itself');
};

subtest 'one that came back' => sub {
    my $bounced = sub {
        my ($to, $status, $id) = @_;
        $t->write('report', join "\n", 'From: MAILER-DAEMON@mx',
            'Content-Type: multipart/report; report-type=delivery-status; '
            . 'boundary="b"', '', '--b', 'Content-Type: text/plain', '', 'Sorry.',
            '--b', 'Content-Type: message/delivery-status', '',
            'Reporting-MTA: dns; mx', '', "Final-Recipient: rfc822; $to",
            'Action: failed', "Status: $status", 'Diagnostic-Code: smtp; no', '',
            '--b', 'Content-Type: text/rfc822-headers', '',
            'Message-ID: <' . ($id // 'x@elsewhere') . '>', '', '--b--', '');
        my ($rc, $out) = $p->ctl('mail', 'bounced', $t->dir . '/report');
        is($rc, 0, "$to $status: taken");
        return $out;
    };
    my $known = sub { scalar $t->sql("SELECT bounce FROM jobs.bounced
        WHERE address = '$_[0]'") };
    my $kept = sub { $t->sql("SELECT count(*) FROM jobs.suppressed
        WHERE address = '$_[0]'") };
    $bounced->('U3@example.org', '5.1.1');
    is($known->('u3@example.org'), 'hard', 'no such address');
    is($kept->('u3@example.org'), 1, 'it is not written to again');
    $bounced->('u4@example.org', '5.2.2') for 1, 2;
    is($known->('u4@example.org'), 'soft', 'a full mailbox');
    is($t->sql("SELECT bounces FROM jobs.bounced WHERE address = 'u4\@example.org'"),
        2, 'is counted');
    is($kept->('u4@example.org'), 0, 'and written to again');
    like($bounced->('victim@example.org', '5.1.1'), qr/have not written/,
        'whom we have not written to');
    is($kept->('victim@example.org'), 0, 'nobody can keep our mail from');
    my ($mail) = $t->mails;
    my ($id) = $mail->{messageId} =~ /^<?([^>]+)/;
    $bounced->(my $to = $mail->{to}[0], '5.2.1', $id);
    is($kept->($to), 1, 'nor by another Message-ID than ours');
    my (undef, $result) = over(mail($to));
    like($result->{skipped} // '', qr/takes no mail/, 'the next one is not sent');
    $t->sql("DELETE FROM jobs.suppressed WHERE address IN ('$to',
        'u3\@example.org')");
    $t->write('report', "Subject: out of office\n\nStatus: 5.1.1\n");
    my ($rc, $out) = $p->ctl('mail', 'bounced', $t->dir . '/report');
    is($rc, 0, 'anything else is let pass');
    like($out, qr/no delivery status/, 'and told so');
};

# As long as no byte of the text was sent nothing was done; then nobody knows.
subtest 'a kept session that ends just as it is used again' => sub {
    for my $case (['mail', 1, 'closed at MAIL'], ['mail 421', 1, '421 to MAIL'],
        ['rcpt', 1, 'closed at RCPT'], ['rcpt 421', 1, '421 to RCPT'],
        ['data', 1, 'closed at DATA'], ['text', 2, 'closed in the text'])
    {
        my ($ends, $attempts, $name) = @$case;
        my $before = () = $t->mails;
        $t->write('ends', $ends);
        my $id = mail('hal@example.org');
        is((over($id))[0], 'succeeded', "$name: accepted");
        is($p->job($id)->{attempts}, $attempts, $attempts == 1
            ? "$name: over a new one, at once" : "$name: tried again");
        ok(!-e "$dir/ends", "$name: it had ended");
        my @mails = $t->mails;
        is(@mails - $before, 1, "$name: once");
    }
    ok(!$p->log_lines(qr/breaker for smtp/), 'and the server is well');
};

subtest 'a batch and a server that goes away' => sub {
    my $before = () = $t->mails;
    hang_up();
    my @who = map { { to => "v$_\@example.org" } } 1 .. 20;
    my $id = $p->enqueue(queue => 'notification',
        type => 'notification.batch', body => { channel => 'email',
            template => 'booking_reminder', recipients => \@who });
    wait_for(sub { $t->sql("SELECT count(*) FROM jobs.notice
        WHERE attempts > 0 AND state = 'waiting'") == 20 }, 15, 'the tries');
    ok($p->log_lines(qr/breaker for smtp opened/), 'the breaker opened');
    $t->sql("UPDATE jobs.notice SET due = now() WHERE state = 'waiting'");
    $p->stop_workers;
    serve(@LOGIN);
    $p->start_workers;
    wait_for(sub { $t->sql("SELECT count(*) FROM jobs.notice
        WHERE state = 'sent' AND address LIKE 'v%'") == 20 }, 90,
        'sent when it is back');
    my @mails = $t->mails;
    is(@mails - $before, 20, 'each once');
};

# Nobody is answered before a thousand wait; others go on meanwhile.
subtest '1,000 jobs at once, on 2 slots' => sub {
    $p->stop_workers;
    serve('--together', 1000);
    configure('concurrency = 1000 timeout = 60s');
    $p->start_workers;
    my $before = () = $t->mails;
    my $web = open my $out, '-|', 'node', 't/lib/slow.js', $port - 1
        or die "node: $!";
    my @mail = (queue => 'notification', type => 'notification.email',
        body => { template => 'booking_reminder', to => 'fay@example.org',
            data => { venue_name => 'V', name => 'Fay' } });
    my @ids = $p->preload(999, @mail);
    like(scalar <$out>, qr/up/, 'a partner');
    wait_for(sub { $t->mails == $before + 999 }, 60, 'the mails');
    my $other = $p->enqueue(body => { ask => 'slow/1' });
    $p->until_over($other, 20);
    is($p->status($other), 'succeeded', 'a call to somebody else');
    is($p->census(@ids)->{succeeded}, undef, 'while all mails wait');
    kill 'TERM', $web;
    close $out;
    push @ids, $p->preload(1, @mail);
    wait_for(sub { ($p->census(@ids)->{succeeded} // 0) == 1000 }, 90, 'all');
    is($p->census(@ids)->{succeeded}, 1000, 'all succeeded');
    is($p->job($ids[0])->{attempts}, 1, 'at the first attempt');
    my @mails = $t->mails;
    is(@mails - $before, 1000, 'each once');
    my %sessions = map { $_->{session} => 1 } @mails[$before .. $#mails];
    is(scalar keys %sessions, 1000, 'each over a session of its own');
};

my $late;
subtest 'a server that has the mail and says nothing' => sub {
    $p->stop_workers;
    configure('timeout = 1s');
    $p->start_workers;
    $late = mail('gil@example.org');
    $p->until_status($late, 'retrying|dead', 20);
    like($p->job($late)->{error} // '', qr/time/i, 'is not waited for for ever');
};

subtest 'a batch of 10,000' => sub {
    $p->stop_workers;
    serve('--together', 1);
    configure('concurrency = 64');
    $p->start_workers;
    is((over($late))[0], 'succeeded', 'what was not answered comes again');
    my $before = () = $t->mails;
    my $id = $p->enqueue(queue => 'notification', type => 'notification.batch',
        body => { channel => 'email', template => 'booking_reminder',
            data => { venue_name => 'V', name => 'all' },
            recipients => [map { { to => "w$_\@example.org" } } 1 .. 10000] });
    my $start = time;
    $p->until_over($id, 60);
    diag sprintf '%.1f s', time - $start;
    is_deeply(json($p->job($id)->{result}), { sent => 10000, refused => 0,
        failed => 0 }, 'all are sent');
    my @mails = ($t->mails)[$before .. $before + 9999];
    my %to = map { $_->{envelope}{rcptTo}[0]{address} => 1 } @mails;
    is(scalar keys %to, 10000, 'each once');
    my %sessions = map { $_->{session} => 1 } @mails;
    cmp_ok(scalar keys %sessions, '<=', 64, 'over as many sessions as may be');
};

subtest 'implicit TLS' => sub {
    $p->stop_workers;
    serve(@LOGIN, '--implicit');
    configure(qq(tls = "implicit" ca_file = "$dir/tls.crt" $login));
    $p->start_workers;
    my ($status) = over(mail('dee@example.org'));
    is($status, 'succeeded', 'accepted');
    ok(($t->mails)[-1]{secure}, 'over TLS');
};

subtest 'a certificate that nobody vouches for' => sub {
    $p->stop_workers;
    my $before = () = $t->mails;
    configure('tls = "implicit"');
    $p->start_workers;
    my $id = mail('eve@example.org');
    $p->until_status($id, 'retrying|dead', 20);
    my @m = $t->mails;
    is(scalar @m, $before, 'gets no mail');
    like($p->job($id)->{first_error} // '', qr/certificate|SSL/i,
        'and we know why');
};

subtest 'a server whose reply has no end' => sub {
    hang_up();
    my $flood = IO::Socket::INET->new(Listen => 16, ReuseAddr => 1,
        LocalAddr => "127.0.0.1:$port");
    $server = fork // die "fork: $!";
    if (!$server) {
        $SIG{PIPE} = $SIG{CHLD} = 'IGNORE';
        while (my $c = $flood->accept) {
            next if fork;
            print $c "220 x\r\n";
            <$c>;
            print $c "250 x\r\n";
            <$c>;
            my $noise = 'x' x 65536;
            1 while syswrite $c, $noise;
            POSIX::_exit(0);
        }
    }
    close $flood;
    configure('tls = "off" timeout = 2s');
    $p->stop_workers;
    $p->start_workers;
    my $id = mail('flood@example.org');
    $p->until_status($id, 'retrying|dead', 20);
    like($p->job($id)->{error}, qr/connection was lost/, 'is hung up on');
};

hang_up();
is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
