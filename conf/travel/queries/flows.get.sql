-- One of them, with its nodes, the first thousand by name (flows.nodes: all).
-- @requires  flows:read
-- @param     id  uuid
-- @returns   one
SELECT (f.item::jsonb || jsonb_build_object('graph', (
           SELECT coalesce(jsonb_agg(n.item ORDER BY n.name), '[]')
             FROM (SELECT * FROM travel.flow_nodes AS x
                    WHERE x.flow = f.id ORDER BY x.name LIMIT 1000) AS n))
       )::text
  FROM travel.flows AS f
 WHERE f.id = :id
