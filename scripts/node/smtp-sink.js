// A real SMTP server that delivers to a file: one JSON line per message.
//
//     node smtp-sink.js --port N --out FILE [--fail-file FILE]
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
    'fail-file': { type: 'string' },
} });

function failure() {
    if (!opt['fail-file'] || !fs.existsSync(opt['fail-file'])) {
        return null;
    }
    const code = Number.parseInt(fs.readFileSync(opt['fail-file'], 'utf8'), 10);
    const err = new Error('refused for a test');
    err.responseCode = code || 451;
    return err;
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
        envelope: { from: session.envelope.mailFrom.address,
            to: session.envelope.rcptTo.map((r) => r.address) },
        from: addresses(mail.from)[0] ?? null,
        to: addresses(mail.to),
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

const server = new SMTPServer({
    authOptional: true,
    hideSTARTTLS: false,
    logger: false,
    disableReverseLookup: true,
    onAuth(auth, session, done) {
        done(null, { user: auth.username });
    },
    onData(stream, session, done) {
        simpleParser(stream).then((mail) => {
            const err = failure();
            if (err) {
                done(err);
                return;
            }
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
server.listen(Number(opt.port), '127.0.0.1');

for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => process.exit(0));
}
