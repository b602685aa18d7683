// One journey with its stories, as Mercurius (Fastify, graphql-jit) answers it:
// hand-written resolvers, statements prepared, stories of many journeys in one
// query by a loader.  It knows who asks without looking at the token, and has
// no limits.
//   mercurius.js PORT SOCKET USER-ID
const Fastify = require('fastify');
const mercurius = require('mercurius');
const { Pool } = require('pg');

const [port, socket, user] = process.argv.slice(2);
const pool = new Pool({ host: socket, user: 'travel_edge', database: 'travel', max: 16 });

const schema = `
  type Story { title: String }
  type Journey { id: ID! origin: String! destination: String! theme: String!
    distanceMiles: Float! stories(limit: Int = 20): [Story!]! }
  type Query { journey(journeyId: ID!): Journey }`;

const JOURNEY = { name: 'journey', text: 'SELECT id, origin, destination, theme, '
    + 'distance_miles AS "distanceMiles" FROM travel.journeys '
    + 'WHERE id = $1::uuid AND user_id = $2::uuid' };
const STORIES = { name: 'stories', text: 'SELECT j.id, s.title '
    + 'FROM unnest($1::uuid[]) AS j(id), LATERAL (SELECT title FROM travel.stories AS s '
    + 'WHERE s.journey_id = j.id AND s.user_id = $2::uuid ORDER BY s.id DESC LIMIT $3) AS s' };

const resolvers = {
    Query: {
        journey: async (_, { journeyId }) =>
            (await pool.query({ ...JOURNEY, values: [journeyId, user] })).rows[0],
    },
};
const loaders = {
    Journey: {
        stories: async (queries) => {
            const { rows } = await pool.query({ ...STORIES,
                values: [queries.map((q) => q.obj.id), user, queries[0].params.limit] });
            return queries.map((q) => rows.filter((r) => r.id === q.obj.id));
        },
    },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: 1, path: '/graphql' });
app.listen({ port: Number(port), host: '127.0.0.1' });
