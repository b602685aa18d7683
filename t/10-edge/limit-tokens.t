# A limit in tokens: a request is admitted at its reserve, its job's end tells
# what it cost, on the node that admitted it and, where the limit is shared, on
# all of them.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use Travel::Node;
use Travel::Test;

my $t = Travel::Test->start(
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(server_name _;)/$1
        location ~ "^\/a\/(?<journey>.*)\$" {
            travel_auth    required jwks=main audience=travel;
            travel_limit   \$travel_user 5000r\/h name=a cost=tokens reserve=300;
            travel_command POST story.generate set=journey_id:\$journey
                           check=stories.precheck wait=30s;
        }
        location ~ "^\/b\/(?<journey>.*)\$" {
            travel_auth    required jwks=main audience=travel;
            travel_limit   \$travel_user 1000r\/h name=b cost=tokens reserve=300 mode=strict;
            travel_command POST story.generate set=journey_id:\$journey
                           check=stories.precheck wait=30s;
        }
        location ~ "^\/d\/(?<journey>.*)\$" {
            travel_auth    required jwks=main audience=travel;
            travel_limit   \$travel_user 100000r\/d window=day name=d cost=tokens reserve=50000;
            travel_command POST story.generate set=journey_id:\$journey
                           check=stories.precheck wait=30s;
        }/;
    });
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20, 'ready');
my $u = Travel::Node->start($t);

my $token = $t->user_token(1);
my $journey = $t->post('/api/v1/journeys', { origin => 'Boston, US',
    destination => 'Hartford, US', theme => 'food' }, token => $token,
    headers => { prefer => 'wait=10' });
is $journey->{status}, 201, 'a journey' or diag $journey->{content};
my $id = $journey->{json}{id};

sub ask { my ($node, $l, %o) = @_; $node->post("/$l/$id", $o{body} // {},
    token => $token, headers => { prefer => $o{prefer} // 'wait=20',
        $o{key} ? ('idempotency-key' => qq("$o{key}")) : () }) }
sub remaining { $_[0]{headers}{'x-ratelimit-remaining'} }
# What is left, as a refused command tells: it costs nothing.
sub left { remaining(ask(@_, body => { theme => 7 })) }
sub told { my ($node) = @_; my ($n) = $node->get('/metrics')->{content}
    =~ /^travel_limit_tokens_total (\d+)/m; return $n }

my $first = ask($t, 'a');
is $first->{status}, 201, 'a story' or diag $first->{content};
is remaining($first), 4700, 'admitted at its reserve';
ok wait_for(sub { told($t) > 0 }, 10, 'told'), 'its end tells the cost';
my $cost = told($t);
cmp_ok $cost, '>', 50, "... which is $cost";
is left($t, 'a') + 300, 5000 - $cost, '... and counts in place of the reserve';
is left($t, 'a') + 300, 5000 - $cost, 'a refused command costs nothing';

is told($u), 0, 'another node has nothing to do with it';
is left($u, 'a') + 300, 5000, '... and counts alone';

ask($t, 'a', key => 'same');
wait_for(sub { told($t) > $cost }, 10, 'told again');
my $spent = told($t);
is ask($t, 'a', key => 'same')->{headers}{'idempotent-replayed'}, 'true', 'a repeat';
is left($t, 'a') + 300, 5000 - $spent, '... costs nothing';

# --- shared ------------------------------------------------------------------

my $was = told($t);
is ask($t, 'b')->{status}, 201, 'strict: a story';
ok wait_for(sub { told($t) > $was }, 10, 'told'), '... its cost is told';
my $strict = told($t) - $was;
ok wait_for(sub { left($u, 'b') + 300 == 1000 - $strict }, 10, 'all nodes'),
    '... and counts for all nodes';
is left($t, 'b') + 300, 1000 - $strict, '... this one, too';

# --- over a reload, and more than was reserved ------------------------------

$was = told($t);
my $day = ask($t, 'd', prefer => 'respond-async');
is $day->{status}, 202, 'a promise';
$t->reload;
ok wait_for(sub { told($t) > $was }, 10, 'told'), 'the cost is told through a reload';
is left($t, 'd') + 50000, 100000 - (told($t) - $was), '... and a day counts it';

$u->stop;
$t->finish;
done_testing;
