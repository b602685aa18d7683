// A real SMTP server that delivers to a file: one JSON line per message.
//
//     node smtp-sink.js --port N --out FILE [--fail-file FILE]
//         [--cert FILE --key FILE] [--implicit] [--user NAME --password WORD]
//         [--together N] [--ends-file FILE] [--host ADDRESS]
//
// --implicit speaks TLS from the first byte; otherwise STARTTLS is offered.
// With a user nobody else may send.  A recipient's address says when it is to
// be refused, and how: 550-5.1.1-ann@... is "550 5.1.1 ..."; 550-5.1.1-odd@...
// in many letters that are not ASCII.
//
// With --together N no message is answered after DATA until N wait for it; of
// those only the session and the envelope are written down.
//
// The ends file says how a session that has brought a mail already ends when it
// brings another: at "mail", "rcpt", "data" or in the "text", closed without a
// word, or after the reply of its second word.  That once; the file is gone then.
//
// While the fail file exists every message is refused after DATA: with the
// reply code that is its first word (default 451, try again later).
'use strict';

const fs = require('fs');
const { parseArgs } = require('util');
const { SMTPServer } = require('smtp-server');
const { simpleParser } = require('mailparser');

const { values: opt } = parseArgs({ options: {
    port: { type: 'string' }, out: { type: 'string' },
    'fail-file': { type: 'string' }, cert: { type: 'string' },
    key: { type: 'string' }, implicit: { type: 'boolean' },
    user: { type: 'string' }, password: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    together: { type: 'string' }, 'ends-file': { type: 'string' },
} });

function refusal(code, message) {
    const err = new Error(message);
    err.responseCode = code;
    return err;
}

function failure() {
    if (!opt['fail-file'] || !fs.existsSync(opt['fail-file'])) {
        return null;
    }
    const code = Number.parseInt(fs.readFileSync(opt['fail-file'], 'utf8'), 10);
    return refusal(code || 451, 'refused for a test');
}

function addresses(field) {
    return field ? [].concat(field).flatMap((f) => f.value)
        .map((v) => v.address) : [];
}

function record(mail, session) {
    const headers = {};
    for (const [name, value] of mail.headers) {
        if (typeof value === 'string' && (name.startsWith('x-') ||
                name === 'traceparent')) {
            headers[name] = value;
        }
    }
    return {
        received_at: new Date().toISOString(),
        session: session.id,
        secure: session.secure,
        user: session.user || null,
        envelope: { from: session.envelope.mailFrom.address,
            to: session.envelope.rcptTo.map((r) => r.address) },
        from: addresses(mail.from)[0] ?? null,
        to: addresses(mail.to),      // domains decoded; and as it came
        toLine: mail.headerLines?.find((h) => h.key === 'to')?.line ?? null,
        subject: mail.subject ?? null,
        messageId: mail.messageId ?? null,
        date: mail.date ?? null,
        traceparent: headers.traceparent ?? headers['x-traceparent'] ?? null,
        headers,
        text: mail.text ?? null,
        html: mail.html || null,
        attachments: mail.attachments.map((a) => ({ filename: a.filename ?? null,
            contentType: a.contentType, size: a.size })),
    };
}

const brought = new Set();           // sessions, by id

// The code to end it with; undefined: it does not end there.
function due(at, session) {
    const file = opt['ends-file'];
    if (!file || !brought.has(session.id) || !fs.existsSync(file)) {
        return undefined;
    }
    const [where, code] = fs.readFileSync(file, 'utf8').trim().split(' ');
    return where === at ? Number(code || 0) : undefined;
}

// True: the session is no more.
function ends(at, session) {
    const code = due(at, session);
    if (code === undefined) {
        return false;
    }
    fs.unlinkSync(opt['ends-file']);
    for (const connection of server.connections) {
        if (connection.session.id !== session.id) {
            continue;
        }
        if (code) {
            connection.send(code, '4.4.2 enough');
            connection.close();
        } else {
            connection._socket.destroy();
        }
    }
    return true;
}

const held = [];

function answer(done) {
    held.push(done);
    if (held.length >= Number(opt.together || 1)) {
        held.splice(0).forEach((d) => d());
    }
}

const server = new SMTPServer({
    authOptional: !opt.user,
    secure: Boolean(opt.implicit),
    hideSTARTTLS: false,
    logger: false,
    disableReverseLookup: true,
    ...(opt.cert ? { cert: fs.readFileSync(opt.cert),
        key: fs.readFileSync(opt.key) } : {}),
    onAuth(auth, session, done) {
        if (opt.user && (auth.username !== opt.user
            || auth.password !== opt.password))
        {
            done(refusal(535, '5.7.8 not you'));
            return;
        }
        done(null, { user: auth.username });
    },
    onMailFrom(address, session, done) {
        if (!ends('mail', session)) {
            done();
        }
    },
    onRcptTo(address, session, done) {
        if (ends('rcpt', session)) {
            return;
        }
        const said = /^(\d{3})-(\d\.\d+\.\d+)-(odd)?/.exec(address.address);
        const words = said?.[3] ? `n${'\u00e9'.repeat(99)}` : 'as you wish';
        done(said ? refusal(Number(said[1]), `${said[2]} ${words}`) : null);
    },
    onData(stream, session, done) {
        if (ends('data', session)) {
            return;
        }
        if (due('text', session) !== undefined) {
            stream.once('data', () => ends('text', session));
            return;
        }
        if (opt.together) {
            stream.resume().on('end', () => {
                fs.appendFileSync(opt.out, JSON.stringify({ session: session.id,
                    envelope: session.envelope }) + '\n');
                answer(done);
            });
            return;
        }
        simpleParser(stream).then((mail) => {
            const err = failure();
            if (err) {
                done(err);
                return;
            }
            brought.add(session.id);
            fs.appendFileSync(opt.out, JSON.stringify(record(mail, session))
                + '\n');
            done();
        }, done);
    },
});

server.on('error', (e) => {
    console.error('smtp-sink: ' + e.message);
    if (e.code === 'EADDRINUSE' || e.code === 'EACCES') {
        process.exit(1);
    }
});
server.listen(Number(opt.port), opt.host);

for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => process.exit(0));
}
