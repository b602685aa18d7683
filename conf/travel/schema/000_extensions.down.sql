-- Roles stay: they belong to the cluster, not to this database.

DROP SCHEMA credentials, jobs, events, travel CASCADE;
DROP EXTENSION pgcrypto, earthdistance, cube, pg_trgm;

DO $$
DECLARE
    f regprocedure;
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC',
                   current_database());
    FOR f IN SELECT oid FROM pg_proc
              WHERE pronamespace = 'pg_catalog'::regnamespace
                AND (proname LIKE 'lo\_%' OR proname IN ('lowrite', 'loread'))
                AND proname NOT IN ('lo_import', 'lo_export')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', f);
    END LOOP;
END $$;
