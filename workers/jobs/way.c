/*
 * Stories of ways: facts from the gazetteer, text by a provider; and
 * story.pregenerate, by a schedule, which has those of the ways most travelled
 * written before they are asked for.
 */

#include <stdio.h>
#include <stdlib.h>

#include "compose.h"
#include "families.h"
#include "resource.h"
#include "way.h"

#define WAY_PLACES_MIN  3


/* What is known about the way: both ends, miles, and real places between, in
 * the order one passes them.  The strip is widened until it has enough of
 * them; a way too short or too empty takes neighbours of its ends. */
static json_t *
way_facts(worker_job_t *job, const char *origin, const char *destination)
{
    size_t        i;
    json_t       *facts;
    PGresult     *res;
    const char   *params[5];

    static const char  *widths[] = { "20", "60", "200", NULL };
    static const char   sql[] =
        "WITH j AS ("
        "  SELECT o.id AS oid, o.name AS origin, o.lat AS olat, o.lon AS olon,"
        "         d.id AS did, d.name AS destination, d.lat AS dlat,"
        "         d.lon AS dlon, round((travel.distance_km(o.lat, o.lon, d.lat,"
        "             d.lon) / 1.609344)::numeric, 1) AS miles"
        "    FROM travel.place AS o, travel.place AS d"
        "   WHERE o.id = $1::bigint AND d.id = $5::bigint),"
        " p AS ("
        "  SELECT a.id, a.name, a.region, a.country_code, a.population, a.lat,"
        "         a.lon, a.km"
        "    FROM j, LATERAL travel.places_along(j.olat, j.olon, j.dlat,"
        "             j.dlon, coalesce($2::float8, 1), $3::int) AS a"
        "   WHERE $2 IS NOT NULL"
        "  UNION ALL"
        "  (SELECT n.id, n.name, n.region, n.country_code, n.population, n.lat,"
        "          n.lon, n.km"
        "     FROM j, LATERAL travel.places_near(j.olat, j.olon, 500, 20) AS n"
        "    WHERE $2 IS NULL AND n.id NOT IN (j.oid, j.did)"
        "    ORDER BY n.km LIMIT $4::int))"
        " SELECT (SELECT count(*) FROM p),"
        "  json_build_object('origin', j.origin, 'destination', j.destination,"
        "   'miles', j.miles, 'places', coalesce((SELECT json_agg("
        "     json_build_object('place_id', p.id, 'name', p.name,"
        "      'region', coalesce(p.region, p.country_code),"
        "      'country_code', p.country_code, 'lat', p.lat, 'lon', p.lon,"
        "      'population', p.population,"
        "      'miles_from_start', round((p.km / 1.609344)::numeric, 1),"
        "      'miles_left', round(greatest(j.miles"
        "                          - (p.km / 1.609344)::numeric, 0), 1))"
        "     ORDER BY p.km) FROM p), '[]'::json))"
        "  FROM j";

    facts = NULL;
    params[0] = origin;
    params[2] = "6";
    params[3] = "6";
    params[4] = destination;

    for (i = 0; facts == NULL && i < sizeof(widths) / sizeof(widths[0]); i++) {
        params[1] = widths[i];
        res = worker_query(job, sql, 5, params);

        if (res == NULL) {
            return NULL;
        }

        if (PQntuples(res) > 0
            && (widths[i] == NULL
                || atoi(PQgetvalue(res, 0, 0)) >= WAY_PLACES_MIN))
        {
            facts = worker_row_json(res, 1);
        }

        PQclear(res);
    }

    if (facts == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "DEPENDENCY_UNAVAILABLE",
                               "the places along the way are not known");
    }

    return facts;
}


/* Of what the facts say of a place, what the resource shows. */
static json_t *
way_places(const json_t *facts)
{
    size_t    i;
    json_t   *places, *place;

    places = json_array();

    json_array_foreach(json_object_get(facts, "places"), i, place) {
        json_array_append_new(places,
            json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}",
            "place_id", json_object_get(place, "place_id"),
            "name", json_object_get(place, "name"),
            "country_code", json_object_get(place, "country_code"),
            "lat", json_object_get(place, "lat"),
            "lon", json_object_get(place, "lon"),
            "miles_from_start", json_object_get(place, "miles_from_start")));
    }

    return places;
}


json_t *
worker_way_story(worker_job_t *job, const char *origin,
    const char *destination, const char *theme)
{
    int                rc;
    json_t            *facts, *text;
    worker_compose_t   compose = { .task = "story", .theme = theme };

    facts = way_facts(job, origin, destination);

    if (facts == NULL) {
        return NULL;
    }

    compose.facts = facts;
    rc = worker_compose(job, &compose, &text);

    if (rc == TRAVEL_OK) {
        json_object_set_new(text, "places", way_places(facts));
    }

    json_decref(facts);
    return rc == TRAVEL_OK ? text : NULL;
}


/* --- story.pregenerate ---------------------------------------------------- */

static worker_verdict_e
way_keep(worker_job_t *job, const char *origin, const char *destination,
    const char *theme, const json_t *text)
{
    char        *places;
    PGresult    *res;
    const char  *params[7];

    places = json_dumps(json_object_get(text, "places"),
                        JSON_COMPACT | JSON_REAL_PRECISION(15));
    params[0] = origin;
    params[1] = destination;
    params[2] = theme;
    params[3] = json_string_value(json_object_get(text, "title"));
    params[4] = json_string_value(json_object_get(text, "content"));
    params[5] = places;
    params[6] = json_string_value(json_object_get(text, "model"));

    res = worker_query(job,
        "INSERT INTO travel.route_stories AS s (origin_place_id,"
        "    destination_place_id, theme, title, content, places, provider)"
        " VALUES ($1::bigint, $2::bigint, $3, $4, $5, $6::jsonb, $7)"
        " ON CONFLICT (origin_place_id, destination_place_id, theme)"
        " DO UPDATE SET title = EXCLUDED.title, content = EXCLUDED.content,"
        "    places = EXCLUDED.places, provider = EXCLUDED.provider,"
        "    made_at = now()"
        " RETURNING true", 7, params);
    free(places);

    if (res == NULL) {
        return WORKER_RETRY;
    }

    PQclear(res);
    return WORKER_DONE;
}


/* Body: "ways" (20), "themes" (["adventure"]).  What is written stays written,
 * so a run that is retried goes on. */
static PGresult *
way_due(worker_job_t *job)
{
    char         ways[24];
    char        *themes;
    json_t      *list;
    PGresult    *res;
    json_int_t   n;
    const char  *params[2];

    n = json_integer_value(json_object_get(job->body, "ways"));
    snprintf(ways, sizeof(ways), "%" JSON_INTEGER_FORMAT, n > 0 ? n : 20);
    list = json_object_get(job->body, "themes");
    themes = json_is_array(list) ? json_dumps(list, JSON_COMPACT) : NULL;
    params[0] = ways;
    params[1] = themes != NULL ? themes : "[\"adventure\"]";

    res = worker_query(job,
        "SELECT d.origin_place_id, d.destination_place_id, d.theme"
        "  FROM travel.route_stories_due($1::integer, ARRAY(SELECT"
        "       jsonb_array_elements_text($2::jsonb))) AS d"
        "  JOIN travel.place AS o ON o.id = d.origin_place_id"
        "  JOIN travel.place AS e ON e.id = d.destination_place_id", 2,
        params);
    free(themes);
    return res;
}


static worker_verdict_e
way_pregenerate(worker_job_t *job)
{
    int                i;
    json_t            *text;
    PGresult          *due;
    const char        *origin, *destination, *theme;
    worker_verdict_e   verdict;

    due = way_due(job);

    if (due == NULL) {
        return WORKER_RETRY;
    }

    verdict = WORKER_DONE;

    for (i = 0; i < PQntuples(due) && verdict == WORKER_DONE && !job->cancel;
         i++)
    {
        origin = PQgetvalue(due, i, 0);
        destination = PQgetvalue(due, i, 1);
        theme = PQgetvalue(due, i, 2);
        text = worker_way_story(job, origin, destination, theme);
        verdict = text != NULL ? way_keep(job, origin, destination, theme,
                                          text) : WORKER_RETRY;
        json_decref(text);
    }

    PQclear(due);

    if (verdict == WORKER_DONE) {
        json_decref(job->result);
        job->result = json_pack("{s:i}", "written", i);
    }

    return verdict;
}


const worker_job_type_t  worker_jobs_way[] = {
    { "story.pregenerate", "maintenance", TRAVEL_PRIORITY_LOW,
      way_pregenerate, NULL, WORKER_RETRY_DEFAULTS, true },
    { .type = NULL }
};
