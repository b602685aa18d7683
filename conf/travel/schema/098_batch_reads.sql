-- What runs by the clock over tables that have grown.

-- Reminders ask every ten minutes who has a booking within a day.  Of all
-- states: an index of one would be written whenever a booking changes it.
CREATE INDEX bookings_date ON travel.bookings (booking_date);

-- Takes a batch into one generation; the checkpoint moves in the same
-- transaction.  Returns how many events, -1 when somebody else is at it.  The
-- handler is planned once a batch; it must be volatile, and it is: it writes.
CREATE OR REPLACE FUNCTION events.project(p_name text, p_generation integer,
    p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    p events.projection;
    h xid8;
    n integer;
BEGIN
    SELECT * INTO p FROM events.projection
     WHERE name = p_name AND generation = p_generation
       FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN -1;
    END IF;
    h := events.horizon(p.checkpoint, p_limit);
    EXECUTE format('SELECT count(*) FROM (SELECT %s($1, e) '
                   'FROM events.tail($2, $3) AS e OFFSET 0) AS taken',
                   p.handler)
       INTO n USING p.generation, p.checkpoint, h;
    UPDATE events.projection
       SET checkpoint = h, events = events + n, updated_at = now()
     WHERE name = p_name AND generation = p_generation;
    RETURN n;
END $$;
