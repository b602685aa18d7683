/* What is asked of the outside: sent, waited for, over. */

#include <pthread.h>

#include "ask.h"

typedef struct {
    pthread_mutex_t  mutex;
    pthread_cond_t   cond;
    bool             over;               /* mutex */
} ask_waiter_t;


void
worker_ask_send(worker_ask_t *ask, worker_io_t *io, void (*over)(void *data),
    void *data)
{
    ask->over = over;
    ask->data = data;
    ask->send(ask, io);
}


void
worker_ask_over(worker_ask_t *ask)
{
    ask->over(ask->data);
}


static void
ask_wake(void *data)
{
    ask_waiter_t  *waiter = data;

    pthread_mutex_lock(&waiter->mutex);
    waiter->over = true;
    pthread_cond_signal(&waiter->cond);
    pthread_mutex_unlock(&waiter->mutex);
}


void
worker_ask_wait(worker_ask_t *ask, worker_io_t *io)
{
    ask_waiter_t  waiter = { .over = false };

    pthread_mutex_init(&waiter.mutex, NULL);
    pthread_cond_init(&waiter.cond, NULL);
    worker_ask_send(ask, io, ask_wake, &waiter);

    pthread_mutex_lock(&waiter.mutex);

    while (!waiter.over) {
        pthread_cond_wait(&waiter.cond, &waiter.mutex);
    }

    pthread_mutex_unlock(&waiter.mutex);
    pthread_cond_destroy(&waiter.cond);
    pthread_mutex_destroy(&waiter.mutex);
}


void
worker_ask_free(worker_ask_t **pask)
{
    worker_ask_t  *ask;

    ask = *pask;
    *pask = NULL;

    if (ask != NULL) {
        ask->free(ask);
    }
}
