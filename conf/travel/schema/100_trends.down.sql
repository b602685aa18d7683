DROP FUNCTION travel.trend_json(travel.trends);
DROP FUNCTION travel.take_trends(jsonb, uuid, uuid, text, text, integer);
DROP FUNCTION travel.judge_trends(jsonb);
DROP FUNCTION travel.trend_place(jsonb);
DROP FUNCTION travel.trend_read(text);
DROP FUNCTION travel.trend_text(text, jsonb);
DROP FUNCTION travel.vector_product(real[], real[]);
DROP FUNCTION travel.text_vector(text);
DROP TABLE travel.trends;
