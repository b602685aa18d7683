-- A job that died is an event, too (RT-45): system.error, in a stream of its own
-- and with the name of who asked for it, if anybody did.  A webhook's delivery has
-- a record of its own, and is left out: its event would go to the very webhook
-- that could not be delivered to, and die there, and so on.

UPDATE events.type
   SET members = '{"code": "string", "job?": "string", "job_type?": "string",
                   "error?": "string"}'
 WHERE type = 'system.error';

CREATE FUNCTION jobs.tell_dead() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM events.append('system', gen_random_uuid(), NULL, 'system.error',
        jsonb_build_object('code', NEW.cause, 'job', NEW.job_id,
                           'job_type', NEW.type, 'error', NEW.last_error),
        CASE WHEN NEW.sub ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
             THEN NEW.sub::uuid END, NULL, NEW.trace);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_dead AFTER INSERT ON jobs.dead
    FOR EACH ROW WHEN (NEW.type IS DISTINCT FROM 'webhook.deliver')
    EXECUTE FUNCTION jobs.tell_dead();
GRANT EXECUTE ON FUNCTION jobs.tell_dead() TO travel_worker;
