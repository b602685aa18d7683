-- There is such a survey.
-- @public
-- @param    survey_id  uuid
-- @returns  rows
SELECT 'RESOURCE_NOT_FOUND' AS code, '/survey_id' AS pointer,
       'There is no such survey.' AS message
 WHERE NOT EXISTS (SELECT FROM travel.surveys AS s WHERE s.id = :survey_id)
