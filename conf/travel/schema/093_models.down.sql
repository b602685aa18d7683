DROP INDEX travel.life_events_target;
DROP SCHEMA ml CASCADE;
DELETE FROM events.type WHERE stream_type = 'model';
