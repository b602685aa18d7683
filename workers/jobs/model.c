/*
 * model.train: learns from what users have told (ml.training), by a schedule.
 *
 * The newest fifth of the rows is held out: it says how good the model is, and
 * beside it how good it were to say the mean always.  A model that is not
 * better than that is put on record and does not go live; the one before stays.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "resource.h"
#include "../../common/ridge.h"

#define MODEL_ROWS_MIN  50
#define MODEL_ROWS_MAX  "20000"
#define MODEL_USERS_MAX "1000"
#define MODEL_PENALTY   0.01
#define MODEL_TEXT_MAX  ((TRAVEL_RIDGE_FEATURES_MAX + 1) * 26 + 3)

typedef struct {
    size_t   n;                          /* features */
    size_t   rows;
    double  *x;                          /* rows * n */
    double  *y;
} model_data_t;

typedef struct {
    size_t  trained_on;
    size_t  held_out;
    double  weights[TRAVEL_RIDGE_FEATURES_MAX + 1];
    double  mae;
    double  baseline_mae;
    double  r2;
    double  accuracy;                    /* of whole numbers; mood's classes */
} model_t;


/* --- data ---------------------------------------------------------------- */

/* "{1,2.5,...}" into at most TRAVEL_RIDGE_FEATURES_MAX numbers; 0: not so. */
static size_t
model_numbers(const char *text, double *x)
{
    char    *end;
    size_t   n;

    if (*text++ != '{') {
        return 0;
    }

    for (n = 0; n < TRAVEL_RIDGE_FEATURES_MAX; text = end + 1) {
        x[n] = strtod(text, &end);

        if (end == text || !isfinite(x[n++])) {
            return 0;
        }

        if (*end != ',') {
            return *end == '}' ? n : 0;
        }
    }

    return 0;
}


static void
model_data_free(model_data_t *data)
{
    free(data->x);
    free(data->y);
}


/* Rows whose numbers cannot be read are left out. */
static int
model_data_read(model_data_t *data, const PGresult *res)
{
    int     i, rows;
    size_t  n;
    double  x[TRAVEL_RIDGE_FEATURES_MAX];

    rows = PQntuples(res);
    memset(data, 0, sizeof(*data));
    data->x = calloc((size_t) rows + 1, sizeof(x));
    data->y = calloc((size_t) rows + 1, sizeof(double));

    if (data->x == NULL || data->y == NULL) {
        model_data_free(data);
        return TRAVEL_ERROR;
    }

    for (i = 0; i < rows; i++) {
        n = model_numbers(PQgetvalue(res, i, 0), x);

        if (n == 0 || (data->n != 0 && n != data->n)) {
            continue;
        }

        data->n = n;
        memcpy(data->x + data->rows * n, x, n * sizeof(double));
        data->y[data->rows++] = strtod(PQgetvalue(res, i, 1), NULL);
    }

    return TRAVEL_OK;
}


/* --- the model ----------------------------------------------------------- */

static void
model_judge(model_t *model, const model_data_t *data, double mean)
{
    size_t  i;
    double  error, wrong, spread, held_mean;

    wrong = 0;
    spread = 0;
    held_mean = 0;
    model->mae = 0;
    model->baseline_mae = 0;
    model->accuracy = 0;

    for (i = model->trained_on; i < data->rows; i++) {
        held_mean += data->y[i] / (double) model->held_out;
    }

    for (i = model->trained_on; i < data->rows; i++) {
        error = travel_ridge_predict(model->weights, data->n,
                                     data->x + i * data->n) - data->y[i];
        wrong += error * error;
        spread += (data->y[i] - held_mean) * (data->y[i] - held_mean);
        model->mae += fabs(error) / (double) model->held_out;
        model->baseline_mae += fabs(mean - data->y[i])
                               / (double) model->held_out;
        model->accuracy += (round(error + data->y[i]) == round(data->y[i]))
                           / (double) model->held_out;
    }

    model->r2 = spread > 0 ? 1 - wrong / spread : 0;
}


static int
model_learn(model_t *model, const model_data_t *data)
{
    size_t          i;
    travel_ridge_t  ridge;

    model->held_out = data->rows / 5;
    model->trained_on = data->rows - model->held_out;
    travel_ridge_start(&ridge, data->n);

    for (i = 0; i < model->trained_on; i++) {
        travel_ridge_add(&ridge, data->x + i * data->n, data->y[i]);
    }

    if (travel_ridge_solve(&ridge, MODEL_PENALTY, model->weights)
        != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    model_judge(model, data, ridge.mean[data->n]);
    return TRAVEL_OK;
}


/* --- on record ----------------------------------------------------------- */

static void
model_weights_text(const model_t *model, size_t n, char text[MODEL_TEXT_MAX])
{
    size_t  i, len;

    len = 0;

    for (i = 0; i <= n; i++) {
        len += (size_t) snprintf(text + len, MODEL_TEXT_MAX - len, "%c%.17g",
                                 i == 0 ? '{' : ',', model->weights[i]);
    }

    snprintf(text + len, MODEL_TEXT_MAX - len, "}");
}


/* Columns: the registry's row as JSON, and the id of the kind's stream. */
static PGresult *
model_insert(worker_tx_t *tx, const char *kind, const model_t *model, size_t n)
{
    char         text[6][32], weights[MODEL_TEXT_MAX];
    PGresult    *res;
    const char  *params[9];
    bool         live;

    live = model->mae < model->baseline_mae;
    model_weights_text(model, n, weights);
    snprintf(text[0], sizeof(text[0]), "%zu", model->trained_on);
    snprintf(text[1], sizeof(text[1]), "%zu", model->held_out);
    snprintf(text[2], sizeof(text[2]), "%.17g", model->mae);
    snprintf(text[3], sizeof(text[3]), "%.17g", model->baseline_mae);
    snprintf(text[4], sizeof(text[4]), "%.17g", model->r2);
    snprintf(text[5], sizeof(text[5]), "%.17g", model->accuracy);

    params[0] = kind;
    params[1] = live ? "t" : "f";
    params[2] = weights;
    params[3] = text[0];
    params[4] = text[1];
    params[5] = text[2];
    params[6] = text[3];
    params[7] = text[4];
    params[8] = strcmp(kind, "mood") == 0 ? text[5] : NULL;

    if (live) {
        res = worker_tx_exec(tx, "UPDATE ml.model SET live = false"
                                 " WHERE kind = $1 AND live", 1, params);

        if (res == NULL) {
            return NULL;
        }

        PQclear(res);
    }

    return worker_tx_exec(tx,
        "INSERT INTO ml.model AS m (kind, version, live, weights, trained_on,"
        "    held_out, mae, baseline_mae, r2, accuracy)"
        " SELECT k.kind, 1 + coalesce((SELECT max(version) FROM ml.model"
        "                               WHERE kind = k.kind), 0), $2::boolean,"
        "        $3::float8[], $4::integer, $5::integer, $6::float8,"
        "        $7::float8, $8::float8, $9::float8"
        "   FROM ml.kind AS k WHERE k.kind = $1"
        " RETURNING (to_jsonb(m) - 'weights')::text,"
        "           (SELECT id FROM ml.kind WHERE kind = $1)", 9, params);
}


/* What the model that is live now says of those who have told something of
 * late: they are told. */
static bool
model_predict(worker_tx_t *tx, const char *kind)
{
    char         queue[TRAVEL_QUEUE_NAME_MAX + 1], partition[16];
    char         tp[TRAVEL_TRACEPARENT_LEN + 1];
    PGresult    *res;
    const char  *params[6];

    worker_job_partition(tx->job, queue, partition);

    params[0] = kind;
    params[1] = MODEL_USERS_MAX;
    params[2] = tx->job->uuid;
    params[3] = worker_tx_trace(tp, &tx->job->trace);
    params[4] = queue;
    params[5] = partition;

    res = worker_tx_exec(tx, "SELECT ml.predict_all($1, $2::integer, $3::uuid,"
                             " $4, $5, $6::integer)", 6, params);
    PQclear(res);

    return res != NULL;
}


static worker_verdict_e
model_record_in(worker_tx_t *tx, const char *kind, const model_t *model,
    size_t n)
{
    PGresult  *res;

    res = model_insert(tx, kind, model, n);

    if (res == NULL
        || worker_tx_event(tx, "model", PQgetvalue(res, 0, 1), -1,
                           "model.trained", worker_row_json(res, 0))
           != TRAVEL_OK
        || !model_predict(tx, kind))
    {
        return worker_tx_retry(tx, res);
    }

    worker_tx_tag(tx, "predictions");
    return worker_tx_commit_row(tx, res);
}


static worker_verdict_e
model_record(worker_job_t *job, const char *kind, const model_t *model,
    size_t n)
{
    worker_tx_e  state;
    worker_tx_t  tx;

    state = worker_tx_begin(&tx, job, "train");

    return state == WORKER_TX_FRESH ? model_record_in(&tx, kind, model, n)
                                    : worker_tx_not_fresh(&tx, state);
}


/* --- the job ------------------------------------------------------------- */

static worker_verdict_e
model_train_rows(worker_job_t *job, const char *kind, const PGresult *res)
{
    model_t            model;
    model_data_t       data;
    worker_verdict_e   verdict;

    if (model_data_read(&data, res) != TRAVEL_OK) {
        return worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "out of memory");
    }

    if (data.rows < MODEL_ROWS_MIN
        || model_learn(&model, &data) != TRAVEL_OK)
    {
        json_decref(job->result);
        job->result = json_pack("{s:b, s:I, s:i}", "trained", 0, "rows",
                                (json_int_t) data.rows, "needed",
                                MODEL_ROWS_MIN);
        verdict = WORKER_DONE;

    } else {
        verdict = model_record(job, kind, &model, data.n);
    }

    model_data_free(&data);
    return verdict;
}


/* Body: "kind", "energy" or "mood". */
static worker_verdict_e
model_train(worker_job_t *job)
{
    PGresult          *res;
    worker_verdict_e   verdict;
    const char        *params[] = { worker_body_string(job, "kind"),
                                    MODEL_ROWS_MAX };

    if (params[0] == NULL || (strcmp(params[0], "energy") != 0
                              && strcmp(params[0], "mood") != 0))
    {
        return worker_job_fail(job, WORKER_REJECT, "VALIDATION_ERROR",
                               "kind is \"energy\" or \"mood\"");
    }

    res = worker_query(job, "SELECT * FROM ml.training($1, $2::integer)", 2,
                       params);
    verdict = res != NULL ? model_train_rows(job, params[0], res)
                          : WORKER_RETRY;
    PQclear(res);
    return verdict;
}


const worker_job_type_t  worker_jobs_model[] = {
    { "model.train", "maintenance", TRAVEL_PRIORITY_LOW, model_train, NULL, 5,
      1000, 300000, 300000, true },
    { .type = NULL }
};
