DROP VIEW analytics.funnel;
CREATE VIEW analytics.funnel AS
SELECT date_trunc('day', created_at, 'UTC') AS day,
       count(*) AS journeys,
       count(*) FILTER (WHERE story_count > 0) AS with_story,
       count(*) FILTER (WHERE booking_count > 0) AS with_booking,
       count(DISTINCT user_id) AS users
  FROM analytics.fact_journeys
 GROUP BY 1;
GRANT SELECT ON analytics.funnel TO travel_analytics;

ALTER TABLE analytics.fact_journeys
    DROP COLUMN completed_at,
    DROP COLUMN duration_s;
