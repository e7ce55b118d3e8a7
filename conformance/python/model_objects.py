"""Objects whose data, attributes and omap have to be what a model says."""
import errno
import random
import struct
import time

import rados

from model_base import POOL, SEED, Violation, Worker, brief, answered, client, count

OBJECTS, PIPELINE = 12, 6
MAX_SIZE = 256 << 10


class Model:
    """One object, as it has to be after all operations that were sent."""

    def __init__(self):
        self.data = None  # None: there is no such object
        self.attrs, self.omap = {}, {}
        self.reads = []  # of each read under way what it may find

    def changed(self):
        for allowed in self.reads:
            allowed.append(self.state())

    def state(self):
        return None if self.data is None else bytes(self.data)

    def create(self):
        if self.data is None:
            self.data, self.attrs, self.omap = bytearray(), {}, {}

    def remove(self):
        self.data, self.attrs, self.omap = None, {}, {}

    def copy(self):
        other = Model()
        other.restore(self)
        return other

    def restore(self, other):
        self.data = None if other.data is None else bytearray(other.data)
        self.attrs, self.omap = dict(other.attrs), dict(other.omap)

    def grow(self, n):
        self.data.extend(bytes(max(0, n - len(self.data))))


class Pending:
    """An operation that was sent: finish() waits for it and checks its result, which is to be want;
    None: check() knows."""

    def __init__(self, pool, name, what, completion, want, check=None):
        self.pool, self.name, self.what, self.completion = pool, name, what, completion
        self.want, self.check, self.sent = want, check, time.monotonic()

    def finish(self):
        self.completion.wait_for_complete()
        answered(self.sent, self.pool, self.name)
        got = self.completion.get_return_value()
        if self.want is None:
            foreseen = got >= 0 or got == -errno.ENOENT
        else:
            foreseen = min(got, 0) == self.want
        if not foreseen:
            raise Violation('%s %s: result %d, want %s' % (self.name, self.what, got, self.want))
        if self.check:
            self.check()
        count('reads' if self.check else 'writes')
        count('refused', bool(self.want))


class Owner(Worker):
    """Owns a few objects and sends several operations on one before it waits for the first: the
    cluster must do them in that order."""
    pool = POOL

    def __init__(self, number):
        super().__init__()
        self.random = random.Random(SEED * 1000 + number)
        self.names = ['model.%d.%d' % (number, i) for i in range(OBJECTS)]
        self.models = {n: Model() for n in self.names}
        self.clients = [client() for _ in range(2)]
        self.io, self.other = [c.open_ioctx(self.pool) for c in self.clients]

    def prepare(self):
        for name in self.names:
            try:
                self.io.remove_object(name)  # of an earlier run
            except rados.ObjectNotFound:
                pass

    def bytes(self, most):
        return self.random.randbytes(self.random.choice([1, 100, 4096, most // 4, most]))

    # Each op_ adds to the write operation w, changes the model, and returns the result to expect.

    def op_write(self, w, m):
        data = self.bytes(64 << 10)
        off = self.random.randrange(MAX_SIZE - len(data))
        m.create()
        m.grow(off + len(data))
        m.data[off:off + len(data)] = data
        w.write(data, off)

    def op_write_full(self, w, m):
        data = self.bytes(MAX_SIZE // 2)
        m.create()
        m.data = bytearray(data)
        w.write_full(data)

    def op_append(self, w, m):
        data = self.bytes(16 << 10)
        if m.data is not None and len(m.data) + len(data) > MAX_SIZE:
            return self.op_truncate(w, m)
        m.create()
        m.data += data
        w.append(data)

    def op_truncate(self, w, m):
        n = self.random.randrange(MAX_SIZE)
        if m.data is None:
            return self.op_create(w, m)
        m.grow(n)
        del m.data[n:]
        w.truncate(n)

    def op_zero(self, w, m):
        off, n = self.random.randrange(MAX_SIZE // 2), self.random.randrange(1, 64 << 10)
        if m.data is None:
            return self.op_create(w, m)
        if off + n >= len(m.data):
            del m.data[off:]  # RADOS makes a zero up to the end a truncate
        else:
            m.data[off:off + n] = bytes(n)
        w.zero(n, off)  # python3-rados 16.2 hands them on the wrong way round

    def op_create(self, w, m):
        m.create()
        w.new(rados.LIBRADOS_CREATE_IDEMPOTENT)

    def op_exclusive(self, w, m):
        w.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        if m.data is not None:
            return -errno.EEXIST
        m.create()

    def op_remove(self, w, m):
        w.remove()
        if m.data is None:
            return -errno.ENOENT
        m.remove()

    def op_xattr(self, w, m):
        name, value = 'x%d' % self.random.randrange(6), self.random.randbytes(40)
        m.create()
        m.attrs[name] = value
        w.set_xattr(name, value)

    def op_rm_xattr(self, w, m):
        if not m.attrs:
            return self.op_xattr(w, m)
        name = self.random.choice(sorted(m.attrs))
        del m.attrs[name]
        w.rm_xattr(name)

    def op_omap(self, w, m):
        some = self.random.sample(range(30), self.random.randrange(1, 9))
        keys = tuple('k%02d' % i for i in some)
        values = tuple(self.random.randbytes(self.random.randrange(200)) for _ in keys)
        m.create()
        m.omap.update(zip(keys, values))
        self.io.set_omap(w, keys, values)

    def op_rm_omap(self, w, m):
        if not m.omap:
            return self.op_omap(w, m)
        keys = tuple(self.random.sample(sorted(m.omap), min(3, len(m.omap))))
        for k in keys:
            del m.omap[k]
        self.io.remove_omap_keys(w, keys)

    def op_clear_omap(self, w, m):
        if m.data is None:
            return self.op_omap(w, m)
        m.omap = {}
        self.io.clear_omap(w)

    def op_compared(self, w, m):
        """A write that only happens if the object starts as the model says, or does not happen."""
        if not m.data:
            return self.op_write_full(w, m)
        first = bytes(m.data[:64])
        if self.random.random() < 0.5:
            w.cmpext(first, 0)
            return self.op_write(w, m)
        wrong = bytes([first[0] ^ 255]) + first[1:]
        w.cmpext(wrong, 0)
        w.write(b'must not be seen', 0)
        return -4095  # MAX_ERRNO: the first byte differs

    def op_exec(self, w, m):
        """numops adds to a number under an omap key: done twice, it would show."""
        n = self.random.randrange(1, 1000)
        have = int(m.omap.get('sum', b'0'))
        m.create()
        m.omap['sum'] = b'%d' % (have + n)

        def text(b):
            return struct.pack('<I', len(b)) + b
        w.execute('numops', 'add', text(b'sum') + text(b'%d' % n))

    WRITES = {op_write: 8, op_write_full: 3, op_append: 4, op_truncate: 2, op_zero: 2, op_create: 1,
              op_exclusive: 1, op_remove: 2, op_xattr: 3, op_rm_xattr: 1, op_omap: 4, op_rm_omap: 2,
              op_clear_omap: 1, op_compared: 3, op_exec: 3}

    def write(self, name):
        op = self.random.choices(list(self.WRITES), self.WRITES.values())[0]
        w = self.io.create_write_op()
        m = self.models[name]
        want = op(self, w, m) or 0
        m.changed()
        done = self.io.operate_aio_write_op(w, name)
        w.release()
        return Pending(self.pool, name, op.__name__, done, want)

    def read(self, name):
        """Reads what a read operation of python3-rados can't."""
        # A read that is sent again, to a new primary, may see operations that were sent after it,
        # but none undone that were sent before.
        m = self.models[name]
        allowed = [m.state()]
        m.reads.append(allowed)
        return self.read_from(self.io, name, allowed)

    def read_from(self, io, name, allowed):
        got = []
        done = io.aio_read(name, MAX_SIZE * 2, 0, lambda _, data: got.append(data))

        def check():
            done.wait_for_complete_and_cb()
            # python3-rados gives the whole buffer when nothing was read.
            result = done.get_return_value()
            data = got[0] if result > 0 else b'' if result == 0 else None
            if data not in allowed:
                raise Violation('%s holds %s, want %s' % (name, brief(data), brief(allowed[0])))
        return Pending(self.pool, name, 'read', done, None, check)

    def compare(self, name, io, m, where=''):
        """Reads everything of an object at rest."""
        try:
            size = io.stat(name)[0]
            data = io.read(name, MAX_SIZE * 2)
            attrs = dict(io.get_xattrs(name))
        except rados.ObjectNotFound:
            if m.data is not None:
                raise Violation('%s%s is gone' % (name, where))
            return
        if m.data is None:
            raise Violation('%s%s is there' % (name, where))
        r = io.create_read_op()
        values, _ = io.get_omap_vals(r, '', '', 1000)
        io.operate_read_op(r, name)
        omap = {k: v or b'' for k, v in values}  # python3-rados gives None for an empty value
        r.release()
        have = (size, data, attrs, omap)
        want = (len(m.data), bytes(m.data), m.attrs, m.omap)
        for what, a, b in zip(('size', 'data', 'xattrs', 'omap'), have, want):
            if a != b:
                raise Violation('%s%s: %s is %s, want %s' % (name, where, what, brief(a),
                                                             brief(b)))
        count('reads')

    def ahead(self, name):
        """Sends an operation without waiting for it."""
        return (self.read if self.random.random() < 0.3 else self.write)(name)

    def work(self):
        self.doing = name = self.random.choice(self.names)
        pending = [self.ahead(name) for _ in range(self.random.randrange(1, PIPELINE))]
        for p in pending:
            p.finish()
        self.models[name].reads.clear()
        if self.random.random() < 0.3:
            self.compare(name, self.random.choice([self.io, self.other]), self.models[name])

    def end(self):
        for self.doing in self.names:
            self.compare(self.doing, self.other, self.models[self.doing])
