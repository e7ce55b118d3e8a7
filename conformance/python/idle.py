"""A client that stays longer than its tickets live: it must renew them and go on, on connections
that are there and on new ones."""
import sys
import time
import unittest

import rados

POOL, LIFETIME = sys.argv.pop(1), float(sys.argv.pop(1))


class Renewal(unittest.TestCase):
    def test_outlives_tickets(self):
        cluster = rados.Rados(conffile='')
        cluster.conf_read_file()
        cluster.connect(timeout=30)
        io = cluster.open_ioctx(POOL)
        end = time.monotonic() + 3 * LIFETIME
        i = 0
        while time.monotonic() < end:
            io.write_full('idle.%d' % (i % 16), b'%d' % i)
            i += 1
            time.sleep(0.2)
        self.assertGreater(i, 10)
        for j in range(16):
            io.remove_object('idle.%d' % j)
        code, _, status = cluster.mon_command('{"prefix":"fsid"}', b'')
        self.assertEqual((code, status), (0, ''))
        cluster.shutdown()


unittest.main()
