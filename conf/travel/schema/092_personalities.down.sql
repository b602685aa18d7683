DROP FUNCTION travel.turn_season(date);
DROP TABLE travel.personalities;
DELETE FROM events.type WHERE stream_type = 'personality';
