# Spans of the queue: a sampled job's trace shows receive, process and settle;
# an unsampled one leaves none.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep);
use Travel::Test;
use Travel::Pool;

plan skip_all => 'travel-worker is not built'
    unless -x Travel::Test::build() . '/travel-worker';

my $p = Travel::Pool->start(parts => 'postgres queue otlp');
$p->until_owned;

my $trace = 'c3' x 16;
my $parent = 'd4' x 8;
my $id = $p->enqueue(partition => 1, tp => "00-$trace-$parent-01");
my $bad = $p->enqueue(partition => 1, tp => "00-$trace-$parent-01",
    body => { reject => 'CONFLICT' });
my $dark = $p->enqueue(partition => 1, tp => '00-' . 'e5' x 16
    . "-$parent-00");
my $plain = $p->enqueue(partition => 1);
$p->until_over($_) for $id, $bad, $dark, $plain;

sub of { my ($name) = @_; grep { $_->{name} =~ /^$name / } $p->t->spans }
wait_for(sub { (of('process')) == 2 && (of('settle')) }, 15, 'the spans');

my @process = of('process');
is(scalar @process, 2, 'a process span for each sampled job, and only them');
for my $s (@process) {
    is($s->{name}, 'process maintenance', 'named after operation and queue');
    is($s->{attributes}{'travel.job.type'}, 'maintenance.noop',
        'it says the type');
    is($s->{attributes}{'messaging.operation.type'}, 'process',
        'and what it does');
    is($s->{kind}, 'consumer', 'is a CONSUMER');
    is($s->{trace_id}, $trace, 'in the trace of the enqueue span');
    is($s->{parent_span_id}, $parent, 'its child');
    is($s->{links}[0]{span_id}, $parent, 'and linked to it');
    is($s->{attributes}{'messaging.destination.name'}, 'maintenance',
        'from this queue');
    is($s->{attributes}{'messaging.destination.partition.id'}, '1',
        'and partition');
}
my ($good) = grep { $_->{attributes}{'messaging.message.id'} eq $id } @process;
my ($failed) = grep { $_->{attributes}{'messaging.message.id'} eq $bad }
    @process;
ok($good, 'the job is named');
is($failed->{attributes}{'error.type'}, 'CONFLICT', 'a failure has its code');
is($failed->{status}, 'error', 'and its status');

my ($line) = grep { ($_->{job} // '') eq $bad } $p->log_lines(qr/./);
is_deeply({ map { $_ => $line->{$_} } qw(queue type trace_id attempt code) },
    { queue => 'maintenance.1', type => 'maintenance.noop', trace_id => $trace,
        attempt => 1, code => 'CONFLICT' }, 'its log line says the same')
    or diag explain $line;
ok(exists $line->{duration_ms} && $line->{key} && $line->{reason},
    'with key, reason and duration');

for my $what ('receive', 'settle') {
    my @s = of($what);
    cmp_ok(scalar @s, '>=', 1, "there is a $what span");
    is(scalar(grep { $_->{trace_id} ne $trace || $_->{kind} ne 'client' } @s), 0,
        'a CLIENT in that trace');
    is($s[0]{name}, "$what maintenance", 'named after operation and queue');
}
is(scalar(grep { $_->{trace_id} eq 'e5' x 16 } $p->t->spans), 0,
    'an unsampled trace stays dark');

$p->finish;
done_testing;
