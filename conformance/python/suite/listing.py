"""Listings: by iterator, cursor and slice, in namespaces, of pools that hold nothing."""
import ctypes as C
import struct

from .case import case
from .librados import ALL_NAMESPACES, P, SIZE, String, cxx, holder, word, x


def listed(io, key=False):
    """The objects that the iterator gives: names, or (namespace, name, key)."""
    ctx, out = P(), []
    r = x('nobjects_list_open', io.h, C.byref(ctx))
    if r < 0:
        return word(r)
    while True:
        name, loc, ns = C.c_char_p(), C.c_char_p(), C.c_char_p()
        r = x('nobjects_list_next', ctx, C.byref(name), C.byref(loc), C.byref(ns))
        if r < 0:
            break
        out.append((ns.value, name.value, loc.value) if key else name.value.decode())
    x('nobjects_list_close', ctx)
    return sorted(out, key=str) if word(r) == 'ENOENT' else word(r)


def names(t, n):
    return ['%s-%03d' % (t.oid, i) for i in range(n)]


def fill(t, n, io=None):
    for name in names(t, n):
        t.ok((io or t.io).write_full(name, b'', 0))
    return names(t, n)


class Item(C.Structure):
    _fields_ = [('oid_length', SIZE), ('oid', P), ('nspace_length', SIZE), ('nspace', P),
                ('locator_length', SIZE), ('locator', P)]


def page(t, begin, end, n, filter=b''):
    """One piece of a listing: its objects and the cursor behind it."""
    items, after = (Item * n)(), t.io.cursor()
    r = x('object_list', t.io.h, begin, end, n, filter, len(filter), items, C.byref(after))
    if r < 0:
        return word(r), None
    got = [C.string_at(i.oid, i.oid_length).decode() for i in items[:r]]
    x('object_list_free', r, items)
    return got, after


def pages(t, begin, end, n, filter=b''):
    out = []
    while not x('object_list_is_end', t.io.h, begin):
        got, begin = page(t, begin, end, n, filter)
        if begin is None:
            return got
        out += got
        if x('object_list_cursor_cmp', t.io.h, begin, end) >= 0:
            break
    return sorted(out)


@case('list/a namespace')
def _(t):
    t.io.namespace(t.oid)
    t.eq(listed(t.io), [])
    want = fill(t, 50)
    t.eq(listed(t.io), want)
    t.ok(t.io.remove(want[0]))
    t.eq(listed(t.io), want[1:])


@case('list/the default namespace has only its own')
def _(t):
    io = t.another()
    io.namespace('elsewhere')
    t.ok(io.write_full(t.oid, b'', 0))
    t.true(t.oid not in listed(t.io), 'an object of another namespace is listed')


@case('list/all namespaces and keys')
def _(t):
    for ns, key in (('', ''), (t.oid, ''), (t.oid + '-2', 'key'), (t.oid + '-2', '')):
        io = t.another()
        io.namespace(ns)
        io.locator(key or None)
        t.ok(io.write_full(t.oid + key, b'', 0))
    t.io.namespace(ALL_NAMESPACES)
    got = [o for o in listed(t.io, key=True) if o[1].startswith(t.oid.encode())]
    oid = t.oid.encode()
    t.eq([(o[0], o[1], o[2] or b'') for o in got],
         sorted([(b'', oid, b''), (oid, oid, b''), (oid + b'-2', oid, b''),
                 (oid + b'-2', oid + b'key', b'key')]))


@case('list/odd names come back')
def _(t):
    t.io.namespace(t.oid)
    odd = sorted(['a b', 'é', '\n', '%', '/', '日本', 'x' * 300, '\x01', '~'])
    for n in odd:
        t.ok(t.io.write_full(n, b'', 0))
    t.eq(listed(t.io), odd)


@case('list/old interface')
def _(t):
    ctx = P()
    t.eq(word(x('objects_list_open', t.io.h, C.byref(ctx))), 'ENOTSUP')


@case('list/names with zeros')
def _(t):
    t.io.namespace(t.oid)
    want, ctx, out = fill(t, 10), P(), []
    t.ok(x('nobjects_list_open', t.io.h, C.byref(ctx)))
    while True:
        p = [P(), P(), P()]
        n = [SIZE(), SIZE(), SIZE()]
        if x('nobjects_list_next2', ctx, *map(C.byref, p), *map(C.byref, n)) < 0:
            break
        out.append(C.string_at(p[0], n[0].value).decode())
        t.eq(C.string_at(p[2], n[2].value).decode(), t.oid)
    x('nobjects_list_close', ctx)
    t.eq(sorted(out), want)


@case('list/seek')
def _(t):
    t.io.namespace(t.oid)
    want, ctx = fill(t, 60), P()
    t.ok(x('nobjects_list_open', t.io.h, C.byref(ctx)))
    name = C.c_char_p()

    def rest():
        out = []
        while x('nobjects_list_next', ctx, C.byref(name), None, None) == 0:
            out.append(name.value.decode())
        return out
    first = [x('nobjects_list_next', ctx, C.byref(name), None, None) and None or name.value.decode()
             for _ in range(20)]
    pos = x('nobjects_list_get_pg_hash_position', ctx)
    later = rest()
    t.eq(sorted(first + later), want)
    t.true(x('nobjects_list_seek', ctx, pos) <= pos, 'seek')
    again = rest()
    t.true(set(later) <= set(again), 'what comes after the position is not all there')
    x('nobjects_list_seek', ctx, 0)
    t.eq(sorted(rest()), want)
    x('nobjects_list_close', ctx)


@case('list/cursor of an iterator')
def _(t):
    t.io.namespace(t.oid)
    want, ctx, at, name = fill(t, 60), P(), P(), C.c_char_p()
    t.ok(x('nobjects_list_open', t.io.h, C.byref(ctx)))
    out = []
    for _ in range(25):
        t.ok(x('nobjects_list_next', ctx, C.byref(name), None, None))
        out.append(name.value.decode())
    t.ok(x('nobjects_list_get_cursor', ctx, C.byref(at)))
    later = []
    while x('nobjects_list_next', ctx, C.byref(name), None, None) == 0:
        later.append(name.value.decode())
    x('nobjects_list_seek_cursor', ctx, at)
    again = []
    while x('nobjects_list_next', ctx, C.byref(name), None, None) == 0:
        again.append(name.value.decode())
    x('nobjects_list_close', ctx)
    t.eq(sorted(out + later), want)
    t.eq(again, out[-1:] + later)  # it is the cursor of the last one that was given


@case('list/by pages')
def _(t):
    t.io.namespace(t.oid)
    want = fill(t, 70)
    t.eq(pages(t, t.io.cursor(), t.io.cursor('end'), 7), want)
    t.eq(pages(t, t.io.cursor(), t.io.cursor('end'), 1000), want)


# ---- filters: what comes behind the name is the filter's own ------------------------------------
def filtered(t, *words, args=b''):
    filter = b''.join(struct.pack('<I', len(w)) + w for w in words) + args
    return pages(t, t.io.cursor(), t.io.cursor('end'), 20, filter)


def inode_tag(t, tag):
    args = struct.pack('<I', len(tag)) + tag
    return filtered(t, b'cephfs.inode_tag', args=struct.pack('<BBI', 1, 1, len(args)) + args)


@case('list/filter by an attribute')
def _(t):
    t.io.namespace(t.oid)
    want = fill(t, 45)
    for i, name in enumerate(want[:40]):
        t.ok(t.io.setxattr(name, 'color', (b'red', b'', b'redder', b'\0red')[i % 4],
                           (3, 0, 6, 4)[i % 4]))
    for kind in b'plain', b'hello.hello':
        for n, value in enumerate((b'red', b'', b'redder', b'\0red')):
            t.eq(filtered(t, kind, b'_color', value), want[n:40:4], (kind, value))
        t.eq(filtered(t, kind, b'_color', b'blue'), [], kind)
        t.eq(filtered(t, kind, b'color', b'red'), [], kind)
        t.eq(filtered(t, kind, b'_other', b''), [], kind)
        t.eq(filtered(t, kind, b'', b''), want, kind)
        t.eq(filtered(t, kind, b'', b'x'), [], kind)


@case('list/filter by the tag of a file')
def _(t):
    t.io.namespace(t.oid)
    tags = {'1.00000000': b'\4\0\0\0done', '1.00000001': b'', '2.00000000': b'\4\0\0\0open',
            '3.00000000': b'', '4.00000000': b'\x99', '00000000': b'', 'x': b'\4\0\0\0done'}
    for name, tag in tags.items():
        t.ok(t.io.write_full(name, b'', 0))
        if tag:
            t.ok(t.io.setxattr(name, 'scrub_tag', tag, len(tag)))
    firsts = ['1.00000000', '2.00000000', '3.00000000', '4.00000000']
    t.eq(inode_tag(t, b''), firsts)
    t.eq(inode_tag(t, b'none'), firsts)
    t.eq(inode_tag(t, b'done'), firsts[1:])
    t.eq(inode_tag(t, b'open'), firsts[:1] + firsts[2:])


@case('list/filter that is none')
def _(t):
    fill(t, 1)
    for name in (b'', b'.', b'odd', b'hello', b'hello.', b'.hello', b'hello.odd', b'odd.hello',
                 b'rbd.plain', b'plain.plain'):
        t.eq(filtered(t, name, b'_a', b'b'), 'EINVAL', name)
    for words in (b'plain',), (b'plain', b'_a'), (b'cephfs.inode_tag',), (b'hello.hello', b''):
        t.eq(filtered(t, *words, args=b'\xff\xff\xff\x7f'), 'EINVAL', words)


@case('list/cursors compare')
def _(t):
    begin, end = t.io.cursor(), t.io.cursor('end')
    t.eq(x('object_list_cursor_cmp', t.io.h, begin, end), -1)
    t.eq(x('object_list_cursor_cmp', t.io.h, end, begin), 1)
    t.eq(x('object_list_cursor_cmp', t.io.h, begin, t.io.cursor()), 0)
    t.eq((x('object_list_is_end', t.io.h, begin), x('object_list_is_end', t.io.h, end)), (0, 1))


@case('list/slices cover all once')
def _(t):
    t.io.namespace(t.oid)
    want, out = fill(t, 80), []
    for i in range(5):
        a, z = t.io.cursor(), t.io.cursor()
        x('object_list_slice', t.io.h, t.io.cursor(), t.io.cursor('end'), i, 5, C.byref(a),
          C.byref(z))
        out += pages(t, a, z, 9)
    t.eq(sorted(out), want)


@case('list/slices of a slice')
def _(t):
    t.io.namespace(t.oid)
    want, out = fill(t, 80), []
    for i in range(2):
        a, z = t.io.cursor(), t.io.cursor()
        x('object_list_slice', t.io.h, t.io.cursor(), t.io.cursor('end'), i, 2, C.byref(a),
          C.byref(z))
        for j in range(3):
            b, y = t.io.cursor(), t.io.cursor()
            x('object_list_slice', t.io.h, a, z, j, 3, C.byref(b), C.byref(y))
            out += pages(t, b, y, 100)
    t.eq(sorted(out), want)


@case('list/nothing is listed of an empty namespace')
def _(t):
    t.io.namespace(t.oid)
    t.eq(pages(t, t.io.cursor(), t.io.cursor('end'), 10), [])


@case('list/while objects come and go')
def _(t):
    t.io.namespace(t.oid)
    want, begin, end, out = fill(t, 60), t.io.cursor(), t.io.cursor('end'), []
    i = 0
    while not x('object_list_is_end', t.io.h, begin):
        got, begin = page(t, begin, end, 10)
        out += got
        t.ok(t.io.write_full('%s-new-%d' % (t.oid, i), b'', 0))
        i += 1
    t.true(set(want) <= set(out) and len(out) == len(set(out)), 'missing or twice')


@case('list/hash positions')
def _(t):
    s, pos, pg = String(t.oid), C.c_uint32(), C.c_uint32()
    t.ok(cxx('hash_position', holder(t.io.h), s.mem, C.byref(pos)))
    t.ok(cxx('pg_hash_position', holder(t.io.h), s.mem, C.byref(pg)))
    t.true(pg.value < 16, pg.value)


@case('list/1500 objects in one listing')
def _(t):
    from .calls import Completion
    t.io.namespace(t.oid)
    cs = []
    for name in names(t, 1500):
        c = Completion()
        x('aio_write_full', t.io.h, name, c.h, b'', 0)
        cs.append(c)
    t.true(not any(c.wait() for c in cs), 'a write failed')
    t.eq(listed(t.io), sorted(names(t, 1500)))


@case('list/of a pool that is gone')
def _(t):
    pool = t.suite.make_pool('rados-suite-gone', 1)
    io = t.another(pool)
    t.ok(io.write_full('a', b'', 0))
    t.suite.drop_pool(pool)
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.eq(io.read('a'), 'ENOENT')
    t.eq(io.write_full('a', b'', 0), 'ENOENT')
    t.eq(listed(io), [])
