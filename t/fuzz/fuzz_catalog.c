/* Query files, and values against the parameters they declare: the first line
 * of the input is a value, the rest a file. */

#include <stdlib.h>
#include <string.h>

#include "../../common/catalog.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                     why[160];
    size_t                   i;
    const char              *nl;
    travel_str_t             value, text;
    travel_query_t          *q;
    travel_catalog_fault_t   fault;

    nl = size ? memchr(data, '\n', size) : NULL;
    if (nl == NULL) {
        return 0;
    }

    value = (travel_str_t) { (const char *) data,
                             (size_t) (nl - (const char *) data) };
    text = (travel_str_t) { nl + 1, size - value.len - 1 };

    if (travel_query_parse(&q, "fuzz", "fuzz.sql", text, &fault)
        != TRAVEL_OK)
    {
        return 0;
    }

    if (q->nbinds != q->nparams + (q->viewer != 0)
        || (q->nkeys != 0) != (q->sql_next != NULL)
        || (q->nkeys == 0 && strlen(q->sql) > 11 * text.len))
    {
        abort();
    }

    for (i = 0; i < q->nparams; i++) {
        if (travel_param_check(&q->params[i], value, why) != TRAVEL_OK
            && memchr(why, 0, sizeof(why)) == NULL)
        {
            abort();
        }
    }

    travel_query_free(q);

    return 0;
}
