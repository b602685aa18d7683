/*
 * The provider that needs nothing: it sets facts into sentences of a file.
 *
 * <task>.offline.txt has sections "[theme]" of lines "kind: sentence"; a kind
 * may come several times, the seed picks one.  What a theme lacks is taken from
 * "[default]".  Kinds: title, open, place (once for each of "places" in the
 * facts), item (the same for "items"), close, note (says that no model was
 * asked).  Equal requests give equal
 * answers.
 */

#include <stdio.h>
#include <stdlib.h>

#include "provider.h"
#include "../jobs/job.h"
#include "../jobs/template.h"
#include "../pool/slot.h"

typedef struct {
    const char    *text;          /* of the whole file */
    const char    *theme;
    const json_t  *facts;
    uint64_t       seed;          /* which sentence of a kind is the first */
    size_t         turn;          /* sentences so far: the next is the next */
    FILE          *out;
} offline_t;


/* Another number for each kind, the same for equal requests (FNV-1a). */
static uint64_t
offline_choice(const offline_t *o, const char *kind)
{
    uint64_t  h;

    for (h = o->seed ^ 14695981039346656037ULL; *kind != '\0'; kind++) {
        h = (h ^ (uint8_t) *kind) * 1099511628211ULL;
    }

    return h >> 7;
}


/* The n-th sentence of a kind in a section, and how many there are. */
static size_t
offline_find(const offline_t *o, const char *section, const char *kind,
    size_t n, travel_str_t *ret_line)
{
    bool         inside;
    size_t       len, count, skip;
    const char  *p;

    inside = false;
    count = 0;

    for (p = o->text; *p != '\0'; p += len + (p[len] == '\n')) {
        len = strcspn(p, "\n");

        if (*p == '[') {
            skip = strcspn(p + 1, "]\n");
            inside = strlen(section) == skip
                     && strncmp(p + 1, section, skip) == 0;
            continue;
        }

        skip = strlen(kind);

        if (!inside || len < skip + 2 || strncmp(p, kind, skip) != 0
            || p[skip] != ':')
        {
            continue;
        }

        if (count++ == n) {
            skip += 1 + strspn(p + skip + 1, " ");
            *ret_line = (travel_str_t) { p + skip, len - skip };
        }
    }

    return count;
}


/* One sentence with its places filled, owned by the caller; NULL when there
 * is none or memory is short. */
static char *
offline_sentence(offline_t *o, const char *kind, const json_t *data)
{
    size_t        n;
    const char   *section;
    travel_str_t  line = TRAVEL_NULL_STR;

    section = o->theme;
    n = offline_find(o, section, kind, 0, &line);

    if (n == 0) {
        section = "default";
        n = offline_find(o, section, kind, 0, &line);
    }

    if (n == 0) {
        return NULL;
    }

    /* in turn, so that neighbours do not say the same */
    (void) offline_find(o, section, kind,
                        (size_t) ((offline_choice(o, kind) + o->turn++) % n),
                        &line);
    return worker_template_render(line, data, false);
}


static bool
offline_paragraph(offline_t *o, const char *kind, const json_t *data)
{
    char  *text;

    text = offline_sentence(o, kind, data);

    if (text == NULL) {
        return false;
    }

    fprintf(o->out, "%s%s", ftell(o->out) > 0 ? "\n\n" : "", text);
    free(text);
    return true;
}


/* A paragraph for each of a list in the facts. */
static bool
offline_list(offline_t *o, const char *member, const char *kind)
{
    bool     good;
    size_t   i;
    json_t  *data, *item;

    good = true;

    json_array_foreach(json_object_get(o->facts, member), i, item) {
        data = json_copy((json_t *) o->facts);
        json_object_update(data, item);
        good = good && offline_paragraph(o, kind, data);
        json_decref(data);
    }

    return good;
}


static bool
offline_text(offline_t *o)
{
    bool  good;

    good = offline_paragraph(o, "open", o->facts)
           && offline_list(o, "places", "place")
           && offline_list(o, "items", "item");

    return good && offline_paragraph(o, "close", o->facts)
           && offline_paragraph(o, "note", o->facts);
}


/* About four bytes make one. */
static long
offline_tokens(const char *text)
{
    return text != NULL ? (long) ((strlen(text) + 3) / 4) : 0;
}


static int
offline_write(offline_t *o, worker_ai_answer_t *ret_answer)
{
    bool                good;
    char               *facts;
    size_t              len;
    worker_ai_answer_t  answer = { .title = NULL };

    answer.title = offline_sentence(o, "title", o->facts);
    answer.model = strdup("offline");
    o->out = open_memstream(&answer.content, &len);
    good = o->out != NULL && answer.title != NULL && answer.model != NULL
           && offline_text(o);

    if ((o->out != NULL && fclose(o->out) != 0) || !good) {
        worker_ai_answer_free(&answer);
        return TRAVEL_ERROR;
    }

    /* a model would have read the facts and written the text */

    facts = json_dumps(o->facts, JSON_COMPACT);
    answer.input_tokens = offline_tokens(facts);
    answer.output_tokens = offline_tokens(answer.content);
    free(facts);

    *ret_answer = answer;
    return TRAVEL_OK;
}


static int
offline_complete(worker_job_t *job, const worker_ai_request_t *req,
    worker_ai_answer_t *ret_answer)
{
    int        rc;
    char       file[64], *text;
    offline_t  o = { .theme = req->theme, .facts = req->facts,
                     .seed = req->seed };

    snprintf(file, sizeof(file), "%s.offline.txt", req->task);
    text = worker_template_load(job->slot->conf->prompts_dir, file);

    if (text == NULL) {
        (void) worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "the text file \"%s\" cannot be read", file);
        return TRAVEL_ERROR;
    }

    o.text = text;
    rc = offline_write(&o, ret_answer);
    free(text);

    if (rc != TRAVEL_OK) {
        (void) worker_job_fail(job, WORKER_RETRY, "INTERNAL_ERROR",
                               "\"%s\" lacks a sentence that is needed", file);
    }

    return rc;
}


const worker_provider_t  worker_provider_offline = {
    "offline", offline_complete
};
