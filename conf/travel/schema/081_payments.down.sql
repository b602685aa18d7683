DROP FUNCTION jobs.leased(text, bigint);
DELETE FROM events.type WHERE type IN ('payment.captured', 'payment.refunded');
ALTER TABLE jobs.saga DROP COLUMN lease;
ALTER TABLE travel.bookings DROP COLUMN charge_id;
