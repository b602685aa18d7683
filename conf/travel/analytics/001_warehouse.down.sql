DROP VIEW analytics.funnel;
DROP VIEW analytics.daily_revenue;
DROP TABLE analytics.fact_bookings;
DROP TABLE analytics.fact_journeys;
DROP TABLE analytics.etl_job_status;
DROP SCHEMA analytics;
