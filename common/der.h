/*
 * The little of DER (X.690) that keys and signatures need to be written in:
 * unsigned integers, sequences and bit strings into fixed memory.
 */

#ifndef TRAVEL_DER_H
#define TRAVEL_DER_H

#include "travel.h"

#define TRAVEL_DER_INTEGER     0x02
#define TRAVEL_DER_BIT_STRING  0x03
#define TRAVEL_DER_SEQUENCE    0x30

/* Tag and length octets together: at most 4 for lengths below 65,536. */
#define TRAVEL_DER_HEAD_MAX    4

/* Bytes of the whole element around 'len' < 65,536 bytes of content. */
size_t travel_der_size(size_t len);

/* Writes tag and length; returns the next position. */
uint8_t *travel_der_head(uint8_t *p, uint8_t tag, size_t len);

/* A big-endian unsigned number as INTEGER: minimal, with a zero byte in front
 * where the highest bit is set.  Content length, and the whole element. */
size_t travel_der_uint_len(const uint8_t *be, size_t n);
uint8_t *travel_der_uint(uint8_t *p, const uint8_t *be, size_t n);

#endif
