// An OTLP/HTTP collector that writes what it gets: one JSON line per span.
//
//     node otlp-receiver.js --port N --out FILE [--fail-file FILE]
//         [--host ADDRESS]
//
// POST /v1/traces in protobuf or JSON, plain or gzip.  Ids are hex, times are
// unix nanoseconds as strings, attributes plain objects; each line carries its
// resource's attributes.  A span with an id that is not one, or without name,
// is refused with 400 as a strict collector would.  While the fail file exists
// the answer is the status that is its first word (default 503).
'use strict';

const fs = require('fs');
const http = require('http');
const zlib = require('zlib');
const path = require('path');
const { parseArgs } = require('util');

// The package does not export its generated codec; its file is stable.
const root = require(path.join(path.dirname(
    require.resolve('@opentelemetry/otlp-transformer')),
    'generated', 'root.js'));
const trace = root.opentelemetry.proto.collector.trace.v1;

const { values: opt } = parseArgs({ options: {
    port: { type: 'string' }, out: { type: 'string' },
    'fail-file': { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
} });

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer',
    'consumer'];
const STATUS = ['unset', 'ok', 'error'];

function hex(bytes) {
    return typeof bytes === 'string' ? bytes.toLowerCase()
        : Buffer.from(bytes || []).toString('hex');
}

function plain(value) {
    if (!value) {
        return null;
    }
    if (value.arrayValue) {
        return (value.arrayValue.values || []).map(plain);
    }
    if (value.kvlistValue) {
        return attributes(value.kvlistValue.values);
    }
    if (value.bytesValue) {
        return hex(value.bytesValue);
    }
    if (value.intValue !== undefined && value.intValue !== null) {
        return Number(value.intValue);
    }
    return value.stringValue ?? value.boolValue ?? value.doubleValue ?? null;
}

function attributes(list) {
    return Object.fromEntries((list || []).map((kv) =>
        [kv.key, plain(kv.value)]));
}

function refuse(why) {
    const err = new Error(why);
    err.status = 400;
    throw err;
}

function spanLine(span, scope, resource) {
    const line = {
        trace_id: hex(span.traceId),
        span_id: hex(span.spanId),
        parent_span_id: hex(span.parentSpanId),
        name: span.name || '',
        kind: KINDS[span.kind || 0] ?? String(span.kind),
        start: String(span.startTimeUnixNano ?? 0),
        end: String(span.endTimeUnixNano ?? 0),
        status: STATUS[span.status?.code || 0] ?? String(span.status.code),
        status_message: span.status?.message || '',
        trace_state: span.traceState || '',
        flags: span.flags || 0,
        attributes: attributes(span.attributes),
        links: (span.links || []).map((l) => ({ trace_id: hex(l.traceId),
            span_id: hex(l.spanId), attributes: attributes(l.attributes) })),
        events: (span.events || []).map((e) => ({ name: e.name,
            time: String(e.timeUnixNano ?? 0),
            attributes: attributes(e.attributes) })),
        scope: scope?.name || '',
        resource,
    };
    if (!/^(?!0{32})[0-9a-f]{32}$/.test(line.trace_id)) {
        refuse(`trace id "${line.trace_id}"`);
    }
    if (!/^(?!0{16})[0-9a-f]{16}$/.test(line.span_id)) {
        refuse(`span id "${line.span_id}"`);
    }
    if (!/^([0-9a-f]{16})?$/.test(line.parent_span_id)) {
        refuse(`parent span id "${line.parent_span_id}"`);
    }
    if (!line.name) {
        refuse(`span ${line.span_id} has no name`);
    }
    if (BigInt(line.end) < BigInt(line.start)) {
        refuse(`span ${line.span_id} ends before it starts`);
    }
    return line;
}

function spanLines(request) {
    return (request.resourceSpans || []).flatMap((rs) => {
        const resource = attributes(rs.resource?.attributes);
        return (rs.scopeSpans || []).flatMap((ss) => (ss.spans || [])
            .map((span) => spanLine(span, ss.scope, resource)));
    });
}

// The generated codec skips fields it does not know; bytes that are not a
// message at all make it throw, and that is the sender's fault.
function decode(type, body) {
    if (type.startsWith('application/json')) {
        return JSON.parse(body.toString('utf8'));
    }
    if (!type.startsWith('application/x-protobuf')) {
        const err = new Error(`content type "${type}"`);
        err.status = 415;
        throw err;
    }
    const T = trace.ExportTraceServiceRequest;
    return T.toObject(T.decode(body), { longs: String });
}

function failStatus() {
    if (!opt['fail-file'] || !fs.existsSync(opt['fail-file'])) {
        return 0;
    }
    return Number.parseInt(fs.readFileSync(opt['fail-file'], 'utf8'), 10) || 503;
}

function handle(req, res, body) {
    const type = req.headers['content-type'] || '';
    const fail = failStatus();
    if (fail) {
        res.writeHead(fail, { 'Retry-After': '1' }).end();
        return;
    }
    if (req.method !== 'POST' || req.url !== '/v1/traces') {
        res.writeHead(req.method === 'POST' ? 404 : 405).end();
        return;
    }
    try {
        if (req.headers['content-encoding'] === 'gzip') {
            body = zlib.gunzipSync(body);
        }
        const lines = spanLines(decode(type, body));
        fs.appendFileSync(opt.out, lines.map((l) => JSON.stringify(l) + '\n')
            .join(''));
    } catch (e) {
        console.error(`otlp-receiver: refused: ${e.message}`);
        res.writeHead(e.status || 400).end(e.message);
        return;
    }
    const json = type.startsWith('application/json');
    res.writeHead(200, { 'Content-Type': json ? 'application/json'
        : 'application/x-protobuf' }).end(json ? '{}' : '');
}

const server = http.createServer((req, res) => {
    const parts = [];
    req.on('data', (d) => parts.push(d));
    req.on('end', () => handle(req, res, Buffer.concat(parts)));
});
server.keepAliveTimeout = 60000;
server.on('error', (e) => {
    console.error('otlp-receiver: ' + e.message);
    process.exit(1);
});
server.listen(Number(opt.port), opt.host);

for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => process.exit(0));
}
