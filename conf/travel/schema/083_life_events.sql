-- What happened in a user's life, as he or his devices tell it: many, small,
-- and never changed.  They are written in batches.

CREATE TABLE travel.life_events (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL,
    type         text        NOT NULL,
    title        text,
    occurred_at  timestamptz NOT NULL,
    data         jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX life_events_user
    ON travel.life_events (user_id, occurred_at DESC, id DESC);

-- One batch, in one statement.  A row's id is its job's, so what is written
-- again is there already: the table is its own inbox.  Rows of partitions whose
-- fence is stale are left out; their names are returned ("content.3").
--
-- p: [{"queue", "partition", "fence", "id", "user", "body": {...}}, ...]
CREATE FUNCTION travel.record_life_events(p_owner text, p jsonb)
RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    stale text[];
BEGIN
    SELECT coalesce(array_agg(f.queue || '.' || f.partition), '{}') INTO stale
      FROM (SELECT DISTINCT r.queue, r.partition, r.fence
              FROM jsonb_to_recordset(p) AS r(queue text, partition integer,
                                              fence bigint)) AS f
     WHERE NOT jobs.fenced(f.queue, f.partition, p_owner, f.fence);

    INSERT INTO travel.life_events (id, user_id, type, title, occurred_at, data)
    SELECT r.id, r."user", r.body->>'type', r.body->>'title',
           (r.body->>'occurred_at')::timestamptz,
           coalesce(r.body->'data', '{}')
      FROM jsonb_to_recordset(p) AS r(queue text, partition integer, id uuid,
                                      "user" uuid, body jsonb)
     WHERE cardinality(stale) = 0
        OR r.queue || '.' || r.partition <> ALL (stale)
    ON CONFLICT (id) DO NOTHING;

    RETURN stale;
END $$;

GRANT SELECT ON travel.life_events TO travel_edge;
GRANT SELECT, INSERT ON travel.life_events TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.record_life_events(text, jsonb)
    TO travel_worker;
