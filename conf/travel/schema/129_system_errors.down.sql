DROP TRIGGER tell_dead ON jobs.dead;
DROP FUNCTION jobs.tell_dead();
UPDATE events.type SET members = '{"code": "string"}'
 WHERE type = 'system.error';
