-- The caller's persona; who has never asked for one has one that waits.
-- @returns  one
-- @tags     persona:{viewer}
SELECT CASE WHEN p.id IS NOT NULL THEN travel.persona_json(p)
            ELSE json_build_object('persona_id', NULL, 'status', 'pending',
                                   'persona_prompt', NULL,
                                   'illustration_url', NULL) END::text
  FROM (SELECT :viewer AS id) AS v
       LEFT JOIN travel.personas AS p ON p.user_id = v.id
