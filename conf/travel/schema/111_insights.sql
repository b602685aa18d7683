-- What a provider finds in what a user has told of his life
-- (insight.generate).

CREATE TABLE travel.insights (
    id          uuid        PRIMARY KEY,
    user_id     uuid        NOT NULL REFERENCES travel.users,
    days        integer     NOT NULL,
    based_on    integer     NOT NULL,           -- life events
    title       text        NOT NULL,
    content     text        NOT NULL,
    provider    text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX insights_user ON travel.insights (user_id, id DESC);

INSERT INTO events.type (type, stream_type, fold, status, members, topic,
                         channel) VALUES
('insight.generated', 'insight', 'merge', 'ready',
    '{"title": "string", "content": "string", "based_on": "integer"}',
    'ai-agent-events', 'insights'),
('insight.failed',    'insight', 'error', 'failed',
    '{"code": "string"}', 'ai-agent-events', NULL);

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE ON travel.insights
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('insight');

CREATE FUNCTION travel.insight_json(i travel.insights) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'status', 'ready',
        'title', ($1).title,
        'content', ($1).content,
        'days', ($1).days,
        'based_on', ($1).based_on,
        'provider', ($1).provider,
        'created_at', travel.rfc3339(($1).created_at))
$$;

-- What a provider is told: what there was of each kind, the most first.
CREATE FUNCTION travel.insight_facts(p_user uuid, p_days integer) RETURNS json
LANGUAGE sql STABLE AS $$
    WITH kinds AS (
        SELECT l.type, count(*)::integer AS times,
               CASE l.type
               WHEN 'sleep' THEN round(avg(ml.number(l.data, 'hours'))::numeric,
                                       1) || ' hours on average'
               WHEN 'exercise' THEN round(sum(ml.number(l.data, 'minutes'))
                                          ::numeric) || ' minutes in all'
               WHEN 'energy' THEN round(avg(ml.number(l.data, 'level'))
                                        ::numeric, 1) || ' of 10 on average'
               WHEN 'mood' THEN ml.mood(avg(ml.number(l.data, 'score')))
               END AS figure
          FROM travel.life_events AS l
         WHERE l.user_id = p_user AND l.occurred_at <= now()
           AND l.occurred_at > now() - make_interval(days => p_days)
         GROUP BY l.type ORDER BY count(*) DESC, l.type LIMIT 12)
    SELECT json_build_object(
        'days', p_days, 'told', coalesce(sum(k.times), 0)::integer,
        'items', coalesce(json_agg(json_build_object('kind', k.type,
            'times', k.times, 'figure', coalesce(k.figure, 'no more was said'))
            ORDER BY k.times DESC, k.type), '[]'))
      FROM kinds AS k
$$;

GRANT SELECT ON travel.insights TO travel_edge;
GRANT SELECT, INSERT ON travel.insights TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.insight_json(travel.insights)
    TO travel_edge, travel_worker;
GRANT EXECUTE ON FUNCTION travel.insight_facts(uuid, integer),
    ml.mood(float8) TO travel_worker;
