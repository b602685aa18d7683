/* The text providers by name, and what their answers own. */

#include <stdlib.h>

#include "provider.h"

static const worker_provider_t *const  providers[] = {
    &worker_provider_offline
};


const worker_provider_t *
worker_provider(const char *name)
{
    size_t  i;

    for (i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (strcmp(providers[i]->name, name) == 0) {
            return providers[i];
        }
    }

    return NULL;
}


void
worker_ai_answer_free(worker_ai_answer_t *answer)
{
    free(answer->title);
    free(answer->content);
    free(answer->model);
    memset(answer, 0, sizeof(*answer));
}
