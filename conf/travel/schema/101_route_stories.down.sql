DROP FUNCTION travel.expire_finds(integer);
DROP FUNCTION travel.route_stories_due(integer, text[]);
DROP FUNCTION travel.route_story_life();
DROP TABLE travel.route_stories;
REVOKE DELETE ON travel.trends FROM travel_worker;
