-- Flows, the newest first.
-- @requires  flows:read
-- @param     limit  int 1..100 = 20
-- @param     name   text? 1..64
-- @param     state  text? 1..16
-- @returns   list
-- @cursor    created_at desc, id desc
SELECT f.created_at, f.id, f.item
  FROM travel.flows AS f
 WHERE (:name IS NULL OR f.name = :name)
   AND (:state IS NULL OR f.state = :state)
