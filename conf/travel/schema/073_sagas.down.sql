DROP FUNCTION jobs.expire_sagas(interval, integer);
DROP TABLE jobs.saga_run;
