-- Sagas that are not over, or in one state, what moved longest ago first.
-- @requires  operator:read
-- @param     limit  int 1..100 = 50
-- @param     state  enum(running|undoing|stuck|done|undone|closed)?
-- @returns   list
-- @cursor    updated_at asc, id asc
SELECT s.updated_at, s.id, s.item
  FROM travel.sagas AS s
 WHERE CASE WHEN :state IS NULL THEN s.state IN ('running', 'undoing', 'stuck')
            ELSE s.state = :state END
