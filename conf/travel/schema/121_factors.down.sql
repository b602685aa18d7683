DROP FUNCTION credentials.use_recovery(uuid, bytea);
DROP FUNCTION credentials.use_step(uuid, bigint);
DROP FUNCTION credentials.enrol(uuid, text);
ALTER TABLE credentials.session DROP COLUMN acr;
DROP TABLE credentials.recovery, credentials.factor;
DELETE FROM events.type WHERE type IN ('user.factor_enrolled',
    'user.factor_confirmed', 'user.factor_removed', 'user.recovery_used');
