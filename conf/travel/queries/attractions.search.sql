-- What is on in a country, by day ("searchEvents"): from a day on, 30 days
-- unless 'to' says otherwise; of a region if asked (with what the whole
-- country has).
-- @public
-- @param    country  text 2..2
-- @param    from     date
-- @param    to       date?
-- @param    region   text? 1..80
-- @param    limit    int 1..200 = 50
-- @returns  list
-- @cursor   starts_on, id
-- @tags     attractions
SELECT a.starts_on, a.id,
       json_build_object(
           'id', a.id, 'name', a.name, 'kind', a.kind,
           'country_code', a.country_code, 'region', nullif(a.region, ''),
           'date', a.starts_on,
           'starts_at', travel.rfc3339(a.starts_at),
           'ends_at', travel.rfc3339(a.ends_at)) AS item
  FROM travel.attraction AS a
 WHERE a.country_code = upper(:country)
   AND a.starts_on >= :from
   AND a.starts_on <= coalesce(:to, :from + 30)
   AND (:region IS NULL OR a.region IN ('', :region))
