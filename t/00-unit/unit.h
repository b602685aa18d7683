/* What every unit test includes: cmocka, and comparisons of text views. */

#ifndef TRAVEL_UNIT_H
#define TRAVEL_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "travel.h"

/* A view of a C string, and of a literal that may hold NULs. */
#define S(s)   ((travel_str_t) { (s), strlen(s) })
#define L(s)   TRAVEL_STR(s)
#define N(a)   (sizeof(a) / sizeof((a)[0]))

#define assert_str(s, text)                                                   \
    do {                                                                      \
        travel_str_t  str_ = (s);                                             \
                                                                              \
        assert_int_equal(str_.len, strlen(text));                             \
        assert_memory_equal(str_.data, text, str_.len);                       \
    } while (0)

#endif
