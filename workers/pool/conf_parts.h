/* What the files that read workers.conf share; nobody else needs it. */

#ifndef WORKER_CONF_PARTS_H
#define WORKER_CONF_PARTS_H

#include <confuse.h>

#include "conf.h"

/* A text option, owned; NULL when it is not given. */
char *worker_conf_string(cfg_t *cfg, const char *name);

/* The first line of the file that an option names, owned; NULL without the
 * option.  TRAVEL_OK, or TRAVEL_INVALID: it cannot be read, which is said. */
int worker_conf_secret(cfg_t *cfg, const char *name, char **ret_secret)
    TRAVEL_MUST_CHECK;

/* A whole file of at most 16 KiB that a section's option names, NUL-terminated,
 * owned; NULL: it cannot be read, which is said. */
char *worker_conf_file(cfg_t *sec, const char *name);

/* Leaves *ms alone when the option is not given. */
void worker_conf_duration(cfg_t *cfg, const char *name, long *ms);

/* conf_value.c: the parser asks about each value from now on. */
void worker_conf_rules(cfg_t *cfg);

/* "10s", "250ms", "5m", "2h", "1d".  TRAVEL_OK or TRAVEL_INVALID. */
int worker_conf_duration_parse(const char *text, long *ret_ms);

/* "512k", "64m", "2g" in bytes.  Likewise. */
int worker_conf_size_parse(const char *text, uint64_t *ret_bytes);

/* Values of worker_tls_e and worker_catch_up_e by their words, or -1. */
int worker_conf_tls(const char *v);
int worker_conf_catch_up(const char *v);

/* "50/s", "30/m", "100/h" in jobs a second. */
int worker_conf_rate_parse(const char *text, double *ret_rate)
    TRAVEL_MUST_CHECK;
/* Leaves *rate alone when the option is not given. */
void worker_conf_rate(cfg_t *cfg, const char *name, double *rate);

/* conf_work.c: the sections "type" and "queue" */
extern cfg_opt_t  worker_conf_type_opts[];
extern cfg_opt_t  worker_conf_queue_opts[];

int worker_conf_work(cfg_t *cfg, worker_conf_t *conf) TRAVEL_MUST_CHECK;

/* conf_outside.c: the sections of those who are called, and what names one */
extern cfg_opt_t  worker_conf_smtp_opts[];
extern cfg_opt_t  worker_conf_push_opts[];
extern cfg_opt_t  worker_conf_kafka_opts[];
extern cfg_opt_t  worker_conf_partner_opts[];

int worker_conf_outside(cfg_t *cfg, worker_conf_t *conf) TRAVEL_MUST_CHECK;
void worker_conf_outside_free(worker_conf_t *conf);

/* conf_accounts.c: the section "accounts" */
extern cfg_opt_t  worker_conf_accounts_opts[];

int worker_conf_accounts(cfg_t *cfg, worker_conf_t *conf) TRAVEL_MUST_CHECK;
void worker_conf_accounts_free(worker_conf_t *conf);

#endif
