REVOKE EXECUTE ON FUNCTION ml.mood(float8) FROM travel_worker;
DROP FUNCTION travel.insight_facts(uuid, integer);
DROP FUNCTION travel.insight_json(travel.insights);
DROP TABLE travel.insights;
DELETE FROM events.type WHERE stream_type = 'insight';
