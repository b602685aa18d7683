package Travel::GraphqlSocket;

# A GraphQL session over a WebSocket, by hand.
#
#     my $s = Travel::GraphqlSocket->open($t, token => ..., legacy => 1);
#     $s->init({ authToken => ... });           # the acknowledgement, or undef
#     $s->ask('1', 'query', variables => {...}, extensions => {...});
#     my $m = $s->next_json;

use strict;
use warnings;
use parent -norequire, 'Travel::Socket';
use Travel::Socket;

sub open {
    my ($class, $t, %o) = @_;
    my $name = $o{legacy} ? 'graphql-ws' : 'graphql-transport-ws';
    my $self = Travel::Socket->open($t, $o{path} // '/api/graphql/live', %o,
        headers => { 'Sec-WebSocket-Protocol' => $o{protocol} // $name,
            %{ $o{headers} || {} } });
    $self->{legacy} = $o{legacy};
    return bless $self, $class;
}

sub init {
    my ($self, $payload) = @_;
    $self->json({ type => 'connection_init',
        $payload ? (payload => $payload) : () });
    my $m = $self->next_json;
    return $m && ($m->{type} // '') eq 'connection_ack' ? $m : undef;
}

sub ask {
    my ($self, $id, $query, %more) = @_;
    $self->json({ id => $id, type => $self->{legacy} ? 'start' : 'subscribe',
        payload => { query => $query, %more } });
}

1;
