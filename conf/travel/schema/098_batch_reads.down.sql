CREATE OR REPLACE FUNCTION events.project(p_name text, p_generation integer,
    p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    p events.projection;
    h xid8;
    e events.event;
    n integer := 0;
BEGIN
    SELECT * INTO p FROM events.projection
     WHERE name = p_name AND generation = p_generation
       FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN -1;
    END IF;
    h := events.horizon(p.checkpoint, p_limit);
    FOR e IN SELECT * FROM events.tail(p.checkpoint, h) LOOP
        EXECUTE format('SELECT %s($1, $2)', p.handler) USING p.generation, e;
        n := n + 1;
    END LOOP;
    UPDATE events.projection
       SET checkpoint = h, events = events + n, updated_at = now()
     WHERE name = p_name AND generation = p_generation;
    RETURN n;
END $$;

DROP INDEX travel.bookings_date;
