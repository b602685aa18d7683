-- One of them, with its body.
-- @requires  dead:read
-- @param     job  text 1..64
-- @returns   one
SELECT (d.item::jsonb || jsonb_build_object('body', d.body))::text
  FROM travel.dead_jobs AS d
 WHERE d.job_id = :job
