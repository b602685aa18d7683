/* Topics of live messages, their positions, and the scripts of the history. */

#include "ids.h"
#include "live_message.h"


const char  travel_live_publish[] =
    "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)\n"
    "local at, id\n"
    "if last[1] then\n"
    "  id = last[1][1]\n"
    "else\n"
    "  local t = redis.call('TIME')\n"
    "  at = t[1] .. string.format('%03d', math.floor(t[2] / 1000)) .. '-1'\n"
    "end\n"
    "for i = 3, #ARGV do\n"
    "  local m = i > 3 and ARGV[i] or ARGV[1]\n"
    "  at = at or string.match(id, '^%d+') .. '-*'\n"
    "  id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], at, 'm', m)\n"
    "  redis.call('PUBLISH', KEYS[1], id .. ' ' .. m)\n"
    "  at = nil\n"
    "end\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "return id\n";

const char  travel_live_positions[] =
    "local at, now = {}\n"
    "for i = 1, #KEYS do\n"
    "  local last = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)\n"
    "  if last[1] then\n"
    "    at[i] = last[1][1]\n"
    "  else\n"
    "    if not now then\n"
    "      local t = redis.call('TIME')\n"
    "      now = t[1] .. string.format('%03d', math.floor(t[2] / 1000))\n"
    "    end\n"
    "    at[i] = now .. '-0'\n"
    "  end\n"
    "end\n"
    "return at\n";


/* The part before the next colon; what is left starts behind it. */
static travel_str_t
topic_word(travel_str_t *rest, bool *ret_more)
{
    const char    *colon;
    travel_str_t   word;

    colon = rest->len > 0 ? memchr(rest->data, ':', rest->len) : NULL;
    *ret_more = colon != NULL;

    if (colon == NULL) {
        word = *rest;
        *rest = TRAVEL_STR("");
        return word;
    }

    word = (travel_str_t) { rest->data, (size_t) (colon - rest->data) };
    rest->data = colon + 1;
    rest->len -= word.len + 1;

    return word;
}


static bool
topic_channel_sane(travel_str_t channel)
{
    return travel_str_eq(channel, TRAVEL_STR("events"))
           || travel_str_eq(channel, TRAVEL_STR("predictions"))
           || travel_str_eq(channel, TRAVEL_STR("insights"))
           || travel_str_eq(channel, TRAVEL_STR("notifications"));
}


/* As it is written here: an id in capitals would be another topic. */
static bool
topic_uuid(travel_str_t id)
{
    size_t         i;
    travel_uuid_t  uuid;

    for (i = 0; i < id.len; i++) {
        if (id.data[i] >= 'A' && id.data[i] <= 'F') {
            return false;
        }
    }

    return travel_uuid_parse(&uuid, id) == TRAVEL_OK;
}


/* "user:ID:CHANNEL", "journey:ID", "job:ID" with an id that is one. */
static bool
topic_fill(travel_live_topic_t *t, travel_str_t kind, travel_str_t rest)
{
    bool             more;
    travel_job_id_t  job;

    if (travel_str_eq(kind, TRAVEL_STR("user"))) {
        t->kind = TRAVEL_LIVE_USER;
        t->id = topic_word(&rest, &more);
        t->channel = rest;

        return (topic_uuid(t->id) || travel_str_eq(t->id, TRAVEL_STR("*")))
               && more && topic_channel_sane(t->channel);
    }

    t->id = rest;

    if (travel_str_eq(kind, TRAVEL_STR("journey"))) {
        t->kind = TRAVEL_LIVE_JOURNEY;
        return topic_uuid(rest) || travel_str_eq(rest, TRAVEL_STR("*"));
    }

    if (travel_str_eq(kind, TRAVEL_STR("job"))) {
        t->kind = TRAVEL_LIVE_JOB;
        return travel_job_id_parse(&job, rest) == TRAVEL_OK;
    }

    if (travel_str_eq(kind, TRAVEL_STR("system"))) {
        t->kind = TRAVEL_LIVE_SYSTEM;
        t->id = TRAVEL_STR("");
        t->channel = rest;
        return travel_str_eq(rest, TRAVEL_STR("announcements"));
    }

    return false;
}


int
travel_live_topic_parse(travel_live_topic_t *ret_topic, travel_str_t name)
{
    bool                 more;
    travel_str_t         kind, rest = name;
    travel_live_topic_t  t = { 0 };

    if (name.len == 0 || name.len > TRAVEL_LIVE_TOPIC_MAX) {
        return TRAVEL_INVALID;
    }

    kind = topic_word(&rest, &more);

    if (!more || !topic_fill(&t, kind, rest)) {
        return TRAVEL_INVALID;
    }

    t.text = name;
    t.pattern = travel_str_eq(t.id, TRAVEL_STR("*"));

    *ret_topic = t;
    return TRAVEL_OK;
}


bool
travel_live_follows(travel_stream_id_t last, travel_stream_id_t next)
{
    if (next.ms == last.ms) {
        return next.seq == last.seq + 1;
    }

    /* nothing had been there at 'last', and this is the first since */
    return last.seq == 0 && next.seq == 1 && next.ms > last.ms;
}


int64_t
travel_live_missed(travel_stream_id_t last, travel_stream_id_t oldest)
{
    if (oldest.ms == last.ms) {
        return oldest.seq > last.seq ? (int64_t) (oldest.seq - last.seq - 1)
                                     : 0;
    }

    if (last.seq == 0 && oldest.ms > last.ms && oldest.seq > 0) {
        return (int64_t) (oldest.seq - 1);
    }

    return -1;
}


int
travel_live_passing(travel_str_t payload, travel_str_t *ret_message)
{
    size_t  n = sizeof(TRAVEL_LIVE_PASSING) - 1;

    if (payload.len <= n || memcmp(payload.data, TRAVEL_LIVE_PASSING, n) != 0) {
        return TRAVEL_INVALID;
    }

    *ret_message = (travel_str_t) { payload.data + n, payload.len - n };

    return TRAVEL_OK;
}


int
travel_live_hint(travel_str_t payload, travel_stream_id_t *ret_id,
    travel_str_t *ret_message)
{
    const char  *space;
    size_t       n;

    space = payload.len > 0 ? memchr(payload.data, ' ', payload.len) : NULL;

    if (space == NULL) {
        return TRAVEL_INVALID;
    }

    n = (size_t) (space - payload.data);

    if (travel_stream_id_parse(ret_id, (travel_str_t) { payload.data, n })
        != TRAVEL_OK)
    {
        return TRAVEL_INVALID;
    }

    *ret_message = (travel_str_t) { space + 1, payload.len - n - 1 };

    return TRAVEL_OK;
}
