/*
 * Domain events to Kafka: topic "<prefix><topic>" by events.topic, keyed by
 * the aggregate, in the order of its versions.  At least once: headers "id"
 * (the event's position) tell a repeat.  Off without a section "kafka".
 *
 * One process of all pools publishes at a time.
 */

#ifndef WORKER_KAFKA_H
#define WORKER_KAFKA_H

#include "../pool/conf.h"

typedef struct worker_kafka_s  worker_kafka_t;

/* NULL: no section, or it does not start (said in the log). */
worker_kafka_t *worker_kafka_start(const worker_conf_t *conf);
void worker_kafka_stop(worker_kafka_t **pkafka);

/* What librdkafka would not take of the section; false with one line. */
bool worker_kafka_check(const worker_conf_t *conf, char why[256]);

#endif
