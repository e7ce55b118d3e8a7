"""Watches, notifies, locks and methods of classes."""
import ctypes as C
import struct
import threading
import time

from .case import case
from .calls import Completion
from .librados import INT, P, RETURNVEC, SIZE, U64, word, x

ON_NOTIFY = C.CFUNCTYPE(None, P, U64, U64, U64, P, SIZE)
ON_ERROR = C.CFUNCTYPE(None, P, U64, INT)


class Watch:
    """A watch. It answers each notify with reply, None for none at all."""

    def __init__(self, t, io=None, reply=b'', seconds=None, start='watch3', oid=None):
        self.io, self.oid, self.reply = io or t.io, oid or t.oid, reply
        self.heard, self.errors, self.cookie, self.froms = [], [], U64(), []

        def on(_, notify, cookie, notifier, data, n):
            self.heard.append(C.string_at(data, n) if n else b'')
            self.froms.append(notifier)
            if self.reply is not None:
                x('notify_ack', self.io.h, self.oid, notify, cookie, self.reply, len(self.reply))
        self.keep = ON_NOTIFY(on), ON_ERROR(lambda _, c, e: self.errors.append(word(e)))
        if start == 'aio':
            c = Completion()
            x('aio_watch2', self.io.h, self.oid, c.h, C.byref(self.cookie), *self.keep,
              seconds or 0, None)
            self.r = c.wait()
        else:
            self.r = word(x('watch3', self.io.h, self.oid, C.byref(self.cookie), *self.keep,
                            seconds or 0, None))
        self.on = self.r == 0
        t.undo.append(self.close)

    def check(self):
        """Milliseconds since it was last confirmed, or an errno."""
        return word(x('watch_check', self.io.h, self.cookie))

    def close(self):
        if self.on:
            self.on = False
            return word(x('unwatch2', self.io.h, self.cookie))
        return None


class Ack(C.Structure):
    _fields_ = [('notifier', U64), ('cookie', U64), ('payload', P), ('n', U64)]


class Silent(C.Structure):
    _fields_ = [('notifier', U64), ('cookie', U64)]


def notify(t, data=b'', ms=5000, io=None, oid=None, asynchronous=False):
    """(result, sorted replies, how many did not answer)."""
    out, n = P(), SIZE()
    if asynchronous:
        c = Completion()
        x('aio_notify', (io or t.io).h, oid or t.oid, c.h, data, len(data), ms, C.byref(out),
          C.byref(n))
        r = c.wait()
    else:
        r = word(x('notify2', (io or t.io).h, oid or t.oid, data, len(data), ms, C.byref(out),
                   C.byref(n)))
    acks, na, silent, ns = P(), SIZE(), P(), SIZE()
    if not out.value:
        return r, [], 0
    t.ok(x('decode_notify_response', out, n, C.byref(acks), C.byref(na), C.byref(silent),
           C.byref(ns)))
    got = C.cast(acks, C.POINTER(Ack))
    replies = sorted(C.string_at(got[i].payload, got[i].n) if got[i].n else b''
                     for i in range(na.value))
    x('free_notify_response', acks, na, silent)
    x('buffer_free', out)
    return r, replies, ns.value


# ---- watches -------------------------------------------------------------------------------------
@case('watch/notify')
def _(t):
    t.make(b'')
    w = Watch(t)
    t.ok(w.r)
    t.eq(notify(t, b'first'), (0, [b''], 0))
    t.eq(notify(t, b''), (0, [b''], 0))
    t.eq(w.heard, [b'first', b''])
    t.eq(set(w.froms), {x('get_instance_id', t.cluster.h)})
    t.ok(w.close())
    t.eq(notify(t, b'nobody'), (0, [], 0))
    t.eq(len(w.heard), 2)


@case('watch/missing object')
def _(t):
    t.eq(Watch(t).r, 'ENOENT')
    t.eq(notify(t)[0], 'ENOENT')


@case('watch/replies of several')
def _(t):
    t.make(b'')
    ws = [Watch(t, reply=b'reply %d' % i) for i in range(5)]
    t.eq(notify(t, b'all'), (0, [b'reply %d' % i for i in range(5)], 0))
    t.eq([w.heard for w in ws], [[b'all']] * 5)


@case('watch/several clients')
def _(t):
    t.make(b'')
    ws = [Watch(t, t.another(cluster=t.connect()), reply=b'%d' % i) for i in range(3)]
    t.eq([w.r for w in ws], [0] * 3)
    t.eq(notify(t, b'all'), (0, [b'0', b'1', b'2'], 0))
    watchers = t.do(('list_watchers',))
    t.eq(sorted(w[0] for w in watchers),
         sorted(x('get_instance_id', w.io.cluster.h) for w in ws))


@case('watch/one does not answer')
def _(t):
    t.make(b'')
    quick, slow = Watch(t, reply=b'here'), Watch(t, reply=None)
    began = time.monotonic()
    t.eq(notify(t, b'x', 1500), ('ETIMEDOUT', [b'here'], 1))
    t.true(1 < time.monotonic() - began < 8, 'took %.1f s' % (time.monotonic() - began))
    t.eq((quick.heard, slow.heard), ([b'x'], [b'x']))


@case('watch/one leaves while it is asked')
def _(t):
    t.make(b'')
    Watch(t, reply=b'here')
    leaves = Watch(t, t.another(cluster=t.connect()), reply=None)
    got = []
    th = threading.Thread(target=lambda: got.append(notify(t, b'x', 20000)))
    th.start()
    t.until(lambda: leaves.heard, 'the watcher hears')
    t.ok(leaves.close())
    th.join(10)
    t.true(got and got[0][:2] == (0, [b'here']), got)


@case('watch/large payloads')
def _(t):
    t.make(b'')
    w = Watch(t, reply=b'r' * 100000)
    t.eq(notify(t, b'p' * 100000), (0, [b'r' * 100000], 0))
    t.eq(w.heard, [b'p' * 100000])


@case('watch/asynchronous')
def _(t):
    t.make(b'')
    w = Watch(t, start='aio', reply=b'a')
    t.ok(w.r)
    t.eq(notify(t, b'x', asynchronous=True), (0, [b'a'], 0))
    c = Completion()
    t.ok(x('aio_unwatch', t.io.h, w.cookie, c.h))
    t.ok(c.wait())
    w.on = False
    t.eq(notify(t, b'y', asynchronous=True), (0, [], 0))
    t.eq(w.heard, [b'x'])
    t.eq(Watch(t, start='aio', oid=t.oid + '-missing').r, 'ENOENT')


@case('watch/asynchronous notify of a missing object')
def _(t):
    t.eq(notify(t, b'x', asynchronous=True)[0], 'ENOENT')


@case('watch/check')
def _(t):
    t.make(b'')
    w = Watch(t)
    t.true(0 <= w.check() < 60000, w.check())
    t.ok(w.close())


@case('watch/listed')
def _(t):
    t.make(b'')
    t.eq(t.do(('list_watchers',)), [])
    w = Watch(t, seconds=17)
    t.eq([(a, s) for a, _, s in t.do(('list_watchers',))],
         [(x('get_instance_id', t.cluster.h), 17)])
    t.ok(w.close())
    t.eq(t.do(('list_watchers',)), [])


@case('watch/default timeout')
def _(t):
    t.make(b'')
    Watch(t)
    t.eq([s for _, _, s in t.do(('list_watchers',))], [30])


@case('watch/list of a missing object')
def _(t):
    t.eq(t.do(('list_watchers',)), 'ENOENT')


@case('watch/the object is removed')
def _(t):
    t.make(b'')
    w = Watch(t)
    t.ok(t.io.remove(t.oid))
    t.until(lambda: w.errors, 'the watcher hears that the object is gone')
    t.true(w.errors[0] in ('ENOTCONN', 'ENOENT'), w.errors)
    t.true(w.check() in ('ENOTCONN', 'ENOENT'), w.check())
    t.eq(notify(t)[0], 'ENOENT')


@case('watch/survives writes')
def _(t):
    t.make(b'')
    w = Watch(t)
    for i in range(5):
        t.ok(t.do(('write_full', b'%d' % i), ('setxattr', 'a', b'1')))
    t.eq(notify(t, b'x'), (0, [b''], 0))
    t.ok(w.close())


@case('watch/does not change the version')
def _(t):
    t.make(b'a')
    v = t.io.version()
    w = Watch(t)
    t.ok(w.close())
    t.eq(t.do(('assert_version', v), ('read', 0, 1)), b'a')


@case('watch/namespaces keep apart')
def _(t):
    io = t.another()
    io.namespace('watched')
    t.make(b'')
    t.ok(io.write_full(t.oid, b'', 0))
    w = Watch(t)
    t.eq(notify(t, b'x', io=io), (0, [], 0))
    t.eq(w.heard, [])


@case('watch/two notifies at once')
def _(t):
    t.make(b'')
    w, got = Watch(t, reply=b'r'), []
    ths = [threading.Thread(target=lambda i=i: got.append(notify(t, b'%d' % i))) for i in range(8)]
    for th in ths:
        th.start()
    for th in ths:
        th.join()
    t.eq(got, [(0, [b'r'], 0)] * 8)
    t.eq(sorted(w.heard), [b'%d' % i for i in range(8)])


@case('watch/in the callback of a watch')
def _(t):
    t.make(b'')
    t.make(b'', t.oid + '-2')
    w, w2 = Watch(t, reply=None), Watch(t, oid=t.oid + '-2', reply=b'second')
    got = []
    th = threading.Thread(target=lambda: got.append(notify(t, b'x', 10000)))
    th.start()
    t.until(lambda: w.heard, 'the first hears')
    t.eq(notify(t, b'y', oid=t.oid + '-2'), (0, [b'second'], 0))
    t.ok(w.close())
    th.join(12)
    t.true(got and got[0][0] in (0, 'ETIMEDOUT'), got)
    t.eq(w2.heard, [b'y'])


@case('watch/flush')
def _(t):
    t.make(b'')
    w = Watch(t, reply=b'')
    t.ok(notify(t, b'x')[0])
    t.ok(x('watch_flush', t.cluster.h))
    t.eq(w.heard, [b'x'])
    c = Completion()
    t.ok(x('aio_watch_flush', t.cluster.h, c.h))
    t.ok(c.wait())


@case('watch/of a client that is gone', slow=True)
def _(t):
    """Its watch ends after its own timeout, and a notify does not wait longer."""
    t.make(b'')
    gone = t.suite.connect()
    w = Watch(t, t.another(cluster=gone), seconds=3)
    t.eq(len(t.do(('list_watchers',))), 1)
    w.on = False  # nobody takes it back
    t.opened.remove(w.io)
    t.undo.remove(w.close)
    gone.shutdown()
    t.until(lambda: t.do(('list_watchers',)) == [], 'the watch ends', 30)
    t.eq(notify(t, b'x'), (0, [], 0))


@case('watch/of a client that does not ping', slow=True)
def _(t):
    """It is told that its watch is over, and hears nothing more."""
    t.make(b'')
    mute = t.connect(objecter_inject_no_watch_ping='true')
    w = Watch(t, t.another(cluster=mute), seconds=3)
    t.until(lambda: w.errors, 'the watcher hears of the end', 60)
    t.eq((w.errors, w.check()), (['ENOTCONN'], 'ENOTCONN'))
    t.eq(notify(t, b'x'), (0, [], 0))
    t.eq(w.heard, [])


@case('watch/old interface')
def _(t):
    t.make(b'')
    heard, cookie = [], U64()
    cb = C.CFUNCTYPE(None, C.c_uint8, U64, P)(lambda op, ver, arg: heard.append(op))
    t.ok(x('watch', t.io.h, t.oid, 0, C.byref(cookie), cb, None))
    t.ok(x('notify', t.io.h, t.oid, 0, b'x', 1))
    t.until(lambda: heard, 'the watcher hears')
    t.ok(x('unwatch', t.io.h, t.oid, cookie))
    t.ok(x('notify', t.io.h, t.oid, 0, b'x', 1))
    t.eq(len(heard), 1)


@case('watch/unwatch what is none')
def _(t):
    t.make(b'')
    w = Watch(t)
    t.ok(w.close())
    t.eq(t.do(('list_watchers',)), [])


# ---- locks ---------------------------------------------------------------------------------------
def lock(io, oid, cookie, kind='exclusive', tag=b'', seconds=None, flags=0, name='l', desc='d'):
    when = None if seconds is None else C.byref((C.c_long * 2)(int(seconds),
                                                               int(seconds % 1 * 1000000)))
    if kind == 'exclusive':
        return word(x('lock_exclusive', io.h, oid, name, cookie, desc, when, flags))
    return word(x('lock_shared', io.h, oid, name, cookie, tag, desc, when, flags))


def lockers(io, oid, name='l', room=1000):
    """(exclusive, tag, [(client, cookie)])."""
    ex, bufs = INT(), [C.create_string_buffer(room) for _ in range(4)]
    sizes = [SIZE(room) for _ in range(4)]
    args = [a for b, n in zip(bufs, sizes) for a in (b, C.byref(n))]
    n = x('list_lockers', io.h, oid, name, C.byref(ex), *args)
    if n < 0:
        return word(n)
    lists = [b.raw[:s.value].split(b'\0')[:-1] for b, s in zip(bufs, sizes)]
    return ex.value, bufs[0].value, sorted(zip(lists[1], lists[2]))[:n]


def me(cluster):
    return b'client.%d' % x('get_instance_id', cluster.h)


@case('lock/exclusive')
def _(t):
    t.ok(lock(t.io, t.oid, 'c1'))
    t.eq(lock(t.io, t.oid, 'c1'), 'EEXIST')
    t.eq(lock(t.io, t.oid, 'c2'), 'EBUSY')
    t.eq(lock(t.io, t.oid, 'c2', 'shared'), 'EBUSY')
    t.eq(lockers(t.io, t.oid), (1, b'', [(me(t.cluster), b'c1')]))
    t.eq(t.io.unlock(t.oid, 'l', 'c2'), 'ENOENT')
    t.ok(t.io.unlock(t.oid, 'l', 'c1'))
    t.eq(t.io.unlock(t.oid, 'l', 'c1'), 'ENOENT')
    t.eq(lockers(t.io, t.oid)[2], [])
    t.ok(lock(t.io, t.oid, 'c2'))


@case('lock/shared')
def _(t):
    t.ok(lock(t.io, t.oid, 'c1', 'shared', 'tag'))
    t.ok(lock(t.io, t.oid, 'c2', 'shared', 'tag'))
    t.eq(lock(t.io, t.oid, 'c2', 'shared', 'tag'), 'EEXIST')
    t.eq(lock(t.io, t.oid, 'c3', 'shared', 'other'), 'EBUSY')
    t.eq(lock(t.io, t.oid, 'c3'), 'EBUSY')
    t.eq(lockers(t.io, t.oid), (0, b'tag', [(me(t.cluster), b'c1'), (me(t.cluster), b'c2')]))
    t.ok(t.io.unlock(t.oid, 'l', 'c1'))
    t.ok(t.io.unlock(t.oid, 'l', 'c2'))
    t.ok(lock(t.io, t.oid, 'c3'))


@case('lock/names are apart')
def _(t):
    t.ok(lock(t.io, t.oid, 'c', name='a'))
    t.ok(lock(t.io, t.oid, 'c', name='b'))
    t.eq(lockers(t.io, t.oid, 'a')[0], 1)
    t.ok(t.io.unlock(t.oid, 'a', 'c'))
    t.eq(len(lockers(t.io, t.oid, 'b')[2]), 1)


@case('lock/of two clients')
def _(t):
    io = t.another(cluster=t.connect())
    t.ok(lock(t.io, t.oid, 'c'))
    t.eq(lock(io, t.oid, 'c'), 'EBUSY')
    t.eq(io.unlock(t.oid, 'l', 'c'), 'ENOENT')
    t.ok(t.io.unlock(t.oid, 'l', 'c'))
    t.ok(lock(io, t.oid, 'c'))
    t.eq(lockers(t.io, t.oid), (1, b'', [(me(io.cluster), b'c')]))


@case('lock/break')
def _(t):
    io = t.another(cluster=t.connect())
    t.ok(lock(io, t.oid, 'c'))
    t.eq(t.io.break_lock(t.oid, 'l', me(io.cluster), 'other'), 'ENOENT')
    t.eq(t.io.break_lock(t.oid, 'l', b'client.999999', 'c'), 'ENOENT')
    t.eq(t.io.break_lock(t.oid, 'l', b'nobody', 'c'), 'EINVAL')
    t.eq(t.io.break_lock(t.oid, 'other', me(io.cluster), 'c'), 'ENOENT')
    t.ok(t.io.break_lock(t.oid, 'l', me(io.cluster), 'c'))
    t.ok(lock(t.io, t.oid, 'mine'))
    t.eq(io.unlock(t.oid, 'l', 'c'), 'ENOENT')


@case('lock/runs out')
def _(t):
    t.ok(lock(t.io, t.oid, 'c1', seconds=1))
    t.eq(lock(t.io, t.oid, 'c2'), 'EBUSY')
    t.until(lambda: lock(t.io, t.oid, 'c2') == 0, 'the lock runs out')
    t.eq(lockers(t.io, t.oid), (1, b'', [(me(t.cluster), b'c2')]))


@case('lock/renew')
def _(t):
    t.eq(lock(t.io, t.oid, 'c1', flags=2), 'ENOENT')
    t.ok(lock(t.io, t.oid, 'c1', seconds=100, flags=1))
    t.ok(lock(t.io, t.oid, 'c1', seconds=100, flags=1))
    t.ok(lock(t.io, t.oid, 'c1', seconds=100, flags=2))
    t.eq(lock(t.io, t.oid, 'c1', seconds=100, flags=3), 'EINVAL')
    t.eq(lock(t.io, t.oid, 'c1', seconds=100), 'EEXIST')


@case('lock/creates its object')
def _(t):
    t.eq(t.io.stat(t.oid), 'ENOENT')
    t.ok(lock(t.io, t.oid, 'c1'))
    t.eq(t.io.stat(t.oid)[0], 0)


@case('lock/list of a missing object')
def _(t):
    t.eq(lockers(t.io, t.oid), 'ENOENT')
    t.eq(t.io.unlock(t.oid, 'l', 'c'), 'ENOENT')
    t.eq(t.io.break_lock(t.oid, 'l', me(t.cluster), 'c'), 'ENOENT')


@case('lock/list with too little room')
def _(t):
    t.ok(lock(t.io, t.oid, 'cookie'))
    t.eq(lockers(t.io, t.oid, room=2), 'ERANGE')


@case('lock/without a name')
def _(t):
    t.eq(lock(t.io, t.oid, 'c', name=''), 'EINVAL')


@case('lock/asynchronous unlock')
def _(t):
    t.ok(lock(t.io, t.oid, 'c'))
    for want in (0, 'ENOENT'):
        c = Completion()
        t.ok(x('aio_unlock', t.io.h, t.oid, 'l', 'c', c.h))
        t.eq(c.wait(), want)


@case('lock/guards a vector')
def _(t):
    held = struct.pack('<BBI', 1, 1, 16) + b'\1\0\0\0l' + b'\1' + b'\1\0\0\0c' + b'\0' * 4
    held = held[:2] + struct.pack('<I', len(held) - 6) + held[6:]
    t.make(b'a')
    t.eq(t.do(('exec', 'lock', 'assert_locked', held), ('write_full', b'b'), write=True), 'EBUSY')
    t.ok(lock(t.io, t.oid, 'c'))
    r, _ = t.io.run(t.oid, [('exec', 'lock', 'assert_locked', held), ('write_full', b'b')],
                    write=True)
    t.ok(r)
    t.eq(t.io.read(t.oid), b'b')


# ---- classes -------------------------------------------------------------------------------------
def s(v):
    return struct.pack('<I', len(v)) + v


def sec(v, compat, *body):
    return struct.pack('<BBI', v, compat, len(b''.join(body))) + b''.join(body)


@case('class/hello')
def _(t):
    t.eq(t.io.call(t.oid, 'hello', 'say_hello', b''), 'ENOENT')
    t.eq(t.io.call(t.oid, 'hello', 'replay', b''), 'ENOENT')
    t.eq(t.io.call(t.oid, 'hello', 'record_hello', b'me'), b'')
    t.eq(t.io.read(t.oid), b'Hello, me!')
    t.eq(t.io.call(t.oid, 'hello', 'record_hello', b'me'), 'EEXIST')
    t.eq(t.io.call(t.oid, 'hello', 'say_hello', b''), b'Hello, world!')
    t.eq(t.io.call(t.oid, 'hello', 'say_hello', b'x' * 101), 'EINVAL')
    t.eq(t.io.call(t.oid, 'hello', 'replay', b''), b'Hello, me!')


@case('class/writers and readers that lie')
def _(t):
    t.eq(t.io.call(t.oid, 'hello', 'bad_reader', b''), 'EIO')
    t.eq(t.io.stat(t.oid), 'ENOENT')
    t.make(b'kept')
    t.eq(t.io.call(t.oid, 'hello', 'bad_reader', b''), 'EIO')
    t.holds(b'kept')


@case('class/what a writer gives back')
def _(t):
    t.eq(t.io.call(t.oid, 'hello', 'writes_dont_return_data', b''), b'')
    r, outs = t.io.run(t.oid, [('exec', 'hello', 'write_return_data', b'')], flags=RETURNVEC,
                       write=True)
    t.eq((r, outs), (42, [42]))


@case('class/none such')
def _(t):
    t.make(b'')
    t.eq(t.io.call(t.oid, 'nothing', 'x', b''), 'ENOTSUP')
    t.eq(t.io.call(t.oid, 'hello', 'x', b''), 'ENOTSUP')
    t.eq(t.io.call(t.oid, '', '', b''), 'ENOTSUP')


@case('class/several in a vector')
def _(t):
    t.make(b'')
    got = t.do(('exec', 'hello', 'say_hello', b'a'), ('exec', 'hello', 'say_hello', b'b'))
    t.eq(got, [(0, b'Hello, a!'), (0, b'Hello, b!')])


@case('class/numops')
def _(t):
    for method, value, want in (('add', b'5', b'5'), ('mul', b'3', b'15'), ('add', b'-0.5', b'14.5')):
        t.eq(t.io.call(t.oid, 'numops', method, s(b'k') + s(value)), b'')
        t.eq(t.do(('bykeys', b'k')), [(b'k', want)])
    t.eq(t.io.call(t.oid, 'numops', 'add', s(b'k') + s(b'x')), 'EINVAL')


@case('class/refcount')
def _(t):
    def tag(n):
        return sec(1, 1, s(n), b'\0')
    t.make(b'x')
    for n in (b'a', b'b'):
        t.eq(t.io.call(t.oid, 'refcount', 'get', tag(n)), b'')
    t.eq(t.io.call(t.oid, 'refcount', 'read', sec(1, 1, b'\0')), sec(1, 1, b'\2\0\0\0', s(b'a'),
                                                                     s(b'b')))
    t.eq(t.io.call(t.oid, 'refcount', 'put', tag(b'a')), b'')
    t.eq(t.io.stat(t.oid)[0], 1)
    t.eq(t.io.call(t.oid, 'refcount', 'put', tag(b'b')), b'')
    t.eq(t.io.stat(t.oid), 'ENOENT')


@case('class/version')
def _(t):
    t.make(b'')
    v = sec(1, 1, struct.pack('<Q', 5), s(b'tag'))
    t.eq(t.io.call(t.oid, 'version', 'set', sec(1, 1, v)), b'')
    t.eq(t.io.call(t.oid, 'version', 'read', b''), sec(1, 1, v))


@case('class/log')
def _(t):
    entry = sec(2, 1, s(b'section'), s(b'name'), struct.pack('<II', 10, 0), s(b'data'),
                s(b'1_0000000010.000000_x'))
    t.eq(t.io.call(t.oid, 'log', 'add', sec(2, 1, b'\1\0\0\0', entry, b'\1')), b'')
    ask = sec(1, 1, bytes(8), s(b''), bytes(8), struct.pack('<I', 10))
    got = t.io.call(t.oid, 'log', 'list', ask)
    t.true(entry in got, got)


@case('class/cas')
def _(t):
    def source(n):
        return sec(4, 3, s(b''), s(n), struct.pack('<QI', 2**64 - 2, 7), b'\0', s(b''),
                   struct.pack('<Q', 2))
    t.eq(t.io.call(t.oid, 'cas', 'chunk_create_or_get_ref',
                   sec(1, 1, source(b'a'), bytes(8), s(b'data'))), b'')
    t.eq(t.io.read(t.oid), b'data')
    t.eq(t.io.call(t.oid, 'cas', 'chunk_get_ref', sec(1, 1, source(b'b'))), b'')
    t.eq(t.io.call(t.oid, 'cas', 'chunk_put_ref', sec(1, 1, source(b'a'))), b'')
    t.eq(t.io.stat(t.oid)[0], 4)
    t.eq(t.io.call(t.oid, 'cas', 'chunk_put_ref', sec(1, 1, source(b'b'))), b'')
    t.eq(t.io.stat(t.oid), 'ENOENT')


@case('class/user')
def _(t):
    t.make(b'')
    got = t.io.call(t.oid, 'user', 'get_header', sec(1, 1))
    t.true(isinstance(got, bytes) and len(got) > 20, got)
