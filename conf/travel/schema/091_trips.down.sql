DROP FUNCTION travel.trip_days(uuid);
DROP FUNCTION travel.itinerary_json(travel.itineraries);
DROP FUNCTION travel.trip_json(travel.trips);
DROP TABLE travel.itineraries, travel.trips;
DELETE FROM events.type
 WHERE type IN ('trip.failed', 'itinerary_requested', 'itinerary_failed');
