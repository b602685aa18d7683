-- Surveys that a user has friends answer, the answers, and the persona that is
-- made of them: one per user.
--
--   pending            not enough answers yet
--   synthesizing       a prompt is being made of the answers
--   generating_image   a portrait is being made of the prompt
--   ready, failed      over; a failed one may be started again

CREATE TABLE travel.surveys (
    id          uuid        PRIMARY KEY,
    user_id     uuid        NOT NULL REFERENCES travel.users,
    questions   jsonb       NOT NULL
                CHECK (jsonb_typeof(questions) = 'array'),
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX surveys_user ON travel.surveys (user_id, id DESC);

-- Whoever has answered is known by a fingerprint, and answers once.
CREATE TABLE travel.survey_responses (
    id          uuid        PRIMARY KEY,
    survey_id   uuid        NOT NULL REFERENCES travel.surveys,
    answers     jsonb       NOT NULL,
    fingerprint text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (survey_id, fingerprint)
);

CREATE TABLE travel.personas (
    id               uuid        PRIMARY KEY,
    user_id          uuid        NOT NULL UNIQUE REFERENCES travel.users,
    survey_id        uuid        REFERENCES travel.surveys,
    status           text        NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'synthesizing',
                                       'generating_image', 'ready', 'failed')),
    persona_prompt   text,
    illustration_url text,
    provider         text,
    error            jsonb,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('survey.created',       'survey',  'merge', NULL,
    '{"questions": "array"}', 'analytics-events'),
('survey.answered',      'survey',  '',      NULL,
    '{"response_id": "string", "answers": "object"}', 'analytics-events'),
('survey.failed',        'survey',  'error', 'failed',
    '{"code": "string"}', NULL),
('persona.created',      'persona', 'merge', 'pending', '{}',
    'ai-agent-events'),
('persona.synthesizing', 'persona', 'merge', 'synthesizing',
    '{"survey_id": "string"}', 'ai-agent-events'),
('persona.synthesized',  'persona', 'merge', 'generating_image',
    '{"persona_prompt": "string"}', 'ai-agent-events'),
('persona.ready',        'persona', 'merge', 'ready',
    '{"illustration_url?": "string"}', 'ai-agent-events'),
('persona.failed',       'persona', 'error', 'failed',
    '{"code": "string"}', 'ai-agent-events');

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE ON travel.surveys
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('survey');
CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE ON travel.personas
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('persona');

-- What everybody is asked who has not said what to ask.
CREATE FUNCTION travel.survey_questions() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '[
        {"id": "humour",  "text": "What kind of humour do they have?"},
        {"id": "pace",    "text": "Calm or always on the move?"},
        {"id": "company", "text": "Alone, with one friend or with a crowd?"},
        {"id": "morning", "text": "What are they like before nine?"},
        {"id": "travel",  "text": "What do they look for when they travel?"}
    ]'::jsonb
$$;

CREATE FUNCTION travel.survey_json(s travel.surveys) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'survey_id', ($1).id,
        'survey_url', '/api/v1/surveys/' || ($1).id,
        'questions', ($1).questions,
        'created_at', travel.rfc3339(($1).created_at))
$$;

CREATE FUNCTION travel.persona_json(p travel.personas) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'persona_id', ($1).id,
        'status', ($1).status,
        'survey_id', ($1).survey_id,
        'persona_prompt', ($1).persona_prompt,
        'illustration_url', ($1).illustration_url,
        'error', ($1).error,
        'created_at', travel.rfc3339(($1).created_at),
        'updated_at', travel.rfc3339(($1).updated_at))
$$;

-- To each question what most have said, the clearest first.
CREATE FUNCTION travel.survey_traits(p_survey uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    WITH said AS (
        SELECT a.key AS question, lower(btrim(a.value)) AS answer,
               count(*) AS votes
          FROM travel.survey_responses AS r, jsonb_each_text(r.answers) AS a
         WHERE r.survey_id = p_survey AND btrim(a.value) <> ''
         GROUP BY 1, 2
    ), most AS (
        SELECT DISTINCT ON (question) question, left(answer, 80) AS answer,
               votes
          FROM said ORDER BY question, votes DESC, answer
    )
    SELECT coalesce(jsonb_agg(jsonb_build_object('question', question,
               'answer', answer, 'votes', votes)
               ORDER BY votes DESC, question), '[]')
      FROM (SELECT * FROM most ORDER BY votes DESC, question LIMIT 8) AS m
$$;

-- The caller's persona, made if there is none; started if it waits (or has
-- failed) and its survey has three answers.  Of several at once one starts it.
CREATE FUNCTION travel.start_persona(p_id uuid, p_user uuid, p_survey uuid)
RETURNS TABLE (persona json, id uuid, survey_id uuid, made boolean,
               started boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p      travel.personas;
    survey uuid;
BEGIN
    INSERT INTO travel.personas AS n (id, user_id) VALUES (p_id, p_user)
    ON CONFLICT (user_id) DO NOTHING;
    made := FOUND;

    SELECT * INTO p FROM travel.personas AS o WHERE o.user_id = p_user
       FOR UPDATE;
    SELECT s.id INTO survey FROM travel.surveys AS s
     WHERE s.user_id = p_user AND (p_survey IS NULL OR s.id = p_survey)
     ORDER BY s.id DESC LIMIT 1;

    started := p.status IN ('pending', 'failed') AND 3 <=
        (SELECT count(*) FROM travel.survey_responses AS r
          WHERE r.survey_id = survey);

    IF started THEN
        UPDATE travel.personas AS o
           SET status = 'synthesizing', survey_id = survey, error = NULL,
               updated_at = now()
         WHERE o.id = p.id RETURNING * INTO p;
    END IF;

    RETURN QUERY SELECT travel.persona_json(p), p.id, p.survey_id, made,
                        started;
END $$;

GRANT SELECT ON travel.surveys, travel.personas TO travel_edge;
GRANT SELECT, INSERT ON travel.surveys, travel.survey_responses
    TO travel_worker;
GRANT SELECT, INSERT, UPDATE ON travel.personas TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.survey_json(travel.surveys),
    travel.persona_json(travel.personas) TO travel_edge, travel_worker;
GRANT EXECUTE ON FUNCTION travel.survey_questions(),
    travel.survey_traits(uuid), travel.start_persona(uuid, uuid, uuid)
    TO travel_worker;
