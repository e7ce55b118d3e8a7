"""The cluster: pools, applications, commands, the blocklist, services, reconnects, the striper."""
import ctypes as C
import json
import time

from .case import case
from .librados import Cluster, INT, P, SIZE, U64, word, x


def text(call, *args, room=4096):
    """What a call writes into a buffer, by (…, buffer, room)."""
    buf = C.create_string_buffer(room)
    r = word(call(*args, buf, room))
    return buf.raw[:r] if isinstance(r, int) else r


# ---- handles -------------------------------------------------------------------------------------
@case('cluster/fsid, addresses and instance')
def _(t):
    fsid = text(lambda *a: x('cluster_fsid', t.cluster.h, *a), room=37)
    t.eq(len(fsid), 36)
    t.eq(fsid.decode(), t.cluster.ask(prefix='status')['fsid'])
    t.eq(text(lambda *a: x('cluster_fsid', t.cluster.h, *a), room=10), 'ERANGE')
    addrs = C.c_char_p()
    t.ok(x('getaddrs', t.cluster.h, C.byref(addrs)))
    t.true(b':0/' in addrs.value, addrs.value)
    other = t.connect()
    t.true(x('get_instance_id', other.h) != x('get_instance_id', t.cluster.h), 'the same id')


@case('cluster/statistics')
def _(t):
    st = (U64 * 4)()
    t.ok(x('cluster_stat', t.cluster.h, st))
    t.true(st[0] > 0 and st[0] >= st[2], list(st))
    t.true(abs(st[0] - st[1] - st[2]) < st[0] // 10, list(st))


@case('cluster/ping a monitor')
def _(t):
    out, n = P(), SIZE()
    t.ok(x('ping_monitor', t.cluster.h, 'a', C.byref(out), C.byref(n)))
    got = json.loads(C.string_at(out, n.value))
    t.true('mon_status' in got and 'health' in got, sorted(got))


@case('cluster/ping a monitor that is none')
def _(t):
    out, n = P(), SIZE()
    t.eq(word(x('ping_monitor', t.cluster.h, 'zz', C.byref(out), C.byref(n))), 'ENOENT')


@case('cluster/minimum releases')
def _(t):
    osd, client, required = C.c_int8(), C.c_int8(), C.c_int8()
    t.ok(x('get_min_compatible_osd', t.cluster.h, C.byref(osd)))
    t.ok(x('get_min_compatible_client', t.cluster.h, C.byref(client), C.byref(required)))
    t.eq(osd.value, 16)
    t.true(0 <= client.value <= required.value + 12 and required.value >= 0,
           (client.value, required.value))


@case('cluster/latest map')
def _(t):
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))


@case('cluster/wrong key')
def _(t):
    c = Cluster(t.suite.conf, key='AQAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAA==', keyring='/dev/null',
                client_mount_timeout=10)
    t.eq(word(c.connect()), 'EACCES')
    c.shutdown()


@case('cluster/no such user')
def _(t):
    key = t.cluster.ask(prefix='auth get-or-create-key', entity='client.suite-gone')['key']
    t.cluster.ask(prefix='auth rm', entity='client.suite-gone')
    c = Cluster(t.suite.conf, 'suite-gone', key=key, keyring='/dev/null', client_mount_timeout=10)
    t.eq(word(c.connect()), 'EACCES')
    c.shutdown()


@case('cluster/caps of a user')
def _(t):
    caps = ['mon', 'allow r', 'osd', 'allow r pool=%s namespace=open, allow class-read' % t.pool]
    key = t.cluster.ask(prefix='auth get-or-create-key', entity='client.suite-r', caps=caps)['key']
    io = t.another(cluster=t.connect(user='suite-r', key=key, keyring='/dev/null'))
    t.make(b'closed')
    t.io.namespace('open')
    t.make(b'open')
    t.eq(io.read(t.oid), 'EPERM')
    io.namespace('open')
    t.eq(io.read(t.oid), b'open')
    t.eq(io.write_full(t.oid, b'x', 1), 'EPERM')
    t.eq(io.remove(t.oid), 'EPERM')
    t.eq(io.run(t.oid, [('read', 0, 4), ('stat',)]), (0, [b'open', 4]))
    t.eq(io.run(t.oid, [('assert_exists',), ('append', b'x')])[0], 'EPERM')
    t.eq(io.call(t.oid, 'hello', 'say_hello', b''), b'Hello, world!')
    t.eq(io.call(t.oid, 'hello', 'record_hello', b''), 'EPERM')
    t.cluster.ask(prefix='auth rm', entity='client.suite-r')


# ---- pools ---------------------------------------------------------------------------------------
@case('pool/create, look up, delete', slow=True)
def _(t):
    name = 'rados-suite-made'
    t.eq(word(x('pool_lookup', t.cluster.h, name)), 'ENOENT')
    t.ok(x('pool_create', t.cluster.h, name))
    t.eq(word(x('pool_create', t.cluster.h, name)), 'EEXIST')
    id = x('pool_lookup', t.cluster.h, name)
    t.true(id > 0, id)
    t.eq(text(lambda *a: x('pool_reverse_lookup', t.cluster.h, id, *a)), name.encode())
    t.eq(text(lambda *a: x('pool_reverse_lookup', t.cluster.h, id, *a), room=5), 'ERANGE')
    names = text(lambda *a: x('pool_list', t.cluster.h, *a))
    t.true(name.encode() in names.split(b'\0'), names)
    io = t.another(name)
    t.ok(io.write_full('a', b'x', 1))
    t.ok(x('pool_delete', t.cluster.h, name))
    t.eq(word(x('pool_delete', t.cluster.h, name)), 'ENOENT')
    t.eq(word(x('pool_lookup', t.cluster.h, name)), 'ENOENT')


@case('pool/a long name', slow=True)
def _(t):
    name = 'n' * 500
    t.ok(x('pool_create', t.cluster.h, name))
    id = x('pool_lookup', t.cluster.h, name)
    t.eq(text(lambda *a: x('pool_reverse_lookup', t.cluster.h, id, *a)), name.encode())
    t.ok(x('pool_delete', t.cluster.h, name))


@case('pool/with a rule', slow=True)
def _(t):
    t.cluster.ask(prefix='osd crush rule create-simple', name='suite-rule', root='default',
                  type='osd')
    rules = {r['rule_name']: r['rule_id'] for r in t.cluster.ask(prefix='osd crush rule dump')}
    rule = rules['suite-rule']
    for call, args in (('with_crush_rule', (rule,)), ('with_all', (-1, rule)),
                       ('with_auid', (-1,))):
        name = 'rados-suite-' + call
        t.ok(x('pool_create_' + call, t.cluster.h, name, *args), call)
        got = t.cluster.ask(prefix='osd pool get', pool=name, var='crush_rule')['crush_rule']
        t.eq(got == 'suite-rule', call != 'with_auid', call)
        t.suite.drop_pool(name)
    t.cluster.ask(prefix='osd crush rule rm', name='suite-rule')


@case('pool/with a rule that is none')
def _(t):
    name = 'rados-suite-none'
    t.eq(word(x('pool_create_with_crush_rule', t.cluster.h, name, 77)), 'ENOENT')
    t.eq(word(x('pool_create_with_all', t.cluster.h, name, -1, 77)), 'ENOENT')
    t.eq(word(x('pool_create_with_all', t.cluster.h, name, 5, 0)), 'EINVAL')
    t.eq(word(x('pool_create_with_auid', t.cluster.h, name, 5)), 'EINVAL')
    t.eq(word(x('pool_lookup', t.cluster.h, name)), 'ENOENT')


@case('pool/list with too little room')
def _(t):
    buf = C.create_string_buffer(2)
    need = x('pool_list', t.cluster.h, buf, 2)
    t.true(need > len(t.pool), need)


@case('pool/of none')
def _(t):
    t.eq(word(t.another('rados-suite-none').opened), 'ENOENT')
    t.eq(word(t.another(999999).opened), 'ENOENT')
    t.eq(text(lambda *a: x('pool_reverse_lookup', t.cluster.h, 999999, *a)), 'ENOENT')


@case('pool/by number')
def _(t):
    id = x('pool_lookup', t.cluster.h, t.pool)
    io = t.another(id)
    t.make(b'x')
    t.eq(io.read(t.oid), b'x')
    t.eq(x('ioctx_get_id', io.h), id)
    t.eq(text(lambda *a: x('ioctx_get_pool_name', io.h, *a)), t.pool.encode())
    t.eq(x('ioctx_get_cluster', io.h) is not None, True)


@case('pool/rename', slow=True)
def _(t):
    io = t.another(t.suite.make_pool('rados-suite-old', 1))
    t.ok(io.write_full('a', b'x', 1))
    t.cluster.ask(prefix='osd pool rename', srcpool='rados-suite-old', destpool='rados-suite-new')
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.eq(word(x('pool_lookup', t.cluster.h, 'rados-suite-old')), 'ENOENT')
    t.eq(io.read('a'), b'x')
    t.eq(t.another('rados-suite-new').read('a'), b'x')
    t.suite.drop_pool('rados-suite-new')


@case('pool/statistics', slow=True)
def _(t):
    pool = t.suite.make_pool('rados-suite-stat', 1)
    io = t.another(pool)
    for i in range(5):
        t.ok(io.write_full('o%d' % i, b'x' * 1000, 1000))
    st = (U64 * 16)()

    def there():
        t.ok(x('ioctx_pool_stat', io.h, st))
        return st[2] == 5
    t.until(there, 'the statistics come', 40)
    t.true(st[0] >= 5000, st[0])
    t.eq((st[3], st[4]), (0, 15))
    t.suite.drop_pool(pool)


@case('pool/alignment of a replicated one')
def _(t):
    need, size = INT(5), U64(5)
    t.ok(t.io.ioctx_pool_requires_alignment2(C.byref(need)))
    t.ok(t.io.ioctx_pool_required_alignment2(C.byref(size)))
    t.eq((need.value, size.value), (0, 0))
    t.eq(x('ioctx_pool_requires_alignment', t.io.h), 0)


@case('pool/base tier is itself')
def _(t):
    id, base = x('pool_lookup', t.cluster.h, t.pool), C.c_int64()
    t.ok(x('pool_get_base_tier', t.cluster.h, id, C.byref(base)))
    t.eq(base.value, id)


@case('pool/get and set')
def _(t):
    for var, val in (('size', 3), ('min_size', 2), ('nodeep-scrub', True), ('nodeep-scrub', False)):
        t.cluster.ask(prefix='osd pool set', pool=t.pool, var=var, val=str(val).lower())
        t.eq(t.cluster.ask(prefix='osd pool get', pool=t.pool, var=var)[var.replace('-', '-')], val)


# ---- applications --------------------------------------------------------------------------------
@case('application/metadata', slow=True)
def _(t):
    pool = t.suite.make_pool('rados-suite-app', 1)
    io = t.another(pool)
    t.ok(io.application_enable('mine', 1))
    t.eq(io.application_enable('more', 0), 'EPERM')
    buf, n = C.create_string_buffer(100), SIZE(100)
    t.ok(io.application_list(buf, C.byref(n)))
    t.eq(sorted(buf.raw[:n.value].strip(b'\0').split(b'\0')), [b'mine', b'test'])

    def get(key, app='mine'):
        buf, n = C.create_string_buffer(100), SIZE(100)
        r = io.application_metadata_get(app, key, buf, C.byref(n))
        return buf.value if r == 0 else r

    def both():
        k, v, kn, vn = (C.create_string_buffer(100), C.create_string_buffer(100), SIZE(100),
                        SIZE(100))
        r = io.application_metadata_list('mine', k, C.byref(kn), v, C.byref(vn))
        return [b.raw[:n.value].split(b'\0')[:-1] for b, n in ((k, kn), (v, vn))] if not r else r
    t.eq(get('k'), 'ENOENT')
    t.eq(both(), [[], []])
    t.ok(io.application_metadata_set('mine', 'k', 'v'))
    t.ok(io.application_metadata_set('mine', 'l', 'w'))
    t.eq(io.application_metadata_set('none', 'k', 'v'), 'ENOENT')
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.eq((get('k'), get('k', 'none')), (b'v', 'ENOENT'))
    t.eq(both(), [[b'k', b'l'], [b'v', b'w']])
    t.ok(io.application_metadata_remove('mine', 'k'))
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.eq(get('k'), 'ENOENT')
    t.suite.drop_pool(pool)


# ---- commands ------------------------------------------------------------------------------------
@case('command/monitor')
def _(t):
    r, out, _ = t.cluster.mon(prefix='fsid', format='json')
    t.eq((r, list(json.loads(out))), (0, ['fsid']))
    t.eq(t.cluster.mon(prefix='no such')[0], 'EINVAL')
    t.eq(t.cluster.mon(prefix='osd pool get', pool='none', var='size')[0], 'ENOENT')
    t.eq(t.cluster.command('mon_command', 'not json')[0], 'EINVAL')
    t.eq(t.cluster.command('mon_command', '{}')[0], 'EINVAL')


@case('command/one monitor')
def _(t):
    r, out, _ = t.cluster.command('mon_command_target', {'prefix': 'mon_status'}, 'a')
    t.eq((r, json.loads(out)['name']), (0, 'a'))
    t.eq(t.cluster.command('mon_command_target', {'prefix': 'mon_status'}, 'zz')[0], 'ENOENT')


@case('command/manager')
def _(t):
    r, out, _ = t.cluster.command('mgr_command', {'prefix': 'pg stat', 'format': 'json'})
    t.eq(r, 0)
    t.true('pg_summary' in json.loads(out), out)
    t.eq(t.cluster.command('mgr_command', {'prefix': 'no such'})[0], 'EINVAL')


@case('command/of the manager by way of a monitor')
def _(t):
    t.true('services' in t.cluster.ask(prefix='service dump'), 'no services')


@case('command/one manager')
def _(t):
    name = t.cluster.ask(prefix='mgr dump')['active_name']
    r, out, _ = t.cluster.command('mgr_command_target', {'prefix': 'version'}, name)
    t.eq(r, 0)
    t.true('version' in json.loads(out), out)


@case('command/OSD')
def _(t):
    r, out, _ = t.cluster.command('osd_command', {'prefix': 'version'}, 0)
    t.eq(r, 0)
    t.true('version' in json.loads(out), out)
    t.eq(t.cluster.command('osd_command', {'prefix': 'no such'}, 0)[0], 'EINVAL')
    t.eq(t.cluster.command('osd_command', {'prefix': 'version'}, 9999)[0], 'ENOENT')


@case('command/PG')
def _(t):
    id = x('pool_lookup', t.cluster.h, t.pool)
    r, out, _ = t.cluster.command('pg_command', {'prefix': 'query', 'pgid': '%d.0' % id},
                                  '%d.0' % id)
    t.eq(r, 0)
    t.true(json.loads(out)['state'].startswith('active'), out[:100])
    t.eq(t.cluster.command('pg_command', {'prefix': 'query'}, '999.0')[0], 'ENOENT')
    t.eq(t.cluster.command('pg_command', {'prefix': 'query'}, 'bad')[0], 'EINVAL')


@case('command/input')
def _(t):
    r, _, _ = t.cluster.command('mon_command', {'prefix': 'config-key set', 'key': 'suite/k'},
                                data=b'\x00\xffbinary')
    t.eq(r, 0)
    t.eq(t.cluster.mon(prefix='config-key get', key='suite/k')[1], b'\x00\xffbinary')
    t.eq(t.cluster.mon(prefix='config-key rm', key='suite/k')[0], 0)
    t.eq(t.cluster.mon(prefix='config-key get', key='suite/k')[0], 'ENOENT')


@case('command/log of the cluster')
def _(t):
    lines = []
    cb = C.CFUNCTYPE(None, P, C.c_char_p, C.c_char_p, C.c_char_p, C.c_char_p, U64, U64, U64,
                     C.c_char_p, C.c_char_p)(lambda *a: lines.append(a[9]))
    c = t.connect()
    t.ok(x('monitor_log2', c.h, 'info', cb, None))

    def heard():
        t.cluster.ask(prefix='log', logtext=['of', 'the', 'suite'])
        time.sleep(.3)
        return any(b'of the suite' in ln for ln in lines)
    t.until(heard, 'the line comes')
    t.eq(word(x('monitor_log2', c.h, 'nonsense', cb, None)), 'EINVAL')
    t.ok(x('monitor_log2', c.h, '', None, None))


# ---- services ------------------------------------------------------------------------------------
@case('service/register and update', slow=True)
def _(t):
    c = t.connect()
    t.ok(x('service_register', c.h, 'suite', 'one', b'color\0blue\0'))
    t.eq(word(x('service_register', c.h, 'suite', 'one', b'')), 'EEXIST')
    t.ok(x('service_update_status', c.h, b'phase\0running\0'))

    def ask(what):
        r, out, _ = t.cluster.command('mgr_command', {'prefix': what, 'format': 'json'})
        t.ok(r, what)
        return json.loads(out)

    def there():
        got = ask('service dump')['services']
        return got.get('suite', {}).get('daemons', {}).get('one', {}).get('metadata', {}).get(
            'color') == 'blue'
    t.until(there, 'the service is listed', 30)
    status = ask('service status')
    t.true('one' in status.get('suite', {}), status)


# ---- inconsistencies -----------------------------------------------------------------------------
@case('inconsistent/none')
def _(t):
    id = x('pool_lookup', t.cluster.h, t.pool)
    buf = C.create_string_buffer(100)
    t.eq(x('inconsistent_pg_list', t.cluster.h, id, buf, 100), 1)
    t.eq(buf.raw[:1], b'\0')
    t.eq(word(x('inconsistent_pg_list', t.cluster.h, 99999, buf, 100)), 'ENOENT')


# ---- the blocklist -------------------------------------------------------------------------------
@case('blocklist/a client')
def _(t):
    c = t.connect()
    io = t.another(cluster=c)
    t.ok(io.write_full(t.oid, b'x', 1))
    addrs = C.c_char_p()
    t.ok(x('getaddrs', c.h, C.byref(addrs)))
    addr = addrs.value.decode().split(',')[0].replace('v2:', '')
    t.ok(x('blocklist_add', t.cluster.h, addr.encode(), 60))
    t.ok(x('wait_for_latest_osdmap', t.cluster.h))
    t.until(lambda: io.write_full(t.oid, b'y', 1) == 'ESHUTDOWN', 'its writes are refused')
    t.true(t.io.read(t.oid) in (b'x', b'y'), 'what it wrote before')
    listed = t.cluster.mon(prefix='osd blocklist ls')[1].decode()
    t.true(addr in listed, listed)
    t.cluster.ask(prefix='osd blocklist', blocklistop='rm', addr=addr)


@case('blocklist/what is no address')
def _(t):
    t.eq(word(x('blocklist_add', t.cluster.h, b'nonsense', 60)), 'EINVAL')


# ---- reconnects. What stops OSDs stands alone. ---------------------------------------------------
@case('reconnect/an OSD is marked down', alone=True)
def _(t):
    from .watching import Watch, notify
    t.make(b'')
    w = Watch(t, reply=b'back')
    done = []
    for round in range(2):
        where = t.cluster.ask(prefix='osd map', pool=t.pool, object=t.oid)
        t.cluster.ask(prefix='osd down', ids=[str(where['acting_primary'])])
        for i in range(20):
            t.ok(t.io.append(t.oid, b'%d' % (i % 10), 1))
            done.append(b'%d' % (i % 10))
    t.eq(t.io.read(t.oid), b''.join(done))
    t.until(lambda: notify(t, b'still') == (0, [b'back'], 0), 'the watch is back')
    t.eq(len(t.do(('list_watchers',))), 1)
    t.ok(w.close())
    t.until(lambda: all(o['up'] for o in t.cluster.ask(prefix='osd dump')['osds']), 'all are up')


# ---- the striper ---------------------------------------------------------------------------------
@case('striper/write, read, truncate, remove')
def _(t):
    st = C.CDLL('libradosstriper.so.1')
    h = P()

    def s(name, *args):
        from .librados import convert
        return word(getattr(st, 'rados_striper_' + name)(*map(convert, args)))
    t.ok(s('create', t.io.h, C.byref(h)))
    t.ok(s('set_object_layout_stripe_unit', h, 65536))
    t.ok(s('set_object_layout_stripe_count', h, 3))
    t.ok(s('set_object_layout_object_size', h, 131072))
    body = bytes(range(256)) * 4096
    t.ok(s('write', h, t.oid, body, len(body), 0))
    buf = C.create_string_buffer(len(body))
    t.eq(s('read', h, t.oid, buf, len(body), 0), len(body))
    t.true(buf.raw == body, 'not what was written')
    size, when = U64(), C.c_long()
    t.ok(s('stat', h, t.oid, C.byref(size), C.byref(when)))
    t.eq(size.value, len(body))
    t.ok(s('append', h, t.oid, b'tail', 4))
    t.eq(s('read', h, t.oid, buf, 100, len(body)), 4)
    t.ok(s('setxattr', h, t.oid, 'a', b'1', 1))
    t.eq(s('getxattr', h, t.oid, 'a', buf, 10), 1)
    t.ok(s('trunc', h, t.oid, 100))
    t.eq(s('read', h, t.oid, buf, 1000, 0), 100)
    t.ok(s('remove', h, t.oid))
    t.eq(s('stat', h, t.oid, C.byref(size), C.byref(when)), 'ENOENT')
    s('destroy', h)


# ---- tools ---------------------------------------------------------------------------------------
def tool(t, *args, data=None):
    import os
    import subprocess
    p = subprocess.run(['rados', '-p', t.pool, *args], input=data, capture_output=True,
                       env=dict(os.environ, CEPH_CONF=t.suite.conf), timeout=60)
    return p.returncode, p.stdout, p.stderr


@case('tool/put from a pipe and get')
def _(t):
    t.ok(tool(t, 'put', t.oid, '-', data=b'piped')[0])
    t.eq(tool(t, 'get', t.oid, '-')[:2], (0, b'piped'))
    t.ok(tool(t, 'rm', t.oid)[0])


@case('tool/cp')
def _(t):
    what = dict(data=b'body', x={'a': b'1'}, k={'k': b'v'}, h=b'h')
    t.make(what)
    t.ok(tool(t, 'cp', t.oid, t.oid + '-copy')[0])
    t.holds(what, t.oid + '-copy')
    t.true(tool(t, 'cp', t.oid + '-none', t.oid + '-copy')[0] != 0, 'copying nothing works')


@case('tool/omap and xattrs')
def _(t):
    t.make(dict(data=b'', x={'a': b'1'}, k={'k': b'v'}))
    t.eq(tool(t, 'listomapkeys', t.oid)[:2], (0, b'k\n'))
    t.eq(tool(t, 'listxattr', t.oid)[:2], (0, b'a\n'))
    t.eq(tool(t, 'getxattr', t.oid, 'a')[:2], (0, b'1'))
    t.eq(tool(t, 'getomapval', t.oid, 'none')[0], 1)


@case('tool/inconsistent PGs')
def _(t):
    t.eq(tool(t, 'list-inconsistent-pg', t.pool)[:2], (0, b'[]\n'))
