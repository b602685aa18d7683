-- Life events, many in one job: their columns come as arrays.

-- The timeline is read by user and time, so its index can be the key, too:
-- a row that is written again has all three.
ALTER TABLE travel.life_events DROP CONSTRAINT life_events_pkey;
DROP INDEX travel.life_events_user;
ALTER TABLE travel.life_events
    ADD CONSTRAINT life_events_pkey PRIMARY KEY (user_id, occurred_at, id);

DROP FUNCTION travel.record_life_events(text, jsonb);

-- One batch, in one statement.  A row's id follows from its job's, so what is
-- written again is there already: the table is its own inbox.  Rows of
-- partitions whose fence is stale are left out; their places are returned.
--
-- p_owners to p_fences: a partition each; p_of (a place among these, from 1) to
-- p_data: an event each.
CREATE FUNCTION travel.record_life_events(p_owners text[], p_queues text[],
    p_partitions integer[], p_fences bigint[], p_of integer[], p_ids uuid[],
    p_users uuid[], p_types text[], p_titles text[], p_times timestamptz[],
    p_data text[])
RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
    held boolean[];
BEGIN
    SELECT array_agg(jobs.fenced(f.queue, f.partition, f.owner, f.fence)
                     ORDER BY f.n) INTO held
      FROM unnest(p_owners, p_queues, p_partitions, p_fences)
           WITH ORDINALITY AS f(owner, queue, partition, fence, n);

    INSERT INTO travel.life_events (id, user_id, type, title, occurred_at, data)
    SELECT e.id, e.user_id, e.type, e.title, e.occurred_at, e.data::jsonb
      FROM unnest(p_of, p_ids, p_users, p_types, p_titles, p_times, p_data)
           AS e(part, id, user_id, type, title, occurred_at, data)
     WHERE held[e.part]
    ON CONFLICT DO NOTHING;

    RETURN QUERY SELECT n::integer
                   FROM unnest(held) WITH ORDINALITY AS h(ours, n)
                  WHERE NOT h.ours;
END $$;

-- The same, each for itself, when one has made all of them fail.  What cannot
-- be written becomes a job of its own, under its own id, by the outbox; one
-- without a body in p_bodies is a job of its own already.
CREATE FUNCTION travel.record_life_events_apart(p_owners text[],
    p_queues text[], p_partitions integer[], p_fences bigint[], p_of integer[],
    p_ids uuid[], p_users uuid[], p_types text[], p_titles text[],
    p_times timestamptz[], p_data text[], p_bodies text[])
RETURNS TABLE (stale integer, apart integer, why text, job text)
LANGUAGE plpgsql AS $$
DECLARE
    held boolean[] := '{}';
    part integer;
BEGIN
    FOR i IN 1 .. cardinality(p_queues) LOOP
        held[i] := jobs.fenced(p_queues[i], p_partitions[i], p_owners[i],
                               p_fences[i]);
        IF NOT held[i] THEN
            stale := i;
            RETURN NEXT;
        END IF;
    END LOOP;

    stale := NULL;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        part := p_of[i];
        CONTINUE WHEN NOT held[part];
        BEGIN
            INSERT INTO travel.life_events (id, user_id, type, title,
                                            occurred_at, data)
            VALUES (p_ids[i], p_users[i], p_types[i], p_titles[i], p_times[i],
                    p_data[i]::jsonb)
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation
                    OR program_limit_exceeded THEN
            apart := i;
            why := SQLSTATE;
            job := p_queues[part] || '.' || p_partitions[part] || '.'
                   || p_ids[i];
            IF p_bodies[i] IS NULL THEN
                job := NULL;
            ELSE
                INSERT INTO jobs.outbox (queue, partition, kind, aggregate,
                                         payload)
                VALUES (p_queues[part], p_partitions[part], 'requeue', p_ids[i],
                        jsonb_build_object('id', job,
                            'type', 'life_event.record', 'sub', p_users[i],
                            'key', p_ids[i], 'body', p_bodies[i],
                            'ts', (extract(epoch FROM clock_timestamp())
                                   * 1000)::bigint::text));
            END IF;
            RETURN NEXT;
        END;
    END LOOP;
END $$;

GRANT EXECUTE ON FUNCTION travel.record_life_events(text[], text[], integer[],
    bigint[], integer[], uuid[], uuid[], text[], text[], timestamptz[], text[])
    TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.record_life_events_apart(text[], text[],
    integer[], bigint[], integer[], uuid[], uuid[], text[], text[],
    timestamptz[], text[], text[]) TO travel_worker;
