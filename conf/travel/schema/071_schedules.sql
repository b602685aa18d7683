-- What happens by the clock (workers.conf, schedule), and what it cleans up.

-- How far each schedule is.  A job's id follows from name and fire time, so
-- what is fired again after a crash is one job.
CREATE TABLE jobs.schedule (
    name        text        PRIMARY KEY,
    cron        text        NOT NULL,
    timezone    text        NOT NULL,
    type        text        NOT NULL,
    catch_up    text        NOT NULL,
    last_fire   timestamptz NOT NULL,
    last_job    text,
    fired       bigint      NOT NULL DEFAULT 0,
    skipped     bigint      NOT NULL DEFAULT 0,
    paused      boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 70);

-- Who holds the advisory lock, and when it was last seen at work.  One that is
-- frozen is thrown out of the database by the next.
CREATE TABLE jobs.schedule_leader (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    owner   text        NOT NULL,
    pid     integer     NOT NULL,
    at      timestamptz NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE travel.reminders (
    booking_id  uuid        PRIMARY KEY REFERENCES travel.bookings,
    at          timestamptz NOT NULL DEFAULT now()
);

-- The inbox outlives every retry, dead letter and Idempotency-Key.
CREATE INDEX outbox_sent ON jobs.outbox USING brin (created_at);
CREATE INDEX dead_died ON jobs.dead USING brin (died_at);

-- Deletes at most p_limit rows of each kind that are past their time.
CREATE FUNCTION jobs.expire(p_inbox interval, p_outbox interval,
    p_dead interval, p_limit integer)
RETURNS TABLE (inbox bigint, outbox bigint, saga bigint, dead bigint)
LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        DELETE FROM jobs.inbox WHERE ctid = ANY (ARRAY(
            SELECT i.ctid FROM jobs.inbox AS i
             WHERE i.created_at < now() - p_inbox LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) INTO inbox FROM gone;
    WITH gone AS (
        DELETE FROM jobs.outbox WHERE ctid = ANY (ARRAY(
            SELECT o.ctid FROM jobs.outbox AS o
             WHERE o.created_at < now() - p_outbox AND o.sent_at IS NOT NULL
             LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) INTO outbox FROM gone;
    WITH gone AS (
        DELETE FROM jobs.saga WHERE ctid = ANY (ARRAY(
            SELECT s.ctid FROM jobs.saga AS s
             WHERE s.updated_at < now() - p_inbox
               AND s.state IN ('done', 'refused', 'undone') LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) INTO saga FROM gone;
    WITH gone AS (
        DELETE FROM jobs.dead WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM jobs.dead AS d
             WHERE d.died_at < now() - p_dead LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) INTO dead FROM gone;
    RETURN NEXT;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.schedule, jobs.schedule_leader
    TO travel_worker;
GRANT SELECT, INSERT ON travel.reminders TO travel_worker;
GRANT EXECUTE ON FUNCTION jobs.expire(interval, interval, interval, integer)
    TO travel_worker;
