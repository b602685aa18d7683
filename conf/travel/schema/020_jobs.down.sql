DROP FUNCTION jobs.fenced(text, integer, text, bigint);
DROP FUNCTION jobs.release(text, integer, text);
DROP FUNCTION jobs.lease(text, integer, text, interval);
DROP TABLE jobs.dead, jobs.saga, jobs.outbox, jobs.inbox, jobs.partition;
