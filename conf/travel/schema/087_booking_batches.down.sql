DROP FUNCTION travel.bookings_confirm(text, jsonb);
DROP FUNCTION travel.bookings_begin(text, jsonb);
DROP FUNCTION jobs.sagas_go_on(text, jsonb);
DROP FUNCTION events.append_many(events.fact[]);
DROP FUNCTION jobs.held(text, jsonb);
DROP TYPE events.fact;
DROP TYPE jobs.batched;
