/* Text templates of the product: files with {{name}} places. */

#ifndef WORKER_TEMPLATE_H
#define WORKER_TEMPLATE_H

#include <jansson.h>

#include "../../common/travel.h"

/* The file dir/name as NUL-terminated text (owned), or NULL.  A name is of
 * letters, digits, '_', '-' and inner '.'. */
char *worker_template_load(const char *dir, const char *name);

/* The text with each {{name}} replaced by the member of 'data' (strings and
 * numbers; absent and null are nothing).  'html' escapes what is put in.
 * Owned; NULL when out of memory. */
char *worker_template_render(travel_str_t text, const json_t *data, bool html);

#endif
