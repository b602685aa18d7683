# Queries with @live: told again when a commit has changed their answer, to all
# who asked the same at whichever nginx worker, the database asked once; nothing
# when it is the same.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Events;
use Travel::GraphqlSocket;
use Travel::Test;

my $t = Travel::Test->start(
    ngx_workers => 4,
    allow_5xx => 1,
    env => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/listen(\s+\S+:\@PORT\@)([^;]*);/listen$1$2 reuseport;/;
    },
);
my ($alice, $bob) = map { $t->user_token($_) } 1, 2;
wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'ready');

sub journey {
    my ($token) = @_;
    my $r = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
        destination => 'Paris, FR', theme => 'history' }, token => $token,
        headers => { prefer => 'wait=10' });
    return $r->{json}{id};
}
sub talk {
    my $s = Travel::GraphqlSocket->open($t, token => $_[0] // $alice);
    $s->init;
    return $s;
}
# How often any server was asked that by the edge.
my @SERVERS = ('', 'replica');
for my $on (@SERVERS) {
    $t->sql($_, on => $on, role => 'postgres')
        for q(ALTER SYSTEM SET log_statement = 'all'),
        'SELECT pg_reload_conf()';
}
sub asked {
    sleep 1;
    return scalar grep { /travel_edge@.*execute graphql\..*'myJourneys'/ }
        map { split /\n/, slurp($t->dir . '/logs/' . ($_ || 'postgres')
            . '.log') } @SERVERS;
}

my $NEWEST = 'query Q @live { myJourneys(limit: 1, orderBy: NEWEST) { id } }';
my $OLDEST = 'query Q @live { myJourneys(limit: 1, orderBy: OLDEST) { id } }';
my $first = journey($alice);
my $s = talk();
$s->ask('n', $NEWEST);
is($s->next_json->{payload}{data}{myJourneys}[0]{id}, $first, 'the answer');
$s->ask('o', $OLDEST);
is($s->next_json->{payload}{data}{myJourneys}[0]{id}, $first, 'another');
ok(!$s->next(1), 'and they stay');

my $second = journey($alice);
my $m = $s->next_json(10);
is("$m->{id} $m->{type}", 'n next', 'a commit changes it');
is($m->{payload}{data}{myJourneys}[0]{id}, $second, '... to the new answer');
ok(!$s->next(1.5), 'what is the same is not told again');

journey($bob);
ok(!$s->next(1.5), 'others\' rows are not hers');

my @s = map { talk() } 1 .. 12;
$_->ask('x', $NEWEST) for @s;
is_deeply([map { $_->next_json->{payload}{data}{myJourneys}[0]{id} } @s],
    [($second) x 12], 'twelve more ask the same');
my $before = asked();
my $third = journey($alice);
is_deeply([map { $_->next_json(10)->{payload}{data}{myJourneys}[0]{id} } @s],
    [($third) x 12], 'all hear');
is($s->next_json(10)->{payload}{data}{myJourneys}[0]{id}, $third,
    'she, too');
my $n = asked() - $before;
cmp_ok($n, '>=', 2, 'it was asked');
cmp_ok($n, '<=', 4, 'once for each of the two queries, not for each socket or '
    . "nginx worker ($n)");

$_->close for @s[0 .. 10];
$s->json({ id => 'n', type => 'complete' });
my $e = Travel::Events->open($t, '/api/graphql/live?query='
    . 'query%20%40live%7BmyJourneys(limit%3A1)%7Bid%7D%7D', token => $alice);
is($e->next->{data}{data}{myJourneys}[0]{id}, $third, 'a stream');
my $fourth = journey($alice);
is($s[11]->next_json(10)->{payload}{data}{myJourneys}[0]{id}, $fourth,
    'those who are left go on');
is($e->next(10)->{data}{data}{myJourneys}[0]{id}, $fourth, 'the stream, too');
ok(!$s->next(1), 'after complete nothing comes');

$s->ask('p', 'query @live { place(id: "1") { name } }');
is($s->next_json->{type}, 'next', 'of a table that seldom changes');
$s->ask('i', 'query @live { __typename }');
is_deeply([map { $s->next_json->{type} } 1, 2], ['next', 'complete'],
    'what cannot change is complete');
my $r = $t->post('/api/graphql', { query => $NEWEST }, token => $alice);
is($r->{json}{data}{myJourneys}[0]{id}, $fourth, 'over HTTP it is a query');

# what is told while Redis is away is told when it is back
$t->kill_part('queue');
sleep 1.5;
$t->start_part('queue');
wait_for(sub { $t->get('/ready')->{status} == 200 }, 20, 'ready');
my $fifth;
wait_for(sub { $fifth = journey($alice) }, 20, 'a journey');
ok(wait_for(sub { my $m = $s[11]->next_json(2);
    $m && $m->{payload}{data}{myJourneys}[0]{id} eq $fifth }, 20),
    'after a gap all are asked again');

$t->finish;
done_testing;
