-- What ETL jobs ask the source: which aggregates changed between two points of
-- the event store.  A story's event names its journey; a booking's, too.

CREATE FUNCTION events.changed(p_from xid8, p_to xid8, p_stream_type text)
RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT stream_id FROM events.event
     WHERE xid >= p_from AND xid < p_to AND stream_type = p_stream_type
$$;
GRANT EXECUTE ON FUNCTION events.changed(xid8, xid8, text) TO travel_worker;
