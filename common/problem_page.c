/* What a problem type's URI leads to: a page for people, from errors.def. */

#include <stdio.h>

#include "problem.h"


typedef struct {
    char    *dst;
    size_t   room;
    size_t   len;
} travel_page_t;


/* Counts on when there is no room. */
static void
page_put(travel_page_t *page, const char *text)
{
    size_t  n;

    n = strlen(text);

    if (page->dst != NULL && page->len + n <= page->room) {
        memcpy(page->dst + page->len, text, n);
    }

    page->len += n;
}


/* The texts of errors.def, which may have quotes but no tags. */
static void
page_text(travel_page_t *page, const char *text)
{
    char  c[2] = { 0 };

    for ( ; *text != '\0'; text++) {
        c[0] = *text;
        page_put(page, *text == '&' ? "&amp;" : *text == '<' ? "&lt;"
                       : *text == '>' ? "&gt;" : *text == '"' ? "&quot;" : c);
    }
}


static void
page_head(travel_page_t *page, const char *title)
{
    page_put(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                   "<meta charset=\"utf-8\">\n<title>");
    page_text(page, title);
    page_put(page, "</title>\n</head>\n<body>\n");
}


static void
page_one(travel_page_t *page, travel_error_e error)
{
    char  status[16];

    snprintf(status, sizeof(status), "%d", travel_error_status(error));

    page_head(page, travel_error_code(error));
    page_put(page, "<h1>");
    page_text(page, travel_error_title(error));
    page_put(page, "</h1>\n<p><code>");
    page_text(page, travel_error_code(error));
    page_put(page, "</code>, status ");
    page_put(page, status);
    page_put(page, "</p>\n<p>");
    page_text(page, travel_error_advice(error));
    page_put(page, "</p>\n<p><a href=\"./\">All problems</a></p>\n");
}


static void
page_all(travel_page_t *page)
{
    int  e;

    page_head(page, "Problems");
    page_put(page, "<h1>Problems</h1>\n<ul>\n");

    for (e = 0; e < TRAVEL_E_MAX; e++) {
        page_put(page, "<li><a href=\"");
        page_text(page, travel_error_code((travel_error_e) e));
        page_put(page, "\">");
        page_text(page, travel_error_code((travel_error_e) e));
        page_put(page, "</a>: ");
        page_text(page, travel_error_title((travel_error_e) e));
        page_put(page, "</li>\n");
    }

    page_put(page, "</ul>\n");
}


size_t
travel_problem_page(char *dst, size_t room, travel_error_e error)
{
    travel_page_t  page = { dst, room, 0 };

    if (error == TRAVEL_E_NONE) {
        page_all(&page);

    } else {
        page_one(&page, error);
    }

    page_put(&page, "</body>\n</html>\n");

    return dst != NULL && page.len > room ? 0 : page.len;
}
