-- What operators have paused: a queue, or a job type.  Worker processes read it
-- a few times a second, and before they lease their first partition.

CREATE TABLE jobs.paused (
    kind    text        NOT NULL CHECK (kind IN ('queue', 'type')),
    name    text        NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    since   timestamptz NOT NULL DEFAULT now(),
    by      text,
    reason  text,
    PRIMARY KEY (kind, name)
);

-- Job types have a dot in their names, queues have none.  True: it was not.
CREATE FUNCTION jobs.pause(p_name text, p_by text, p_reason text)
RETURNS boolean
LANGUAGE sql AS $$
    WITH put AS (
        INSERT INTO jobs.paused (kind, name, by, reason)
        VALUES (CASE WHEN p_name LIKE '%.%' THEN 'type' ELSE 'queue' END,
                p_name, p_by, p_reason)
        ON CONFLICT (kind, name) DO NOTHING
        RETURNING 1)
    SELECT EXISTS (SELECT FROM put)
$$;

-- True: it was paused.
CREATE FUNCTION jobs.resume(p_name text) RETURNS boolean
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM jobs.paused WHERE name = p_name RETURNING 1)
    SELECT EXISTS (SELECT FROM gone)
$$;

GRANT SELECT, INSERT, DELETE ON jobs.paused TO travel_worker;
GRANT EXECUTE ON FUNCTION jobs.pause(text, text, text), jobs.resume(text)
    TO travel_worker;
