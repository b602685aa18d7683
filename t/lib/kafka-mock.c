/*
 * A Kafka cluster for tests (librdkafka's own mock) and who reads it.
 *
 *     kafka-mock OUT TOPIC:PARTITIONS...
 *
 * The first line on standard output is where the brokers are.  What arrives is
 * written to OUT, one JSON line a message.  Lines on standard input: "down",
 * "up" (all brokers), "fail CODE N" (the next N Produce requests), and the end
 * of it ends everything.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define BROKERS      3
#define API_PRODUCE  0

static rd_kafka_mock_cluster_t  *cluster;


static void
die(const char *what)
{
    fprintf(stderr, "kafka-mock: %s\n", what);
    exit(1);
}


static void
command(char *line)
{
    int                   i, n, code;
    rd_kafka_resp_err_t   errors[100];

    for (i = 1; i <= BROKERS; i++) {
        if (strncmp(line, "down", 4) == 0) {
            rd_kafka_mock_broker_set_down(cluster, i);

        } else if (strncmp(line, "up", 2) == 0) {
            rd_kafka_mock_broker_set_up(cluster, i);
        }
    }

    if (sscanf(line, "fail %d %d", &code, &n) == 2 && n <= 100) {
        for (i = 0; i < n; i++) {
            errors[i] = (rd_kafka_resp_err_t) code;
        }

        rd_kafka_mock_push_request_errors_array(cluster, API_PRODUCE,
                                                (size_t) n, errors);
    }
}


static const char *
header(const rd_kafka_message_t *m, const char *name, size_t *len)
{
    const void          *value = "";
    rd_kafka_headers_t  *headers;

    *len = 0;

    if (rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void) rd_kafka_header_get_last(headers, name, &value, len);
    }

    return value;
}


static void
put(FILE *out, const rd_kafka_message_t *m)
{
    size_t       nid, ntype;
    const char  *id, *type;

    id = header(m, "id", &nid);
    type = header(m, "type", &ntype);
    fprintf(out, "{\"topic\":\"%s\",\"partition\":%d,\"key\":\"%.*s\","
            "\"id\":\"%.*s\",\"type\":\"%.*s\",\"event\":%.*s}\n",
            rd_kafka_topic_name(m->rkt), (int) m->partition, (int) m->key_len,
            (const char *) m->key, (int) nid, id, (int) ntype, type,
            (int) m->len, (const char *) m->payload);
    fflush(out);
}


static rd_kafka_t *
consumer(const char *brokers, rd_kafka_topic_partition_list_t *topics)
{
    char              why[256];
    rd_kafka_t       *rk;
    rd_kafka_conf_t  *conf;

    conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why));
    rd_kafka_conf_set(conf, "group.id", "test", why, sizeof(why));
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why));
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));

    if (rk == NULL || rd_kafka_poll_set_consumer(rk) != 0
        || rd_kafka_assign(rk, topics) != 0)
    {
        die("consumer");
    }

    return rk;
}


int
main(int argc, char **argv)
{
    int                               i, k, n;
    char                              line[128], why[256], *colon;
    FILE                             *out;
    rd_kafka_t                       *host, *reader;
    struct pollfd                     in = { .fd = 0, .events = POLLIN };
    rd_kafka_message_t               *m;
    rd_kafka_topic_partition_list_t  *topics;

    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why,
                        sizeof(why));
    cluster = host != NULL ? rd_kafka_mock_cluster_new(host, BROKERS) : NULL;
    out = argc > 2 ? fopen(argv[1], "w") : NULL;

    if (cluster == NULL || out == NULL) {
        die("kafka-mock OUT TOPIC:PARTITIONS...");
    }

    topics = rd_kafka_topic_partition_list_new(16);

    for (i = 2; i < argc; i++) {
        colon = strrchr(argv[i], ':');
        n = colon != NULL ? atoi(colon + 1) : 0;

        if (n < 1) {
            die("TOPIC:PARTITIONS");
        }

        *colon = '\0';
        rd_kafka_mock_topic_create(cluster, argv[i], n, BROKERS);

        for (k = 0; k < n; k++) {
            rd_kafka_topic_partition_list_add(topics, argv[i], k)->offset
                = RD_KAFKA_OFFSET_BEGINNING;
        }
    }

    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    reader = consumer(rd_kafka_mock_cluster_bootstraps(cluster), topics);

    for ( ;; ) {
        m = rd_kafka_consumer_poll(reader, 50);

        if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            put(out, m);
        }

        if (m != NULL) {
            rd_kafka_message_destroy(m);
        }

        while (poll(&in, 1, 0) == 1) {
            ssize_t  got = read(0, line, sizeof(line) - 1);

            if (got <= 0) {
                _exit(0);           /* brokers and all */
            }

            line[got] = '\0';
            command(line);
        }
    }
}
