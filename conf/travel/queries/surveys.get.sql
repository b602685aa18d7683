-- What a survey asks: for whoever has its address.
-- @public
-- @param    id  uuid
-- @returns  one
-- @tags     survey:{id}
-- @pending  survey
SELECT json_build_object('survey_id', s.id, 'questions', s.questions)::text
  FROM travel.surveys AS s
 WHERE s.id = :id
