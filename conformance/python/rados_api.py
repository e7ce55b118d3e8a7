"""python3-rados against a cluster: the calls an application makes."""
import sys
import threading
import unittest

import rados

POOL = sys.argv.pop(1)


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = rados.Rados(conffile='')
        cls.cluster.conf_read_file()
        cls.cluster.connect(timeout=30)
        cls.io = cls.cluster.open_ioctx(POOL)

    @classmethod
    def tearDownClass(cls):
        cls.io.close()
        cls.cluster.shutdown()

    def setUp(self):
        self.name = 'py.' + self.id().rsplit('.', 1)[1]
        self.addCleanup(self.drop)

    def drop(self):
        try:
            self.io.remove_object(self.name)
        except rados.ObjectNotFound:
            pass


class Cluster(Base):
    def test_cluster(self):
        self.assertEqual(len(self.cluster.get_fsid()), 36)
        self.assertIn(POOL, self.cluster.list_pools())
        self.assertTrue(self.cluster.pool_exists(POOL))
        self.assertFalse(self.cluster.pool_exists('no such pool'))
        stats = self.cluster.get_cluster_stats()
        self.assertGreater(stats['kb'], 0)
        self.assertGreater(stats['kb_avail'], 0)
        self.assertGreater(self.cluster.get_instance_id(), 0)

    def test_mon_command(self):
        code, out, status = self.cluster.mon_command('{"prefix":"fsid","format":"json"}', b'')
        self.assertEqual(code, 0)
        self.assertIn(self.cluster.get_fsid().encode(), out)
        code, _, status = self.cluster.mon_command('{"prefix":"no such"}', b'')
        self.assertEqual(code, -22)
        self.assertEqual(status, 'command not known')

    def test_osd_command(self):
        code, out, _ = self.cluster.osd_command(0, '{"prefix":"version"}', b'')
        self.assertEqual(code, 0)
        self.assertIn(b'version', out)

    def test_pool_life(self):
        self.cluster.create_pool('pytmp')
        with self.assertRaises(rados.ObjectExists):
            self.cluster.create_pool('pytmp')
        io = self.cluster.open_ioctx('pytmp')
        io.write_full('a', b'x')
        self.assertEqual([o.key for o in io.list_objects()], ['a'])
        io.close()
        self.cluster.delete_pool('pytmp')
        self.assertFalse(self.cluster.pool_exists('pytmp'))

    def test_wait_for_latest(self):
        self.cluster.wait_for_latest_osdmap()
        self.assertGreater(self.io.get_last_version(), -1)


class Data(Base):
    def test_offsets(self):
        self.io.write(self.name, b'hello', 5)
        self.assertEqual(self.io.read(self.name), b'\0' * 5 + b'hello')
        self.io.write(self.name, b'HE', 0)
        self.assertEqual(self.io.read(self.name, 4, 0), b'HE\0\0')
        self.assertEqual(self.io.read(self.name, 100, 8), b'lo')
        self.assertEqual(self.io.read(self.name, 100, 100), b'')
        self.io.append(self.name, b'!')
        self.assertEqual(self.io.stat(self.name)[0], 11)
        self.io.trunc(self.name, 3)
        self.assertEqual(self.io.read(self.name), b'HE\0')
        self.io.trunc(self.name, 6)
        self.assertEqual(self.io.read(self.name), b'HE\0\0\0\0')

    def test_write_full_and_remove(self):
        self.io.write_full(self.name, b'a' * 100000)
        self.io.write_full(self.name, b'bb')
        self.assertEqual(self.io.read(self.name), b'bb')
        self.io.remove_object(self.name)
        for call in (self.io.read, self.io.stat, self.io.remove_object):
            with self.assertRaises(rados.ObjectNotFound):
                call(self.name)

    def test_writesame_and_cmpext(self):
        self.io.writesame(self.name, b'abcd', 16)
        self.assertEqual(self.io.read(self.name), b'abcd' * 4)
        with rados.WriteOpCtx() as op:
            op.cmpext(b'abcd', 4)
            op.write(b'X', 0)
            self.io.operate_write_op(op, self.name)
        self.assertEqual(self.io.read(self.name)[:4], b'Xbcd')
        self.assertEqual(self.io.cmpext(self.name, b'Xbcd', 0), 0)
        self.assertEqual(self.io.cmpext(self.name, b'Xbzd', 0), -(4095 + 2))
        with rados.WriteOpCtx() as op:
            op.cmpext(b'zz', 0)
            op.write(b'LOST', 0)
            with self.assertRaises(rados.Error):
                self.io.operate_write_op(op, self.name)
        self.assertEqual(self.io.read(self.name)[:4], b'Xbcd')

    def test_one_error_no_effect(self):
        self.io.write_full(self.name, b'before')
        with rados.WriteOpCtx() as op:
            op.write_full(b'after')
            op.set_xattr('k', b'v')
            op.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
            with self.assertRaises(rados.ObjectExists):
                self.io.operate_write_op(op, self.name)
        self.assertEqual(self.io.read(self.name), b'before')
        with self.assertRaises(rados.NoData):
            self.io.get_xattr(self.name, 'k')

    def test_compound_write(self):
        with rados.WriteOpCtx() as op:
            op.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
            op.write(b'0123456789', 0)
            op.zero(3, 3)
            op.append(b'ab')
            op.set_xattr('k', b'v')
            self.io.set_omap(op, ('o1', 'o2'), (b'1', b'2'))
            self.io.operate_write_op(op, self.name)
        self.assertEqual(self.io.read(self.name), b'012\0\0\x006789ab')
        self.assertEqual(self.io.get_xattr(self.name, 'k'), b'v')
        with rados.WriteOpCtx() as op:
            op.truncate(3)
            op.rm_xattr('k')
            self.io.operate_write_op(op, self.name)
        self.assertEqual(self.io.read(self.name), b'012')
        self.assertEqual(list(self.io.get_xattrs(self.name)), [])

    def test_xattrs(self):
        self.io.set_xattr(self.name, 'one', b'1')
        self.io.set_xattr(self.name, 'two', b'\0\xff' * 1000)
        self.assertEqual(self.io.get_xattr(self.name, 'two'), b'\0\xff' * 1000)
        self.assertEqual(dict(self.io.get_xattrs(self.name)),
                         {'one': b'1', 'two': b'\0\xff' * 1000})
        self.io.rm_xattr(self.name, 'one')
        self.assertEqual([k for k, _ in self.io.get_xattrs(self.name)], ['two'])

    def test_version(self):
        self.io.write_full(self.name, b'1')
        v = self.io.get_last_version()
        self.io.write_full(self.name, b'2')
        self.assertGreater(self.io.get_last_version(), v)
        self.io.read(self.name)
        self.assertGreater(self.io.get_last_version(), v)

    def test_namespaces(self):
        self.io.write_full(self.name, b'default')
        self.io.set_namespace('pyns')
        try:
            with self.assertRaises(rados.ObjectNotFound):
                self.io.read(self.name)
            self.io.write_full(self.name, b'other')
            self.assertEqual([o.key for o in self.io.list_objects()], [self.name])
            self.io.set_namespace(rados.LIBRADOS_ALL_NSPACES)
            seen = {(o.nspace, o.key) for o in self.io.list_objects()}
            self.assertLessEqual({('', self.name), ('pyns', self.name)}, seen)
            self.io.set_namespace('pyns')
            self.io.remove_object(self.name)
        finally:
            self.io.set_namespace('')
        self.assertEqual(self.io.read(self.name), b'default')

    def test_locator(self):
        self.io.set_locator_key('elsewhere')
        try:
            self.io.write_full(self.name, b'keyed')
            self.assertEqual(self.io.read(self.name), b'keyed')
            self.assertIn((self.name, 'elsewhere'),
                          [(o.key, o.locator_key) for o in self.io.list_objects()])
            self.io.remove_object(self.name)
        finally:
            self.io.set_locator_key('')


class Omap(Base):
    def test_iterate(self):
        keys = tuple('k%04d' % i for i in range(1500))
        with rados.WriteOpCtx() as op:
            self.io.set_omap(op, keys, tuple(k.encode() for k in keys))
            self.io.operate_write_op(op, self.name)
        got, after = [], ''
        while True:
            with rados.ReadOpCtx() as op:
                it, ret = self.io.get_omap_vals(op, after, '', 400)
                self.io.operate_read_op(op, self.name)
                page = list(it)
            if not page:
                break
            got += page
            after = page[-1][0]
        self.assertEqual(got, [(k, k.encode()) for k in keys])
        with rados.ReadOpCtx() as op:
            it, ret = self.io.get_omap_vals(op, '', 'k100', 4000)
            self.io.operate_read_op(op, self.name)
            self.assertEqual(len(list(it)), 10)
        with rados.ReadOpCtx() as op:
            it, ret = self.io.get_omap_keys(op, 'k1497', 100)
            self.io.operate_read_op(op, self.name)
            self.assertEqual([k for k, _ in it], ['k1498', 'k1499'])
        with rados.ReadOpCtx() as op:
            it, ret = self.io.get_omap_vals_by_keys(op, ('k0001', 'absent', 'k0002'))
            self.io.operate_read_op(op, self.name)
            self.assertEqual(list(it), [('k0001', b'k0001'), ('k0002', b'k0002')])

    def test_remove_and_clear(self):
        with rados.WriteOpCtx() as op:
            self.io.set_omap(op, ('a', 'b', 'c', 'd'), (b'1', b'2', b'3', b'4'))
            self.io.operate_write_op(op, self.name)
        with rados.WriteOpCtx() as op:
            self.io.remove_omap_keys(op, ('a', 'nope'))
            self.io.operate_write_op(op, self.name)
        self.assertEqual(self.keys(), ['b', 'c', 'd'])
        with rados.WriteOpCtx() as op:
            self.io.remove_omap_range2(op, 'b', 'd')
            self.io.operate_write_op(op, self.name)
        self.assertEqual(self.keys(), ['d'])
        with rados.WriteOpCtx() as op:
            self.io.clear_omap(op)
            self.io.operate_write_op(op, self.name)
        self.assertEqual(self.keys(), [])

    def keys(self):
        with rados.ReadOpCtx() as op:
            it, _ = self.io.get_omap_keys(op, '', 100)
            self.io.operate_read_op(op, self.name)
            return [k for k, _ in it]


class Asynchronous(Base):
    def test_order_and_count(self):
        done, lock = [], threading.Lock()

        def finished(i):
            def call(_):
                with lock:
                    done.append(i)
            return call
        ops = [self.io.aio_append(self.name, b'%04d' % i, oncomplete=finished(i)) for i in range(200)]
        for op in ops:
            op.wait_for_complete_and_cb()
            self.assertEqual(op.get_return_value(), 0)
        self.assertEqual(sorted(done), list(range(200)))
        self.assertEqual(self.io.read(self.name), b''.join(b'%04d' % i for i in range(200)))

    def test_read_stat_remove(self):
        self.io.aio_write_full(self.name, b'data').wait_for_complete_and_cb()
        got = []
        op = self.io.aio_read(self.name, 10, 0, lambda _, data: got.append(data))
        op.wait_for_complete_and_cb()
        self.assertEqual(got, [b'data'])
        stat = []
        self.io.aio_stat(self.name, lambda _, size, mtime: stat.append(size)).wait_for_complete_and_cb()
        self.assertEqual(stat, [4])
        op = self.io.aio_remove(self.name)
        op.wait_for_complete_and_cb()
        self.assertEqual(op.get_return_value(), 0)
        op = self.io.aio_remove(self.name)
        op.wait_for_complete_and_cb()
        self.assertEqual(op.get_return_value(), -2)

    def test_execute(self):
        self.io.write_full(self.name, b'')
        ret, out = self.io.execute(self.name, 'hello', 'say_hello', b'nose')
        self.assertEqual(out, b'Hello, nose!')
        with self.assertRaises(rados.Error) as e:
            self.io.execute(self.name, 'hello', 'no_such_method', b'')
        self.assertEqual(e.exception.errno, 95)


class Locks(Base):
    def test_exclusive(self):
        self.io.lock_exclusive(self.name, 'l', 'c1', 'desc', 60)
        with self.assertRaises(rados.ObjectExists):
            self.io.lock_exclusive(self.name, 'l', 'c1', 'desc', 60)
        with self.assertRaises(rados.ObjectBusy):
            self.io.lock_exclusive(self.name, 'l', 'c2', 'desc', 60)
        self.io.unlock(self.name, 'l', 'c1')
        with self.assertRaises(rados.ObjectNotFound):
            self.io.unlock(self.name, 'l', 'c1')

    def test_shared(self):
        self.io.lock_shared(self.name, 'l', 'c1', 'tag', 'desc', 60)
        self.io.lock_shared(self.name, 'l', 'c2', 'tag', 'desc', 60)
        with self.assertRaises(rados.ObjectBusy):
            self.io.lock_exclusive(self.name, 'l', 'c3', 'desc', 60)
        self.io.unlock(self.name, 'l', 'c1')
        self.io.unlock(self.name, 'l', 'c2')


class WatchNotify(Base):
    def test_notify(self):
        self.io.write_full(self.name, b'')
        heard = []

        def on(notify_id, notifier, watch_id, data):
            heard.append(data)
            return 'ack'
        with self.io.watch(self.name, on):
            self.assertTrue(self.io.notify(self.name, 'first'))
            self.assertTrue(self.io.notify(self.name, 'second'))
        self.assertEqual(heard, [b'first', b'second'])
        self.io.notify(self.name, 'nobody')
        self.assertEqual(len(heard), 2)


unittest.main()
