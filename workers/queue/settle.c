/*
 * What became of jobs, written: one call of the settle script for a batch of a
 * partition, its arguments (worker_scripts.h), and what its answer means.
 *
 * An entry in part->settle is the fetcher's alone.  A batch whose answer was
 * lost goes back to the head of that list and is settled again: done twice it
 * is done once.  Until that is answered the partition is doubtful and promotes
 * nothing: a retry that may stand in :delayed already would come into our hand
 * a second time.
 */

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fetcher.h"
#include "../../common/digits.h"
#include "../../common/hash.h"
#include "../../common/json_writer.h"
#include "../../common/quota_claim.h"

#define SETTLE_QUOTA_KEPT  "8192"  /* costs that nodes may have yet to read */


static void
settle_arg_cstr(worker_args_t *args, const char *text)
{
    worker_args_str(args, text, strlen(text));
}


/* Copied; "" when there is none. */
static void
settle_arg_error(worker_args_t *args, const worker_entry_t *entry)
{
    char                   text[2048];
    travel_json_writer_t   w;
    const worker_error_t  *error;

    error = &entry->job.error;

    if (error->code[0] == '\0') {
        worker_args_str(args, "", 0);
        return;
    }

    travel_json_writer_init(&w, text, sizeof(text));
    travel_json_object(&w);
    travel_json_member_cstring(&w, "code", error->code);
    travel_json_member_cstring(&w, "message", error->message);
    travel_json_object_end(&w);
    worker_args_copy(args, text, travel_json_writer_finish(&w));
}


static void
settle_arg_trace(worker_args_t *args, const worker_entry_t *entry)
{
    char                  trace[32];
    static const uint8_t  none[16];

    if (memcmp(entry->job.trace.trace_id, none, sizeof(none)) == 0) {
        worker_args_str(args, "", 0);
        return;
    }

    travel_hex_encode(trace, entry->job.trace.trace_id, 16);
    worker_args_copy(args, trace, sizeof(trace));
}


static int64_t
settle_attempts(const worker_entry_t *entry)
{
    return (int64_t) entry->job.attempt - entry->uncounted;
}


static bool
settle_has_error(const worker_entry_t *entry)
{
    return entry->outcome != WORKER_OUTCOME_SUCCEEDED
           && entry->job.error.code[0] != '\0';
}


static bool
settle_names_no_job(const worker_entry_t *entry)
{
    return entry->job.job_id[0] == '\0';
}


static bool
settle_tells_result(const worker_entry_t *entry)
{
    return entry->job.env.once && entry->result_len > 0;
}


/* What of it goes into the job's hash.  Returns how many strings. */
static unsigned
settle_fields(worker_args_t *args, const worker_entry_t *entry)
{
    char                         text[64];
    int                          first;
    const travel_consistency_t  *c;

    first = args->argc;
    c = &entry->job.commit;

    settle_arg_cstr(args, "status");
    settle_arg_cstr(args, worker_outcome_status(entry->outcome));
    settle_arg_cstr(args, "attempts");
    worker_args_int(args, settle_attempts(entry));

    if (entry->result_len > 0 && !settle_tells_result(entry)) {
        settle_arg_cstr(args, "result");
        worker_args_str(args, entry->result, entry->result_len);
    }

    if (entry->claimed) {
        settle_arg_cstr(args, "claim");
        settle_arg_cstr(args, "1");
    }

    if (settle_has_error(entry)) {
        settle_arg_cstr(args, "error");
        settle_arg_error(args, entry);
    }

    if (c->commit.lsn != 0) {
        settle_arg_cstr(args, "timeline");
        worker_args_int(args, c->commit.timeline);
        settle_arg_cstr(args, "lsn");
        worker_args_copy(args, text, travel_lsn_format(text, c->commit.lsn));
    }

    if (c->inval.ms != 0) {
        settle_arg_cstr(args, "inval");
        worker_args_copy(args, text, travel_stream_id_format(text, c->inval));
    }

    return (unsigned) (args->argc - first);
}


static void
settle_extras(worker_args_t *args, const worker_entry_t *entry, char kind)
{
    switch (kind) {

    case 'R':
        worker_args_int(args, entry->due_ms);
        settle_arg_error(args, entry);
        break;

    case 'D':
    case 'B':
        settle_arg_cstr(args, entry->cause);
        worker_args_int(args, settle_attempts(entry));
        settle_arg_error(args, entry);
        settle_arg_trace(args, entry);
        break;

    default:
        return;
    }

    worker_args_str(args, entry->pack.data, entry->pack.len);
}


static char
settle_kind(const worker_entry_t *entry)
{
    if (settle_names_no_job(entry)) {
        return 'B';
    }

    switch (entry->outcome) {

    case WORKER_OUTCOME_RETRYING:
        return 'R';

    case WORKER_OUTCOME_DEAD:
        return 'D';

    case WORKER_OUTCOME_SUCCEEDED:
        if (settle_attempts(entry) != 1) {
            return 'H';
        }

        return entry->result_len == 0 && !entry->claimed
               && entry->job.commit.commit.lsn == 0
               && entry->job.commit.inval.ms == 0 ? 'S' : 'E';

    default:
        return 'E';
    }
}


static void
settle_args(worker_args_t *args, const worker_entry_t *entry,
    char head[TRAVEL_SETTLE_HEAD])
{
    char                 kind, waits;
    unsigned             fields;
    const travel_str_t  *reply = &entry->job.env.reply;

    kind = settle_kind(entry);
    fields = 0;
    waits = reply->len > 0 ? 'w' : '-';

    if (kind != 'S' && kind != 'B') {
        fields = settle_fields(args, entry);
    }

    if (reply->len > 0) {
        worker_args_str(args, reply->data, reply->len);
        settle_arg_cstr(args, worker_outcome_status(entry->outcome));
    }

    if (reply->len > 0 && settle_tells_result(entry)) {
        worker_args_str(args, entry->result, entry->result_len);
        waits = 'o';
    }

    settle_extras(args, entry, kind);

    head[0] = (char) ('0' + entry->stream);
    head[1] = kind;
    head[2] = (char) ('0' + fields);
    head[3] = waits;
}


/* Up to where the batch, its entries marked as leaving, clears each stream. */
static void
settle_args_bounds(worker_args_t *args, const worker_partition_t *part)
{
    char         next[WORKER_STREAM_ID_MAX];
    unsigned     i;
    const char  *oldest;

    for (i = 1; i <= TRAVEL_PRIORITY_MAX; i++) {
        worker_part_bounds(part, i, &oldest, next);
        settle_arg_cstr(args, oldest);
        worker_args_copy(args, next, strlen(next));
    }
}


void
worker_settle_count(worker_queue_t *queue, const worker_entry_t *entry)
{
    unsigned  row;

    row = entry->type != NULL ? entry->type->number : WORKER_BOARD_TYPES - 1;
    worker_board_add(&queue->sheet->types[row].outcome[entry->outcome], 1);
}


/*
 * What the job has cost goes to the limit that admitted it (quota_claim.h):
 * with the end the cost takes the place of what was reserved, before that it
 * counts besides.  Should this process die just here, the reserve is what it
 * cost.
 */
static void
settle_charge(worker_partition_t *part, const worker_entry_t *entry)
{
    char                 claim[TRAVEL_QUOTA_CLAIM_MAX + 1];
    char                 cost[TRAVEL_DIGITS_MAX + 1];
    const travel_str_t  *quota = &entry->job.env.quota;
    const char          *argv[] = { "XADD", TRAVEL_KEY_QUOTA, "MAXLEN", "~",
                                    SETTLE_QUOTA_KEPT, "*", "claim", claim,
                                    "cost", cost };

    if (quota->len == 0 || quota->len > TRAVEL_QUOTA_CLAIM_MAX
        || (entry->outcome == WORKER_OUTCOME_RETRYING
            && entry->job.tokens == 0))
    {
        return;
    }

    memcpy(claim, quota->data, quota->len);
    claim[quota->len] = '\0';
    cost[travel_digits_format(cost, entry->job.tokens)] = '\0';

    if (entry->outcome == WORKER_OUTCOME_RETRYING) {
        claim[0] = TRAVEL_QUOTA_CLAIM_MORE;
    }

    worker_link_send(worker_hub_link(part->queue->hub,
                                     part->queue->quota_slot), NULL, NULL,
                     sizeof(argv) / sizeof(argv[0]), argv, NULL);
}


static void
settle_one(worker_partition_t *part, worker_entry_t *entry, bool written)
{
    worker_settle_count(part->queue, entry);

    if (written) {
        settle_charge(part, entry);
    }

    if (entry->outcome == WORKER_OUTCOME_RETRYING && written) {
        worker_part_hold(part, entry, entry->due_ms);

        if (entry->due_ms < part->promote_at) {
            part->promote_at = entry->due_ms;
        }
    }

    worker_part_release(part, entry);   /* unless it is held, or was early */
    worker_part_forget(part, entry);
}


static void
settle_on_reply(void *data, const redisReply *reply)
{
    size_t               i;
    worker_batch_t      *batch = data;
    worker_entry_t      *entry;
    worker_spans_t       spans = { 0 };
    worker_partition_t  *part;

    part = batch->part;
    part->settling = false;

    for (entry = batch->entries.head; entry; entry = entry->next) {
        worker_spans_add(&spans, entry, true);
    }

    worker_spans_end(&spans, part, "settle", batch->sent_ns,
                     reply == NULL || reply->type == REDIS_REPLY_ERROR);

    if (batch->epoch == part->epoch
        && (reply == NULL || worker_part_refused(part, reply)
            || reply->elements != batch->entries.count + 1)
        && batch->epoch == part->epoch)
    {
        /* Whether it was done is not known; done twice it is done once. */
        part->resync = true;
        part->doubtful = true;

        while ((entry = worker_entries_pop(&part->settle)) != NULL) {
            worker_entries_push(&batch->entries, entry);
        }

        while ((entry = worker_entries_pop(&batch->entries)) != NULL) {
            entry->resent = true;
            entry->leaving = false;
            worker_entries_push(&part->settle, entry);
        }
    }

    for (i = 1; (entry = worker_entries_pop(&batch->entries)) != NULL; i++) {
        if (batch->epoch != part->epoch) {
            worker_part_forget(part, entry);
        } else {
            settle_one(part, entry, reply->element[i]->integer == 1);
        }
    }

    part->doubtful = part->settle.head != NULL && part->settle.head->resent;
    free(batch);
}


/* May it be over already?  Else it is running, by our own word and fence. */
static bool
settle_doubtful(const worker_entries_t *entries)
{
    const worker_entry_t  *entry;

    for (entry = entries->head; entry; entry = entry->next) {
        if (entry->resent || entry->job.attempt == 0) {
            return true;
        }
    }

    return false;
}


static void
settle_send(worker_partition_t *part, worker_batch_t *batch)
{
    char             heads[WORKER_BATCH_MAX * TRAVEL_SETTLE_HEAD];
    int              keys;
    size_t           i;
    worker_args_t   *args;
    worker_entry_t  *entry;

    args = &part->queue->args;
    keys = worker_args_batch(args, part, &batch->entries, true);
    worker_args_str(args, settle_doubtful(&batch->entries) ? "1" : "0", 1);
    worker_args_str(args, heads, batch->entries.count * TRAVEL_SETTLE_HEAD);
    settle_args_bounds(args, part);

    for (entry = batch->entries.head, i = 0; entry; entry = entry->next, i++) {
        settle_args(args, entry, heads + i * TRAVEL_SETTLE_HEAD);
    }

    part->settling = true;
    worker_link_script(worker_part_link(part), TRAVEL_SCRIPT_SETTLE,
                       settle_on_reply, batch, args, keys);
}


void
worker_settle_turn(worker_partition_t *part)
{
    worker_batch_t  *batch;
    worker_entry_t  *entry;

    if (part->settle.count == 0 || part->settling || part->resync
        || part->state == WORKER_PART_FREE
        || part->state == WORKER_PART_ADOPTING
        || part->queue->now < part->retry_at || !worker_part_up(part))
    {
        return;
    }

    batch = worker_batch_create(part);

    if (batch == NULL) {
        return;
    }

    while (batch->entries.count < WORKER_BATCH_MAX
           && (entry = worker_entries_pop(&part->settle)) != NULL)
    {
        entry->leaving = true;
        worker_entries_push(&batch->entries, entry);
    }

    settle_send(part, batch);
}
