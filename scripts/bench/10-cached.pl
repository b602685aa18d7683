# A cached answer behind a token and two limits, against `return 200` of the
# same bytes under the same headers.
package Travel::Bench::Cached;

use strict;
use warnings;
use Crypt::JWT qw(encode_jwt);
use Crypt::PK::RSA ();
use File::Temp ();
use JSON::PP ();
use Time::HiRes qw(time sleep);
use Travel::Bench;
use Travel::Test;

my $PATH = '/api/v1/journeys?limit=5';

sub hits {
    my ($n) = $t->get('/metrics')->{content}
        =~ /^travel_cache_total\{result="hit"\} (\d+)/m;
    return $n;
}

# Ten journeys of the caller's, and one page of them in the cache: the answer.
sub cached_page {
    my ($path, $caller) = @_;
    for (1 .. 10) {
        my $r = $t->post('/api/v1/journeys', { origin => 'Boston, US',
            destination => 'Hartford, US', theme => 'food' }, token => $token,
            headers => { prefer => 'wait=10' });
        die "journey: $r->{content}" if $r->{status} != 201;
    }
    return hit($path, $caller);
}

sub hit {
    my ($path, $caller) = @_;
    my $r;
    wait_for(sub {
        my $before = hits();
        $r = $t->get($path, token => $caller);
        $r->{status} == 200 && hits() == $before + 1;
    }, 20, 'a hit') or die "not cached: $r->{status} $r->{content}\n";
    return $r;
}

sub compare {
    my ($name, $path, $caller) = @_;
    my $hit = hits();
    my $figures = pairs($name, 'requests/s', map {
        my $asked = $_;
        sub { warm(sub { wrk($asked, $_[0], { token => $caller }) }) };
    } '/bench/ceiling', $path);
    die "no hits\n" if hits() - $hit < 1000;
    return $figures;
}

sub edge_cached {
    add_conf(same_answer('/bench/ceiling', cached_page($PATH, $token)));
    my $figures = compare('edge.cached', $PATH, $token);
    my @us = latency($PATH, $figures->{value} / 2);
    report('edge.cached.p99', 'ms at half of peak', pairs => scalar @us,
        value => quantile(0.99, @us) / 1000,
        spread => sprintf 'p50 %.3f, p99.9 %.3f', map { $_ / 1000 }
            quantile(0.5, @us), quantile(0.999, @us));
}

# --- RS256 -------------------------------------------------------------------

# Keys of another issuer: every nginx worker reads the file.
my $RSA  = Crypt::PK::RSA->new;
my $KEYS = File::Temp->newdir;

sub rs256_conf {
    $RSA->generate_key(256);
    my $jwk = $RSA->export_key_jwk('public', 1);
    chmod 0755, "$KEYS";
    open my $f, '>', "$KEYS/rsa.json" or die "rsa.json: $!";
    print $f JSON::PP->new->encode({ keys => [
        { %$jwk, kid => 'rsa', use => 'sig', alg => 'RS256' }] });
    close $f or die "rsa.json: $!";
    s{(\n *travel_jwks )}
     {\n    travel_jwks rsa file=$KEYS/rsa.json issuer=https://rsa.local ours;$1};
}

sub rs256_token {
    return encode_jwt(alg => 'RS256', key => $RSA,
        extra_headers => { kid => 'rsa' }, payload => {
            iss => 'https://rsa.local', aud => 'travel', sub => $t->user(0),
            exp => int(time) + 43200, permissions => [qw(journeys:read)] });
}

sub edge_cached_rs256 {
    my $caller = rs256_token();
    my $path = '/bench/journeys?limit=5';
    my $location = <<'CONF';
location = /bench/journeys {
    travel_auth     required jwks=rsa audience=travel;
    travel_require  journeys:read;
    travel_query    GET journeys.list;
    travel_cache    1h;
}
CONF
    add_conf($location);
    add_conf($location . same_answer('/bench/ceiling', cached_page($path, $caller)));
    hit($path, $caller);
    compare('edge.cached.rs256', $path, $caller);
}

# --- what tracing costs ------------------------------------------------------

sub edge_traced {
    cached_page($PATH, $token);
    my $location = sub { "location = /bench/$_[0] {\n    travel_trace $_[1];\n"
        . "    travel_auth required jwks=main audience=travel;\n"
        . "    travel_query GET journeys.list;\n    travel_cache 1h;\n}\n" };
    add_conf($location->(traced => 'on') . $location->(untraced => 'off'));
    my %path = map { $_ => "/bench/$_?limit=5" } qw(traced untraced);
    hit($_, $token) for values %path;
    pairs('edge.traced', 'requests/s', map {
        my $path = $path{$_};
        sub { warm(sub { wrk($path, @_) }) };
    } qw(untraced traced));
}

bench('edge.cached', \&edge_cached);
bench('edge.cached.rs256', \&edge_cached_rs256, edit => \&rs256_conf);
bench('edge.traced', \&edge_traced);
