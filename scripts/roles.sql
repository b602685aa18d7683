-- The logins and the database, with the passwords that are in the directory
-- KEYS of the environment.  For psql, as superuser; may be run again, and gives
-- new passwords then.
\set ON_ERROR_STOP on
\set owner   `cat "$KEYS/pg-owner.password"`
\set worker  `cat "$KEYS/pg-worker.password"`
\set edge    `cat "$KEYS/pg-edge.password"`
\set replica `cat "$KEYS/pg-replica.password"`

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest('{travel_owner,travel_worker,travel_edge,travel_replica}'::text[])
       AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE travel_owner   PASSWORD :'owner';
ALTER ROLE travel_worker  PASSWORD :'worker';
ALTER ROLE travel_edge    PASSWORD :'edge';
ALTER ROLE travel_replica PASSWORD :'replica' REPLICATION;
SELECT 'CREATE DATABASE travel OWNER postgres'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'travel')
\gexec
