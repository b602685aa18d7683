-- The warehouse, a database of its own: facts, and how far each ETL job is.

CREATE SCHEMA IF NOT EXISTS analytics;

-- last_xid is the point of the source's event store that all before is loaded;
-- last_sync is when that was.  Both move in the transaction that loads.
CREATE TABLE analytics.etl_job_status (
    job_name    varchar(100) PRIMARY KEY,
    last_sync   timestamptz  NOT NULL,
    last_xid    text         NOT NULL DEFAULT '0',
    rows        bigint       NOT NULL DEFAULT 0,
    runs        bigint       NOT NULL DEFAULT 0,
    updated_at  timestamptz  DEFAULT now()
);

CREATE TABLE analytics.fact_journeys (
    id                   uuid        PRIMARY KEY,
    user_id              uuid        NOT NULL,
    origin_place_id      bigint      NOT NULL,
    destination_place_id bigint      NOT NULL,
    theme                text        NOT NULL,
    distance_miles       numeric     NOT NULL,
    status               text        NOT NULL,
    story_count          integer     NOT NULL,
    booking_count        integer     NOT NULL,
    created_at           timestamptz NOT NULL,
    synced_at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fact_journeys_created ON analytics.fact_journeys (created_at);

-- One row a booking, rewritten as it goes on: sums are always of its last
-- state, however often it is loaded.
CREATE TABLE analytics.fact_bookings (
    id               uuid        PRIMARY KEY,
    user_id          uuid        NOT NULL,
    journey_id       uuid,
    partner          text        NOT NULL,
    status           text        NOT NULL,
    amount_cents     bigint      NOT NULL,
    commission_cents bigint      NOT NULL,
    created_at       timestamptz NOT NULL,
    synced_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fact_bookings_created ON analytics.fact_bookings (created_at);

CREATE VIEW analytics.daily_revenue AS
SELECT date_trunc('day', created_at, 'UTC') AS day, partner,
       count(*) AS bookings,
       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
       count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
       coalesce(sum(amount_cents) FILTER (WHERE status = 'confirmed'), 0)
           AS amount_cents,
       coalesce(sum(commission_cents) FILTER (WHERE status = 'confirmed'), 0)
           AS revenue_cents
  FROM analytics.fact_bookings
 GROUP BY 1, 2;

-- Of the journeys of a day, how many got a story, and how many a booking.
CREATE VIEW analytics.funnel AS
SELECT date_trunc('day', created_at, 'UTC') AS day,
       count(*) AS journeys,
       count(*) FILTER (WHERE story_count > 0) AS with_story,
       count(*) FILTER (WHERE booking_count > 0) AS with_booking,
       count(DISTINCT user_id) AS users
  FROM analytics.fact_journeys
 GROUP BY 1;

GRANT USAGE ON SCHEMA analytics TO travel_analytics;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA analytics
    TO travel_analytics;
