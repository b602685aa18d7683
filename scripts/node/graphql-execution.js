// Answers by the reference implementation, beside a server's.
//   graphql-execution.js URL TOKEN FILE SEED COUNT
// FILE is {sdl, viewer, rows: {table: [...]}}: the reference executes over these
// rows what the SDL's mapping directives say (common/graphql/mapping.h). COUNT
// documents are made at random by SEED; data, and the paths of errors, must be
// the same. One JSON object a line for what differs, and one at the end.
const fs = require('fs');
const g = require('graphql');

const [url, token, file, seed, count] = process.argv.slice(2);
const { chance, below, one } = require('./chance')(Number(seed));
const world = JSON.parse(fs.readFileSync(file, 'utf8'));
const schema = g.buildSchema(world.sdl);

// What @format says of values that go out.
for (const [name, form] of [['Date', /^\d{4}-\d\d-\d\d$/], ['DateTime', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/]]) {
    schema.getType(name).serialize = (v) => {
        if (form.test(v)) return v;
        throw new Error(`${name} cannot represent ${v}`);
    };
}

// --- the mapping, as the SDL has it -----------------------------------------

const snake = (name) => name.replace(/[A-Z]/g, (c, i) => (i ? '_' : '') + c.toLowerCase());

function directive(def, name) {
    const d = ((def.astNode || def).directives || []).find((x) => x.name.value === name);
    return d && Object.fromEntries(d.arguments.map((a) => [a.name.value, g.valueFromASTUntyped(a.value)]));
}

const orderOf = (text) => text.split(',').map((t) => t.trim().split(/\s+/))
    .map(([column, way]) => ({ column, desc: way === 'desc' }));

function comparer(order) {
    return (a, b) => {
        for (const { column, desc } of order) {
            const [x, y] = [a[column], b[column]];
            if (x !== y) return (x < y ? -1 : 1) * (desc ? -1 : 1);
        }
        return 0;
    };
}

// "{a} = {$}", "{a} >= {$}", "{a} = ANY({$})", "{$} = ANY({a})"
function holds(sql, row, value) {
    let m;
    if ((m = /^\{(\w+)\} (=|>=) \{\$\}$/.exec(sql))) {
        const v = row[m[1]];
        return v !== null && (m[2] === '=' ? String(v) === String(value) : v >= value);
    }
    if ((m = /^\{(\w+)\} = ANY\(\{\$\}\)$/.exec(sql))) return row[m[1]] !== null && value.includes(row[m[1]]);
    if ((m = /^\{\$\} = ANY\(\{(\w+)\}\)$/.exec(sql))) return (row[m[1]] || []).includes(value);
    throw new Error(`a filter the reference does not know: ${sql}`);
}

function filtered(rows, args, values) {
    for (const arg of args) {
        const value = values[arg.name];
        if (value === undefined || value === null) continue;
        const filter = directive(arg, 'filter');
        const type = g.getNamedType(arg.type);
        if (filter) rows = rows.filter((row) => holds(filter.sql, row, value));
        else if (g.isInputObjectType(type)) rows = filtered(rows, Object.values(type.getFields()), value);
    }
    return rows;
}

// All rows of a type that the viewer may see, each with its type.
function rowsOf(type) {
    if (g.isAbstractType(type)) {
        return schema.getPossibleTypes(type).flatMap((t, i) => rowsOf(t).map((r) => ({ ...r, '': i })));
    }
    const { name, where } = directive(type, 'table');
    const owner = directive(type, 'owner');
    const kind = where && /^\{(\w+)\} = '(\w+)'$/.exec(where);
    return world.rows[name].filter((r) => (!owner || r[owner.column] === world.viewer)
        && (!kind || r[kind[1]] === kind[2])).map((r) => ({ ...r, __typename: type.name }));
}

function keyOf(type) {
    if (!g.isAbstractType(type)) return orderOf(directive(type, 'table').key);
    const rows = directive(type, 'rows');
    return [...(rows ? orderOf(rows.key) : keyOf(schema.getPossibleTypes(type)[0])), { column: '' }];
}

// What a field's rows are, by its links, conditions and order.
function selected(field, type, parent, args) {
    const relation = directive(field, 'relation');
    let rows = rowsOf(type);
    if (relation) rows = rows.filter((r) => parent[relation.from] !== null && r[relation.to] === parent[relation.from]);
    rows = filtered(rows, field.args, args);
    let order = [];
    for (const arg of field.args) {
        const named = g.getNamedType(arg.type);
        const chosen = g.isEnumType(named) && typeof args[arg.name] === 'string'
            && directive(named.getValue(args[arg.name]), 'order');
        if (chosen) order = orderOf(chosen.by);
    }
    if (!order.length) order = orderOf((directive(field, 'list') || directive(field, 'connection') || {}).order || '')
        .filter((k) => k.column);
    return rows.sort(comparer([...order, ...keyOf(type)]));
}

function connection(field, parent, args) {
    const edge = g.getNamedType(field.type).getFields().edges.type;
    const rows = selected(field, g.getNamedType(g.getNamedType(edge).getFields().node.type), parent, args);
    const backward = typeof args.last === 'number';
    const n = backward ? args.last : args.first ?? (directive(field, 'connection').default || 20);
    const page = backward ? rows.slice(Math.max(0, rows.length - n)) : rows.slice(0, n);
    return { edges: page.map((node) => ({ cursor: 'CURSOR', node })), nodes: page, totalCount: rows.length,
        pageInfo: { hasNextPage: !backward && rows.length > n, hasPreviousPage: backward && rows.length > n,
            startCursor: page.length ? 'CURSOR' : null, endCursor: page.length ? 'CURSOR' : null } };
}

// Input objects as SQL gets them: names in snake_case, nulls left out.
function plain(type, value) {
    if (g.isNonNullType(type)) type = type.ofType;
    if (value === null || value === undefined) return null;
    if (g.isListType(type)) return value.map((v) => plain(type.ofType, v));
    if (!g.isInputObjectType(type)) return value;
    return Object.fromEntries(Object.values(type.getFields())
        .filter((f) => value[f.name] !== undefined && value[f.name] !== null)
        .map((f) => [snake(f.name), plain(f.type, value[f.name])]));
}

const computed = {
    'Person.shout': (row, { text, times }) => row.name === null || text === null || times === null ? null
        : text.repeat(Math.max(0, times)) + row.name,
    'Query.echo': (row, args, field) => Object.fromEntries(field.args.map((a) =>
        [a.name, plain(a.type, args[a.name])])),
};

function resolve(parent, args, context, info) {
    const field = info.parentType.getFields()[info.fieldName];
    const special = computed[`${info.parentType.name}.${info.fieldName}`];
    const type = g.getNamedType(field.type);
    if (special) return special(parent, args, field);
    if (directive(field, 'connection')) return connection(field, parent, args);
    if (directive(field, 'embed')) return parent;
    if (parent && Object.hasOwn(parent, info.fieldName) && !g.isLeafType(type)) return parent[info.fieldName];
    if (g.isCompositeType(type) && (g.isAbstractType(type) || directive(type, 'table'))) {
        const rows = selected(field, type, parent, args);
        if (!g.isListType(g.getNullableType(field.type))) return rows[0] || null;
        const bounds = directive(field, 'list') || {};
        return rows.slice(0, args.limit ?? bounds.default ?? 20);
    }
    const sql = directive(field, 'sql');
    if (sql) return parent[/^\{(\w+)\}$/.exec(sql.expr)[1]];
    return Object.hasOwn(parent, info.fieldName) ? parent[info.fieldName] : parent[snake(info.fieldName)];
}

// --- documents --------------------------------------------------------------

const LARGE = 50;          // fields, from where on a document comes to its end
let vars, values, fragments, alias, plainly = false;

const scalars = { Int: () => below(6), Float: () => one([1, 2.5]), Boolean: () => chance(0.5),
    ID: () => one([String(below(9)), below(9)]), String: () => one(['ann', 'b', 'x"\\y', 'é']),
    JSON: () => one([1, 'a', null, [1, { b: 'c' }], { a: [true, null] }]) };

// A value as JSON has it.
function json(type, depth = 0) {
    if (g.isNonNullType(type)) return json(type.ofType, depth) ?? json(type, depth);
    if (chance(0.12)) return null;
    if (g.isListType(type)) {
        return chance(0.2) ? json(type.ofType, depth + 1)
            : Array.from({ length: below(3) }, () => json(type.ofType, depth + 1));
    }
    if (g.isEnumType(type)) return one(type.getValues()).name;
    if (!g.isInputObjectType(type)) return scalars[type.name]();
    const out = {};
    for (const f of Object.values(type.getFields())) {
        if ((g.isRequiredInputField(f) || chance(0.5)) && (depth < 3 || !g.isInputObjectType(g.getNamedType(f.type)))) {
            out[f.name] = json(f.type, depth + 1);
        }
    }
    return out;
}

// The same as a literal, with variables here and there.
function literal(type, value, inside) {
    const wanted = g.isNonNullType(type) ? type.ofType : type;
    if (value !== null && inside && !plainly && chance(0.15) && g.getNamedType(type).name !== 'JSON') {
        return variable(type, value);
    }
    if (value === null) return 'null';
    if (g.isListType(wanted) && Array.isArray(value)) {
        return `[${value.map((v) => literal(wanted.ofType, v, true)).join(', ')}]`;
    }
    const named = g.isListType(wanted) ? g.getNamedType(type) : wanted;
    if (g.isEnumType(named)) return value;
    if (g.isInputObjectType(named)) {
        return `{${Object.entries(value).map(([k, v]) => `${k}: ${literal(named.getFields()[k].type, v, true)}`)}}`;
    }
    if (named.name === 'JSON' && typeof value === 'object') {
        return Array.isArray(value) ? `[${value.map((v) => literal(named, v)).join(' ')}]`
            : `{${Object.entries(value).map(([k, v]) => `${k}: ${literal(named, v)}`)}}`;
    }
    return JSON.stringify(value);
}

// A variable of that value: given, or by default, which has no variables in it.
function variable(type, value) {
    const name = `v${vars.length}`;
    if (value !== undefined && value !== null && chance(0.3)) {
        plainly = true;
        vars.push(`$${name}: ${g.getNullableType(type)} = ${literal(type, value, false)}`);
        plainly = false;
        return `$${name}`;
    }
    vars.push(`$${name}: ${type}`);
    if (value !== undefined) values[name] = value;
    return `$${name}`;
}

function given(args) {
    const out = [];
    for (const arg of args) {
        if (['after', 'before'].includes(arg.name) || (!g.isRequiredArgument(arg) && chance(0.55))) continue;
        if (arg.name === 'last' && out.length) continue;
        const value = json(arg.type);
        if (['limit', 'first', 'last'].includes(arg.name)) {
            const n = below(5);
            out.push(`${arg.name}: ${chance(0.3) ? variable(new g.GraphQLNonNull(g.GraphQLInt), n) : n}`);
        } else if (value === undefined || (!g.isNonNullType(arg.type) && chance(0.1))) {
            out.push(`${arg.name}: ${variable(g.getNullableType(arg.type))}`);
        } else {
            out.push(`${arg.name}: ${chance(0.3) ? variable(arg.type, value) : literal(arg.type, value, true)}`);
        }
    }
    return out.length ? `(${out.join(', ')})` : '';
}

function condition() {
    if (!chance(0.08)) return '';
    return (chance(0.2) ? ['skip', 'include'] : [one(['skip', 'include'])]).map((word) => {
        const value = chance(0.6) === (word === 'include');
        return ` @${word}(if: ${chance(0.5) ? value : variable(new g.GraphQLNonNull(g.GraphQLBoolean), value)})`;
    }).join('');
}

// Types whose fragments may stand where 'type' is.
const near = (type) => Object.values(schema.getTypeMap())
    .filter((t) => g.isCompositeType(t) && !t.name.startsWith('__') && g.doTypesOverlap(schema, type, t));

function selection(type, depth) {
    const fields = g.isUnionType(type) ? [] : Object.values(type.getFields())
        .filter((f) => depth > 0 || g.isLeafType(g.getNamedType(f.type)));
    const out = [];
    for (let n = alias < LARGE ? 1 + below(4) : 1; n > 0; n--) {
        if (alias < LARGE && chance(g.isAbstractType(type) ? 0.5 : 0.08)) {
            const on = one(near(type));
            if (chance(0.3)) {
                const n = fragments.push(null) - 1;
                fragments[n] = `fragment F${n} on ${on} ${selection(on, depth)}`;
                out.push(`...F${n}${condition()}`, ...(chance(0.2) ? [`...F${n}`] : []));
            } else if (chance(0.1)) {
                out.push(`... ${condition()} ${selection(type, depth)}`);
            } else {
                out.push(`... on ${on}${condition()} ${selection(on, depth)}`);
            }
            continue;
        }
        if (chance(0.1) || !fields.length) { out.push(`a${alias++}: __typename`); continue; }
        const f = one(fields);
        const named = g.getNamedType(f.type);
        const head = `a${alias++}: ${f.name}${given(f.args)}`;
        const text = () => `${head}${condition()}${g.isCompositeType(named) ? ` ${selection(named, depth - 1)}` : ''}`;
        out.push(text());
        if (chance(0.08)) out.push(chance(0.5) ? out.at(-1) : text());
    }
    return `{ ${out.join(' ')} }`;
}

function document() {
    [vars, values, fragments, alias] = [[], {}, [], 0];
    const body = selection(schema.getQueryType(), 4);
    return { query: `query Q${vars.length ? `(${vars.join(', ')})` : ''} ${body}\n${fragments.join('\n')}`,
        variables: values };
}

// --- both -------------------------------------------------------------------

const fetched = async (body) => (await fetch(url, { method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` } })).json();

const masked = (data) => JSON.stringify(data, (k, v) =>
    (typeof v === 'string' && /^[\w-]{24,}$/.test(v) ? 'CURSOR' : v));
const paths = (errors) => (errors || []).map((e) => JSON.stringify(e.path)).sort();

async function main() {
    const said = { asked: 0, withErrors: 0, invalid: 0, differ: 0 };
    while (said.asked < Number(count)) {
        const doc = document();
        const parsed = g.parse(doc.query);
        if (g.validate(schema, parsed).length) { said.invalid++; continue; }
        const theirs = g.executeSync({ schema, document: parsed, variableValues: doc.variables,
            fieldResolver: resolve, typeResolver: (v) => v.__typename });
        const ours = await fetched(doc);
        said.asked++;
        if (theirs.errors) said.withErrors++;
        const [a, b] = [paths(ours.errors), paths(theirs.errors)];
        const same = theirs.data === undefined ? ours.data === undefined
            : masked(ours.data) === masked(theirs.data)
              && (b.length > 16 ? a.length === 16 : JSON.stringify(a) === JSON.stringify(b));
        if (same) continue;
        said.differ++;
        if (said.differ <= 3) console.log(JSON.stringify({ doc, ours, theirs }));
    }
    console.log(JSON.stringify(said));
}

main().catch((e) => { console.error(e); process.exit(1); });
