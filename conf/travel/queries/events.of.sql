-- What the caller did to one aggregate of his, newest first (events.list with
-- ?of=), by its versions: no more is read than that aggregate's events, and
-- nothing of what is not his.  Whose it is, its first event says.
-- @param    limit  int 1..100 = 20
-- @param    of     uuid
-- @param    type   text? 1..64
-- @param    from   timestamp?
-- @param    until  timestamp?
-- @returns  list
-- @cursor   version desc
-- @tags     user:{viewer}
SELECT e.version, e.item
  FROM travel.user_events AS e
 WHERE e.stream_id = :of
   AND e.user_id = :viewer
   AND e.stream_type = (
       SELECT o.stream_type
         FROM (SELECT f.stream_type, f.user_id
                 FROM travel.user_events AS f WHERE f.stream_id = :of
                ORDER BY f.stream_type, f.version LIMIT 1) AS o
        WHERE o.user_id = :viewer)
   AND e.at >= coalesce(:from, '-infinity')
   AND e.at < coalesce(:until, 'infinity')
   AND (:type IS NULL OR e.type = :type)
