/*
 * Jobs of personalities: personality.turn_season, by a schedule.
 *
 * Which voices there are follows from the day; it may be asked as often as one
 * likes, and by two at once.
 */

#include <stdio.h>

#include "families.h"
#include "resource.h"


static int
personality_told(worker_tx_t *tx, const PGresult *res)
{
    int          i;
    const char  *type;

    for (i = 0; i < PQntuples(res); i++) {
        type = *PQgetvalue(res, i, 2) == 't' ? "personality.activated"
                                             : "personality.retired";

        if (worker_tx_event(tx, "personality", PQgetvalue(res, i, 0), -1, type,
                            json_pack("{s:s}", "code", PQgetvalue(res, i, 1)))
            != TRAVEL_OK)
        {
            return TRAVEL_ERROR;
        }
    }

    return TRAVEL_OK;
}


/* Body: "day" (YYYY-MM-DD) instead of today. */
static worker_verdict_e
personality_turn_in(worker_tx_t *tx)
{
    int          n;
    PGresult    *res;
    const char  *params[] = { worker_body_string(tx->job, "day") };

    res = worker_tx_exec(tx,
        "SELECT id, code, active FROM travel.turn_season("
        "    coalesce($1::date, (now() AT TIME ZONE 'UTC')::date))", 1, params);

    if (res == NULL || personality_told(tx, res) != TRAVEL_OK) {
        return worker_tx_retry(tx, res);
    }

    n = PQntuples(res);
    PQclear(res);

    if (n > 0) {
        worker_tx_tag(tx, "personalities");
    }

    return worker_tx_commit(tx, json_pack("{s:i}", "changed", n));
}


static worker_verdict_e
personality_turn_season(worker_job_t *job)
{
    return worker_tx_run(job, "turn", personality_turn_in);
}


const worker_job_type_t  worker_jobs_personality[] = {
    { "personality.turn_season", "maintenance", TRAVEL_PRIORITY_LOW,
      personality_turn_season, NULL, 5, 1000, 300000, 300000, true },
    { .type = NULL }
};
