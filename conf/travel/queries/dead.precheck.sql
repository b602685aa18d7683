-- Who names one job means one that is dead.
-- @requires  dead:write
-- @param     uuid  uuid?
-- @param     job   text?
-- @returns   rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '' AS pointer,
       'The job is not among the dead.' AS message
 WHERE (:uuid IS NOT NULL
        AND NOT EXISTS (SELECT FROM travel.dead_jobs AS d
                         WHERE d.uuid = :uuid::text))
    OR (:job IS NOT NULL
        AND NOT EXISTS (SELECT FROM travel.dead_jobs AS d
                         WHERE d.job_id = :job))
