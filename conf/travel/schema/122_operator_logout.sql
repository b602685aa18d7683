-- Sessions that an operator ends (travelctl account logout).

ALTER TABLE credentials.session DROP CONSTRAINT session_ended_by_check;
ALTER TABLE credentials.session ADD CONSTRAINT session_ended_by_check
    CHECK (ended_by IN ('logout', 'reset', 'reuse', 'operator'));

-- All of a user's, with the event.  How many; NULL: there is no such account.
CREATE FUNCTION credentials.end_all(p_user uuid) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM FROM credentials.account WHERE user_id = p_user;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    n := credentials.end(p_user, NULL, 'operator');
    PERFORM events.append('user', p_user, NULL, 'user.sessions_ended',
        jsonb_build_object('count', n, 'by', 'operator'), p_user, NULL, NULL);
    RETURN n;
END $$;

GRANT EXECUTE ON FUNCTION credentials.end_all(uuid) TO travel_worker;
