# Seen from outside: trace context by the W3C's rules, spans at a collector that
# fails in every way, health, readiness, metrics, the log.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use Travel::Test;

my $CONF = <<'END';
load_module @BUILD@/ngx_http_travel_module.so;
@USER@
worker_processes 2;
error_log @LOGS@/error.log info;
pid       @PIDS@/nginx.pid;
daemon    off;
worker_shutdown_timeout 10s;
events { worker_connections 512; }
http {
    include    @ROOT@/conf/log.conf;
    access_log @LOGS@/seen.log travel_json;
    client_body_temp_path @RUN@/tmp/body;
    proxy_temp_path       @RUN@/tmp/proxy;
    fastcgi_temp_path     @RUN@/tmp/fastcgi;
    uwsgi_temp_path       @RUN@/tmp/uwsgi;
    scgi_temp_path        @RUN@/tmp/scgi;
    large_client_header_buffers 4 32k;

    travel_redis    queue unix:@QUEUE_SOCKET@ user=edge password_file=@KEYS@/redis-edge.password;
    travel_postgres primary "host=@PG_SOCKET@ dbname=travel user=travel_edge"
                    password_file=@KEYS@/pg-edge.password connections=2;
    travel_catalog  @RUN@/catalog;
    travel_otlp     http://127.0.0.1:@PORT_OTLP@ service=edge-under-test
                    sample=0.2 slow=300ms queue=256 batch=32 interval=100ms
                    timeout=500ms;

    upstream tried {
        server 127.0.0.1:1 max_fails=0;
        server 127.0.0.1:@PORT@ backup;
    }

    server {
        listen 127.0.0.1:@PORT@;
        error_page 404 405 500 /_travel/error;
        location = /_travel/error { internal; travel_error_page; }
        location = /health { travel_health; access_log off; }
        location = /ready { travel_ready; access_log off; }
        location = /metrics { travel_metrics; access_log off; travel_trace off; }
        location = /ids {
            return 200 "$travel_trace_id $travel_span_id $travel_traceparent $travel_duration_ms";
        }
        location = /quiet { travel_trace off; return 200 "$travel_traceparent"; }
        location = /quiet-fail { travel_trace off; return 500; }
        location = /fail { return 500; }
        location = /proxy {
            proxy_set_header traceparent $travel_traceparent;
            proxy_pass http://127.0.0.1:@PORT@/echo;
        }
        location = /tries {
            proxy_set_header traceparent $travel_traceparent;
            proxy_pass http://tried/nothing;
        }
        location = /echo { return 200 "$http_traceparent|$http_tracestate"; }
        location = /read { travel_query GET t.read; }
    }
}
END

my $t = Travel::Test->new(parts => 'postgres queue otlp nginx', conf => $CONF);
mkdir $t->dir . "/$_" for 'catalog', 'catalog/queries';
$t->write('catalog/queries/t.read.sql', "-- \@public\n-- \@returns one\n"
    . "-- \@param s number = 0\n"
    . "SELECT json_build_object('slept', pg_sleep(:s)::text)::text");
$t->launch;

my $n = 0;
sub trace { return sprintf 'abc%029x', ++$n }
sub get { my ($path, %h) = @_; $t->get($path, allow_5xx => 1, headers => \%h) }
sub sampled { my ($path, $id, $parent) = @_;
    get($path, traceparent => "00-$id-" . ($parent // '00f067aa0ba902b7') . '-01') }
sub of { my %want = map { $_ => 1 } @_; grep { $want{ $_->{trace_id} } } $t->spans }
sub arrived { my ($id, $count, $s) = @_;
    @{ wait_for(sub { my @s = of($id); @s >= ($count // 1) && \@s }, $s // 10,
        ($count // 1) . " spans of $id") || [] } }
sub metric { my ($name) = @_;
    my ($v) = get('/metrics')->{content} =~ /^\Q$name\E (\S+)$/m;
    return $v // die "no metric $name\n" }
sub spans { metric(qq(travel_spans_total{result="$_[0]"})) }

subtest 'the caller\'s trace goes on' => sub {
    my $id = trace();
    my $r = sampled('/ids', $id);
    my ($trace, $span, $tp, $ms) = split ' ', $r->{content};
    is($trace, $id, '$travel_trace_id');
    like($span, qr/^[0-9a-f]{16}$/, '$travel_span_id');
    is($tp, "00-$id-$span-01", '$travel_traceparent');
    like($ms, qr/^\d+\.\d{3}$/, '$travel_duration_ms');
    my ($s) = arrived($id);
    is($s->{span_id}, $span, 'our span');
    is($s->{parent_span_id}, '00f067aa0ba902b7', 'below the caller\'s');
    is($s->{kind}, 'server', 'of a server');
    is($s->{resource}{'service.name'}, 'edge-under-test', 'by this service');
    is($s->{scope}, 'ngx_travel', 'and scope');
    is($s->{status}, 'unset', 'no error');
    my $took = $s->{end} - $s->{start};
    ok($took >= 0 && $took < 5e9, 'with its time');
    ok(abs($s->{start} / 1e9 - time) < 60, 'of now');
    my $a = $s->{attributes};
    is($a->{'http.request.method'}, 'GET', 'method');
    is($a->{'url.path'}, '/ids', 'path');
    is($a->{'url.scheme'}, 'http', 'scheme');
    is($a->{'http.response.status_code'}, 200, 'status');
    is($a->{'client.address'}, '127.0.0.1', 'client');
    is($a->{'server.address'}, '127.0.0.1', 'server');
    is($a->{'user_agent.original'}, 'travel-test', 'user agent');
    is($a->{'travel.request_id'}, $r->{headers}{'x-request-id'}, 'request id');
};

subtest 'what is a traceparent, and what is not' => sub {
    my $ok = '0af7651916cd43dd8448eb211c80319c';
    my $p = 'b7ad6b7169203331';
    my %other = (
        'upper case'       => "00-" . uc($ok) . "-$p-01",
        'version ff'       => "ff-$ok-$p-01",
        'no trace'         => '00-' . '0' x 32 . "-$p-01",
        'no parent'        => "00-$ok-" . '0' x 16 . '-01',
        'short'            => "00-$ok-$p-1",
        'long'             => "00-$ok-$p-01-what",
        'trailing dash'    => "00-$ok-$p-01-",
        'no hex'           => "00-$ok-${p}-0x",
        'empty'            => '',
        'blanks'           => "00 $ok $p 01",
        'new, no dash'     => "01-$ok-$p-01x",
    );
    for (sort keys %other) {
        my ($trace, $span) = split ' ', get('/ids', traceparent => $other{$_})
            ->{content};
        isnt($trace, $ok, "$_: not the caller's");
        like($trace, qr/^(?!0{32})[0-9a-f]{32}$/, '  one of our own');
    }
    for ("00-$ok-$p-00", "00-$ok-$p-ff", "01-$ok-$p-01", "cc-$ok-$p-01-more") {
        my ($trace, $span, $tp) = split ' ', get('/ids', traceparent => $_)
            ->{content};
        is($trace, $ok, "$_ is the caller's");
        my $flag = hex(substr $_, 53, 2) & 1;
        is(hex(substr $tp, 53) & 1, $flag, '  and sampled as he says');
        like($tp, qr/^00-/, '  in the version we speak');
    }
    my $two = $t->raw("GET /ids HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "traceparent: 00-$ok-$p-01\r\ntraceparent: 00-$ok-$p-01\r\n\r\n");
    unlike($two, qr/$ok/, 'two are none');
    like($two, qr/\r\n\r\n[0-9a-f]{32} /, '  but there is one');
    my $case = $t->raw("GET /ids HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "TraceParent: 00-$ok-$p-01\r\n\r\n");
    like($case, qr/\r\n\r\n$ok /, 'the header\'s name in any case');
    my %seen;
    $seen{ (split ' ', get('/ids')->{content})[0] }++ for 1 .. 200;
    is(scalar keys %seen, 200, 'each request its own');
};

subtest 'further on' => sub {
    my $id = trace();
    my $r = get('/proxy', traceparent => "00-$id-00f067aa0ba902b7-01",
        tracestate => 'a=1,b=2');
    my @s = arrived($id, 3);
    my ($first, $second) = map { my $path = $_;
        grep { ($_->{attributes}{'url.path'} // '') eq $path } @s }
        '/proxy', '/echo';
    is($r->{content}, "00-$id-$first->{span_id}-01|a=1,b=2",
        'proxied with our span as parent');
    is($second->{parent_span_id}, $first->{span_id}, 'and so it is');
    my ($try) = grep { $_->{kind} eq 'client' } @s;
    is($try->{parent_span_id}, $first->{span_id}, 'with the try beside');
    is($try->{name}, 'GET', 'by its method');
    is($try->{attributes}{'http.response.status_code'}, 200, 'its status');
    is($try->{attributes}{'server.address'}, '127.0.0.1:' . $t->port, 'whom');
    is($try->{status}, 'unset', 'no error');
    ok($try->{start} <= $try->{end} && $try->{end} <= $first->{end}, 'when');
    $id = trace();
    get('/tries', traceparent => "00-$id-00f067aa0ba902b7-01");
    my @try = sort { ($a->{attributes}{'http.request.resend_count'} // 0)
        <=> ($b->{attributes}{'http.request.resend_count'} // 0) }
        grep { $_->{kind} eq 'client' } arrived($id, 4);
    is_deeply([map { [@{ $_->{attributes} }{qw(http.response.status_code
        http.request.resend_count error.type)}, $_->{status}] } @try],
        [[502, undef, 502, 'error'], [404, 1, 404, 'error']],
        'one for each that was tried');
    $id = trace();
    sampled('/read', $id);
    @s = arrived($id, 2);
    my ($server) = grep { $_->{kind} eq 'server' } @s;
    my ($client) = grep { $_->{kind} eq 'client' } @s;
    is($server->{name}, 'GET t.read', 'a route names the span');
    is($server->{attributes}{'http.route'}, 't.read', 'http.route');
    is($server->{attributes}{'travel.server'}, 'primary', 'who answered');
    is($client->{parent_span_id}, $server->{span_id}, 'the query is below it');
};

subtest 'what is sampled' => sub {
    my @ids = map { trace() } 1 .. 30;
    get('/ids', traceparent => "00-$_-00f067aa0ba902b7-00") for @ids;
    my $all = sub { scalar grep { ($_->{attributes}{'url.path'} // '') eq '/ids' }
        $t->spans };
    my $before = $all->();
    my $last = trace();
    for (1 .. 1000) { get('/ids') }
    sampled('/ids', $last);
    arrived($last);
    sleep 0.4;
    my $after = $all->();
    is(scalar of(@ids), 0, 'not what the caller did not');
    my $some = $after - $before - 1;
    ok($some > 140 && $some < 260, "a fifth of those without ($some of 1000)");
    @ids = map { trace() } 1 .. 10;
    get('/fail', traceparent => "00-$_-00f067aa0ba902b7-00") for @ids;
    wait_for(sub { of(@ids) == 10 }, 5, 'ten failures');
    is(scalar of(@ids), 10, 'failures always');
    my $id = trace();
    get('/read?s=0.4', traceparent => "00-$id-00f067aa0ba902b7-00");
    my @s = arrived($id);
    is(scalar @s, 1, 'what is slow always, without what is below');
    is($s[0]{kind}, 'server', 'its own span');
    my @off = (trace(), trace());
    is(substr(sampled('/quiet', $off[0])->{content}, -2), '00',
        'a location that is not traced says so further on');
    sampled('/quiet-fail', $off[1]);
    sleep 0.4;
    is(scalar of(@off), 0, 'and leaves no span');
};

subtest 'failures, refusals and odd requests' => sub {
    my ($fail, $none, $post, $odd, $long) = map { trace() } 1 .. 5;
    sampled('/fail', $fail);
    sampled('/nowhere/at?all=1', $none);
    $t->request('POST', '/read', body => '{}', headers =>
        { traceparent => "00-$post-00f067aa0ba902b7-01" });
    $t->raw("BREW /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "traceparent: 00-$odd-00f067aa0ba902b7-01\r\n\r\n");
    $t->raw("GET /ids HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: "
        . "\xff\xfe" . 'u' x 20000 . "\r\n"
        . "traceparent: 00-$long-00f067aa0ba902b7-01\r\n\r\n");
    my ($s) = arrived($fail);
    is($s->{status}, 'error', '500 is an error');
    is($s->{attributes}{'error.type'}, 'INTERNAL_ERROR', 'error.type');
    is($s->{attributes}{'url.path'}, '/fail', 'the client\'s path');
    is($s->{attributes}{'http.response.status_code'}, 500, 'the status');
    ($s) = arrived($none);
    is($s->{status}, 'unset', '404 is none');
    is($s->{attributes}{'error.type'}, undef, 'and has no error.type');
    is($s->{attributes}{'travel.error'}, 'RESOURCE_NOT_FOUND', 'but a code');
    is($s->{attributes}{'url.path'}, '/nowhere/at', 'the path alone');
    ($s) = arrived($post);
    is($s->{attributes}{'http.request.method'}, 'POST', 'the client\'s method');
    is($s->{attributes}{'http.response.status_code'}, 405, 'refused');
    ($s) = arrived($odd);
    is($s->{attributes}{'http.request.method'}, '_OTHER', 'an unknown method');
    is($s->{attributes}{'http.request.method_original'}, 'BREW', 'which it was');
    like($s->{name}, qr/^HTTP/, 'does not name the span');
    ($s) = arrived($long);
    is(length $s->{attributes}{'user_agent.original'}, 1024, 'long text is cut');
    like($s->{attributes}{'user_agent.original'}, qr/^\?\?u+$/, 'and is UTF-8');
};

subtest 'request ids' => sub {
    for my $path ('/ids', '/nowhere', '/health', '/quiet') {
        like(get($path)->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/, $path);
    }
    is(get('/ids', 'x-request-id' => 'mine-1:2.3')->{headers}{'x-request-id'},
        'mine-1:2.3', 'the caller\'s');
    for ('', 'a b', "a\tb", '"', 'x' x 129, 'a<b>') {
        like(get('/ids', 'x-request-id' => $_)->{headers}{'x-request-id'},
            qr/^[0-9a-f]{32}$/, 'not just any');
    }
    is(get('/nowhere', 'x-request-id' => 'same')->{json}{error}{request_id},
        'same', 'the same in the answer');
};

subtest 'a collector that refuses for a while' => sub {
    my $lost = spans('dropped') + spans('failed');
    for my $status (503, 429) {
        my @ids = map { trace() } 1 .. 20;
        $t->write('otlp.fail', "$status\n");
        sampled('/ids', $_) for @ids;
        sleep 0.5;
        unlink $t->dir . '/otlp.fail';
        wait_for(sub { of(@ids) == 20 }, 10, "all after $status");
        my %once = map { $_->{span_id} => 1 } of(@ids);
        is(scalar keys %once, scalar of(@ids), "$status: each once");
    }
    is(spans('dropped') + spans('failed'), $lost, 'none lost');
    $t->write('otlp.fail', "400\n");
    my $id = trace();
    sampled('/ids', $id);
    wait_for(sub { spans('failed') > $lost }, 5, '400');
    unlink $t->dir . '/otlp.fail';
    is(scalar of($id), 0, 'what it does not want is not sent again');
    sampled('/ids', $id = trace());
    ok(arrived($id), 'and the next goes through');
};

subtest 'a collector that is away, or silent' => sub {
    my $dropped = spans('dropped');
    $t->kill_part('otlp');
    my $start = time;
    sampled('/ids', trace()) for 1 .. 1500;
    my $took = time - $start;
    cmp_ok($took, '<', 5, "costs the caller nothing ($took s for 1500)");
    cmp_ok(spans('dropped'), '>', $dropped, 'what the queue cannot hold is dropped');
    like(slurp($t->dir . '/logs/error.log'), qr/queue of 256 spans is full/,
        'and said');
    my $said = () = slurp($t->dir . '/logs/error.log') =~ /spans is full/g;
    cmp_ok($said, '<=', 2 * (int($took) + 2), 'once a second and worker');
    $t->start_part('otlp');
    my $id = trace();
    wait_for(sub { sampled('/ids', $id); of($id) }, 40, 'its return');

    $t->freeze('otlp');
    my @ids = map { trace() } 1 .. 10;
    $start = time;
    sampled('/ids', $_) for @ids;
    cmp_ok(time - $start, '<', 1, 'nor does one that is silent');
    sleep 1.5;
    $t->unfreeze('otlp');
    wait_for(sub { my %s = map { $_->{trace_id} => 1 } of(@ids); keys %s == 10 },
        30, 'all of them');
};

subtest 'reload and exit' => sub {
    my @ids = map { trace() } 1 .. 300;
    my $pid = fork // die;
    if (!$pid) {
        my $h = HTTP::Tiny->new(keep_alive => 0);
        for (@ids) {
            $h->get($t->url . '/ids', { headers => { traceparent =>
                "00-$_-00f067aa0ba902b7-01" } });
            sleep 0.005;
        }
        POSIX::_exit(0);
    }
    for (1 .. 3) { sleep 0.4; $t->reload }
    waitpid $pid, 0;
    wait_for(sub { of(@ids) >= 300 }, 10, 'all spans');
    my @s = of(@ids);
    my %once = map { $_->{span_id} => 1 } @s;
    is(scalar keys %once, 300, 'a reload loses no span');
    is(scalar @s, 300, 'and doubles none');
    my $last = trace();
    sampled('/ids', $last);
    $t->stop_part('nginx');
    is(scalar of($last), 1, 'nor does the end');
    $t->start_part('nginx');
    $t->freeze('otlp');
    sampled('/ids', trace()) for 1 .. 40;
    my $start = time;
    $t->stop_part('nginx');
    cmp_ok(time - $start, '<', 3, 'which a silent collector does not put off');
    $t->unfreeze('otlp');
    $t->start_part('nginx');
};

subtest 'health and readiness' => sub {
    is(get('/health')->{content}, '{"status":"ok"}', 'alive');
    is(get('/health')->{headers}{'content-type'}, 'application/json', 'JSON');
    my $r = wait_for(sub { my $r = get('/ready'); $r->{status} == 200 && $r }, 10,
        'ready');
    is($r->{json}{status}, 'ready', 'ready');
    is($r->{json}{queue}, 'up', 'the queue');
    is($r->{json}{postgres}[0]{state}, 'fit', 'the primary');
    $t->stop_part('queue');
    $r = wait_for(sub { my $r = get('/ready'); $r->{status} == 503 && $r }, 10,
        'no queue');
    is($r->{json}{queue}, 'down', 'says what is missing');
    is(get('/health')->{status}, 200, 'alive all the same');
    $t->start_part('queue');
    wait_for(sub { get('/ready')->{status} == 200 }, 10, 'ready again');
    $t->stop_part('postgres');
    $r = wait_for(sub { my $r = get('/ready'); $r->{status} == 503 && $r }, 10,
        'no database');
    is($r->{json}{postgres}[0]{state}, 'down', 'says which');
    is(metric('travel_postgres_up{server="primary"}'), 0, 'metrics too');
    $t->start_part('postgres');
    wait_for(sub { get('/ready')->{status} == 200 }, 15, 'ready again');
    is(get('/ready')->{json}{invalidations}, 'silent', 'nobody writes');
    is($t->post('/health', {})->{status}, 405, 'GET only');
};

subtest 'metrics' => sub {
    get('/read') for 1 .. 5;
    my $r = get('/metrics');
    is($r->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8',
        'type');
    $t->write('metrics.txt', $r->{content});
    my ($rc, $out) = $t->run('/bin/sh', '-c',
        'promtool check metrics < ' . $t->dir . '/metrics.txt');
    is($rc, 0, 'promtool has no complaint') or diag($out);
    is($out, '', 'none at all');
    my (%bucket, $count);
    for (split /\n/, $r->{content}) {
        next unless /^travel_http_request_duration_seconds_(\w+)\{route="t\.read",
            status="2xx"(?:,le="([^"]+)")?\}\ (\S+)$/x;
        $1 eq 'bucket' ? $bucket{$2} = $3 : $1 eq 'count' ? $count = $3 : 0;
    }
    cmp_ok($count, '>=', 5, 'requests are counted by route');
    is($bucket{'+Inf'}, $count, 'the last bucket is the count');
    my @le = sort { $a <=> $b } grep { $_ ne '+Inf' } keys %bucket;
    is_deeply([map { $bucket{$_} } @le],
        [sort { $a <=> $b } map { $bucket{$_} } @le], 'buckets only grow');
    like($r->{content}, qr/^travel_connections\{state="active"\} [1-9]/m,
        'connections');
    like($r->{content}, qr/^travel_zone_emptied_total\{zone="tags"\} 0$/m,
        'zones');
};

subtest 'the log' => sub {
    my $id = trace();
    sampled('/nowhere', $id);
    $t->raw("GET /ids?%22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "User-Agent: a\"b\\c\x01\r\n\r\n");
    $t->raw("garbage\r\n\r\n");
    my @line = grep { length } split /\n/, slurp($t->dir . '/logs/seen.log');
    # nginx passes on bytes that are no UTF-8
    my $json = JSON::PP->new;
    my @bad = grep { !eval { $json->decode($_) } } @line;
    is(scalar @bad, 0, scalar(@line) . ' lines of JSON') or diag($bad[0]);
    my ($l) = grep { $_->{trace_id} eq $id } map { $json->decode($_) } @line;
    is($l->{status}, 404, 'status');
    is($l->{error}, 'RESOURCE_NOT_FOUND', 'code');
    like($l->{duration_ms}, qr/^\d+(\.\d+)?$/, 'time');
    ok($l->{request_id}, 'request id');
};

subtest 'nginx -t' => sub {
    my $conf = slurp($t->dir . '/nginx.conf');
    my $try = sub {
        (my $c = $conf) =~ s{travel_otlp[^;]*;}{$_[0]};
        $t->write('try.conf', $c);
        return $t->nginx_t('try.conf');
    };
    my $url = 'http://127.0.0.1:4318';
    my @no = (['travel_otlp https://127.0.0.1;', qr/must be an http:/],
        ['travel_otlp 127.0.0.1:4318;', qr/must be an http:/],
        ["travel_otlp http://127.0.0.1:99999;", qr/invalid port/],
        ["travel_otlp $url sample=2;", qr/ratio from 0 to 1/],
        ["travel_otlp $url sample=x;", qr/ratio from 0 to 1/],
        ["travel_otlp $url service=;", qr/"service=" needs a value/],
        ["travel_otlp $url service=" . 'x' x 129 . ';', qr/1 to 128/],
        ["travel_otlp $url queue=1;", qr/"queue=1" must be a number from 64 to 1048576/],
        ["travel_otlp $url batch=0;", qr/must be a number from 1 to 65536/],
        ["travel_otlp $url interval=1ms;", qr/must be a time from 10ms to 60s/],
        ["travel_otlp $url slow=2h;", qr/must be a time from 1ms to 1h/],
        ["travel_otlp $url timeout=1ms;", qr/must be a time from 100ms to 60s/],
        ["travel_otlp $url gzip=on;", qr/"gzip=on" must be one of service=, sample=/],
        ["travel_otlp $url/" . 'p' x 600 . ';', qr/512 of path/],
        ["travel_otlp $url; travel_otlp $url;", qr/is duplicate/]);
    for (@no) {
        my ($rc, $out) = $try->($_->[0]);
        isnt($rc, 0, 'refused: ' . substr $_->[0], 0, 60);
        like($out, $_->[1], '  with a reason');
    }
    for ("travel_otlp $url sample=0 service=x;", "travel_otlp $url/my/traces;",
        "travel_otlp http://[::1]:4318 sample=1;", '') {
        my ($rc, $out) = $try->($_);
        is($rc, 0, "accepted: '$_'") or diag($out);
    }
};

$t->finish;
done_testing();
