/* Ridge regression by the normal equations and Cholesky's decomposition. */

#include <math.h>

#include "ridge.h"

#define RIDGE_FLAT  1e-12                /* variance of a constant feature */

typedef double  ridge_matrix_t[TRAVEL_RIDGE_FEATURES_MAX]
                              [TRAVEL_RIDGE_FEATURES_MAX];


void
travel_ridge_start(travel_ridge_t *ridge, size_t n)
{
    memset(ridge, 0, sizeof(*ridge));
    ridge->n = n;
}


void
travel_ridge_add(travel_ridge_t *ridge, const double *x, double target)
{
    size_t  i, j;
    double  v, before[TRAVEL_RIDGE_FEATURES_MAX + 1];
    double  after[TRAVEL_RIDGE_FEATURES_MAX + 1];

    ridge->rows++;

    for (i = 0; i <= ridge->n; i++) {
        v = i < ridge->n ? x[i] : target;
        before[i] = v - ridge->mean[i];
        ridge->mean[i] += before[i] / (double) ridge->rows;
        after[i] = v - ridge->mean[i];
    }

    for (i = 0; i <= ridge->n; i++) {
        for (j = 0; j <= i; j++) {
            ridge->sum[i][j] += before[i] * after[j];
        }
    }
}


/* 'a' (lower half) becomes its factor; it is positive definite by the
 * penalty. */
static void
ridge_factor(ridge_matrix_t a, size_t n)
{
    size_t  i, j, k;

    for (j = 0; j < n; j++) {
        for (k = 0; k < j; k++) {
            a[j][j] -= a[j][k] * a[j][k];
        }

        a[j][j] = sqrt(a[j][j]);

        for (i = j + 1; i < n; i++) {
            for (k = 0; k < j; k++) {
                a[i][j] -= a[i][k] * a[j][k];
            }

            a[i][j] /= a[j][j];
        }
    }
}


static void
ridge_substitute(const ridge_matrix_t a, size_t n, double *b)
{
    size_t  i, k;

    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++) {
            b[i] -= a[i][k] * b[k];
        }

        b[i] /= a[i][i];
    }

    for (i = n; i-- > 0; ) {
        for (k = i + 1; k < n; k++) {
            b[i] -= a[k][i] * b[k];
        }

        b[i] /= a[i][i];
    }
}


/* Correlations with the penalty on the diagonal; 'b' those with the target. */
static void
ridge_equations(const travel_ridge_t *ridge, double penalty, ridge_matrix_t a,
    double *b, double *scale)
{
    size_t  i, j;
    double  rows;

    rows = (double) ridge->rows;

    for (i = 0; i < ridge->n; i++) {
        scale[i] = sqrt(ridge->sum[i][i] / rows);

        if (scale[i] * scale[i] < RIDGE_FLAT) {
            scale[i] = 0;
        }

        b[i] = scale[i] > 0 ? ridge->sum[ridge->n][i] / rows / scale[i] : 0;

        for (j = 0; j <= i; j++) {
            a[i][j] = scale[i] > 0 && scale[j] > 0
                      ? ridge->sum[i][j] / rows / scale[i] / scale[j] : 0;
        }

        a[i][i] += penalty;
    }
}


int
travel_ridge_solve(const travel_ridge_t *ridge, double penalty,
    double *ret_weights)
{
    size_t          i, n;
    double          rest, b[TRAVEL_RIDGE_FEATURES_MAX];
    double          scale[TRAVEL_RIDGE_FEATURES_MAX];
    ridge_matrix_t  a;

    n = ridge->n;

    if (ridge->rows < 2) {
        return TRAVEL_INVALID;
    }

    ridge_equations(ridge, penalty, a, b, scale);
    ridge_factor(a, n);
    ridge_substitute((const double (*)[TRAVEL_RIDGE_FEATURES_MAX]) a, n, b);
    rest = ridge->mean[n];

    for (i = 0; i < n; i++) {
        b[i] = scale[i] > 0 ? b[i] / scale[i] : 0;
        rest -= b[i] * ridge->mean[i];

        if (!isfinite(b[i])) {
            return TRAVEL_INVALID;
        }
    }

    if (!isfinite(rest)) {
        return TRAVEL_INVALID;
    }

    memcpy(ret_weights, b, n * sizeof(double));
    ret_weights[n] = rest;
    return TRAVEL_OK;
}


double
travel_ridge_predict(const double *weights, size_t n, const double *x)
{
    size_t  i;
    double  v;

    v = weights[n];

    for (i = 0; i < n; i++) {
        v += weights[i] * x[i];
    }

    return v;
}
