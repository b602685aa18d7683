DROP VIEW travel.user_events;
CREATE INDEX event_user ON events.event (user_id, created_at DESC);
DROP INDEX events.event_user_page;
CREATE FUNCTION travel.user_events(p_user uuid) RETURNS TABLE (
    at timestamptz, pos bigint, stream_type text, stream_id uuid,
    version integer, type text, data jsonb)
LANGUAGE sql STABLE ROWS 1000 SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT created_at, position, stream_type, stream_id, version, type, data
      FROM events.event WHERE user_id = p_user
$$;
GRANT EXECUTE ON FUNCTION travel.user_events(uuid)
    TO travel_edge, travel_worker;
