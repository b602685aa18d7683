// Real clients of live GraphQL, one line of JSON per event on stdout:
//   graphql-live.js BASE TOKEN JOURNEY NAME
// NAME: transport (graphql-ws), legacy (subscriptions-transport-ws), distinct,
// single (graphql-sse).  Each asks for a query, fails one, watches what is not
// its own, waits for three updates of the journey, and then follows it, with its
// cursor, through a lost connection, until five more have come.
// codes: each close code of graphql-transport-ws that graphql-ws can be given.
'use strict';

const [base, token, journey, name] = process.argv.slice(2);
const ws = base.replace(/^http/, 'ws') + '/api/graphql/live';
const say = (o) => console.log(JSON.stringify(o));
const QUERY = '{ me { id } }';
const BAD = '{ nothing }';
const WATCH = 'subscription W($j: ID!) { journeyUpdates(journeyId: $j) ' +
    '{ type journeyId } }';
const variables = { j: journey };
const refused = { query: WATCH,
    variables: { j: '01890000-0000-7000-8000-0000000000ff' } };

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

// The clients know nothing of cursors, but ask again by what they were given:
// it is read anew whenever it is made into JSON.
const lost = { times: 0 };
const soon = () => new Promise((resolve) => setTimeout(resolve, 100));

async function follow(subscribe) {
    say({ followed: await new Promise((resolve, reject) => {
        const all = [];
        let cursor, more = 0;
        const stop = subscribe({ query: WATCH, variables,
            extensions: { cursor: { toJSON: () => cursor } } }, {
            next: (value) => {
                if (value.errors) return reject(value.errors[0].message);
                cursor = value.extensions.cursor;
                all.push(value.data.journeyUpdates.type);
                if (all.length === 1) say({ follows: true });
                if (lost.times && ++more === 5) {
                    stop();
                    resolve(all);
                }
            },
            error: reject,
            complete: () => {},
        });
    }) });
}

async function modern() {
    const { createClient } = require('graphql-ws');
    const client = createClient({ url: ws, webSocketImpl: require('ws'),
        connectionParams: { authToken: token }, retryAttempts: 100,
        retryWait: soon, keepAlive: 200, lazy: true, lazyCloseTimeout: 2000 });
    client.on('pong', () => client.ponged || (client.ponged = true,
        say({ pong: true })));
    client.on('closed', (event) => { lost.code = lost.code || event.code; });
    client.on('connected', (socket, payload, again) => again && lost.times++);
    say({ query: await once(client, { query: QUERY }) });
    say({ bad: await once(client, { query: BAD }) });
    say({ refused: await once(client, refused) });
    await three(client);
    await follow(client.subscribe);
    say({ after: await once(client, { query: QUERY }), closed: lost.code });
    await client.dispose();
}

// What the server closes with when a client does this or that.
async function codes() {
    const { createClient } = require('graphql-ws');
    const WebSocket = require('ws');
    const init = '{"type":"connection_init"}';
    const early = '{"id":"e","type":"subscribe","payload":{"query":"{ a }"}}';
    const speak = (text) => ({ on: { opened: (s) => s.send(text) } });
    class Mute extends WebSocket {
        constructor(url) { super(url); }
    }
    const all = {
        4400: speak('{'),
        4401: speak(early),
        4403: { connectionParams: { authToken: 'x' } },
        4406: { webSocketImpl: Mute },
        4408: { url: base.replace(/^http/, 'ws') + '/quick',
            connectionParams: () => new Promise(() => {}) },
        4409: { generateID: () => 'one' },
        4429: speak(init),
    };
    const got = {};
    await Promise.all(Object.entries(all).map(async ([code, options]) => {
        const client = createClient({ url: ws, webSocketImpl: WebSocket,
            connectionParams: { authToken: token }, retryAttempts: 0,
            ...options });
        got[code] = await new Promise((resolve) => {
            const sink = { next: () => {}, complete: () => {},
                error: (e) => resolve(e.code || String(e)) };
            client.subscribe({ query: WATCH, variables }, sink);
            client.subscribe({ query: WATCH, variables }, sink);
        });
    }));
    say({ codes: got });
}

async function legacy() {
    const { SubscriptionClient } = require('subscriptions-transport-ws');
    const client = new SubscriptionClient(ws, { lazy: true, reconnect: true,
        connectionParams: { authToken: token }, timeout: 60000,
        minTimeout: 20000 }, require('ws'));
    client.onReconnected(() => lost.times++);
    const subscribe = (payload, sink) => {
        const sub = client.request(payload).subscribe(sink);
        return () => sub.unsubscribe();
    };
    say({ query: await once({ subscribe }, { query: QUERY }) });
    say({ bad: await once({ subscribe }, { query: BAD }) });
    say({ refused: await once({ subscribe }, refused) });
    await three({ subscribe });
    await follow(subscribe);
    client.close();
}

async function events(singleConnection) {
    const { createClient } = require('graphql-sse');
    const client = createClient({ url: base + '/api/graphql/live',
        singleConnection, headers: { Authorization: 'Bearer ' + token },
        retryAttempts: 100, retry: soon,
        on: { connected: (again) => again && lost.times++ } });
    say({ query: await once(client, { query: QUERY }) });
    say({ bad: await once(client, { query: BAD }) });
    say({ refused: await once(client, refused) });
    await three(client);
    await follow(client.subscribe);
    client.dispose();
}

({ transport: modern, legacy, codes, distinct: () => events(false),
    single: () => events(true) })[name]().then(() => {
    say({ done: name });
    process.exit(0);
}, fail);
