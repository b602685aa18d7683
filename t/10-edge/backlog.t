# What a partition may hold: messages and bytes, less for commands of lower
# priority; what is told to who is refused; when there is room again.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $t = Travel::Test->new(
    parts       => 'postgres queue cache nginx',
    ngx_workers => 1,
    allow_5xx   => 1,
    env         => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit        => sub {
        my $dir = Travel::Test->root . '/build/backlog-catalog';
        s{travel_catalog .*?;}{travel_backlog 100 bytes=1m normal=80% low=50%;
    travel_catalog  $dir;};
        my $places = join "\n", map {
            "location = /$_ { travel_auth required jwks=main audience=travel; "
            . "travel_command POST booking.$_ max_body=64k; }" }
            qw(high usual low);
        s{(location = /health )}{$places\n$1};
    },
);

# A catalog of its own: the product's, and a command of each priority.
my $dir = Travel::Test->root . '/build/backlog-catalog';
system("rm -rf '$dir' && cp -r conf/travel '$dir'") == 0 or die 'no catalog';
my $create = slurp('conf/travel/commands/booking.create.json');
for (['high', 'high'], ['usual', 'normal'], ['low', 'low']) {
    my ($name, $priority) = @$_;
    my $text = $create =~ s/"booking\.create"/"booking.$name"/r
        =~ s/"priority": "normal"/"priority": "$priority"/r;
    open my $f, '>', "$dir/commands/booking.$name.json" or die $!;
    print $f $text;
    close $f;
}
$t->launch;

my $q = $t->redis('queue');
my $token = $t->user_token(1);
my %body = (partner => 'opentable', venue_id => 'v', party_size => 4,
    booking_date => '2030-03-01T19:00:00Z');

wait_for(sub { $t->get('/ready')->{status} == 200 }, 10, 'ready');

sub send_one {
    my ($place, $padding) = @_;
    return $t->request('POST', "/$place", token => $token,
        headers => { 'content-type' => 'application/json' },
        body => '{' . ' ' x ($padding // 0) . '"partner":"opentable",'
            . '"venue_id":"v","party_size":4,'
            . '"booking_date":"2030-03-01T19:00:00Z"}');
}

# Sends until refused; how many went in, and the refusal.
sub fill {
    my ($place, $padding) = @_;
    for my $n (0 .. 300) {
        my $r = send_one($place, $padding);
        return ($n, $r) if $r->{status} != 202;
    }
    return (301, {});
}

sub empty {
    my @keys = @{ $q->call('KEYS', 'travel:{booking.*}:*') };
    $q->call('DEL', @keys) if @keys;
}

subtest 'messages, the low first' => sub {
    my ($low, $r) = fill('low');
    is($r->{status}, 503, 'low priority is refused');
    is($r->{json}{error}{code}, 'QUEUE_FULL', 'code');
    like($r->{headers}{'retry-after'}, qr/^([1-9]|[12]\d|30)$/, 'Retry-After');
    cmp_ok($low, '<=', 50, 'by half of the bound');
    cmp_ok($low, '>', 40, 'not long before');
    my ($usual) = fill('usual');
    cmp_ok($low + $usual, '<=', 80, 'normal priority by its share');
    cmp_ok($usual, '>', 20, 'which is more');
    my ($high, $last) = fill('high');
    is($low + $usual + $high, 100, 'high priority by the bound');
    is($last->{status}, 503, 'then nobody');
    is(send_one('low')->{status}, 503, 'least of all the low');
    my $problem = $t->request('POST', '/low', token => $token, headers => {
        'content-type' => 'application/json',
        accept => 'application/problem+json' }, body => '{"partner":"opentable",'
            . '"venue_id":"v","party_size":4,'
            . '"booking_date":"2030-03-01T19:00:00Z"}');
    like($problem->{json}{type}, qr/#temporary-reduced-capacity\z/,
        'as a problem of the registered type');

    # room for one of the high, not for the others: what is oldest goes
    my ($key) = grep { $q->call('XLEN', $_) }
        @{ $q->call('KEYS', 'travel:{booking.*}:low') };
    $q->call('XTRIM', $key, 'MAXLEN', 40);
    ok(wait_for(sub { send_one('high')->{status} == 202 }, 5, 'room'),
        'room again for the high');
    is(send_one('usual')->{status}, 503, 'not for the others');
    empty();
    ok(wait_for(sub { send_one('low')->{status} == 202 }, 5, 'more room'),
        'and for all');
};

subtest 'jobs that are delayed count' => sub {
    empty();
    my $r = wait_for(sub { my $r = send_one('low');
        $r->{status} == 202 && $r }, 5, 'room');
    my ($n) = $r->{json}{job}{id} =~ /^booking\.(\d+)/;
    $q->call('ZADD', "travel:{booking.$n}:delayed",
        map { $_, "job-$_" } 1 .. 60);
    ok(wait_for(sub { send_one('low')->{status} == 503 }, 5, 'full'),
        'sixty of them');
    is(send_one('usual')->{status}, 202, 'are not too many for the others');
    empty();
};

subtest 'bytes' => sub {
    wait_for(sub { send_one('low')->{status} == 202 }, 5, 'room');
    my ($n, $r) = fill('usual', 60_000);
    is($r->{status}, 503, 'refused');
    is($r->{json}{error}{code}, 'QUEUE_FULL', 'code');
    cmp_ok($n, '<=', 14, 'by 80 % of a megabyte') or diag($n);
    cmp_ok($n, '>=', 8, 'not long before');
    my ($more) = fill('high', 60_000);
    cmp_ok($more, '>=', 1, 'the high may have the rest');
    cmp_ok($n + $more, '<=', 18, 'which has an end too');
    sleep 0.5;      # the count by Redis says the same
    is(send_one('low')->{status}, 503, 'and holds');
    empty();
    ok(wait_for(sub { send_one('low', 60_000)->{status} == 202 }, 5, 'room'),
        'until there is room');
};

# nginx -t, with the sanitizer's runtime first where the module needs it.
subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    for (['0', qr/from 1 to 100000000/], ['100 bytes=1k', qr/from 1m to 1024g/],
        ['100 low=80', qr/from 1% to 100%/], ['100 low=101%', qr/from 1%/],
        ['100 high=9%', qr/bytes=, normal= or low=/])
    {
        $t->write('bad.conf', $conf =~ s/travel_backlog [^;]*/travel_backlog $_->[0]/r);
        my ($rc, $out) = $t->nginx_t('bad.conf');
        isnt($rc, 0, "travel_backlog $_->[0]");
        like($out, $_->[1], '... says why');
    }
};

$t->finish;
system("rm -rf '$dir'");
done_testing;
