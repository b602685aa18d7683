-- Roles stay: they belong to the cluster, not to this database.

DROP SCHEMA credentials, jobs, events, travel CASCADE;
DROP EXTENSION pgcrypto, earthdistance, cube, pg_trgm;
