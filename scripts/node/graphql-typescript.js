// TypeScript types of an endpoint's introspection and of some operations, by
// graphql-codegen.
//   graphql-typescript.js URL OPERATIONS OUT
const fs = require('fs');
const { buildClientSchema, getIntrospectionQuery, parse, printSchema } = require('graphql');
const { codegen } = require('@graphql-codegen/core');
const plugins = {
    typescript: require('@graphql-codegen/typescript'),
    typescriptOperations: require('@graphql-codegen/typescript-operations'),
};

async function main([url, operations, out]) {
    const res = await fetch(url, { method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: getIntrospectionQuery() }) });
    const schema = buildClientSchema((await res.json()).data);
    const config = { scalars: { DateTime: 'string', Date: 'string',
        UUID: 'string', BigInt: 'string', JSON: 'unknown' }, enumsAsTypes: true };
    fs.writeFileSync(out, await codegen({
        filename: out,
        schema: parse(printSchema(schema)),
        documents: [{ location: operations,
            document: parse(fs.readFileSync(operations, 'utf8')) }],
        plugins: [{ typescript: config }, { typescriptOperations: config }],
        pluginMap: plugins,
        config: {},
    }));
}

main(process.argv.slice(2)).catch((e) => { console.error(e); process.exit(1); });
