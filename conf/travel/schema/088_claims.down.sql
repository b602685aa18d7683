DROP VIEW travel.job_results;
DROP FUNCTION jobs.expire_claims(integer);
DROP TABLE jobs.claim;
