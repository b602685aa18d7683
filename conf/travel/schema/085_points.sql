-- Where journeys were: points as clients sent them, stored in batches.  A point
-- is the entry of the stream that it came by, so a repeat is the same row.  What
-- is older than thirty days is deleted by the workers.
CREATE TABLE travel.journey_points (
    journey_id  uuid             NOT NULL,
    entry       text             NOT NULL,
    user_id     uuid,
    at          timestamptz      NOT NULL,
    lat         double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon         double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    speed_kmh   real,
    heading     real,
    PRIMARY KEY (journey_id, entry)
);
CREATE INDEX journey_points_at ON travel.journey_points USING brin (at);
GRANT SELECT, INSERT, DELETE ON travel.journey_points TO travel_worker;
