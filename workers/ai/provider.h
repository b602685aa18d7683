/*
 * The interface of a text provider.  'offline' is the one that needs nothing:
 * deterministic, says that it is offline, writes from the facts it is given.
 */

#ifndef WORKER_PROVIDER_H
#define WORKER_PROVIDER_H

#include <jansson.h>

#include "../../common/travel.h"

struct worker_job_s;

typedef struct {
    const char    *task;          /* "story" */
    const char    *theme;
    const json_t  *facts;         /* {origin, destination, places:[...]} */
    uint64_t       seed;
} worker_ai_request_t;

typedef struct {
    char  *title;                 /* owned */
    char  *content;               /* owned */
    char  *model;                 /* owned: "offline" */
    long   input_tokens;
    long   output_tokens;
} worker_ai_answer_t;

typedef struct {
    const char  *name;
    int        (*complete)(struct worker_job_s *job,
                           const worker_ai_request_t *req,
                           worker_ai_answer_t *ret_answer);
} worker_provider_t;

extern const worker_provider_t  worker_provider_offline;

const worker_provider_t *worker_provider(const char *name);
void worker_ai_answer_free(worker_ai_answer_t *answer);

#endif
