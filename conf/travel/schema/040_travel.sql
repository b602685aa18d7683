-- The product's state: users, partners, journeys, stories, bookings.

CREATE TABLE travel.users (
    id          uuid        PRIMARY KEY,
    issuer      text        NOT NULL DEFAULT 'https://travel.local',
    sub         text        NOT NULL,
    email       text,
    name        text,
    tz          text        NOT NULL DEFAULT 'UTC',
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (issuer, sub)
);

CREATE TABLE travel.partners (
    code            text    PRIMARY KEY CHECK (code ~ '^[a-z0-9_-]{1,32}$'),
    name            text    NOT NULL,
    commission_bps  integer NOT NULL CHECK (commission_bps BETWEEN 0 AND 10000)
);

CREATE TABLE travel.journeys (
    id                   uuid          PRIMARY KEY,
    user_id              uuid          NOT NULL REFERENCES travel.users,
    origin               text          NOT NULL,
    destination          text          NOT NULL,
    origin_place_id      bigint        NOT NULL,
    destination_place_id bigint        NOT NULL,
    theme                text          NOT NULL,
    personality          text,
    distance_miles       numeric(8, 1) NOT NULL,
    status               text          NOT NULL DEFAULT 'active'
                         CHECK (status IN ('active', 'completed')),
    created_at           timestamptz   NOT NULL DEFAULT now(),
    updated_at           timestamptz   NOT NULL DEFAULT now()
);
-- UUIDv7 ids sort by creation time: the keyset of journeys.list.
CREATE INDEX journeys_user ON travel.journeys (user_id, id DESC);

CREATE TABLE travel.stories (
    id          uuid        PRIMARY KEY,
    journey_id  uuid        NOT NULL REFERENCES travel.journeys,
    user_id     uuid        NOT NULL REFERENCES travel.users,
    status      text        NOT NULL
                CHECK (status IN ('pending', 'ready', 'failed')),
    theme       text        NOT NULL,
    title       text,
    content     text,
    places      jsonb       NOT NULL DEFAULT '[]',
    provider    text,
    error       jsonb,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stories_journey ON travel.stories (journey_id, id DESC);
CREATE INDEX stories_user ON travel.stories (user_id, id DESC);

CREATE TABLE travel.bookings (
    id                  uuid        PRIMARY KEY,
    user_id             uuid        NOT NULL REFERENCES travel.users,
    journey_id          uuid        REFERENCES travel.journeys,
    partner             text        NOT NULL REFERENCES travel.partners,
    venue_id            text        NOT NULL,
    venue_name          text,
    booking_date        timestamptz NOT NULL,
    party_size          integer     NOT NULL CHECK (party_size BETWEEN 1 AND 50),
    status              text        NOT NULL
                        CHECK (status IN ('pending', 'confirmed', 'cancelling',
                                          'cancelled', 'failed')),
    hold_id             text,
    confirmation_number text,
    amount_cents        bigint,
    commission_cents    bigint,
    error               jsonb,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bookings_user ON travel.bookings (user_id, id DESC);
CREATE INDEX bookings_journey ON travel.bookings (journey_id)
    WHERE journey_id IS NOT NULL;

-- One row, rewritten every 250 ms by a worker process: its age on a replica is
-- that replica's lag (contracts section 4).
CREATE TABLE travel.heartbeat (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    seq       bigint      NOT NULL DEFAULT 0,
    timeline  integer     NOT NULL,
    at        timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO travel.heartbeat (timeline, at) VALUES (1, now());

INSERT INTO travel.partners (code, name, commission_bps) VALUES
    ('opentable', 'OpenTable', 800),
    ('klook',     'Klook',     1000),
    ('tabelog',   'Tabelog',   500);

-- A demo user and 1,000 test users with ids that can be computed.
INSERT INTO travel.users (id, sub, email, name, tz) VALUES
    ('01890000-0000-7000-8000-000000000000',
     '01890000-0000-7000-8000-000000000000',
     'demo@travel.local', 'Demo Traveller', 'UTC');
INSERT INTO travel.users (id, sub, email, name, tz)
SELECT u, u::text, 'user' || n || '@travel.local', 'Test User ' || n, 'UTC'
  FROM (SELECT n, ('01890000-0000-7000-8000-'
                   || lpad(to_hex(n), 12, '0'))::uuid AS u
          FROM generate_series(1, 1000) AS n) AS t;

GRANT SELECT ON ALL TABLES IN SCHEMA travel TO travel_edge;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA travel TO travel_edge, travel_worker;
GRANT SELECT, INSERT, UPDATE ON travel.users, travel.journeys, travel.stories,
    travel.bookings, travel.heartbeat TO travel_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA travel TO travel_worker;
