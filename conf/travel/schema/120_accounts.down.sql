DROP FUNCTION credentials.expire(integer);
DROP FUNCTION travel.user_sessions(uuid);
DROP FUNCTION credentials.access_left(uuid, uuid);
DROP FUNCTION credentials.end(uuid, uuid, text);
DROP FUNCTION credentials.renew(bytea, bytea, text, interval, interval);
DROP FUNCTION credentials.begin(uuid, uuid, text, interval, bytea, text,
                                interval, interval);
DROP FUNCTION credentials.give(uuid, bytea, text, interval, interval);
DROP FUNCTION credentials.change(uuid, text);
DROP FUNCTION credentials.verify(uuid, text);
DROP FUNCTION credentials.redeem(bytea, text);
DROP FUNCTION credentials.issue(uuid, bytea, uuid, text, text, interval);
DROP FUNCTION credentials.register(uuid, text, text);
DROP FUNCTION credentials.tried(bytea);
DROP FUNCTION credentials.try(bytea);
DROP TABLE credentials.attempt, credentials.refresh, credentials.session,
    credentials.ticket, credentials.account;
UPDATE events.type SET members = '{}' WHERE type = 'user.logged_in';
DELETE FROM events.type WHERE type IN (
    'user.verification_requested', 'user.verified', 'user.login_failed',
    'user.session_renewed', 'user.session_ended', 'user.sessions_ended',
    'user.reset_requested', 'user.password_changed');
