-- Trends: what crawlers and agents have seen somewhere, as a pipeline (TP-27):
-- validate, enrich, transform, store, publish.  travel.take_trends is the whole
-- of it, for a batch, in the job's transaction.

CREATE TABLE travel.trends (
    id          uuid        PRIMARY KEY,
    place_id    bigint      NOT NULL,
    trend_type  text        NOT NULL,
    source      text        NOT NULL,
    confidence  real        NOT NULL,
    observed_at timestamptz NOT NULL,
    raw         jsonb       NOT NULL,           -- as it came
    normalized  jsonb       NOT NULL,           -- in our words
    vector      real[]      NOT NULL,           -- travel.text_vector
    metadata    jsonb       NOT NULL,           -- theirs, and what we added
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX trends_seen ON travel.trends (observed_at DESC, id DESC);
CREATE INDEX trends_place ON travel.trends
    (place_id, trend_type, observed_at DESC);

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE ON travel.trends
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('trend');

-- A text as 64 numbers of length one: its words' trigrams, hashed.  The product
-- of two says how much of their spelling they share: 1 the same, 0 nothing.
CREATE FUNCTION travel.text_vector(p_text text) RETURNS real[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH grams AS (
        SELECT hashtextextended(substr(w.padded, i, 3), 0) AS h
          FROM (SELECT ' ' || word || ' ' AS padded
                  FROM regexp_split_to_table(lower(p_text), '[^[:alnum:]]+')
                       AS word WHERE word <> '') AS w,
               generate_series(1, length(w.padded) - 2) AS i),
    sums AS (
        SELECT h & 63 AS n, sum(CASE WHEN h & 64 = 0 THEN 1 ELSE -1 END) AS x
          FROM grams GROUP BY 1),
    size AS (SELECT nullif(sqrt(sum(x * x)), 0) AS length FROM sums)
    SELECT array_agg(coalesce(s.x / size.length, 0)::real ORDER BY d.n)
      FROM size, generate_series(0, 63) AS d(n) LEFT JOIN sums AS s USING (n)
$$;

CREATE FUNCTION travel.vector_product(a real[], b real[])
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sum(u.a * u.b) FROM unnest(a, b) AS u(a, b)
$$;

-- What the words of a trend are.
CREATE FUNCTION travel.trend_text(p_type text, p_metadata jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT concat_ws(' ', p_type, string_agg(v #>> '{}', ' ' ORDER BY n))
      FROM jsonb_path_query(p_metadata, 'strict $.** ? (@.type() == "string")')
           WITH ORDINALITY AS m(v, n)
$$;

-- One as it came, or NULL when it cannot be read, as a year that we do not have.
-- What its schema says has been looked at by the edge.
CREATE FUNCTION travel.trend_read(p_text text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    raw jsonb := p_text;
BEGIN
    PERFORM (raw ->> 'observed_at')::timestamptz,
            (raw ->> 'confidence')::float8;
    RETURN raw;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;

-- Where it was: the place that is named; of a point, the largest of those within
-- 25 km, or else the nearest within 100.
CREATE FUNCTION travel.trend_place(p_location jsonb) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_location ? 'place'
        THEN (SELECT id FROM travel.resolve_place(p_location ->> 'place'))
        ELSE (SELECT id FROM travel.places_near((p_location ->> 'lat')::float8,
                  (p_location ->> 'lon')::float8, 100, 20)
               ORDER BY km <= 25 DESC,
                        CASE WHEN km <= 25 THEN -population ELSE km END
               LIMIT 1) END
$$;

-- What of a batch is good enough: place or refusal of each, by its position.
-- The same again within a day (of one source, type and place, in about the same
-- words) is not news; neither is what is not sure, or long ago, or yet to come.
-- It is looked for among the last 50, so that a flood costs no more than it has
-- rows.
CREATE FUNCTION travel.judge_trends(p jsonb)
RETURNS TABLE (n integer, id uuid, raw jsonb, place_id bigint,
    observed_at timestamptz, vector real[], wrong text)
LANGUAGE sql STABLE AS $$
    WITH came AS MATERIALIZED (
        SELECT c.n::integer AS n, (c.item ->> 'id')::uuid AS id, c.raw,
               lower(c.raw ->> 'source') AS source,
               travel.trend_place(c.raw -> 'location') AS place_id,
               coalesce((c.raw ->> 'observed_at')::timestamptz, now())
                   AS observed_at,
               travel.text_vector(travel.trend_text(c.raw ->> 'trend_type',
                                                    c.raw -> 'metadata'))
                   AS vector
          FROM (SELECT i.n, i.item, travel.trend_read(i.item ->> 'raw') AS raw
                  FROM jsonb_array_elements(p)
                       WITH ORDINALITY AS i(item, n) OFFSET 0) AS c)
    SELECT c.n, c.id, c.raw, c.place_id, c.observed_at, c.vector,
           CASE WHEN c.raw IS NULL THEN 'UNREADABLE'
                WHEN c.place_id IS NULL THEN 'UNKNOWN_PLACE'
                WHEN (c.raw ->> 'confidence')::float8 < 0.2
                    THEN 'LOW_CONFIDENCE'
                WHEN c.observed_at < now() - interval '7 days' THEN 'STALE'
                WHEN c.observed_at > now() + interval '5 minutes'
                    THEN 'IN_THE_FUTURE'
                WHEN EXISTS (
                    SELECT FROM came AS o
                     WHERE o.n BETWEEN c.n - 50 AND c.n - 1
                       AND o.place_id = c.place_id
                       AND o.raw ->> 'trend_type' = c.raw ->> 'trend_type'
                       AND o.source = c.source
                       AND travel.vector_product(o.vector, c.vector) > 0.95)
                  OR EXISTS (
                    SELECT FROM (SELECT * FROM travel.trends AS l
                                  WHERE l.place_id = c.place_id
                                    AND l.trend_type = c.raw ->> 'trend_type'
                                    AND l.observed_at
                                        > c.observed_at - interval '1 day'
                                  ORDER BY l.observed_at DESC LIMIT 50) AS t
                     WHERE t.source = c.source
                       AND travel.vector_product(t.vector, c.vector) > 0.95)
                    THEN 'DUPLICATE' END
      FROM came AS c
$$;

-- The pipeline.  p: [{"id", "raw"}, ...], raw a text; returns {"recorded", "refused":
-- [{"id", "code"}, ...]}.
CREATE FUNCTION travel.take_trends(p jsonb, p_user uuid, p_job uuid,
    p_trace text, p_queue text, p_partition integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    answer jsonb;
    facts  events.fact[];
BEGIN
    WITH judged AS MATERIALIZED (SELECT * FROM travel.judge_trends(p)),
    enriched AS (
        SELECT j.*, travel.place_json(j.place_id)::jsonb AS place,
               coalesce((SELECT sum(r.journeys) FROM travel.route_counts AS r
                          WHERE r.generation =
                                events.generation('popular_routes')
                            AND r.destination_place_id = j.place_id), 0)
                   AS journeys
          FROM judged AS j WHERE j.wrong IS NULL),
    stored AS (
        INSERT INTO travel.trends AS t (id, place_id, trend_type, source,
            confidence, observed_at, raw, normalized, vector, metadata)
        SELECT e.id, e.place_id, e.raw ->> 'trend_type',
               lower(e.raw ->> 'source'), (e.raw ->> 'confidence')::real,
               e.observed_at, e.raw,
               jsonb_build_object('location', e.place,
                   'trend_type', e.raw ->> 'trend_type',
                   'confidence', round((e.raw ->> 'confidence')::numeric, 2),
                   'source', lower(e.raw ->> 'source'),
                   'observed_at', travel.rfc3339(e.observed_at)),
               e.vector,
               e.raw -> 'metadata' || jsonb_build_object(
                   'journeys_there', e.journeys)
          FROM enriched AS e
        RETURNING t.*)
    SELECT jsonb_build_object(
               'recorded', (SELECT count(*) FROM stored),
               'refused', (SELECT coalesce(jsonb_agg(jsonb_build_object('id',
                               j.id, 'code', j.wrong) ORDER BY j.n), '[]')
                             FROM judged AS j WHERE j.wrong IS NOT NULL)),
           (SELECT array_agg(ROW('trend', s.id, ARRAY['trend_detected'],
                       ARRAY[s.normalized || jsonb_build_object('metadata',
                                                               s.metadata)],
                       p_user, p_job, p_trace, p_queue, p_partition)
                       ::events.fact ORDER BY s.id)
              FROM stored AS s)
      INTO answer, facts;

    IF facts IS NOT NULL THEN
        PERFORM events.append_many(facts);
    END IF;
    RETURN answer;
END $$;

CREATE FUNCTION travel.trend_json(travel.trends) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', ($1).id,
               'location', ($1).normalized -> 'location',
               'trend_type', ($1).trend_type, 'confidence', ($1).confidence,
               'source', ($1).source, 'metadata', ($1).metadata,
               'observed_at', travel.rfc3339(($1).observed_at))
$$;

GRANT SELECT ON travel.trends TO travel_edge;
GRANT SELECT, INSERT ON travel.trends TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.text_vector(text),
    travel.vector_product(real[], real[]), travel.trend_text(text, jsonb),
    travel.trend_read(text), travel.trend_place(jsonb),
    travel.judge_trends(jsonb),
    travel.take_trends(jsonb, uuid, uuid, text, text, integer),
    travel.trend_json(travel.trends) TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.trend_json(travel.trends) TO travel_edge;
