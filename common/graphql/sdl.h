/* The schema as clients may see it: SDL without what maps it to PostgreSQL. */

#ifndef TRAVEL_GRAPHQL_SDL_H
#define TRAVEL_GRAPHQL_SDL_H

#include "document.h"
#include "text.h"

/* Only @deprecated, @specifiedBy and @oneOf are kept of the directives.
 * 'out' is appended to; out->failed: out of memory. */
void travel_graphql_sdl(const travel_graphql_document_t *document,
    travel_graphql_text_t *out);

/* A type as it is written: "[Journey!]!". */
void travel_graphql_sdl_type(const travel_graphql_ast_t *type,
    travel_graphql_text_t *out);
/* A constant as it is written. */
void travel_graphql_sdl_value(const travel_graphql_ast_t *value,
    travel_graphql_text_t *out);

/* Of a directive by name: does it say something to clients? */
bool travel_graphql_sdl_public(travel_str_t directive);

#endif
