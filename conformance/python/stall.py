"""Writes and reads a few objects all the time, with a stop-watch on each request.

Argument: pool. For each line of standard input it answers with one of JSON, after every worker has
ended a request that began after the line: the requests since the last line, the longest of them in
seconds, and what that was."""
import json
import sys
import threading
import time

import rados

POOL, OBJECTS = sys.argv[1], 8
lock = threading.Lock()
seen = {'requests': 0, 'longest': 0.0, 'what': ''}
begun = [0.0] * OBJECTS  # when each worker began the last request that has ended


def timed(worker, what, request, *args):
    since = time.monotonic()
    result = request(*args)
    took = time.monotonic() - since
    with lock:
        begun[worker] = since
        seen['requests'] += 1
        if took > seen['longest']:
            seen.update(longest=took, what=what)
    return result


def work(worker):
    cluster = rados.Rados(conffile='')
    cluster.connect(timeout=60)
    io, name, n = cluster.open_ioctx(POOL), 'stall.%d' % worker, 0
    while True:
        n += 1
        data = b'%s %d ' % (name.encode(), n) * 200
        timed(worker, 'write of ' + name, io.write_full, name, data)
        if timed(worker, 'read of ' + name, io.read, name, len(data) + 1) != data:
            print('%s holds something else than its write %d' % (name, n), flush=True)
            return


def run(worker):
    try:
        work(worker)
    except Exception as e:
        print('worker %d: %r' % (worker, e), flush=True)


for w in range(OBJECTS):
    threading.Thread(target=run, args=(w,), daemon=True).start()
for _ in sys.stdin:
    now = time.monotonic()
    while min(begun) < now:
        time.sleep(0.002)
    with lock:
        print(json.dumps(seen), flush=True)
        seen.update(requests=0, longest=0.0, what='')
