-- Places by name: those that begin so, then those that look so; the bigger
-- first.  With a country, only there.
-- @public
-- @param    q        text 2..80
-- @param    country  text? 2..2
-- @param    limit    int 1..50 = 10
-- @returns  list
-- @tags     places
WITH q AS MATERIALIZED (
    SELECT travel.fold(:q) AS name,
           replace(replace(replace(travel.fold(:q), '\', '\\'), '%', '\%'),
                   '_', '\_') || '%' AS prefix
), everywhere AS (
    SELECT p.*
      FROM travel.search_places(:q, :limit) WITH ORDINALITY
           AS p (id, name, ascii_name, country_code, admin1, region, feature,
                 population, lat, lon, search, pos, n)
     WHERE :country IS NULL
), there AS (
    SELECT p.*, row_number() OVER (
               ORDER BY p.search LIKE q.prefix DESC, p.population DESC, p.id)
           AS n
      FROM travel.place AS p, q
     WHERE p.country_code = upper(:country)
       AND (p.search LIKE q.prefix
            OR (length(q.name) >= 3
                AND public.similarity(p.search, q.name) > 0.3))
     ORDER BY n
     LIMIT :limit
)
SELECT json_build_object(
           'items', coalesce(json_agg(json_build_object(
               'place_id', f.id, 'name', f.name, 'region', f.region,
               'admin1', f.admin1, 'country_code', f.country_code,
               'population', f.population, 'lat', f.lat, 'lon', f.lon)
               ORDER BY f.n), '[]'),
           'next_cursor', NULL
       )::text
  FROM (SELECT * FROM everywhere UNION ALL SELECT * FROM there) AS f
