-- The caller's timeline, the latest first; of one type if asked.
-- @param    limit  int 1..100 = 20
-- @param    type   text? 1..64
-- @returns  list
-- @cursor   occurred_at desc, id desc
SELECT e.occurred_at, e.id,
       json_build_object('id', e.id, 'type', e.type, 'title', e.title,
                         'occurred_at', travel.rfc3339(e.occurred_at),
                         'data', e.data) AS item
  FROM travel.life_events AS e
 WHERE e.user_id = :viewer
   AND (:type IS NULL OR e.type = :type)
