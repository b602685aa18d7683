// The same by PostGraphile, which makes the schema of the tables by itself.  It
// asks for no owner and no token, and has no limits.
//   postgraphile.js PORT SOCKET
const { createServer } = require('http');
const { postgraphile } = require('postgraphile');
const { grafserv } = require('postgraphile/grafserv/node');
const { makePgService } = require('postgraphile/adaptors/pg');
const { PostGraphileAmberPreset } = require('postgraphile/presets/amber');

// it is written for a newer Node.js than Debian's
Promise.withResolvers ??= function () {
    const d = {};
    d.promise = new this((resolve, reject) => Object.assign(d, { resolve, reject }));
    return d;
};

const [port, socket] = process.argv.slice(2);
const pgl = postgraphile({
    extends: [PostGraphileAmberPreset],
    pgServices: [makePgService({
        connectionString: `postgresql:///travel?host=${encodeURIComponent(socket)}&user=travel_edge`,
        schemas: ['travel'], poolConfig: { max: 16 },
    })],
    grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false },
    grafast: { explain: false },
});

async function main() {
    const server = createServer();
    server.on('error', (e) => { throw e; });
    await pgl.createServ(grafserv).addTo(server);
    server.listen(Number(port), '127.0.0.1');
}

main().catch((e) => { console.error(e); process.exit(1); });
