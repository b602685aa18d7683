-- Mails and pushes to many: who gets what, and what became of each; devices
-- that can be pushed to; addresses that take no mail.

CREATE TABLE travel.devices (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES travel.users
                              ON DELETE CASCADE,
    service       text        NOT NULL CHECK (service IN ('fcm', 'apns')),
    token         text        NOT NULL CHECK (length(token) BETWEEN 1 AND 1024),
    registered_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (service, token)
);
CREATE INDEX devices_user ON travel.devices (user_id);

-- Hard bounces: not written to again until somebody takes the row away.
CREATE TABLE jobs.suppressed (
    address     text        PRIMARY KEY CHECK (address = lower(address)),
    reason      text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);

-- One row per message of a batch; a batch is a job (its uuid).
--
--   waiting   to be sent when due
--   taken     a call may be on its way, under this fence
--   sent, refused (for good), failed (tries used up)
CREATE TABLE jobs.notice (
    batch       uuid        NOT NULL,
    n           integer     NOT NULL,
    user_id     uuid,
    service     text        NOT NULL
                CHECK (service IN ('email', 'fcm', 'apns')),
    address     text        NOT NULL,       -- or the device's token
    device      uuid,
    data        jsonb,                      -- NULL: the batch's
    state       text        NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'taken', 'sent', 'refused',
                                 'failed')),
    fence       bigint      NOT NULL DEFAULT 0,
    attempts    integer     NOT NULL DEFAULT 0,
    due         timestamptz NOT NULL DEFAULT now(),
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (batch, n)
) WITH (fillfactor = 60);
CREATE INDEX notice_open ON jobs.notice (batch, n)
    WHERE state IN ('waiting', 'taken');
CREATE INDEX notice_age ON jobs.notice USING brin (created_at);

-- The rows of a batch: to each of p_who, an object with "user" (an id) or "to"
-- (an address), and "data".  Who has no address or device gets none.
CREATE FUNCTION jobs.notice_rows(p_batch uuid, p_channel text, p_who jsonb)
RETURNS bigint
LANGUAGE sql AS $$
    WITH who AS (
        SELECT w.ordinality AS i, w.value->>'to' AS address,
               (w.value->>'user')::uuid AS user_id, w.value->'data' AS data
          FROM jsonb_array_elements(p_who) WITH ORDINALITY AS w),
    one AS (
        SELECT who.i, who.user_id, 'email' AS service,
               coalesce(who.address, u.email) AS address,
               NULL::uuid AS device, who.data
          FROM who LEFT JOIN travel.users AS u ON u.id = who.user_id
         WHERE p_channel = 'email'
        UNION ALL
        SELECT who.i, who.user_id, d.service, d.token, d.id, who.data
          FROM who JOIN travel.devices AS d ON d.user_id = who.user_id
         WHERE p_channel = 'push'),
    made AS (
        INSERT INTO jobs.notice (batch, n, user_id, service, address, device,
                                 data, state, error)
        SELECT p_batch, row_number() OVER (ORDER BY one.i, one.device),
               one.user_id, one.service, one.address, one.device, one.data,
               CASE WHEN s.address IS NULL THEN 'waiting' ELSE 'refused' END,
               'suppressed: ' || s.reason
          FROM one LEFT JOIN jobs.suppressed AS s
            ON one.service = 'email' AND s.address = lower(one.address)
         WHERE one.address <> ''
        ON CONFLICT (batch, n) DO NOTHING
        RETURNING 1)
    SELECT count(*) FROM made
$$;

-- Tells users by template: batches of 10,000, each a job of its own, in the
-- caller's transaction.  Returns the batches.
CREATE FUNCTION jobs.notify(p_channel text, p_template text, p_users uuid[],
    p_data jsonb DEFAULT '{}') RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
    batch uuid;
    i     integer := 1;
BEGIN
    IF p_channel NOT IN ('email', 'push') THEN
        RAISE EXCEPTION 'channel "%" is neither email nor push', p_channel;
    END IF;
    WHILE i <= cardinality(p_users) LOOP
        batch := gen_random_uuid();
        PERFORM jobs.notice_rows(batch, p_channel,
            (SELECT jsonb_agg(jsonb_build_object('user', u))
               FROM unnest(p_users[i:i + 9999]) AS u));
        INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
        VALUES ('notification', 0, 'job', batch, jsonb_build_object(
            'id', 'notification.0.' || batch, 'type', 'notification.batch',
            'sub', '00000000-0000-8000-8000-000000000000', 'key', batch,
            'priority', 'low', 'not_before', 0,
            'bucket', (('x' || right(batch::text, 3))::bit(12))::integer,
            'body', jsonb_build_object('channel', p_channel,
                'template', p_template, 'data', p_data)));
        RETURN NEXT batch;
        i := i + 10000;
    END LOOP;
END $$;

CREATE FUNCTION jobs.expire_notices(p_keep interval, p_limit integer)
RETURNS bigint
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM jobs.notice WHERE ctid = ANY (ARRAY(
            SELECT n.ctid FROM jobs.notice AS n
             WHERE n.created_at < now() - p_keep
               AND n.state IN ('sent', 'refused', 'failed') LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

INSERT INTO events.type (type, stream_type, fold, status, members) VALUES
('device.registered', 'device', 'merge', 'active',
    '{"service": "string"}'),
('device.removed',    'device', '',      'removed', '{}'),
('device.failed',     'device', 'error', 'failed',  '{"code": "string"}');

GRANT SELECT, INSERT, UPDATE, DELETE ON travel.devices, jobs.suppressed,
    jobs.notice TO travel_worker;
REVOKE ALL ON travel.devices FROM travel_edge;
GRANT SELECT (id, user_id, service, registered_at) ON travel.devices
    TO travel_edge;
GRANT EXECUTE ON FUNCTION jobs.notice_rows(uuid, text, jsonb),
    jobs.notify(text, text, uuid[], jsonb),
    jobs.expire_notices(interval, integer) TO travel_worker;
