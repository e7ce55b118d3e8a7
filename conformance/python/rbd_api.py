"""python3-rbd against a cluster: the calls a hypervisor makes."""
import sys
import unittest

import rados
import rbd

POOL = sys.argv.pop(1)
MIB = 1 << 20


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = rados.Rados(conffile='')
        cls.cluster.conf_read_file()
        cls.cluster.connect(timeout=30)
        cls.io = cls.cluster.open_ioctx(POOL)
        cls.rbd = rbd.RBD()

    @classmethod
    def tearDownClass(cls):
        cls.io.close()
        cls.cluster.shutdown()

    def setUp(self):
        self.name = 'py_' + self.id().rsplit('.', 1)[1]
        self.rbd.create(self.io, self.name, 32 * MIB, old_format=False)
        self.addCleanup(self.drop)

    def drop(self):
        try:
            self.rbd.remove(self.io, self.name)
        except rbd.ImageNotFound:
            pass


class Image(Base):
    def test_stat(self):
        with rbd.Image(self.io, self.name) as image:
            self.assertEqual(image.size(), 32 * MIB)
            self.assertEqual(image.stat()['num_objs'], 8)
            self.assertEqual(image.features(), 61)
            self.assertTrue(image.id())
            self.assertEqual(image.get_name(), self.name)
            self.assertEqual(list(image.list_snaps()), [])
            self.assertIsNotNone(image.create_timestamp())

    def test_io(self):
        with rbd.Image(self.io, self.name) as image:
            data = bytes(range(256)) * 40
            image.write(data, 4 * MIB - 777)
            image.flush()
            self.assertEqual(image.read(4 * MIB - 777, len(data)), data)
            self.assertEqual(image.read(0, 16), b'\0' * 16)
            image.discard(4 * MIB, 4 * MIB)
            self.assertEqual(image.read(4 * MIB, 100), b'\0' * 100)
            self.assertEqual(image.read(4 * MIB - 777, 777), data[:777])
            image.write_zeroes(0, MIB)
            with self.assertRaises(rbd.InvalidArgument):
                image.write(b'x' * 512, 32 * MIB)

    def test_reopen_read_only(self):
        with rbd.Image(self.io, self.name) as image:
            image.write(b'kept', 0)
        with rbd.Image(self.io, self.name, read_only=True) as image:
            self.assertEqual(image.read(0, 4), b'kept')
            with self.assertRaises(rbd.ReadOnlyImage):
                image.write(b'no', 0)

    def test_resize_and_metadata(self):
        with rbd.Image(self.io, self.name) as image:
            image.write(b'end', 32 * MIB - 3)
            image.resize(64 * MIB)
            self.assertEqual(image.size(), 64 * MIB)
            self.assertEqual(image.read(32 * MIB - 3, 6), b'end\0\0\0')
            image.resize(16 * MIB)
            image.resize(32 * MIB)
            self.assertEqual(image.read(32 * MIB - 3, 3), b'\0\0\0')
            image.metadata_set('a', '1')
            image.metadata_set('b', '2')
            self.assertEqual(list(image.metadata_list()), [('a', '1'), ('b', '2')])
            image.metadata_remove('a')
            with self.assertRaises(KeyError):
                image.metadata_get('a')

    def test_exclusive_lock_moves(self):
        with rbd.Image(self.io, self.name) as first:
            first.write(b'one', 0)
            self.assertTrue(first.is_exclusive_lock_owner())
            with rbd.Image(self.io, self.name) as second:
                second.write(b'two', 4)
                self.assertTrue(second.is_exclusive_lock_owner())
                self.assertEqual(second.read(0, 7), b'one\0two')
            first.write(b'six', 8)
            self.assertEqual(first.read(0, 11), b'one\0two\0six')

    def test_diff(self):
        with rbd.Image(self.io, self.name) as image:
            image.write(b'x' * MIB, 8 * MIB)
            runs = []
            image.diff_iterate(0, image.size(), None, lambda o, n, e: runs.append((o, n, e)))
            self.assertEqual([(o, e) for o, _, e in runs], [(8 * MIB, True)])

    def test_copy_and_rename(self):
        with rbd.Image(self.io, self.name) as image:
            image.write(b'copied', 5 * MIB)
            image.copy(self.io, self.name + '_c')
        self.rbd.rename(self.io, self.name + '_c', self.name + '_d')
        self.assertIn(self.name + '_d', self.rbd.list(self.io))
        with rbd.Image(self.io, self.name + '_d') as image:
            self.assertEqual(image.read(5 * MIB, 6), b'copied')
        self.rbd.remove(self.io, self.name + '_d')

    def test_aio(self):
        with rbd.Image(self.io, self.name) as image:
            def ignore(*_):
                pass
            ops = [image.aio_write(bytes([i]) * 4096, i * 4096, ignore) for i in range(64)]
            for op in ops:
                op.wait_for_complete_and_cb()
                self.assertEqual(op.get_return_value(), 0)
            for i in range(64):
                self.assertEqual(image.read(i * 4096, 4096), bytes([i]) * 4096)

    def test_object_map_is_exact(self):
        with rbd.Image(self.io, self.name) as image:
            image.write(b'x', 0)
            image.write(b'x', 12 * MIB)
            self.assertEqual(image.flags() if hasattr(image, 'flags') else 0, 0)
        with rbd.Image(self.io, self.name) as image:
            image.discard(0, 4 * MIB)
            runs = []
            image.diff_iterate(0, image.size(), None, lambda o, n, e: runs.append(o), whole_object=True)
            self.assertEqual(runs, [12 * MIB])


unittest.main()
