-- Accounts of our own: who they are is in travel.users and the event store;
-- passwords, sessions and what mails carry are here.  The edge has no right to
-- the schema: it is shown a user's sessions by the function below.
--
-- Nothing in these tables opens a door by itself: a password is its Argon2id
-- hash; a refresh token and what a mail carries have 256 random bits and are
-- kept as their SHA-256.

CREATE TABLE credentials.account (
    user_id     uuid        PRIMARY KEY REFERENCES travel.users,
    email       text        NOT NULL CHECK (length(email) <= 254),
    password    text,                   -- NULL: the address is not verified
    permissions text[]      NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    CHECK ((password IS NULL) = (verified_at IS NULL))
);
CREATE UNIQUE INDEX account_email ON credentials.account (lower(email));

-- What a mail carries: good once, until it expires.  'password' is what was
-- registered with: whoever registers somebody else's address does not know
-- what that one registers with, and each mail is good for its own alone.
CREATE TABLE credentials.ticket (
    id          uuid        PRIMARY KEY,
    hash        bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_id     uuid        NOT NULL REFERENCES credentials.account,
    purpose     text        NOT NULL CHECK (purpose IN ('verify', 'reset')),
    password    text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    CHECK (purpose <> 'verify' OR password IS NOT NULL OR used_at IS NOT NULL)
);
CREATE INDEX ticket_of ON credentials.ticket (user_id, purpose, created_at);
CREATE INDEX ticket_expires ON credentials.ticket (expires_at);

-- A session is a family of refresh tokens, one after the other.
CREATE TABLE credentials.session (
    id          uuid        PRIMARY KEY,
    user_id     uuid        NOT NULL REFERENCES credentials.account,
    device      text        CHECK (length(device) <= 100),
    created_at  timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    ended_by    text        CHECK (ended_by IN ('logout', 'reset', 'reuse'))
);
CREATE INDEX session_of ON credentials.session (user_id, id);
CREATE INDEX session_expires ON credentials.session (expires_at);

-- Beside each the access token that was given with it, to be taken back.
CREATE TABLE credentials.refresh (
    hash        bytea       PRIMARY KEY CHECK (length(hash) = 32),
    session_id  uuid        NOT NULL
                REFERENCES credentials.session ON DELETE CASCADE,
    jti         text        NOT NULL,
    access_ends timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX refresh_session ON credentials.refresh (session_id);

-- Passwords tried in a row, by the SHA-256 of what they were tried for: an
-- address that has no account is counted and told the same.
CREATE TABLE credentials.attempt (
    who         bytea       PRIMARY KEY CHECK (length(who) = 32),
    failures    integer     NOT NULL,
    last_at     timestamptz NOT NULL,
    until       timestamptz NOT NULL
);
CREATE INDEX attempt_last ON credentials.attempt (last_at);

-- --- no change without an event ----------------------------------------------

INSERT INTO events.type (type, stream_type, fold, status, members, topic,
                         channel) VALUES
('user.verification_requested', 'user', '', NULL, '{}', 'analytics-events',
    NULL),
('user.verified',         'user', 'merge', NULL, '{"email": "string"}',
    'analytics-events', NULL),
('user.login_failed',     'user', '', NULL, '{}', 'analytics-events', NULL),
('user.session_renewed',  'user', '', NULL, '{"session": "string"}',
    'analytics-events', NULL),
('user.session_ended',    'user', '', NULL,
    '{"session": "string", "by": "string"}', 'analytics-events', NULL),
('user.sessions_ended',   'user', '', NULL,
    '{"count": "integer", "by": "string"}', 'analytics-events', NULL),
('user.reset_requested',  'user', '', NULL, '{}', 'analytics-events', NULL),
('user.password_changed', 'user', '', NULL, '{}', 'analytics-events',
    'notifications');

UPDATE events.type SET members = '{"session?": "string"}'
 WHERE type = 'user.logged_in';

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['account', 'ticket', 'session'] LOOP
        EXECUTE format('CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR '
                       'UPDATE ON credentials.%I DEFERRABLE INITIALLY '
                       'DEFERRED FOR EACH ROW EXECUTE FUNCTION '
                       'events.must_tell_of(''user'', ''user_id'')', t);
    END LOOP;
END $$;

-- --- passwords ---------------------------------------------------------------

-- A password is about to be tried: how many seconds are to be waited instead,
-- or 0.  It counts as wrong until credentials.tried() says otherwise, so who
-- tries many at once gains nothing.  From the fifth in a row on each makes the
-- next one wait twice as long, up to a quarter of an hour.
CREATE FUNCTION credentials.try(p_who bytea) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    a credentials.attempt;
BEGIN
    INSERT INTO credentials.attempt VALUES (p_who, 0, now(), now())
    ON CONFLICT DO NOTHING;
    SELECT * INTO a FROM credentials.attempt WHERE who = p_who FOR UPDATE;
    IF a.until > clock_timestamp() THEN
        RETURN ceil(extract(epoch FROM a.until - clock_timestamp()));
    END IF;
    IF a.last_at < now() - interval '1 day' THEN
        a.failures := 0;
    END IF;
    UPDATE credentials.attempt
       SET failures = a.failures + 1, last_at = now(),
           until = clock_timestamp() + CASE WHEN a.failures < 4
               THEN interval '0'
               ELSE least(interval '1 second' * 2 ^ least(a.failures - 4, 20),
                          interval '15 minutes') END
     WHERE who = p_who;
    RETURN 0;
END $$;

-- It was right.
CREATE FUNCTION credentials.tried(p_who bytea) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM credentials.attempt WHERE who = p_who
$$;

-- --- registering -------------------------------------------------------------

-- The account of an address, made if there is none.  Who is second of two at
-- once fails (account_email), and finds it when he tries again.
CREATE FUNCTION credentials.register(p_id uuid, p_email text, p_name text,
    OUT user_id uuid, OUT made boolean, OUT verified boolean, OUT known text)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.user_id, false, a.verified_at IS NOT NULL, a.email
      INTO user_id, made, verified, known
      FROM credentials.account AS a WHERE lower(a.email) = lower(p_email)
       FOR UPDATE;
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO travel.users (id, sub, email, name)
    VALUES (p_id, p_id::text, p_email, p_name);
    INSERT INTO credentials.account (user_id, email) VALUES (p_id, p_email);
    user_id := p_id;
    made := true;
    verified := false;
    known := p_email;
END $$;

-- A ticket, unless one of the kind was sent within the last minute.  Of those
-- for a new password the newest alone is good.
CREATE FUNCTION credentials.issue(p_id uuid, p_hash bytea, p_user uuid,
    p_purpose text, p_password text, p_ttl interval) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM credentials.account WHERE user_id = p_user FOR UPDATE;
    IF EXISTS (SELECT FROM credentials.ticket AS t
                WHERE t.user_id = p_user AND t.purpose = p_purpose
                  AND t.used_at IS NULL
                  AND t.created_at > now() - interval '1 minute')
    THEN
        RETURN false;
    END IF;
    UPDATE credentials.ticket SET used_at = now()
     WHERE user_id = p_user AND purpose = p_purpose AND p_purpose = 'reset'
       AND used_at IS NULL;
    INSERT INTO credentials.ticket (id, hash, user_id, purpose, password,
                                    expires_at)
    VALUES (p_id, p_hash, p_user, p_purpose, p_password, now() + p_ttl);
    RETURN true;
END $$;

-- Whose ticket it is, if it is good; it is used up.
CREATE FUNCTION credentials.redeem(p_hash bytea, p_purpose text) RETURNS uuid
LANGUAGE sql AS $$
    UPDATE credentials.ticket SET used_at = now(), password = NULL
     WHERE hash = p_hash AND purpose = p_purpose AND used_at IS NULL
       AND expires_at > now()
    RETURNING user_id
$$;

-- The address is verified, and the password is the one registered with.
-- False: it was before.
CREATE FUNCTION credentials.verify(p_user uuid, p_password text)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE credentials.account
       SET password = p_password, verified_at = now()
     WHERE user_id = p_user AND verified_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE credentials.ticket SET used_at = now(), password = NULL
     WHERE user_id = p_user AND purpose = 'verify' AND used_at IS NULL;
    RETURN true;
END $$;

-- Another password; who got the mail has the address.  True: it was not
-- verified before.
CREATE FUNCTION credentials.change(p_user uuid, p_password text)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    a credentials.account;
BEGIN
    SELECT * INTO STRICT a FROM credentials.account
     WHERE user_id = p_user FOR UPDATE;
    UPDATE credentials.account
       SET password = p_password, verified_at = coalesce(verified_at, now())
     WHERE user_id = p_user;
    UPDATE credentials.ticket SET used_at = now(), password = NULL
     WHERE user_id = p_user AND used_at IS NULL;
    DELETE FROM credentials.attempt
     WHERE who = sha256(convert_to(lower(a.email), 'UTF8'));
    RETURN a.verified_at IS NULL;
END $$;

-- --- sessions ----------------------------------------------------------------

CREATE FUNCTION credentials.give(p_session uuid, p_hash bytea, p_jti text,
    p_access interval, p_idle interval) RETURNS timestamptz
LANGUAGE sql AS $$
    INSERT INTO credentials.refresh (hash, session_id, jti, access_ends,
                                     expires_at)
    SELECT p_hash, s.id, p_jti, now() + p_access,
           least(now() + p_idle, s.expires_at)
      FROM credentials.session AS s WHERE s.id = p_session
    RETURNING expires_at
$$;

-- A session, and its first refresh token: when that ends.
CREATE FUNCTION credentials.begin(p_session uuid, p_user uuid, p_device text,
    p_ttl interval, p_hash bytea, p_jti text, p_access interval,
    p_idle interval) RETURNS timestamptz
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO credentials.session (id, user_id, device, expires_at)
    VALUES (p_session, p_user, p_device, now() + p_ttl);
    RETURN credentials.give(p_session, p_hash, p_jti, p_access, p_idle);
END $$;

-- The next refresh token for one that is used up.  verdict: 'renewed',
-- 'unknown', 'ended' (with its session), 'expired', or 'reused': two have it.
CREATE FUNCTION credentials.renew(p_old bytea, p_new bytea, p_jti text,
    p_access interval, p_idle interval, OUT verdict text, OUT user_id uuid,
    OUT session_id uuid, OUT ends timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    SELECT s.id, s.user_id, s.ended_at, s.expires_at AS session_ends,
           t.used_at, t.expires_at
      INTO r
      FROM credentials.refresh AS t
      JOIN credentials.session AS s ON s.id = t.session_id
     WHERE t.hash = p_old
       FOR UPDATE;
    IF NOT FOUND THEN
        verdict := 'unknown';
        RETURN;
    END IF;
    user_id := r.user_id;
    session_id := r.id;
    verdict := CASE WHEN r.ended_at IS NOT NULL THEN 'ended'
                    WHEN r.used_at IS NOT NULL THEN 'reused'
                    WHEN least(r.expires_at, r.session_ends) <= now()
                    THEN 'expired' ELSE 'renewed' END;
    IF verdict <> 'renewed' THEN
        RETURN;
    END IF;
    UPDATE credentials.refresh SET used_at = now() WHERE hash = p_old;
    UPDATE credentials.session SET used_at = now() WHERE id = r.id;
    ends := credentials.give(r.id, p_new, p_jti, p_access, p_idle);
END $$;

-- One session of a user's (NULL: all).  How many were not over.
CREATE FUNCTION credentials.end(p_user uuid, p_session uuid, p_by text)
RETURNS bigint
LANGUAGE sql AS $$
    WITH over AS (
        UPDATE credentials.session SET ended_at = now(), ended_by = p_by
         WHERE user_id = p_user AND ended_at IS NULL AND expires_at > now()
           AND (p_session IS NULL OR id = p_session)
        RETURNING 1)
    SELECT count(*) FROM over
$$;

-- The access tokens of sessions that were ended, which go on being good until
-- they are taken back.
CREATE FUNCTION credentials.access_left(p_user uuid, p_session uuid)
RETURNS TABLE (jti text, ends bigint)
LANGUAGE sql STABLE AS $$
    SELECT r.jti, ceil(extract(epoch FROM r.access_ends))::bigint
      FROM credentials.session AS s
      JOIN credentials.refresh AS r ON r.session_id = s.id
     WHERE s.user_id = p_user AND s.ended_at IS NOT NULL
       AND (p_session IS NULL OR s.id = p_session)
       AND r.access_ends > now()
$$;

-- What a user may see of his sessions.
CREATE FUNCTION travel.user_sessions(p_user uuid) RETURNS TABLE (
    id uuid, device text, created_at timestamptz, used_at timestamptz,
    expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.id, s.device, s.created_at, s.used_at, s.expires_at
      FROM credentials.session AS s
     WHERE s.user_id = p_user AND s.ended_at IS NULL AND s.expires_at > now()
$$;

-- Deletes at most p_limit rows of each kind that open nothing any more.
CREATE FUNCTION credentials.expire(p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
    m bigint;
BEGIN
    DELETE FROM credentials.session WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM credentials.session
         WHERE expires_at < now() - interval '30 days' LIMIT p_limit));
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM credentials.ticket WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM credentials.ticket
         WHERE expires_at < now() - interval '30 days' LIMIT p_limit));
    GET DIAGNOSTICS m = ROW_COUNT;
    n := n + m;
    DELETE FROM credentials.attempt WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM credentials.attempt
         WHERE last_at < now() - interval '1 day' LIMIT p_limit));
    GET DIAGNOSTICS m = ROW_COUNT;
    RETURN n + m;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.account,
    credentials.ticket, credentials.session, credentials.refresh,
    credentials.attempt TO travel_worker;
GRANT EXECUTE ON FUNCTION
    credentials.try(bytea), credentials.tried(bytea),
    credentials.register(uuid, text, text),
    credentials.issue(uuid, bytea, uuid, text, text, interval),
    credentials.redeem(bytea, text), credentials.verify(uuid, text),
    credentials.change(uuid, text),
    credentials.give(uuid, bytea, text, interval, interval),
    credentials.begin(uuid, uuid, text, interval, bytea, text, interval,
                      interval),
    credentials.renew(bytea, bytea, text, interval, interval),
    credentials.end(uuid, uuid, text), credentials.access_left(uuid, uuid),
    credentials.expire(integer) TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.user_sessions(uuid) TO travel_edge,
    travel_worker;
