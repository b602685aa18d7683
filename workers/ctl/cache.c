/*
 * travelctl cache purge: asks a node's travel_purge location, by which all
 * nodes hear of it, with a token made on the spot.
 */

#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <jansson.h>

#include "ctl.h"


#define CACHE_PERMISSION  "cache:purge"
#define CACHE_TIMEOUT     10L             /* s */
#define CACHE_ANSWER_MAX  65536
#define CACHE_URL_MAX     512
#define CACHE_PORT        8080

typedef struct {
    const char  *url;
    const char  *tag;
    const char  *route;
    const char *const  *values;           /* of its parameters, NULL ends */
    const char  *prefix;
    const char  *permission;
    bool         all;
    bool         soft;
} cache_purge_t;

typedef struct {
    char         bytes[CACHE_ANSWER_MAX + 1];
    size_t       len;
    long         status;
} cache_answer_t;


static size_t
cache_take(char *p, size_t size, size_t n, void *data)
{
    cache_answer_t  *answer = data;

    if (size * n > CACHE_ANSWER_MAX - answer->len) {
        return 0;                        /* none of ours is that long */
    }

    memcpy(answer->bytes + answer->len, p, size * n);
    answer->len += size * n;
    answer->bytes[answer->len] = '\0';

    return size * n;
}


/* "?name=value" of what is given, escaped; false: no memory. */
static bool
cache_add(CURLU *url, const char *name, const char *value)
{
    bool    good;
    char    *text;
    size_t   len;

    if (value == NULL) {
        return true;
    }

    len = strlen(name) + strlen(value) + 2;
    text = malloc(len);

    if (text == NULL) {
        return false;
    }

    snprintf(text, len, "%s=%s", name, value);
    good = curl_url_set(url, CURLUPART_QUERY, text,
                        CURLU_APPENDQUERY|CURLU_URLENCODE) == CURLUE_OK;
    free(text);

    return good;
}


/* Where nginx of the run directory listens: what PORT says, else what it was
 * started with. */
static unsigned
cache_port(void)
{
    FILE        *f;
    unsigned     port;
    const char  *text;

    text = getenv("PORT");
    port = text != NULL ? (unsigned) strtoul(text, NULL, 10) : 0;
    f = port == 0 ? fopen(ctl_run_path("port"), "re") : NULL;

    if (f != NULL) {
        if (fscanf(f, "%5u", &port) != 1) {
            port = 0;
        }

        fclose(f);
    }

    return port != 0 ? port : CACHE_PORT;
}


/* The default: the node of this run directory. */
static const char *
cache_location(const cache_purge_t *p)
{
    static char  text[CACHE_URL_MAX];

    if (p->url != NULL) {
        return p->url;
    }

    snprintf(text, sizeof(text), "http://127.0.0.1:%u/_travel/purge",
             cache_port());

    return text;
}


static CURLU *
cache_url(const cache_purge_t *p)
{
    bool                good;
    CURLU              *url;
    const char *const  *value;

    url = curl_url();

    if (url == NULL) {
        return NULL;
    }

    good = curl_url_set(url, CURLUPART_URL, cache_location(p), 0) == CURLUE_OK
           && cache_add(url, "tag", p->tag)
           && cache_add(url, "route", p->route)
           && cache_add(url, "prefix", p->prefix)
           && cache_add(url, "all", p->all ? "1" : NULL)
           && cache_add(url, "soft", p->soft ? "1" : NULL);

    for (value = p->values; good && *value != NULL; value++) {
        good = cache_add(url, "value", *value);
    }

    if (good) {
        return url;
    }

    curl_url_cleanup(url);
    return NULL;
}


static int
cache_post(CURL *curl, const cache_purge_t *p, cache_answer_t *ret_answer)
{
    int                 rc;
    char                token[TRAVEL_JWT_MAX + 1];
    char                bearer[TRAVEL_JWT_MAX + 32];
    CURLU              *url;
    CURLcode            code;
    struct curl_slist  *headers;

    rc = ctl_token(p->permission, token);

    if (rc != CTL_GOOD) {
        return rc;
    }

    snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", token);
    headers = curl_slist_append(NULL, bearer);
    url = cache_url(p);

    if (url == NULL || headers == NULL) {
        curl_slist_free_all(headers);
        return ctl_broken("\"%s\" is no URL that can be asked",
                          cache_location(p));
    }

    curl_easy_setopt(curl, CURLOPT_CURLU, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, CACHE_TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, cache_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_answer);

    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret_answer->status);

    if (code != CURLE_OK) {
        rc = ctl_broken("%s: %s", cache_location(p), curl_easy_strerror(code));
    }

    curl_url_cleanup(url);
    curl_slist_free_all(headers);

    return rc;
}


/* What the node has said, in a line. */
static int
cache_tell(const cache_answer_t *answer)
{
    int          rc;
    json_t      *doc, *error, *dropped;
    const char  *id, *message;

    doc = json_loadb(answer->bytes, answer->len, 0, NULL);
    id = json_string_value(json_object_get(doc, "id"));
    dropped = json_object_get(doc, "dropped");
    rc = CTL_GOOD;

    if (answer->status == 200 && id != NULL && json_is_integer(dropped)) {
        printf("%s dropped %" JSON_INTEGER_FORMAT " on the node asked\n", id,
               json_integer_value(dropped));

    } else if (answer->status == 202 && id != NULL) {
        printf("%s is on its way, not yet carried out on the node asked\n",
               id);

    } else {
        error = json_object_get(doc, "error");
        message = json_string_value(json_object_get(error, "message"));
        ctl_broken("the node answers %ld: %s", answer->status,
                   message != NULL ? message : "not what a travel_purge "
                                               "location says");
        rc = (answer->status >= 400 && answer->status < 500) ? CTL_REFUSED
                                                             : CTL_BROKEN;
    }

    json_decref(doc);
    return rc;
}


static int
cache_purge(const cache_purge_t *p)
{
    int             rc;
    CURL           *curl;
    cache_answer_t  answer;

    memset(&answer, 0, sizeof(answer));
    curl = curl_easy_init();

    if (curl == NULL) {
        return ctl_broken("out of memory");
    }

    rc = cache_post(curl, p, &answer);
    curl_easy_cleanup(curl);

    return (rc == CTL_GOOD) ? cache_tell(&answer) : rc;
}


int
travelctl_cache_purge(int argc, char **argv)
{
    int             rc;
    const char     *args[CTL_ARGS_MAX + 1];
    cache_purge_t   p = { .permission = CACHE_PERMISSION };

    ctl_option_t  options[] = {
        { "tag", CTL_STRING, &p.tag, "TAG", "answers that depend on it" },
        { "route", CTL_STRING, &p.route, "NAME",
          "answers of a query, of these values" },
        { "prefix", CTL_STRING, &p.prefix, "TEXT",
          "answers whose key begins so: scheme://host/path" },
        { "all", CTL_FLAG, &p.all, NULL, "everything" },
        { "soft", CTL_FLAG, &p.soft, NULL,
          "end their time only: they may stand in until renewed" },
        { "url", CTL_STRING, &p.url, "URL",
          "a travel_purge location (/_travel/purge of this machine's node)" },
        { "permission", CTL_STRING, &p.permission, "NAME",
          "what that location asks for (" CACHE_PERMISSION ")" },
        { .name = NULL }
    };
    ctl_spec_t  spec = { "cache purge [options] [VALUE ...]",
                         "Drops answers from the caches of all nodes, and says "
                         "how many that were on\n"
                         "the node asked.  One of --tag, --route, --prefix and "
                         "--all says which; VALUEs\n"
                         "are those of a route's parameters, in the order of "
                         "its query file.",
                         options, 0, CTL_ARGS_MAX };

    if (!ctl_parse(&spec, argc, argv, args, &rc)) {
        return rc;
    }

    if ((p.tag != NULL) + (p.route != NULL) + (p.prefix != NULL) + p.all != 1) {
        return ctl_broken("one of --tag, --route, --prefix and --all says what "
                          "is to go");
    }

    if (args[0] != NULL && p.route == NULL) {
        return ctl_broken("\"%s\" is the value of no --route", args[0]);
    }

    p.values = args;

    return cache_purge(&p);
}
