-- Voices that a journey can be told in.  Some have their season: months of the
-- year in which they are there; without months one always is.

CREATE TABLE travel.personalities (
    id          uuid        PRIMARY KEY,
    code        text        NOT NULL UNIQUE CHECK (code ~ '^[a-z_]{1,32}$'),
    name        text        NOT NULL,
    voice       text        NOT NULL,
    months      integer[]   NOT NULL DEFAULT '{}'
                CHECK (months <@ ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    active      boolean     NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

INSERT INTO travel.personalities (id, code, name, voice, months, active)
SELECT ('01890000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, code,
       name, voice, months, months = '{}'
  FROM (VALUES
    (1, 'guide',     'The Guide',     'warm, exact, never in a hurry', '{}'::integer[]),
    (2, 'historian', 'The Historian', 'dry, fond of dates',            '{}'),
    (3, 'comedian',  'The Comedian',  'quick, kind to nobody',         '{}'),
    (4, 'gardener',  'The Gardener',  'slow, sees what is in bloom',   '{3,4,5}'),
    (5, 'lifeguard', 'The Lifeguard', 'sunburnt, loud, dependable',    '{6,7,8}'),
    (6, 'ghost',     'The Ghost',     'whispers, knows every cellar',  '{10}'),
    (7, 'harvester', 'The Harvester', 'hungry, generous',              '{9,10,11}'),
    (8, 'santa',     'Father Winter', 'deep, laughs at his own jokes', '{12}')
  ) AS p (n, code, name, voice, months);

INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('personality.activated', 'personality', 'merge', 'active',
    '{"code": "string"}', 'analytics-events'),
('personality.retired',   'personality', 'merge', 'retired',
    '{"code": "string"}', 'analytics-events');

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON travel.personalities DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('personality');

-- Those that come and go with the month of a day; the rows that changed.
CREATE FUNCTION travel.turn_season(p_day date)
RETURNS SETOF travel.personalities
LANGUAGE sql AS $$
    UPDATE travel.personalities AS p
       SET active = NOT p.active, updated_at = now()
     WHERE p.active <> (p.months = '{}'
               OR extract(month FROM p_day)::integer = ANY (p.months))
    RETURNING p.*
$$;

GRANT SELECT ON travel.personalities TO travel_edge;
GRANT SELECT, UPDATE ON travel.personalities TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.turn_season(date) TO travel_worker;
