-- What is on in a country, by day ("searchEvents"): from a day on, 30 days
-- unless 'to' says otherwise; of a region if asked (with what the whole
-- country has).
-- @public
-- @param    country  text 2..2
-- @param    from     date
-- @param    to       date?
-- @param    region   text? 1..80
-- @param    limit    int 1..200 = 50
-- @param    cursor   uuid?
-- @returns  list
-- @tags     attractions
WITH page AS (
    SELECT a.*, row_number() OVER (ORDER BY a.starts_on, a.id) AS n
      FROM travel.attraction AS a
     WHERE a.country_code = upper(:country)
       AND a.starts_on >= :from
       AND a.starts_on <= coalesce(:to, :from + 30)
       AND (:region IS NULL OR a.region IN ('', :region))
       AND (:cursor IS NULL
            OR (a.starts_on, a.id) > (SELECT c.starts_on, c.id
                                        FROM travel.attraction AS c
                                       WHERE c.id = :cursor))
     ORDER BY a.starts_on, a.id
     LIMIT :limit + 1
)
SELECT json_build_object(
           'items', coalesce(json_agg(json_build_object(
               'id', id, 'name', name, 'kind', kind,
               'country_code', country_code, 'region', nullif(region, ''),
               'date', starts_on,
               'starts_at', travel.rfc3339(starts_at),
               'ends_at', travel.rfc3339(ends_at))
               ORDER BY n) FILTER (WHERE n <= :limit), '[]'),
           'next_cursor', CASE WHEN count(*) > :limit
                          THEN min(id::text) FILTER (WHERE n = :limit) END
       )::text
  FROM page
