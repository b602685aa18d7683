/*
 * Domain events to Kafka, by a thread of its own: brokers that are away must
 * not hold up anything else.
 *
 * The thread owns all of it but 'stopping' (mutex).  It publishes while its
 * PostgreSQL session holds the advisory lock.  One batch is under way at a
 * time; the checkpoint moves when every message of it was acknowledged, so
 * what waits, waits in the event store and not in memory.
 *
 * Order: the producer is idempotent and never gives a message up, so brokers
 * get an aggregate's events in order or not at all.  Only when the batch is
 * dropped (the process stops, the lock is lost, librdkafka says that it cannot
 * go on) may a batch be repeated from its beginning.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "kafka.h"
#include "tail.h"
#include "../pool/log.h"

#define KAFKA_LOCK      "29298, 2"
#define KAFKA_TICK_MS   500         /* between looks when nothing waits */
#define KAFKA_POLL_MS   100
#define KAFKA_LOOK_MS   2000        /* is the lock still ours? */

struct worker_kafka_s {
    const worker_conf_t  *conf;
    pthread_t             thread;
    pthread_mutex_t       mutex;
    pthread_cond_t        wake;
    bool                  stopping;     /* mutex */

    worker_pg_t          *pg;
    rd_kafka_t           *producer;     /* NULL: to be made */
    worker_tail_t         tail;
    int                   under_way;
    bool                  broken;       /* the batch cannot be finished */
};


/* --- librdkafka ---------------------------------------------------------- */

static bool
kafka_set(rd_kafka_conf_t *rk, const char *name, const char *value,
    char why[256])
{
    return rd_kafka_conf_set(rk, name, value, why, 256) == RD_KAFKA_CONF_OK;
}


/* The properties that workers.conf has, then ours, which are not for sale. */
static rd_kafka_conf_t *
kafka_conf(const worker_conf_t *conf, char why[256])
{
    bool              good;
    char              name[128];
    size_t            i;
    const char       *equals;
    rd_kafka_conf_t  *rk;

    rk = rd_kafka_conf_new();
    good = kafka_set(rk, "bootstrap.servers", conf->kafka_brokers, why)
           && kafka_set(rk, "client.id", "travel-worker", why)
           && kafka_set(rk, "linger.ms", "5", why)
           && kafka_set(rk, "partitioner", "murmur2_random", why);

    for (i = 0; good && conf->kafka_properties[i] != NULL; i++) {
        equals = strchr(conf->kafka_properties[i], '=');

        if (equals == NULL
            || equals - conf->kafka_properties[i] >= (long) sizeof(name))
        {
            snprintf(why, 256, "\"%.100s\" is not \"name=value\"",
                     conf->kafka_properties[i]);
            good = false;
            break;
        }

        snprintf(name, sizeof(name), "%.*s",
                 (int) (equals - conf->kafka_properties[i]),
                 conf->kafka_properties[i]);
        good = kafka_set(rk, name, equals + 1, why);
    }

    good = good && kafka_set(rk, "enable.idempotence", "true", why)
           && kafka_set(rk, "acks", "all", why)
           && kafka_set(rk, "message.timeout.ms", "0", why);

    if (!good) {
        rd_kafka_conf_destroy(rk);
        return NULL;
    }

    return rk;
}


bool
worker_kafka_check(const worker_conf_t *conf, char why[256])
{
    rd_kafka_conf_t  *rk;

    rk = kafka_conf(conf, why);

    if (rk == NULL) {
        return false;
    }

    rd_kafka_conf_destroy(rk);
    return true;
}


static void
kafka_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
    (void) rk;
    worker_log(level <= 3 ? WORKER_LOG_WARN : WORKER_LOG_INFO, "kafka: %s %s",
               fac, buf);
}


/* One that no broker will ever take must not hold up those behind it. */
static bool
kafka_poison(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
           || err == RD_KAFKA_RESP_ERR_INVALID_MSG
           || err == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE
           || err == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}


static void
kafka_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *ctx)
{
    worker_kafka_t  *kafka = ctx;

    (void) rk;
    kafka->under_way--;

    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }

    if (kafka_poison(message->err)) {
        worker_log(WORKER_LOG_ERROR, "kafka: an event of %.*s can not be "
                   "sent and is left out: %s", (int) message->key_len,
                   (const char *) message->key,
                   rd_kafka_err2str(message->err));
        return;
    }

    kafka->broken = true;
}


static bool
kafka_producer(worker_kafka_t *kafka)
{
    char              why[256];
    rd_kafka_conf_t  *rk;

    if (kafka->producer != NULL) {
        return true;
    }

    rk = kafka_conf(kafka->conf, why);

    if (rk != NULL) {
        rd_kafka_conf_set_log_cb(rk, kafka_log);
        rd_kafka_conf_set_dr_msg_cb(rk, kafka_delivered);
        rd_kafka_conf_set_opaque(rk, kafka);
        kafka->producer = rd_kafka_new(RD_KAFKA_PRODUCER, rk, why,
                                       sizeof(why));

        if (kafka->producer == NULL) {
            rd_kafka_conf_destroy(rk);
        }
    }

    if (kafka->producer == NULL) {
        worker_log(WORKER_LOG_ERROR, "kafka: %s", why);
    }

    return kafka->producer != NULL;
}


/* Nothing that is under way comes back later: it is repeated. */
static void
kafka_drop(worker_kafka_t *kafka)
{
    if (kafka->producer != NULL) {
        rd_kafka_purge(kafka->producer, RD_KAFKA_PURGE_F_QUEUE
                                        | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(kafka->producer, 0);
        rd_kafka_destroy(kafka->producer);
        kafka->producer = NULL;
    }

    kafka->under_way = 0;
    kafka->broken = false;
    worker_tail_again(&kafka->tail);
}


/* --- the lock ----------------------------------------------------- */

static bool
kafka_true(worker_kafka_t *kafka, const char *sql)
{
    bool       yes;
    PGresult  *res;

    res = worker_tail_ask(&kafka->tail, kafka->pg, sql, 0, NULL);
    yes = res != NULL && *PQgetvalue(res, 0, 0) == 't';
    PQclear(res);
    return yes;
}


/* Does this very session hold the lock?  It may be another one than the last
 * time, made again without a word. */
static bool
kafka_leads(worker_kafka_t *kafka)
{
    return kafka_true(kafka,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'"
        "                  AND classid = 29298 AND objid = 2"
        "                  AND pid = pg_backend_pid() AND granted)");
}


static bool
kafka_lead(worker_kafka_t *kafka)
{
    if (kafka_leads(kafka)) {
        return true;
    }

    kafka_drop(kafka);

    if (!kafka_true(kafka, "SELECT pg_try_advisory_lock(" KAFKA_LOCK ")")) {
        return false;
    }

    worker_log(WORKER_LOG_INFO, "kafka: publishes to %s",
               kafka->conf->kafka_brokers);
    return true;
}


/* --- a batch ------------------------------------------------------------- */

/* Topic, aggregate, position, type, trace, unix ms, event. */
static const char  kafka_columns[] =
    "p.name, e.stream_id, e.position, e.type, coalesce(e.trace, ''),"
    "floor(extract(epoch FROM e.created_at) * 1000)::bigint,"
    WORKER_TAIL_EVENT;


static bool
kafka_stopping(worker_kafka_t *kafka)
{
    bool  stopping;

    pthread_mutex_lock(&kafka->mutex);
    stopping = kafka->stopping;
    pthread_mutex_unlock(&kafka->mutex);
    return stopping;
}


static rd_kafka_resp_err_t
kafka_produce(worker_kafka_t *kafka, const PGresult *rows, int i)
{
    char  topic[256];

    snprintf(topic, sizeof(topic), "%.120s%.120s", kafka->conf->kafka_prefix,
             PQgetvalue(rows, i, 0));

    return rd_kafka_producev(kafka->producer,
        RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_KEY(PQgetvalue(rows, i, 1),
                       (size_t) PQgetlength(rows, i, 1)),
        RD_KAFKA_V_VALUE(PQgetvalue(rows, i, 6),
                         (size_t) PQgetlength(rows, i, 6)),
        RD_KAFKA_V_TIMESTAMP(strtoll(PQgetvalue(rows, i, 5), NULL, 10)),
        RD_KAFKA_V_HEADER("id", PQgetvalue(rows, i, 2), -1),
        RD_KAFKA_V_HEADER("type", PQgetvalue(rows, i, 3), -1),
        RD_KAFKA_V_HEADER("traceparent", PQgetvalue(rows, i, 4), -1),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
}


/* All of the rows into the producer's queue; waits when it is full. */
static bool
kafka_queue(worker_kafka_t *kafka, const PGresult *rows)
{
    int                   i;
    rd_kafka_resp_err_t   err;

    for (i = 0; i < PQntuples(rows) && !kafka->broken; ) {
        err = kafka_produce(kafka, rows, i);

        if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            if (kafka_stopping(kafka)) {
                return false;
            }

            rd_kafka_poll(kafka->producer, KAFKA_POLL_MS);
            continue;
        }

        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka->under_way++;

        } else if (!kafka_poison(err)) {
            worker_log(WORKER_LOG_WARN, "kafka: %s", rd_kafka_err2str(err));
            return false;

        } else {
            worker_log(WORKER_LOG_ERROR, "kafka: event %s can not be sent and "
                       "is left out: %s", PQgetvalue(rows, i, 2),
                       rd_kafka_err2str(err));
        }

        i++;
    }

    return true;
}


static int64_t
kafka_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* Until all are acknowledged, however long the brokers are away. */
static bool
kafka_wait(worker_kafka_t *kafka)
{
    int64_t  look;

    look = kafka_now() + KAFKA_LOOK_MS;

    while (kafka->under_way > 0 && !kafka->broken) {
        rd_kafka_poll(kafka->producer, KAFKA_POLL_MS);

        if (kafka_stopping(kafka)) {
            return false;
        }

        if (kafka->under_way > 0 && kafka_now() >= look) {
            look = kafka_now() + KAFKA_LOOK_MS;

            if (!kafka_leads(kafka)
                || rd_kafka_fatal_error(kafka->producer, NULL, 0)
                   != RD_KAFKA_RESP_ERR_NO_ERROR)
            {
                return false;
            }
        }
    }

    return !kafka->broken;
}


/* True: there may be more at once. */
static bool
kafka_batch(worker_kafka_t *kafka)
{
    bool       good, failed;
    char       next[24];
    PGresult  *rows;

    rows = worker_tail_next(&kafka->tail, kafka->pg, kafka_columns, next,
                            &failed);

    if (rows == NULL) {
        return false;
    }

    good = kafka_queue(kafka, rows) && kafka_wait(kafka)
           && worker_tail_move(&kafka->tail, kafka->pg, next,
                               PQntuples(rows));
    PQclear(rows);

    if (!good) {
        kafka_drop(kafka);
    }

    return good;
}


static void
kafka_sleep(worker_kafka_t *kafka)
{
    struct timespec  until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += KAFKA_TICK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;

    pthread_mutex_lock(&kafka->mutex);

    if (!kafka->stopping) {
        (void) pthread_cond_timedwait(&kafka->wake, &kafka->mutex, &until);
    }

    pthread_mutex_unlock(&kafka->mutex);
}


static void *
kafka_main(void *ctx)
{
    worker_kafka_t  *kafka = ctx;

    while (!kafka_stopping(kafka)) {
        if (!kafka_lead(kafka) || !kafka_producer(kafka)
            || !kafka_batch(kafka))
        {
            kafka_sleep(kafka);
        }
    }

    kafka_drop(kafka);
    worker_pg_free(&kafka->pg);
    return NULL;
}


worker_kafka_t *
worker_kafka_start(const worker_conf_t *conf)
{
    worker_kafka_t      *kafka;
    pthread_condattr_t   attr;

    if (conf->kafka_brokers == NULL) {
        return NULL;
    }

    kafka = calloc(1, sizeof(worker_kafka_t));

    if (kafka == NULL) {
        return NULL;
    }

    kafka->conf = conf;
    kafka->tail.name = "kafka";
    kafka->pg = worker_pg_create(conf->pg_dsn, "travel-kafka");
    pthread_mutex_init(&kafka->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&kafka->wake, &attr);
    pthread_condattr_destroy(&attr);

    if (kafka->pg == NULL
        || pthread_create(&kafka->thread, NULL, kafka_main, kafka) != 0)
    {
        worker_log(WORKER_LOG_ERROR, "kafka: the thread does not start");
        worker_pg_free(&kafka->pg);
        free(kafka);
        return NULL;
    }

    return kafka;
}


void
worker_kafka_stop(worker_kafka_t **pkafka)
{
    worker_kafka_t  *kafka;

    kafka = *pkafka;
    *pkafka = NULL;

    if (kafka == NULL) {
        return;
    }

    pthread_mutex_lock(&kafka->mutex);
    kafka->stopping = true;
    pthread_cond_signal(&kafka->wake);
    pthread_mutex_unlock(&kafka->mutex);

    pthread_join(kafka->thread, NULL);
    pthread_cond_destroy(&kafka->wake);
    pthread_mutex_destroy(&kafka->mutex);
    free(kafka);
}
