-- When a journey was completed, and how long it took.

ALTER TABLE analytics.fact_journeys
    ADD COLUMN completed_at timestamptz,
    ADD COLUMN duration_s   bigint;

CREATE OR REPLACE VIEW analytics.funnel AS
SELECT date_trunc('day', created_at, 'UTC') AS day,
       count(*) AS journeys,
       count(*) FILTER (WHERE story_count > 0) AS with_story,
       count(*) FILTER (WHERE booking_count > 0) AS with_booking,
       count(DISTINCT user_id) AS users,
       count(*) FILTER (WHERE status = 'completed') AS completed
  FROM analytics.fact_journeys
 GROUP BY 1;
