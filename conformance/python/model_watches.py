"""Objects that are watched: every notify is acknowledged by all who watch, or says who did not."""
import errno
import os
import random

from model_base import POOL, SEED, Violation, Worker, client, count, stop

WATCHERS, OBJECTS, PIPELINE = 4, 3, 4
# A watch is over when nothing is heard of its client for so long: a client that lives loses none.
TIMEOUT, PATIENCE = 60, 10


class Watcher:
    def __init__(self, name, number, c):
        self.name, self.number, self.lost, self.got = name, number, None, set()
        self.io = c.open_ioctx(POOL)
        self.watch = self.io.watch(name, self.heard, self.fail, TIMEOUT)
        self.key = c.get_instance_id(), self.watch.get_id()

    def heard(self, notify, notifier, watch, data):
        self.got.add(data)

    def fail(self, watch, error):
        self.lost = error

    def close(self):
        self.watch.close()
        self.io.close()


class Watched(Worker):
    def __init__(self, number):
        super().__init__()
        self.random = random.Random(SEED * 1000 + number)
        self.clients = [client() for _ in range(3)]
        self.ios = [c.open_ioctx(POOL) for c in self.clients]
        self.names = ['watched.%d.%d.%d' % (os.getpid(), number, i) for i in range(OBJECTS)]
        self.held, self.watchers, self.sent = {}, {n: [] for n in self.names}, 0

    def prepare(self):
        for name in self.names:
            self.write(name)
            self.watch(name)
        self.notify(self.names[0])

    def write(self, name):
        """Whoever watches an object goes on doing so when it is written."""
        self.held[name] = self.random.randbytes(self.random.randrange(1, 5000))
        self.ios[0].write_full(name, self.held[name])
        count('writes')

    def watch(self, name):
        c = self.random.choice(self.clients)
        self.watchers[name].append(Watcher(name, self.sent, c))

    def notify(self, name, patience=PATIENCE):
        """Sends some at a time and looks who has heard of them."""
        under_way = []
        for _ in range(self.random.randrange(1, PIPELINE)):
            self.sent += 1
            text, got = '%s notify %d' % (name, self.sent), []
            done = self.random.choice(self.ios).aio_notify(
                name, lambda *a, got=got: got.extend(a[1:]), text, patience * 1000)
            under_way.append((text, done, got))
        for text, done, got in under_way:
            done.wait_for_complete_and_cb()
            self.check(name, text, patience, *got)

    def check(self, name, text, patience, result, acks, timeouts):
        if result == -errno.ETIMEDOUT and patience == PATIENCE:
            count('timeouts')  # of whom, python3-rados does not tell
            return
        if result:
            raise Violation('%s: %d' % (text, result))
        acked = {(c, cookie) for c, cookie, _ in acks}
        late = {(c, cookie) for c, cookie in timeouts}
        if late:
            raise Violation('%s: done, and %d did not acknowledge' % (text, len(late)))
        for w in self.watchers[name]:
            if w.lost is not None:
                raise Violation('%s: a watch is lost: %r' % (text, w.lost))
            if w.key in acked and text.encode() not in w.got:
                raise Violation('%s: acknowledged for %s, who has not heard it' % (text, w.key))
            if w.key not in acked:
                raise Violation('%s: %s watches and is not there: %s, %s' % (text, w.key, acks,
                                                                             timeouts))
            w.got.discard(text.encode())
        strange = acked - {w.key for w in self.watchers[name]}
        if strange:
            raise Violation('%s: %s do not watch' % (text, strange))
        count('notifies')
        count('acks', len(acked))

    def work(self):
        self.doing = name = self.random.choice(self.names)
        list_, r = self.watchers[name], self.random.random()
        if r < 0.15 and len(list_) < WATCHERS:
            self.watch(name)
        elif r < 0.25 and len(list_) > 1:
            list_.pop(self.random.randrange(len(list_))).close()
        elif r < 0.4:
            self.write(name)
        elif r < 0.5:
            if self.random.choice(self.ios).read(name) != self.held[name]:
                raise Violation('%s holds something else' % name)
            count('reads')
        else:
            self.notify(name)
        stop.wait(self.random.random() / 5)

    def end(self):
        for self.doing in self.names:
            self.notify(self.doing, patience=60)
            for w in self.watchers[self.doing]:
                w.close()
            self.ios[0].remove_object(self.doing)
