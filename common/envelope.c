/* A command's message: struct to XADD arguments, stream fields to struct. */

#include "digits.h"
#include "envelope.h"


/* Bits of the fields seen, in the order of the table in envelope.h. */

enum {
    SEEN_ID       = 1 << 0,
    SEEN_TYPE     = 1 << 1,
    SEEN_V        = 1 << 2,
    SEEN_SUB      = 1 << 3,
    SEEN_EMAIL    = 1 << 4,
    SEEN_KEY      = 1 << 5,
    SEEN_TP       = 1 << 6,
    SEEN_TS       = 1 << 7,
    SEEN_DEADLINE = 1 << 8,
    SEEN_REPLY    = 1 << 9,
    SEEN_BODY     = 1 << 10,
    SEEN_QUOTA    = 1 << 11,
    SEEN_SEALED   = 1 << 12,
    SEEN_ONCE     = 1 << 13,
    SEEN_CLAIM    = 1 << 14,
    SEEN_FLOW     = 1 << 15
};


static inline size_t
travel_envelope_arg(const char **argv, size_t *argvlen, size_t n,
    travel_str_t name, travel_str_t value)
{
    argv[n] = name.data;
    argvlen[n] = name.len;
    argv[n + 1] = value.data;
    argvlen[n + 1] = value.len;

    return n + 2;
}


static inline size_t
travel_envelope_optional(const char **argv, size_t *argvlen, size_t n,
    travel_str_t name, travel_str_t value)
{
    return value.len ? travel_envelope_arg(argv, argvlen, n, name, value) : n;
}


static inline travel_str_t
travel_envelope_number(char *buf, uint64_t v)
{
    return (travel_str_t) { buf, travel_digits_format(buf, v) };
}


size_t
travel_envelope_args(const travel_envelope_t *env,
    travel_envelope_scratch_t *scratch, const char **argv, size_t *argvlen,
    size_t n)
{
    n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("id"), env->id);
    n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("type"), env->type);
    n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("v"),
                            TRAVEL_STR(TRAVEL_ENVELOPE_VERSION));
    n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("sub"), env->sub);
    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("email"),
                                 env->email);
    n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("key"), env->key);
    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("tp"), env->tp);
    n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("ts"),
                            travel_envelope_number(scratch->ts, env->ts));

    if (env->deadline) {
        n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("deadline"),
                                travel_envelope_number(scratch->deadline,
                                                       env->deadline));
    }

    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("reply"),
                                 env->reply);
    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("quota"),
                                 env->quota);
    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("sealed"),
                                 env->sealed);
    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("claim"),
                                 env->claim);
    n = travel_envelope_optional(argv, argvlen, n, TRAVEL_STR("flow"),
                                 env->flow);

    if (env->once) {
        n = travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("once"),
                                TRAVEL_STR("1"));
    }

    return travel_envelope_arg(argv, argvlen, n, TRAVEL_STR("body"),
                               env->body);
}


static inline bool
travel_envelope_is(travel_str_t name, const char *lit)
{
    return memcmp(name.data, lit, name.len) == 0;
}


/* The field's bit, 0 for a name of a later version. */

static int
travel_envelope_field(travel_str_t name)
{
    switch (name.len) {

    case 1:
        return name.data[0] == 'v' ? SEEN_V : 0;

    case 2:
        return travel_envelope_is(name, "id") ? SEEN_ID
             : travel_envelope_is(name, "ts") ? SEEN_TS
             : travel_envelope_is(name, "tp") ? SEEN_TP : 0;

    case 3:
        return travel_envelope_is(name, "sub") ? SEEN_SUB
             : travel_envelope_is(name, "key") ? SEEN_KEY : 0;

    case 4:
        return travel_envelope_is(name, "type") ? SEEN_TYPE
             : travel_envelope_is(name, "body") ? SEEN_BODY
             : travel_envelope_is(name, "flow") ? SEEN_FLOW
             : travel_envelope_is(name, "once") ? SEEN_ONCE : 0;

    case 5:
        return travel_envelope_is(name, "email") ? SEEN_EMAIL
             : travel_envelope_is(name, "reply") ? SEEN_REPLY
             : travel_envelope_is(name, "claim") ? SEEN_CLAIM
             : travel_envelope_is(name, "quota") ? SEEN_QUOTA : 0;

    case 6:
        return travel_envelope_is(name, "sealed") ? SEEN_SEALED : 0;

    case 8:
        return travel_envelope_is(name, "deadline") ? SEEN_DEADLINE : 0;
    }

    return 0;
}


/* Stores one field; NULL, or what is wrong with it. */

static const char *
travel_envelope_store(travel_envelope_t *env, int field, travel_str_t value)
{
    switch (field) {

    case SEEN_V:
        return travel_str_eq(value, TRAVEL_STR(TRAVEL_ENVELOPE_VERSION))
               ? NULL : "unknown envelope version";

    case SEEN_TS:
        return travel_digits_parse(&env->ts, value) == TRAVEL_OK
               ? NULL : "ts is not a number";

    case SEEN_DEADLINE:
        return travel_digits_parse(&env->deadline, value) == TRAVEL_OK
               ? NULL : "deadline is not a number";

    case SEEN_ID:    env->id = value;    break;
    case SEEN_TYPE:  env->type = value;  break;
    case SEEN_SUB:   env->sub = value;   break;
    case SEEN_EMAIL: env->email = value; break;
    case SEEN_KEY:   env->key = value;   break;
    case SEEN_TP:    env->tp = value;    break;
    case SEEN_REPLY: env->reply = value; break;
    case SEEN_BODY:  env->body = value;  break;
    case SEEN_QUOTA: env->quota = value; break;
    case SEEN_SEALED: env->sealed = value; break;
    case SEEN_ONCE:  env->once = true;   break;
    case SEEN_CLAIM: env->claim = value; break;
    case SEEN_FLOW:  env->flow = value;  break;
    }

    return NULL;
}


static const char *
travel_envelope_missing(const travel_envelope_t *env, int seen)
{
    return !(seen & SEEN_V) ? "unknown envelope version"
         : env->id.len == 0 ? "id is missing"
         : env->type.len == 0 ? "type is missing"
         : env->sub.len == 0 ? "sub is missing"
         : env->key.len == 0 ? "key is missing"
         : env->body.len == 0 ? "body is missing" : NULL;
}


int
travel_envelope_read(travel_envelope_t *ret_env, const travel_str_t *fields,
    size_t n, const char **ret_why)
{
    int                 field, seen;
    size_t              i;
    const char         *why;
    travel_envelope_t   env = { 0 };

    why = NULL;
    seen = 0;

    if (n % 2) {
        why = "a field has no value";
    }

    for (i = 0; why == NULL && i < n; i += 2) {
        field = travel_envelope_field(fields[i]);

        if (seen & field) {
            why = "a field is repeated";
            break;
        }

        seen |= field;
        why = travel_envelope_store(&env, field, fields[i + 1]);
    }

    if (why == NULL) {
        why = travel_envelope_missing(&env, seen);
    }

    if (why) {
        *ret_why = why;
        return TRAVEL_INVALID;
    }

    *ret_env = env;

    return TRAVEL_OK;
}
