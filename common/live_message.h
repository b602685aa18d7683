/*
 * Live messages: topics, their history, and how a message gets there.
 *
 * A topic is user:{uuid}:events|predictions|insights|notifications,
 * journey:{uuid}, job:{queue.partition.uuid} or system:announcements.  A
 * subscription may also name a pattern, "journey:*", which only operators may.
 * Of jobs there is none: a job is told of because it is watched, and of one
 * that nobody watches nothing is told.
 *
 * The history of a topic is a Redis stream of the cache role at
 * TRAVEL_LIVE_PREFIX + topic, bounded in length and age.  The stream is the
 * truth; what is published on the channel of the same name is a hint that
 * carries the same message, so that usually nobody has to read the stream.
 *
 * The id of an entry is its cursor, <epoch>-<offset>.  The epoch is the time
 * in ms when the stream was made; the offset counts its messages from 1
 * without holes.  So it can be told how many were missed, and that it can not
 * be told: another epoch means that the history between was lost.  The
 * position of a topic without history is <now>-0: whatever comes later is made
 * later, and its first message is number 1.
 *
 * An entry has one field, "m": a JSON object
 *
 *     {"type": "booking.confirmed", "data": {...}, "id": "...", "ts": "..."}
 *
 * of which only "type" must be.  Delivery is at least once: "id", the writer's
 * own, tells a repeat.
 */

#ifndef TRAVEL_LIVE_MESSAGE_H
#define TRAVEL_LIVE_MESSAGE_H

#include "consistency.h"
#include "travel.h"

#define TRAVEL_LIVE_PREFIX       "travel:live:"
#define TRAVEL_LIVE_TOPIC_MAX    80
#define TRAVEL_LIVE_MESSAGE_MAX  65536      /* bytes of JSON */
#define TRAVEL_LIVE_KEEP         256        /* messages of a topic */
#define TRAVEL_LIVE_TTL_MS       3600000    /* after the last one */

/*
 * A job's topic has no history: the hash in the queue role is the truth, what
 * is told is its state, and a cursor says which (hub.h of the edge's live).
 */

/* Close codes of ours (4000-4999 are for applications). */
#define TRAVEL_LIVE_EXPIRED      4401       /* the token; refresh, come back */
#define TRAVEL_LIVE_REVOKED      4403

/*
 * KEYS[1] = the topic's key; ARGV = a message, how many are kept, how long in
 * ms, more messages.  Adds them to the history and publishes "<id> <message>"
 * of each; the last one's id.
 */
extern const char  travel_live_publish[];

/* KEYS = topics' keys: the position of each. */
extern const char  travel_live_positions[];

typedef enum {
    TRAVEL_LIVE_USER,
    TRAVEL_LIVE_JOURNEY,
    TRAVEL_LIVE_JOB,
    TRAVEL_LIVE_SYSTEM
} travel_live_kind_e;

typedef struct {
    travel_live_kind_e  kind;
    travel_str_t        text;       /* the whole name */
    travel_str_t        id;         /* "*" in a pattern; empty: SYSTEM */
    travel_str_t        channel;    /* USER, SYSTEM: the last word */
    bool                pattern;
} travel_live_topic_t;

/* TRAVEL_INVALID: there is no such topic.  Texts point into 'name'. */
int travel_live_topic_parse(travel_live_topic_t *ret_topic, travel_str_t name)
    TRAVEL_MUST_CHECK;

/* Is 'next' the message right after the position 'last'? */
bool travel_live_follows(travel_stream_id_t last, travel_stream_id_t next);

/* How many lie between 'last' and 'oldest', the first that is still there;
 * -1: it cannot be told. */
int64_t travel_live_missed(travel_stream_id_t last, travel_stream_id_t oldest);

/*
 * What only passes by: "- <message>" on the channel, and nothing in the
 * history.  Of a position the newest is all that counts, and what happened must
 * not be driven out of the history by ten positions a second.  Who is there
 * hears it; who was away missed nothing that he could be told.
 */
#define TRAVEL_LIVE_PASSING  "- "

int travel_live_passing(travel_str_t payload, travel_str_t *ret_message)
    TRAVEL_MUST_CHECK;

/* "<id> <message>", as published. */
int travel_live_hint(travel_str_t payload, travel_stream_id_t *ret_id,
    travel_str_t *ret_message) TRAVEL_MUST_CHECK;

#endif
