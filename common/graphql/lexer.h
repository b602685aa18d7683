/* Tokens of a GraphQL text. */

#ifndef TRAVEL_GRAPHQL_LEXER_H
#define TRAVEL_GRAPHQL_LEXER_H

#include "document.h"

typedef enum {
    TRAVEL_GRAPHQL_TOKEN_END,
    TRAVEL_GRAPHQL_TOKEN_PUNCT,       /* text: "{", "...", ... */
    TRAVEL_GRAPHQL_TOKEN_NAME,
    TRAVEL_GRAPHQL_TOKEN_INT,
    TRAVEL_GRAPHQL_TOKEN_FLOAT,
    TRAVEL_GRAPHQL_TOKEN_STRING,      /* text: as written, quotes left out */
    TRAVEL_GRAPHQL_TOKEN_BLOCK
} travel_graphql_token_e;

typedef struct {
    const char              *p;
    const char              *end;
    const char              *counted; /* up to here in the line */
    uint32_t                 column;  /* of 'counted' */
    uint32_t                 line;
    travel_graphql_fault_t  *fault;

    /* the token */
    travel_graphql_token_e   kind;
    travel_str_t             text;
    uint32_t                 at_line;
    uint32_t                 at_column;
    bool                     escaped; /* STRING, BLOCK: decode it */
} travel_graphql_lexer_t;

void travel_graphql_lexer_init(travel_graphql_lexer_t *lexer,
    travel_str_t source, travel_graphql_fault_t *fault);
/* TRAVEL_OK, or TRAVEL_INVALID with the fault. */
int travel_graphql_lexer_next(travel_graphql_lexer_t *lexer)
    TRAVEL_MUST_CHECK;
/* The token's value into dst, which holds text.len bytes; returns its length,
 * or SIZE_MAX with the fault: an escape that is none. */
size_t travel_graphql_lexer_decode(travel_graphql_lexer_t *lexer, char *dst);

/* Fills the fault, at the token; always TRAVEL_INVALID. */
int travel_graphql_lexer_fault(travel_graphql_lexer_t *lexer, const char *fmt,
    ...) TRAVEL_PRINTF(2, 3);

#endif
