"""The data of objects: reading, writing, comparing, checksums, sparse reads, copies."""
from .case import case, content, rows
from .librados import CRC32C, EXCL, FAILOK, RETURNVEC, XXHASH32, XXHASH64, x

MISMATCH = -4095  # of CMPEXT, less the offset of the first difference

rows('read', [
    ('missing', None, [('read', 0, 4)], 'ENOENT'),
    ('whole', b'hello', [('read', 0, 100)], 0, [b'hello']),
    ('part', b'hello', [('read', 1, 3)], 0, [b'ell']),
    ('beyond the end', b'hello', [('read', 5, 3)], 0, [b'']),
    ('far beyond the end', b'hello', [('read', 1 << 40, 3)], 0, [b'']),
    ('nothing', b'', [('read', 0, 0)], 0, [b'']),
    ('several', b'hello', [('read', 0, 1), ('read', 4, 1), ('stat',)], 0, [b'h', b'o', 5]),
    ('after a failing comparison', b'hello',
     [('cmpxattr', 'x', 1, b'1'), ('read', 0, 5)], 'ECANCELED'),
    ('after a failing comparison that may fail', b'hello',
     [('cmpext', 0, b'x'), ('flags', FAILOK), ('read', 0, 5)], 0, [MISMATCH, b'hello']),
    ('stat', b'hello', [('stat',)], 0, [5]),
    ('stat missing', None, [('stat',)], 'ENOENT'),
    ('assert_exists', b'', [('assert_exists',), ('read', 0, 1)], 0, [b'']),
    ('assert_exists missing', None, [('assert_exists',), ('read', 0, 1)], 'ENOENT'),
    ('no operations', b'hello', [], 0, []),
    ('fadvise', b'hello', [('read', 0, 5), ('flags', 0x20), ('read', 0, 5), ('flags', 0x54)], 0,
     [b'hello', b'hello']),
])

rows('write', [
    ('creates', None, [('write', 0, b'x')], 0, [], b'x'),
    ('over', b'hello', [('write', 1, b'EL')], 0, [], b'hELlo'),
    ('beyond the end', b'ab', [('write', 4, b'x')], 0, [], b'ab\0\0x'),
    ('nothing creates', None, [('write', 0, b'')], 0, [], b''),
    ('full', b'hello', [('write_full', b'x')], 0, [], b'x'),
    ('full of nothing', b'hello', [('write_full', b'')], 0, [], b''),
    ('full keeps the rest', dict(data=b'a', x={'x': b'1'}, k={'k': b'v'}, h=b'h'),
     [('write_full', b'b')], 0, [], dict(data=b'b', x={'x': b'1'}, k={'k': b'v'}, h=b'h')),
    ('append', b'ab', [('append', b'c')], 0, [], b'abc'),
    ('append creates', None, [('append', b'c')], 0, [], b'c'),
    ('append of nothing', b'ab', [('append', b'')], 0, [], b'ab'),
    ('append twice', b'ab', [('append', b'c'), ('append', b'd')], 0, [], b'abcd'),
    ('create', None, [('create', 0)], 0, [], b''),
    ('create what is there', b'hello', [('create', 0)]),
    ('create exclusively', None, [('create', 1)], 0, [], b''),
    ('create exclusively what is there', b'hello', [('create', 1)], 'EEXIST'),
    ('create that may fail', b'hello', [('create', 1), ('flags', EXCL | FAILOK), ('append', b'!')],
     0, [], b'hello!'),
    ('remove', b'hello', [('remove',)], 0, [], None),
    ('remove missing', None, [('remove',)], 'ENOENT'),
    ('remove takes attributes and keys', dict(data=b'a', x={'x': b'1'}, k={'k': b'v'}),
     [('remove',), ('create', 1)], 0, [], b''),
    ('remove and write', b'hello', [('remove',), ('write', 2, b'x')], 0, [], b'\0\0x'),
    ('write and remove', None, [('write', 0, b'x'), ('remove',)], 0, [], None),
    ('remove twice', b'hello', [('remove',), ('remove',)], 'ENOENT'),
    ('remove that may fail', None, [('remove',), ('flags', FAILOK), ('create', 1)], 0, [], b''),
    ('truncate shorter', b'hello', [('truncate', 2)], 0, [], b'he'),
    ('truncate to nothing', b'hello', [('truncate', 0)], 0, [], b''),
    ('truncate longer', b'ab', [('truncate', 4)], 0, [], b'ab\0\0'),
    ('truncate to its size', b'ab', [('truncate', 2)]),
    ('truncate missing', None, [('truncate', 4)], 0, [], None),
    ('truncate missing to nothing', None, [('truncate', 0)], 0, [], None),
    ('truncated data is gone', b'hello', [('truncate', 1), ('truncate', 3)], 0, [], b'h\0\0'),
    ('zero', b'hello', [('zero', 1, 2)], 0, [], b'h\0\0lo'),
    ('zero to the end', b'hello', [('zero', 3, 2)], 0, [], b'hel'),
    ('zero across the end', b'hello', [('zero', 3, 10)], 0, [], b'hel'),
    ('zero beyond the end', b'hello', [('zero', 10, 10)]),
    ('zero all', b'hello', [('zero', 0, 5)], 0, [], b''),
    ('zero missing', None, [('zero', 0, 5)], 0, [], None),
    ('same', None, [('writesame', 0, 8, b'ab')], 0, [], b'abababab'),
    ('same at an offset', b'xx', [('writesame', 1, 4, b'ab')], 0, [], b'xabab'),
    ('same of a part', None, [('writesame', 0, 5, b'ab')], 'EINVAL'),
    ('same of nothing', b'x', [('writesame', 0, 0, b'ab')]),
    ('same without data', b'x', [('writesame', 0, 4, b'')], 'EINVAL'),
    ('hint', b'x', [('hint', 4096, 4096, 0x3ff)]),
    ('hint creates', None, [('hint', 4096, 4096)], 0, [], b''),
    ('hint before data', None, [('hint', 1 << 22, 1 << 12, 1 | 4 | 256), ('write', 0, b'x')], 0,
     [], b'x'),
    ('fadvise', None, [('write', 0, b'x'), ('flags', 0x60), ('append', b'y'), ('flags', 0x9c)],
     0, [], b'xy'),
    ('fails as a whole', b'a', [('append', b'b'), ('setxattr', 'x', b'1'), ('create', 1)],
     'EEXIST'),
    ('sees what it wrote', None, [('write', 0, b'ab'), ('truncate', 1), ('append', b'c')], 0, [],
     b'ac'),
    ('no operations', b'x', [], 0, []),
    ('assert_exists', None, [('assert_exists',), ('write', 0, b'x')], 'ENOENT'),
    ('cmpext of what it wrote', b'aa', [('write', 0, b'b'), ('cmpext', 0, b'b')], MISMATCH),
])

rows('cmpext', [
    ('equal', b'hello', [('cmpext', 1, b'ell')], 0, [0]),
    ('first byte differs', b'hello', [('cmpext', 0, b'x')], MISMATCH, [MISMATCH]),
    ('later byte differs', b'hello', [('cmpext', 1, b'eLl')], MISMATCH - 1, [MISMATCH - 1]),
    ('object is shorter', b'ab', [('cmpext', 0, b'abc')], MISMATCH - 2, [MISMATCH - 2]),
    ('zeros beyond the end are equal', b'ab', [('cmpext', 0, b'ab\0\0')], 0, [0]),
    ('beyond the end', b'ab', [('cmpext', 10, b'\0x')], MISMATCH - 1, [MISMATCH - 1]),
    ('nothing', b'ab', [('cmpext', 0, b'')], 0, [0]),
    ('missing', None, [('cmpext', 0, b'a')], 'ENOENT'),
    ('missing, writing', None, [('cmpext', 0, b'a'), ('write', 0, b'x')], MISMATCH),
    ('zeros and missing, writing', None, [('cmpext', 0, b'\0'), ('write', 0, b'x')], 0, [0], b'x'),
    ('guards a write', b'a', [('cmpext', 0, b'a'), ('write', 0, b'b')], 0, [0], b'b'),
    ('refuses a write', b'a', [('cmpext', 0, b'x'), ('write', 0, b'b')], MISMATCH, [MISMATCH]),
    ('a large offset', b'a' * 70000 + b'b', [('cmpext', 0, b'a' * 70001)], MISMATCH - 70000,
     [MISMATCH - 70000]),
])

HELLO32, HELLO64 = (0xfb0077f9,), (0x26c7827d889f6da3,)
rows('checksum', [
    ('crc32c', b'hello', [('checksum', CRC32C, b'\xff' * 4, 0, 5, 0)], 0, [(1703822515,)]),
    ('crc32c of zero bytes', b'', [('checksum', CRC32C, b'\xff' * 4, 0, 0, 0)], 0, [()]),
    ('xxhash32', b'hello', [('checksum', XXHASH32, b'\0' * 4, 0, 5, 0)], 0, [HELLO32]),
    ('xxhash64', b'hello', [('checksum', XXHASH64, b'\0' * 8, 0, 5, 0)], 0, [HELLO64]),
    ('length 0 is all', b'hello', [('checksum', XXHASH32, b'\0' * 4, 0, 0, 0)], 0, [HELLO32]),
    ('in chunks', b'hellohello', [('checksum', XXHASH32, b'\0' * 4, 0, 10, 5)], 0, [HELLO32 * 2]),
    ('at an offset', b'xhello', [('checksum', XXHASH64, b'\0' * 8, 1, 5, 0)], 0, [HELLO64]),
    ('chunks that do not fit', b'hello', [('checksum', CRC32C, b'\0' * 4, 0, 5, 2)], 'EINVAL'),
    ('beyond the end', b'hello', [('checksum', XXHASH32, b'\0' * 4, 0, 10, 0)], 0, [HELLO32]),
    ('missing', None, [('checksum', CRC32C, b'\0' * 4, 0, 5, 0)], 'ENOENT'),
    ('init value too short', b'hello', [('checksum', CRC32C, b'', 0, 5, 0)], 'EINVAL'),
])

rows('sparse_read', [
    ('all', b'hello', [('sparse_read', 0, 100)], 0, [([(0, 5)], b'hello')]),
    ('part', b'hello', [('sparse_read', 1, 3)], 0, [([(1, 3)], b'ell')]),
    ('beyond the end', b'hello', [('sparse_read', 8, 3)], 0, [([], b'')]),
    ('length 0', b'hello', [('sparse_read', 0, 0)], 0, [([], b'')]),
    ('empty', b'', [('sparse_read', 0, 10)], 0, [([], b'')]),
    ('missing', None, [('sparse_read', 0, 10)], 'ENOENT'),
])


@case('sparse_read/hole')
def _(t):
    t.ok(t.do(('write', 0, b'a' * 4096)))
    t.ok(t.do(('write', 1 << 20, b'b' * 4096)))
    extents, data = t.do(('sparse_read', 0, 2 << 20))
    t.eq(sum(n for _, n in extents), len(data))
    got = bytearray((1 << 20) + 4096)
    at = 0
    for off, n in extents:
        got[off:off + n] = data[at:at + n]
        at += n
    t.true(bytes(got) == t.io.read(t.oid, 2 << 20), 'not what is read')
    t.true(len(data) < 1 << 20, 'the hole is read too: %s' % extents)


@case('mapext/hole')
def _(t):
    from .librados import Map, String, cxx, holder
    t.ok(t.do(('write', 1 << 20, b'b' * 4096)))
    m, s = Map(), String(t.oid)
    t.eq(cxx('mapext', holder(t.io.h), s.mem, 0, 2 << 20, m.mem), len(m.items()))
    t.true(all(off + n <= (1 << 20) + 4096 and off >= 1 << 19 for off, n in m.items()), m.items())
    t.eq(sum(n for off, n in m.items() if off >= 1 << 20), 4096)


# ---- versions ------------------------------------------------------------------------------------
@case('version/counts writes of the object')
def _(t):
    t.make(b'a')
    first = t.io.version()
    t.make(b'b')
    second = t.io.version()
    t.true(second > first > 0, (first, second))
    t.eq(t.do(('read', 0, 1)), b'b')
    t.eq(t.io.version(), second, 'of a read')


@case('version/assert')
def _(t):
    t.make(b'a')
    v = t.io.version()
    t.eq(t.do(('assert_version', v), ('read', 0, 1)), b'a')
    t.eq(t.do(('assert_version', v - 1), ('read', 0, 1)), 'ERANGE' if v > 1 else 'EINVAL')
    t.eq(t.do(('assert_version', v + 1), ('read', 0, 1)), 'EOVERFLOW')
    t.eq(t.do(('assert_version', 0), ('read', 0, 1)), 'EINVAL')


@case('version/assert of a write')
def _(t):
    t.make(b'a')
    v = t.io.version()
    t.eq(t.do(('assert_version', v + 1), ('write_full', b'b'), write=True), 'EOVERFLOW')
    t.ok(t.do(('assert_version', v), ('write_full', b'b'), write=True))
    t.eq(t.do(('assert_version', v), ('write_full', b'c'), write=True), 'ERANGE')
    t.holds(b'b')


@case('version/assert of a missing object')
def _(t):
    t.eq(t.do(('assert_version', 5), ('read', 0, 1)), 'ENOENT')
    t.eq(t.do(('assert_version', 5), ('write_full', b'b'), write=True), 'EOVERFLOW')


@case('version/a failed write does not count')
def _(t):
    t.make(b'a')
    v = t.io.version()
    t.eq(t.do(('create', 1)), 'EEXIST')
    t.eq(t.do(('assert_version', v), ('read', 0, 1)), b'a')


# ---- times ---------------------------------------------------------------------------------------
@case('mtime/of the client')
def _(t):
    t.ok(t.do(('write_full', b'a'), mtime=(1000000000, 5)))
    t.eq(t.io.stat(t.oid), (1, 1000000000))


@case('mtime/of now')
def _(t):
    import time
    before = int(time.time())
    t.make(b'a')
    _, at = t.io.stat(t.oid)
    t.true(before - 1 <= at <= time.time() + 1, at)


@case('mtime/an attribute changes it')
def _(t):
    t.ok(t.do(('write_full', b'a'), mtime=(1000000000, 0)))
    t.ok(t.do(('setxattr', 'x', b'1'), mtime=(1100000000, 0)))
    t.eq(t.io.stat(t.oid), (1, 1100000000))


# ---- results of each operation of a write --------------------------------------------------------
@case('returnvec/results of writes')
def _(t):
    t.make(b'a')
    r, outs = t.io.run(t.oid, [('cmpext', 0, b'a'), ('exec', 'hello', 'write_return_data', b'')],
                       flags=RETURNVEC, write=True)
    t.eq((r, outs), (42, [0, 42]))


@case('returnvec/without it results are lost')
def _(t):
    t.make(b'a')
    r, outs = t.io.run(t.oid, [('exec', 'hello', 'write_return_data', b'')], write=True)
    t.eq((r, outs), (0, [42]))


@case('returnvec/too much data')
def _(t):
    r, outs = t.io.run(t.oid, [('exec', 'hello', 'write_too_much_return_data', b'')],
                       flags=RETURNVEC, write=True)
    t.eq((r, outs), ('EOVERFLOW', ['EOVERFLOW']))


@case('returnvec/a failing operation')
def _(t):
    r, outs = t.io.run(t.oid, [('exec', 'hello', 'record_hello', b''), ('cmpext', 0, b'zz')],
                       flags=RETURNVEC, write=True)
    t.eq((r, outs[1]), (MISMATCH, MISMATCH))
    t.holds(None)


# ---- copies --------------------------------------------------------------------------------------
WHOLE = dict(data=b'data', x={'a': b'1', 'b': b''}, k={'k': b'v', 'l': b''}, h=b'head')


def source(t, what=WHOLE):
    t.make(what, t.oid + '-source')
    return t.oid + '-source'


@case('copy_from/all of an object')
def _(t):
    t.ok(t.do(('copy_from', t.io, source(t))))
    t.holds(WHOLE)


@case('copy_from/over another')
def _(t):
    t.make(dict(data=b'older and longer', x={'z': b'1'}, k={'z': b'1'}, h=b'z'))
    t.ok(t.do(('copy_from', t.io, source(t))))
    t.holds(WHOLE)


@case('copy_from/missing')
def _(t):
    t.make(b'kept')
    t.eq(t.do(('copy_from', t.io, t.oid + '-source')), 'ENOENT')
    t.holds(b'kept')


@case('copy_from/version')
def _(t):
    oid = source(t)
    v = t.io.version()
    t.ok(t.do(('copy_from', t.io, oid, v)))
    t.eq(t.do(('copy_from', t.io, oid, v + 1)), 'EOVERFLOW')
    t.make(b'newer', oid)
    t.eq(t.do(('copy_from', t.io, oid, v)), 'ERANGE')
    t.holds(WHOLE)


@case('copy_from/keeps the version of its source')
def _(t):
    for i in range(3):
        oid = source(t)
    v = t.io.version()
    t.ok(t.do(('copy_from', t.io, oid, v)))
    t.ok(t.do(('assert_version', v), ('stat',)) - 4)


@case('copy_from/keeps the time of its source')
def _(t):
    t.ok(t.do(('write_full', b'x'), oid=t.oid + '-source', mtime=(1000000000, 0)))
    t.ok(t.do(('copy_from', t.io, t.oid + '-source')))
    t.eq(t.io.stat(t.oid), (1, 1000000000))


@case('copy_from/onto itself')
def _(t):
    t.make(WHOLE)
    t.eq(t.do(('copy_from', t.io, t.oid)), 'EINVAL')
    t.holds(WHOLE)


@case('copy_from/empty')
def _(t):
    t.ok(t.do(('copy_from', t.io, source(t, b''))))
    t.holds(b'')


@case('copy_from/large, of several pieces')
def _(t):
    body = bytes(range(256)) * (20 << 12)
    t.ok(t.io.run(t.oid + '-source', [('write_full', body)])[0])
    t.ok(t.do(('copy_from', t.io, t.oid + '-source')))
    t.true(t.io.read(t.oid, 32 << 20) == body, 'not the same')


@case('copy_from/many keys')
def _(t):
    keys = {b'%05d' % i: b'v' * 100 for i in range(3000)}
    for i in range(0, 3000, 1000):
        t.ok(t.do(('omap_set', dict(list(keys.items())[i:i + 1000])), oid=t.oid + '-source'))
    t.ok(t.do(('copy_from', t.io, t.oid + '-source')))
    got = {}
    while True:
        part = t.do(('vals', max(got, default=b''), b'', 1000))
        got.update(p for p in part if p != '...')
        if part[-1] != '...':
            break
    t.true(got == keys, '%d keys' % len(got))


@case('copy_from/among other operations')
def _(t):
    t.ok(t.do(('create', 0), ('copy_from', t.io, source(t)), ('append', b'!'),
              ('setxattr', 'c', b'2')))
    t.holds(dict(WHOLE, data=b'data!', x={'a': b'1', 'b': b'', 'c': b'2'}))


@case('copy_from/source in a namespace and with a locator')
def _(t):
    io = t.another()
    io.namespace('other')
    io.locator('key')
    t.ok(io.run('s', [('write_full', b'x')])[0])
    t.ok(t.do(('copy_from', io, 's')))
    t.holds(b'x')


@case('copy_from/from and to another pool', slow=True)
def _(t):
    pool = t.suite.make_pool('rados-suite-copy', 4)
    io = t.another(pool)
    body = bytes(range(256)) * (9 << 12)
    for what in (b'', WHOLE, dict(WHOLE, data=body)):
        t.make(what, t.oid + '-source')
        t.eq(io.run(t.oid, [('copy_from', t.io, t.oid + '-source')]), (0, []))
        t.eq(io.run(t.oid, [('setxattr', 'there', b'1')])[0], 0)
        t.ok(t.do(('copy_from', io, t.oid)))
        t.eq(t.io.run(t.oid, [('rmxattr', 'there')])[0], 0)
        r, got = t.io.run(t.oid, [('read', 0, len(body) + 1), ('getxattrs',), ('vals', b'', b'', 9),
                                  ('get_header',)])
        want = content(what)
        t.eq(r, 0)
        t.true(got[0] == want['data'], 'the data are not the same')
        t.eq((got[1], dict(got[2]), got[3]), (want['x'], want['k'], want['h']))
    t.eq(io.run('new', [('copy_from', t.io, t.oid + '-none')])[0], 'ENOENT')
    t.eq(io.stat('new'), 'ENOENT')
    t.suite.drop_pool(pool)
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.eq(t.do(('copy_from', io, t.oid)), 'ENOENT')


@case('copy_from2/truncation of its own')
def _(t):
    t.ok(t.do(('copy_from2', t.io, source(t), 0, 1, 100)))
    t.holds(WHOLE)


@case('copy_from2/missing')
def _(t):
    t.eq(t.do(('copy_from2', t.io, t.oid + '-source', 0, 1, 100)), 'ENOENT')


@case('copy_from/refused after a comparison')
def _(t):
    t.make(b'kept')
    t.eq(t.do(('cmpext', 0, b'x'), ('copy_from', t.io, source(t))), MISMATCH)
    t.holds(b'kept')


@case('copy_from/keeps the read order of the writes around')
def _(t):
    oid = source(t, b'1')
    for i in range(20):
        t.ok(t.do(('write_full', b'%d' % i), oid=oid))
        t.ok(t.do(('copy_from', t.io, oid)))
        t.eq(t.do(('read', 0, 10)), b'%d' % i)


# ---- cache tiers and manifests on a pool that is neither -----------------------------------------
rows('tier', [
    ('cache_pin', b'x', [('cache_pin',)], 'EINVAL'),
    ('cache_unpin', b'x', [('cache_unpin',)], 'EINVAL'),
    ('cache_flush', b'x', [('cache_flush',)], 'EINVAL'),
    ('cache_try_flush', b'x', [('cache_try_flush',)], 'EINVAL'),
    ('cache_evict', b'x', [('cache_evict',)], 'EINVAL'),
    ('is_dirty', b'x', [('is_dirty',)], 0, [True]),
    ('is_dirty missing', None, [('is_dirty',)], 'ENOENT'),
    ('undirty', b'x', [('undirty',)]),
    ('undirty missing', None, [('undirty',)]),
    ('tier_promote', b'x', [('tier_promote',)]),
    ('tier_promote missing', None, [('tier_promote',)], 'ENOENT'),
    ('tier_flush', b'x', [('tier_flush',)]),
    ('tier_evict', b'x', [('tier_evict',)], 'EINVAL'),
    ('unset_manifest', b'x', [('unset_manifest',)], 'ENOTSUP'),
    ('unset_manifest missing', None, [('unset_manifest',)], 'ENOENT'),
])


@case('tier/undirty and dirty again')
def _(t):
    t.make(b'x')
    t.ok(t.do(('undirty',)))
    t.eq(t.do(('is_dirty',)), False)
    t.ok(t.do(('undirty',)))
    t.ok(t.do(('write', 0, b'y')))
    t.eq(t.do(('is_dirty',)), True)


@case('tier/undirty keeps the version')
def _(t):
    t.make(b'x')
    v = t.io.version()
    t.ok(t.do(('undirty',)))
    t.eq(t.do(('assert_version', v), ('read', 0, 1)), b'x')


@case('tier/manifests that make no sense')
def _(t):
    other = source(t)
    t.eq(t.do(('set_redirect', t.io, other)), 'ENOENT')
    t.eq(t.do(('set_chunk', 0, 1, t.io, other, 0)), 'ENOENT')
    t.make(b'abc')
    t.eq(t.do(('set_redirect', t.io, t.oid)), 'EINVAL')
    for off, n, name, want in ((0, 0, other, 'EINVAL'), (1, 3, other, 'ERANGE'),
                               (4, 1, other, 'ERANGE'), (0, 1, t.oid, 'ENOTSUP')):
        t.eq(t.do(('set_chunk', off, n, t.io, name, 0)), want, f'chunk {off} {n} {name}')
    t.holds(b'abc')
