-- One person's events as clients see them: a view, not a function, so that
-- who asks for a page of them reads a page, by an index in the order of pages.

CREATE INDEX event_user_page ON events.event
    (user_id, created_at DESC, position DESC);
DROP INDEX events.event_user;

DROP FUNCTION travel.user_events(uuid);
CREATE VIEW travel.user_events AS
    SELECT user_id, created_at AS at, position AS pos, stream_type, stream_id,
           version, type, data
      FROM events.event WHERE user_id IS NOT NULL;
GRANT SELECT ON travel.user_events TO travel_edge, travel_worker;
