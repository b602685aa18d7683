DROP VIEW travel.user_events;
CREATE VIEW travel.user_events AS
    SELECT user_id, created_at AS at, position AS pos, stream_type, stream_id,
           version, type, data
      FROM events.event WHERE user_id IS NOT NULL;
GRANT SELECT ON travel.user_events TO travel_edge, travel_worker;
