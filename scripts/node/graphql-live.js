// Real clients of live GraphQL, one line of JSON per event on stdout:
//   graphql-live.js BASE TOKEN JOURNEY NAME
// NAME: transport (graphql-ws), legacy (subscriptions-transport-ws), distinct,
// single (graphql-sse).  Each asks for a query, fails one, and then waits for
// three updates of the journey.
'use strict';

const [base, token, journey, name] = process.argv.slice(2);
const ws = base.replace(/^http/, 'ws') + '/api/graphql/live';
const say = (o) => console.log(JSON.stringify(o));
const QUERY = '{ me { id } }';
const BAD = '{ nothing }';
const WATCH = 'subscription W($j: ID!) { journeyUpdates(journeyId: $j) ' +
    '{ type journeyId } }';
const variables = { j: journey };

function fail(e) {
    say({ failed: String(e && e.stack || e) });
    process.exit(1);
}

process.on('unhandledRejection', fail);
setTimeout(() => fail('no end in 30 s'), 30000).unref();

function once(client, payload) {
    return new Promise((resolve) => {
        const got = [];
        client.subscribe(payload, {
            next: (value) => got.push(value),
            error: (error) => resolve({ got, error: Array.isArray(error)
                ? error[0].message : String(error) }),
            complete: () => resolve({ got }),
        });
    });
}

async function three(client) {
    const got = await new Promise((resolve, reject) => {
        const all = [];
        const stop = client.subscribe({ query: WATCH, variables }, {
            next: (value) => {
                all.push(value.data.journeyUpdates.type);
                if (all.length === 3) {
                    stop();
                    resolve(all);
                }
            },
            error: reject,
            complete: () => {},
        });
    });
    say({ watched: got });
}

async function modern() {
    const { createClient } = require('graphql-ws');
    const client = createClient({ url: ws, webSocketImpl: require('ws'),
        connectionParams: { authToken: token }, retryAttempts: 0,
        keepAlive: 200, lazy: true, lazyCloseTimeout: 2000 });
    client.on('pong', () => client.ponged || (client.ponged = true,
        say({ pong: true })));
    say({ query: await once(client, { query: QUERY }) });
    say({ bad: await once(client, { query: BAD }) });
    await three(client);
    await client.dispose();
}

async function legacy() {
    const { SubscriptionClient } = require('subscriptions-transport-ws');
    const client = new SubscriptionClient(ws, { lazy: true,
        connectionParams: { authToken: token }, timeout: 60000 },
        require('ws'));
    const ask = (query) => new Promise((resolve) => {
        const got = [];
        client.request({ query }).subscribe({
            next: (value) => got.push(value),
            error: (error) => resolve({ got, error: error.message }),
            complete: () => resolve({ got }),
        });
    });
    say({ query: await ask(QUERY) });
    say({ bad: await ask(BAD) });
    say({ watched: await new Promise((resolve, reject) => {
        const all = [];
        const sub = client.request({ query: WATCH, variables }).subscribe({
            next: (value) => {
                all.push(value.data.journeyUpdates.type);
                if (all.length === 3) {
                    sub.unsubscribe();
                    resolve(all);
                }
            },
            error: reject,
        });
    }) });
    client.close();
}

async function events(singleConnection) {
    const { createClient } = require('graphql-sse');
    const client = createClient({ url: base + '/api/graphql/live',
        singleConnection, headers: { Authorization: 'Bearer ' + token },
        retryAttempts: 0 });
    say({ query: await once(client, { query: QUERY }) });
    say({ bad: await once(client, { query: BAD }) });
    await three(client);
    client.dispose();
}

({ transport: modern, legacy, distinct: () => events(false),
    single: () => events(true) })[name]().then(() => {
    say({ done: name });
    process.exit(0);
}, fail);
