-- Jobs that used up their retries, the last to die first.
-- @requires  dead:read
-- @param     limit  int 1..100 = 20
-- @param     queue  text? 1..16
-- @param     type   text? 1..64
-- @param     cause  text? 1..48
-- @param     sub    uuid?
-- @returns   list
-- @cursor    died_at desc, job_id desc
SELECT d.died_at, d.job_id, d.item
  FROM travel.dead_jobs AS d
 WHERE (:queue IS NULL OR d.queue = :queue)
   AND (:type IS NULL OR d.type = :type)
   AND (:cause IS NULL OR d.cause = :cause)
   AND (:sub IS NULL OR d.sub = :sub::text)
