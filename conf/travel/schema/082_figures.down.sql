DROP INDEX jobs.webhook_delivery_pending;
