"""No-op jobs as they are done with Celery (Debian's package), Redis being both
broker and result store.

Measured beside ours: one process (pool solo, no acknowledgement each, prefetch
1000), messages put into the queue beforehand, the state of every task written.
"""

import os
import sys
import uuid

from celery import Celery

url = "redis+socket://admin:{}@{}".format(
    os.environ["PEER_PASSWORD"], os.environ["PEER_QUEUE"])
app = Celery("celery_app", broker=url, backend=url)
app.conf.update(worker_prefetch_multiplier=1000, task_acks_late=False,
                worker_send_task_events=False, result_expires=3600,
                broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop():
    return None


if __name__ == "__main__":
    with app.connection_for_write() as connection, app.amqp.producer_pool.acquire() as producer:
        for _ in range(int(sys.argv[1])):
            noop.apply_async(producer=producer, task_id=str(uuid.uuid4()))
