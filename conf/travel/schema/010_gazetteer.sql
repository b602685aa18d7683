-- The gazetteer: places, regions, countries, airports, dated attractions, and
-- how to find them by name, by distance and along a way.
--
-- Names are compared folded (travel.fold): lower case, no accents.  Positions
-- are points in space on a sphere of R = 6371.0088 km (cube: three km values),
-- so an index serves distances across the poles and the date line too.

-- Lower case without accents; what has no decomposition is spelt out.
CREATE FUNCTION travel.fold(t text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT btrim(replace(replace(replace(replace(translate(
               regexp_replace(lower(normalize(t, NFD)), '[\u0300-\u036f]', '',
                              'g'),
               'øłđıħ’‘ʻ', 'oldih'''''''),
           'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'))
$$;

-- Great-circle distance (haversine), in km.
CREATE FUNCTION travel.distance_km(lat1 double precision,
    lon1 double precision, lat2 double precision, lon2 double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT 2 * 6371.0088 * asin(least(1.0, sqrt(
               power(sin(radians(lat2 - lat1) / 2), 2)
             + cos(radians(lat1)) * cos(radians(lat2))
               * power(sin(radians(lon2 - lon1) / 2), 2))))
$$;

-- The straight line through the earth that belongs to a distance over it.
CREATE FUNCTION travel.chord_km(km double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT 2 * 6371.0088 * sin(least(km / 6371.0088, pi()) / 2)
$$;

CREATE FUNCTION travel.position(lat double precision, lon double precision)
RETURNS public.cube
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT public.cube(ARRAY[
        6371.0088 * cos(radians(lat)) * cos(radians(lon)),
        6371.0088 * cos(radians(lat)) * sin(radians(lon)),
        6371.0088 * sin(radians(lat))])
$$;

CREATE TABLE travel.dataset (
    name        text        PRIMARY KEY,
    version     text        NOT NULL,
    rows        integer     NOT NULL,
    licence     text        NOT NULL,
    loaded_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE travel.country (
    code          text             PRIMARY KEY CHECK (code ~ '^[A-Z]{2}$'),
    code3         text             NOT NULL,
    name          text             NOT NULL,
    official_name text             NOT NULL,
    capital       text,
    region        text,
    subregion     text,
    currencies    text[]           NOT NULL,
    languages     text[]           NOT NULL,
    lat           double precision NOT NULL,
    lon           double precision NOT NULL,
    area_km2      double precision,
    spellings     text[]           NOT NULL,         -- folded: "usa", "uk"
    search        text GENERATED ALWAYS AS (travel.fold(name)) STORED
);
CREATE INDEX country_search ON travel.country (search);

CREATE TABLE travel.region (
    country_code  text NOT NULL,
    code          text NOT NULL,
    name          text NOT NULL,
    search        text GENERATED ALWAYS AS (travel.fold(name)) STORED,
    PRIMARY KEY (country_code, code)
);
CREATE INDEX region_search ON travel.region (search);

CREATE TABLE travel.place (
    id            bigint           PRIMARY KEY,      -- GeoNames
    name          text             NOT NULL,
    ascii_name    text             NOT NULL,
    country_code  text             NOT NULL,
    admin1        text             NOT NULL,
    region        text,                              -- admin1's name
    feature       text             NOT NULL,
    population    integer          NOT NULL,
    lat           double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon           double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    search        text GENERATED ALWAYS AS (travel.fold(name)) STORED,
    pos           public.cube GENERATED ALWAYS AS
                      (travel.position(lat, lon)) STORED
);
CREATE INDEX place_search ON travel.place
    (search text_pattern_ops, population DESC);
CREATE INDEX place_trgm ON travel.place USING gin (search public.gin_trgm_ops);
CREATE INDEX place_pos ON travel.place USING gist (pos);
CREATE INDEX place_country ON travel.place (country_code, population DESC);

CREATE TABLE travel.airport (
    ident         text             PRIMARY KEY,
    iata          text,
    name          text             NOT NULL,
    municipality  text,
    country_code  text             NOT NULL,
    region_code   text             NOT NULL,         -- ISO 3166-2
    type          text             NOT NULL,
    scheduled     boolean          NOT NULL,
    lat           double precision NOT NULL,
    lon           double precision NOT NULL,
    search        text GENERATED ALWAYS AS (travel.fold(name)) STORED,
    pos           public.cube GENERATED ALWAYS AS
                      (travel.position(lat, lon)) STORED
);
CREATE INDEX airport_iata ON travel.airport (iata) WHERE iata IS NOT NULL;
CREATE INDEX airport_trgm ON travel.airport
    USING gin (search public.gin_trgm_ops);
CREATE INDEX airport_pos ON travel.airport USING gist (pos);

-- Things to be at on a day.  region is '' where the whole country has it.
CREATE TABLE travel.attraction (
    id            uuid             PRIMARY KEY,
    country_code  text             NOT NULL,
    region        text             NOT NULL DEFAULT '',
    name          text             NOT NULL,
    kind          text             NOT NULL,
    starts_at     timestamptz      NOT NULL,
    ends_at       timestamptz      NOT NULL,
    starts_on     date             NOT NULL,         -- on the local calendar
    search        text GENERATED ALWAYS AS (travel.fold(name)) STORED
);
CREATE INDEX attraction_when ON travel.attraction (country_code, starts_on);
CREATE INDEX attraction_day ON travel.attraction (starts_on);
CREATE INDEX attraction_trgm ON travel.attraction
    USING gin (search public.gin_trgm_ops);

-- Whether 'said' (folded) names the country: its code, name or a spelling.
CREATE FUNCTION travel.is_country(cc text, said text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT said = lower(cc)
        OR EXISTS (SELECT FROM travel.country AS c
                    WHERE c.code = cc
                      AND (c.search = said OR said = ANY (c.spellings)))
$$;

-- "Name", "Name, Region" or "Name, CC" (both may follow, names and codes are
-- accepted for either): the most populous match, or no row.  A big city need
-- not be called one: "New York" finds New York City.
CREATE FUNCTION travel.resolve_place(query text) RETURNS SETOF travel.place
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1 AS $$
    SELECT p.*
      FROM travel.place AS p,
           (SELECT travel.fold(split_part($1, ',', 1)) AS name,
                   travel.fold(split_part($1, ',', 2)) AS q1,
                   travel.fold(split_part($1, ',', 3)) AS q2,
                   $1 !~ ',.*,.*,' AS short) AS q
     WHERE q.short AND q.name <> ''
       AND p.search = ANY (ARRAY[q.name, q.name || ' city'])
       AND (q.q1 = '' OR q.q1 = lower(p.admin1)
            OR q.q1 = travel.fold(p.region)
            OR travel.is_country(p.country_code, q.q1))
       AND (q.q2 = '' OR travel.is_country(p.country_code, q.q2))
     ORDER BY p.population DESC, p.id
     LIMIT 1
$$;

-- Names that begin so, then names that look so; the bigger place first.
CREATE FUNCTION travel.search_places(query text, max_rows integer)
RETURNS SETOF travel.place
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20 AS $$
    WITH q AS MATERIALIZED (
        SELECT travel.fold($1) AS name
    ), begins AS (
        SELECT p.id, 0 AS tier, p.population::double precision AS score
          FROM travel.place AS p, q
         WHERE q.name <> ''
           AND p.search OPERATOR(pg_catalog.~>=~) q.name
           AND p.search OPERATOR(pg_catalog.~<~) (q.name || U&'\+10FFFF')
         ORDER BY p.population DESC, p.id
         LIMIT $2
    ), looks AS (
        SELECT p.id, 1 AS tier,
               public.similarity(p.search, q.name)::double precision
                   + ln(greatest(p.population, 1)) / 100 AS score
          FROM travel.place AS p, q
         WHERE length(q.name) >= 3
           AND p.search OPERATOR(public.%) q.name
           AND (SELECT count(*) FROM begins) < $2
         ORDER BY score DESC, p.id
         LIMIT $2
    ), found AS (
        SELECT DISTINCT ON (id) id, tier, score
          FROM (SELECT * FROM begins UNION ALL SELECT * FROM looks) AS u
         ORDER BY id, tier
    )
    SELECT p.*
      FROM found JOIN travel.place AS p USING (id)
     ORDER BY found.tier, found.score DESC, p.id
     LIMIT $2
$$;

-- Places within max_km of a point, nearest first.
CREATE FUNCTION travel.places_near(lat double precision, lon double precision,
    max_km double precision, max_rows integer)
RETURNS TABLE (id bigint, name text, region text, country_code text,
    population integer, lat double precision, lon double precision,
    km double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20 AS $$
    SELECT p.id, p.name, p.region, p.country_code, p.population, p.lat, p.lon,
           travel.distance_km($1, $2, p.lat, p.lon)
      FROM travel.place AS p
     WHERE p.pos OPERATOR(public.<@) public.cube_enlarge(
               travel.position($1, $2), travel.chord_km($3), 3)
       AND travel.distance_km($1, $2, p.lat, p.lon) <= $3
     ORDER BY p.pos OPERATOR(public.<->) travel.position($1, $2), p.id
     LIMIT $4
$$;

-- Real places along the great circle from 1 to 2, in the order one passes
-- them, none of them the ends: the way is cut into max_rows pieces, and of each
-- the most populous place that lies at most max_km_off beside it is taken.
-- progress goes from 0 to 1.  No rows for ends closer than 1 km or antipodal.
CREATE FUNCTION travel.places_along(lat1 double precision,
    lon1 double precision, lat2 double precision, lon2 double precision,
    max_km_off double precision, max_rows integer)
RETURNS TABLE (id bigint, name text, region text, country_code text,
    population integer, lat double precision, lon double precision,
    km double precision, km_off double precision, progress double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 AS $$
#variable_conflict use_column
DECLARE
    r      CONSTANT double precision := 6371.0088;
    a      CONSTANT public.cube := travel.position(lat1, lon1);
    b      CONSTANT public.cube := travel.position(lat2, lon2);
    a_x double precision := public.cube_ll_coord(a, 1) / r;
    a_y double precision := public.cube_ll_coord(a, 2) / r;
    a_z double precision := public.cube_ll_coord(a, 3) / r;
    b_x double precision := public.cube_ll_coord(b, 1) / r;
    b_y double precision := public.cube_ll_coord(b, 2) / r;
    b_z double precision := public.cube_ll_coord(b, 3) / r;
    w  double precision := travel.distance_km(lat1, lon1, lat2, lon2) / r;
    n_x double precision;  n_y double precision;  n_z double precision;
    t_x double precision;  t_y double precision;  t_z double precision;
    steps  integer;
    reach  double precision;
BEGIN
    IF w * r < 1 OR w > pi() - 1e-6 OR max_rows < 1 OR max_km_off <= 0 THEN
        RETURN;
    END IF;
    -- n: the pole of the great circle; t: where one looks to when leaving a.
    n_x := (a_y * b_z - a_z * b_y) / sin(w);
    n_y := (a_z * b_x - a_x * b_z) / sin(w);
    n_z := (a_x * b_y - a_y * b_x) / sin(w);
    t_x := n_y * a_z - n_z * a_y;
    t_y := n_z * a_x - n_x * a_z;
    t_z := n_x * a_y - n_y * a_x;
    -- Balls around points of the way cover the whole strip beside it.
    steps := least(400, ceil(w * r / max_km_off)::integer);
    reach := sqrt(power(max_km_off, 2) + power(w * r / steps / 2, 2)) * 1.01;

    RETURN QUERY
    WITH near AS (
        SELECT DISTINCT p.id, p.name, p.region, p.country_code, p.population,
               p.lat, p.lon,
               public.cube_ll_coord(p.pos, 1) / r AS x,
               public.cube_ll_coord(p.pos, 2) / r AS y,
               public.cube_ll_coord(p.pos, 3) / r AS z
          FROM generate_series(0, steps - 1) AS i,
               LATERAL (SELECT (i + 0.5) / steps * w AS angle) AS at,
               travel.place AS p
         WHERE p.pos OPERATOR(public.<@) public.cube_enlarge(public.cube(ARRAY[
                   r * (a_x * cos(at.angle) + t_x * sin(at.angle)),
                   r * (a_y * cos(at.angle) + t_y * sin(at.angle)),
                   r * (a_z * cos(at.angle) + t_z * sin(at.angle))]), reach, 3)
    ), beside AS (
        SELECT n.*,
               abs(asin(greatest(-1, least(1,
                   n.x * n_x + n.y * n_y + n.z * n_z)))) * r AS off,
               atan2(n.x * t_x + n.y * t_y + n.z * t_z,
                     n.x * a_x + n.y * a_y + n.z * a_z) / w AS frac
          FROM near AS n
    ), best AS (
        SELECT DISTINCT ON (floor(s.frac * max_rows)) s.*
          FROM beside AS s
         WHERE s.off <= max_km_off AND s.frac > 0.02 AND s.frac < 0.98
           AND travel.distance_km(lat1, lon1, s.lat, s.lon)
                   > least(15, w * r / 10)
           AND travel.distance_km(lat2, lon2, s.lat, s.lon)
                   > least(15, w * r / 10)
         ORDER BY floor(s.frac * max_rows), s.population DESC, s.id
    )
    SELECT s.id, s.name, s.region, s.country_code, s.population, s.lat, s.lon,
           s.frac * w * r, s.off, s.frac
      FROM best AS s
     ORDER BY s.frac;
END $$;

GRANT SELECT ON travel.dataset, travel.country, travel.region, travel.place,
    travel.airport, travel.attraction TO travel_edge, travel_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA travel TO travel_edge, travel_worker;
