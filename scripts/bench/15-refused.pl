# Bad tokens: how cheap it is to refuse them, against `return 401` of the same
# bytes and headers, and what good callers feel of a flood.
package Travel::Bench::Refused;

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $LOCATIONS = <<'CONF';
location = /bench/me {
    travel_auth  required jwks=main audience=travel;
    travel_query GET me.get;
    travel_cache 1h;
}
location = /bench/unbudgeted {
    travel_auth  required jwks=main audience=travel;
    travel_signature_budget off;
    travel_query GET me.get;
}
CONF

# A token whose signature is not ours, and well formed all the same: its last
# characters stay, for not every one may stand there.
sub bad_token {
    return substr($token, 0, -12) . sprintf('%08x', int rand 2**32)
        . substr $token, -4;
}

# Every request with another signature, in every run others again.  The rest of
# the request is made once: nginx is to be what is measured, not the generator.
sub distinct_script {
    my ($head, $tail) = (substr($token, 0, -16), substr $token, -4);
    $t->write('distinct.lua', <<"LUA");
local f = io.open("/dev/urandom")
local a, b, c, d = f:read(4):byte(1, 4)
f:close()
local n = ((a * 256 + b) * 256 + c) * 65536 + d
local before, after
init = function()
    local whole = wrk.format("GET", nil, { ["Authorization"] =
        "Bearer $head~~$tail" })
    local at = whole:find("~~", 1, true)
    before, after = whole:sub(1, at - 1), whole:sub(at + 2)
end
request = function()
    n = n + 1
    return before .. string.format("%012x", n) .. after
end
LUA
    return ('-s', $t->dir . '/distinct.lua');
}

sub start_refusing {
    add_conf($LOCATIONS);
    my $bad = bad_token();
    my $r = $t->get('/bench/me', token => $bad);
    die "not refused: $r->{status}\n" if $r->{status} != 401;
    add_conf($LOCATIONS . same_answer('/bench/ceiling', $r));
    return $bad;
}

sub refused {
    my ($path, @more) = @_;
    return sub { warm(sub { wrk($path, $_[0], { status => 401 }, @more) }) };
}

sub edge_refused_repeated {
    my $bad = start_refusing();
    my @same = ('/bench/ceiling', '/bench/me');
    pairs('edge.refused.repeated', 'requests/s', map {
        my $path = $_;
        sub { warm(sub { wrk($path, $_[0], { status => 401, token => $bad }) }) };
    } @same);
}

sub edge_refused_distinct {
    start_refusing();
    my @distinct = distinct_script();
    pairs('edge.refused.distinct', 'requests/s',
        refused('/bench/ceiling', @distinct), refused('/bench/me', @distinct));
    my $off = warm(sub {
        wrk('/bench/unbudgeted', $_[0], { status => 401 }, @distinct) });
    report('edge.refused.unbudgeted', 'requests/s', value => $off->{rate},
        pairs => 1, spread => sprintf 'budget off, %.2f of a core', $off->{cpu});
    good_callers(@distinct);
}

# Good callers at a quiet rate while bad tokens come on as many connections as
# ever, each as fast as it is answered: nginx's core is full.  The good callers
# would be on a machine of their own: they come before all else on their core
# (SCHED_FIFO), idle and flooded alike, and the flood is made on what of it they
# leave (SCHED_IDLE).  The same flood of what `return 401` refuses, in the order
# in which it comes, is said beside.
sub good_callers {
    my (@distinct) = @_;
    my $quiet = sub { quantile(0.99, latency('/bench/me', 1000,
        first => 1)) };
    my (@idle, @plain, @ours);
    for (1 .. 5) {
        push @idle, $quiet->();
        push @plain, flooded('/bench/ceiling', $quiet, @distinct);
        push @ours, flooded('/bench/me', $quiet, @distinct);
    }
    report('edge.refused.good_p99', 'ms', value => median(@ours) / 1000,
        ceiling => median(@idle) / 1000,
        ratio => median(@ours) / median(@idle), pairs => scalar @ours,
        spread => sprintf 'idle %s, flooded %s us; by return 401 %s',
            map { join '/', @$_ } \@idle, \@ours, \@plain);
}

sub flooded {
    my ($path, $quiet, @distinct) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $t->run('/usr/bin/taskset', '-c', '1', 'chrt', '--idle', '0', 'wrk',
            '-t1', '-c' . CONNS, '-d' . (SECONDS + 2 * WARM) . 's', @distinct,
            $t->url . $path);
        POSIX::_exit(0);
    }
    sleep 0.5;
    my $p99 = $quiet->();
    waitpid $pid, 0;
    return $p99;
}

bench('edge.refused.repeated', \&edge_refused_repeated);
bench('edge.refused.distinct', \&edge_refused_distinct);

1;
