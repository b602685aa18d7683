// What the reference implementation says of documents: syntax, every rule,
// variables. Reads one JSON object a line: {schema, document, variables?}, and
// writes one: {errors: [[[line, column], ...], ...], messages: [...]}, an
// empty list for what is valid. Without a document, the schema is judged.
const readline = require('readline');
const g = require('graphql');
const { validateSDL } = require('graphql/validation/validate');

const schemas = new Map();

function schemaOf(sdl) {
    if (!schemas.has(sdl)) schemas.set(sdl, g.buildSchema(sdl));
    return schemas.get(sdl);
}

// The reference puts "no selection here" at the brace; we at the field.
function placesOf(error, document) {
    const node = error.nodes && error.nodes[0];
    if (node && node.kind === 'SelectionSet' && document) {
        let owner;
        g.visit(document, { Field(f) { if (f.selectionSet === node) owner = f; } });
        const at = g.getLocation(owner.loc.source, owner.loc.start);
        return [[at.line, at.column]];
    }
    return (error.locations || []).map((l) => [l.line, l.column]);
}

function sdlErrors(sdl) {
    const document = g.parse(sdl);
    const errors = validateSDL(document);
    if (errors.length) return errors;
    return g.validateSchema(g.buildASTSchema(document, { assumeValidSDL: true }));
}

function judge(job) {
    let document;
    try {
        if (job.document === undefined) return [sdlErrors(job.schema)];
        const schema = schemaOf(job.schema);
        document = g.parse(job.document);
        const errors = g.validate(schema, document, g.specifiedRules, { maxErrors: 1000 });
        if (errors.length || !job.variables) return [errors, document];
        const operation = document.definitions.find((d) => d.kind === 'OperationDefinition');
        const r = g.getVariableValues(schema, operation.variableDefinitions, job.variables);
        return [r.errors || [], document];
    } catch (e) {
        if (!(e instanceof g.GraphQLError)) throw e;
        return [[e], document];
    }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const [errors, document] = judge(JSON.parse(line));
    console.log(JSON.stringify({
        errors: errors.map((e) => placesOf(e, document)),
        messages: errors.map((e) => e.message) }));
});
