-- What needs a superuser: extensions, roles, the schemas and who owns them.
-- Roles are made without a password; whoever runs the server sets one.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS cube WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS earthdistance WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['travel_owner', 'travel_worker', 'travel_edge']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        EXECUTE format('ALTER ROLE %I SET TimeZone = ''UTC''', role);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I',
                       current_database(), role);
    END LOOP;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO travel_owner',
                   current_database());
END $$;

-- The edge selects and nothing else, whatever a query file says.
ALTER ROLE travel_edge SET default_transaction_read_only = on;
ALTER ROLE travel_edge SET statement_timeout = '30s';
ALTER ROLE travel_worker SET idle_in_transaction_session_timeout = '60s';

-- What PostgreSQL gives to everybody and a read-only default does not take
-- back: temporary tables and large objects.
DO $$
DECLARE
    f regprocedure;
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC',
                   current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO travel_owner',
                   current_database());
    FOR f IN SELECT oid FROM pg_proc
              WHERE pronamespace = 'pg_catalog'::regnamespace
                AND (proname LIKE 'lo\_%' OR proname IN ('lowrite', 'loread'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

CREATE SCHEMA IF NOT EXISTS travel AUTHORIZATION travel_owner;
CREATE SCHEMA IF NOT EXISTS events AUTHORIZATION travel_owner;
CREATE SCHEMA IF NOT EXISTS jobs AUTHORIZATION travel_owner;
CREATE SCHEMA IF NOT EXISTS credentials AUTHORIZATION travel_owner;
