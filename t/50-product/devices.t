# Devices by HTTP: registered, listed, one's own, taken away.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(
    parts => 'postgres queue cache workers nginx',
    env => { TRAVEL_LIMITS => 'limits-open.conf' });
my @me = (token => $t->user_token(0));
my @you = (token => $t->user_token(1));
my $path = '/api/v1/devices';

my $r = $t->post($path, { service => 'fcm', token => 'tok:1' }, @me,
    headers => { prefer => 'wait=10' });
is($r->{status}, 201, 'registered') or diag $r->{content};
my $id = $r->{json}{id};
is($r->{json}{service}, 'fcm', 'where');
unlike($r->{content}, qr/tok:1/, 'the token is nobody\'s business');
is($r->{headers}{location}, "$path/$id", 'Location');

is_deeply([map { $_->{id} } @{ json($t->get($path, @me)->{content})->{items} }], [$id],
    'listed');
is_deeply(json($t->get($path, @you)->{content})->{items}, [], 'to nobody else');
is($t->get("$path/$id", @you)->{status}, 404, 'nor shown');
is($t->post($path, { service => 'sms', token => 'x' }, @me)->{status}, 422,
    'no such service');

$r = $t->post($path, { service => 'fcm', token => 'tok:1' }, @you,
    headers => { prefer => 'wait=10' });
is($r->{status}, 201, 'the phone has another user now');
is_deeply([$t->sql('SELECT id FROM travel.devices')], [[$r->{json}{id}]],
    'whose it is alone');

$id = $r->{json}{id};
$r = $t->delete("$path/$id", @me, headers => { prefer => 'wait=10' });
is($r->{status}, 404, 'not one\'s own') or diag $r->{content};
$r = $t->delete("$path/$id", @you, headers => { prefer => 'wait=10' });
is($r->{status}, 200, 'taken away') or diag $r->{content};
is_deeply(json($t->get($path, @you)->{content})->{items}, [], 'gone');
is_deeply([map { $_->[0] } $t->sql("SELECT string_agg(type, ' ' ORDER BY version)
    FROM events.event WHERE stream_type = 'device' GROUP BY stream_id")],
    [('device.registered device.removed') x 2], 'and all of it is on record: '
    . 'the first user\'s, which went when it had another, too');
ok(!eval { $t->sql('SELECT token FROM travel.devices', role => 'travel_edge');
    1 }, 'the edge cannot read tokens');

$t->finish;
done_testing;
