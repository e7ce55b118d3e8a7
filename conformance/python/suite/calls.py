"""Plain calls, asynchronous ones, names, limits, flags of requests."""
import ctypes as C
import time

from .case import case
from .librados import (BALANCE, FULL_TRY, LOCALIZE, INT, ORDERED, P, SIZE, U64, Buffer, Vector,
                       convert, cxx, holder, lib, omap_items, word, x, xattr_items)

MiB = 1 << 20


# ---- plain calls ---------------------------------------------------------------------------------
@case('calls/write and read')
def _(t):
    t.ok(t.io.write(t.oid, b'hello', 5, 0))
    t.ok(t.io.write(t.oid, b'EL', 2, 1))
    t.eq(t.io.read(t.oid), b'hELlo')
    t.eq(t.io.read(t.oid, 2, 3), b'lo')
    t.ok(t.io.append(t.oid, b'!', 1))
    t.ok(t.io.trunc(t.oid, 7))
    t.eq(t.io.read(t.oid), b'hELlo!\0')
    t.ok(t.io.write_full(t.oid, b'x', 1))
    t.eq(t.io.stat(t.oid)[0], 1)
    t.ok(t.io.writesame(t.oid, b'ab', 2, 6, 1))
    t.eq(t.io.read(t.oid), b'xababab')
    t.ok(t.io.remove(t.oid))
    t.eq(t.io.remove(t.oid), 'ENOENT')
    t.eq(t.io.stat(t.oid), 'ENOENT')
    t.eq(t.io.read(t.oid), 'ENOENT')


@case('calls/writesame of a part')
def _(t):
    t.eq(t.io.writesame(t.oid, b'ab', 2, 5, 0), 'EINVAL')
    t.eq(t.io.writesame(t.oid, b'', 0, 4, 0), 'EINVAL')


@case('calls/cmpext')
def _(t):
    t.make(b'hello')
    t.ok(t.io.cmpext(t.oid, b'ell', 3, 1))
    t.eq(t.io.cmpext(t.oid, b'elx', 3, 1), -4097)
    t.eq(t.io.cmpext(t.oid + '-missing', b'elx', 3, 1), 'ENOENT')


@case('calls/checksum')
def _(t):
    t.make(b'hello')
    out = C.create_string_buffer(16)
    t.ok(t.io.checksum(t.oid, 2, b'\xff' * 4, 4, 5, 0, 0, out, 16))
    t.eq(out.raw[:8], (1).to_bytes(4, 'little') + (1703822515).to_bytes(4, 'little'))
    t.eq(t.io.checksum(t.oid, 9, b'\xff' * 4, 4, 5, 0, 0, out, 16), 'EINVAL')
    t.eq(t.io.checksum(t.oid, 2, b'\xff' * 3, 3, 5, 0, 0, out, 16), 'EINVAL')


@case('calls/hints and pins')
def _(t):
    t.ok(t.io.set_alloc_hint(t.oid, 4 * MiB, 4096))
    t.ok(t.io.set_alloc_hint2(t.oid, 4 * MiB, 4096, 256))
    t.eq(t.io.stat(t.oid)[0], 0)


@case('calls/pins of a plain pool')
def _(t):
    t.make(b'x')
    t.eq(t.io.cache_pin(t.oid), 'EINVAL')
    t.eq(t.io.cache_unpin(t.oid), 'EINVAL')


@case('calls/trivial maps')
def _(t):
    buf = C.create_string_buffer(100)
    t.eq(t.io.tmap_get(t.oid, buf, 100), 'ENOENT')
    t.ok(t.io.tmap_put(t.oid, bytes(8), 8))
    t.eq(t.io.tmap_get(t.oid, buf, 100), 8)
    insert = b's' + (1).to_bytes(4, 'little') + b'k' + (2).to_bytes(4, 'little') + b'vv'
    t.ok(t.io.tmap_update(t.oid, insert, len(insert)))
    t.eq(t.io.tmap_get(t.oid, buf, 100), 19)
    t.eq(buf.raw[:19], bytes(4) + b'\1\0\0\0' + insert[1:])


@case('calls/exec with too little room')
def _(t):
    t.make(b'')
    t.eq(t.io.call(t.oid, 'hello', 'say_hello', b'you'), b'Hello, you!')
    t.eq(t.io.call(t.oid, 'hello', 'say_hello', b'you', 5), 'ERANGE')


@case('calls/last version follows each call')
def _(t):
    versions = []
    for f in (lambda: t.io.write_full(t.oid, b'a', 1), lambda: t.io.append(t.oid, b'b', 1),
              lambda: t.io.setxattr(t.oid, 'x', b'1', 1)):
        t.ok(f())
        versions.append(t.io.version())
    t.true(versions == sorted(set(versions)), versions)
    t.eq(t.io.read(t.oid), b'ab')
    t.eq(t.io.version(), versions[-1])


# ---- names ---------------------------------------------------------------------------------------
ODD = ['a b', ' ', '.', '..', 'a/b', '/', 'é', '日本語', '\n', '\t', '%41', '"', "'",
       '\\', '*', '?', '\x7f', '-x', '_', 'A' * 255, 'x' * 1024, ':', '#', '@snap', 'a_head', 'ends.', 'NUL']
for n, name in enumerate(ODD):
    @case('names/odd name %d %.12r' % (n, name))
    def _(t, name='odd' + name if len(name) > 1000 else name):
        t.io.namespace('names')
        t.ok(t.io.run(name, [('write_full', name.encode())])[0])
        t.eq(t.io.read(name, 4096), name.encode())
        t.ok(t.io.remove(name))
        t.eq(t.io.read(name), 'ENOENT')


@case('names/the longest')
def _(t):
    t.ok(t.io.write_full('n' * 2048, b'x', 1))
    t.eq(t.io.read('n' * 2048), b'x')
    t.ok(t.io.remove('n' * 2048))
    t.eq(t.io.write_full('n' * 2049, b'x', 1), 'ENAMETOOLONG')
    t.eq(t.io.read('n' * 2049), 'ENAMETOOLONG')


@case('names/the longest locator')
def _(t):
    t.io.locator('k' * 2048)
    t.ok(t.io.write_full(t.oid, b'x', 1))
    t.io.locator('k' * 2049)
    t.eq(t.io.write_full(t.oid, b'x', 1), 'ENAMETOOLONG')


@case('names/the longest namespace')
def _(t):
    t.io.namespace('s' * 256)
    t.ok(t.io.write_full(t.oid, b'x', 1))
    t.io.namespace('s' * 257)
    t.eq(t.io.write_full(t.oid, b'x', 1), 'ENAMETOOLONG')


@case('names/no name')
def _(t):
    t.eq(t.io.write_full('', b'x', 1), 'EINVAL')
    t.eq(t.io.read(''), 'EINVAL')


@case('names/case counts')
def _(t):
    t.io.namespace('case')
    t.make(b'lower', 'name')
    t.make(b'upper', 'NAME')
    t.holds(b'lower', 'name')


@case('names/namespaces keep apart')
def _(t):
    for ns in ('', 'a', 'b', 'a b', 'é'):
        t.io.namespace(ns)
        t.eq(t.io.read(t.oid), 'ENOENT')
        t.make(b'in ' + ns.encode())
    for ns in ('', 'a', 'b', 'a b', 'é'):
        t.io.namespace(ns)
        t.eq(t.io.read(t.oid), b'in ' + ns.encode())
        t.ok(t.io.remove(t.oid))


@case('names/locators keep apart')
def _(t):
    t.io.locator('key')
    t.make(b'with')
    t.io.locator(None)
    t.eq(t.io.read(t.oid), 'ENOENT')
    t.make(b'without')
    t.io.locator('key')
    t.eq(t.io.read(t.oid), b'with')


@case('names/a locator that is the name is none')
def _(t):
    t.io.locator(t.oid)
    t.make(b'x')
    t.io.locator(None)
    t.eq(t.io.read(t.oid), b'x')


# ---- limits --------------------------------------------------------------------------------------
@case('limits/largest object')
def _(t):
    t.ok(t.io.write(t.oid, b'x', 1, 128 * MiB - 1))
    t.eq(t.io.stat(t.oid)[0], 128 * MiB)
    t.eq(t.io.write(t.oid, b'x', 1, 128 * MiB), 'EFBIG')
    t.eq(t.io.append(t.oid, b'x', 1), 'EFBIG')
    t.eq(t.io.trunc(t.oid, 128 * MiB + 1), 'EFBIG')
    t.eq(t.io.writesame(t.oid, b'x', 1, 2, 128 * MiB - 1), 'EFBIG')
    t.eq(t.io.stat(t.oid)[0], 128 * MiB)
    t.ok(t.io.trunc(t.oid, 0))


@case('limits/far beyond the largest object')
def _(t):
    for off in (1 << 40, (1 << 63) - 1, (1 << 64) - 1, (1 << 64) - 2):
        t.true(t.io.write(t.oid, b'xy', 2, off) in ('EFBIG', 'E2BIG', 'EINVAL'), hex(off))
        t.true(t.io.trunc(t.oid, off) in ('EFBIG', 'E2BIG', 'EINVAL', 0), hex(off))
    t.eq(t.io.stat(t.oid), 'ENOENT')


@case('limits/writes of the client')
def _(t):
    t.eq(t.io.write(t.oid, b'', 1 << 31, 0), 'E2BIG')
    t.eq(t.io.write_full(t.oid, b'', 1 << 31), 'E2BIG')
    t.eq(t.io.append(t.oid, b'', 1 << 31), 'E2BIG')
    t.eq(t.io.stat(t.oid), 'ENOENT')


@case('limits/largest write')
def _(t):
    body = bytes(91 * MiB)
    t.eq(t.io.write_full(t.oid, body, len(body)), 'EMSGSIZE')
    t.ok(t.io.write_full(t.oid, body, 90 * MiB))
    t.eq(t.io.stat(t.oid)[0], 90 * MiB)
    t.ok(t.io.remove(t.oid))


@case('limits/reads are cut at the end of the object')
def _(t):
    t.make(b'hello')
    buf = C.create_string_buffer(10)
    t.eq(t.io.run(t.oid, [('read', 3, 10)]), (0, [b'lo']))
    t.eq(word(x('read', t.io.h, t.oid, buf, 10, (1 << 64) - 1)), 0)


# ---- flags of requests ---------------------------------------------------------------------------
for flags, name in ((BALANCE, 'balanced'), (LOCALIZE, 'localized'), (ORDERED, 'ordered'),
                    (FULL_TRY, 'full try'), (8, 'cache'),
                    (32, 'overlay'), (256, 'redirect'), (16, 'skip locks')):
    @case('flags/%s read' % name)
    def _(t, flags=flags):
        t.make(b'hello')
        for i in range(8):
            t.ok(t.do(('write_full', b'%d' % i)))
            t.eq(t.io.run(t.oid, [('read', 0, 9), ('stat',)], flags=flags), (0, [b'%d' % i, 1]))
        t.eq(t.io.run(t.oid + '-missing', [('read', 0, 9)], flags=flags)[0], 'ENOENT')


@case('flags/ordered write')
def _(t):
    t.ok(t.io.run(t.oid, [('write_full', b'x')], flags=ORDERED)[0])
    t.holds(b'x')


@case('flags/full try of a pool with room')
def _(t):
    x('set_pool_full_try', t.io.h)
    t.ok(t.io.write_full(t.oid, b'x', 1))
    x('unset_pool_full_try', t.io.h)
    t.ok(t.io.write_full(t.oid, b'y', 1))
    t.holds(b'y')


@case('flags/full try of a full pool', slow=True)
def _(t):
    pool = t.suite.make_pool('rados-suite-full', 4)
    io = t.another(pool)
    t.ok(io.write_full('a', b'x' * 5000, 5000))
    t.cluster.ask(prefix='osd pool set-quota', pool=pool, field='max_bytes', val='4096')
    x('set_pool_full_try', io.h)
    t.until(lambda: io.append('b', b'x', 1) == 'EDQUOT', 'EDQUOT', 40)
    t.eq(io.write_full('c', b'x', 1), 'EDQUOT')
    t.ok(io.remove('a'))
    t.eq(io.read('a'), 'ENOENT')
    t.suite.drop_pool(pool)


# ---- asynchronous calls --------------------------------------------------------------------------
CALLBACK = C.CFUNCTYPE(None, P, P)


class Completion:
    def __init__(self, on=None):
        self.h, self.calls = P(), []
        self.cb = CALLBACK(lambda c, arg: (on or self.calls.append)(c))
        x('aio_create_completion2', None, self.cb, C.byref(self.h))

    def wait(self):
        """Waits for the result and the callback."""
        x('aio_wait_for_complete_and_cb', self.h)
        r = word(x('aio_get_return_value', self.h))
        x('aio_release', self.h)
        return r


def aio(t, name, *args, **how):
    """Starts an asynchronous call on the case's object."""
    c = Completion(how.get('on'))
    c.keep = args
    r = word(getattr(lib, 'rados_aio_' + name)(t.io.h, convert(how.get('oid', t.oid)), c.h,
                                               *map(convert, args)))
    t.eq(r, 0, 'starting ' + name)
    return c


@case('aio/write and read')
def _(t):
    t.ok(aio(t, 'write', b'hello', 5, 0).wait())
    t.ok(aio(t, 'append', b'!', 1).wait())
    buf = C.create_string_buffer(10)
    t.eq(aio(t, 'read', buf, 10, 0).wait(), 6)
    t.eq(buf.raw[:6], b'hello!')
    t.ok(aio(t, 'write_full', b'x', 1).wait())
    t.ok(aio(t, 'writesame', b'ab', 2, 4, 1).wait())
    t.holds(b'xabab')
    t.ok(aio(t, 'remove').wait())
    t.eq(aio(t, 'remove').wait(), 'ENOENT')
    t.eq(aio(t, 'read', buf, 10, 0).wait(), 'ENOENT')


@case('aio/hit sets of a pool without any')
def _(t):
    t.make(b'x')
    stamps, c = (U64 * 3)(), Completion()
    stamps[0] = stamps[1] = C.addressof(stamps)
    t.ok(cxx('hit_set_list', holder(t.io.h), 1, holder(c.h), stamps))
    t.eq((c.wait(), stamps[2]), (0, 0))
    hits, c = Buffer(), Completion()
    t.ok(cxx('hit_set_get', holder(t.io.h), 1, holder(c.h), int(time.time()), hits.mem))
    t.eq((c.wait(), hits.bytes()), ('ENOENT', b''))


@case('aio/stat')
def _(t):
    size, when = U64(), C.c_long()
    t.eq(aio(t, 'stat', C.byref(size), C.byref(when)).wait(), 'ENOENT')
    t.make(b'hello')
    t.ok(aio(t, 'stat', C.byref(size), C.byref(when)).wait())
    t.eq(size.value, 5)
    t.true(abs(when.value - time.time()) < 60, when.value)


@case('aio/cmpext')
def _(t):
    t.make(b'hello')
    t.ok(aio(t, 'cmpext', b'ell', 3, 1).wait())
    t.eq(aio(t, 'cmpext', b'elx', 3, 1).wait(), -4097)


@case('aio/xattrs')
def _(t):
    t.make(b'')
    t.ok(aio(t, 'setxattr', 'a', b'value', 5).wait())
    buf = C.create_string_buffer(10)
    t.eq(aio(t, 'getxattr', 'a', buf, 10).wait(), 5)
    t.eq(buf.raw[:5], b'value')
    t.eq(aio(t, 'getxattr', 'zz', buf, 10).wait(), 'ENODATA')
    t.eq(aio(t, 'getxattr', 'a', buf, 2).wait(), 'ERANGE')
    it = P()
    t.ok(aio(t, 'getxattrs', C.byref(it)).wait())
    t.eq(xattr_items(it), [(b'a', b'value')])
    t.ok(aio(t, 'rmxattr', 'a').wait())
    t.eq(aio(t, 'getxattr', 'a', buf, 10).wait(), 'ENODATA')


@case('aio/exec')
def _(t):
    t.make(b'')
    buf = C.create_string_buffer(100)
    t.eq(aio(t, 'exec', 'hello', 'say_hello', b'you', 3, buf, 100).wait(), 11)
    t.eq(buf.raw[:11], b'Hello, you!')
    t.eq(aio(t, 'exec', 'hello', 'nothing', b'', 0, buf, 100).wait(), 'ENOTSUP')
    t.eq(aio(t, 'exec', 'nothing', 'nothing', b'', 0, buf, 100).wait(), 'ENOTSUP')


@case('aio/vectors')
def _(t):
    c = Completion()
    v = Vector([('write_full', b'hello'), ('omap_set', {b'k': b'v'})])
    t.ok(x('aio_write_op_operate', P(v.op), t.io.h, c.h, t.oid, None, 0))
    t.ok(c.wait())
    v.close()
    c, buf, n, rv, it = Completion(), C.create_string_buffer(9), SIZE(), INT(), P()
    op = P(x('create_read_op'))
    x('read_op_read', op, 1, 3, buf, C.byref(n), C.byref(rv))
    x('read_op_omap_get_vals2', op, b'', b'', 10, C.byref(it), None, None)
    t.ok(x('aio_read_op_operate', op, t.io.h, c.h, t.oid, 0))
    t.ok(c.wait())
    t.eq((buf.raw[:n.value], rv.value, omap_items(it)), (b'ell', 0, [(b'k', b'v')]))
    x('release_read_op', op)


@case('aio/appends keep their order')
def _(t):
    cs = [aio(t, 'append', b'%04d' % i, 4) for i in range(300)]
    t.eq([c.wait() for c in cs], [0] * 300)
    t.eq(t.io.read(t.oid), b''.join(b'%04d' % i for i in range(300)))


@case('aio/completions of one object come in order')
def _(t):
    order = []
    cs = [aio(t, 'append', b'x', 1, on=lambda c, i=i: order.append(i)) for i in range(100)]
    t.eq([c.wait() for c in cs], [0] * 100)
    t.eq(order, list(range(100)))


@case('aio/a read behind a write sees it')
def _(t):
    bufs = [C.create_string_buffer(8) for _ in range(100)]
    cs = []
    for i, buf in enumerate(bufs):
        cs.append(aio(t, 'write_full', b'%08d' % i, 8))
        op = P(x('create_read_op'))
        n, rv = SIZE(), INT()
        x('read_op_read', op, 0, 8, buf, C.byref(n), C.byref(rv))
        c = Completion()
        c.keep = (op, n, rv)
        t.ok(x('aio_read_op_operate', op, t.io.h, c.h, t.oid, ORDERED))
        cs.append(c)
    t.eq([c.wait() for c in cs], [0] * 200)
    t.eq([buf.raw for buf in bufs], [b'%08d' % i for i in range(100)])


@case('aio/callback is called once')
def _(t):
    cs = [aio(t, 'write_full', b'x', 1) for _ in range(20)]
    for c in cs:
        t.ok(c.wait())
        t.eq(len(c.calls), 1)


@case('aio/states of a completion')
def _(t):
    c = aio(t, 'write_full', b'x', 1)
    x('aio_wait_for_complete', c.h)
    t.eq(x('aio_is_complete', c.h), 1)
    x('aio_wait_for_safe', c.h)
    t.eq(x('aio_is_safe', c.h), 1)
    x('aio_wait_for_complete_and_cb', c.h)
    t.eq((x('aio_is_complete_and_cb', c.h), x('aio_is_safe_and_cb', c.h)), (1, 1))
    t.eq(x('aio_get_version', c.h), t.io.version() or x('aio_get_version', c.h))
    t.true(x('aio_get_version', c.h) > 0, 'no version')
    t.ok(c.wait())


@case('aio/version of a completion')
def _(t):
    c = aio(t, 'write_full', b'x', 1)
    x('aio_wait_for_complete', c.h)
    v = x('aio_get_version', c.h)
    t.ok(c.wait())
    t.eq(t.do(('assert_version', v), ('read', 0, 1)), b'x')


@case('aio/flush')
def _(t):
    cs = [aio(t, 'append', b'x' * 10000, 10000) for _ in range(50)]
    t.ok(x('aio_flush', t.io.h))
    t.eq([x('aio_is_complete', c.h) for c in cs], [1] * 50)
    t.eq([c.wait() for c in cs], [0] * 50)


@case('aio/flush of nothing')
def _(t):
    t.ok(x('aio_flush', t.io.h))
    c = Completion()
    t.ok(x('aio_flush_async', t.io.h, c.h))
    t.ok(c.wait())


@case('aio/asynchronous flush')
def _(t):
    cs = [aio(t, 'append', b'x' * 10000, 10000) for _ in range(50)]
    c = Completion()
    t.ok(x('aio_flush_async', t.io.h, c.h))
    t.ok(c.wait())
    t.eq([x('aio_is_complete', c.h) for c in cs], [1] * 50)
    t.eq([c.wait() for c in cs], [0] * 50)


@case('aio/cancel')
def _(t):
    cs = [aio(t, 'append', b'x' * 100000, 100000) for _ in range(20)]
    for c in cs:
        x('aio_cancel', t.io.h, c.h)
    got = [c.wait() for c in cs]
    t.true(set(got) <= {0, 'ECANCELED'}, got)
    t.ok(t.io.write_full(t.oid, b'after', 5))
    t.holds(b'after')


@case('aio/cancel what is done')
def _(t):
    c = aio(t, 'write_full', b'x', 1)
    x('aio_wait_for_complete_and_cb', c.h)
    t.eq(word(x('aio_cancel', t.io.h, c.h)), 0)
    t.ok(c.wait())


@case('aio/many objects at once')
def _(t):
    cs = [aio(t, 'write_full', b'%d' % i, len(b'%d' % i), oid='%s-%d' % (t.oid, i))
          for i in range(300)]
    t.eq([c.wait() for c in cs], [0] * 300)
    bufs = [C.create_string_buffer(8) for _ in range(300)]
    cs = [aio(t, 'read', buf, 8, 0, oid='%s-%d' % (t.oid, i)) for i, buf in enumerate(bufs)]
    t.eq([c.wait() for c in cs], [len(b'%d' % i) for i in range(300)])
    t.eq([int(buf.value) for buf in bufs], list(range(300)))


@case('aio/flush waits for its own ioctx only')
def _(t):
    other = t.another()
    c = aio(t, 'append', b'x', 1)
    t.ok(x('aio_flush', other.h))
    t.ok(c.wait())
