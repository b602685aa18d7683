// Stands between the edge and PostgreSQL as a pooler does: takes TLS by
// PostgreSQL's own handshake, asks the server behind a unix socket in plain,
// and gathers what it answers into records as large as TLS has (16 KB), where
// PostgreSQL itself sends 8 KB at most.
//   node tls-pooler.js PORT SOCKET CERTIFICATE KEY
const [port, socket, cert, key] = process.argv.slice(2);
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const context = tls.createSecureContext({
    cert: fs.readFileSync(cert), key: fs.readFileSync(key),
});

net.createServer((raw) => {
    raw.on('error', () => raw.destroy());
    raw.once('data', (first) => {
        // SSLRequest: length 8, code 80877103
        if (first.length !== 8 || first.readUInt32BE(4) !== 80877103) {
            raw.destroy();
            return;
        }
        raw.pause();
        raw.write('S');
        const client = new tls.TLSSocket(raw, {
            isServer: true, secureContext: context,
        });
        const server = net.connect(socket);
        let held = [];
        server.on('data', (data) => {
            if (held.push(data) === 1) {
                setTimeout(() => { client.write(Buffer.concat(held)); held = []; }, 3);
            }
        });
        client.on('data', (data) => server.write(data));
        for (const [a, b] of [[client, server], [server, client]]) {
            a.on('error', () => b.destroy());
            a.on('close', () => b.destroy());
        }
    });
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
