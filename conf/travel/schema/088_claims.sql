-- Payloads and results that are too large for Redis (claim_check in
-- workers.conf): the message, or the job's hash, says that it is here.

CREATE TABLE jobs.claim (
    job         uuid        NOT NULL,
    what        text        NOT NULL CHECK (what IN ('body', 'result')),
    sub         text        NOT NULL,       -- whose job it is
    data        text        NOT NULL,       -- JSON, as it was written
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (job, what)
);
CREATE INDEX claim_expires ON jobs.claim (expires_at);

-- A payload stays as long as its job's dead letter, which may be requeued.
CREATE FUNCTION jobs.expire_claims(p_limit integer) RETURNS bigint
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM jobs.claim WHERE ctid = ANY (ARRAY(
            SELECT c.ctid FROM jobs.claim AS c
             WHERE c.expires_at < now()
               AND NOT EXISTS (SELECT FROM jobs.dead AS d
                                WHERE right(d.job_id, 36) = c.job::text)
             LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- What the edge may see: results.
CREATE VIEW travel.job_results AS
    SELECT job, sub, data FROM jobs.claim WHERE what = 'result';

GRANT SELECT, INSERT, DELETE ON jobs.claim TO travel_worker;
GRANT EXECUTE ON FUNCTION jobs.expire_claims(integer) TO travel_worker;
GRANT SELECT ON travel.job_results TO travel_edge;
