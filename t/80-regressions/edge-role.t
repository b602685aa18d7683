# The edge's database role selects and nothing else, even when it lifts its
# own read-only default: no write, no temporary table, no large object, no
# look at jobs, events or credentials.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Travel::Test;

my $t = Travel::Test->start(parts => 'postgres');

sub refused {
    my ($sql) = @_;
    eval { $t->sql("SET transaction_read_only = off; $sql",
        role => 'travel_edge'); 1 } and return fail("allowed: $sql");
    like($@, qr/permission denied/, $sql);
}

is($t->sql('SELECT count(*) > 100000 FROM travel.place',
    role => 'travel_edge'), 't', 'it reads what it is granted');
refused($_) for
    'CREATE TEMP TABLE x (a int)',
    'CREATE TABLE travel.x (a int)',
    'SELECT lo_create(0)',
    q{SELECT lo_from_bytea(0, 'x')},
    q{UPDATE travel.users SET name = 'x'},
    'DELETE FROM travel.bookings',
    'SELECT * FROM jobs.inbox',
    'SELECT * FROM events.event',
    q{SELECT jobs.lease('booking', 0, 'me', '1s')};

$t->finish;
done_testing;
