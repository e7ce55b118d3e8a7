"""The stock librados by its C functions, and by those of C++ that C does not have.

A call gives what the library gives: 0 and above, or a negative errno. Vectors are lists of tuples,
one for each operation, such as ('write', 4, b'data'); the methods of Vector name them.
"""
import ctypes as C
import errno
import json
import struct

lib = C.CDLL('librados.so.2')
common = C.CDLL('/usr/lib/x86_64-linux-gnu/ceph/libceph-common.so.2')
P, U64, INT, SIZE = C.c_void_p, C.c_uint64, C.c_int, C.c_size_t

RESULTS = {  # of functions that give something else than an int
    P: 'create_write_op create_read_op object_list_begin object_list_end ioctx_get_cluster',
    U64: 'get_instance_id get_last_version aio_get_version ioctx_pool_required_alignment',
    C.c_int64: 'pool_lookup ioctx_get_id list_lockers',
    C.c_uint32: 'nobjects_list_get_pg_hash_position nobjects_list_seek omap_iter_size '
                'nobjects_list_seek_cursor',
}
for kind, names in RESULTS.items():
    for f in names.split():
        getattr(lib, 'rados_' + f).restype = kind

HEAD, SNAPDIR = 2**64 - 2, 2**64 - 1
FAILOK, EXCL = 2, 1  # flags of an operation
BALANCE, LOCALIZE, ORDERED, IGNORE_CACHE, FULL_TRY, RETURNVEC = 1, 2, 4, 8, 64, 1024
EQ, NE, GT, GTE, LT, LTE = 1, 2, 3, 4, 5, 6
XXHASH32, XXHASH64, CRC32C = 0, 1, 2
ALL_NAMESPACES = b'\x01'


def convert(a):
    """Whole numbers go as 64 bits, which fits every width that librados takes."""
    if isinstance(a, bool):
        return INT(a)
    if isinstance(a, int):
        return U64(a & (2**64 - 1))
    if isinstance(a, str):
        return C.c_char_p(a.encode())
    return a


def x(name, *args):
    """Calls rados_NAME."""
    return getattr(lib, 'rados_' + name)(*map(convert, args))


def word(r):
    """A result for reading: the name of an errno, or the number."""
    return errno.errorcode.get(-r, r) if r < 0 else r


# ---- C++: what has no C function. A write operation, a read operation and an IoCtx of C++ hold the
# pointers that C gives; strings and buffers are laid out as libstdc++ and Ceph do.
STR = 'NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE'
LIST = 'N4ceph6buffer7v15_2_04listE'
W, R = '_ZN8librados7v14_2_020ObjectWriteOperation', '_ZN8librados7v14_2_019ObjectReadOperation'
IO = '_ZN8librados7v14_2_05IoCtx'
MAP = 'St3mapImmSt4lessImESaISt4pairIKmmEEE'
SYMBOLS = {
    'copy_from': W + '9copy_fromERK' + STR + 'RKNS0_5IoCtxEmj',
    'copy_from2': W + '10copy_from2ERK' + STR + 'RKNS0_5IoCtxEmjmj',
    'cache_pin': W + '9cache_pinEv',
    'cache_unpin': W + '11cache_unpinEv',
    'undirty': W + '7undirtyEv',
    'set_header': W + '15omap_set_headerERK' + LIST,
    'snap_rollback': W + '13snap_rollbackEm',
    'set_redirect': W + '12set_redirectERK' + STR + 'RKNS0_5IoCtxEmi',
    'set_chunk': R + '9set_chunkEmmRKNS0_5IoCtxE' + STR + 'mi',
    'unset_manifest': W + '14unset_manifestEv',
    'tier_promote': W + '12tier_promoteEv',
    'tier_flush': R + '10tier_flushEv',
    'tier_evict': R + '10tier_evictEv',
    'cache_flush': R + '11cache_flushEv',
    'cache_try_flush': R + '15cache_try_flushEv',
    'cache_evict': R + '11cache_evictEv',
    'is_dirty': R + '8is_dirtyEPbPi',
    'get_header': R + '15omap_get_headerEP' + LIST + 'Pi',
    'sparse_read': R + '11sparse_readEmmP' + MAP + 'P' + LIST + 'Pi',
    'list_snaps': R + '10list_snapsEPNS_10snap_set_tEPi',
    'list_watchers': R + '13list_watchersEPNSt7__cxx114listI11obj_watch_tSaIS4_EEEPi',
    'mapext': IO + '6mapextERK' + STR + 'mmR' + MAP,
    'hash_position': IO + '25get_object_hash_position2ERK' + STR + 'Pj',
    'pg_hash_position': IO + '28get_object_pg_hash_position2ERK' + STR + 'Pj',
    'getxattr': R + '8getxattrEPKcP' + LIST + 'Pi',
    'hit_set_list': IO + '12hit_set_listEjPNS0_13AioCompletionEP'
                    'NSt7__cxx114listISt4pairIllESaIS7_EEE',
    'hit_set_get': IO + '11hit_set_getEjPNS0_13AioCompletionElP' + LIST,
    'cmpxattr_u64': '_ZN8librados7v14_2_015ObjectOperation8cmpxattrEPKchm',
    'set_op_flags2': '_ZN8librados7v14_2_015ObjectOperation13set_op_flags2Ei',
}


def cxx(name, *args):
    return getattr(lib, SYMBOLS[name])(*map(convert, args))


def holder(*words):
    """An object of C++ of some pointers."""
    return (P * len(words))(*words)


class String:
    def __init__(self, s):
        s = s.encode() if isinstance(s, str) else s
        self.text = C.create_string_buffer(s, len(s) + 1)
        self.mem = (U64 * 4)(C.addressof(self.text), len(s), len(s), 0)


class Buffer:
    """A bufferlist."""

    def __init__(self, b=b''):
        self.mem = (U64 * 4)()
        at = C.addressof(self.mem)
        empty = C.addressof(C.c_char.in_dll(common,
                                            '_ZN4ceph6buffer7v15_2_04list17always_empty_bptrE'))
        self.mem[:] = [at, at, empty, 0]
        if b:
            common._ZN4ceph6buffer7v15_2_04list6appendEPKcj(self.mem, b, len(b))

    def bytes(self):
        n = self.mem[3] & 0xffffffff
        if not n:
            return b''
        f = common._ZN4ceph6buffer7v15_2_04list5c_strEv
        f.restype = P
        return C.string_at(f(self.mem), n)


class Map:
    """A map of numbers to numbers."""

    def __init__(self):
        self.mem = (U64 * 6)()
        self.mem[3] = self.mem[4] = C.addressof(self.mem) + 8

    def items(self):
        out = []

        def walk(node):
            if node:
                _, _, left, right, k, v = struct.unpack('<6Q', C.string_at(node, 48))
                walk(left)
                out.append((k, v))
                walk(right)
        walk(self.mem[2])
        return out


def vector(at, size):
    """The elements of a vector at an address."""
    first, last = struct.unpack('<2Q', C.string_at(at, 16))
    return [first + i for i in range(0, last - first, size)]


def numbers(at, fmt):
    return struct.unpack(fmt, C.string_at(at, struct.calcsize(fmt)))


# ---- operations ----------------------------------------------------------------------------------
def strings(items):
    return (C.c_char_p * len(items))(*items), (SIZE * len(items))(*map(len, items))


def omap_items(it):
    out = []
    while True:
        k, v, kn, vn = P(), P(), SIZE(), SIZE()
        x('omap_get_next2', it, C.byref(k), C.byref(v), C.byref(kn), C.byref(vn))
        if not k.value:
            break
        out.append((C.string_at(k, kn.value), C.string_at(v, vn.value) if vn.value else b''))
    x('omap_get_end', it)
    return out


def xattr_items(it):
    out = []
    while True:
        k, v, n = C.c_char_p(), P(), SIZE()
        x('getxattrs_next', it, C.byref(k), C.byref(v), C.byref(n))
        if not k.value:
            break
        out.append((k.value, C.string_at(v, n.value) if n.value else b''))
    x('getxattrs_end', it)
    return out


READS = {'read', 'stat', 'getxattr', 'getxattrs', 'keys', 'vals', 'bykeys', 'checksum',
         'get_header', 'sparse_read', 'list_snaps', 'list_watchers', 'is_dirty', 'cache_flush',
         'cache_evict', 'cache_try_flush', 'tier_flush', 'tier_evict', 'set_chunk'}
NEUTRAL = {'assert_exists', 'assert_version', 'cmpxattr', 'cmpxattr_u64', 'omap_cmp', 'cmpext',
           'exec', 'flags'}


class Vector:
    """One request. outs has a function for each operation that gives something."""

    def __init__(self, ops, write=None):
        if write is None:
            write = not all(o[0] in READS | NEUTRAL for o in ops)
        self.write, self.outs, self.keep = write, [], [ops]
        self.op = x('create_write_op' if write else 'create_read_op')
        for o in ops:
            getattr(self, 'do_' + o[0])(*o[1:])

    def close(self):
        x('release_write_op' if self.write else 'release_read_op', P(self.op))

    def c(self, name, *args):
        self.keep.append(args)
        x(('write_op_' if self.write else 'read_op_') + name, P(self.op), *args)

    def cc(self, name, *args):
        self.keep.append(args)
        cxx(name, holder(0, self.op), *args)

    def out(self, f, *keep):
        self.keep.append(keep)
        self.outs.append(f)

    def rval(self):
        rv = INT()
        self.out(lambda: word(rv.value), rv)
        return C.byref(rv)

    # Of either kind.
    def do_flags(self, f): self.c('set_flags', f)
    def do_assert_exists(self): self.c('assert_exists')
    def do_assert_version(self, v): self.c('assert_version', v)
    def do_cmpext(self, off, b): self.c('cmpext', b, len(b), off, self.rval())
    def do_cmpxattr(self, k, how, v): self.c('cmpxattr', k, how, v, len(v))
    def do_cmpxattr_u64(self, k, how, v): self.cc('cmpxattr_u64', k, how, v)

    def do_omap_cmp(self, k, how, v):
        self.c('omap_cmp2', k, how, v, len(k), len(v), self.rval())

    def do_exec(self, cls, method, b=b''):
        if self.write:
            self.c('exec', cls, method, b, len(b), self.rval())
            return
        out, n, rv = P(), SIZE(), INT()
        self.out(lambda: (word(rv.value), C.string_at(out, n.value) if n.value else b''))
        self.c('exec', cls, method, b, len(b), C.byref(out), C.byref(n), C.byref(rv))

    # Writing.
    def do_create(self, exclusive=0): self.c('create', exclusive, None)
    def do_write(self, off, b): self.c('write', b, len(b), off)
    def do_write_full(self, b): self.c('write_full', b, len(b))
    def do_writesame(self, off, n, b): self.c('writesame', b, len(b), n, off)
    def do_append(self, b): self.c('append', b, len(b))
    def do_remove(self): self.c('remove')
    def do_truncate(self, n): self.c('truncate', n)
    def do_zero(self, off, n): self.c('zero', off, n)
    def do_setxattr(self, k, v): self.c('setxattr', k, v, len(v))
    def do_rmxattr(self, k): self.c('rmxattr', k)
    def do_hint(self, size, write, flags=0): self.c('set_alloc_hint2', size, write, flags)
    def do_omap_clear(self): self.c('omap_clear')
    def do_omap_rm_range(self, a, b): self.c('omap_rm_range2', a, len(a), b, len(b))

    def do_omap_set(self, pairs):
        ks, kl = strings(list(pairs))
        vs, vl = strings(list(pairs.values()))
        self.c('omap_set2', ks, vs, kl, vl, len(pairs))

    def do_omap_rm(self, *keys):
        ks, kl = strings(keys)
        self.c('omap_rm_keys2', ks, kl, len(keys))

    def do_set_header(self, b):
        buf = Buffer(b)
        self.keep.append(buf)
        self.cc('set_header', buf.mem)

    def copy(self, name, io, oid, version, *more):
        s = String(oid)
        self.keep.append(s)
        self.cc(name, s.mem, holder(io.h), version, *more)

    def do_copy_from(self, io, oid, version=0, fadvise=0):
        self.copy('copy_from', io, oid, version, fadvise)

    def do_copy_from2(self, io, oid, version, seq, size, fadvise=0):
        self.copy('copy_from2', io, oid, version, seq, size, fadvise)

    def do_set_redirect(self, io, oid, version=0): self.copy('set_redirect', io, oid, version, 0)
    def do_snap_rollback(self, snap): self.cc('snap_rollback', snap)
    def do_undirty(self): self.cc('undirty')
    def do_cache_pin(self): self.cc('cache_pin')
    def do_cache_unpin(self): self.cc('cache_unpin')
    def do_unset_manifest(self): self.cc('unset_manifest')
    def do_tier_promote(self): self.cc('tier_promote')

    # Reading.
    def do_cache_flush(self): self.cc('cache_flush')
    def do_cache_try_flush(self): self.cc('cache_try_flush')
    def do_cache_evict(self): self.cc('cache_evict')
    def do_tier_flush(self): self.cc('tier_flush')
    def do_tier_evict(self): self.cc('tier_evict')

    def do_read(self, off, n):
        buf, got, rv = C.create_string_buffer(max(n, 1)), SIZE(), INT()
        self.out(lambda: buf.raw[:got.value] if rv.value >= 0 else word(rv.value), buf)
        self.c('read', off, n, buf, C.byref(got), C.byref(rv))

    def do_stat(self):
        size, t, rv = U64(), C.c_long(), INT()
        self.out(lambda: size.value if rv.value >= 0 else word(rv.value), t)
        self.c('stat', C.byref(size), C.byref(t), C.byref(rv))

    def do_getxattr(self, k):
        buf, rv = Buffer(), INT()
        self.out(lambda: buf.bytes() if rv.value >= 0 else word(rv.value))
        self.cc('getxattr', k, buf.mem, C.byref(rv))

    def do_getxattrs(self):
        it, rv = P(), INT()
        self.out(lambda: dict(xattr_items(it)) if it.value else word(rv.value))
        self.c('getxattrs', C.byref(it), C.byref(rv))

    def omap(self, name, more, *args):
        """The pairs, and a last element that says whether there are more."""
        it, rv = P(), INT()
        tail = [] if more is None else [C.byref(more)]

        def get():
            if rv.value < 0 or not it.value:
                return word(rv.value)
            got = [k if 'keys2' in name and 'by' not in name else (k, v)
                   for k, v in omap_items(it)]
            return got + (['...'] if more else [])
        self.out(get)
        self.c(name, *args, C.byref(it), *tail, C.byref(rv))

    def do_keys(self, after, n): self.omap('omap_get_keys2', C.c_ubyte(), after, n)

    def do_vals(self, after, prefix, n):
        self.omap('omap_get_vals2', C.c_ubyte(), after, prefix, n)

    def do_bykeys(self, *keys):
        ks, kl = strings(keys)
        self.omap('omap_get_vals_by_keys2', None, ks, len(keys), kl)

    def do_checksum(self, kind, init, off, n, chunk, room=64):
        buf, rv = C.create_string_buffer(room), INT()

        def get():
            if rv.value < 0:
                return word(rv.value)
            count = struct.unpack_from('<I', buf.raw)[0]
            return struct.unpack_from('<%d%s' % (count, 'Q' if len(init) == 8 else 'I'), buf.raw, 4)
        self.out(get)
        self.c('checksum', kind, init, len(init), off, n, chunk, buf, room, C.byref(rv))

    def do_get_header(self):
        buf, rv = Buffer(), INT()
        self.out(lambda: buf.bytes() if rv.value >= 0 else word(rv.value))
        self.cc('get_header', buf.mem, C.byref(rv))

    def do_sparse_read(self, off, n):
        at, buf, rv = Map(), Buffer(), INT()
        self.out(lambda: (at.items(), buf.bytes()) if rv.value >= 0 else word(rv.value))
        self.cc('sparse_read', off, n, at.mem, buf.mem, C.byref(rv))

    def do_is_dirty(self):
        dirty, rv = C.c_bool(), INT()
        self.out(lambda: dirty.value if rv.value >= 0 else word(rv.value))
        self.cc('is_dirty', C.byref(dirty), C.byref(rv))

    def do_set_chunk(self, off, n, io, oid, to):
        s = String(oid)
        self.keep.append(s)
        self.cc('set_chunk', off, n, holder(io.h), s.mem, to, 0)

    def do_list_watchers(self):
        """(id, cookie, seconds) of each."""
        mem, rv = (U64 * 3)(), INT()
        mem[0] = mem[1] = C.addressof(mem)

        def get():
            out, node = [], mem[0]
            while node != C.addressof(mem):
                out.append(numbers(node + 16 + 256, '<qQI'))
                node, = numbers(node, '<Q')
            return out if rv.value >= 0 else word(rv.value)
        self.out(get)
        self.cc('list_watchers', mem, C.byref(rv))

    def do_list_snaps(self):
        """(seq, [(clone, [snaps], [overlaps], size)])."""
        mem, rv = (U64 * 4)(), INT()

        def get():
            out = []
            for at in vector(C.addressof(mem), 64):
                out.append((numbers(at, '<Q')[0], [numbers(s, '<Q')[0] for s in vector(at + 8, 8)],
                            [numbers(o, '<2Q') for o in vector(at + 32, 16)],
                            numbers(at + 56, '<Q')[0]))
            return (mem[3], out) if rv.value >= 0 else word(rv.value)
        self.out(get)
        self.cc('list_snaps', mem, C.byref(rv))


# ---- handles -------------------------------------------------------------------------------------
class Cluster:
    def __init__(self, conf, user='admin', **options):
        self.h = P()
        x('create', C.byref(self.h), user)
        if conf:
            r = x('conf_read_file', self.h, conf)
            if r < 0:
                raise OSError(-r, 'cannot read ' + conf)
        for k, v in options.items():
            if x('conf_set', self.h, k, str(v)) < 0:
                raise ValueError(k)

    def connect(self): return x('connect', self.h)
    def shutdown(self): x('shutdown', self.h)

    def command(self, kind, cmd, *to, data=b''):
        """Sends a command: (result, output, status)."""
        out, n, text, tn = P(), SIZE(), P(), SIZE()
        cmd = cmd if isinstance(cmd, str) else json.dumps(cmd)
        r = x(kind, self.h, *to, (C.c_char_p * 1)(cmd.encode()), 1, data, len(data),
              C.byref(out), C.byref(n), C.byref(text), C.byref(tn))
        got = [C.string_at(p, s.value) if p.value and s.value else b''
               for p, s in ((out, n), (text, tn))]
        for p in (out, text):
            if p.value:
                x('buffer_free', p)
        return word(r), got[0], got[1].decode()

    def mon(self, **cmd): return self.command('mon_command', cmd)

    def ask(self, **cmd):
        """A command that has to succeed."""
        r, out, text = self.mon(**dict(cmd, format='json'))
        if r:
            raise OSError('%s: %s %s' % (cmd, r, text))
        return json.loads(out) if out.strip() else None


class Io:
    """An ioctx. Methods that it does not have are rados_NAME, with the ioctx before the rest."""

    def __init__(self, cluster, pool):
        self.h, self.cluster = P(), cluster
        if isinstance(pool, int):
            self.opened = x('ioctx_create2', cluster.h, pool, C.byref(self.h))
        else:
            self.opened = x('ioctx_create', cluster.h, pool, C.byref(self.h))

    def __getattr__(self, name):
        if name not in self.__dict__ and hasattr(lib, 'rados_' + name):
            return lambda *args: word(x(name, self.h, *args))
        raise AttributeError(name)

    def close(self): x('ioctx_destroy', self.h)
    def namespace(self, ns): x('ioctx_set_namespace', self.h, ns)
    def locator(self, key): x('ioctx_locator_set_key', self.h, key)
    def snap_read(self, snap): x('ioctx_snap_set_read', self.h, snap)
    def version(self): return x('get_last_version', self.h)

    def snap_context(self, seq, snaps):
        return self.ioctx_selfmanaged_snap_set_write_ctx(seq, (U64 * len(snaps))(*snaps),
                                                         len(snaps))

    def run(self, oid, ops, flags=0, write=None, mtime=None):
        """Runs a vector: (result, what each operation gave)."""
        v = Vector(ops, write)
        if v.write:
            when = None if mtime is None else C.byref((C.c_long * 2)(*mtime))
            r = x('write_op_operate2', P(v.op), self.h, oid, when, flags)
        else:
            r = x('read_op_operate', P(v.op), self.h, oid, flags)
        outs = [f() for f in v.outs] if word(r) != 'ETIMEDOUT' else []
        v.close()
        return word(r), outs

    def read(self, oid, n=1 << 20, off=0):
        buf = C.create_string_buffer(max(n, 1))
        r = x('read', self.h, oid, buf, n, off)
        return buf.raw[:r] if r >= 0 else word(r)

    def stat(self, oid):
        """(size, seconds)."""
        size, t = U64(), C.c_long()
        r = x('stat', self.h, oid, C.byref(size), C.byref(t))
        return (size.value, t.value) if r == 0 else word(r)

    def call(self, oid, cls, method, data=b'', room=1 << 16):
        buf = C.create_string_buffer(room)
        r = x('exec', self.h, oid, cls, method, data, len(data), buf, room)
        return buf.raw[:r] if r >= 0 else word(r)

    def state(self, oid):
        """All of an object: None, or data, xattrs, keys and header."""
        r, outs = self.run(
            oid, [('read', 0, 1 << 20), ('getxattrs',), ('vals', b'', b'', 1000), ('get_header',)])
        if r == 'ENOENT':
            return None
        if r != 0:
            return r
        data, attrs, keys, header = outs
        return dict(data=data, x=attrs, k=dict(keys), h=header)

    def cursor(self, which='begin'): return P(x('object_list_' + which, self.h))
