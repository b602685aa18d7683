-- API keys are part of the audit, too: made, taken back.  Neither the key nor
-- its hash is in the event.  A key's id has 16 digits; its stream's id is a
-- UUIDv8 that has them.

INSERT INTO events.type (type, stream_type, fold, status, members) VALUES
('key.created', 'key', 'merge', 'active',
    '{"key": "string", "permissions": "array"}'),
('key.revoked', 'key', '',      'revoked', '{"key": "string"}');

CREATE FUNCTION credentials.key_stream(p_id text) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT (substr(p_id, 1, 8) || '-' || substr(p_id, 9, 4)
            || '-8' || substr(p_id, 13, 3)
            || '-800' || substr(p_id, 16, 1) || '-000000000000')::uuid
$$;

CREATE FUNCTION credentials.tell_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM events.append('key', credentials.key_stream(NEW.id), NULL,
            'key.created', jsonb_build_object('key', NEW.id,
                'name', NEW.name, 'permissions', to_jsonb(NEW.permissions),
                'expires_at', NEW.expires_at), NEW.user_id, NULL, NULL);
    ELSIF OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN
        PERFORM events.append('key', credentials.key_stream(NEW.id), NULL,
            'key.revoked', jsonb_build_object('key', NEW.id), NEW.user_id,
            NULL, NULL);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_key AFTER INSERT OR UPDATE ON credentials.api_key
    FOR EACH ROW EXECUTE FUNCTION credentials.tell_key();
