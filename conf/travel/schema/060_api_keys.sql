-- API keys.  Of a key only its SHA-256 is kept (the secret in it has 256 random
-- bits, so nothing slower is needed).  The edge has no right to the schema: it
-- asks the function below about a key that it has been shown, and learns
-- nothing about any other.

CREATE TABLE credentials.api_key (
    id          text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    hash        bytea NOT NULL CHECK (length(hash) = 32),
    user_id     uuid NOT NULL,              -- the owner, $travel_user
    name        text NOT NULL DEFAULT '' CHECK (length(name) <= 100),
    permissions text[] NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

CREATE INDEX api_key_user ON credentials.api_key (user_id);

CREATE FUNCTION travel.api_key_check(key_id text, key_hash bytea)
RETURNS TABLE (user_id uuid, permissions text, expires bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.user_id, array_to_string(k.permissions, ' '),
           floor(extract(epoch FROM k.expires_at))::bigint
      FROM credentials.api_key AS k
     WHERE k.id = key_id
       AND k.hash = key_hash
       AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now())
$$;

REVOKE ALL ON FUNCTION travel.api_key_check(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION travel.api_key_check(text, bytea) TO travel_edge;
GRANT SELECT, INSERT, UPDATE ON credentials.api_key TO travel_worker;
