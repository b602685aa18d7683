/*
 * A worker process: its threads in the order they start and stop.
 *
 *     trace exporter, I/O thread (io), scheduler and Kafka's publisher (of two
 *     processes), keeper, slots, and the fetcher on the main thread; signals
 *     are blocked in all of them and read by the fetcher from a signalfd.
 *
 * When a thread crashes, the handler leaves the number of its slot on the
 * board and lets the process die: the supervisor counts an attempt for that
 * slot's job only, the others were innocent.
 */

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "process.h"
#include "slots.h"
#include "../out/io.h"
#include "../publish/kafka.h"
#include "../queue/run.h"
#include "../schedule/schedule.h"
#include "../trace/trace.h"
#include "../track/track.h"

#if defined(__SANITIZE_ADDRESS__)
#define PROCESS_SANITIZED  1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROCESS_SANITIZED  1
#endif
#endif

#define PROCESS_SCHEDULERS  2       /* one leads, one is at hand */

static worker_sheet_t  *process_sheet;       /* for the crash handler alone */


/* Async-signal-safe: one atomic store, then the signal's own way. */
static void
process_crashed(int signo)
{
    atomic_store(&process_sheet->crash_slot, worker_slot_current());
    signal(signo, SIG_DFL);
    raise(signo);
}


static int
process_signals(void)
{
    size_t            i;
    sigset_t          set;
    struct sigaction  sa;
    static const int  crashes[] = {
        SIGABRT,
#ifndef PROCESS_SANITIZED           /* the sanitizer wants to report these */
        SIGSEGV, SIGBUS, SIGFPE, SIGILL
#endif
    };

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = process_crashed;
    sa.sa_flags = SA_NODEFER;

    for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
        sigaction(crashes[i], &sa, NULL);
    }

    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);        /* the supervisor's; it terminates us */
    signal(SIGCHLD, SIG_DFL);

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);

    if (sigprocmask(SIG_SETMASK, &set, NULL) != 0) {
        return -1;
    }

    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}


/* Threads that have not ended may be anywhere: nothing they use is touched,
 * and no exit handler runs under them. */
static void __attribute__((noreturn))
process_end(worker_queue_end_e end, worker_io_t *io, int signal_fd)
{
    worker_trace_stop();
    worker_log(WORKER_LOG_INFO, "ended");

    if (end == WORKER_QUEUE_LEFT) {
        _exit(0);
    }

    if (end != WORKER_QUEUE_ENDED) {
        _exit(1);
    }

    worker_io_stop(&io);
    close(signal_fd);
    curl_global_cleanup();
    exit(0);
}


void
worker_process_main(const worker_process_t *process)
{
    char                  name[16];
    worker_io_t          *io;
    worker_queue_end_e    end;
    worker_kafka_t       *kafka;
    worker_track_t       *track;
    worker_scheduler_t   *scheduler;
    worker_queue_spec_t   spec;

    snprintf(name, sizeof(name), "w%u", process->index);
    worker_log_init(process->conf->log_level, name);
    process_sheet = process->sheet;

    /* When the supervisor is killed the pool drains rather than going on
     * without anybody to restart it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    json_object_seed(0);
    curl_global_init(CURL_GLOBAL_DEFAULT);

    spec = (worker_queue_spec_t) {
        .conf = process->conf, .sheet = process->sheet,
        .owner = process->owner, .seat = process->seat,
        .signal_fd = process_signals()
    };

    if (spec.signal_fd < 0 || worker_trace_start(process->conf) != TRAVEL_OK) {
        worker_log(WORKER_LOG_ERROR, "the process does not start");
        _exit(1);
    }

    io = worker_io_start(process->conf, process->sheet);

    if (io == NULL) {
        worker_log(WORKER_LOG_ERROR, "the I/O thread does not start");
        _exit(1);
    }

    spec.io = io;
    worker_log(WORKER_LOG_INFO, "started as %s with %u slots, pid %d",
               process->owner, atomic_load(&process->sheet->nslots),
               (int) getpid());

    scheduler = process->index < PROCESS_SCHEDULERS
                ? worker_scheduler_start(process->conf, process->owner,
                                         process->sheet) : NULL;
    kafka = process->index < PROCESS_SCHEDULERS
            ? worker_kafka_start(process->conf) : NULL;
    track = process->index < PROCESS_SCHEDULERS
            ? worker_track_start(process->conf, process->owner) : NULL;
    end = worker_queue_run(&spec);
    worker_track_stop(&track);
    worker_kafka_stop(&kafka);
    worker_scheduler_stop(&scheduler);
    process_end(end, io, spec.signal_fd);
}
