-- The result of a job of the caller's that was too large for its hash.
-- @param    job  uuid
-- @returns  one
SELECT c.data
  FROM travel.job_results AS c
 WHERE c.job = :job AND c.sub = :viewer::text
