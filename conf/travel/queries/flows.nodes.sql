-- A flow's nodes, by name.
-- @requires  flows:read
-- @param     id     uuid
-- @param     limit  int 1..1000 = 100
-- @param     state  text? 1..16
-- @returns   list
-- @cursor    name
SELECT n.name, n.item
  FROM travel.flow_nodes AS n
 WHERE n.flow = :id
   AND (:state IS NULL OR n.state = :state)
