/* The text of a mail or push, by the product's templates. */

#ifndef WORKER_MESSAGE_H
#define WORKER_MESSAGE_H

#include <jansson.h>

#include "../pool/conf.h"

typedef struct {
    char  *subject;               /* all owned; of a push: its title */
    char  *text;
    char  *html;                  /* or NULL */
} worker_message_t;

/* <name>.txt (first line "Subject: ...", an empty line, the text) and, when
 * there is one, <name>.html.  False: they cannot be used; free it all the
 * same. */
bool worker_message_render(const worker_conf_t *conf, const char *name,
    const json_t *data, worker_message_t *ret_message);

/* <name>.push, in the form of a .txt; without one, that of the mail. */
bool worker_message_push(const worker_conf_t *conf, const char *name,
    const json_t *data, worker_message_t *ret_message);

void worker_message_free(worker_message_t *message);

#endif
