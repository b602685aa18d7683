-- Schedules that were added while the pool runs (travelctl schedule add); those
-- of workers.conf are in jobs.schedule.  The job schedule.turn, once a minute,
-- fires what is due: the row moves in the transaction that asks for the job.

CREATE TABLE jobs.own_schedule (
    name        text        PRIMARY KEY,
    cron        text        NOT NULL,
    timezone    text        NOT NULL DEFAULT 'UTC',
    type        text        NOT NULL,
    body        jsonb       NOT NULL DEFAULT '{}'
                CHECK (jsonb_typeof(body) = 'object'),
    catch_up    text        NOT NULL DEFAULT 'skip'
                CHECK (catch_up IN ('skip', 'once')),
    last_fire   timestamptz NOT NULL DEFAULT now(),
    fired       bigint      NOT NULL DEFAULT 0,
    skipped     bigint      NOT NULL DEFAULT 0,
    paused      boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 70);

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.own_schedule TO travel_worker;
