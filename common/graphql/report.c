/* What is wrong with a document.  See report.h. */

#include "report.h"
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>


void
travel_graphql_report_init(travel_graphql_report_t *report, size_t max)
{
    memset(report, 0, sizeof(*report));
    report->max = max;
}


void
travel_graphql_report_free(travel_graphql_report_t *report)
{
    free(report->items);
    memset(report, 0, sizeof(*report));
}


travel_graphql_mistake_t *
travel_graphql_report(travel_graphql_report_t *report, const char *fmt, ...)
{
    va_list                    args;
    travel_graphql_mistake_t  *mistake;

    if (report->n == report->max) {
        report->more = true;
        return NULL;
    }

    if (travel_graphql_grow((void **) &report->items, &report->room, report->n,
                            sizeof(*report->items)) != TRAVEL_OK)
    {
        report->failed = true;
        return NULL;
    }

    mistake = &report->items[report->n++];

    va_start(args, fmt);
    vsnprintf(mistake->message, sizeof(mistake->message), fmt, args);
    va_end(args);

    return mistake;
}


static void
report_place(travel_graphql_mistake_t *mistake, uint32_t line, uint32_t column)
{
    if (mistake != NULL && line != 0
        && mistake->nplaces < TRAVEL_GRAPHQL_PLACES_MAX)
    {
        mistake->places[mistake->nplaces].line = line;
        mistake->places[mistake->nplaces++].column = column;
    }
}


void
travel_graphql_report_at(travel_graphql_mistake_t *mistake,
    const travel_graphql_ast_t *node)
{
    report_place(mistake, node->line, node->column);
}


void
travel_graphql_report_at_name(travel_graphql_mistake_t *mistake,
    const travel_graphql_ast_t *node)
{
    report_place(mistake, node->name_line, node->name_column);
}


static int
report_order(const void *a, const void *b)
{
    const travel_graphql_mistake_t  *x = a, *y = b;
    const travel_graphql_place_t    *p = x->places, *q = y->places;

    if (x->nplaces == 0 || y->nplaces == 0) {
        return (x->nplaces > 0) - (y->nplaces > 0);
    }

    if (p->line != q->line) {
        return p->line < q->line ? -1 : 1;
    }

    if (p->column != q->column) {
        return p->column < q->column ? -1 : 1;
    }

    return strcmp(x->message, y->message);
}


void
travel_graphql_report_sort(travel_graphql_report_t *report)
{
    if (report->n > 1) {
        qsort(report->items, report->n, sizeof(*report->items), report_order);
    }
}
