/*
 * From the packed fields of a stream entry to a job.
 *
 * The pack is MessagePack as cmsgpack writes a list of strings: an array
 * header, then strings with theirs.  Nothing else can come out of a stream,
 * so nothing else is read.
 */

#include <stdio.h>
#include <stdlib.h>

#include "entry.h"
#include "../jobs/ask.h"

#define PACK_HEADER_MAX   5
#define ENTRY_FIELDS_MAX  128       /* names and values; a newer edge may add */


const char *
worker_outcome_status(worker_outcome_e outcome)
{
    static const travel_job_status_e  status[WORKER_OUTCOME_MAX] = {
        [WORKER_OUTCOME_SUCCEEDED] = TRAVEL_JOB_SUCCEEDED,
        [WORKER_OUTCOME_RETRYING]  = TRAVEL_JOB_RETRYING,
        [WORKER_OUTCOME_FAILED]    = TRAVEL_JOB_FAILED,
        [WORKER_OUTCOME_DEAD]      = TRAVEL_JOB_DEAD,
        [WORKER_OUTCOME_CANCELLED] = TRAVEL_JOB_CANCELLED
    };

    return travel_job_status_name(status[outcome]);
}


void
worker_entries_init(worker_entries_t *list)
{
    list->head = NULL;
    list->tail = &list->head;
    list->count = 0;
}


void
worker_entries_push(worker_entries_t *list, worker_entry_t *entry)
{
    entry->next = NULL;
    *list->tail = entry;
    list->tail = &entry->next;
    list->count++;
}


void
worker_entries_push_front(worker_entries_t *list, worker_entry_t *entry)
{
    entry->next = list->head;
    list->head = entry;

    if (entry->next == NULL) {
        list->tail = &entry->next;
    }

    list->count++;
}


worker_entry_t *
worker_entries_pop(worker_entries_t *list)
{
    worker_entry_t  *entry;

    entry = list->head;

    if (entry == NULL) {
        return NULL;
    }

    list->head = entry->next;
    entry->next = NULL;

    if (list->head == NULL) {
        list->tail = &list->head;
    }

    list->count--;
    return entry;
}


/* --- MessagePack ---------------------------------------------------------- */

typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
} pack_reader_t;


/* A big-endian number of 'n' bytes. */
static bool
pack_number(pack_reader_t *r, unsigned n, uint32_t *ret_v)
{
    uint32_t  v;

    if ((size_t) (r->end - r->p) < n) {
        return false;
    }

    for (v = 0; n > 0; n--) {
        v = v << 8 | *r->p++;
    }

    *ret_v = v;
    return true;
}


static bool
pack_array(pack_reader_t *r, uint32_t *ret_n)
{
    uint8_t  tag;

    if (r->p == r->end) {
        return false;
    }

    tag = *r->p++;

    if ((tag & 0xF0) == 0x90) {
        *ret_n = tag & 0x0F;
        return true;
    }

    return (tag == 0xDC && pack_number(r, 2, ret_n))
           || (tag == 0xDD && pack_number(r, 4, ret_n));
}


static bool
pack_string(pack_reader_t *r, travel_str_t *ret_s)
{
    bool      sized;
    uint8_t   tag;
    uint32_t  n;

    if (r->p == r->end) {
        return false;
    }

    tag = *r->p++;

    switch (tag) {
    case 0xD9:
    case 0xC4:
        sized = pack_number(r, 1, &n);
        break;

    case 0xDA:
    case 0xC5:
        sized = pack_number(r, 2, &n);
        break;

    case 0xDB:
    case 0xC6:
        sized = pack_number(r, 4, &n);
        break;

    default:
        n = tag & 0x1F;
        sized = (tag & 0xE0) == 0xA0;
    }

    if (!sized || (size_t) (r->end - r->p) < n) {
        return false;
    }

    *ret_s = (travel_str_t) { (const char *) r->p, n };
    r->p += n;

    return true;
}


/* The first bytes of the forms that a header takes, shortest first; 0: there
 * is no such form. */
typedef struct {
    uint8_t  tiny;                  /* and the length in it, below tiny_max */
    uint8_t  tiny_max;
    uint8_t  one;                   /* the length follows in one byte, two, */
    uint8_t  two;                   /* four */
    uint8_t  four;
} pack_form_t;

static const pack_form_t  pack_list = { 0x90, 16, 0, 0xDC, 0xDD };
static const pack_form_t  pack_text = { 0xA0, 32, 0xD9, 0xDA, 0xDB };


static uint8_t *
pack_write_header(uint8_t *p, size_t n, const pack_form_t *form)
{
    int  bytes;

    if (n < form->tiny_max) {
        *p++ = (uint8_t) (form->tiny | n);
        return p;
    }

    bytes = n <= 0xFF && form->one ? 1 : n <= 0xFFFF ? 2 : 4;
    *p++ = bytes == 1 ? form->one : bytes == 2 ? form->two : form->four;

    while (bytes-- > 0) {
        *p++ = (uint8_t) (n >> 8 * bytes);
    }

    return p;
}


travel_str_t
worker_pack_field(travel_str_t pack, const char *name)
{
    size_t         len;
    uint32_t       n;
    travel_str_t   f, v;
    pack_reader_t  r;

    len = strlen(name);
    r.p = (const uint8_t *) pack.data;
    r.end = r.p + pack.len;

    if (!pack_array(&r, &n)) {
        return TRAVEL_NULL_STR;
    }

    for ( ; n >= 2; n -= 2) {
        if (!pack_string(&r, &f) || !pack_string(&r, &v)) {
            break;
        }

        if (f.len == len && memcmp(f.data, name, len) == 0) {
            return v;
        }
    }

    return TRAVEL_NULL_STR;
}


static int
entry_fields(travel_str_t pack, travel_str_t *fields, uint32_t *ret_n)
{
    uint32_t       i, n;
    pack_reader_t  r;

    r.p = (const uint8_t *) pack.data;
    r.end = r.p + pack.len;

    if (!pack_array(&r, &n) || n > ENTRY_FIELDS_MAX) {
        return TRAVEL_INVALID;
    }

    for (i = 0; i < n; i++) {
        if (!pack_string(&r, &fields[i])) {
            return TRAVEL_INVALID;
        }
    }

    *ret_n = n;
    return TRAVEL_OK;
}


/* --- entries -------------------------------------------------------------- */

static void
entry_malformed(worker_entry_t *entry, const char *why)
{
    snprintf(entry->cause, sizeof(entry->cause), "MALFORMED");
    snprintf(entry->job.error.code, sizeof(entry->job.error.code),
             "MALFORMED");
    snprintf(entry->job.error.message, sizeof(entry->job.error.message),
             "%s", why);
}


static void
entry_copy(char *dst, size_t room, travel_str_t s)
{
    size_t  n;

    n = s.len < room ? s.len : room - 1;
    memcpy(dst, s.data, n);
    dst[n] = '\0';
}


static void
entry_read(worker_entry_t *entry)
{
    uint32_t       n;
    const char    *why;
    worker_job_t  *job;
    travel_str_t   id, fields[ENTRY_FIELDS_MAX];

    job = &entry->job;

    /* A job id that can be read names the job to its caller, whatever else
     * may be wrong with the entry. */
    id = worker_pack_field(entry->pack, "id");

    if (travel_job_id_parse(&job->id, id) == TRAVEL_OK) {
        entry_copy(job->job_id, sizeof(job->job_id), id);
        travel_uuid_format(job->uuid, &job->id.id);
    }

    if (entry_fields(entry->pack, fields, &n) != TRAVEL_OK) {
        entry_malformed(entry, "the entry is not a list of fields");
        return;
    }

    if (travel_envelope_read(&job->env, fields, n, &why) != TRAVEL_OK) {
        entry_malformed(entry, why);
        return;
    }

    if (job->job_id[0] == '\0') {
        entry_malformed(entry, "id is not a job id");
        return;
    }

    if (job->env.key.len != TRAVEL_UUID_TEXT_LEN
        || job->env.sub.len > TRAVEL_UUID_TEXT_LEN)
    {
        entry_malformed(entry, "key or sub is not an id");
        return;
    }

    entry_copy(job->key, sizeof(job->key), job->env.key);
    entry_copy(job->sub, sizeof(job->sub), job->env.sub);
}


static worker_entry_t *
entry_alloc(size_t len)
{
    worker_entry_t  *entry;

    entry = calloc(1, sizeof(worker_entry_t));

    if (entry == NULL) {
        return NULL;
    }

    entry->job.memory = malloc(len + 1);

    if (entry->job.memory == NULL) {
        free(entry);
        return NULL;
    }

    entry->job.memory[len] = '\0';
    entry->pack = (travel_str_t) { entry->job.memory, len };

    return entry;
}


worker_entry_t *
worker_entry_create(const char *pack, size_t len)
{
    worker_entry_t  *entry;

    entry = entry_alloc(len);

    if (entry != NULL) {
        memcpy(entry->job.memory, pack, len);
        entry_read(entry);
    }

    return entry;
}


worker_entry_t *
worker_entry_pack(const travel_str_t *fields, size_t n)
{
    size_t           i, len;
    uint8_t         *p;
    worker_entry_t  *entry;

    len = PACK_HEADER_MAX;

    for (i = 0; i < n; i++) {
        len += PACK_HEADER_MAX + fields[i].len;
    }

    entry = entry_alloc(len);

    if (entry == NULL) {
        return NULL;
    }

    p = pack_write_header((uint8_t *) entry->job.memory, n, &pack_list);

    for (i = 0; i < n; i++) {
        p = pack_write_header(p, fields[i].len, &pack_text);
        memcpy(p, fields[i].data, fields[i].len);
        p += fields[i].len;
    }

    *p = '\0';
    entry->pack.len = (size_t) (p - (uint8_t *) entry->job.memory);
    entry_read(entry);

    return entry;
}


void
worker_entry_free(worker_entry_t *entry)
{
    if (entry == NULL) {
        return;
    }

    worker_job_stages_end(&entry->job);
    json_decref(entry->job.body);
    json_decref(entry->job.result);
    free(entry->job.memory);
    free(entry->result);
    free(entry);
}
