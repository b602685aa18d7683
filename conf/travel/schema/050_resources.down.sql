DROP FUNCTION travel.booking_json(travel.bookings);
DROP FUNCTION travel.story_json(travel.stories);
DROP FUNCTION travel.journey_json(travel.journeys);
DROP FUNCTION travel.place_json(bigint);
DROP FUNCTION travel.rfc3339(timestamptz);
