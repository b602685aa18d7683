-- Places around a point, the nearest first: the index hands them out in that
-- order, so the radius only cuts the list off.
-- @public
-- @param    lat        number -90..90
-- @param    lon        number -180..180
-- @param    radius_km  number 0.1..500 = 25
-- @param    limit      int 1..100 = 20
-- @returns  list
-- @tags     places
WITH nearest AS (
    SELECT p.*, travel.distance_km(:lat, :lon, p.lat, p.lon) AS km
      FROM travel.place AS p
     ORDER BY p.pos OPERATOR(public.<->) travel.position(:lat, :lon)
     LIMIT :limit
)
SELECT json_build_object(
           'items', coalesce(json_agg(json_build_object(
               'place_id', p.id, 'name', p.name, 'region', p.region,
               'country_code', p.country_code, 'population', p.population,
               'lat', p.lat, 'lon', p.lon, 'km', round(p.km::numeric, 1))
               ORDER BY p.km, p.id), '[]'),
           'next_cursor', NULL
       )::text
  FROM nearest AS p
 WHERE p.km <= :radius_km
