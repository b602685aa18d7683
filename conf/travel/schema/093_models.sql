-- What the next hours of a life may be like: features of what has been told
-- (travel.life_events), models that were trained on them, predictions.
--
-- Told as life events, in "data":
--   energy {level 0..10}   mood {score -2..2}   sleep {hours}
--   exercise {minutes}     meal                 social

CREATE SCHEMA ml;
GRANT USAGE ON SCHEMA ml TO travel_edge, travel_worker;

-- A model is never changed: the next one has the next version.  The live one
-- of a kind predicts.
CREATE TABLE ml.kind (
    kind  text PRIMARY KEY,
    id    uuid NOT NULL UNIQUE              -- of its stream of events
);
INSERT INTO ml.kind VALUES ('energy', '01890000-0000-7000-a000-000000000001'),
                           ('mood',   '01890000-0000-7000-a000-000000000002');

CREATE TABLE ml.model (
    kind          text             NOT NULL REFERENCES ml.kind,
    version       integer          NOT NULL,
    live          boolean          NOT NULL DEFAULT false,
    weights       float8[]         NOT NULL,      -- per feature, then the rest
    trained_on    integer          NOT NULL,      -- rows
    held_out      integer          NOT NULL,      -- the newest, for the figures
    mae           float8           NOT NULL,
    baseline_mae  float8           NOT NULL,      -- of always saying the mean
    r2            float8           NOT NULL,
    accuracy      float8,                         -- mood: of the five classes
    trained_at    timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, version)
);
CREATE UNIQUE INDEX model_live ON ml.model (kind) WHERE live;

INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('model.trained', 'model', 'merge', NULL,
    '{"kind": "string", "version": "integer", "mae": "number"}',
    'ai-agent-events');

CREATE INDEX life_events_target ON travel.life_events (type, occurred_at DESC)
    WHERE type IN ('energy', 'mood');

CREATE FUNCTION ml.number(p_data jsonb, p_name text) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(p_data -> p_name) = 'number'
                THEN (p_data ->> p_name)::float8 END
$$;

CREATE FUNCTION ml.target(p_type text, p_data jsonb) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_type WHEN 'energy' THEN ml.number(p_data, 'level')
                       WHEN 'mood'   THEN ml.number(p_data, 'score') END
$$;

CREATE FUNCTION ml.feature_names() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY['hour_of_day', 'day_of_week', 'is_weekend',
        'time_since_last_sleep', 'time_since_last_meal', 'avg_sleep_last_7d',
        'avg_exercise_last_7d', 'social_events_count_last_3d',
        'energy_rolling_mean_7d', 'energy_rolling_std_7d',
        'mood_trend_last_14d']
$$;

-- What a user's last two weeks say at a time, in the order of the names; what
-- nobody has told has a middling value.  Hours but for exercise (minutes a
-- day) and the trend (score per day).
CREATE FUNCTION ml.features(p_user uuid, p_at timestamptz) RETURNS float8[]
LANGUAGE sql STABLE AS $$
    SELECT ARRAY[
        extract(hour FROM c.clock), extract(isodow FROM c.clock),
        (extract(isodow FROM c.clock) > 5)::integer,
        least(coalesce(extract(epoch FROM p_at - max(e.occurred_at)
            FILTER (WHERE e.type = 'sleep')) / 3600, 24), 48),
        least(coalesce(extract(epoch FROM p_at - max(e.occurred_at)
            FILTER (WHERE e.type = 'meal')) / 3600, 12), 24),
        coalesce(avg(ml.number(e.data, 'hours'))
            FILTER (WHERE e.type = 'sleep' AND e.age <= 7), 7),
        coalesce(sum(ml.number(e.data, 'minutes'))
            FILTER (WHERE e.type = 'exercise' AND e.age <= 7), 0) / 7,
        count(*) FILTER (WHERE e.type = 'social' AND e.age <= 3),
        coalesce(avg(ml.number(e.data, 'level'))
            FILTER (WHERE e.type = 'energy' AND e.age <= 7), 5),
        coalesce(stddev_pop(ml.number(e.data, 'level'))
            FILTER (WHERE e.type = 'energy' AND e.age <= 7), 0),
        coalesce(regr_slope(ml.number(e.data, 'score'), -e.age)
            FILTER (WHERE e.type = 'mood'), 0)]::float8[]
      FROM (SELECT p_at AT TIME ZONE coalesce((SELECT u.tz FROM travel.users AS u
                WHERE u.id = p_user), 'UTC') AS clock) AS c
           LEFT JOIN LATERAL
           (SELECT l.type, l.occurred_at, l.data,
                   extract(epoch FROM p_at - l.occurred_at)::float8 / 86400
                       AS age
              FROM travel.life_events AS l
             WHERE l.user_id = p_user AND l.occurred_at < p_at
               AND l.occurred_at >= p_at - interval '14 days') AS e ON true
     GROUP BY c.clock
$$;

-- What there is to learn from: the last 90 days, the oldest first.
CREATE FUNCTION ml.training(p_kind text, p_max integer)
RETURNS TABLE (features float8[], target float8)
LANGUAGE sql STABLE AS $$
    SELECT ml.features(t.user_id, t.occurred_at), t.target
      FROM (SELECT l.user_id, l.occurred_at, ml.target(l.type, l.data) AS target
              FROM travel.life_events AS l
             WHERE l.type = p_kind AND l.type IN ('energy', 'mood')
               AND l.occurred_at > now() - interval '90 days'
               AND ml.target(l.type, l.data) IS NOT NULL
             ORDER BY l.occurred_at DESC LIMIT p_max) AS t
     ORDER BY t.occurred_at
$$;

CREATE FUNCTION ml.mood(p_score float8) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (ARRAY['very_negative', 'negative', 'neutral', 'positive',
                  'very_positive'])
           [3 + round(least(greatest(p_score, -2), 2))::integer]
$$;

-- What the live model of a kind says of a user now; no row: there is none.
CREATE FUNCTION ml.predict(p_user uuid, p_kind text, p_at timestamptz)
RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT json_build_object(
               'kind', m.kind,
               'prediction', round(p.v::numeric, 2),
               'class', CASE m.kind WHEN 'mood' THEN ml.mood(p.v) END,
               'confidence', round(greatest(m.r2, 0)::numeric, 3),
               'model_version', m.version,
               'features', json_object(ml.feature_names(), f.x::text[]),
               'created_at', travel.rfc3339(p_at))
      FROM ml.model AS m,
           LATERAL (SELECT ml.features(p_user, p_at) AS x) AS f,
           LATERAL (SELECT least(greatest(
                        m.weights[cardinality(m.weights)] + sum(w.x * w.w),
                        CASE m.kind WHEN 'energy' THEN 0 ELSE -2 END),
                        CASE m.kind WHEN 'energy' THEN 10 ELSE 2 END) AS v
                      FROM unnest(f.x, m.weights[:cardinality(f.x)])
                           AS w (x, w)) AS p
     WHERE m.kind = p_kind AND m.live
       AND cardinality(m.weights) = cardinality(f.x) + 1
$$;

GRANT SELECT ON ml.kind TO travel_worker;
GRANT SELECT, INSERT, UPDATE ON ml.model TO travel_worker;
GRANT EXECUTE ON FUNCTION ml.number(jsonb, text), ml.target(text, jsonb),
    ml.feature_names(), ml.features(uuid, timestamptz),
    ml.training(text, integer) TO travel_worker;
GRANT EXECUTE ON FUNCTION ml.predict(uuid, text, timestamptz) TO travel_edge;
