# Operations of sockets that are gone at once, by their clients and by a reload:
# an answer that was all here ended its request for good, within the handler that
# nginx then returned to.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use Travel::GraphqlSocket;
use Travel::Test;

my $t = Travel::Test->start(ngx_workers => 2,
    env => { TRAVEL_LIMITS => 'limits-open.conf' });
my $alice = $t->user_token(1);
my $journey = $t->post('/api/v1/journeys', { origin => 'Berlin, DE',
    destination => 'Paris, FR', theme => 'history' }, token => $alice,
    headers => { prefer => 'wait=10' })->{json}{id};
my @asks = (['{ me { id } }'], ['{ myJourneys { id } }'],
    ['subscription($j: ID!) { journeyUpdates(journeyId: $j) { type } }',
        variables => { j => $journey }]);

my $asked = 0;
srand 7;
for my $round (1 .. 8) {
    my @sockets;
    for (1 .. 12) {
        my $s = Travel::GraphqlSocket->open($t, token => $alice);
        $s->init;
        $s->ask("x$_", @{ $asks[rand @asks] }) for 0 .. rand 4;
        $asked++;
        push @sockets, $s;
        splice @sockets, rand @sockets, 1 if rand() < 0.4;    # it leaves
    }
    sleep rand 0.02;
    if ($round % 2 == 0) {
        kill 'HUP', $t->pid_of('nginx');
        sleep 0.3 + rand;
    }
}                                   # and here they all go
is($asked, 96, 'sockets asked and left');
is($t->get('/health')->{status}, 200, 'nginx goes on');
$t->finish;
done_testing;
