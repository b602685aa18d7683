/*
 * Linear regression with a penalty (ridge): rows one by one, then weights.
 *
 * Sums are kept about running means, so that large features lose nothing.
 * Features are scaled to variance 1 for the penalty and back for the weights;
 * one that never changes has weight 0.
 *
 *     prediction = weights[0] x[0] + ... + weights[n-1] x[n-1] + weights[n]
 */

#ifndef TRAVEL_RIDGE_H
#define TRAVEL_RIDGE_H

#include "travel.h"

#define TRAVEL_RIDGE_FEATURES_MAX  32

typedef struct {
    size_t  n;                           /* features */
    size_t  rows;
    double  mean[TRAVEL_RIDGE_FEATURES_MAX + 1];    /* the last: the target */
    double  sum[TRAVEL_RIDGE_FEATURES_MAX + 1][TRAVEL_RIDGE_FEATURES_MAX + 1];
} travel_ridge_t;

/* 1 <= n <= TRAVEL_RIDGE_FEATURES_MAX. */
void travel_ridge_start(travel_ridge_t *ridge, size_t n);
void travel_ridge_add(travel_ridge_t *ridge, const double *x, double target);

/* Fills n + 1 weights.  'penalty' > 0, relative to a variance of 1.
 * TRAVEL_INVALID: fewer than two rows, or a number that is not finite. */
int travel_ridge_solve(const travel_ridge_t *ridge, double penalty,
    double *ret_weights) TRAVEL_MUST_CHECK;

double travel_ridge_predict(const double *weights, size_t n, const double *x);

#endif
