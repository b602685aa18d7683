/* travel-worker: reads its arguments and its config, becomes the supervisor. */

#include <stdio.h>
#include <unistd.h>

#include "supervisor.h"

static const char  main_usage[] =
    "usage: travel-worker -c FILE [-t]\n"
    "  -c FILE  the config (workers.conf)\n"
    "  -t       check the config and leave: 0 good, 1 not\n"
    "signals: TERM drains and ends, HUP reads the config again\n";


int
main(int argc, char **argv)
{
    int             opt, check;
    const char     *path;
    worker_conf_t  *conf;

    check = 0;
    path = NULL;

    while ((opt = getopt(argc, argv, "c:th")) != -1) {
        switch (opt) {

        case 'c':
            path = optarg;
            break;

        case 't':
            check = 1;
            break;

        case 'h':
            fputs(main_usage, stdout);
            return 0;

        default:
            fputs(main_usage, stderr);
            return 2;
        }
    }

    if (path == NULL || optind != argc) {
        fputs(main_usage, stderr);
        return 2;
    }

    conf = worker_conf_load(path);

    if (conf == NULL) {
        return 1;
    }

    if (check) {
        fprintf(stderr, "%s: the config is good\n", path);
        worker_conf_free(conf);
        return 0;
    }

    return worker_supervisor_run(conf);
}
