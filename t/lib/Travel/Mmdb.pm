package Travel::Mmdb;

# Writes databases in MaxMind's format (version 2.0), small ones for tests:
#
#     Travel::Mmdb::write('geo.mmdb', 'Test-City', {
#         '192.0.2.0/24' => { country => { iso_code => 'FR' },
#             location => { latitude => 48.85, longitude => 2.35 } },
#         '2001:db8::/32' => { country => { iso_code => 'DE' } },
#     });
#
# The tree is for IPv6 with 32-bit records; IPv4 lives in ::/96.  Numbers are
# doubles or unsigned by the name of their member.  The file appears by rename.
use strict;
use warnings;
use Socket qw(AF_INET AF_INET6 inet_pton);

my %TYPE = (latitude => 'double', longitude => 'double',
    accuracy_radius => 'uint16', autonomous_system_number => 'uint32',
    node_count => 'uint32', record_size => 'uint16', ip_version => 'uint16',
    binary_format_major_version => 'uint16',
    binary_format_minor_version => 'uint16', build_epoch => 'uint64');
my %ID = (text => 2, double => 3, uint16 => 5, uint32 => 6, map => 7,
    uint64 => 9, array => 11);

sub _head {
    my ($type, $size) = @_;
    my $id = $ID{$type};
    my $extra = $size < 29 ? '' : $size < 285 ? pack('C', $size - 29)
        : pack('n', $size - 285);
    my $s = $size < 29 ? $size : $size < 285 ? 29 : 30;
    return $id < 8 ? pack('C', $id << 5 | $s) . $extra
        : pack('CC', $s, $id - 7) . $extra;
}

sub _encode {
    my ($v, $type) = @_;
    return join '', _head('map', scalar keys %$v),
        map { _encode($_, 'text') . _encode($v->{$_}, $TYPE{$_}) }
        sort keys %$v if ref $v eq 'HASH';
    return join '', _head('array', scalar @$v), map { _encode($_) } @$v
        if ref $v eq 'ARRAY';
    $type //= 'text';
    my $bytes = $type eq 'double' ? pack('d>', $v)
        : $type eq 'uint16' ? pack('n', $v) : $type eq 'uint32' ? pack('N', $v)
        : $type eq 'uint64' ? pack('Q>', $v) : $v;
    $bytes =~ s/\A\0+// if $type =~ /^uint/;
    return _head($type, length $bytes) . $bytes;
}

sub _bits {
    my ($network) = @_;
    my ($name, $len) = split m{/}, $network;
    my $v6 = $name =~ /:/;
    my $bin = inet_pton($v6 ? AF_INET6 : AF_INET, $name)
        // die "$network: no address";
    $bin = "\0" x 12 . $bin unless $v6;
    return split //, substr unpack('B128', $bin), 0, $v6 ? $len : 96 + $len;
}

sub write {
    my ($path, $type, $networks) = @_;
    my (@nodes, $data, %at) = [undef, undef];
    $data = '';
    for my $network (sort { (split m{/}, $a)[1] <=> (split m{/}, $b)[1] }
        keys %$networks)
    {
        my $bytes = _encode($networks->{$network});
        $at{$bytes} //= do { my $o = length $data; $data .= $bytes; $o };
        my @bits = _bits($network);
        my $last = pop @bits;
        my $n = 0;
        for my $bit (@bits) {
            my $next = $nodes[$n][$bit];
            if (!ref $next) {
                # what covered it goes on covering the other half
                push @nodes, [$next, $next];
                $nodes[$n][$bit] = \(my $i = $#nodes);
                $next = $nodes[$n][$bit];
            }
            $n = $$next;
        }
        $nodes[$n][$last] = $at{$bytes};
    }
    my $count = @nodes;
    my $tree = join '', map {
        pack 'NN', map { ref $_ ? $$_ : defined $_ ? $count + 16 + $_ : $count }
            @$_
    } @nodes;
    my $meta = _encode({ binary_format_major_version => 2,
        binary_format_minor_version => 0, build_epoch => time,
        database_type => $type, description => { en => 'of a test' },
        ip_version => 6, languages => ['en'], node_count => $count,
        record_size => 32 });
    open my $f, '>:raw', "$path.new" or die "$path: $!";
    print $f $tree, "\0" x 16, $data, "\xab\xcd\xefMaxMind.com", $meta;
    close $f or die "$path: $!";
    chmod 0644, "$path.new";
    rename "$path.new", $path or die "$path: $!";
}

1;
