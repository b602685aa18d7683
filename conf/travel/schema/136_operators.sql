-- What operators see over HTTP, and what becomes of a saga that they steer.

CREATE VIEW travel.paused AS
    SELECT p.kind, p.name, p.since,
           json_build_object('kind', p.kind, 'name', p.name,
                             'since', travel.rfc3339(p.since), 'by', p.by,
                             'reason', p.reason) AS item
      FROM jobs.paused AS p;

CREATE VIEW travel.schedules AS
    SELECT s.name,
           json_build_object('name', s.name, 'cron', s.cron,
               'timezone', s.timezone, 'type', s.type,
               'catch_up', s.catch_up,
               'last_fire', travel.rfc3339(s.last_fire),
               'last_job', s.last_job, 'fired', s.fired,
               'skipped', s.skipped, 'paused', s.paused) AS item
      FROM jobs.schedule AS s;

CREATE VIEW travel.sagas AS
    SELECT r.id, r.state, r.updated_at,
           json_build_object('id', r.id, 'name', r.name, 'state', r.state,
               'type', r.type, 'job', r.job_id, 'sub', r.sub, 'key', r.key,
               'error', r.error, 'trace', nullif(r.trace, ''),
               'turned', r.undo IS NOT NULL,
               'created_at', travel.rfc3339(r.created_at),
               'updated_at', travel.rfc3339(r.updated_at)) AS item,
           (SELECT coalesce(json_agg(t.s ORDER BY t.at), '[]') FROM (
                SELECT json_build_object('step', i.step, 'state', 'done',
                           'at', travel.rfc3339(i.created_at)) AS s,
                       i.created_at AS at
                  FROM jobs.inbox AS i WHERE i.job_id = r.id
                 UNION ALL
                SELECT json_build_object('step', c.step, 'state', c.state,
                           'attempts', c.attempts,
                           'at', travel.rfc3339(c.updated_at)),
                       c.updated_at
                  FROM jobs.saga AS c WHERE c.job_id = r.id) AS t) AS steps
      FROM jobs.saga_run AS r;

GRANT SELECT ON travel.paused, travel.schedules, travel.sagas TO travel_edge;

-- The job that undoes what a saga of this name has done; NULL: it leaves
-- nothing that its own transactions do not take back.
CREATE FUNCTION jobs.saga_undo_type(p_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_name WHEN 'booking' THEN 'booking.release'
                       WHEN 'persona' THEN 'persona.discard'
                       WHEN 'drill' THEN 'saga.drill_undo' END
$$;

-- Resumes, compensates or closes a saga.  'refused' and 'code': why not; else
-- 'type' and 'body' of the job that is to be enqueued, both NULL when it was
-- closed.
CREATE FUNCTION jobs.steer_saga(p_id uuid, p_act text, OUT refused text,
    OUT code text, OUT type text, OUT body jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    r jobs.saga_run;
    u text;
BEGIN
    SELECT * INTO r FROM jobs.saga_run AS s WHERE s.id = p_id FOR UPDATE;
    u := jobs.saga_undo_type(r.name);
    IF NOT FOUND AND r.id IS NULL THEN
        refused := 'there is no saga ' || p_id;
        code := 'RESOURCE_NOT_FOUND';
    ELSIF p_act = 'close' AND r.state IN ('running', 'undoing', 'stuck') THEN
        UPDATE jobs.saga_run SET state = 'closed', updated_at = now()
         WHERE id = p_id;
    ELSIF p_act = 'resume' AND r.undo IS NULL
          AND r.state IN ('running', 'stuck') THEN
        type := 'saga.resume';
        body := jsonb_build_object('saga', p_id);
    ELSIF p_act = 'compensate' AND r.undo IS NULL
          AND r.state IN ('running', 'stuck') THEN
        type := 'saga.resume';
        body := jsonb_build_object('saga', p_id, 'turn', true);
    ELSIF p_act = 'compensate' AND r.undo IS NOT NULL AND u IS NOT NULL
          AND r.state IN ('stuck', 'undoing') THEN
        type := u;
        body := r.undo;
    ELSE
        refused := 'the saga ' || p_id || ' is ' || r.state
            || CASE WHEN p_act = 'resume' AND r.undo IS NOT NULL
                    THEN ', it goes backwards: saga compensate'
                    WHEN p_act = 'compensate' THEN ', there is nothing to undo'
                    WHEN p_act = 'close' THEN ', it is over'
                    ELSE ', there is nothing to do' END;
        code := 'CONFLICT';
    END IF;
    IF type = 'saga.resume' THEN
        UPDATE jobs.saga_run SET state = 'running' WHERE id = p_id;
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION jobs.saga_undo_type(text),
    jobs.steer_saga(uuid, text) TO travel_worker;
