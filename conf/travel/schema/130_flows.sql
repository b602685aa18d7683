-- Flows: jobs that wait for each other (workers/store/flow.h is the contract).
--
-- A flow is a graph of nodes; a node is a job of any type, which knows of its
-- flow by its envelope.  The transaction that puts a node's end on record also
-- counts down those behind it and puts what is ready into the outbox, so each
-- is begun once, whatever dies in between.  The row of the flow is the lock: ends
-- of one flow are put on record one after the other.  Nobody holds the locks of
-- two flows: one tells another by a job (flow.told, flow.cancel).

CREATE TABLE jobs.flow (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL,
    state       text        NOT NULL DEFAULT 'running'
                CHECK (state IN ('running', 'succeeded', 'failed',
                                 'cancelled')),
    if_failed   text        NOT NULL
                CHECK (if_failed IN ('stop', 'cancel', 'continue')),
    cancelled   boolean     NOT NULL DEFAULT false,  -- by hand
    halted      boolean     NOT NULL DEFAULT false,  -- what is queued is not to
                                                     -- begin
    sub         text        NOT NULL,
    email       text,
    parent      uuid,                    -- the flow with the node that began it
    parent_node text,
    depth       integer     NOT NULL DEFAULT 0 CHECK (depth <= 16),
    nodes       integer     NOT NULL,
    open        integer     NOT NULL,    -- nodes that are not over
    failed      integer     NOT NULL DEFAULT 0,  -- over, not well, not optional
    callbacks   jsonb       NOT NULL DEFAULT '{}',
    told        text[]      NOT NULL DEFAULT '{}',
    run         integer     NOT NULL DEFAULT 0,
    trace       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz
) WITH (fillfactor = 50);
CREATE INDEX flow_created ON jobs.flow (created_at DESC, id DESC);
CREATE INDEX flow_parent ON jobs.flow (parent, parent_node)
    WHERE parent IS NOT NULL;

--   waiting   for others             queued   handed to the queue
--   running   has begun              nested   done, but not its own flows
--   succeeded, failed, dead, cancelled: as the job.  skipped: never begun
CREATE TABLE jobs.flow_node (
    flow        uuid        NOT NULL,
    name        text        NOT NULL,
    job         uuid        NOT NULL,
    job_id      text,                    -- since it has begun
    type        text        NOT NULL,
    queue       text        NOT NULL,
    priority    text        NOT NULL,
    key         uuid,
    body        jsonb       NOT NULL,
    results     text,                    -- member of the body for the results
    always      boolean     NOT NULL,    -- runs whatever those before came to
    optional    boolean     NOT NULL,    -- nobody minds if it fails
    delay_ms    bigint      NOT NULL DEFAULT 0,
    waits       integer     NOT NULL,
    bad         boolean     NOT NULL DEFAULT false,  -- one before is not well
    state       text        NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'queued', 'running', 'nested',
                                 'succeeded', 'failed', 'dead', 'cancelled',
                                 'skipped')),
    run         integer     NOT NULL DEFAULT 0,
    result      jsonb,
    error       jsonb,
    queued_at   timestamptz,
    started_at  timestamptz,
    ended_at    timestamptz,
    PRIMARY KEY (flow, name)
) WITH (fillfactor = 70);
CREATE INDEX flow_node_job ON jobs.flow_node (job);
CREATE INDEX flow_node_out ON jobs.flow_node (queued_at)
    WHERE state IN ('queued', 'running', 'nested');
CREATE INDEX flow_node_waiting ON jobs.flow_node (flow)
    WHERE state = 'waiting';

CREATE TABLE jobs.flow_edge (
    flow        uuid        NOT NULL,
    node        text        NOT NULL,
    next        text        NOT NULL,
    PRIMARY KEY (flow, node, next)
);
CREATE INDEX flow_edge_next ON jobs.flow_edge (flow, next);

-- Ids of a flow's jobs: UUIDv8, their bucket (ids.h) a part of the hash, so
-- that the nodes of a flow are spread over the partitions.
CREATE FUNCTION jobs.flow_job(p_flow uuid, p_name text, p_run integer)
RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT overlay(overlay(h PLACING '8' FROM 13) PLACING
                   substr('89ab', 1 + (('x' || substr(h, 17, 1))::bit(4)::int
                                       & 3), 1) FROM 17)::uuid
      FROM (SELECT substr(encode(sha256(convert_to('flow/' || p_flow || '/'
                   || p_run || '/' || p_name, 'UTF8')), 'hex'), 1, 32)) AS t(h)
$$;

CREATE FUNCTION jobs.flow_bucket(p_job uuid) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || substr(p_job::text, 16, 3))::bit(12)::int
$$;

-- Is it over, and well enough for those behind it?
CREATE FUNCTION jobs.flow_over(p_state text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_state IN ('succeeded', 'failed', 'dead', 'cancelled', 'skipped')
$$;

CREATE FUNCTION jobs.flow_well(n jobs.flow_node) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT n.state = 'succeeded'
           OR (n.optional AND n.state IN ('failed', 'dead', 'cancelled'))
$$;

-- A job of the flow's: relayed by the owner of the partition p_partition.
CREATE FUNCTION jobs.flow_send(w jobs.flow, p_queue text, p_partition integer,
    p_to text, p_priority text, p_type text, p_job uuid, p_key uuid,
    p_body jsonb, p_node boolean, p_delay bigint) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload, trace)
    SELECT p_queue, p_partition, 'job', p_key, jsonb_strip_nulls(
               jsonb_build_object(
                   'id', p_to || '.' || jobs.flow_bucket(p_job) % 4 || '.'
                         || p_job,
                   'type', p_type, 'sub', w.sub, 'email', w.email,
                   'key', p_key, 'priority', p_priority, 'tp', w.trace,
                   'bucket', jobs.flow_bucket(p_job),
                   'flow', CASE WHEN p_node THEN w.id END,
                   'not_before', CASE WHEN p_delay > 0 THEN
                       trunc(extract(epoch FROM clock_timestamp()) * 1000)
                       + p_delay ELSE 0 END))
           || jsonb_build_object('body', p_body), w.trace
$$;

-- What the nodes before one came to, by name.
CREATE FUNCTION jobs.flow_results(p_flow uuid, p_name text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.name, n.result), '{}')
      FROM jobs.flow_edge AS e
      JOIN jobs.flow_node AS n ON n.flow = e.flow AND n.name = e.node
     WHERE e.flow = p_flow AND e.next = p_name AND n.state = 'succeeded'
$$;

CREATE FUNCTION jobs.flow_queue(w jobs.flow, p_names text[], p_queue text,
    p_partition integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    n jobs.flow_node;
BEGIN
    FOR n IN UPDATE jobs.flow_node AS x
                SET state = 'queued', queued_at = clock_timestamp()
              WHERE x.flow = w.id AND x.name = ANY (p_names)
                AND x.state = 'waiting' AND x.waits = 0
             RETURNING x.*
    LOOP
        PERFORM jobs.flow_send(w, p_queue, p_partition, n.queue, n.priority,
            n.type, n.job, coalesce(n.key, n.job),
            CASE WHEN n.results IS NULL THEN n.body
                 ELSE n.body || jsonb_build_object(n.results,
                      jobs.flow_results(w.id, n.name)) END,
            true, n.delay_ms);
    END LOOP;
END $$;

-- The last node is over.  A callback is told once for a run of the flow.
CREATE FUNCTION jobs.flow_end(p_flow uuid, p_queue text, p_partition integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    w    jobs.flow;
    k    text;
    c    jsonb;
    job  uuid;
BEGIN
    UPDATE jobs.flow AS f
       SET state = CASE WHEN f.cancelled THEN 'cancelled'
                        WHEN f.failed > 0 THEN 'failed' ELSE 'succeeded' END,
           ended_at = clock_timestamp()
     WHERE f.id = p_flow AND f.open = 0 AND f.state = 'running'
    RETURNING f.* INTO w;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    FOR k, c IN SELECT key, value FROM jsonb_each(w.callbacks)
                 WHERE key = CASE WHEN w.state = 'succeeded' THEN 'success'
                                  ELSE 'failure' END OR key = 'end'
    LOOP
        CONTINUE WHEN k = ANY (w.told);
        UPDATE jobs.flow SET told = told || k WHERE id = p_flow;
        job := jobs.flow_job(p_flow, 'on ' || k, w.run);
        PERFORM jobs.flow_send(w, p_queue, p_partition, c->>'queue',
            c->>'priority', c->>'type', job, coalesce((c->>'key')::uuid, job),
            coalesce(c->'body', '{}') || jsonb_build_object('flow',
                jsonb_build_object('id', w.id, 'name', w.name,
                                   'state', w.state, 'nodes', w.nodes,
                                   'failed', w.failed)), false, 0);
    END LOOP;

    IF w.parent IS NOT NULL THEN
        job := jobs.flow_job(p_flow, 'told ' || clock_timestamp(), w.run);
        PERFORM jobs.flow_send(w, p_queue, p_partition, 'maintenance', 'high',
            'flow.told', job, w.parent,
            jsonb_build_object('flow', w.parent, 'node', w.parent_node),
            false, 0);
    END IF;
END $$;

-- These nodes of a flow, whose row is locked, are over: on with those behind.
-- Step by step, as far as skipping goes.
CREATE FUNCTION jobs.flow_on(p_flow uuid, p_names text[], p_queue text,
    p_partition integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    w        jobs.flow;
    over     text[] := p_names;
    met      text[];
    touched  text[] := '{}';
    stop     boolean;
BEGIN
    LOOP
        UPDATE jobs.flow AS f
           SET open = f.open - cardinality(over),
               failed = f.failed + (SELECT count(*) FROM jobs.flow_node AS n
                   WHERE n.flow = p_flow AND n.name = ANY (over)
                     AND n.state IN ('failed', 'dead', 'cancelled')
                     AND NOT n.optional)
         WHERE f.id = p_flow
        RETURNING f.* INTO w;
        stop := w.cancelled OR (w.failed > 0 AND w.if_failed <> 'continue');

        WITH c AS (
            SELECT e.next, count(*) AS n, bool_or(NOT jobs.flow_well(x)) AS bad
              FROM jobs.flow_edge AS e
              JOIN jobs.flow_node AS x ON x.flow = e.flow AND x.name = e.node
             WHERE e.flow = p_flow AND e.node = ANY (over)
             GROUP BY e.next
        ), d AS (
            UPDATE jobs.flow_node AS n
               SET waits = n.waits - c.n, bad = n.bad OR c.bad
              FROM c WHERE n.flow = p_flow AND n.name = c.next
            RETURNING n.name
        )
        SELECT coalesce(array_agg(d.name), '{}') INTO met FROM d;
        touched := touched || met;

        WITH s AS (
            UPDATE jobs.flow_node AS n
               SET state = 'skipped', ended_at = clock_timestamp()
             WHERE n.flow = p_flow AND n.state = 'waiting' AND NOT n.always
               AND (stop OR (n.bad AND n.name = ANY (met)))
            RETURNING n.name
        )
        SELECT coalesce(array_agg(s.name), '{}') INTO over FROM s;
        EXIT WHEN cardinality(over) = 0;
    END LOOP;

    IF w.if_failed = 'cancel' AND w.failed > 0 AND NOT w.halted THEN
        UPDATE jobs.flow SET halted = true WHERE id = p_flow;
        PERFORM jobs.flow_send(w, p_queue, p_partition, 'account', 'high',
            'flow.cancel', jobs.flow_job(p_flow,
                'halt ' || clock_timestamp(), w.run), p_flow,
            jsonb_build_object('flow', p_flow, 'failed', true), false, 0);
    END IF;

    PERFORM jobs.flow_queue(w, touched, p_queue, p_partition);

    IF w.open = 0 THEN
        PERFORM jobs.flow_end(p_flow, p_queue, p_partition);
    END IF;
END $$;

-- What was skipped may run after all; counted anew.  The flow's row is locked.
CREATE FUNCTION jobs.flow_reopen(p_flow uuid, p_queue text,
    p_partition integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    w      jobs.flow;
    again  text[];
BEGIN
    UPDATE jobs.flow_node SET state = 'waiting', ended_at = NULL
     WHERE flow = p_flow AND state = 'skipped';
    UPDATE jobs.flow_node AS d
       SET waits = (SELECT count(*) FROM jobs.flow_edge AS e
                      JOIN jobs.flow_node AS x
                        ON x.flow = e.flow AND x.name = e.node
                     WHERE e.flow = p_flow AND e.next = d.name
                       AND NOT jobs.flow_over(x.state)),
           bad = false
     WHERE d.flow = p_flow AND d.state = 'waiting';
    SELECT coalesce(array_agg(name), '{}') INTO again
      FROM jobs.flow_node WHERE flow = p_flow AND state = 'waiting';
    UPDATE jobs.flow AS f
       SET state = 'running', ended_at = NULL, cancelled = false,
           halted = false, failed = 0,
           open = (SELECT count(*) FROM jobs.flow_node AS n
                    WHERE n.flow = p_flow AND NOT jobs.flow_over(n.state))
     WHERE f.id = p_flow
    RETURNING f.* INTO w;
    PERFORM jobs.flow_queue(w, again, p_queue, p_partition);

    IF w.open = 0 THEN
        PERFORM jobs.flow_end(p_flow, p_queue, p_partition);
    END IF;
END $$;

-- What a node's job came to, by what its own flows came to.
CREATE FUNCTION jobs.flow_with_children(p_flow uuid, p_node text, p_job text)
RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_job <> 'succeeded' THEN p_job
                WHEN bool_or(c.state = 'running') THEN 'nested'
                WHEN bool_or(c.state <> 'succeeded') THEN 'failed'
                ELSE p_job END
      FROM jobs.flow AS c WHERE c.parent = p_flow AND c.parent_node = p_node
$$;

-- A node's state, and what follows from that.  The flow's row is locked.
CREATE FUNCTION jobs.flow_set(w jobs.flow, n jobs.flow_node, p_state text,
    p_result jsonb, p_error jsonb, p_queue text, p_partition integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s       text := jobs.flow_with_children(w.id, n.name, p_state);
    bad     integer;
BEGIN
    UPDATE jobs.flow_node AS x
       SET state = s, result = coalesce(p_result, x.result),
           error = CASE WHEN s = 'failed' AND p_state = 'succeeded' THEN
                       jsonb_build_object('code', 'FLOW_FAILED', 'message',
                           'a flow that it began did not succeed')
                   ELSE p_error END,
           ended_at = CASE WHEN s <> 'nested' THEN clock_timestamp() END
     WHERE x.flow = w.id AND x.name = n.name;

    IF jobs.flow_over(n.state) THEN
        SELECT count(*) INTO bad FROM jobs.flow_node AS x
         WHERE x.flow = w.id AND x.state IN ('failed', 'dead', 'cancelled')
           AND NOT x.optional;
        UPDATE jobs.flow AS f
           SET failed = bad,
               open = (SELECT count(*) FROM jobs.flow_node AS x
                        WHERE x.flow = w.id AND NOT jobs.flow_over(x.state))
         WHERE f.id = w.id;

        IF bad = 0 AND NOT w.cancelled THEN
            PERFORM jobs.flow_reopen(w.id, p_queue, p_partition);
        END IF;

    ELSIF s <> 'nested' THEN
        PERFORM jobs.flow_on(w.id, ARRAY[n.name], p_queue, p_partition);
    END IF;
END $$;

-- A node's job is over.  Told again, or by a job of an earlier run, it is
-- nothing new; but one that was dead and has been requeued may do well.
CREATE FUNCTION jobs.flow_done(p_flow uuid, p_job uuid, p_state text,
    p_result jsonb, p_error jsonb, p_queue text, p_partition integer)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    w  jobs.flow;
    n  jobs.flow_node;
BEGIN
    SELECT * INTO w FROM jobs.flow WHERE id = p_flow FOR UPDATE;
    SELECT * INTO n FROM jobs.flow_node WHERE flow = p_flow AND job = p_job;

    IF n.name IS NULL OR n.state = 'nested'
       OR (jobs.flow_over(n.state)
           AND NOT (n.state = 'dead' AND p_state = 'succeeded'))
    THEN
        RETURN false;
    END IF;

    PERFORM jobs.flow_set(w, n, p_state, p_result, p_error, p_queue,
                          p_partition);
    RETURN true;
END $$;

-- The same for the job that has it in hand: NULL when the fence is stale.
CREATE FUNCTION jobs.flow_done_fenced(p_flow uuid, p_job uuid, p_state text,
    p_result jsonb, p_error jsonb, p_queue text, p_partition integer,
    p_owner text, p_fence bigint) RETURNS boolean
LANGUAGE sql AS $$
    SELECT CASE WHEN jobs.fenced(p_queue, p_partition, p_owner, p_fence)
                THEN jobs.flow_done(p_flow, p_job, p_state, p_result, p_error,
                                    p_queue, p_partition) END
$$;

-- A node's job begins.  False: its flow does not want it any more.  What is
-- lost with a crash of the database is only when it began.
CREATE FUNCTION jobs.flow_begin(p_flow uuid, p_job uuid, p_job_id text)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE jobs.flow_node
       SET state = 'running', started_at = clock_timestamp(),
           job_id = p_job_id
     WHERE flow = p_flow AND job = p_job AND state = 'queued';
    RETURN coalesce((SELECT NOT w.halted OR n.always OR n.state = 'dead'
                       FROM jobs.flow_node AS n
                       JOIN jobs.flow AS w ON w.id = n.flow
                      WHERE n.flow = p_flow AND n.job = p_job), true);
END $$;

-- A flow of a node is over: so may the node be.
CREATE FUNCTION jobs.flow_told(p_flow uuid, p_node text, p_queue text,
    p_partition integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    w  jobs.flow;
    n  jobs.flow_node;
BEGIN
    SELECT * INTO w FROM jobs.flow WHERE id = p_flow FOR UPDATE;
    SELECT * INTO n FROM jobs.flow_node WHERE flow = p_flow AND name = p_node;

    IF n.state = 'nested'
       AND jobs.flow_with_children(p_flow, p_node, 'succeeded') <> 'nested'
       OR n.state = 'failed' AND n.error->>'code' = 'FLOW_FAILED'
       AND jobs.flow_with_children(p_flow, p_node, 'succeeded') = 'succeeded'
    THEN
        PERFORM jobs.flow_set(w, n, 'succeeded', NULL, NULL, p_queue,
                              p_partition);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- 'spec' was checked, and each job in it has its queue and priority.
CREATE FUNCTION jobs.flow_start(p_id uuid, spec jsonb, p_sub text,
    p_email text, p_parent uuid, p_parent_job uuid, p_trace text,
    p_queue text, p_partition integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    w      jobs.flow;
    above  jobs.flow;
    roots  text[];
    n      integer := (SELECT count(*) FROM jsonb_object_keys(spec->'nodes'));
BEGIN
    SELECT * INTO above FROM jobs.flow WHERE id = p_parent;
    INSERT INTO jobs.flow (id, name, if_failed, sub, email, parent,
        parent_node, depth, nodes, open, callbacks, trace)
    VALUES (p_id, spec->>'name', coalesce(spec->>'if_failed', 'stop'), p_sub,
        p_email, above.id, (SELECT x.name FROM jobs.flow_node AS x
            WHERE x.flow = above.id AND x.job = p_parent_job),
        coalesce(above.depth + 1, 0), n, n, jsonb_strip_nulls(
            jsonb_build_object('success', spec->'on_success',
                               'failure', spec->'on_failure',
                               'end', spec->'on_end')), p_trace)
    ON CONFLICT (id) DO NOTHING
    RETURNING * INTO w;

    IF w.id IS NULL THEN
        RETURN NULL;
    END IF;

    INSERT INTO jobs.flow_node (flow, name, job, type, queue, priority, key,
        body, results, always, optional, delay_ms, waits)
    SELECT p_id, e.key, jobs.flow_job(p_id, e.key, 0), e.value->>'type',
           e.value->>'queue', e.value->>'priority', (e.value->>'key')::uuid,
           coalesce(e.value->'body', '{}'), e.value->>'results',
           coalesce((e.value->>'always')::boolean, false),
           coalesce((e.value->>'optional')::boolean, false),
           coalesce((e.value->>'delay_ms')::bigint, 0),
           coalesce(jsonb_array_length(e.value->'after'), 0)
      FROM jsonb_each(spec->'nodes') AS e;
    INSERT INTO jobs.flow_edge (flow, node, next)
    SELECT p_id, a, e.key
      FROM jsonb_each(spec->'nodes') AS e,
           jsonb_array_elements_text(coalesce(e.value->'after', '[]')) AS a;
    SELECT array_agg(name) INTO roots
      FROM jobs.flow_node WHERE flow = p_id AND waits = 0;
    PERFORM jobs.flow_queue(w, roots, p_queue, p_partition);
    RETURN jsonb_build_object('flow', p_id, 'nodes', n);
END $$;

-- What waits is skipped; what is queued or runs is for who called this to call
-- off (flow.cancel).  NULL: there is no such flow, or it is over.
CREATE FUNCTION jobs.flow_cancel(p_flow uuid, p_by_hand boolean, p_queue text,
    p_partition integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    w      jobs.flow;
    child  jobs.flow;
BEGIN
    UPDATE jobs.flow AS f
       SET halted = true, cancelled = f.cancelled OR p_by_hand
     WHERE f.id = p_flow AND f.state = 'running'
    RETURNING f.* INTO w;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    PERFORM jobs.flow_on(p_flow, '{}', p_queue, p_partition);
    FOR child IN SELECT * FROM jobs.flow
                  WHERE parent = p_flow AND state = 'running'
    LOOP
        PERFORM jobs.flow_send(child, p_queue, p_partition, 'account', 'high',
            'flow.cancel', jobs.flow_job(child.id,
                'cancel ' || clock_timestamp(), child.run), child.id,
            jsonb_build_object('flow', child.id), false, 0);
    END LOOP;
    RETURN jsonb_build_object('flow', p_flow);
END $$;

-- What failed, died or was cancelled is run once more, and what was skipped for
-- it after that, under new ids.  NULL: no such flow, or it has not ended badly.
CREATE FUNCTION jobs.flow_retry(p_flow uuid, p_queue text,
    p_partition integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    n  bigint;
BEGIN
    PERFORM FROM jobs.flow WHERE id = p_flow
        AND state IN ('failed', 'cancelled') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    -- what an earlier run has begun says nothing of the next
    UPDATE jobs.flow AS c SET parent_node = c.parent_node || ' ' || x.run
      FROM jobs.flow_node AS x
     WHERE x.flow = p_flow AND x.state IN ('failed', 'dead', 'cancelled')
       AND c.parent = x.flow AND c.parent_node = x.name;
    PERFORM jobs.drop_dead(jsonb_build_object('uuid', x.job))
       FROM jobs.flow_node AS x WHERE x.flow = p_flow AND x.state = 'dead';
    UPDATE jobs.flow_node AS x
       SET run = x.run + 1, job = jobs.flow_job(p_flow, x.name, x.run + 1),
           state = 'waiting', error = NULL, job_id = NULL, started_at = NULL,
           ended_at = NULL
     WHERE x.flow = p_flow
       AND x.state IN ('failed', 'dead', 'cancelled');
    GET DIAGNOSTICS n = ROW_COUNT;
    UPDATE jobs.flow SET run = run + 1, told = '{}' WHERE id = p_flow;
    PERFORM jobs.flow_reopen(p_flow, p_queue, p_partition);
    RETURN jsonb_build_object('flow', p_flow, 'retried', n);
END $$;

CREATE FUNCTION jobs.expire_flows(p_keep interval, p_limit integer)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    gone uuid[];
BEGIN
    gone := ARRAY(SELECT id FROM jobs.flow
                   WHERE state <> 'running' AND ended_at < now() - p_keep
                   LIMIT p_limit);
    DELETE FROM jobs.flow_edge WHERE flow = ANY (gone);
    DELETE FROM jobs.flow_node WHERE flow = ANY (gone);
    DELETE FROM jobs.flow WHERE id = ANY (gone);
    RETURN cardinality(gone);
END $$;

-- Dead letters keep what flow they are of.
CREATE OR REPLACE FUNCTION jobs.requeue_dead(f jsonb, OUT requeued bigint,
    OUT unfit bigint)
LANGUAGE plpgsql AS $$
DECLARE
    gap   float8 := 1000 / nullif((f->>'rate')::float8, 0);
    began float8 := extract(epoch FROM now()) * 1000;
BEGIN
    SELECT count(*) INTO unfit
      FROM jobs.dead_matching(f) AS d WHERE NOT jobs.dead_runs(d);

    WITH found AS (
        SELECT d.job_id FROM jobs.dead_matching(f) AS d WHERE jobs.dead_runs(d)
    ), taken AS (
        DELETE FROM jobs.dead AS d USING found
         WHERE d.job_id = found.job_id
        RETURNING d.*
    ), told AS (
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
        SELECT t.queue, t.partition, 'requeue',
               right(t.job_id, 36)::uuid,
               jsonb_build_object('id', t.job_id, 'entry', t.entry,
                   'not_before', coalesce(trunc(began + t.n * gap), 0),
                   'type', t.envelope->'type', 'sub', t.envelope->'sub',
                   'email', t.envelope->'email', 'key', t.envelope->'key',
                   'tp', t.envelope->'tp', 'ts', t.envelope->'ts',
                   'sealed', t.envelope->'sealed',
                   'flow', t.envelope->'flow', 'body', t.envelope->'body')
          FROM (SELECT *, row_number() OVER (ORDER BY died_at, job_id) - 1 AS n
                  FROM taken) AS t
         ORDER BY t.n
        RETURNING 1
    )
    SELECT count(*) INTO requeued FROM told;
END $$;

-- What may be seen over HTTP.
CREATE FUNCTION jobs.flow_state(w jobs.flow) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN w.state = 'running' AND w.cancelled THEN 'cancelling'
                WHEN w.state = 'running' AND w.failed > 0
                     AND w.if_failed <> 'continue' THEN 'failing'
                ELSE w.state END
$$;

CREATE VIEW travel.flows AS
    SELECT w.id, w.created_at, w.name, w.sub, jobs.flow_state(w) AS state,
           json_build_object('id', w.id, 'name', w.name,
               'state', jobs.flow_state(w), 'if_failed', w.if_failed,
               'user', w.sub, 'parent', w.parent, 'run', w.run,
               'nodes', w.nodes, 'over', w.nodes - w.open,
               'failed', w.failed,
               'created_at', travel.rfc3339(w.created_at),
               'ended_at', travel.rfc3339(w.ended_at)) AS item
      FROM jobs.flow AS w;

CREATE VIEW travel.flow_nodes AS
    SELECT n.flow, n.name, n.state,
           json_build_object('name', n.name, 'type', n.type,
               'state', n.state, 'after', (SELECT coalesce(json_agg(e.node
                   ORDER BY e.node), '[]') FROM jobs.flow_edge AS e
                   WHERE e.flow = n.flow AND e.next = n.name),
               'job', coalesce(n.job_id, n.job::text), 'run', n.run,
               'result', n.result, 'error', n.error,
               'flows', (SELECT coalesce(json_agg(c.id), '[]')
                   FROM jobs.flow AS c
                  WHERE c.parent = n.flow AND c.parent_node = n.name),
               'started_at', travel.rfc3339(n.started_at),
               'ended_at', travel.rfc3339(n.ended_at)) AS item
      FROM jobs.flow_node AS n;

GRANT SELECT ON travel.flows, travel.flow_nodes TO travel_edge;
GRANT EXECUTE ON FUNCTION jobs.flow_state(jobs.flow) TO travel_edge;
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.flow, jobs.flow_node,
    jobs.flow_edge TO travel_worker;
GRANT EXECUTE ON FUNCTION
    jobs.flow_job(uuid, text, integer),
    jobs.flow_bucket(uuid),
    jobs.flow_over(text),
    jobs.flow_well(jobs.flow_node),
    jobs.flow_send(jobs.flow, text, integer, text, text, text, uuid, uuid,
        jsonb, boolean, bigint),
    jobs.flow_results(uuid, text),
    jobs.flow_queue(jobs.flow, text[], text, integer),
    jobs.flow_end(uuid, text, integer),
    jobs.flow_on(uuid, text[], text, integer),
    jobs.flow_reopen(uuid, text, integer),
    jobs.flow_with_children(uuid, text, text),
    jobs.flow_set(jobs.flow, jobs.flow_node, text, jsonb, jsonb, text,
        integer),
    jobs.flow_done(uuid, uuid, text, jsonb, jsonb, text, integer),
    jobs.flow_done_fenced(uuid, uuid, text, jsonb, jsonb, text, integer, text,
        bigint),
    jobs.flow_begin(uuid, uuid, text),
    jobs.flow_told(uuid, text, text, integer),
    jobs.flow_start(uuid, jsonb, text, text, uuid, uuid, text, text, integer),
    jobs.flow_cancel(uuid, boolean, text, integer),
    jobs.flow_retry(uuid, text, integer),
    jobs.expire_flows(interval, integer),
    jobs.flow_state(jobs.flow)
    TO travel_worker;
