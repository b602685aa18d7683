-- Bookings as they stand: what daily revenue is made of.
-- @extract
SELECT b.id, b.user_id, b.journey_id, b.partner, b.status,
       coalesce(b.amount_cents, 0) AS amount_cents,
       coalesce(b.commission_cents, 0) AS commission_cents, b.created_at
  FROM travel.bookings AS b
 WHERE b.id IN (SELECT events.changed($1::xid8, $2::xid8, 'booking'))
-- @load
INSERT INTO analytics.fact_bookings AS f (id, user_id, journey_id, partner,
    status, amount_cents, commission_cents, created_at)
SELECT r.*
  FROM jsonb_to_recordset($1::jsonb) AS r(id uuid, user_id uuid,
       journey_id uuid, partner text, status text, amount_cents bigint,
       commission_cents bigint, created_at timestamptz)
ON CONFLICT (id) DO UPDATE
   SET status = EXCLUDED.status, amount_cents = EXCLUDED.amount_cents,
       commission_cents = EXCLUDED.commission_cents,
       journey_id = EXCLUDED.journey_id, synced_at = now()
