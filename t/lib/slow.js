// An HTTP server that takes its time: GET /MS answers after so many
// milliseconds, GET /MS/STATUS with that status.  Tells on standard output how
// many requests were open at once at most, when it is asked to end.
//   node slow.js PORT
'use strict';
const http = require('http');

let open = 0, most = 0;
const server = http.createServer((req, res) => {
    const [ms, status] = req.url.slice(1).split('/').map(Number);
    most = Math.max(most, ++open);
    res.on('close', () => { open--; });
    setTimeout(() => {
        res.writeHead(status || 200, { 'Content-Type': 'text/plain' });
        res.end('slept ' + ms);
    }, ms || 0);
});
server.keepAliveTimeout = 30000;
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1',
    backlog: 4096 }, () => console.log('up'));
process.on('SIGTERM', () => { console.log('most ' + most); process.exit(0); });
