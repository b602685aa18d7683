/*
 * One endpoint over query, cache and command: a document becomes one SQL
 * statement, a mutation a command.
 *
 *     travel_graphql [depth=12] [fields=500] [cost=5000] [max_body=256k]
 *                    [persisted=off|apq|DIRECTORY] [status=strict|legacy];
 *     travel_graphql_sdl;                      the schema's own text
 *
 * The schema is graphql/schema.graphql of the catalog; what it says is checked
 * by `nginx -t` (common/graphql/mapping.h).
 */

#ifndef NGX_HTTP_TRAVEL_GRAPHQL_H
#define NGX_HTTP_TRAVEL_GRAPHQL_H

#include "../core/ngx_http_travel.h"
#include "../../common/graphql/plan.h"

extern ngx_module_t  ngx_http_travel_graphql_module;

#endif
