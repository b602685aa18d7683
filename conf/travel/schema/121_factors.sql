-- A second factor for accounts: one-time passwords by the clock (TOTP), and
-- recovery codes for who has lost what makes them.

-- 'secret' is sealed to the workers (common/seal.h); 'used_step' is the time
-- step whose code was taken last: a code is good once.
CREATE TABLE credentials.factor (
    user_id      uuid        PRIMARY KEY REFERENCES credentials.account,
    secret       text        NOT NULL,
    used_step    bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz            -- NULL: nobody has shown that he can
);

CREATE TABLE credentials.recovery (
    hash        bytea       PRIMARY KEY CHECK (length(hash) = 32),
    user_id     uuid        NOT NULL
                REFERENCES credentials.factor ON DELETE CASCADE
);
CREATE INDEX recovery_of ON credentials.recovery (user_id);

-- How the user was authenticated (RFC 9470): with a second factor "aal2".
ALTER TABLE credentials.session ADD COLUMN acr text NOT NULL DEFAULT 'aal1'
    CHECK (acr IN ('aal1', 'aal2'));

INSERT INTO events.type (type, stream_type, fold, status, members, topic,
                         channel) VALUES
('user.factor_enrolled',  'user', '', NULL, '{}', 'analytics-events', NULL),
('user.factor_confirmed', 'user', '', NULL, '{}', 'analytics-events',
    'notifications'),
('user.factor_removed',   'user', '', NULL, '{}', 'analytics-events',
    'notifications'),
('user.recovery_used',    'user', '', NULL, '{"left": "integer"}',
    'analytics-events', 'notifications');

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON credentials.factor DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell_of('user', 'user_id');

-- A secret that is to be confirmed; false: there is a factor already.
CREATE FUNCTION credentials.enrol(p_user uuid, p_secret text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO credentials.factor AS f (user_id, secret)
    VALUES (p_user, p_secret)
    ON CONFLICT (user_id) DO UPDATE
        SET secret = EXCLUDED.secret, created_at = now()
      WHERE f.confirmed_at IS NULL;
    RETURN FOUND;
END $$;

-- The code of that step is used up; false: it was, or a later one.
CREATE FUNCTION credentials.use_step(p_user uuid, p_step bigint)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE credentials.factor
       SET used_step = p_step, confirmed_at = coalesce(confirmed_at, now())
     WHERE user_id = p_user AND used_step < p_step;
    RETURN FOUND;
END $$;

-- A recovery code is used up: how many are left; NULL: it is none.
CREATE FUNCTION credentials.use_recovery(p_user uuid, p_hash bytea)
RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM credentials.recovery WHERE hash = p_hash AND user_id = p_user;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT count(*) FROM credentials.recovery WHERE user_id = p_user);
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.factor,
    credentials.recovery TO travel_worker;
GRANT EXECUTE ON FUNCTION credentials.enrol(uuid, text),
    credentials.use_step(uuid, bigint), credentials.use_recovery(uuid, bytea)
    TO travel_worker;
