-- Payments of bookings, and whose a saga's step is: under which lease it was
-- taken.  Fences of two partitions cannot be compared, so a step that another
-- partition's job took may be taken over only when that lease is over.

ALTER TABLE travel.bookings ADD COLUMN charge_id text;
ALTER TABLE jobs.saga ADD COLUMN lease text;        -- "booking.3"; NULL: free

INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('payment.captured', 'booking', '', NULL,
    '{"charge_id": "string", "amount_cents": "integer"}', 'booking-events'),
('payment.refunded', 'booking', '', NULL,
    '{"charge_id": "string"}', 'booking-events');

-- Is a lease in force with that very fence?
CREATE FUNCTION jobs.leased(p_lease text, p_fence bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM jobs.partition AS p
                    WHERE p.queue = split_part(p_lease, '.', 1)
                      AND p.partition::text = split_part(p_lease, '.', 2)
                      AND p.fence = p_fence AND p.owner IS NOT NULL
                      AND p.expires_at > clock_timestamp())
$$;
GRANT EXECUTE ON FUNCTION jobs.leased(text, bigint) TO travel_worker;
