DROP VIEW travel.flow_nodes, travel.flows;
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
                   'body', t.envelope->'body')
          FROM (SELECT *, row_number() OVER (ORDER BY died_at, job_id) - 1 AS n
                  FROM taken) AS t
         ORDER BY t.n
        RETURNING 1
    )
    SELECT count(*) INTO requeued FROM told;
END $$;
DROP FUNCTION jobs.flow_state(jobs.flow);
DROP FUNCTION jobs.expire_flows(interval, integer);
DROP FUNCTION jobs.flow_retry(uuid, text, integer);
DROP FUNCTION jobs.flow_cancel(uuid, boolean, text, integer);
DROP FUNCTION jobs.flow_start(uuid, jsonb, text, text, uuid, uuid, text, text,
    integer);
DROP FUNCTION jobs.flow_told(uuid, text, text, integer);
DROP FUNCTION jobs.flow_begin(uuid, uuid, text);
DROP FUNCTION jobs.flow_done_fenced(uuid, uuid, text, jsonb, jsonb, text,
    integer, text, bigint);
DROP FUNCTION jobs.flow_done(uuid, uuid, text, jsonb, jsonb, text, integer);
DROP FUNCTION jobs.flow_set(jobs.flow, jobs.flow_node, text, jsonb, jsonb,
    text, integer);
DROP FUNCTION jobs.flow_with_children(uuid, text, text);
DROP FUNCTION jobs.flow_reopen(uuid, text, integer);
DROP FUNCTION jobs.flow_on(uuid, text[], text, integer);
DROP FUNCTION jobs.flow_end(uuid, text, integer);
DROP FUNCTION jobs.flow_queue(jobs.flow, text[], text, integer);
DROP FUNCTION jobs.flow_results(uuid, text);
DROP FUNCTION jobs.flow_send(jobs.flow, text, integer, text, text, text, uuid,
    uuid, jsonb, boolean, bigint);
DROP FUNCTION jobs.flow_well(jobs.flow_node);
DROP FUNCTION jobs.flow_over(text);
DROP FUNCTION jobs.flow_bucket(uuid);
DROP FUNCTION jobs.flow_job(uuid, text, integer);
DROP TABLE jobs.flow_edge, jobs.flow_node, jobs.flow;
