DROP FUNCTION travel.start_persona(uuid, uuid, uuid);
DROP FUNCTION travel.survey_traits(uuid);
DROP FUNCTION travel.persona_json(travel.personas);
DROP FUNCTION travel.survey_json(travel.surveys);
DROP FUNCTION travel.survey_questions();
DROP TABLE travel.personas, travel.survey_responses, travel.surveys;
DELETE FROM events.type WHERE stream_type IN ('survey', 'persona');
