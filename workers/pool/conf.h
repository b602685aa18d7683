/*
 * workers.conf, read once by libconfuse before the first fork; immutable after
 * that, so every thread of every process reads it without a lock.
 *
 *     processes = 2          slots = 16        log_level = "info"
 *     waiting   = 2000
 *     autoscale { processes = 8 slots = 64 age = 2s every = 5s idle = 60s }
 *     claim_check = 64k
 *     recycle   { jobs = 1000000 memory = 1g jitter = 0.2 }
 *     queues    = { "journey", "booking", ... }      lease_ttl = 10s
 *     metrics   = "127.0.0.1:8084"
 *     redis queue { socket = "..." user = "worker" password_file = "..." }
 *     postgres primary { dsn = "..." password_file = "..." }
 *     smtp { host = "127.0.0.1" port = 8082 from = "..." tls = "off" }
 *     otlp { url = "http://127.0.0.1:8083/v1/traces" sample = 1.0 }
 *     partner opentable { url = "http://127.0.0.1:8081" timeout = 5s
 *                         key_file = "..." header = { "X-Sandbox: slow" } }
 *     schedule "expiry" { cron = "15 3 * * *" timezone = "UTC"
 *                         type = "maintenance.expire" catch_up = "once"
 *                         body = "{}" }
 *     etl fact_journeys { file = "conf/travel/etl/fact_journeys.sql"
 *                         batch = 1000 }
 *     type "booking.create" { retries = 3 base = 1s cap = 300s timeout = 300s
 *                             weight = 1 concurrency = 50 rate = 100/s
 *                             user_concurrency = 2 user_rate = 30/m }
 *     queue "booking" { retention = 4d }
 *     accounts { signing_key = "keys/signing.pem" }
 */

#ifndef WORKER_CONF_H
#define WORKER_CONF_H

#include "../../common/address.h"
#include "../../common/cron.h"
#include "scale.h"

#define WORKER_PARTNERS_MAX  32
#define WORKER_SCHEDULES_MAX 64
#define WORKER_ETL_MAX       32
#define WORKER_ALLOW_MAX     16
#define WORKER_TYPES_MAX     64
#define WORKER_HEADERS_MAX   8
#define WORKER_QUEUES_MAX    16
#define WORKER_PROPERTIES_MAX 32

typedef struct {
    char         *code;
    char         *url;                 /* no trailing slash */
    char         *key;                 /* bearer key, or NULL */
    char         *headers[WORKER_HEADERS_MAX];    /* NULL-terminated */
    long          timeout_ms;
    unsigned      concurrency;         /* requests in flight, per process */
    unsigned      breaker_failures;    /* in a row, open it */
    unsigned      breaker_successes;   /* of probes, close it */
    long          breaker_open_ms;
} worker_partner_t;

typedef enum {
    WORKER_TLS_OFF,
    WORKER_TLS_STARTTLS,               /* required, not just offered */
    WORKER_TLS_IMPLICIT                /* from the first byte (RFC 8314) */
} worker_tls_e;

typedef enum {
    WORKER_PUSH_FCM,
    WORKER_PUSH_APNS,
    WORKER_PUSH_SERVICES
} worker_push_service_e;

typedef struct {                       /* its section "push"; all owned */
    char         *url;                 /* NULL: there is none; no slash at its
                                          end */
    char         *pem;                 /* the private key */
    char         *key_id;              /* its name there */
    char         *client_email;        /* FCM, so below */
    char         *project_id;
    char         *token_url;
    char         *team_id;             /* APNs, so below */
    char         *topic;               /* the app's bundle id */
    char         *ca_file;             /* whom to trust, or NULL */
    long          timeout_ms;
} worker_push_conf_t;

typedef struct {                       /* overrides of a job type's table row */
    char         *type;
    int           retries;             /* -1: as the table says, so below */
    long          base_ms;
    long          cap_ms;
    long          timeout_ms;
    unsigned      weight;              /* among types of a priority; 0: 1 */
    unsigned      concurrency;         /* jobs at once, in all pools; 0: any,
                                          so below */
    double        rate;                /* jobs a second, likewise */
    unsigned      user_concurrency;    /* of one caller, in a partition */
    double        user_rate;
} worker_type_conf_t;

/* What happens to fire times that nobody was there for. */
typedef enum {
    WORKER_CATCH_UP_SKIP,              /* nothing */
    WORKER_CATCH_UP_ONCE,              /* the last of them is made up */
    WORKER_CATCH_UP_ALL
} worker_catch_up_e;

typedef struct {
    char               *name;
    char               *expression;    /* as written */
    travel_cron_t       cron;
    char               *timezone;      /* a file below /usr/share/zoneinfo */
    char               *type;          /* of the job */
    char               *body;          /* a JSON object, or NULL */
    worker_catch_up_e   catch_up;
} worker_schedule_t;

typedef struct {                       /* its section "accounts"; all owned */
    char         *pem;                 /* signs access tokens; NULL: there are
                                          no accounts here */
    char         *issuer;
    char         *audience;
    char         *permissions;         /* of everybody, apart by spaces */
    char         *link;                /* where mails lead; no slash at its
                                          end */
    long          access_ms;           /* how long each is good */
    long          refresh_ms;
    long          idle_ms;
    long          verify_ms;
    long          reset_ms;
    unsigned      memory;              /* Argon2id: KiB */
    unsigned      passes;
    unsigned      lanes;
} worker_accounts_t;

typedef struct {
    char               *name;
    char               *file;          /* its two statements: jobs/etl.c */
    unsigned            batch;         /* events, about */
} worker_etl_t;

typedef struct {
    char               *path;          /* of the file that was read */
    unsigned            processes;
    unsigned            slots;         /* threads per process */
    unsigned            waiting;       /* jobs of a process that wait for the
                                          outside without a slot */
    worker_scale_conf_t  scale;        /* its least is the two above; its most
                                          the same without "autoscale" */
    uint64_t            claim_check;   /* bytes: larger payloads and results of
                                          workers go to the database */
    uint64_t            recycle_jobs;  /* of a process; 0: any, so below */
    uint64_t            recycle_memory;    /* bytes */
    double              recycle_jitter;    /* as a part of the two */
    int                 log_level;
    char               *queues[WORKER_QUEUES_MAX];    /* NULL-terminated */
    long                retention_ms[WORKER_QUEUES_MAX];  /* by the index of
                                          travel_queue_name: how long ends of
                                          jobs and dead letters are kept */
    long                lease_ttl_ms;
    long                drain_ms;      /* SIGTERM: how long jobs may finish */
    char               *metrics;       /* host:port; process 0 serves */

    char               *redis_socket;  /* or host:port; several, see
                                          redis.h */
    char               *redis_user;
    char               *redis_password;
    bool                redis_cluster;
    long                redis_acks;    /* replicas that must have what must
                                          not be lost */
    char               *cache_socket;  /* of the cache role, or NULL: no live
                                          messages */
    char               *cache_user;
    char               *cache_password;

    char               *pg_dsn;        /* password merged in */
    char               *analytics_dsn; /* likewise, or NULL */

    char               *smtp_host;
    unsigned            smtp_port;
    char               *smtp_from;
    char               *smtp_user;
    char               *smtp_password;
    worker_tls_e        smtp_tls;
    char               *smtp_ca_file;  /* whom to trust, or NULL: the system's
                                          list */
    long                smtp_timeout_ms;

    char               *otlp_url;      /* NULL: no spans */
    double              otlp_sample;   /* for jobs that come without a trace */

    char               *prompts_dir;   /* conf/travel/prompts */
    char               *templates_dir; /* conf/travel/templates */
    struct travel_seal_keys_s  *sealed_keys;   /* or NULL: none */

    worker_accounts_t   accounts;

    char               *payments;      /* the partner that takes them, or
                                          NULL: bookings cost nothing */
    char               *images;        /* the partner that makes portraits, or
                                          NULL: personas have none */
    worker_push_conf_t  push[WORKER_PUSH_SERVICES];

    worker_partner_t    partners[WORKER_PARTNERS_MAX];    /* destinations:
                                          "smtp", "fcm", "apns" are, too */
    size_t              npartners;
    worker_type_conf_t  types[WORKER_TYPES_MAX];
    size_t              ntypes;
    worker_schedule_t   schedules[WORKER_SCHEDULES_MAX];
    size_t              nschedules;
    worker_etl_t        etl[WORKER_ETL_MAX];
    size_t              netl;
    travel_network_t    webhook_allow[WORKER_ALLOW_MAX];  /* not public, but
                                          webhooks may go there */
    size_t              nwebhook_allow;
    bool                topics;        /* domain events are published */
    char               *kafka_brokers; /* NULL: not to Kafka */
    char               *kafka_prefix;  /* of topics' names, maybe "" */
    char               *kafka_properties[WORKER_PROPERTIES_MAX];  /* of
                                          librdkafka, "name=value";
                                          NULL-terminated */
} worker_conf_t;

/* NULL with one line "file:line: what, what to do" on stderr. */
worker_conf_t *worker_conf_load(const char *path);
void worker_conf_free(worker_conf_t *conf);
/* How long a queue keeps what became of jobs. */
long worker_conf_retention_ms(const worker_conf_t *conf, const char *queue);
const worker_etl_t *worker_conf_etl(const worker_conf_t *conf,
    const char *name);
/* "skip", "once" or "all". */
const char *worker_catch_up_name(worker_catch_up_e catch_up);
const worker_partner_t *worker_conf_partner(const worker_conf_t *conf,
    const char *code);

#endif
