"""A client that was idle while the monitors forgot the OSD map that it has: its next request, of a
pool that is newer than its map, must be served. 600 epochs are more than the history is long."""
import sys
import threading
import unittest

import rados

NEW = sys.argv.pop(1)


def connect():
    cluster = rados.Rados(conffile='')
    cluster.conf_read_file()
    cluster.connect(timeout=30)
    return cluster


class Behind(unittest.TestCase):
    def test_goes_on(self):
        idle, other = connect(), connect()
        for i in range(600):
            prefix = 'osd unset' if i % 2 else 'osd set'
            code, _, status = other.mon_command(
                '{"prefix":"%s","key":"noscrub"}' % prefix, b'')
            self.assertEqual(code, 0, status)
        other.create_pool(NEW)
        done = threading.Event()

        def use():
            idle.open_ioctx(NEW).write_full('o', b'data')
            done.set()

        threading.Thread(target=use, daemon=True).start()
        self.assertTrue(done.wait(30), 'the idle client waits for ever')
        self.assertEqual(other.open_ioctx(NEW).read('o'), b'data')
        idle.shutdown()
        other.shutdown()


unittest.main()
