DROP FUNCTION travel.voice_facts(uuid, uuid, text);
DROP FUNCTION travel.safety_critical(text);
DROP FUNCTION travel.voice_json(travel.voice_interactions);
DROP TABLE travel.voice_interactions;
DELETE FROM events.type WHERE stream_type = 'voice';
