# A story or a booking may be accepted while its journey is still in the queue,
# and may overtake it there: then it waits for the journey, it is not refused.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Travel::Test;
use Travel::Jobs;

my $j = Travel::Jobs->start;
my $t = $j->t;
my %booking = (partner => 'opentable', venue_id => 'v-1', party_size => 2,
    booking_date => '2030-03-01T19:00:00Z');

for my $type ('story.generate', 'booking.create') {
    my $journey = $j->new_id('journey');
    my $queue = $type =~ /^story/ ? 'ai' : 'booking';
    my $id = $j->new_id($queue);
    my $body = { ($queue eq 'booking' ? %booking : ()),
        journey_id => $j->uuid_of($journey) };

    my $r = $j->job($type, $body, id => $id);
    is($r->{verdict}, 'retry', "$type before its journey: later")
        or diag $r->{output};
    is($r->{error}{code}, 'RESOURCE_NOT_FOUND', 'and why');
    is_deeply([$j->events($j->uuid_of($id))], [], 'no effect yet');

    my $y = $j->job('journey.start', { origin => 'Berlin',
        destination => 'Paris, FR', theme => 'history' }, id => $journey);
    is($y->{verdict}, 'done', 'the journey is made') or diag $y->{output};
    $r = $j->job($type, $body, id => $id);
    is($r->{verdict}, 'done', 'and then it goes on') or diag $r->{output};

    my $old = '01890000-0000-7000-8000-0000000000bb';
    $r = $j->job($type, { %$body, journey_id => $old },
        id => $j->new_id($queue));
    is($r->{verdict}, 'reject', 'one that ought to be there: refused');
    is($r->{error}{code}, 'RESOURCE_NOT_FOUND', 'code');

    my $theirs = $j->job('journey.start', { origin => 'Berlin',
        destination => 'Paris, FR', theme => 'history' },
        sub => $t->user(5))->{result}{id};
    $r = $j->job($type, { %$body, journey_id => $theirs },
        id => $j->new_id($queue));
    is($r->{verdict}, 'reject', "somebody else's: refused at once");
}

$t->finish;
done_testing;
