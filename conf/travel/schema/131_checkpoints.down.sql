DROP FUNCTION jobs.expire_checkpoints(interval, integer);
DROP FUNCTION jobs.checkpoint(uuid, jsonb, text, integer, text, bigint);
DROP TABLE jobs.checkpoint;
