-- Stories of the ways most travelled, written before anybody asks
-- (story.pregenerate): who asks for one gets it at once.

CREATE TABLE travel.route_stories (
    origin_place_id      bigint      NOT NULL,
    destination_place_id bigint      NOT NULL,
    theme                text        NOT NULL,
    title                text        NOT NULL,
    content              text        NOT NULL,
    places               jsonb       NOT NULL,
    provider             text        NOT NULL,
    made_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (origin_place_id, destination_place_id, theme)
);
CREATE INDEX route_stories_made ON travel.route_stories (made_at);

-- How long a text is taken for another journey.
CREATE FUNCTION travel.route_story_life() RETURNS interval
LANGUAGE sql IMMUTABLE AS $$ SELECT interval '24 hours' $$;

-- Of the p_ways ways most travelled, those whose text is missing, or will be
-- too old within two hours.
CREATE FUNCTION travel.route_stories_due(p_ways integer, p_themes text[])
RETURNS TABLE (origin_place_id bigint, destination_place_id bigint, theme text)
LANGUAGE sql STABLE AS $$
    SELECT w.origin_place_id, w.destination_place_id, t.theme
      FROM (SELECT * FROM travel.route_counts AS c
             WHERE c.generation = events.generation('popular_routes')
             ORDER BY c.journeys DESC, c.last_at DESC LIMIT p_ways) AS w,
           unnest(p_themes) AS t(theme)
     WHERE NOT EXISTS (
         SELECT FROM travel.route_stories AS s
          WHERE s.origin_place_id = w.origin_place_id
            AND s.destination_place_id = w.destination_place_id
            AND s.theme = t.theme
            AND s.made_at > now() - travel.route_story_life()
                            + interval '2 hours')
     ORDER BY w.journeys DESC, w.last_at DESC, t.theme
$$;

-- Texts that nobody is given any more, and trends of a quarter ago.
CREATE FUNCTION travel.expire_finds(p_limit integer) RETURNS bigint
LANGUAGE sql AS $$
    WITH texts AS (
        DELETE FROM travel.route_stories WHERE ctid = ANY (ARRAY(
            SELECT s.ctid FROM travel.route_stories AS s
             WHERE s.made_at < now() - travel.route_story_life()
             LIMIT p_limit))
        RETURNING 1),
    trends AS (
        DELETE FROM travel.trends WHERE ctid = ANY (ARRAY(
            SELECT t.ctid FROM travel.trends AS t
             WHERE t.observed_at < now() - interval '90 days' LIMIT p_limit))
        RETURNING 1)
    SELECT (SELECT count(*) FROM texts) + (SELECT count(*) FROM trends)
$$;

GRANT DELETE ON travel.trends TO travel_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON travel.route_stories TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.route_story_life(),
    travel.expire_finds(integer),
    travel.route_stories_due(integer, text[]) TO travel_worker;
