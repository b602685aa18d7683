// Plays the push services over HTTP/2 and TLS: Google's token endpoint, FCM
// v1, APNs.
//
//     node push-services.js --port N --out FILE --cert FILE --key FILE
//         --google-pub FILE --apple-pub FILE [--say FILE] [--life SECONDS]
//
// Signatures are checked with the public keys.  One JSON line per request goes
// to FILE.  What is said to a token stands in the say file, JSON {token:
// {status, reason, retry_after, timestamp}}; others are fine.  With {together:
// N} in it no message that is fine is answered until N wait for it.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');
const { parseArgs } = require('util');

const { values: opt } = parseArgs({ options: {
    port: { type: 'string' }, out: { type: 'string' },
    cert: { type: 'string' }, key: { type: 'string' },
    'google-pub': { type: 'string' }, 'apple-pub': { type: 'string' },
    say: { type: 'string' }, life: { type: 'string' },
} });
const google = fs.readFileSync(opt['google-pub']);
const apple = fs.readFileSync(opt['apple-pub']);
let issued = 0;
let sessions = 0;

function jwt(token, key, dsa) {
    const [h, p, s] = token.split('.');
    const good = crypto.verify('sha256', Buffer.from(`${h}.${p}`),
        dsa ? { key, dsaEncoding: 'ieee-p1363' } : key,
        Buffer.from(s, 'base64url'));
    return { good, header: JSON.parse(Buffer.from(h, 'base64url')),
        claims: JSON.parse(Buffer.from(p, 'base64url')) };
}

function said(token) {
    try {
        return JSON.parse(fs.readFileSync(opt.say, 'utf8'))[token];
    } catch {
        return undefined;
    }
}

function grant(body) {
    const form = new URLSearchParams(body);
    const t = jwt(form.get('assertion'), google);
    if (!t.good
        || form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
    {
        return [400, { error: 'invalid_grant' }, { jwt: t }];
    }
    issued++;
    return [200, { access_token: `ya29.${issued}`, token_type: 'Bearer',
        expires_in: Number(opt.life || 3600) }, { jwt: t }];
}

function fcm(h, body) {
    const message = JSON.parse(body).message;
    const say = said(message.token);
    const bad = said('access') === h.authorization;
    if (bad || !/^Bearer ya29\./.test(h.authorization)) {
        return [401, { error: { code: 401, status: 'UNAUTHENTICATED' } },
            { message }];
    }
    if (say) {
        return [say.status, { error: { code: say.status, status: 'X',
            details: [{ errorCode: say.reason }] } }, { message },
            say.retry_after];
    }
    return [200, { name: 'projects/p/messages/1' }, { message }];
}

function apns(h, path, body) {
    const token = path.slice('/3/device/'.length);
    const t = jwt(h.authorization.replace(/^bearer /, ''), apple, true);
    const say = said(token);
    if (!t.good) {
        return [403, { reason: 'InvalidProviderToken' }, { token }];
    }
    if (say) {
        return [say.status, { reason: say.reason, timestamp: say.timestamp },
            { token, jwt: t }, say.retry_after];
    }
    return [200, null, { token, jwt: t, payload: JSON.parse(body) }];
}

const held = [];

function together(status, reply) {
    held.push(reply);
    if (status !== 200 || held.length >= Number(said('together') || 1)) {
        (status === 200 ? held.splice(0) : [held.pop()]).forEach((r) => r());
    }
}

function answer(stream, headers, body) {
    const path = headers[':path'];
    const plain = Object.fromEntries(Object.entries(headers));
    const [status, json, more, after] = path === '/token' ? grant(body)
        : path.startsWith('/3/device/') ? apns(plain, path, body)
        : fcm(plain, body);
    fs.appendFileSync(opt.out, JSON.stringify({ path, headers: plain, status,
        session: stream.session.number, ...more }) + '\n');
    const reply = () => {
        stream.respond({ ':status': status, 'content-type': 'application/json',
            ...(after ? { 'retry-after': String(after) } : {}) });
        stream.end(json ? JSON.stringify(json) : '');
    };
    if (path === '/token') {
        reply();
    } else {
        together(status, reply);
    }
}

const server = http2.createSecureServer({ cert: fs.readFileSync(opt.cert),
    key: fs.readFileSync(opt.key) });
server.on('session', (session) => { session.number = ++sessions; });
server.on('stream', (stream, headers) => {
    const parts = [];
    stream.on('data', (d) => parts.push(d));
    stream.on('error', () => {});
    stream.on('end', () => {
        try {
            answer(stream, headers, Buffer.concat(parts).toString());
        } catch (e) {
            console.error(e);
            stream.respond({ ':status': 400 });
            stream.end();
        }
    });
});
server.listen(Number(opt.port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
