-- What travellers say on the way, and what they are answered.

CREATE TABLE travel.voice_interactions (
    id                 uuid        PRIMARY KEY,
    user_id            uuid        NOT NULL REFERENCES travel.users,
    journey_id         uuid        REFERENCES travel.journeys,
    said               text        NOT NULL,
    personality        text        NOT NULL,
    text               text        NOT NULL,
    audio_url          text,
    emotion            text        NOT NULL,
    suggestions        text[]      NOT NULL DEFAULT '{}',
    is_safety_critical boolean     NOT NULL DEFAULT false,
    provider           text        NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX voice_interactions_user
    ON travel.voice_interactions (user_id, id DESC);

INSERT INTO events.type (type, stream_type, fold, status, members, topic) VALUES
('voice.answered', 'voice', 'merge', 'answered',
    '{"text": "string", "personality": "string", "emotion": "string"}',
    'ai-agent-events'),
('voice.failed',   'voice', 'error', 'failed',
    '{"code": "string"}', 'ai-agent-events');

CREATE CONSTRAINT TRIGGER must_tell AFTER INSERT OR UPDATE
    ON travel.voice_interactions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION events.must_tell('voice');

CREATE FUNCTION travel.voice_json(v travel.voice_interactions) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'id', ($1).id,
        'journey_id', ($1).journey_id,
        'said', ($1).said,
        'text', ($1).text,
        'audio_url', ($1).audio_url,
        'personality', ($1).personality,
        'emotion', ($1).emotion,
        'suggestions', ($1).suggestions,
        'is_safety_critical', ($1).is_safety_critical,
        'provider', ($1).provider,
        'created_at', travel.rfc3339(($1).created_at))
$$;

-- Does somebody need help, or must not drive on?  Whole words, in English;
-- one too many is better than one too few.
CREATE FUNCTION travel.safety_critical(p_said text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_said ~* ('\m(accident|crash(ed)?|fire|smoke|brakes?|skid(ding)?|'
        || 'emergency|ambulance|police|help|hurt|injured|bleeding|unconscious|'
        || 'chest pain|drunk|asleep|sleepy|drowsy|tired|dizzy|lost control)\M')
$$;

-- What a provider is told: the journey, if it is about one of the user's, and
-- its way's next places.
CREATE FUNCTION travel.voice_facts(p_user uuid, p_journey uuid, p_said text)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
               'said', p_said,
               'origin', coalesce(j.origin, 'where you are'),
               'destination', coalesce(j.destination, 'where you are going'),
               'miles', coalesce(j.distance_miles, 0),
               'personality', j.personality,
               'safety', travel.safety_critical(p_said),
               'suggestions', CASE WHEN travel.safety_critical(p_said)
                   THEN '["Stop where it is safe", "Call the emergency number"]'::json
                   ELSE json_build_array(
                       format('Tell me about %s',
                              coalesce(j.destination, 'this place')),
                       'Tell me a story', 'How far is it?') END)
      FROM (SELECT 1) AS one
      LEFT JOIN travel.journeys AS j
             ON j.id = p_journey AND j.user_id = p_user
$$;

GRANT SELECT ON travel.voice_interactions TO travel_edge;
GRANT SELECT, INSERT ON travel.voice_interactions TO travel_worker;
GRANT EXECUTE ON FUNCTION travel.voice_json(travel.voice_interactions)
    TO travel_edge, travel_worker;
GRANT EXECUTE ON FUNCTION travel.safety_critical(text),
    travel.voice_facts(uuid, uuid, text) TO travel_worker;
