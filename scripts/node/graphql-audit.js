// The reference's own audit of GraphQL over HTTP, and its own reading of a
// server's introspection.
//   graphql-audit.js URL          one line per audit: STATUS ID NAME [REASON]
//   graphql-audit.js URL schema   the schema, as built from introspection
//   graphql-audit.js URL sdl SDL  "same" when the SDL at the URL SDL is that one,
//                                 else what only one of both has
const { serverAudits } = require('graphql-http');
const { buildClientSchema, buildSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema,
    validateSchema } = require('graphql');

async function audits(url) {
    for (const audit of serverAudits({ url, fetchFn: fetch })) {
        const r = await audit.fn();
        console.log([r.status, audit.id, audit.name, r.reason || '']
            .join('\t').replace(/\n/g, ' '));
    }
}

async function schema(url) {
    const query = getIntrospectionQuery({ specifiedByUrl: true,
        directiveIsRepeatable: true, schemaDescription: true,
        inputValueDeprecation: true, oneOf: true });
    const res = await fetch(url, { method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }) });
    const { data, errors } = await res.json();
    if (errors) throw new Error(JSON.stringify(errors));
    const built = buildClientSchema(data);
    const faults = validateSchema(built);
    if (faults.length) throw new Error(faults.join('\n'));
    return built;
}

async function compare(url, sdl) {
    const [a, b] = [await schema(url), buildSchema(await (await fetch(sdl)).text())]
        .map((s) => printSchema(lexicographicSortSchema(s)).split('\n'));
    const only = (x, y, sign) => x.filter((line) => !y.includes(line)).map((line) => sign + line);
    console.log([...only(a, b, '- '), ...only(b, a, '+ ')].join('\n') || (a.join() === b.join() ? 'same' : 'another order'));
}

const [url, what, sdl] = process.argv.slice(2);
(what === 'schema' ? schema(url).then((s) => console.log(printSchema(s))) : what === 'sdl' ? compare(url, sdl)
    : audits(url)).catch((e) => {
    console.error(e);
    process.exit(1);
});
