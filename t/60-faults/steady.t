# Millions of mixed requests (cached and uncached reads, writes, refusals of
# every room) and memory that does not grow.  15 s under prove; a count of
# requests instead of a time: TRAVEL_REQUESTS=20000000 make soak.
# Runs alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Faults;
use Travel::Test;

my $SECONDS  = Travel::Faults->seconds(15);
my $REQUESTS = $ENV{TRAVEL_REQUESTS};
my $CONNECTIONS = 48;
# Of a worker, once it is warm: less than this.  ASan holds freed memory back,
# up to 256 MB of it, and says itself what is lost.
my $GROWTH   = $ENV{TRAVEL_SAN} ? 64 << 20 : 4 << 20;

my $t = Travel::Test->start(
    env  => { TRAVEL_LIMITS => 'limits-open.conf' },
    edit => sub {
        s/(server_name _;)/$1
        location = \/strict {
            travel_auth  required jwks=main audience=travel;
            travel_limit \$travel_user 100r\/s name=strict;
            travel_query GET me.get;
        }/;
    });
wait_for(sub { $t->get('/ready', allow_5xx => 1)->{status} == 200 }, 20,
    'the edge is ready');
my @token = map { $t->user_token($_, ttl => '12h') } 1 .. 50;
my $journey = $t->post('/api/v1/journeys', { origin => 'Boston, US',
    destination => 'Hartford, US', theme => 'food' }, token => $token[0],
    headers => { prefer => 'wait=10' });
is($journey->{status}, 201, 'a journey') or diag($journey->{content});

# What is asked, in shares of a thousand, and what it is answered with.
$t->write('mix.lua', <<"LUA");
local tokens = { @{[ join ', ', map { qq("$_") } @token ]} }
local body = '{"origin":"Boston, US","destination":"Hartford, US","theme":"food"}'
local function bearer(i) return { ["Authorization"] = "Bearer " .. tokens[i] } end
local n = 0

local function ask()
    n = n + 1
    local share, i = math.random(1000), math.random(#tokens)
    if share <= 600 then
        return wrk.format("GET", "/api/v1/journeys?limit=5", bearer(i))
    elseif share <= 750 then
        return wrk.format("GET", "/api/v1/places?q=" .. string.char(
            96 + math.random(26), 96 + math.random(26), 96 + math.random(26)))
    elseif share <= 850 then
        return wrk.format("GET", "/api/v1/me", bearer(i))
    elseif share <= 880 then
        return wrk.format("GET", "/strict", bearer(1))
    elseif share <= 910 then
        return wrk.format("GET", "/api/v1/me", { ["Authorization"] =
            "Bearer " .. tokens[i]:sub(1, -6) .. "AAAAA" })
    elseif share <= 930 then
        return wrk.format("GET", "/api/v1/bookings/" .. share .. "-nothing",
            bearer(i))
    elseif share <= 950 then
        return wrk.format("GET", "/api/v1/me")
    elseif share <= 965 then
        return wrk.format("POST", "/api/v1/bookings", {
            ["Authorization"] = "Bearer " .. tokens[i],
            ["Content-Type"] = "application/json" }, '{"partner":"no","party":1}')
    elseif share <= 980 then
        return wrk.format("POST", "/api/v1/journeys", {
            ["Authorization"] = "Bearer " .. tokens[i],
            ["Content-Type"] = "application/json" }, '{"origin":')
    elseif share <= 998 then
        return wrk.format("GET", "/nowhere/" .. n)
    end
    return wrk.format("POST", "/api/v1/journeys", {
        ["Authorization"] = "Bearer " .. tokens[i], ["Prefer"] = "respond-async",
        ["Content-Type"] = "application/json" }, body)
end
request = ask

-- Each thread counts for itself, in globals that done() can reach.
function init() seen = {} end
function response(status) seen[status] = (seen[status] or 0) + 1 end
local own = {}
function setup(thread) table.insert(own, thread) end
function done()
    for _, thread in ipairs(own) do
        for status, count in pairs(thread:get("seen")) do
            io.write("status ", status, " ", count, "\\n")
        end
    end
end
LUA

# Bytes that a process has for itself: shared zones are not its own.
sub own_memory {
    my ($pid) = @_;
    my ($anon) = slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
    return 1024 * ($anon // 0);
}

my (%status, @samples);
my $all = 0;
sub load {
    my ($seconds) = @_;
    my ($rc, $out) = $t->run('wrk', '-t1', "-c$CONNECTIONS",
        "-d${seconds}s",
        '-s', $t->dir . '/mix.lua', $t->url);
    is($rc, 0, 'a round of load') or diag($out);
    like($out, qr/requests in/, 'was one') or diag($out);
    unlike($out, qr/Socket errors/, 'no connection was lost') or diag($out);
    while ($out =~ /^status (\d+) (\d+)$/mg) { $status{$1} += $2; $all += $2 }
    push @samples, [ map { own_memory($_) } sort $t->children_of('nginx') ];
}

load(5);                            # pools, statements, zones: all warm
my $held = $t->edge_figures;
my $round = $SECONDS < 30 ? 3 : 20;
my $end = time + $SECONDS;
while ($REQUESTS ? $all < $REQUESTS : time < $end) {
    my $before = $all;
    load($round);
    last if $all == $before;        # told above; it would go on for ever
    diag(sprintf '%d requests: %s MB', $all, join ' ',
        map { sprintf '%.1f', $_ / 1e6 } @{ $samples[-1] })
        if $REQUESTS && @samples % 10 == 2;
}

my @first = @{ $samples[1] };
my @last  = @{ $samples[-1] };
for my $i (0 .. $#first) {
    cmp_ok($last[$i] - $first[$i], '<', $GROWTH, sprintf
        'a worker has %.1f MB, had %.1f', map { $_ / 1e6 } $last[$i], $first[$i]);
}
note("$all requests");
cmp_ok($all, '>=', $REQUESTS, 'all that were asked for') if $REQUESTS;
ok(wait_for(sub {
    my $now = $t->edge_figures;
    !grep { $now->{$_} > $held->{$_} + 2 } keys %$held;
}, 10, 'what nginx holds'), 'no connection is left over');
my @unexpected = grep { !/^(?:200|202|400|401|404|422|429)$/ } keys %status;
is_deeply({ map { $_ => $status{$_} } @unexpected }, {}, 'no other answer');
cmp_ok($status{$_} // 0, '>', 0, "$_: " . ($status{$_} // 0))
    for 200, 202, 400, 401, 404, 422, 429;

# All that was accepted is done.  wrk ends in the middle of requests: what it
# has sent by then may be accepted without anybody hearing of it.
my $told = 1 + $status{202};
my $cut  = $CONNECTIONS * @samples;
my $done = wait_for(sub {
    my $n = $t->sql('SELECT count(*) FROM travel.journeys');
    my @jobs = map { @{ $t->redis('queue')->call('KEYS', $_) } }
        map { "travel:{journey.$_}:normal" } 0 .. 3;
    my $left = 0;
    $left += $t->redis('queue')->call('XLEN', $_) for @jobs;
    $n >= $told && !$left && $n;
}, 60, 'the journeys') // 0;
cmp_ok($done, '>=', $told, "$told were accepted, $done done");
cmp_ok($done, '<=', $told + $cut, 'and nothing that nobody asked for');

$t->finish;
done_testing;
