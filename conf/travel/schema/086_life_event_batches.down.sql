DROP FUNCTION travel.record_life_events_apart(text[], text[], integer[],
    bigint[], integer[], uuid[], uuid[], text[], text[], timestamptz[], text[],
    text[]);
DROP FUNCTION travel.record_life_events(text[], text[], integer[], bigint[],
    integer[], uuid[], uuid[], text[], text[], timestamptz[], text[]);

ALTER TABLE travel.life_events DROP CONSTRAINT life_events_pkey;
ALTER TABLE travel.life_events ADD CONSTRAINT life_events_pkey PRIMARY KEY (id);
CREATE INDEX life_events_user
    ON travel.life_events (user_id, occurred_at DESC, id DESC);

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

GRANT EXECUTE ON FUNCTION travel.record_life_events(text, jsonb)
    TO travel_worker;
