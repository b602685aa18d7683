DROP VIEW travel.dead_jobs;
DROP FUNCTION jobs.error_json(text);
DROP FUNCTION jobs.expire_dead(text, interval, integer);
DROP FUNCTION jobs.drop_dead(jsonb);
DROP FUNCTION jobs.requeue_dead(jsonb);
DROP FUNCTION jobs.dead_runs(jobs.dead);
DROP FUNCTION jobs.dead_matching(jsonb);
DROP INDEX jobs.dead_uuid;
ALTER TABLE jobs.dead DROP COLUMN entry;
DELETE FROM jobs.outbox WHERE kind IN ('requeue', 'drop');
ALTER TABLE jobs.outbox DROP CONSTRAINT outbox_kind_check;
ALTER TABLE jobs.outbox ADD CONSTRAINT outbox_kind_check
    CHECK (kind IN ('job', 'live'));
