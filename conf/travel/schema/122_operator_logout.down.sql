DROP FUNCTION credentials.end_all(uuid);
ALTER TABLE credentials.session DROP CONSTRAINT session_ended_by_check;
UPDATE credentials.session SET ended_by = 'logout' WHERE ended_by = 'operator';
ALTER TABLE credentials.session ADD CONSTRAINT session_ended_by_check
    CHECK (ended_by IN ('logout', 'reset', 'reuse'));
