-- What a row costs that is written once and read seldom: the indexes that no
-- query asks for go, and pages keep room for the second version of rows that
-- are always written twice (an update within its page touches no index).

-- An event is known by its stream and version.  A unique key across partitions
-- needs created_at; whoever asks names the stream first.
ALTER TABLE events.event DROP CONSTRAINT event_pkey;
DROP INDEX events.event_stream;
DROP INDEX events.event_position;
ALTER TABLE events.event
    ADD PRIMARY KEY (stream_id, stream_type, version, created_at);

ALTER TABLE events.stream SET (fillfactor = 50);
ALTER TABLE travel.bookings SET (fillfactor = 50);
ALTER TABLE jobs.saga SET (fillfactor = 50);

-- Runs for each row of the product that a worker changes, so it must be quick:
-- as whoever changes it, who may read the streams, and every name is whole.
CREATE OR REPLACE FUNCTION events.must_tell() RETURNS trigger
LANGUAGE plpgsql AS $$
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
