-- What the caller's next hours may be like; no row (404): nothing has been
-- learnt yet.
-- @param    kind  enum(energy|mood)
-- @returns  one
-- @tags     predictions
SELECT p.said::text
  FROM (SELECT ml.predict(:viewer, :kind, now()) AS said) AS p
 WHERE p.said IS NOT NULL
