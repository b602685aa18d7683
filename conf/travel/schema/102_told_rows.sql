-- Rows that were changed without a word: parts of an aggregate, which are told
-- in its stream; devices, also those that go by the way (their token has become
-- another's, or the service knows it no more).

-- As events.must_tell; the stream's id is in the column TG_ARGV[1].
CREATE FUNCTION events.must_tell_of() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    told uuid := (to_jsonb(NEW) ->> TG_ARGV[1])::uuid;
BEGIN
    IF session_user = 'travel_worker' AND NOT EXISTS
        (SELECT FROM events.stream
          WHERE stream_type = TG_ARGV[0] AND stream_id = told
            AND xid = pg_current_xact_id())
    THEN
        RAISE EXCEPTION 'the % of the % % was changed without an event',
            TG_TABLE_NAME, TG_ARGV[0], told
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON travel.survey_responses DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell_of('survey', 'survey_id');
CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON travel.itineraries DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell_of('trip', 'trip_id');
CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON travel.devices DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('device');

-- At the end of the transaction: what nobody has told by then is told here.
CREATE FUNCTION events.tell_device_gone() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM events.stream
                    WHERE stream_type = 'device' AND stream_id = OLD.id
                      AND xid = pg_current_xact_id())
    THEN
        PERFORM events.append('device', OLD.id, NULL, 'device.removed', '{}',
                              OLD.user_id, NULL, NULL);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER tell_gone AFTER DELETE ON travel.devices
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.tell_device_gone();
