DROP FUNCTION travel.record_life_events(text, jsonb);
DROP TABLE travel.life_events;
