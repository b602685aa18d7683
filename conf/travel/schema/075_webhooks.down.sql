DROP FUNCTION jobs.expire_webhooks(interval, integer);
DROP FUNCTION jobs.fan_out(integer);
DROP TABLE jobs.webhook_attempt;
DROP TABLE jobs.webhook_delivery;
DROP TABLE jobs.webhook;
DELETE FROM events.publisher WHERE name = 'webhooks';
