// No-op jobs as they are done with BullMQ: one process, jobs added beforehand,
// what became of each is kept.  "bullmq.js add N", then "bullmq.js work".
const { Queue, Worker } = require('bullmq');

const connection = {
    path: process.env.PEER_QUEUE,
    username: 'admin',
    password: process.env.PEER_PASSWORD,
    maxRetriesPerRequest: null,
};

async function add(n) {
    const queue = new Queue('noop', { connection });
    for (let i = 0; i < n; i += 1000) {
        await queue.addBulk(Array.from({ length: Math.min(1000, n - i) },
            () => ({ name: 'noop', data: {} })));
    }
    await queue.close();
}

function work() {
    new Worker('noop', async () => null, { connection, concurrency: 200 });
}

if (process.argv[2] === 'add') {
    add(Number(process.argv[3]));
} else {
    work();
}
