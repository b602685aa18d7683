DROP FUNCTION jobs.steer_saga(uuid, text);
DROP FUNCTION jobs.saga_undo_type(text);
DROP VIEW travel.sagas;
DROP VIEW travel.schedules;
DROP VIEW travel.paused;
