/* Envelopes: fields cut out of the input at NUL bytes; what reads well is
 * written and read again to the same. */

#include <stdint.h>
#include <stdlib.h>

#include "envelope.h"
#include "ids.h"


#define FIELDS  64


static void
same(travel_str_t a, travel_str_t b)
{
    if (!travel_str_eq(a, b)) {
        abort();
    }
}


static void
again(const travel_envelope_t *env)
{
    size_t                     i, n, len[2 * TRAVEL_ENVELOPE_FIELDS];
    const char                *why, *argv[2 * TRAVEL_ENVELOPE_FIELDS];
    travel_str_t               fields[2 * TRAVEL_ENVELOPE_FIELDS];
    travel_envelope_t          back;
    travel_envelope_scratch_t  scratch;

    n = travel_envelope_args(env, &scratch, argv, len, 0);

    for (i = 0; i < n; i++) {
        fields[i] = (travel_str_t) { argv[i], len[i] };
    }

    if (travel_envelope_read(&back, fields, n, &why) != TRAVEL_OK
        || back.ts != env->ts || back.deadline != env->deadline)
    {
        abort();
    }

    same(back.id, env->id);
    same(back.type, env->type);
    same(back.sub, env->sub);
    same(back.email, env->email);
    same(back.key, env->key);
    same(back.tp, env->tp);
    same(back.reply, env->reply);
    same(back.body, env->body);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char               text[TRAVEL_JOB_ID_MAX + 1];
    size_t             count;
    const char        *p, *end, *nul, *why;
    travel_str_t       fields[FIELDS];
    travel_job_id_t    id;
    travel_envelope_t  env;

    p = (const char *) data;
    end = p + n;

    for (count = 0; count < FIELDS && p < end; count++) {
        nul = memchr(p, '\0', (size_t) (end - p));
        nul = nul ? nul : end;

        fields[count] = (travel_str_t) { p, (size_t) (nul - p) };
        p = nul + 1;
    }

    if (travel_envelope_read(&env, fields, count, &why) == TRAVEL_OK) {
        again(&env);

        if (travel_job_id_parse(&id, env.id) == TRAVEL_OK
            && travel_job_id_format(text, &id) != env.id.len)
        {
            abort();
        }
    }

    return 0;
}
