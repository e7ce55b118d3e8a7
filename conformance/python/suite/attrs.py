"""Attributes and omap."""
from .case import case, rows
from .librados import EQ, GT, GTE, LT, LTE, NE, FAILOK

X = dict(data=b'd', x={'a': b'bb', 'n': b'10', 'e': b''})

rows('xattr', [
    ('set creates', None, [('setxattr', 'a', b'1')], 0, [], dict(x={'a': b'1'})),
    ('set over', X, [('setxattr', 'a', b'c')], 0, [],
     dict(data=b'd', x={'a': b'c', 'n': b'10', 'e': b''})),
    ('set nothing', b'', [('setxattr', 'a', b'')], 0, [], dict(x={'a': b''})),
    ('set 64 KiB', b'', [('setxattr', 'a', b'v' * 65536)], 0, [], dict(x={'a': b'v' * 65536})),
    ('odd names', None, [('setxattr', n, b'1') for n in ('_', '__', 'a b', 'é', '\n', '/x')], 0,
     [], dict(x={n: b'1' for n in ('_', '__', 'a b', 'é', '\n', '/x')})),
    ('binary value', b'', [('setxattr', 'a', bytes(range(256)))], 0, [],
     dict(x={'a': bytes(range(256))})),
    ('longest name', b'', [('setxattr', 'a' * 100, b'1')], 0, [], dict(x={'a' * 100: b'1'})),
    ('name too long', b'', [('setxattr', 'a' * 101, b'1')], 'ENAMETOOLONG'),
    ('remove', X, [('rmxattr', 'a')], 0, [], dict(data=b'd', x={'n': b'10', 'e': b''})),
    ('remove an absent one', X, [('rmxattr', 'zz')]),
    ('remove of a missing object', None, [('rmxattr', 'a')], 'ENOENT'),
    ('set, remove, set', b'', [('setxattr', 'a', b'1'), ('rmxattr', 'a'),
                               ('setxattr', 'a', b'2')], 0, [], dict(x={'a': b'2'})),
    ('one of a vector', X, [('getxattr', 'a'), ('getxattr', 'e'), ('stat',)], 0, [b'bb', b'', 1]),
    ('one that is absent', X, [('getxattr', 'zz')], 'ENODATA', ['ENODATA']),
    ('one of a missing object', None, [('getxattr', 'a')], 'ENOENT'),
    ('all', X, [('getxattrs',)], 0, [{b'a': b'bb', b'n': b'10', b'e': b''}]),
    ('all of none', b'', [('getxattrs',)], 0, [{}]),
    ('all of a missing object', None, [('getxattrs',)], 'ENOENT'),
])


@case('xattr/one by one')
def _(t):
    import ctypes
    t.make(X)

    def get(name, room=100):
        buf = ctypes.create_string_buffer(room)
        r = t.io.getxattr(t.oid, name, buf, room)
        return buf.raw[:r] if isinstance(r, int) else r
    t.eq(get('a'), b'bb')
    t.eq(get('e'), b'')
    t.eq(get('zz'), 'ENODATA')
    t.eq(get('a', 1), 'ERANGE')
    t.ok(t.io.setxattr(t.oid, 'a', b'new', 3))
    t.eq(get('a'), b'new')
    t.ok(t.io.rmxattr(t.oid, 'a'))
    t.eq(get('a'), 'ENODATA')
    t.ok(t.io.rmxattr(t.oid, 'a'))
    t.ok(t.io.remove(t.oid))
    t.eq(get('a'), 'ENOENT')
    t.eq(t.io.rmxattr(t.oid, 'a'), 'ENOENT')


# ---- comparisons. The value of the request stands at the left of the operator. -------------------
HOLDS = {EQ: {0}, NE: {-1, 1}, GT: {1}, GTE: {0, 1}, LT: {-1}, LTE: {-1, 0}}
NAMES = {EQ: 'eq', NE: 'ne', GT: 'gt', GTE: 'gte', LT: 'lt', LTE: 'lte'}
for how, orders in HOLDS.items():
    rows('cmpxattr', [
        ('text %s %s' % (NAMES[how], v.decode()), X, [('cmpxattr', 'a', how, v)],
         1 if order in orders else 'ECANCELED')
        for v, order in ((b'ba', -1), (b'bb', 0), (b'bbb', 1))
    ] + [
        ('number %s %d' % (NAMES[how], v), X, [('cmpxattr_u64', 'n', how, v)],
         1 if order in orders else 'ECANCELED')
        for v, order in ((9, -1), (10, 0), (11, 1))
    ])

rows('cmpxattr', [
    ('absent is empty', X, [('cmpxattr', 'zz', EQ, b'')], 1),
    ('absent is not', X, [('cmpxattr', 'zz', NE, b'x')], 1),
    ('absent number is 0', X, [('cmpxattr_u64', 'zz', EQ, 0)], 1),
    ('text is number 0', X, [('cmpxattr_u64', 'a', EQ, 0)], 1),
    ('operator of none', X, [('cmpxattr', 'a', 7, b'bb')], 'EINVAL'),
    ('missing', None, [('cmpxattr', 'a', EQ, b'')], 'ENOENT'),
    ('guards a write', X, [('cmpxattr', 'a', EQ, b'bb'), ('write_full', b'new')], 0, [],
     dict(X, data=b'new')),
    ('refuses a write', X, [('cmpxattr', 'a', EQ, b'x'), ('write_full', b'new')], 'ECANCELED'),
    ('of a missing object, writing', None, [('cmpxattr', 'a', EQ, b''), ('create', 0)], 'ENOENT'),
    ('refused for a missing object, writing', None, [('cmpxattr', 'a', EQ, b'x'), ('create', 0)],
     'ENOENT'),
    ('may fail', X, [('cmpxattr', 'a', EQ, b'x'), ('flags', FAILOK), ('write_full', b'new')], 0, [],
     dict(X, data=b'new')),
    ('twice', X, [('cmpxattr', 'a', EQ, b'bb'), ('cmpxattr', 'n', EQ, b'x')], 'ECANCELED'),
    ('sees what was there before', X,
     [('setxattr', 'a', b'new'), ('cmpxattr', 'a', EQ, b'bb')], 0, [],
     dict(X, x={'a': b'new', 'n': b'10', 'e': b''})),
])

# ---- omap ----------------------------------------------------------------------------------------
K = dict(data=b'd', k={'a': b'1', 'b': b'', 'ba': b'3', 'c': b'4'}, h=b'head')
PAIRS = [(b'a', b'1'), (b'b', b''), (b'ba', b'3'), (b'c', b'4')]


def less(*keys):
    return dict(K, k={k: v for k, v in K['k'].items() if k not in keys})


rows('omap', [
    ('set creates', None, [('omap_set', {b'a': b'1'})], 0, [], dict(k={'a': b'1'})),
    ('set over', K, [('omap_set', {b'a': b'2', b'z': b'9'})], 0, [],
     dict(K, k=dict(K['k'], a=b'2', z=b'9'))),
    ('set nothing', None, [('omap_set', {})], 0, [], b''),
    ('odd keys', None, [('omap_set', {b'\0': b'1', b'\xff\xfe': b'2', b'a\0b': b'3'})],
     0, [], dict(k={b'\0': b'1', b'\xff\xfe': b'2', b'a\0b': b'3'})),
    ('long key', None, [('omap_set', {b'k' * 3000: b'v'})], 0, [], dict(k={b'k' * 3000: b'v'})),
    ('1 MiB value', None, [('omap_set', {b'k': b'v' * (1 << 20)})], 0, [],
     dict(k={b'k': b'v' * (1 << 20)})),
    ('header', None, [('set_header', b'h')], 0, [], dict(h=b'h')),
    ('header over', K, [('set_header', b'new')], 0, [], dict(K, h=b'new')),
    ('header of nothing', K, [('set_header', b'')], 0, [], dict(K, h=b'')),
    ('get header', K, [('get_header',)], 0, [b'head']),
    ('get header of none', b'', [('get_header',)], 0, [b'']),
    ('get header missing', None, [('get_header',)], 'ENOENT'),
    ('keys', K, [('keys', b'', 10)], 0, [[b'a', b'b', b'ba', b'c']]),
    ('keys after', K, [('keys', b'b', 10)], 0, [[b'ba', b'c']]),
    ('keys after an absent one', K, [('keys', b'aa', 10)], 0, [[b'b', b'ba', b'c']]),
    ('keys after the last', K, [('keys', b'c', 10)], 0, [[]]),
    ('keys, fewer', K, [('keys', b'', 2)], 0, [[b'a', b'b', '...']]),
    ('keys, exactly all', K, [('keys', b'', 4)], 0, [[b'a', b'b', b'ba', b'c']]),
    ('keys, none asked for', K, [('keys', b'', 0)], 0, [['...']]),
    ('keys of none', b'', [('keys', b'', 10)], 0, [[]]),
    ('keys missing', None, [('keys', b'', 10)], 'ENOENT'),
    ('values', K, [('vals', b'', b'', 10)], 0, [PAIRS]),
    ('values after', K, [('vals', b'a', b'', 10)], 0, [PAIRS[1:]]),
    ('values with a prefix', K, [('vals', b'', b'b', 10)], 0, [PAIRS[1:3]]),
    ('values with a prefix after', K, [('vals', b'b', b'b', 10)], 0, [PAIRS[2:3]]),
    ('values with a prefix, fewer', K, [('vals', b'', b'b', 1)], 0, [[PAIRS[1], '...']]),
    ('values with a prefix, exactly', K, [('vals', b'', b'b', 2)], 0, [PAIRS[1:3]]),
    ('values with a prefix of none', K, [('vals', b'', b'x', 10)], 0, [[]]),
    ('values after the prefix', K, [('vals', b'bz', b'b', 10)], 0, [[]]),
    ('values of none', b'', [('vals', b'', b'', 10)], 0, [[]]),
    ('values missing', None, [('vals', b'', b'', 10)], 'ENOENT'),
    ('by keys', K, [('bykeys', b'a', b'zz', b'c')], 0, [[PAIRS[0], PAIRS[3]]]),
    ('by no keys', K, [('bykeys',)], 0, [[]]),
    ('by keys of none', b'', [('bykeys', b'a')], 0, [[]]),
    ('by keys missing', None, [('bykeys', b'a')], 'ENOENT'),
    ('remove keys', K, [('omap_rm', b'a', b'zz')], 0, [], less('a')),
    ('remove no keys', K, [('omap_rm',)]),
    ('remove keys of none', b'', [('omap_rm', b'a')]),
    ('remove keys missing', None, [('omap_rm', b'a')], 'ENOENT'),
    ('remove a range', K, [('omap_rm_range', b'b', b'c')], 0, [], less('b', 'ba')),
    ('remove a range of all', K, [('omap_rm_range', b'', b'zz')], 0, [],
     less('a', 'b', 'ba', 'c')),
    ('remove an empty range', K, [('omap_rm_range', b'b', b'b')]),
    ('remove a range missing', None, [('omap_rm_range', b'b', b'c')], 'ENOENT'),
    ('clear', K, [('omap_clear',)], 0, [], b'd'),
    ('clear of none', b'd', [('omap_clear',)]),
    ('clear missing', None, [('omap_clear',)], 'ENOENT'),
    ('clear and set', K, [('omap_clear',), ('omap_set', {b'n': b'1'})], 0, [],
     dict(data=b'd', k={'n': b'1'})),
    ('set and clear', None, [('omap_set', {b'n': b'1'}), ('omap_clear',)], 0, [], b''),
    ('everything at once', K, [('keys', b'', 1), ('vals', b'', b'', 1), ('bykeys', b'c'),
                               ('get_header',), ('read', 0, 9), ('stat',)], 0,
     [[b'a', '...'], [PAIRS[0], '...'], [PAIRS[3]], b'head', b'd', 1]),
])

KEY = dict(k={'k': b'm', 'e': b''})
rows('omap_cmp', [
    ('eq', KEY, [('omap_cmp', b'k', EQ, b'm')], 0, [0]),
    ('eq not', KEY, [('omap_cmp', b'k', EQ, b'x')], 'ECANCELED'),
    ('lt', KEY, [('omap_cmp', b'k', LT, b'n')], 0, [0]),
    ('lt not', KEY, [('omap_cmp', b'k', LT, b'm')], 'ECANCELED'),
    ('gt', KEY, [('omap_cmp', b'k', GT, b'l')], 0, [0]),
    ('gt not', KEY, [('omap_cmp', b'k', GT, b'm')], 'ECANCELED'),
    ('absent is empty', KEY, [('omap_cmp', b'zz', EQ, b'')], 0, [0]),
    ('absent is not', KEY, [('omap_cmp', b'zz', EQ, b'x')], 'ECANCELED'),
    ('ne is none', KEY, [('omap_cmp', b'k', NE, b'x')], 'EINVAL'),
    ('missing', None, [('omap_cmp', b'k', EQ, b'')], 'ENOENT'),
    ('of no omap', b'', [('omap_cmp', b'k', EQ, b'')], 0, [0]),
    ('guards a write', KEY, [('omap_cmp', b'k', EQ, b'm'), ('omap_set', {b'k': b'n'})], 0, [0],
     dict(k={'k': b'n', 'e': b''})),
    ('refuses a write', KEY, [('omap_cmp', b'k', EQ, b'x'), ('omap_set', {b'k': b'n'})],
     'ECANCELED'),
    ('missing, writing', None, [('omap_cmp', b'k', EQ, b''), ('create', 0)], 'ENOENT'),
])


@case('omap/the empty key')
def _(t):
    t.ok(t.do(('omap_set', {b'': b'0', b'a': b'1'})))
    t.eq(t.do(('bykeys', b'')), [(b'', b'0')])
    t.eq(t.do(('keys', b'', 10)), [b'a'])
    t.ok(t.do(('omap_rm', b'')))
    t.eq(t.do(('bykeys', b'')), [])


@case('omap/more than a request gives')
def _(t):
    keys = [b'%05d' % i for i in range(2500)]
    for i in range(0, 2500, 500):
        t.ok(t.do(('omap_set', {k: b'' for k in keys[i:i + 500]})))
    first = t.do(('keys', b'', 5000))
    t.eq((len(first), first[-1]), (1025, '...'))
    vals = t.do(('vals', b'01023', b'', 5000))
    t.eq((len(vals), vals[0], vals[-1]), (1025, (b'01024', b''), '...'))
    t.eq(len(t.do(('keys', b'02047', 5000))), 452)
    t.ok(t.do(('omap_rm_range', b'00001', b'02499')))
    t.eq(t.do(('keys', b'', 10)), [b'00000', b'02499'])
