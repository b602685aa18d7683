DROP FUNCTION jobs.expire_notices(interval, integer);
DROP FUNCTION jobs.notify(text, text, uuid[], jsonb);
DROP FUNCTION jobs.notice_rows(uuid, text, jsonb);
DELETE FROM events.type WHERE stream_type = 'device';
DROP TABLE jobs.notice, jobs.suppressed, travel.devices;
