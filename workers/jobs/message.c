/* The text of a mail or push, by the product's templates. */

#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "template.h"

#define MESSAGE_NAME_MAX  64


void
worker_message_free(worker_message_t *message)
{
    free(message->subject);
    free(message->text);
    free(message->html);
}


/* The subject is the file's first line, without "Subject: ". */
static bool
message_split(worker_message_t *message, const char *source,
    const json_t *data)
{
    size_t       line;
    const char  *body;

    line = strcspn(source, "\n");

    if (strncmp(source, "Subject: ", 9) != 0 || line < 10) {
        return false;
    }

    body = source + line;
    body += strspn(body, "\n");

    message->subject = worker_template_render(
                           (travel_str_t) { source + 9, line - 9 }, data,
                           false);
    message->text = worker_template_render(
                        (travel_str_t) { body, strlen(body) }, data, false);

    return message->subject != NULL && message->text != NULL;
}


static char *
message_load(const worker_conf_t *conf, const char *name, const char *ending)
{
    char  file[MESSAGE_NAME_MAX + 8];

    snprintf(file, sizeof(file), "%.64s.%s", name, ending);
    return worker_template_load(conf->templates_dir, file);
}


bool
worker_message_render(const worker_conf_t *conf, const char *name,
    const json_t *data, worker_message_t *ret_message)
{
    bool   good;
    char  *source;

    memset(ret_message, 0, sizeof(*ret_message));
    source = message_load(conf, name, "txt");
    good = source != NULL && message_split(ret_message, source, data);
    free(source);

    source = good ? message_load(conf, name, "html") : NULL;

    if (source != NULL) {
        ret_message->html = worker_template_render(
                          (travel_str_t) { source, strlen(source) }, data,
                          true);
        good = ret_message->html != NULL;
        free(source);
    }

    return good;
}


bool
worker_message_push(const worker_conf_t *conf, const char *name,
    const json_t *data, worker_message_t *ret_message)
{
    bool    good;
    char   *source;
    size_t  n;

    memset(ret_message, 0, sizeof(*ret_message));
    source = message_load(conf, name, "push");
    source = source != NULL ? source : message_load(conf, name, "txt");
    good = source != NULL && message_split(ret_message, source, data);
    free(source);

    if (good) {
        n = strlen(ret_message->text);

        while (n > 0 && ret_message->text[n - 1] == '\n') {
            ret_message->text[--n] = '\0';
        }
    }

    return good;
}
