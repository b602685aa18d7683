# Webhooks: signed as Standard Webhooks says, tried again, ended by 410, kept
# from addresses that are not public, on record, replayed.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Digest::SHA ();
use MIME::Base64 ();
use Travel::Test;
use Travel::Origin;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(conf => <<'END');
processes = 2
slots     = 2
topics    = "on"
webhook_allow = { "127.0.0.1" }
type "webhook.deliver" { retries = 4 base = 100ms cap = 200ms timeout = 10s }
END
my ($t, $r) = ($p->t, $p->r);
$p->until_owned;
my $port = $t->port + 1;
my $origin = Travel::Origin->start($port);

sub ctl {
    my ($rc, $out) = $p->ctl('webhook', @_);
    chomp $out;
    return wantarray ? ($rc, $out) : $out;
}

# A webhook at a path of ours: its id and secret.
sub add {
    my ($path, @more) = @_;
    my ($rc, $out) = ctl('add', "http://127.0.0.1:$port$path", @more);
    is($rc, 0, "webhook at $path") or diag $out;
    return split /  /, $out;
}

sub happen {
    my ($type, $user) = @_;
    my $id = $p->new_uuid;
    $t->sql("SELECT events.append('journey', '$id', 0, '$type',
        '{\"origin\": {}, \"destination\": {}}', " . ($user ? "'$user'"
        : 'NULL') . ', NULL, NULL)', role => 'travel_worker');
    return $id;
}

sub deliveries {
    my ($hook) = @_;
    return map { $_->[0] } $t->sql("SELECT state FROM jobs.webhook_delivery
        WHERE webhook_id = '$hook' ORDER BY position", role => 'travel_worker');
}

sub until_over {
    my ($hook, $n) = @_;
    wait_for(sub { $n == grep { $_ ne 'pending' } deliveries($hook) }, 15,
        "$n deliveries to be over");
    return join ' ', deliveries($hook);
}

sub signature {
    my ($secret, $seen) = @_;
    my $key = MIME::Base64::decode_base64($secret =~ s/^whsec_//r);
    my $h = $seen->{headers};
    return 'v1,' . MIME::Base64::encode_base64(Digest::SHA::hmac_sha256(
        "$h->{'webhook-id'}.$h->{'webhook-timestamp'}.$seen->{body}", $key),
        '');
}

subtest 'told, and signed' => sub {
    happen('journey.started');
    $origin->set('/all', status => 204);
    my ($hook, $secret) = add('/all', '--types', 'journey.started,trip%');
    like($secret, qr/^whsec_[A-Za-z0-9+\/]{32}$/, 'a secret');
    my $id = happen('journey.started');
    is(until_over($hook, 1), 'delivered', 'delivered');
    my ($seen) = $origin->seen('/all');
    my $body = json($seen->{body});
    is($body->{type}, 'journey.started', 'its type');
    is($body->{data}{id}, $id, 'what was before is not told');
    like($body->{timestamp}, qr/^\d{4}-.*Z$/, 'when');
    like($seen->{headers}{'webhook-id'}, qr/^[0-9a-f-]{36}$/, 'webhook-id');
    cmp_ok(abs($seen->{headers}{'webhook-timestamp'} - time), '<', 30,
        'webhook-timestamp');
    is($seen->{headers}{'webhook-signature'}, signature($secret, $seen),
        'webhook-signature');

    my (undef, $out) = ctl('rotate', $hook);
    my ($new) = (split /  /, $out)[1];
    isnt($new, $secret, 'another secret');
    happen('journey.started');
    until_over($hook, 2);
    $seen = ($origin->seen('/all'))[1];
    is($seen->{headers}{'webhook-signature'}, signature($new, $seen) . ' '
        . signature($secret, $seen), 'both sign');
    ctl('rotate', $hook, '--drop-old');
    happen('journey.started');
    until_over($hook, 3);
    $seen = ($origin->seen('/all'))[2];
    is($seen->{headers}{'webhook-signature'}, signature($new, $seen),
        'then the new one alone');
    ctl('set', $hook, 'disabled');
    happen('journey.started');
};

subtest 'a user of his own' => sub {
    $origin->set('/mine', status => 200);
    my ($hook) = add('/mine', '--user', $t->user(1));
    happen('journey.started', $t->user(2));
    my $id = happen('journey.started', $t->user(1));
    until_over($hook, 1);
    is_deeply([map { json($_->{body})->{data}{id} } $origin->seen('/mine')],
        [$id], 'only his');
    ctl('set', $hook, 'disabled');
};

subtest 'tried again, the same id, and on record' => sub {
    $origin->set('/flaky', status => 503);
    my ($hook) = add('/flaky', '--types', 'journey.started');
    happen('journey.started');
    wait_for(sub { $origin->count('/flaky') >= 2 }, 10, 'a second try');
    $origin->set('/flaky', status => 200);
    is(until_over($hook, 1), 'delivered', 'at last');
    my %ids = map { $_->{headers}{'webhook-id'} => 1 } $origin->seen('/flaky');
    is(scalar keys %ids, 1, 'under one id');
    my $log = ctl('log', $hook);
    like($log, qr/journey\.started  delivered  .* 503 \d+ms, .* 200 \d+ms$/,
        'every attempt');

    my $before = $origin->count('/flaky');
    my ($rc, $out) = ctl('replay', keys %ids);
    is($rc, 0, 'replay');
    wait_for(sub { $origin->count('/flaky') == $before + 1 }, 10, 'once more');
    is(($origin->seen('/flaky'))[-1]{headers}{'webhook-id'}, (keys %ids)[0],
        'under the same id');
    is((ctl('replay', $t->user(3)))[0], 1, 'no such delivery');

    $origin->set('/long', body => 'x' x 100_000);
    my ($long) = add('/long', '--types', 'journey.completed');
    happen('journey.completed');
    is(until_over($long, 1), 'delivered', 'however much the receiver says');

    $origin->set('/flaky', status => 500);
    happen('journey.started');
    is(until_over($hook, 2), 'delivered dead', 'given up in the end');
    ctl('set', $hook, 'disabled');
};

subtest 'gone' => sub {
    $origin->set('/gone', status => 410);
    my ($hook) = add('/gone');
    happen('journey.started');
    is(until_over($hook, 1), 'dead', 'not tried again');
    is($origin->count('/gone'), 1, 'asked once');
    happen('journey.started');
    like(scalar ctl('list'), qr/^$hook  gone  %  0  0  1  /m,
        'and not told any more');
    my $delivery = $t->sql("SELECT id FROM jobs.webhook_delivery
        WHERE webhook_id = '$hook'", role => 'travel_worker');
    my ($rc, $out) = ctl('replay', $delivery);
    is($rc, 1, 'nor by hand');
    like($out, qr/no delivery of an active webhook/, 'and why');
    is(join(' ', deliveries($hook)), 'dead', 'it stays what it is');
};

subtest 'what is no webhook is refused, and no secret told' => sub {
    my @bad = (
        [qr/is not a URL/, 'add', 'ftp://example.com/'],
        [qr/is not a URL/, 'add', 'http://'],
        [qr/is not a URL/, 'add', 'http://ex ample.com/'],
        [qr/--types does not take/, 'add', 'http://example.com/', '--types', ''],
        [qr/--types does not take/, 'add', 'http://example.com/', '--types', 'a,,b'],
        [qr/is a UUID/, 'add', 'http://example.com/', '--user', 'me'],
        [qr/neither active nor disabled/, 'set', $t->user(3), 'gone'],
        map { [qr/is a UUID/, $_, 'x'] } qw(rotate log replay));
    for (@bad) {
        my ($like, @args) = @$_;
        my ($rc, $out) = ctl(@args);
        is($rc, 2, "webhook @args: exit 2");
        like($out, $like, 'and why');
        unlike($out, qr/whsec_/, 'without the secret');
    }
    for ('set', 'rotate') {
        my ($rc, $out) = ctl($_, $t->user(3), $_ eq 'set' ? 'active' : ());
        is($rc, 1, "webhook $_: unknown");
        like($out, qr/there is no webhook/, 'and told so');
    }
};

subtest 'not to addresses that are not public' => sub {
    my @hooks = map { my ($rc, $out) = ctl('add', $_); (split /  /, $out)[0] }
        "http://127.0.0.2:$port/x", "http://[::1]:$port/x",
        'http://10.0.0.1/x', 'http://169.254.169.254/latest/meta-data',
        "http://2130706434:$port/x", "http://0x7f000002:$port/x",
        "http://[::ffff:127.0.0.2]:$port/x", 'http://ip6-localhost/x';
    happen('journey.started');
    for my $hook (@hooks) {
        is(until_over($hook, 1), 'dead', scalar $t->sql("SELECT url FROM
            jobs.webhook WHERE id = '$hook'", role => 'travel_worker'));
    }
    is($origin->count('/x'), 0, 'nobody was asked');
    $origin->set('/redirect', status => 302,
        headers => ["Location: http://127.0.0.2:$port/x"]);
    my ($hook) = add('/redirect');
    happen('journey.started');
    until_over($hook, 1);
    is($origin->count('/x'), 0, 'redirects are not followed');
};

subtest 'a delivery that died is not told of by another' => sub {
    ok($t->sql("SELECT count(*) FROM jobs.dead WHERE type = 'webhook.deliver'",
        role => 'travel_worker'), 'some did');
    is_deeply([map { $_->[0] } $t->sql("SELECT data->>'job_type'
        FROM events.event WHERE type = 'system.error'",
        role => 'travel_worker')], [], 'or it would die, too, and so on');
};

$origin->stop;
is($p->stop_workers, 0, 'the pool ends well');
$p->finish;
done_testing;
