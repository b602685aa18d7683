-- Places by name: those that begin so, then those that look so; the bigger
-- first.  With a country, only there.
-- @public
-- @param    q        text 2..80
-- @param    country  text? 2..2
-- @param    limit    int 1..50 = 10
-- @returns  list
-- @tags     places
WITH q AS MATERIALIZED (
    SELECT travel.fold(:q) AS name
), everywhere AS (
    SELECT p.id, p.n
      FROM travel.search_places(:q, :limit) WITH ORDINALITY
           AS p (id, name, ascii_name, country_code, admin1, region, feature,
                 population, lat, lon, search, pos, n)
     WHERE :country IS NULL
), begins AS (
    SELECT p.id, 0 AS tier, p.population::double precision AS score
      FROM q, travel.place AS p
     WHERE :country IS NOT NULL AND q.name <> ''
       AND p.search ~>=~ q.name AND p.search ~<~ (q.name || U&'\+10FFFF')
       AND p.country_code = upper(:country)
     ORDER BY p.population DESC, p.id
     LIMIT :limit
), looks AS (
    SELECT p.id, 1 AS tier,
           public.similarity(p.search, q.name)::double precision AS score
      FROM q, travel.place AS p
     WHERE :country IS NOT NULL AND length(q.name) >= 3
       AND (SELECT count(*) FROM begins) < :limit
       AND p.search OPERATOR(public.%) q.name
       AND p.country_code = upper(:country)
     ORDER BY score DESC, p.population DESC, p.id
     LIMIT :limit
), there AS (
    SELECT u.id, row_number() OVER (ORDER BY u.tier, u.score DESC, u.id) AS n
      FROM (SELECT DISTINCT ON (id) id, tier, score
              FROM (SELECT * FROM begins UNION ALL SELECT * FROM looks) AS found
             ORDER BY id, tier) AS u
     ORDER BY n
     LIMIT :limit
)
SELECT json_build_object(
           'items', coalesce(json_agg(json_build_object(
               'place_id', p.id, 'name', p.name, 'region', p.region,
               'admin1', p.admin1, 'country_code', p.country_code,
               'population', p.population, 'lat', p.lat, 'lon', p.lon)
               ORDER BY f.n), '[]'),
           'next_cursor', NULL
       )::text
  FROM (SELECT * FROM everywhere UNION ALL SELECT * FROM there) AS f
       JOIN travel.place AS p ON p.id = f.id
