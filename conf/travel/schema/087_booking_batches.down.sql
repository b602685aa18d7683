DROP FUNCTION travel.bookings_confirm(text, jsonb);
DROP FUNCTION travel.bookings_begin(text, jsonb);
DROP FUNCTION jobs.sagas_go_on(text, jsonb);
DROP FUNCTION events.append_many(events.fact[]);
DROP FUNCTION jobs.held(text, jsonb);
DROP TYPE events.fact;
DROP TYPE jobs.batched;

CREATE OR REPLACE FUNCTION jobs.fenced(p_queue text, p_partition integer,
    p_owner text, p_fence bigint) RETURNS boolean
LANGUAGE sql AS $$
    SELECT coalesce((SELECT owner = p_owner AND fence = p_fence
                       FROM jobs.partition
                      WHERE queue = p_queue AND partition = p_partition
                        FOR KEY SHARE), false)
$$;
