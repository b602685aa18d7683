// Schemas, and documents and variables for them, made at random; some of them
// wrong, so that whoever judges them can be asked beside the reference.
//   graphql-random.js SEED SCHEMAS DOCUMENTS
// One JSON object a line: {schema}, and of each other schema, which is meant to
// be valid and by the reference's word is, DOCUMENTS times {schema, document,
// variables?}.
const g = require('graphql');
const { validateSDL } = require('graphql/validation/validate');

const [seed, schemas, documents] = process.argv.slice(2).map(Number);

const { chance, below, one } = require('./chance')(seed);
const some = (list, p) => list.filter(() => chance(p));
const range = (n) => Array.from({ length: n }, (_, i) => i);

let slip = 0;              // how often something is wrong
const slips = (n = 1) => chance(slip * n);

// --- values, by types as text: "[Int!]!" --------------------------------------

const SCALARS = ['Int', 'Float', 'String', 'Boolean', 'ID'];
let world;                 // {enums: {E: [..]}, inputs: {N: {fields, oneOf}}}

const nullable = (type) => type.replace(/!$/, '');
const base = (type) => type.replace(/[[\]!]/g, '');
const inner = (type) => /^\[(.*)\]$/.exec(nullable(type))?.[1];

// A literal, or with 'json' the value as JSON has it.
function value(type, depth, variable) {
    if (depth > 9) return inner(type) ? '[]' : 'null';     // of a type that contains itself
    if (variable && chance(0.15)) return variable(type);
    if (slips()) type = one(['Int', 'String', '[Int]', 'Boolean', ...Object.keys(world.enums), ...Object.keys(world.inputs)]);
    if (type.endsWith('!') ? slips() : chance(0.06)) return 'null';
    type = nullable(type);
    const item = inner(type);
    if (item) {
        return chance(0.2) ? value(`${nullable(item)}!`, depth + 1, variable)
            : `[${range(below(3)).map(() => value(item, depth + 1, variable)).join(', ')}]`;
    }
    if (world.enums[type]) return slips() ? 'NOPE' : one(world.enums[type]);
    if (world.inputs[type]) return object(world.inputs[type], depth, variable);
    return one({ Int: ['1', '-7', slips() ? '2147483648' : '0'], Float: ['1', '2.5', '-3e2'], String: ['"s"', '""', '"""b"""', '"\\u{1F600}"'],
        Boolean: ['true', 'false'], ID: ['"i"', '5'] }[type] || ['1', '"x"', '[1, {a: B}]', 'true', 'WORD']);
}

function object({ fields, oneOf }, depth, variable) {
    let names = Object.keys(fields).filter((n) => oneOf || (/!$/.test(fields[n].type) && fields[n].value === undefined ? !slips()
        : chance(depth > 2 ? 0.05 : 0.4)));
    if (oneOf && !slips()) names = [one(names)];
    if (slips()) names.push('nope');
    if (slips() && names.length) names.push(names[0]);
    return `{${names.map((n) => `${n}: ${value((fields[n]?.type ?? 'Int') + (oneOf && !slips() ? '!' : ''), depth + 1, variable)}`).join(', ')}}`;
}

// --- schemas --------------------------------------------------------------------

const WHERE = ['QUERY', 'MUTATION', 'SUBSCRIPTION', 'FIELD', 'FRAGMENT_DEFINITION', 'FRAGMENT_SPREAD', 'INLINE_FRAGMENT',
    'VARIABLE_DEFINITION', 'SCHEMA', 'SCALAR', 'OBJECT', 'FIELD_DEFINITION', 'ARGUMENT_DEFINITION', 'INTERFACE', 'UNION',
    'ENUM', 'ENUM_VALUE', 'INPUT_OBJECT', 'INPUT_FIELD_DEFINITION'];

const wrapped = (type) => {
    if (chance(0.25)) type = `[${type}${chance(0.4) ? '!' : ''}]`;
    if (chance(0.1)) type = `[${type}]`;
    return type + (chance(0.3) ? '!' : '');
};

// Where a directive with arguments of such types would lead back to itself, which
// is a rule that the reference has not.
const INNER = ['SCALAR', 'ENUM', 'ENUM_VALUE', 'INPUT_OBJECT', 'INPUT_FIELD_DEFINITION', 'ARGUMENT_DEFINITION'];

// Uses of directives, as text.
function used(where, p = 0.12) {
    let out = '';
    for (const [name, d] of Object.entries(world.directives)) {
        if (INNER.includes(where) && Object.values(d.args).some((a) => !SCALARS.includes(base(a.type)))) continue;
        if (!(d.on.includes(where) ? chance(p) : slips(0.3))) continue;
        for (let n = d.repeatable || slips() ? 1 + below(2) : 1; n > 0; n--) out += ` @${name}${given(d.args)}`;
    }
    if (['FIELD', 'FRAGMENT_SPREAD', 'INLINE_FRAGMENT'].includes(where) ? chance(0.06) : slips(0.2)) out += ` @${one(['skip', 'include'])}(if: ${chance(0.5)})`;
    return slips(0.3) ? `${out} @nope` : out;
}

function given(args, variable) {
    const names = Object.keys(args).filter((n) => (/!$/.test(args[n].type) && args[n].value === undefined ? !slips() : chance(0.4)));
    if (slips()) names.push(one([...names, 'nope']));
    return names.length ? `(${names.map((n) => `${n}: ${value(args[n]?.type ?? 'Int', 0, variable)}`).join(chance(0.5) ? ' ' : ', ')})` : '';
}

// A place of what is described is for the reference that of its description.
const described = () => (!slip && chance(0.1) ? one(['"what"\n', '"""\n  of\n    more lines\n"""\n', '# said\n']) : '');

function inputs(n, from, where) {
    const types = () => one([...SCALARS, ...SCALARS, 'S', ...Object.keys(world.enums), ...from]);
    return Object.fromEntries(range(n).map((i) => {
        const type = wrapped(slips() ? one(['Nope', 'O0', 'U0', types()]) : types());
        return [`${where === 'ARGUMENT_DEFINITION' ? 'a' : 'f'}${i}`,
            { type, value: chance(0.25) && [...SCALARS, 'S', ...Object.keys(world.enums), ...Object.keys(world.inputs)].includes(base(type)) ? value(type, 1) : undefined }];
    }));
}

const written = (fields, where) => Object.entries(fields).map(([n, f]) =>
    `${described()}${slips(0.3) ? `__${n}` : n}: ${f.type}${f.value === undefined ? '' : ` = ${f.value}`}${used(where, 0.06)}`
    + (f.deprecated ? ' @deprecated' : '')).join(chance(0.5) ? '\n  ' : ', ');

const argued = (args) => (Object.keys(args).length ? `(${written(args, 'ARGUMENT_DEFINITION')})` : '');

function outputs(own, types) {
    return Object.fromEntries(range(1 + below(3)).map((i) => [`${own}${'xyz'[i]}`, { type: wrapped(slips() ? one(['Nope', 'N0']) : one(types)),
        args: inputs(chance(0.4) ? 1 + below(2) : 0, Object.keys(world.inputs), 'ARGUMENT_DEFINITION') }]));
}

// What an interface asks for, as its type may have it.
function implemented(fields) {
    return Object.fromEntries(Object.entries(fields).filter(() => !slips(0.3)).map(([n, f]) => [n, {
        type: slips() ? wrapped(nullable(f.type)) : !/!$/.test(f.type) && chance(0.3) ? `${f.type}!` : f.type,
        args: { ...Object.fromEntries(Object.entries(f.args).filter(() => !slips()).map(([k, a]) => [k, slips() ? { ...a, type: `[${a.type}]` } : a])),
            ...(chance(0.15) ? { more: { type: slips() ? 'Int!' : 'Int' } } : {}) } }]));
}

// A definition, part of which may be an extension somewhere else.
function defined(out, head, where, members, open = '{', close = '}') {
    const uses = used(where);
    // the reference takes an input field of an extension for an argument
    const n = members.length > 1 && chance(0.2) && !(where === 'INPUT_OBJECT' && members[0].includes('@')) ? 1 : 0;
    const body = (list) => (list.length ? ` ${open} ${list.join('\n  ')} ${close}` : '');
    out.push(`${described().replace(/^#.*/, '')}${head}${uses}${body(members.slice(n))}`);
    if (n) out.splice(below(out.length + 1), 0, `extend ${head.replace(/ (implements |@).*/, '')}${body(members.slice(0, n))}`);
}

function schema() {
    const out = [];
    world = { enums: {}, inputs: {}, directives: {} };
    for (const i of range(1 + below(2))) world.enums[`E${i}`] = range(2 + below(3)).map((k) => `V${slips() ? 0 : k}`);
    for (const i of range(2 + below(3)).reverse()) {       // of those behind it an object may need one
        const later = Object.keys(world.inputs);
        const oneOf = chance(0.25);
        const fields = inputs(1 + below(4), later, 'INPUT_FIELD_DEFINITION');
        for (const f of Object.values(fields)) if (oneOf && !slips()) { f.type = nullable(f.type); delete f.value; }
        if (chance(0.3)) fields.self = { type: `[N${i}!]` };
        if (slips()) fields.never = { type: `N${i}!` };
        world.inputs[`N${i}`] = { fields, oneOf };
    }
    const wrong = slip;
    slip = 0;                 // what is wrong with these has other places there
    for (const i of range(1 + below(3))) {
        world.directives[`d${i}`] = { repeatable: chance(0.4), on: some(WHERE, 0.5), args: inputs(below(3), Object.keys(world.inputs), 'ARGUMENT_DEFINITION') };
        if (!world.directives[`d${i}`].on.length) world.directives[`d${i}`].on = ['FIELD'];
    }
    slip = wrong;
    const [interfaces, objects, unions] = [['I0', 'I1', 'I2'].slice(0, 1 + below(3)), ['O0', 'O1', 'O2', 'O3'].slice(0, 1 + below(4)), ['U0', 'U1'].slice(0, below(3))];
    const types = [...SCALARS, 'S', ...Object.keys(world.enums), ...interfaces, ...objects, ...unions];
    const above = {};
    const has = {};
    for (const [i, name] of interfaces.entries()) {
        const parents = some(interfaces.slice(0, i), 0.5);
        above[name] = [...new Set(parents.flatMap((p) => [...above[p], p]))].filter(() => !slips());
        has[name] = Object.assign(outputs(name.toLowerCase(), types), ...above[name].map((p) => implemented(has[p])));
    }
    const like = (list) => (list.length ? ` implements ${chance(0.2) ? '& ' : ''}${list.join(' & ')}` : '');
    const members = (fields) => Object.entries(fields).map(([n, f]) => `${described()}${n}${argued(f.args)}: ${f.type}`
        + `${used('FIELD_DEFINITION', 0.06)}${chance(0.05) ? ' @deprecated(reason: "x")' : ''}`);
    for (const name of interfaces) defined(out, `interface ${name}${like(above[name])}`, 'INTERFACE', members(has[name]));
    for (const name of objects) {
        const of = [...new Set(some(interfaces, 0.5).flatMap((p) => [...above[p], p]))];
        defined(out, `type ${name}${like(of)}`, 'OBJECT', members(Object.assign(outputs(name.toLowerCase(), types), ...of.map((p) => implemented(has[p])))));
    }
    for (const name of unions) out.push(`${described()}union ${name}${used('UNION')} = ${chance(0.2) ? '| ' : ''}${(slips() ? [...objects, one(types)] : some(objects, 0.7).concat(objects[0]).filter((x, i, l) => l.indexOf(x) === i)).join(' | ')}`);
    for (const [name, values] of Object.entries(world.enums)) defined(out, `enum ${name}`, 'ENUM', values.map((v) => `${v}${used('ENUM_VALUE', 0.06)}${chance(0.05) ? ' @deprecated' : ''}`));
    for (const [name, input] of Object.entries(world.inputs)) {
        defined(out, `input ${name}${input.oneOf ? ' @oneOf' : ''}`, 'INPUT_OBJECT', Object.entries(input.fields).map(([n, f]) => written({ [n]: f }, 'INPUT_FIELD_DEFINITION')));
    }
    out.push(`scalar S${used('SCALAR')}${chance(0.3) ? ' @specifiedBy(url: "https://s")' : ''}`);
    for (const [name, d] of Object.entries(world.directives)) {
        const args = Object.entries(d.args).map(([n, a]) => `${n}: ${a.type}${a.value === undefined ? '' : ` = ${a.value}`}`);
        out.push(`directive @${name}${args.length ? `(${args.join(' ')})` : ''}${d.repeatable ? ' repeatable' : ''} on ${d.on.join(chance(0.5) ? ' | ' : '|')}`);
    }
    const roots = { query: 'Query', mutation: chance(0.5) ? 'Mutation' : '', subscription: chance(0.3) ? 'Subscription' : '' };
    const named = chance(0.3);
    // the reference knows no scalar that a schema does not name
    out.push('directive @known(i: Int, f: Float, d: ID) on FIELD');
    for (const [op, name] of Object.entries(roots).filter((r) => r[1])) defined(out, `type ${named ? `My${name}` : name}`, 'OBJECT', members(outputs(op[0], types)));
    if (named) out.push(`${described().replace(/^#.*/, '')}schema${used('SCHEMA')} { ${Object.entries(roots).filter((r) => r[1]).map(([op, n]) => `${op}: My${n}`).join('\n')} }`);
    if (slips()) out.push(one(out));
    return out.sort(() => (chance(0.3) ? 1 : 0)).join(one(['\n', '\n\n', '\r\n'])) + (chance(0.5) ? '\n' : '');
}

// --- documents --------------------------------------------------------------------

let built, vars, fragments, keys;

const argsOf = (args) => Object.fromEntries(args.map((a) => [a.name, { type: String(a.type), value: a.defaultValue }]));

function variable(type) {
    const name = `v${below(5)}`;
    if (slips()) type = one(['Int', 'String!', '[ID]', ...Object.keys(world.inputs)]);
    vars[name] ??= type.endsWith('!') && chance(0.7) ? type : chance(0.2) ? `${nullable(type)}!` : type;
    const fits = nullable(vars[name]) === nullable(type) && (!type.endsWith('!') || vars[name].endsWith('!'));
    return fits || slips(4) ? `$${name}` : value(type, 1);
}

function selection(type, depth) {
    const fields = g.isUnionType(type) ? [] : Object.values(type.getFields()).filter((f) => depth > 0 || g.isLeafType(g.getNamedType(f.type)));
    const near = Object.values(built.getTypeMap()).filter((t) => g.isCompositeType(t) && !t.name.startsWith('__') && g.doTypesOverlap(built, type, t));
    const out = range(1 + below(4)).map(() => {
        const on = slips() ? one(Object.values(built.getTypeMap())) : one(near);
        if (depth > 0 && chance(g.isAbstractType(type) ? 0.4 : 0.1) && (g.isCompositeType(on) || slips())) {
            const below_ = g.isCompositeType(on) ? selection(on, depth - 1) : '{ id }';
            if (chance(0.4)) {
                const name = slips() && fragments.length ? `F${below(fragments.length)}` : `F${fragments.push(null) - 1}`;
                if (fragments.at(-1) === null) fragments[fragments.length - 1] = `fragment ${name} on ${on}${used('FRAGMENT_DEFINITION')} ${below_}`;
                return `...${slips() ? 'Nope' : name}${used('FRAGMENT_SPREAD')}`;
            }
            return `...${chance(0.8) ? ` on ${on}` : ''}${used('INLINE_FRAGMENT')} ${on === type || chance(0.8) ? below_ : selection(type, depth - 1)}`;
        }
        if (!fields.length || chance(0.08)) return `${key()}__typename`;
        const f = one(fields);
        const named = g.getNamedType(f.type);
        const text = `${key()}${slips() ? 'nope' : f.name}${given(argsOf(f.args), variable)}${used('FIELD')}`;
        return text + ((g.isCompositeType(named) ? !slips() : slips()) ? ` ${selection(g.isCompositeType(named) ? named : type, depth - 1)}` : '');
    });
    if (slips()) out.push(one(out));
    return `{ ${out.join(one([' ', '\n', ', ']))} }`;
}

const key = () => (slips(4) ? '' : chance(0.15) ? `${one(['a', 'b'])}${keys++}: ` : `k${keys++}: `);

function document() {
    const out = [];
    [fragments, keys] = [[], 0];
    const ops = ['query', 'mutation', 'subscription'].filter((op) => built.getRootType(op));
    const n = chance(0.9) ? 1 : 2;
    let last, subscribes = false;
    for (const i of range(n)) {
        vars = {};
        const op = one(ops);
        const body = selection(built.getRootType(op), 3);
        subscribes ||= op === 'subscription';
        if (slips()) vars.unused = 'Int';
        const declared = Object.entries(vars).filter(() => !slips()).map(([v, t]) => `$${v}: ${t}`
            + `${chance(0.2) ? ` = ${value(t, 2)}` : ''}${used('VARIABLE_DEFINITION', 0.06)}`);
        last = vars;
        out.push(`${op}${n > 1 || chance(0.5) ? ` Q${slips() ? 0 : i}` : ''}${declared.length ? `(${declared.join(', ')})` : ''}${used(op.toUpperCase())} ${body}`);
    }
    const text = out.concat(fragments.filter(Boolean)).join('\n');
    // the root of a subscription has other rules of the reference's edition
    return { text: subscribes ? text.replace(/ @(skip|include)\([^)]*\)/g, '') : text, vars: n === 1 ? last : {} };
}

// A variable's value: its literal, read as JSON.
function json(type) {
    const text = value(type, 1);
    try { return g.valueFromASTUntyped(g.parseValue(text)); } catch { return 0; }
}

// --- all of them --------------------------------------------------------------------

function judged(sdl) {
    try {
        const parsed = g.parse(sdl);
        if (validateSDL(parsed).length) return null;
        const made = g.buildASTSchema(parsed, { assumeValidSDL: true });
        return g.validateSchema(made).length ? null : made;
    } catch (e) {
        if (!(e instanceof g.GraphQLError)) throw e;
        return null;
    }
}

for (const i of range(schemas)) {
    slip = i % 2 ? one([0.002, 0.01, 0.03]) : 0;
    const sdl = schema();
    built = judged(sdl);
    console.log(JSON.stringify({ schema: sdl }));
    for (const k of range(built && i % 2 === 0 ? documents : 0)) {
        slip = k % 3 ? one([0.003, 0.01, 0.04]) : 0;
        const { text, vars: types } = document();
        const job = { schema: sdl, document: text };
        if (chance(0.2) && Object.keys(types).length) {
            slip = one([0, 0.05]);
            job.variables = Object.fromEntries(Object.entries(types).filter(([, t]) => t.endsWith('!') ? !slips() : chance(0.7)).map(([n, t]) => [n, json(t)]));
        }
        console.log(JSON.stringify(job));
    }
}
