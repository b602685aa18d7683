-- What makes a job's effects happen once: leases with fences, the inbox, the
-- outbox, sagas and the dead (contracts sections 2, 3 and 5).

-- A partition has one owner.  The fence only grows; every job transaction
-- reads it FOR KEY SHARE and gives up when it is not the one it was leased.
CREATE TABLE jobs.partition (
    queue       text        NOT NULL,
    partition   integer     NOT NULL CHECK (partition BETWEEN 0 AND 255),
    owner       text,
    fence       bigint      NOT NULL DEFAULT 0,
    expires_at  timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (queue, partition)
) WITH (fillfactor = 50);

-- Effects happen once: the row is in the transaction that has the effect.
CREATE TABLE jobs.inbox (
    job_id      uuid        NOT NULL,
    step        text        NOT NULL,
    result      jsonb,
    tags        text[]      NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, step)
);
CREATE INDEX inbox_created ON jobs.inbox USING brin (created_at);

-- What must follow a commit.  kind: 'job' (enqueue a follow-up job), 'live'
-- (publish to watchers).  Relayed in id order per (queue, partition) by the
-- partition's owner, repeated until sent_at is set.
CREATE TABLE jobs.outbox (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       text        NOT NULL,
    partition   integer     NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('job', 'live')),
    aggregate   uuid        NOT NULL,
    payload     jsonb       NOT NULL,
    trace       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz
);
CREATE INDEX outbox_unsent ON jobs.outbox (queue, partition, id)
    WHERE sent_at IS NULL;

-- One row per saga step that touches the outside; taken by a conditional
-- update before the call, under a stable key (job id + step).
CREATE TABLE jobs.saga (
    job_id      uuid        NOT NULL,
    step        text        NOT NULL,
    state       text        NOT NULL
                CHECK (state IN ('taken', 'done', 'refused', 'undoing',
                                 'undone')),
    key         text        NOT NULL,
    fence       bigint      NOT NULL,
    attempts    integer     NOT NULL DEFAULT 1,
    result      jsonb,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, step)
);

-- Where dead-letter stream entries rest.
CREATE TABLE jobs.dead (
    job_id      text        PRIMARY KEY,
    queue       text        NOT NULL,
    partition   integer     NOT NULL,
    type        text        NOT NULL,
    sub         text,
    key         text,
    body        jsonb,
    attempts    integer     NOT NULL,
    cause       text        NOT NULL,
    first_error text,
    last_error  text,
    trace       text,
    died_at     timestamptz NOT NULL DEFAULT now(),
    envelope    jsonb       NOT NULL
);
CREATE INDEX dead_queue ON jobs.dead (queue, died_at DESC);

-- Takes or renews a lease.  Returns the fence, or NULL when somebody else
-- holds it.  A renewal keeps the fence; whoever takes over raises it.
--
-- Job transactions hold the row FOR KEY SHARE (jobs.fenced).  A renewal is a
-- plain update, which does not wait for them: under load one of them is always
-- there.  Taking over locks FOR UPDATE first and so waits until the last
-- transaction under the old fence is over.
CREATE FUNCTION jobs.lease(p_queue text, p_partition integer, p_owner text,
    p_ttl interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    f bigint;
BEGIN
    UPDATE jobs.partition AS p
       SET expires_at = clock_timestamp() + p_ttl
     WHERE p.queue = p_queue AND p.partition = p_partition
       AND p.owner = p_owner AND p.expires_at >= clock_timestamp()
    RETURNING p.fence INTO f;
    IF FOUND THEN
        RETURN f;
    END IF;

    INSERT INTO jobs.partition AS p (queue, partition, owner, fence, expires_at)
    VALUES (p_queue, p_partition, p_owner, 1, clock_timestamp() + p_ttl)
    ON CONFLICT (queue, partition) DO NOTHING
    RETURNING p.fence INTO f;
    IF FOUND THEN
        RETURN f;
    END IF;

    PERFORM FROM jobs.partition AS p
      WHERE p.queue = p_queue AND p.partition = p_partition
        AND (p.owner = p_owner OR p.owner IS NULL
             OR p.expires_at < clock_timestamp())
        FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    UPDATE jobs.partition AS p
       SET owner = p_owner, fence = p.fence + 1,
           expires_at = clock_timestamp() + p_ttl
     WHERE p.queue = p_queue AND p.partition = p_partition
    RETURNING p.fence INTO f;
    RETURN f;
END $$;

CREATE FUNCTION jobs.release(p_queue text, p_partition integer, p_owner text)
RETURNS boolean
LANGUAGE sql AS $$
    UPDATE jobs.partition
       SET owner = NULL, expires_at = '-infinity'
     WHERE queue = p_queue AND partition = p_partition AND owner = p_owner
    RETURNING true
$$;

-- First statement of every job transaction: true, or the fence is stale.
CREATE FUNCTION jobs.fenced(p_queue text, p_partition integer, p_owner text,
    p_fence bigint) RETURNS boolean
LANGUAGE sql AS $$
    SELECT coalesce((SELECT owner = p_owner AND fence = p_fence
                       FROM jobs.partition
                      WHERE queue = p_queue AND partition = p_partition
                        FOR KEY SHARE), false)
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs
    TO travel_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA jobs TO travel_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO travel_worker;
