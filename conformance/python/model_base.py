"""What the parts of the model share: arguments, counts, and workers that report violations."""
import sys
import threading
import time

import rados

POOL, SEED = sys.argv[1], int(sys.argv[2])
POOLED = sys.argv[3] if len(sys.argv) > 3 else None  # a pool for snapshots of pools
stop = threading.Event()
lock = threading.Lock()
total = dict.fromkeys('writes reads refused copies snapshots rollbacks removed listed notifies '
                      'acks timeouts images clones'.split(), 0)
total.update(longest=0.0, slow=[], violations=[])


class Violation(Exception):
    pass


def count(what, n=1):
    with lock:
        total[what] += n


def answered(since, pool, name):
    """Notes how long a request took that was sent at a time of the monotonic clock."""
    took, now = time.monotonic() - since, time.time()
    with lock:
        total['longest'] = max(total['longest'], took)
        if took > 2 and len(total['slow']) < 10000:
            total['slow'].append({'from': now - took, 'to': now, 'pool': pool, 'object': name})


def client():
    c = rados.Rados(conffile='')
    c.connect(timeout=60)
    return c


class Worker(threading.Thread):
    """Works until stop is set, then looks at everything once more. An error of the cluster's that
    it does not foresee is a violation as well."""
    doing = ''

    def run(self):
        try:
            self.prepare()
            while not stop.is_set():
                self.work()
            self.end()
        except Violation as e:
            self.report(str(e))
        except Exception as e:
            self.report('%s %s: %r' % (type(self).__name__, self.doing, e))

    def prepare(self):
        pass

    def end(self):
        pass

    def report(self, text):
        with lock:
            total['violations'].append(time.strftime('%H:%M:%S ', time.gmtime()) + text)
        stop.set()


def brief(v):
    if isinstance(v, dict):
        return '{%s}' % ', '.join('%s: %s' % (k, brief(x)) for k, x in sorted(v.items()))
    if isinstance(v, bytes):
        return '%d bytes %s…' % (len(v), v[:16].hex())
    return repr(v)
