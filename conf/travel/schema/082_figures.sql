-- What is not over is counted for the metrics: by indexes of just that.
CREATE INDEX webhook_delivery_pending ON jobs.webhook_delivery (created_at)
    WHERE state = 'pending';
