CREATE OR REPLACE FUNCTION events.must_tell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user = 'travel_worker' AND NOT EXISTS
        (SELECT FROM events.stream
          WHERE stream_type = TG_ARGV[0] AND stream_id = NEW.id
            AND xid = pg_current_xact_id())
    THEN
        RAISE EXCEPTION 'the % % was changed without an event', TG_ARGV[0],
            NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

ALTER TABLE jobs.saga RESET (fillfactor);
ALTER TABLE travel.bookings RESET (fillfactor);
ALTER TABLE events.stream SET (fillfactor = 70);

ALTER TABLE events.event DROP CONSTRAINT event_pkey;
ALTER TABLE events.event ADD PRIMARY KEY (created_at, position);
CREATE INDEX event_stream ON events.event (stream_type, stream_id, version);
CREATE INDEX event_position ON events.event (position);
