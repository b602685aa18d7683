-- The ways most travelled, from the projection "popular_routes".
-- @public
-- @param    limit  int 1..100 = 20
-- @returns  one
SELECT json_build_object('items', coalesce(json_agg(json_build_object(
           'origin', travel.place_json(r.origin_place_id),
           'destination', travel.place_json(r.destination_place_id),
           'journeys', r.journeys)
           ORDER BY r.journeys DESC, r.last_at DESC), '[]'::json))::text
  FROM (SELECT * FROM travel.route_counts
         WHERE generation = travel.popular_routes_generation()
         ORDER BY journeys DESC, last_at DESC LIMIT :limit) AS r
