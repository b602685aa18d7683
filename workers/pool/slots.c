/*
 * The hand-over between the fetcher and the slots.
 *
 * slots->mutex guards the waiting queues, the list of what came back, the idle
 * count and the flags; nothing else happens under it.  An entry belongs to
 * the fetcher until worker_slots_push, to one slot until it is in 'back', and
 * then to the fetcher again.  Between two stages it belongs to the I/O thread,
 * from worker_ask_send until that has put it into 'answered'.
 *
 * A job whose type has a batch handler takes those of its type along that
 * stand right behind it: as many as take SLOTS_BATCH_MS by what the last
 * batches took, or a few more.  Those that have an answer go together likewise.
 * A batch costs something however small it is, so few are under way at a time:
 * beside two another one begins only when it is a whole one, and a quarter of
 * the slots is at batches at most.
 *
 * Wake-ups are what costs at high rates, so they are rationed: a batch of
 * jobs that are known to be short wakes one slot per millisecond of work, and
 * a slot rings the fetcher when it runs dry, not for each of many short jobs.
 * The slot that came to rest last is woken first: what its session has planned
 * and read is still at hand, and those that are not needed plan nothing.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "run.h"
#include "slots.h"
#include "../out/ask.h"
#include "../store/pg.h"

#define SLOTS_WAKE_MS      1.0     /* work worth one more slot */
#define SLOTS_SHORT_MS     0.05    /* jobs this short come back in heaps */
#define SLOTS_HEAP         64
#define SLOTS_LATE_MS      1.0     /* as late the fetcher may hear of them */
#define SLOTS_STACK        (1024 * 1024)
#define SLOTS_BATCH_MS     20.0
#define SLOTS_BATCH_LEAST  64      /* but so many, as long as they take less
                                      than: */
#define SLOTS_BATCH_LONG   200.0
#define SLOTS_BATCHING     2       /* at a time, that are not whole ones */
#define SLOTS_SHARE        4       /* one in so many may be at one */

typedef struct slots_thread_s {
    worker_slots_t       *slots;
    worker_slot_t         slot;
    worker_board_slot_t  *board;
    pthread_t             thread;
    pthread_cond_t        wake;
    bool                  rests;        /* mutex: in slots->resting */
    struct slots_thread_s *below;       /* there, that came to rest before */
    bool                  started;
    bool                  ended;        /* mutex: it has left, to be joined */
    char                  name[80];
    worker_entry_t       *batch[WORKER_RUN_BATCH_MAX];
    size_t                nbatch;       /* 0: one job at a time */
    size_t                nover;        /* the first of these: to hand back */
    unsigned              batch_type;
    double                batch_ms;     /* each took */
} slots_thread_t;

struct worker_slots_s {
    worker_slots_spec_t   spec;

    pthread_mutex_t       mutex;
    worker_entries_t      answered;     /* go on before others begin; mutex,
                                           so all below */
    worker_entries_t      waiting[TRAVEL_PRIORITY_MAX];
    size_t                nwaiting;
    double                waiting_ms;
    worker_entries_t      back;
    double                back_ms;      /* run time of those not rung for */
    unsigned              idle;         /* how many rest */
    unsigned              waking;       /* do not any more, but wait for the
                                           mutex */
    slots_thread_t       *resting;
    unsigned              asking;       /* with the I/O thread */
    unsigned              batching;     /* slots that run a batch */
    double                item_ms[WORKER_BOARD_TYPES];    /* in a batch */
    unsigned              wanted;       /* slots with lower numbers stay */
    bool                  stopping;

    unsigned              room;         /* immutable after the start */
    slots_thread_t        threads[];    /* started ones: the fetcher's */
};

static _Thread_local int  slots_current = -1;


int
worker_slot_current(void)
{
    return slots_current;
}


static int64_t
slots_now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* Those that begin go together, and those that have their answers. */
static bool
slots_batches(const worker_entry_t *entry)
{
    return entry->type->batch != NULL && !entry->giveup
           && !entry->suspect && !entry->again
           && (entry->stages == 0 || entry->type->batch->answered != NULL);
}


/* How many of a type make a batch now. */
static size_t
slots_batch_size_locked(const worker_slots_t *slots,
    const worker_type_t *type)
{
    size_t  n, most;
    double  ms;

    ms = slots->item_ms[type->number];
    most = type->batch->max < WORKER_RUN_BATCH_MAX ? type->batch->max
                                                        : WORKER_RUN_BATCH_MAX;
    n = ms > 0 ? (size_t) (SLOTS_BATCH_MS / ms) : SLOTS_BATCH_LEAST;

    /* a small batch is slow for each of its jobs, which is no reason to make
     * it smaller */
    if (n < SLOTS_BATCH_LEAST) {
        n = ms * SLOTS_BATCH_LEAST <= SLOTS_BATCH_LONG
            ? SLOTS_BATCH_LEAST : (size_t) (SLOTS_BATCH_LONG / ms);
    }

    return n < 2 ? 2 : n < most ? n : most;
}


/* May a slot take the head of the list?  What is to wait goes along with the
 * next batch that ends. */
static bool
slots_due_locked(const worker_slots_t *slots, const worker_entries_t *list)
{
    const worker_entry_t  *entry;

    entry = list->head;

    return entry != NULL
           && (!slots_batches(entry) || slots->stopping
               || slots->batching < SLOTS_BATCHING
               || (slots->batching < slots->wanted / SLOTS_SHARE
                   && list->count >= slots_batch_size_locked(slots,
                                                             entry->type)));
}


/* The list whose head is next; NULL: none. */
static worker_entries_t *
slots_next_locked(worker_slots_t *slots)
{
    unsigned  p;

    if (slots_due_locked(slots, &slots->answered)) {
        return &slots->answered;
    }

    for (p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
        if (slots_due_locked(slots, &slots->waiting[p])) {
            return &slots->waiting[p];
        }
    }

    return NULL;
}


static void
slots_wake_locked(worker_slots_t *slots)
{
    slots_thread_t  *t;

    t = slots->resting;

    if (t != NULL) {
        slots->resting = t->below;
        slots->idle--;
        slots->waking++;
        t->rests = false;
        pthread_cond_signal(&t->wake);
    }
}


static void
slots_wake_all_locked(worker_slots_t *slots)
{
    while (slots->resting != NULL) {
        slots_wake_locked(slots);
    }
}


static void
slots_rest_locked(slots_thread_t *self)
{
    worker_slots_t  *slots;

    slots = self->slots;
    self->below = slots->resting;
    slots->resting = self;
    slots->idle++;

    for (self->rests = true; self->rests; ) {
        pthread_cond_wait(&self->wake, &slots->mutex);
    }

    slots->waking--;
}


/* There are to be fewer, and this one is too many.  A wake-up that was meant
 * for somebody who works is passed on. */
static void
slots_leave_locked(slots_thread_t *self)
{
    worker_slots_t  *slots;

    slots = self->slots;
    self->ended = true;

    if (slots->nwaiting > 0) {
        slots_wake_locked(slots);
    }
}


/* Waits for work; NULL when the slot is to end. */
static worker_entry_t *
slots_take_locked(slots_thread_t *self)
{
    worker_slots_t    *slots;
    worker_entry_t    *entry;
    worker_entries_t  *list;

    slots = self->slots;

    while ((list = slots_next_locked(slots)) == NULL && !slots->stopping
           && self->slot.number < slots->wanted)
    {
        slots_rest_locked(self);
    }

    if (self->slot.number >= slots->wanted && !slots->stopping) {
        slots_leave_locked(self);
        return NULL;
    }

    if (list == NULL) {
        return NULL;
    }

    entry = worker_entries_pop(list);
    slots->nwaiting--;
    slots->waiting_ms = slots->nwaiting > 0
                        ? slots->waiting_ms - entry->expected_ms : 0;

    /* Nobody shall wait behind a job that takes its time. */
    if (slots->nwaiting > 0 && !slots_batches(entry)
        && entry->expected_ms >= SLOTS_WAKE_MS)
    {
        slots_wake_locked(slots);
    }

    return entry;
}


/* What goes along with 'entry', which was taken. */
static void
slots_batch_locked(slots_thread_t *self, worker_entry_t *entry)
{
    size_t             n;
    worker_slots_t    *slots;
    worker_entry_t    *next;
    worker_entries_t  *list;

    self->nbatch = 0;

    if (!slots_batches(entry)) {
        return;
    }

    slots = self->slots;
    list = entry->stages > 0 ? &slots->answered
                             : &slots->waiting[entry->priority];
    n = slots_batch_size_locked(slots, entry->type);
    self->batch[self->nbatch++] = entry;

    while (self->nbatch < n && (next = list->head) != NULL
           && next->type == entry->type && slots_batches(next))
    {
        (void) worker_entries_pop(list);
        slots->nwaiting--;
        slots->waiting_ms = slots->nwaiting > 0
                            ? slots->waiting_ms - next->expected_ms : 0;
        self->batch[self->nbatch++] = next;
    }

    if (self->nbatch == 1) {
        self->nbatch = 0;
        return;
    }

    self->batch_type = entry->type->number;
    slots->batching++;

    if (slots->waking == 0 && slots_next_locked(slots) != NULL) {
        slots_wake_locked(slots);
    }
}


/* They are back: how long did one take?  True: the fetcher must be rung. */
static bool
slots_batch_back_locked(slots_thread_t *self)
{
    size_t           i;
    double           ms, *known;
    worker_slots_t  *slots;

    slots = self->slots;
    slots->batching--;
    known = &slots->item_ms[self->batch_type];
    ms = self->batch_ms > 0.001 ? self->batch_ms : 0.001;
    *known = *known > 0 ? *known * 0.7 + ms * 0.3 : ms;

    if (self->nover == 0) {
        return false;
    }

    for (i = 0; i < self->nover; i++) {
        worker_entries_push(&slots->back, self->batch[i]);
    }

    slots->back_ms = 0;
    return true;
}


/* True: the fetcher must be rung. */
static bool
slots_give_locked(worker_slots_t *slots, worker_entry_t *entry)
{
    worker_entries_t  *next;

    worker_entries_push(&slots->back, entry);
    slots->back_ms += (double) entry->slot_ns / 1e6;
    next = slots_next_locked(slots);

    if (next != NULL && next->head->expected_ms < SLOTS_SHORT_MS
        && slots->back_ms < SLOTS_LATE_MS && slots->back.count < SLOTS_HEAP)
    {
        return false;
    }

    slots->back_ms = 0;
    return true;
}


static void
slots_board_set(worker_board_slot_t *board, const worker_entry_t *entry)
{
    size_t  n;

    n = entry->job.env.type.len;
    n = n < sizeof(board->type) ? n : sizeof(board->type) - 1;
    memcpy(board->type, entry->job.env.type.data, n);
    board->type[n] = '\0';
    memcpy(board->job_id, entry->job.job_id, sizeof(board->job_id));

    atomic_store_explicit(&board->started_ms, slots_now_ms(),
                          memory_order_release);
}


static void
slots_ring(const worker_slots_t *slots)
{
    uint64_t  one;

    one = 1;

    /* EAGAIN means that it rings already. */
    if (write(slots->spec.ring_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        worker_log(WORKER_LOG_ERROR, "eventfd: %s", strerror(errno));
    }
}


/* On the I/O thread.  A slot that is about to look takes all that go together.
 * The wake-up under the mutex: once that is free, the slots may be gone. */
static void
slots_answered(void *data)
{
    worker_entry_t  *entry = data;
    worker_slots_t  *slots;

    slots = entry->home;
    pthread_mutex_lock(&slots->mutex);
    slots->asking--;
    slots->nwaiting++;
    slots->waiting_ms += entry->expected_ms;
    worker_entries_push(&slots->answered, entry);

    if ((!slots_batches(entry) || slots->waking == 0)
        && slots_due_locked(slots, &slots->answered))
    {
        slots_wake_locked(slots);
    }

    pthread_mutex_unlock(&slots->mutex);
}


/* Sends what the job asks and lets go of it; false: enough of them wait.  The
 * slot is free again, which the fetcher must hear of when there is nothing for
 * it to do. */
static bool
slots_ask(worker_slots_t *slots, worker_entry_t *entry)
{
    bool  room, dry;

    pthread_mutex_lock(&slots->mutex);
    room = slots->asking < slots->spec.conf->waiting;
    slots->asking += room;
    dry = slots->nwaiting == 0;
    pthread_mutex_unlock(&slots->mutex);

    if (room) {
        entry->home = slots;
        worker_ask_send(entry->job.ask, slots->spec.io, slots_answered, entry);
    }

    if (room && dry) {
        slots_ring(slots);
    }

    return room;
}


/* A job that waits does so without the slot; with it when too many do.  True
 * when it is over, else it is somebody else's. */
static bool
slots_wait(slots_thread_t *self, worker_entry_t *entry)
{
    bool  over;

    do {
        if (slots_ask(self->slots, entry)) {
            return false;
        }

        slots_board_set(self->board, entry);
        worker_ask_wait(entry->job.ask, self->slots->spec.io);
        over = worker_run(&self->slot, entry);
        atomic_store_explicit(&self->board->started_ms, 0,
                              memory_order_relaxed);
    } while (!over);

    return true;
}


/* Likewise. */
static bool
slots_run(slots_thread_t *self, worker_entry_t *entry)
{
    bool  over;

    slots_board_set(self->board, entry);
    over = worker_run(&self->slot, entry);
    atomic_store_explicit(&self->board->started_ms, 0, memory_order_relaxed);

    return over || slots_wait(self, entry);
}


static void
slots_run_batch(slots_thread_t *self)
{
    size_t           i;
    uint64_t         each;
    worker_entry_t  *entry;

    slots_board_set(self->board, self->batch[0]);
    each = worker_run_batch(&self->slot, self->batch, self->nbatch);
    atomic_store_explicit(&self->board->started_ms, 0, memory_order_relaxed);
    self->batch_ms = (double) each / 1e6;
    self->nover = 0;

    for (i = 0; i < self->nbatch; i++) {
        entry = self->batch[i];

        if (entry->job.ask == NULL || slots_wait(self, entry)) {
            self->batch[self->nover++] = entry;
        }
    }
}


static void *
slots_main(void *data)
{
    bool             over, ring;
    worker_slots_t  *slots;
    slots_thread_t  *self;
    worker_entry_t  *entry;

    self = data;
    slots = self->slots;
    slots_current = (int) self->slot.number;
    pthread_mutex_lock(&slots->mutex);

    for ( ;; ) {
        entry = slots_take_locked(self);

        if (entry == NULL) {
            break;
        }

        slots_batch_locked(self, entry);
        pthread_mutex_unlock(&slots->mutex);

        if (self->nbatch > 0) {
            slots_run_batch(self);
            over = false;
        } else {
            over = slots_run(self, entry);
        }

        pthread_mutex_lock(&slots->mutex);
        ring = self->nbatch > 0 ? slots_batch_back_locked(self)
               : over && slots_give_locked(slots, entry);

        if (ring) {
            pthread_mutex_unlock(&slots->mutex);
            slots_ring(slots);
            pthread_mutex_lock(&slots->mutex);
        }
    }

    pthread_mutex_unlock(&slots->mutex);
    return NULL;
}


static int
slots_thread_start(worker_slots_t *slots, unsigned i)
{
    int              rc;
    slots_thread_t  *t;
    pthread_attr_t   attr;

    t = &slots->threads[i];
    t->slots = slots;
    t->board = &slots->spec.sheet->slots[i];
    t->slot.conf = slots->spec.conf;
    t->slot.number = i;
    t->slot.queue = slots->spec.queue;
    t->slot.io = slots->spec.io;

    snprintf(t->name, sizeof(t->name), "%s.%u", slots->spec.name, i);
    t->slot.pg = worker_pg_create(slots->spec.conf->pg_dsn, t->name);

    if (t->slot.pg == NULL) {
        return TRAVEL_ERROR;
    }

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, SLOTS_STACK);
    rc = pthread_create(&t->thread, &attr, slots_main, t);
    pthread_attr_destroy(&attr);
    t->started = rc == 0;
    t->ended = false;

    return t->started ? TRAVEL_OK : TRAVEL_ERROR;
}


static void
slots_thread_bury(slots_thread_t *t)
{
    if (t->started) {
        pthread_join(t->thread, NULL);
    }

    t->started = false;
    worker_pg_free(&t->slot.pg);
}


worker_slots_t *
worker_slots_start(const worker_slots_spec_t *spec)
{
    unsigned         i;
    worker_slots_t  *slots;

    slots = calloc(1, sizeof(worker_slots_t)
                      + spec->conf->scale.max.slots * sizeof(slots_thread_t));

    if (slots == NULL) {
        return NULL;
    }

    slots->spec = *spec;
    slots->room = spec->conf->scale.max.slots;
    slots->wanted = atomic_load(&spec->sheet->nslots);
    slots->wanted = slots->wanted < slots->room ? slots->wanted : slots->room;
    pthread_mutex_init(&slots->mutex, NULL);
    worker_entries_init(&slots->back);
    worker_entries_init(&slots->answered);

    for (i = 0; i < TRAVEL_PRIORITY_MAX; i++) {
        worker_entries_init(&slots->waiting[i]);
    }

    for (i = 0; i < slots->room; i++) {
        pthread_cond_init(&slots->threads[i].wake, NULL);
    }

    for (i = 0; i < slots->wanted; i++) {
        if (slots_thread_start(slots, i) != TRAVEL_OK) {
            worker_log(WORKER_LOG_ERROR, "slot %u does not start", i);
            worker_slots_stop(&slots);
            return NULL;
        }
    }

    return slots;
}


void
worker_slots_resize(worker_slots_t *slots, unsigned n)
{
    bool             ended;
    unsigned         i;
    slots_thread_t  *t;

    n = n < 1 ? 1 : n < slots->room ? n : slots->room;

    pthread_mutex_lock(&slots->mutex);

    if (n < slots->wanted) {
        slots_wake_all_locked(slots);
    }

    slots->wanted = n;
    pthread_mutex_unlock(&slots->mutex);

    for (i = 0; i < slots->room; i++) {
        t = &slots->threads[i];

        pthread_mutex_lock(&slots->mutex);
        ended = t->ended;
        pthread_mutex_unlock(&slots->mutex);

        if (t->started && ended) {
            slots_thread_bury(t);
        }

        if (i < n && !t->started
            && slots_thread_start(slots, i) != TRAVEL_OK)
        {
            worker_pg_free(&t->slot.pg);
            worker_log(WORKER_LOG_WARN, "slot %u does not start, will try "
                       "again", i);
            break;
        }
    }
}


void
worker_slots_push(worker_slots_t *slots, worker_entries_t *list)
{
    double           ms, brief, together;
    unsigned         wake;
    worker_entry_t  *entry;

    wake = 0;
    brief = 0;
    together = 0;
    pthread_mutex_lock(&slots->mutex);

    while ((entry = worker_entries_pop(list)) != NULL) {
        ms = entry->expected_ms;
        slots->waiting_ms += ms;
        slots->nwaiting++;
        worker_entries_push(&slots->waiting[entry->priority], entry);

        if (slots_batches(entry)) {
            together += ms;
        } else if (ms >= SLOTS_WAKE_MS) {
            wake++;
        } else {
            brief += ms;
        }
    }

    wake += brief > 0 ? 1 + (unsigned) (brief / SLOTS_WAKE_MS) : 0;
    wake += together > 0 ? 1 + (unsigned) (together / SLOTS_BATCH_MS) : 0;

    while (wake-- > 0) {
        slots_wake_locked(slots);
    }

    pthread_mutex_unlock(&slots->mutex);
}


void
worker_slots_collect(worker_slots_t *slots, worker_entries_t *list)
{
    pthread_mutex_lock(&slots->mutex);

    if (slots->back.count > 0) {
        *list->tail = slots->back.head;
        list->tail = slots->back.tail;
        list->count += slots->back.count;
        worker_entries_init(&slots->back);
    }

    pthread_mutex_unlock(&slots->mutex);
}


worker_slots_load_t
worker_slots_load(worker_slots_t *slots)
{
    size_t               n;
    unsigned             p;
    worker_slots_load_t  load;

    pthread_mutex_lock(&slots->mutex);
    load.slots = slots->wanted;
    load.idle = slots->idle;

    for (n = 0, p = 0; p < TRAVEL_PRIORITY_MAX; p++) {
        n += slots->waiting[p].count;
        load.waiting[p] = n;
    }

    load.waiting_ms = slots->waiting_ms;
    load.asking = slots->asking;
    pthread_mutex_unlock(&slots->mutex);

    return load;
}


void
worker_slots_nudge(worker_slots_t *slots)
{
    pthread_mutex_lock(&slots->mutex);

    if (slots->nwaiting > 0) {
        slots_wake_all_locked(slots);
    }

    pthread_mutex_unlock(&slots->mutex);
}


void
worker_slots_stop(worker_slots_t **pslots)
{
    unsigned         i;
    worker_slots_t  *slots;

    slots = *pslots;
    *pslots = NULL;

    if (slots == NULL) {
        return;
    }

    pthread_mutex_lock(&slots->mutex);
    slots->stopping = true;
    slots_wake_all_locked(slots);
    pthread_mutex_unlock(&slots->mutex);

    for (i = 0; i < slots->room; i++) {
        slots_thread_bury(&slots->threads[i]);
        pthread_cond_destroy(&slots->threads[i].wake);
    }

    pthread_mutex_destroy(&slots->mutex);
    free(slots);
}
