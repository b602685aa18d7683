-- Webhooks (Standard Webhooks 1.0): who is told of which domain events, what
-- was sent, and every attempt.

CREATE TABLE jobs.webhook (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    url         text        NOT NULL CHECK (url ~ '^https?://'),
    types       text[]      NOT NULL,      -- LIKE patterns: {booking.%}
    user_id     uuid,                      -- of this user's events only
    secrets     text[]      NOT NULL CHECK (cardinality(secrets) BETWEEN 1 AND 4),
    state       text        NOT NULL DEFAULT 'active'
                CHECK (state IN ('active', 'disabled', 'gone')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE jobs.webhook_delivery (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id  uuid        NOT NULL REFERENCES jobs.webhook ON DELETE CASCADE,
    position    bigint      NOT NULL,
    type        text        NOT NULL,
    payload     text        NOT NULL,      -- these bytes are signed
    state       text        NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'delivered', 'dead')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (webhook_id, position)
);
CREATE INDEX webhook_delivery_age ON jobs.webhook_delivery (created_at);

CREATE TABLE jobs.webhook_attempt (
    delivery_id uuid        NOT NULL REFERENCES jobs.webhook_delivery
                            ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    status      integer     NOT NULL,      -- 0: no answer
    error       text,
    ms          integer     NOT NULL,
    PRIMARY KEY (delivery_id, at)
);

-- Takes a batch of events to the webhooks that want them: a delivery and its
-- job each, in one transaction with the checkpoint.  Returns events looked at.
-- The first call begins now: nobody is told of what was before.
CREATE FUNCTION jobs.fan_out(p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    at xid8;
    h  xid8;
    n  integer;
BEGIN
    IF NOT EXISTS (SELECT FROM jobs.webhook) THEN
        RETURN 0;
    END IF;
    SELECT checkpoint INTO at FROM events.publisher WHERE name = 'webhooks'
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    h := events.horizon(at, p_limit);
    SELECT count(*) INTO n FROM events.event WHERE xid >= at AND xid < h;
    IF n = 0 THEN
        RETURN 0;
    END IF;

    WITH made AS (
        INSERT INTO jobs.webhook_delivery (webhook_id, position, type, payload)
        SELECT w.id, e.position, e.type,
               json_build_object('type', e.type,
                   'timestamp', travel.rfc3339(e.created_at),
                   'data', json_build_object('aggregate', e.stream_type,
                       'id', e.stream_id, 'version', e.version,
                       'user_id', e.user_id, 'event', e.data))::text
          FROM events.tail(at, h) AS e
          JOIN jobs.webhook AS w
            ON w.state = 'active' AND e.type LIKE ANY (w.types)
           AND e.created_at >= w.created_at
           AND (w.user_id IS NULL OR w.user_id = e.user_id)
         ORDER BY e.position
        ON CONFLICT (webhook_id, position) DO NOTHING
        RETURNING id, position),
    numbered AS (
        SELECT id, (('x' || right(id::text, 3))::bit(12))::integer AS bucket,
               gen_random_uuid() AS job, position
          FROM made)
    INSERT INTO jobs.outbox (queue, partition, kind, aggregate, payload)
    SELECT 'maintenance', 0, 'job', id, jsonb_build_object(
               'id', 'maintenance.0.' || job, 'type', 'webhook.deliver',
               'sub', '00000000-0000-8000-8000-000000000000', 'key', id,
               'priority', 'low', 'bucket', bucket, 'not_before', 0,
               'body', jsonb_build_object('delivery', id))
      FROM numbered ORDER BY position;

    UPDATE events.publisher
       SET checkpoint = h, published = published + n, updated_at = now()
     WHERE name = 'webhooks';
    RETURN n;
END $$;

CREATE FUNCTION jobs.expire_webhooks(p_keep interval, p_limit integer)
RETURNS bigint
LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM jobs.webhook_delivery WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM jobs.webhook_delivery AS d
             WHERE d.created_at < now() - p_keep AND d.state <> 'pending'
             LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.webhook, jobs.webhook_delivery,
    jobs.webhook_attempt TO travel_worker;
GRANT EXECUTE ON FUNCTION jobs.fan_out(integer),
    jobs.expire_webhooks(interval, integer) TO travel_worker;
