DROP FUNCTION jobs.expire(interval, interval, interval, integer);
DROP INDEX jobs.dead_died;
DROP INDEX jobs.outbox_sent;
DROP TABLE travel.reminders;
DROP TABLE jobs.schedule_leader;
DROP TABLE jobs.schedule;
