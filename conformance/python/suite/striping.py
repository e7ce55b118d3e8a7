"""libradosstriper: large contents over several objects."""
import ctypes as C

from .calls import Completion
from .case import case
from .librados import P, SIZE, U64, convert, word

lib = C.CDLL('libradosstriper.so.1')
UNIT, COUNT, OBJECT = 65536, 3, 262144


def s(name, *args):
    return word(getattr(lib, 'rados_striper_' + name)(*map(convert, args)))


class Striper:
    """A striper of the case's ioctx, with small objects."""

    def __init__(self, t):
        self.h, self.oid = P(), t.oid
        t.ok(s('create', t.io.h, C.byref(self.h)))
        t.undo.append(lambda: lib.rados_striper_destroy(self.h))
        t.ok(s('set_object_layout_stripe_unit', self.h, UNIT))
        t.ok(s('set_object_layout_stripe_count', self.h, COUNT))
        t.ok(s('set_object_layout_object_size', self.h, OBJECT))

    def __getattr__(self, name):
        return lambda *args: s(name, self.h, self.oid, *args)

    def read_at(self, n, off):
        b = C.create_string_buffer(n)
        r = self.read(b, n, off)
        return b.raw[:r] if isinstance(r, int) else r

    def size(self):
        n, at = U64(), C.c_long()
        r = self.stat(C.byref(n), C.byref(at))
        return n.value if r == 0 else r


def text(n):
    return bytes(i * 7 % 251 for i in range(n))


@case('striper/written and read')
def _(t):
    o, data = Striper(t), text(1600000)
    t.ok(o.write(data, len(data), 0))
    t.eq(o.size(), len(data))
    t.eq(o.read_at(3200000, 0), data)
    t.eq(o.read_at(80000, 1584000), data[1584000:])
    # The first object has every third unit, and three objects one set of stripes.
    first = t.io.run(t.oid + '.' + '0' * 16, [('read', 0, OBJECT)])[1][0]
    want = b''.join(data[i * COUNT * UNIT:i * COUNT * UNIT + UNIT] for i in range(4))
    t.eq(first, want)


@case('striper/append and overwrite')
def _(t):
    o = Striper(t)
    t.ok(o.append(text(480000), 480000))
    t.ok(o.append(b'end', 3))
    t.ok(o.write(b'middle', 6, 196480))
    want = bytearray(text(480000) + b'end')
    want[196480:196486] = b'middle'
    t.eq(o.read_at(640000, 0), bytes(want))


@case('striper/write_full makes it shorter')
def _(t):
    o = Striper(t)
    t.ok(o.write(text(960000), 960000, 0))
    t.ok(o.write_full(b'short', 5))
    t.eq((o.size(), o.read_at(100, 0)), (5, b'short'))


@case('striper/truncated')
def _(t):
    o = Striper(t)
    t.ok(o.write(text(960000), 960000, 0))
    t.ok(o.trunc(320000))
    t.eq((o.size(), o.read_at(960000, 0)), (320000, text(320000)))
    t.ok(o.trunc(800000))
    t.eq(o.read_at(960000, 0), text(320000) + bytes(480000))


@case('striper/attributes')
def _(t):
    o = Striper(t)
    t.ok(o.write(b'x', 1, 0))
    t.ok(o.setxattr('name', b'value', 5))
    b = C.create_string_buffer(20)
    t.eq((o.getxattr('name', b, 20), b.value), (5, b'value'))
    t.ok(o.rmxattr('name'))
    t.eq(o.getxattr('name', b, 20), 'ENODATA')


@case('striper/removed')
def _(t):
    o = Striper(t)
    t.eq(o.read_at(10, 0), 'ENOENT')
    t.ok(o.write(text(960000), 960000, 0))
    t.ok(o.remove())
    t.eq(o.size(), 'ENOENT')
    t.eq(t.do(('stat',), oid=t.oid + '.' + '0' * 16), 'ENOENT')


@case('striper/asynchronous')
def _(t):
    o, data = Striper(t), text(1120000)
    pending = []
    for off in range(0, 1120000, 160000):
        c = Completion()
        c.data = data[off:off + 160000]
        t.ok(o.aio_write(c.h, c.data, SIZE(160000), U64(off)))
        pending.append(c)
    for c in pending:
        t.ok(c.wait())
    t.ok(s('aio_flush', o.h))
    t.eq(o.read_at(1120000, 0), data)
