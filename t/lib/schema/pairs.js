/*
 * Random JSON Schemas (draft 2020-12) and instances, and what ajv says of them.
 *
 *   node pairs.js SEED SCHEMAS INSTANCES > pairs.jsonl
 *
 * One line per pair: {"schema": text, "instance": text, "ajv": true|false|null},
 * null where ajv does not compile the schema.  The same seed gives the same
 * pairs.  Values come from small sets, so that keywords meet what they are
 * about; a whole number may be written 1, 1.0 or 1e0.
 */
'use strict';
const path = require('path');
const modules = path.join(__dirname, '../../../scripts/node/node_modules');
const Ajv = require(path.join(modules, 'ajv/dist/2020')).default;

const [seed, nSchemas, nInstances] = process.argv.slice(2).map(Number);

const { below: int, one: pick, chance: maybe } =
    require('../../../scripts/node/chance')(seed);

const NAMES = ['a', 'b', 'ab', 'c/d', 'e~f', 'é'];
const STRINGS = ['', 'a', 'ab', 'abc', 'é', '😀', '😀😀', 'b1', '2024'];
const NUMBERS = [0, 1, 2, 3, -1, 1.5, 2.5, 4, 10, 1e20];
const PATTERNS = ['^a', 'b$', '^.$', '^\\p{L}+$', '\\d', '^[a-c]*$', '^(ab|c)?$',
    '^.{2,3}$', '[^a]', '\\u{1F600}', '^\\S+$', 'a|é'];
const TYPES = ['null', 'boolean', 'number', 'integer', 'string', 'array',
    'object'];

function value(depth) {
    const k = int(depth > 0 ? 9 : 6);
    if (k === 0) return pick([null, true, false]);
    if (k < 3) return pick(NUMBERS);
    if (k < 6) return pick(STRINGS);
    if (k < 7) return Array.from({ length: int(5) }, () => value(depth - 1));
    if (k < 8) {
        const one = value(depth - 1);
        return Array.from({ length: 2 + int(3) },
            () => maybe(0.5) ? one : value(depth - 1));
    }
    const o = {};
    for (let i = int(5); i > 0; i--) o[pick(NAMES)] = value(depth - 1);
    return o;
}

function write(v) {
    if (typeof v === 'number') {
        const s = JSON.stringify(v);
        return Number.isInteger(v) && Math.abs(v) < 1e6 && maybe(0.25)
            ? pick([s + '.0', s + 'e0', s + '.00']) : s;
    }
    if (Array.isArray(v)) return '[' + v.map(write).join(', ') + ']';
    if (v && typeof v === 'object') {
        return '{' + Object.keys(v).map((k) => JSON.stringify(k) + ':'
            + write(v[k])).join(',') + '}';
    }
    return JSON.stringify(v);
}

/* A reference from definition 'at' to one behind it; deeper in the instance it
 * may be any, for there the recursion has an end. */
const DEFS = 4;
function reference(at, deeper) {
    const from = deeper ? 0 : at + 1;
    if (from >= DEFS) return {};
    const i = from + int(DEFS - from);
    if (deeper && maybe(0.3)) return { $dynamicRef: '#dyn' };
    return { $ref: pick([`#/$defs/d${i}`, `root.json#/$defs/d${i}`,
        ...(i === 1 ? ['#one', 'root.json#one', '#/%24defs/d1'] : []),
        ...(i === 2 ? ['two.json', 'http://t.test/two.json', 'two.json#'] : []),
        ...(i === 3 ? ['#/$defs/d3', 'root.json#/$defs/d3/$defs/x~1y~0z'] : []),
    ].filter((r) => at !== 2 || !r.startsWith('#'))) };
}

const some = (at, depth, deeper) => Array.from({ length: 1 + int(3) },
    () => schema(at, depth - 1, deeper));
const named = (at, depth, deeper, names) => {
    const o = {};
    for (let i = 1 + int(3); i > 0; i--) {
        o[pick(names)] = schema(at, depth - 1, deeper);
    }
    return o;
};

const KEYWORDS = [
    () => ({ type: maybe(0.7) ? pick(TYPES)
        : [...new Set([pick(TYPES), pick(TYPES), pick(TYPES)])] }),
    () => ({ enum: [value(1), value(0), value(2)] }),
    () => ({ const: value(2) }),
    () => ({ minimum: pick(NUMBERS) }),
    () => ({ maximum: pick(NUMBERS) }),
    () => ({ exclusiveMinimum: pick(NUMBERS) }),
    () => ({ exclusiveMaximum: pick(NUMBERS) }),
    () => ({ multipleOf: pick([1, 2, 0.5, 2.5, 3, 1.5]) }),
    () => ({ minLength: int(3) }),
    () => ({ maxLength: int(4) }),
    () => ({ pattern: pick(PATTERNS) }),
    (a, d) => ({ items: schema(a, d - 1, true) }),
    (a, d) => ({ prefixItems: some(a, d, true) }),
    (a, d) => ({ prefixItems: some(a, d, true), items: maybe(0.5) }),
    (a, d) => ({ contains: schema(a, d - 1, true) }),
    (a, d) => ({ contains: schema(a, d - 1, true), minContains: int(3) }),
    (a, d) => ({ contains: schema(a, d - 1, true), maxContains: int(3) }),
    () => ({ minItems: int(4) }),
    () => ({ maxItems: int(4) }),
    () => ({ uniqueItems: maybe(0.9) }),
    (a, d) => ({ properties: named(a, d, true, NAMES) }),
    (a, d) => ({ patternProperties: named(a, d, true, PATTERNS) }),
    (a, d) => ({ additionalProperties: schema(a, d - 1, true) }),
    (a, d) => ({ propertyNames: schema(a, d - 1, true) }),
    () => ({ required: [...new Set([pick(NAMES), pick(NAMES)])] }),
    () => ({ minProperties: int(3) }),
    () => ({ maxProperties: int(4) }),
    () => ({ dependentRequired: { [pick(NAMES)]: [pick(NAMES)] } }),
    (a, d, p) => ({ dependentSchemas: { [pick(NAMES)]: schema(a, d - 1, p) } }),
    (a, d, p) => ({ allOf: some(a, d, p) }),
    (a, d, p) => ({ anyOf: some(a, d, p) }),
    (a, d, p) => ({ oneOf: some(a, d, p) }),
    (a, d, p) => ({ not: schema(a, d - 1, p) }),
    (a, d, p) => ({ if: schema(a, d - 1, p), then: schema(a, d - 1, p),
        else: schema(a, d - 1, p) }),
    (a, d, p) => ({ if: schema(a, d - 1, p), then: schema(a, d - 1, p) }),
    (a, d, p) => ({ then: schema(a, d - 1, p) }),
    (a, d) => ({ unevaluatedItems: maybe(0.6) ? false
        : schema(a, d - 1, true) }),
    (a, d) => ({ unevaluatedProperties: maybe(0.6) ? false
        : schema(a, d - 1, true) }),
    (a, d, p) => reference(a, p),
    (a, d, p) => reference(a, p),
    () => ({ unknown: { type: 'nothing' }, title: 't', default: 1 }),
];

function schema(at, depth, deeper) {
    if (depth <= 0 || maybe(0.08)) {
        return maybe(0.5) ? maybe(0.7)
            : Object.assign({}, pick(KEYWORDS.slice(0, 11))());
    }
    const s = {};
    for (let i = 1 + int(3); i > 0; i--) {
        Object.assign(s, pick(KEYWORDS)(at, depth, deeper));
    }
    return s;
}

function object(at, depth) {
    const s = schema(at, depth, false);
    return typeof s === 'object' ? s : { not: { not: s } };
}

for (let n = 0; n < nSchemas; n++) {
    const root = Object.assign({ $id: 'http://t.test/root.json' },
        n % 4 === 0 ? { $dynamicAnchor: 'dyn' } : {}, object(-1, 3));
    root.$defs = {
        d0: schema(0, 2, false),
        d1: Object.assign({ $anchor: 'one' }, object(1, 2)),
        d2: Object.assign({ $id: 'two.json', $dynamicAnchor: 'dyn' },
            object(2, 2)),
        d3: Object.assign(object(3, 1), { $defs: { 'x/y~z': schema(3, 1) } }),
    };
    if (!root.$dynamicAnchor) root.$defs.any = { $dynamicAnchor: 'dyn' };

    const text = write(root);
    let check = null;
    try {
        check = new Ajv({ strict: false, validateFormats: false,
            logger: false }).compile(JSON.parse(text));
    } catch (e) {
        if (process.env.WHY) console.error(e.message, text);
    }
    for (let i = 0; i < nInstances; i++) {
        const instance = write(i % 3 === 0 ? value(3)
            : value(1 + int(3)));
        let ajv = null;
        try {
            if (check) ajv = check(JSON.parse(instance));
        } catch (e) {
            ajv = null;
        }
        console.log(JSON.stringify({ schema: text, instance, ajv }));
    }
}
