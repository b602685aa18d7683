-- What the caller did, newest first: the audit of his own changes; of one
-- aggregate, of one type, of some time if asked.
-- @param    limit  int 1..100 = 20
-- @param    of     uuid?
-- @param    type   text? 1..64
-- @param    from   timestamp?
-- @param    until  timestamp?
-- @returns  list
-- @cursor   at desc, pos desc
-- @tags     user:{viewer}
SELECT e.at, e.pos,
       json_build_object('id', e.pos, 'type', e.type,
                         'aggregate', e.stream_type,
                         'aggregate_id', e.stream_id, 'version', e.version,
                         'data', e.data,
                         'created_at', travel.rfc3339(e.at)) AS item
  FROM travel.user_events(:viewer) AS e
 WHERE (:of IS NULL OR e.stream_id = :of)
   AND (:type IS NULL OR e.type = :type)
   AND (:from IS NULL OR e.at >= :from)
   AND (:until IS NULL OR e.at < :until)
