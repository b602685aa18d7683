/*
 * A ring of this nginx worker: writes are put into it, the kernel is entered
 * once and does them all before it returns.
 *
 * Nothing stays in the ring between two calls, so no memory has to outlive one:
 * every write says that it must not wait, and then the kernel has it done, or
 * refused with EAGAIN, when it has looked at it.  Whoever was refused, or
 * failed otherwise, is to be tried by send(), whose errors are known.
 *
 * The ring is ours alone: head and tail are shared with the kernel, which looks
 * at them only when it is entered.  Where there is no io_uring (before Linux
 * 6.1, sysctl kernel.io_uring_disabled, a seccomp filter), and after anything
 * unforeseen, there is no ring, for good.
 */

#include "ngx_http_travel_live_batch.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__NR_io_uring_setup) && defined(IORING_SETUP_DEFER_TASKRUN)

typedef struct {
    int                      fd;
    unsigned                 unsure:1;      /* whether it can be had */
    unsigned                 mask;          /* of positions, for a place */
    unsigned                 done_mask;
    unsigned                *tail;
    unsigned                *order;         /* of questions: always 0, 1, .. */
    unsigned                *done_head;
    unsigned                *done_tail;
    struct io_uring_sqe     *questions;
    struct io_uring_cqe     *answers;
    void                    *rings;
    size_t                   size;
} ngx_http_travel_ring_t;


static ngx_int_t ngx_http_travel_ring_map(struct io_uring_params *p);
static ngx_uint_t ngx_http_travel_ring_answers(ngx_http_travel_write_t *writes);


static ngx_http_travel_ring_t  ngx_http_travel_ring = { .fd = -1,
                                                        .unsure = 1 };


ngx_uint_t
ngx_http_travel_batch_possible(void)
{
    struct io_uring_params  p;

    if (!ngx_http_travel_ring.unsure) {
        return ngx_http_travel_ring.fd != -1;
    }

    ngx_http_travel_ring.unsure = 0;

    ngx_memzero(&p, sizeof(p));
    p.flags = IORING_SETUP_SINGLE_ISSUER|IORING_SETUP_DEFER_TASKRUN;

    ngx_http_travel_ring.fd = (int) syscall(__NR_io_uring_setup,
                                            NGX_HTTP_TRAVEL_BATCH_MAX, &p);

    if (ngx_http_travel_ring.fd == -1
        || !(p.features & IORING_FEAT_SINGLE_MMAP)
        || ngx_http_travel_ring_map(&p) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, ngx_errno,
                      "no io_uring: a message to many is written to each of "
                      "them by a call of its own");
        ngx_http_travel_batch_stop();
        return 0;
    }

    return 1;
}


static ngx_int_t
ngx_http_travel_ring_map(struct io_uring_params *p)
{
    int                      fd = ngx_http_travel_ring.fd;
    u_char                  *rings;
    ngx_uint_t               i;
    ngx_http_travel_ring_t  *ring = &ngx_http_travel_ring;

    ring->size = ngx_max(p->sq_off.array + p->sq_entries * sizeof(unsigned),
                         p->cq_off.cqes
                         + p->cq_entries * sizeof(struct io_uring_cqe));

    ring->rings = mmap(NULL, ring->size, PROT_READ|PROT_WRITE,
                       MAP_SHARED|MAP_POPULATE, fd, IORING_OFF_SQ_RING);

    if (ring->rings == MAP_FAILED) {
        ring->rings = NULL;
        return NGX_ERROR;
    }

    ring->questions = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe),
                           PROT_READ|PROT_WRITE, MAP_SHARED|MAP_POPULATE, fd,
                           IORING_OFF_SQES);

    if (ring->questions == MAP_FAILED) {
        ring->questions = NULL;
        return NGX_ERROR;
    }

    rings = ring->rings;
    ring->mask = p->sq_entries - 1;
    ring->done_mask = p->cq_entries - 1;
    ring->tail = (unsigned *) (rings + p->sq_off.tail);
    ring->order = (unsigned *) (rings + p->sq_off.array);
    ring->done_head = (unsigned *) (rings + p->cq_off.head);
    ring->done_tail = (unsigned *) (rings + p->cq_off.tail);
    ring->answers = (struct io_uring_cqe *) (rings + p->cq_off.cqes);

    for (i = 0; i < p->sq_entries; i++) {
        ring->order[i] = (unsigned) i;
    }

    return NGX_OK;
}


void
ngx_http_travel_batch_stop(void)
{
    ngx_http_travel_ring_t  *ring = &ngx_http_travel_ring;

    if (ring->questions != NULL) {
        (void) munmap(ring->questions,
                      (ring->mask + 1) * sizeof(struct io_uring_sqe));
        ring->questions = NULL;
    }

    if (ring->rings != NULL) {
        (void) munmap(ring->rings, ring->size);
        ring->rings = NULL;
    }

    if (ring->fd != -1) {
        (void) close(ring->fd);
        ring->fd = -1;
    }
}


void
ngx_http_travel_batch_send(ngx_http_travel_write_t *writes, ngx_uint_t n)
{
    int                      rc;
    unsigned                 tail;
    ngx_uint_t               i, done, given;
    struct io_uring_sqe     *q;
    ngx_http_travel_ring_t  *ring = &ngx_http_travel_ring;

    tail = *ring->tail;

    for (i = 0; i < n; i++, tail++) {
        q = &ring->questions[tail & ring->mask];
        ngx_memzero(q, sizeof(struct io_uring_sqe));

        q->opcode = IORING_OP_SEND;
        q->fd = writes[i].fd;
        q->addr = (uintptr_t) writes[i].data;
        q->len = (unsigned) writes[i].len;
        q->msg_flags = MSG_DONTWAIT|MSG_NOSIGNAL;
        q->user_data = i;

        writes[i].sent = NGX_ERROR;
    }

    __atomic_store_n(ring->tail, tail, __ATOMIC_RELEASE);

    for (done = 0, given = 0; done < n; /* void */ ) {

        rc = (int) syscall(__NR_io_uring_enter, ring->fd,
                           (unsigned) (n - given), (unsigned) (n - done),
                           IORING_ENTER_GETEVENTS, NULL, 0);

        if (rc == -1 && ngx_errno != EINTR) {
            break;
        }

        given += rc > 0 ? rc : 0;
        done += ngx_http_travel_ring_answers(writes);
    }

    if (done == n) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, ngx_errno,
                  "io_uring_enter() failed: it is not used any more");
    ngx_http_travel_batch_stop();

    /* questions are taken in their order */
    for (i = given; i < n; i++) {
        writes[i].sent = 0;
    }
}


static ngx_uint_t
ngx_http_travel_ring_answers(ngx_http_travel_write_t *writes)
{
    unsigned                 head, tail;
    ngx_uint_t               n;
    struct io_uring_cqe     *a;
    ngx_http_travel_ring_t  *ring = &ngx_http_travel_ring;

    head = *ring->done_head;
    tail = __atomic_load_n(ring->done_tail, __ATOMIC_ACQUIRE);

    for (n = 0; head != tail; head++, n++) {
        a = &ring->answers[head & ring->done_mask];
        writes[a->user_data].sent = ngx_max(a->res, 0);
    }

    __atomic_store_n(ring->done_head, head, __ATOMIC_RELEASE);

    return n;
}

#else

ngx_uint_t
ngx_http_travel_batch_possible(void)
{
    return 0;
}


void
ngx_http_travel_batch_send(ngx_http_travel_write_t *writes, ngx_uint_t n)
{
    (void) writes;
    (void) n;
}


void
ngx_http_travel_batch_stop(void)
{
}

#endif
