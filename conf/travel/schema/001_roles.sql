-- Who sees which schema.  credentials is never granted to travel_edge: what it
-- may know about an API key, a SECURITY DEFINER function tells it.

GRANT USAGE ON SCHEMA travel TO travel_edge, travel_worker;
GRANT USAGE ON SCHEMA events, jobs, credentials TO travel_worker;

-- Functions are not for PUBLIC here: each is granted by name or by schema.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
