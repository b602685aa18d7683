/* JSON Schema: verdicts by keyword, where errors point, what compile refuses,
 * formats, and the bounds on work. */

#include <stdio.h>
#include <time.h>

#include "unit.h"
#include "schema.h"

#define MAX  16

static travel_json_t          *doc;
static travel_schema_run_t    *run;
static travel_schema_error_t   errs[MAX];
static size_t                  nerrs;


static int
set_up(void **state)
{
    (void) state;
    doc = travel_json_create(0);
    run = travel_schema_run_create();
    return doc == NULL || run == NULL;
}


static int
tear_down(void **state)
{
    (void) state;
    travel_schema_run_free(run);
    travel_json_free(doc);
    return 0;
}


/* Rows are written with ' for ". */
static char *
quotes(const char *text)
{
    char  *copy = strdup(text), *p;

    for (p = copy; *p; p++) {
        if (*p == '\'') {
            *p = '"';
        }
    }

    return copy;
}


static travel_schema_t *
compile(const char *text)
{
    int                     rc;
    char                   *copy = quotes(text);
    travel_schema_t        *schema = NULL;
    travel_schema_fault_t   fault;

    rc = travel_schema_compile(&schema, S(copy), &fault);

    if (rc != TRAVEL_OK) {
        print_error("%s: %s: %s\n", copy, fault.pointer, fault.message);
    }

    assert_int_equal(rc, TRAVEL_OK);
    free(copy);                       /* a schema keeps no view of its text */

    return schema;
}


static int
check(const travel_schema_t *schema, const char *text)
{
    int                   rc;
    travel_json_error_t   err;

    static char  *copy;               /* the document lives until the next */

    free(copy);
    copy = quotes(text);

    assert_int_equal(travel_json_parse(doc, S(copy), 0, &err), TRAVEL_OK);
    rc = travel_schema_check(schema, doc, run, errs, MAX, &nerrs);
    assert_true((rc == TRAVEL_REFUSED) == (nerrs > 0));

    return rc;
}


/* A schema, then instances that are valid and instances that are not; each
 * list is one JSON array of instances. */
typedef struct { const char *schema, *good, *bad; } row_t;


static void
judge_list(const row_t *row, const travel_schema_t *schema, const char *list,
    int want)
{
    char                  *copy = quotes(list);
    uint32_t               i;
    travel_str_t           text;
    travel_json_t         *all = travel_json_create(0);
    travel_json_error_t    err;

    assert_int_equal(travel_json_parse(all, S(copy), 0, &err), TRAVEL_OK);

    for (i = 1; i < travel_json_nodes(all)[0].next;
         i = travel_json_nodes(all)[i].next)
    {
        const travel_json_node_t  *n = travel_json_nodes(all);
        size_t  end = n[i].next < n[0].next ? n[n[i].next].offset
                                            : strlen(copy);

        /* up to the comma or bracket behind it */

        text.data = copy + n[i].offset;
        text.len = end - n[i].offset;
        while (text.data[text.len - 1] == ' ') { text.len--; }
        text.len--;
        while (text.data[text.len - 1] == ' ') { text.len--; }

        assert_int_equal(travel_json_parse(doc, text, 0, &err), TRAVEL_OK);

        if (travel_schema_check(schema, doc, run, errs, MAX, &nerrs) != want) {
            print_error("%s on %.*s: want %d\n", row->schema, (int) text.len,
                        text.data, want);
            fail();
        }
    }

    travel_json_free(all);
    free(copy);
}


static void
judge(const row_t *rows, size_t n)
{
    size_t            i;
    travel_schema_t  *schema;

    for (i = 0; i < n; i++) {
        schema = compile(rows[i].schema);
        judge_list(&rows[i], schema, rows[i].good, TRAVEL_OK);
        judge_list(&rows[i], schema, rows[i].bad, TRAVEL_REFUSED);
        travel_schema_free(schema);
    }
}


static void
any_instance(void **state)
{
    static const row_t  rows[] = {
        { "true", "[1, null, {}]", "[]" },
        { "false", "[]", "[1, null, {}]" },
        { "{}", "[1, 'a', []]", "[]" },
        { "{'type':'integer'}", "[1, -0, 1.0, 1e3, 12e-0]",
          "[1.5, '1', null, [], 1e-3]" },
        { "{'type':'number'}", "[1, 1.5]", "['1', true]" },
        { "{'type':['string','null']}", "['', null]", "[0, {}, false]" },
        { "{'type':'boolean'}", "[true, false]", "[0, 'true']" },
        { "{'enum':[1,'a',[1,{'b':null}]]}",
          "[1.0, 'a', [1,{'b':null}]]", "[2, 'A', [1], [1,{'b':0}], '1']" },
        { "{'enum':['x','yy','zzz']}", "['x', 'zzz']",
          "['', 'y', 1, ['x']]" },
        { "{'const':{'a':1,'b':[2]}}", "[{'b':[2.0],'a':1.0}]",
          "[{'a':1}, {'a':1,'b':[2],'c':3}, {'a':1,'b':[]}]" },
        { "{'const':false}", "[false]", "[0, null, '', []]" },
        { "{'const':null}", "[null]", "[0, false, '']" },
        { "{'foo':3,'title':'t','x-any':[]}", "[1]", "[]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
numbers(void **state)
{
    static const row_t  rows[] = {
        { "{'minimum':1.1}", "[1.1, 2.6, 'x', 1.10]", "[1.0, -5, 1.09999]" },
        { "{'minimum':1,'maximum':20}", "[1, 20, 1.0, 19.99, 2e1]",
          "[0, 21, 20.0001, -1, 1e99, 99999999999999999999]" },
        { "{'exclusiveMinimum':0}", "[0.1, 1, 1e-300]", "[0, -0.0, -1]" },
        { "{'exclusiveMaximum':3}", "[2.9, 2, -7]", "[3, 3.0, 4]" },
        { "{'maximum':-2}", "[-2, -3]", "[-1.5, 0]" },
        { "{'minimum':9007199254740993}", "[9007199254740993]",
          "[9007199254740992]" },
        { "{'maximum':1e400}", "[1e399, -1e500]", "[1e401]" },
        { "{'multipleOf':0.01}", "[0.07, 19.99, 4.35, 1.1, 0, -3.30]",
          "[0.075, 19.999]" },
        { "{'multipleOf':0.0001}", "[0.0075]", "[0.00751]" },
        { "{'multipleOf':2}", "[10, 10.0, 1e30, 'a']", "[7, 10.5]" },
        { "{'type':'integer','multipleOf':0.5}", "[1e308]", "[1.5]" },
        { "{'multipleOf':1e-8}", "[12391239123]", "[1e-9]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
strings(void **state)
{
    static const row_t  rows[] = {
        { "{'minLength':2}", "['ab', '\xC3\xA9\xC3\xA9', 5]",
          "['a', '', '\xC3\xA9', '\xF0\x9F\x98\x80']" },
        { "{'maxLength':2}", "['ab', '', '\xF0\x9F\x98\x80\xF0\x9F\x98\x80']",
          "['abc', '\xF0\x9F\x98\x80xx']" },
        { "{'minLength':3,'maxLength':3}", "['abc', '\xF0\x9F\x98\x80xx']",
          "['ab', 'abcd']" },
        { "{'maxLength':2.0}", "['ab']", "['abc']" },
        { "{'maxLength':0}", "['']", "['a']" },
        { "{'minLength':99999999999999999999}", "[]", "['a']" },
        { "{'pattern':'^a*$'}", "['aaa', '', 7, null]", "['abc']" },
        { "{'pattern':'b'}", "['abc']", "['ac']" },
        { "{'format':'uuid'}",
          "['018f2b6e-7c1a-7abc-8def-0123456789AB', 1]", "['x']" },
        { "{'format':'no-such-format'}", "['x']", "[]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
arrays(void **state)
{
    static const row_t  rows[] = {
        { "{'items':{'type':'integer'}}", "[[], [1,2], {'a':'b'}]",
          "[[1,'x']]" },
        { "{'items':false}", "[[]]", "[[1]]" },
        { "{'prefixItems':[{'type':'integer'},{'type':'string'}]}",
          "[[], [1], [1,'a'], [1,'a',null]]", "[['a'], [1,2]]" },
        { "{'prefixItems':[{'type':'integer'}],'items':{'type':'string'}}",
          "[[1,'a','b'], []]", "[[1,2], ['a']]" },
        { "{'contains':{'minimum':5}}", "[[1,5], [6]]", "[[], [1,2,4]]" },
        { "{'contains':{'const':1},'minContains':2,'maxContains':3}",
          "[[1,1], [1,2,1,1]]", "[[1], [1,1,1,1], []]" },
        { "{'contains':{'const':1},'minContains':0}", "[[], [2]]", "[]" },
        { "{'contains':false,'minContains':0,'maxContains':0}", "[[1]]",
          "[]" },
        { "{'minContains':2,'maxContains':1}", "[[]]", "[]" },
        { "{'minItems':1,'maxItems':2}", "[[1], [1,2], 'x']",
          "[[], [1,2,3]]" },
        { "{'uniqueItems':true}",
          "[[1,2], [1,true], [0,false], ['1',1], [{'a':1},{'a':2}], "
          "[[1],[[1]]], [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,true,'1'], "
          "[{'a':1,'b':2},{'a':2,'b':1},3,4,5,6,7,8,9,10,11,12,13,14]]",
          "[[1,1.0], [{'a':1,'b':2},{'b':2,'a':1}], [[],[]], [null,null], "
          "['a','b','c','d','e','f','g','h','i','j','k','l','m','n','a'], "
          "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,{'x':[1,{}],'y':2},15,"
          "{'y':2.0,'x':[1e0,{}]}]]" },
        { "{'uniqueItems':false}", "[[1,1]]", "[]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
objects(void **state)
{
    static const row_t  rows[] = {
        { "{'properties':{'a':{'type':'integer'},'b':false}}",
          "[{}, {'a':1}, {'c':1}, [], {'a':1,'c':'x'}]",
          "[{'a':'x'}, {'b':1}]" },
        { "{'properties':{'a':{}},'additionalProperties':false}",
          "[{}, {'a':1}]", "[{'a':1,'b':2}, {'A':1}]" },
        { "{'properties':{'a':{}},'patternProperties':{'^x':{'type':'null'}},"
          "'additionalProperties':{'type':'boolean'}}",
          "[{'a':1,'x1':null,'q':true}]", "[{'x1':1}, {'q':1}]" },
        { "{'patternProperties':{'a':{'minimum':2},'^b':{'maximum':3}}}",
          "[{'ba':2}, {'c':0}]", "[{'ba':1}, {'ba':4}]" },
        { "{'required':['a','b']}", "[{'a':1,'b':null}, 'x', []]",
          "[{}, {'a':1}]" },
        { "{'required':[]}", "[{}]", "[]" },
        { "{'minProperties':1,'maxProperties':2}", "[{'a':1}]",
          "[{}, {'a':1,'b':1,'c':1}]" },
        { "{'propertyNames':{'maxLength':2}}", "[{'ab':1}, {}]",
          "[{'abc':1}]" },
        { "{'propertyNames':false}", "[{}]", "[{'a':1}]" },
        { "{'dependentRequired':{'a':['b','c']}}",
          "[{}, {'b':1}, {'a':1,'b':1,'c':1}]", "[{'a':1}, {'a':1,'b':1}]" },
        { "{'dependentSchemas':{'a':{'properties':{'b':{'const':1}}},"
          "'z':false}}",
          "[{'b':2}, {'a':0,'b':1}]", "[{'a':0,'b':2}, {'z':1}]" },
        { "{'properties':{'__proto__':{'type':'number'},'':{'const':1}}}",
          "[{'__proto__':1,'':1}]", "[{'__proto__':'x'}, {'':2}]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
logic(void **state)
{
    static const row_t  rows[] = {
        { "{'allOf':[{'minimum':2},{'maximum':5}]}", "[3, 'x']", "[1, 6]" },
        { "{'anyOf':[{'type':'string'},{'minimum':2}]}", "['a', 2]", "[1]" },
        { "{'oneOf':[{'multipleOf':2},{'multipleOf':3}]}", "[2, 9]",
          "[6, 1]" },
        { "{'oneOf':[true,false]}", "[1]", "[]" },
        { "{'oneOf':[true,true]}", "[]", "[1]" },
        { "{'not':{'type':'integer'}}", "['a', 1.5]", "[1]" },
        { "{'not':{}}", "[]", "[1, null]" },
        { "{'if':{'minimum':10},'then':{'multipleOf':10},"
          "'else':{'multipleOf':3}}", "[20, 9, 'x']", "[15, 8]" },
        { "{'then':false,'else':false}", "[1]", "[]" },
        { "{'if':false,'then':false}", "[1]", "[]" },
        { "{'not':{'not':{'not':{'const':1}}}}", "[2]", "[1]" },
        { "{'anyOf':[{'$ref':'#/$defs/n'},{'type':'null'}],"
          "'$defs':{'n':{'type':'number'}}}", "[1, null]", "['x']" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
references(void **state)
{
    static const row_t  rows[] = {
        { "{'$ref':'#/$defs/a','maximum':3,'$defs':{'a':{'minimum':1}}}",
          "[2]", "[0, 4]" },
        { "{'properties':{'next':{'$ref':'#'},'v':{'type':'integer'}},"
          "'additionalProperties':false}",
          "[{'v':1,'next':{'next':{'v':2}}}]",
          "[{'next':{'next':{'w':2}}}, {'next':{'v':'x'}}]" },
        { "{'$ref':'#/$defs/a~1b%25~0c','$defs':{'a/b%~c':{'const':1}}}",
          "[1]", "[2]" },
        { "{'$ref':'#/prefixItems/1','prefixItems':[true,{'type':'array'}]}",
          "[[1,[]]]", "[[1,2], 3]" },
        { "{'$ref':'#/definitions/x','definitions':{'x':{'type':'null'}}}",
          "[null]", "[1]" },
        { "{'$ref':'#here','$defs':{'q':{'$anchor':'here','const':7}}}",
          "[7]", "[8]" },
        { "{'$dynamicRef':'#d','$defs':{'q':{'$dynamicAnchor':'d',"
          "'const':7}}}", "[7]", "[8]" },
        { "{'$dynamicRef':'#/$defs/q','$defs':{'q':{'const':7}}}", "[7]",
          "[8]" },
        { "{'enum':[{'$ref':'#/nowhere'}]}", "[{'$ref':'#/nowhere'}]",
          "[1]" },
        { "{'properties':{'$ref':{'type':'string'}}}", "[{'$ref':'x'}]",
          "[{'$ref':1}]" },

        /* resources inside the document */

        { "{'$id':'https://x.test/root.json','$ref':'b.json',"
          "'$defs':{'b':{'$id':'b.json','$ref':'#/$defs/c',"
          "'$defs':{'c':{'const':1}}},'c':{'const':2}}}", "[1]", "[2]" },
        { "{'$id':'https://x.test/a/root.json','$ref':'../s#t',"
          "'$defs':{'b':{'$id':'/s','$defs':{'c':{'$anchor':'t',"
          "'const':1}}}}}", "[1]", "[2]" },
        { "{'$id':'urn:x:y','$ref':'urn:x:y#/$defs/c',"
          "'$defs':{'c':{'const':1}}}", "[1]", "[2]" },
        { "{'$ref':'other','$defs':{'o':{'$id':'other','const':1}}}", "[1]",
          "[2]" },

        /* a list of whatever the outermost resource says an element is */

        { "{'$id':'https://x.test/numbers','$ref':'list','$defs':{"
          "'e':{'$dynamicAnchor':'el','type':'number'},"
          "'l':{'$id':'list','items':{'$dynamicRef':'#el'},"
          "'$defs':{'e':{'$dynamicAnchor':'el','type':'string'}}}}}",
          "[[1,2]]", "[['a']]" },
        { "{'$id':'https://x.test/numbers','$ref':'list','$defs':{"
          "'e':{'$anchor':'el','type':'number'},"
          "'l':{'$id':'list','items':{'$dynamicRef':'#el'},"
          "'$defs':{'e':{'$dynamicAnchor':'el','type':'string'}}}}}",
          "[['a']]", "[[1]]" },
        { "{'$id':'https://x.test/tree','$dynamicAnchor':'node',"
          "'properties':{'kids':{'items':{'$dynamicRef':'#node'}},"
          "'v':{'type':'integer'}}}",
          "[{'kids':[{'v':1}]}]", "[{'kids':[{'kids':[{'v':'x'}]}]}]" },
        { "{'$id':'https://x.test/strict','$dynamicAnchor':'node',"
          "'$ref':'tree','unevaluatedProperties':false,'$defs':{'t':{"
          "'$id':'tree','$dynamicAnchor':'node','properties':{"
          "'kids':{'items':{'$dynamicRef':'#node'}}}}}}",
          "[{'kids':[{'kids':[]}]}]", "[{'kids':[{'odd':1}]}, {'odd':1}]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
unevaluated(void **state)
{
    static const row_t  rows[] = {
        { "{'properties':{'a':{}},'unevaluatedProperties':false}",
          "[{}, {'a':1}]", "[{'b':1}]" },
        { "{'allOf':[{'properties':{'a':{}}},{'patternProperties':{'^b':{}}}],"
          "'unevaluatedProperties':false}", "[{'a':1,'b2':2}]",
          "[{'a':1,'c':1}]" },
        { "{'anyOf':[{'properties':{'a':{'const':1}},'required':['a']},"
          "{'properties':{'b':{'const':2}},'required':['b']}],"
          "'unevaluatedProperties':false}",
          "[{'a':1}, {'b':2}, {'a':1,'b':2}]", "[{'a':1,'b':3}, {'a':2}]" },
        { "{'oneOf':[{'properties':{'a':{}},'required':['a']},"
          "{'properties':{'b':{}},'required':['b']}],"
          "'unevaluatedProperties':false}", "[{'a':1}, {'b':1}]",
          "[{'a':1,'c':1}, {}]" },
        { "{'not':{'properties':{'a':{'const':1}},'required':['a']},"
          "'unevaluatedProperties':false}", "[{}]", "[{'a':2}]" },
        { "{'if':{'properties':{'a':{'const':1}},'required':['a']},"
          "'then':{'properties':{'b':{}}},'else':{'properties':{'c':{}}},"
          "'unevaluatedProperties':false}",
          "[{'a':1,'b':1}, {'c':1}, {'a':1}]",
          "[{'a':1,'c':1}, {'b':1}, {'a':2,'c':1}]" },
        { "{'$ref':'#/$defs/x','unevaluatedProperties':{'type':'integer'},"
          "'$defs':{'x':{'properties':{'a':{}}}}}", "[{'a':'s','b':1}]",
          "[{'b':'s'}]" },
        { "{'dependentSchemas':{'a':{'properties':{'b':{}}}},"
          "'properties':{'a':{}},'unevaluatedProperties':false}",
          "[{'a':1,'b':1}, {'a':1}]", "[{'b':1}]" },
        { "{'allOf':[{'additionalProperties':true}],"
          "'unevaluatedProperties':false}", "[{'x':1}]", "[]" },
        { "{'allOf':[{'properties':{'a':{}}},{'unevaluatedProperties':false}]"
          "}", "[{}]", "[{'a':1}]" },
        { "{'properties':{'a':{'properties':{'x':{}},"
          "'unevaluatedProperties':false}}}", "[{'a':{'x':1},'y':2}]",
          "[{'a':{'y':1}}]" },
        { "{'allOf':[{'properties':{'a':{}},'unevaluatedProperties':true}],"
          "'unevaluatedProperties':false}", "[{'z':1}]", "[]" },

        { "{'prefixItems':[{}],'unevaluatedItems':false}", "[[], [1]]",
          "[[1,2]]" },
        { "{'allOf':[{'prefixItems':[{},{}]}],'unevaluatedItems':"
          "{'type':'string'}}", "[[1,2,'a']]", "[[1,2,3]]" },
        { "{'contains':{'type':'integer'},'unevaluatedItems':"
          "{'type':'string'}}", "[[1,'a',2]]", "[[1,null], ['a']]" },
        { "{'anyOf':[{'items':{'type':'integer'}},{'prefixItems':[{}]}],"
          "'unevaluatedItems':false}", "[[1,2], ['a']]", "[['a',1]]" },
        { "{'if':{'const':1,'unevaluatedItems':false},'else':"
          "{'minItems':1},'unevaluatedItems':false}", "[1, {}]",
          "[['',false], []]" }
    };

    (void) state;
    judge(rows, N(rows));
}


static void
formats(void **state)
{
    size_t            i;
    char              schema[80], good[200];
    travel_schema_t  *s;

    static const struct { const char *format, *text; int is; } rows[] = {
        { "date-time", "2026-03-01T19:00:00Z", 1 },
        { "date-time", "2026-03-01t19:00:00.123456789z", 1 },
        { "date-time", "2026-03-01T19:00:00+05:30", 1 },
        { "date-time", "2024-02-29T00:00:00-08:00", 1 },
        { "date-time", "1998-12-31T23:59:60Z", 1 },
        { "date-time", "1998-12-31T15:59:60-08:00", 1 },
        { "date-time", "1998-12-31T22:59:60Z", 0 },
        { "date-time", "2026-02-29T00:00:00Z", 0 },
        { "date-time", "2026-03-01 19:00:00Z", 0 },
        { "date-time", "2026-03-01T19:00:00", 0 },
        { "date-time", "2026-03-01T24:00:00Z", 0 },
        { "date-time", "2026-03-01T19:00:00.Z", 0 },
        { "date-time", "2026-03-01T19:00:00+24:00", 0 },
        { "date-time", "2026-03-01T19:00:00Zx", 0 },
        { "date", "2026-12-31", 1 }, { "date", "1900-02-29", 0 },
        { "date", "2000-02-29", 1 }, { "date", "2026-13-01", 0 },
        { "date", "2026-00-01", 0 }, { "date", "2026-1-01", 0 },
        { "date", "2026-01-32", 0 }, { "date", "", 0 },
        { "time", "19:00:00Z", 1 }, { "time", "19:00Z", 0 },
        { "time", "19:60:00Z", 0 }, { "time", "19:00:00+0530", 0 },
        { "duration", "P1Y2M3DT4H5M6S", 1 }, { "duration", "P2W", 1 },
        { "duration", "PT36H", 1 }, { "duration", "P", 0 },
        { "duration", "PT", 0 }, { "duration", "P1YT", 0 },
        { "duration", "P1Y2D", 0 }, { "duration", "P1D2H", 0 },
        { "duration", "P1Y2W", 0 }, { "duration", "P1T1H", 0 },
        { "duration", "1D", 0 }, { "duration", "P1", 0 },
        { "email", "a.b+c@example.com", 1 }, { "email", "a@[127.0.0.1]", 1 },
        { "email", "a@[IPv6:::1]", 1 }, { "email", "a@", 0 },
        { "email", "@b", 0 }, { "email", ".a@b.c", 0 },
        { "email", "a..b@c.d", 0 }, { "email", "a b@c.d", 0 },
        { "email", "\xC3\xA9@c.d", 0 }, { "email", "a@-b.c", 0 },
        { "idn-email", "\xC3\xA9@\xC3\xA9.fr", 1 }, { "idn-email", "x", 0 },
        { "hostname", "www.example.com", 1 }, { "hostname", "a", 1 },
        { "hostname", "-a.com", 0 }, { "hostname", "a-.com", 0 },
        { "hostname", "a..b", 0 }, { "hostname", "a.", 0 },
        { "hostname", "a_b", 0 }, { "hostname", "", 0 },
        { "ipv4", "192.168.0.1", 1 }, { "ipv4", "256.0.0.1", 0 },
        { "ipv4", "1.2.3", 0 }, { "ipv4", "1.2.3.4.5", 0 },
        { "ipv4", "01.2.3.4", 0 }, { "ipv4", "0.0.0.0", 1 },
        { "ipv6", "::", 1 }, { "ipv6", "::1", 1 }, { "ipv6", "1::", 1 },
        { "ipv6", "2001:db8::8a2e:370:7334", 1 },
        { "ipv6", "::ffff:192.168.0.1", 1 }, { "ipv6", "1:2:3:4:5:6:7:8", 1 },
        { "ipv6", "1:2:3:4:5:6:7", 0 }, { "ipv6", "1::2::3", 0 },
        { "ipv6", "12345::", 0 }, { "ipv6", ":1", 0 }, { "ipv6", "1:", 0 },
        { "ipv6", "::1%eth0", 0 }, { "ipv6", "1:2:3:4:5:6:7::8", 0 },
        { "ipv6", "1:2:3:4:5:6:1.2.3.4", 1 }, { "ipv6", "1:2:3:4:5:1.2.3", 0 },
        { "uri", "https://user@x.test:8080/a/b?c=d#e", 1 },
        { "uri", "urn:isbn:0451450523", 1 }, { "uri", "mailto:a@b.c", 1 },
        { "uri", "http://[::1]:80/", 1 }, { "uri", "/a/b", 0 },
        { "uri", "http://x.test/a b", 0 }, { "uri", "http://x.test/%zz", 0 },
        { "uri", "http://[::1/", 0 }, { "uri", "1http://x", 0 },
        { "uri", "http://x/\xC3\xA9", 0 },
        { "uri-reference", "/a/b?x", 1 }, { "uri-reference", "", 1 },
        { "uri-reference", "#f", 1 }, { "uri-reference", "a/b:c", 1 },
        { "uri-reference", "1a:b", 0 }, { "uri-reference", "a|b", 0 },
        { "uuid", "018f2b6e-7c1a-7abc-8def-0123456789ab", 1 },
        { "uuid", "018f2b6e7c1a7abc8def0123456789ab", 0 },
        { "uuid", "018f2b6e-7c1a-7abc-8def-0123456789ag", 0 },
        { "json-pointer", "/a~0b/~1/0", 1 }, { "json-pointer", "", 1 },
        { "json-pointer", "a", 0 }, { "json-pointer", "/~", 0 },
        { "json-pointer", "/~2", 0 },
        { "relative-json-pointer", "0#", 1 },
        { "relative-json-pointer", "12/a", 1 },
        { "relative-json-pointer", "01/a", 0 },
        { "relative-json-pointer", "/a", 0 },
        { "regex", "^(a|b)+$", 1 }, { "regex", "(?=a)", 1 },
        { "regex", "(", 0 }, { "regex", "[a", 0 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        sprintf(schema, "{'format':'%s'}", rows[i].format);
        sprintf(good, "'%s'", rows[i].text);
        s = compile(schema);

        if ((check(s, good) == TRAVEL_OK) != rows[i].is) {
            print_error("%s: %s\n", rows[i].format, rows[i].text);
            fail();
        }

        travel_schema_free(s);
    }
}


static void
errors(void **state)
{
    size_t            i;
    travel_schema_t  *s;

    static const travel_schema_error_t  want[] = {
        { "/party_size", "/properties/party_size/maximum", "maximum",
          "this must be at most 20" },
        { "/tags/1", "/properties/tags/items/type", "type",
          "this must be a string" },
        { "/tags/2", "/properties/tags/items/minLength", "minLength",
          "this must not be empty" },
        { "/odd~1name", "/additionalProperties", "additionalProperties",
          "this member is not allowed here" },
        { "/who/name", "/$defs/who/required", "required",
          "this member is required" },
        { "/kind", "/properties/kind/enum", "enum",
          "this must be one of a, b" },
        { "/venue_id", "/required", "required", "this member is required" },
        { "", "/not", "not", "this has a form that is not allowed here" }
    };

    (void) state;

    s = compile("{'type':'object','required':['party_size','venue_id'],"
                "'properties':{'party_size':{'type':'integer','minimum':1,"
                "'maximum':20},'tags':{'items':{'type':'string',"
                "'minLength':1}},'who':{'$ref':'#/$defs/who'},"
                "'kind':{'enum':['a','b']}},'additionalProperties':false,"
                "'not':{'required':['kind']},"
                "'$defs':{'who':{'required':['name']}}}");

    assert_int_equal(check(s, "{'party_size':21,'tags':['a',2,''],"
                              "'odd/name':1,'who':{},'kind':'c'}"),
                     TRAVEL_REFUSED);
    assert_int_equal(nerrs, N(want));

    for (i = 0; i < N(want); i++) {
        assert_string_equal(errs[i].pointer, want[i].pointer);
        assert_string_equal(errs[i].schema, want[i].schema);
        assert_string_equal(errs[i].code, want[i].code);
        assert_string_equal(errs[i].message, want[i].message);
    }

    /* no more than there is room for; the verdict needs none */

    assert_int_equal(travel_schema_check(s, doc, run, errs, 3, &nerrs),
                     TRAVEL_REFUSED);
    assert_int_equal(nerrs, 3);
    assert_int_equal(travel_schema_check(s, doc, run, NULL, 0, &nerrs),
                     TRAVEL_REFUSED);
    assert_int_equal(nerrs, 0);

    travel_schema_free(s);

    s = compile("{'properties':{'a':false},'items':false}");
    check(s, "{'a':1}");
    assert_string_equal(errs[0].code, "properties");
    assert_string_equal(errs[0].schema, "/properties/a");
    check(s, "[1]");
    assert_string_equal(errs[0].code, "items");
    assert_string_equal(errs[0].pointer, "/0");
    travel_schema_free(s);
}


static void
faults(void **state)
{
    int                    rc;
    char                  *text;
    size_t                 i;
    travel_schema_t       *schema;
    travel_schema_fault_t  fault;

    static const struct { const char *schema, *pointer; int rc; size_t line; }
    rows[] = {
        { "", "", TRAVEL_INVALID, 1 },
        { "{\n\n'a':}", "", TRAVEL_INVALID, 3 },
        { "{'type':1,'type':2}", "/type", TRAVEL_INVALID, 1 },
        { "3", "", TRAVEL_INVALID, 1 }, { "[]", "", TRAVEL_INVALID, 1 },
        { "{\n'type':'strng'}", "/type", TRAVEL_INVALID, 2 },
        { "{'type':[]}", "/type", TRAVEL_INVALID, 1 },
        { "{'type':['null',3]}", "/type/1", TRAVEL_INVALID, 1 },
        { "{'properties':\n{'a':\n{'minimum':'1'}}}", "/properties/a/minimum",
          TRAVEL_INVALID, 3 },
        { "{'properties':[]}", "/properties", TRAVEL_INVALID, 1 },
        { "{'properties':{'a':3}}", "/properties/a", TRAVEL_INVALID, 1 },
        { "{'minLength':-1}", "/minLength", TRAVEL_INVALID, 1 },
        { "{'minLength':1.5}", "/minLength", TRAVEL_INVALID, 1 },
        { "{'maxItems':'3'}", "/maxItems", TRAVEL_INVALID, 1 },
        { "{'multipleOf':0}", "/multipleOf", TRAVEL_INVALID, 1 },
        { "{'multipleOf':-0.1}", "/multipleOf", TRAVEL_INVALID, 1 },
        { "{'multipleOf':0.1234567890123456789}", "/multipleOf",
          TRAVEL_UNKNOWN, 1 },
        { "{'required':'a'}", "/required", TRAVEL_INVALID, 1 },
        { "{'required':['a','a']}", "/required/1", TRAVEL_INVALID, 1 },
        { "{'required':[1]}", "/required/0", TRAVEL_INVALID, 1 },
        { "{'dependentRequired':{'a':'b'}}", "/dependentRequired/a",
          TRAVEL_INVALID, 1 },
        { "{'enum':{}}", "/enum", TRAVEL_INVALID, 1 },
        { "{'allOf':[]}", "/allOf", TRAVEL_INVALID, 1 },
        { "{'anyOf':[1]}", "/anyOf/0", TRAVEL_INVALID, 1 },
        { "{'items':[{}]}", "/items", TRAVEL_INVALID, 1 },
        { "{'uniqueItems':1}", "/uniqueItems", TRAVEL_INVALID, 1 },
        { "{'pattern':'('}", "/pattern", TRAVEL_INVALID, 1 },
        { "{'pattern':'(?=a)'}", "/pattern", TRAVEL_INVALID, 1 },
        { "{'patternProperties':{'[':{}}}", "/patternProperties/[",
          TRAVEL_INVALID, 1 },
        { "{'format':1}", "/format", TRAVEL_INVALID, 1 },
        { "{'x-sealed':'yes'}", "/x-sealed", TRAVEL_INVALID, 1 },
        { "{'title':1}", "/title", TRAVEL_INVALID, 1 },
        { "{'$anchor':'1a'}", "/$anchor", TRAVEL_INVALID, 1 },
        { "{'$id':'a#b'}", "/$id", TRAVEL_INVALID, 1 },
        { "{'$defs':{'a':{'$anchor':'x'},'b':{'$anchor':'x'}}}",
          "/$defs/b/$anchor", TRAVEL_INVALID, 1 },

        { "{'$ref':'https://x.test/schema'}", "/$ref", TRAVEL_UNKNOWN, 1 },
        { "{'$ref':'#/$defs/x'}", "/$ref", TRAVEL_UNKNOWN, 1 },
        { "{'items':{'$ref':'#nope'}}", "/items/$ref", TRAVEL_UNKNOWN, 1 },
        { "{'$dynamicRef':'#nope'}", "/$dynamicRef", TRAVEL_UNKNOWN, 1 },
        { "{'$ref':'#/a%zz'}", "/$ref", TRAVEL_UNKNOWN, 1 },
        { "{'$schema':'http://json-schema.org/draft-07/schema#'}",
          "/$schema", TRAVEL_UNKNOWN, 1 },

        { "{'$ref':'#'}", "", TRAVEL_INVALID, 1 },
        { "{'$ref':'#/$defs/a','$defs':{'a':{'allOf':[{'not':{'$ref':"
          "'#/$defs/b'}}]},'b':{'if':{'$ref':'#/$defs/a'}}}}",
          "/$defs/b/if", TRAVEL_INVALID, 1 },
        { "{'$dynamicAnchor':'x','anyOf':[{'$dynamicRef':'#x'}]}",
          "/anyOf/0", TRAVEL_INVALID, 1 }
    };

    (void) state;

    for (i = 0; i < N(rows); i++) {
        text = quotes(rows[i].schema);
        schema = NULL;
        rc = travel_schema_compile(&schema, S(text), &fault);

        if (rc != rows[i].rc || strcmp(fault.pointer, rows[i].pointer) != 0
            || fault.line != rows[i].line || strlen(fault.message) < 10)
        {
            print_error("%s: %d line %zu %s: %s\n", text, rc, fault.line,
                        fault.pointer, fault.message);
            fail();
        }

        assert_null(schema);
        free(text);
    }

    travel_schema_free(compile("{'$schema':"
        "'https://json-schema.org/draft/2020-12/schema#'}"));
}


static void
sealed(void **state)
{
    travel_schema_t  *s;

    (void) state;

    s = compile("{'properties':{'card':{'x-sealed':true},'open':{},"
                "'no':{'x-sealed':false},'by_ref':{'$ref':'#/$defs/s'},"
                "'deep':{'properties':{'inner':{'x-sealed':true}}}},"
                "'allOf':[{'$ref':'#/$defs/more'}],"
                "'$defs':{'s':{'allOf':[{'x-sealed':true}]},"
                "'more':{'properties':{'pin':{'x-sealed':true}}}}}");

    assert_true(travel_schema_sealed(s, S("card")));
    assert_true(travel_schema_sealed(s, S("by_ref")));
    assert_true(travel_schema_sealed(s, S("pin")));
    assert_false(travel_schema_sealed(s, S("open")));
    assert_false(travel_schema_sealed(s, S("no")));
    assert_false(travel_schema_sealed(s, S("deep")));
    assert_false(travel_schema_sealed(s, S("inner")));
    assert_false(travel_schema_sealed(s, S("")));

    travel_schema_free(s);
}


/* Work that doubles with each level of the instance is cut off, and told
 * from a verdict; so is a chain of subschemas too long to recurse into. */
static void
bounds(void **state)
{
    char             *text, *p;
    unsigned          i;
    clock_t           start = clock();
    travel_schema_t  *s;

    (void) state;

    text = malloc(200);
    memset(text, '[', 60);
    memset(text + 60, ']', 60);
    text[120] = '\0';

    s = compile("{'$ref':'#/$defs/x','$defs':{'x':{'allOf':["
                "{'items':{'$ref':'#/$defs/x'}},"
                "{'items':{'$ref':'#/$defs/x'}}]}}}");
    assert_int_equal(check(s, "[[[[[[1]]]]]]"), TRAVEL_OK);

    nerrs = 0;
    assert_int_equal(check(s, text), TRAVEL_ERROR);
    assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
    travel_schema_free(s);
    free(text);

    text = p = malloc(200000);
    p += sprintf(p, "{'$ref':'#/$defs/d0','$defs':{");
    for (i = 0; i < 3000; i++) {
        p += sprintf(p, "'d%u':{'$ref':'#/$defs/d%u'},", i, i + 1);
    }
    sprintf(p, "'d3000':{'const':1}}}");

    s = compile(text);
    assert_int_equal(check(s, "1"), TRAVEL_ERROR);
    travel_schema_free(s);
    free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(any_instance),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(arrays),
        cmocka_unit_test(objects),
        cmocka_unit_test(logic),
        cmocka_unit_test(references),
        cmocka_unit_test(unevaluated),
        cmocka_unit_test(formats),
        cmocka_unit_test(errors),
        cmocka_unit_test(faults),
        cmocka_unit_test(sealed),
        cmocka_unit_test(bounds),
    };

    return cmocka_run_group_tests_name("schema", tests, set_up, tear_down);
}
