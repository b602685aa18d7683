-- Mails that came back after their server had taken them (travelctl mail
-- bounced): addresses, and how they bounced last.

CREATE TABLE jobs.bounced (
    address     text        PRIMARY KEY CHECK (address = lower(address)),
    bounce      text        NOT NULL CHECK (bounce IN ('soft', 'refused',
                                                       'hard')),
    status      text        NOT NULL,           -- RFC 3463: 5.1.1
    reason      text        NOT NULL,
    bounces     integer     NOT NULL DEFAULT 1,
    first_at    timestamptz NOT NULL DEFAULT now(),
    at          timestamptz NOT NULL DEFAULT now()
);

-- Have we written to this address, or in the mail of this job?  A report is easily
-- forged, and must not keep somebody's mail away who never had one of ours.
CREATE FUNCTION jobs.have_written(p_address text, p_job uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM jobs.saga
                    WHERE job_id = p_job AND step = 'send')
        OR EXISTS (SELECT FROM jobs.notice
                    WHERE service = 'email' AND state = 'sent'
                      AND lower(address) = lower(p_address))
$$;

-- On record; who takes no mail at all is not written to again.  False: not one
-- of ours.
CREATE FUNCTION jobs.bounce(p_address text, p_bounce text, p_status text,
    p_reason text, p_job uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT jobs.have_written(p_address, p_job) THEN
        RETURN false;
    END IF;

    INSERT INTO jobs.bounced AS b (address, bounce, status, reason)
    VALUES (lower(p_address), p_bounce, p_status, p_reason)
    ON CONFLICT (address) DO UPDATE
       SET bounce = CASE WHEN b.bounce = 'hard' THEN b.bounce
                         ELSE EXCLUDED.bounce END,
           status = EXCLUDED.status, reason = EXCLUDED.reason,
           bounces = b.bounces + 1, at = now();

    IF p_bounce = 'hard' THEN
        INSERT INTO jobs.suppressed (address, reason)
        VALUES (lower(p_address), p_reason)
        ON CONFLICT (address) DO UPDATE SET reason = EXCLUDED.reason;
    END IF;

    RETURN true;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.bounced TO travel_worker;
GRANT EXECUTE ON FUNCTION jobs.have_written(text, uuid),
    jobs.bounce(text, text, text, text, uuid) TO travel_worker;
