-- Sagas as a whole: which one, of what, and where it stands.  Its steps are in
-- jobs.inbox (those that are transactions) and jobs.saga (calls outside).
--
--   running   forwards, in its own job's hands
--   undoing   turned round: a job of type 'undo' takes its steps back
--   stuck     that job used up its retries: somebody must look
--   done, undone   over
--   closed    settled by hand

CREATE TABLE jobs.saga_run (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL,
    job_id      text        NOT NULL,
    type        text        NOT NULL,
    sub         text        NOT NULL,
    email       text,
    key         uuid        NOT NULL,
    body        jsonb       NOT NULL,
    state       text        NOT NULL DEFAULT 'running'
                CHECK (state IN ('running', 'undoing', 'stuck', 'done',
                                 'undone', 'closed')),
    undo        jsonb,
    error       jsonb,
    trace       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    resumed_at  timestamptz
) WITH (fillfactor = 80);
CREATE INDEX saga_run_open ON jobs.saga_run (updated_at)
    WHERE state IN ('running', 'undoing', 'stuck');
CREATE INDEX saga_run_age ON jobs.saga_run USING brin (created_at);

CREATE FUNCTION jobs.expire_sagas(p_keep interval, p_limit integer)
RETURNS bigint
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM jobs.saga_run WHERE ctid = ANY (ARRAY(
            SELECT s.ctid FROM jobs.saga_run AS s
             WHERE s.created_at < now() - p_keep
               AND s.state IN ('done', 'undone', 'closed') LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.saga_run TO travel_worker;
GRANT EXECUTE ON FUNCTION jobs.expire_sagas(interval, integer)
    TO travel_worker;
