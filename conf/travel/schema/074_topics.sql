-- How far domain events are published to their topics (events.topic): all
-- before this point of the store are in Redis.
CREATE TABLE events.publisher (
    name        text        PRIMARY KEY,
    checkpoint  xid8        NOT NULL DEFAULT '0',
    published   bigint      NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON events.publisher TO travel_worker;
