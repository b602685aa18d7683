// An issuer that publishes keys, and does as it is told: for t/10-edge.
//   issuer.js DIR PORT
// HTTP on PORT, HTTPS on PORT+1 (DIR/issuer.key, issuer.crt), DNS on UDP PORT:
// every name is 127.0.0.1.  What a path answers is DIR/issuer.json, read each
// time: {"/path": {status, headers, body, delay, cut, hang}}.  Each request is
// a line of DIR/issuer.log; DIR/issuer.up says that it listens.
'use strict';
const fs = require('fs'), http = require('http'), https = require('https');
const dgram = require('dgram');
const [dir, port] = [process.argv[2], Number(process.argv[3])];

function handle(tls, req, res) {
    const all = JSON.parse(fs.readFileSync(`${dir}/issuer.json`));
    const does = all[req.url.split('?')[0]] || { status: 404 };
    fs.appendFileSync(`${dir}/issuer.log`, JSON.stringify({ at: Date.now(),
        tls, url: req.url, method: req.method, headers: req.headers }) + '\n');
    if (does.hang) return;
    const answer = () => {
        const headers = Object.assign({}, does.headers);
        if (headers.etag && req.headers['if-none-match'] === headers.etag) {
            res.writeHead(304, headers);
            return res.end();
        }
        res.writeHead(does.status || 200, headers);
        if (does.cut) {                     // half of it, and the line is cut
            const half = does.body.slice(0, does.body.length / 2);
            return res.write(half, () => req.socket.destroy());
        }
        res.end(does.body || '');
    };
    setTimeout(answer, does.delay || 0);
}

const dns = dgram.createSocket('udp4');
dns.on('message', (q, from) => {
    let end = 12;
    while (q[end]) end += q[end] + 1;
    const a = q.readUInt16BE(end + 1) === 1;
    const head = Buffer.from(q.subarray(0, end + 5));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(a ? 1 : 0, 6);
    head.writeUInt32BE(0, 8);
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4,
        127, 0, 0, 1]);
    fs.appendFileSync(`${dir}/issuer.log`, JSON.stringify({ dns: true }) + '\n');
    dns.send(a ? Buffer.concat([head, answer]) : head, from.port, from.address);
});

const ready = [
    new Promise((ok) => http.createServer((q, s) => handle(false, q, s))
        .listen(port, '127.0.0.1', ok)),
    new Promise((ok) => https.createServer({
        key: fs.readFileSync(`${dir}/issuer.key`),
        cert: fs.readFileSync(`${dir}/issuer.crt`),
    }, (q, s) => handle(true, q, s)).listen(port + 1, '127.0.0.1', ok)),
    new Promise((ok) => dns.bind(port, '127.0.0.1', ok)),
];
Promise.all(ready).then(() => fs.writeFileSync(`${dir}/issuer.up`, ''));
