/*
 * Parameters of a directive: NAME=VALUE, or NAME alone where its row has that
 * reader, in any order, each once unless its row says otherwise.
 *
 * A directive writes down what it takes in a table, ngx_http_DIRECTIVE_params,
 * that ends with ngx_http_travel_null_param.  Bounds and defaults are texts, as
 * an administrator would write them: they are read as values are, said in
 * messages, and compared with the reference by scripts/reference.pl, which
 * finds the tables by their names.
 *
 * Where a directive takes other arguments among them, its last row is without
 * a name: "".  That row's reader gets each argument that no other row fits; of
 * what it says is wrong ("must be ...") the message goes on with the names.
 */

#ifndef NGX_HTTP_TRAVEL_PARAMS_H
#define NGX_HTTP_TRAVEL_PARAMS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

typedef struct ngx_http_travel_param_s  ngx_http_travel_param_t;

/*
 * Reads a value, which is not empty, to its place in 'conf'.  NGX_CONF_OK;
 * NGX_CONF_ERROR, and it is said why; or what is wrong, as it goes on after
 * the parameter's name and value ("must be ...").
 */
typedef char *(*ngx_http_travel_param_pt)(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);

struct ngx_http_travel_param_s {
    const char                *name;
    ngx_http_travel_param_pt   read;
    size_t                     offset;      /* of its place in conf */
    const char                *low;         /* of numbers, times, sizes */
    const char                *high;
    const char                *def;         /* NULL: left as it is */
    const char                *what;        /* after the bounds of a message;
                                               of _word: "a|b|c" */
    ngx_uint_t                 many;        /* may be said more than once */
};

#define ngx_http_travel_null_param  { NULL, NULL, 0, NULL, NULL, NULL, NULL, 0 }

/* Sets all that have a default; from create_*_conf or from the directive. */
char *ngx_http_travel_params_default(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, void *conf);

/* The directive's arguments from the one of that index on; NGX_CONF_OK, or
 * NGX_CONF_ERROR, and it is said why. */
char *ngx_http_travel_params(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, ngx_uint_t from, void *conf);

/* Both, for a directive that keeps nothing of before. */
char *ngx_http_travel_params_whole(ngx_conf_t *cf,
    const ngx_http_travel_param_t *params, ngx_uint_t from, void *conf);

/* Is NAME= among the directive's arguments? */
ngx_uint_t ngx_http_travel_param_given(ngx_conf_t *cf, const char *name);

/* Readers, by what stands at the offset. */
char *ngx_http_travel_param_number(ngx_conf_t *cf,      /* ngx_uint_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_msec(ngx_conf_t *cf,        /* ngx_msec_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_sec(ngx_conf_t *cf,         /* time_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_sec32(ngx_conf_t *cf,       /* uint32_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_msec_text(ngx_conf_t *cf,   /* ngx_str_t: digits */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_sec_text(ngx_conf_t *cf,    /* ngx_str_t: digits */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_size(ngx_conf_t *cf,        /* size_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_real(ngx_conf_t *cf,        /* double, whole */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_share(ngx_conf_t *cf,       /* double, of 1 */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_flag(ngx_conf_t *cf,        /* ngx_flag_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_alone(ngx_conf_t *cf,       /* ngx_flag_t: 1 */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_word(ngx_conf_t *cf,        /* ngx_uint_t: which */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_text(ngx_conf_t *cf,        /* ngx_str_t */
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
char *ngx_http_travel_param_expression(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value,
    void *conf);                          /* ngx_http_complex_value_t *, made */

/* A complex value in the configuration's memory; NULL, and it is said why. */
ngx_http_complex_value_t *ngx_http_travel_expression(ngx_conf_t *cf,
    ngx_str_t *text);
/* The same to a place that is there; NGX_ERROR, and it is said why. */
ngx_int_t ngx_http_travel_expression_at(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_complex_value_t *cv);

#endif
