// Apollo Client over HTTP: a query, its cache, a persisted query, a mutation,
// errors. One line each: NAME VALUE.
//   graphql-apollo.js URL TOKEN
const { createHash } = require('crypto');
const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql }
    = require('@apollo/client/core');
const { createPersistedQueryLink } = require('@apollo/client/link/persisted-queries');

const [url, token] = process.argv.slice(2);
let requests = 0;
const http = new HttpLink({ uri: url, headers: { authorization: `Bearer ${token}` },
    fetch: (...args) => { requests++; return fetch(...args); } });
const client = (link) => new ApolloClient({ link, cache: new InMemoryCache() });

const PLACES = gql`query Places($n: Int) { places(query: "Lyon", limit: $n) { name countryCode } }`;
const START = gql`mutation Start($c: JourneyContextInput!) { startJourney(context: $c) { success } }`;

async function main() {
    const plain = client(http);
    const query = { query: PLACES, variables: { n: 1 } };
    console.log('query', JSON.stringify((await plain.query(query)).data.places));
    await plain.query(query);
    console.log('cached', requests);

    const sha256 = (text) => createHash('sha256').update(text).digest('hex');
    const persisted = client(ApolloLink.from([createPersistedQueryLink({ sha256 }), http]));
    console.log('persisted', (await persisted.query(query)).data.places[0].countryCode);

    const started = await plain.mutate({ mutation: START, variables: {
        c: { origin: 'Lyon, FR', destination: 'Paris, FR', theme: 'food' } } });
    console.log('mutation', started.data.startJourney.success);

    const wrong = await plain.query({ query: gql`{ nope places(query: 1) { name } }`,
        errorPolicy: 'all' });
    console.log('errors', wrong.errors.length, wrong.errors[0].message);
    const variables = await plain.query({ query: PLACES, variables: { n: 'x' },
        errorPolicy: 'all' });
    console.log('variables', variables.errors[0].message);
    process.exit(0);
}

main().catch((e) => { console.log('error', e.message); process.exit(1); });
