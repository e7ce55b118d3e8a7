"""A client on the blocklist is shut out, by its address as it says it and by that of its host; one
that connects afterwards is not, if it was the first."""
import errno
import re
import subprocess
import sys
import unittest

import rados

POOL = sys.argv[1]


def connect():
    c = rados.Rados(conffile='')
    c.conf_set('rados_osd_op_timeout', '10')
    c.connect(timeout=30)
    return c


def ceph(*words):
    subprocess.run(['ceph', 'osd', 'blocklist', *words], check=True, capture_output=True)


class Fenced(unittest.TestCase):
    def shut_out(self, entry):
        client = connect()
        io = client.open_ioctx(POOL)
        io.write_full('fenced', b'x')
        entry = entry or re.sub('^(v[12]|any):', '', client.get_addrs())
        ceph('add', entry)
        try:
            client.wait_for_latest_osdmap()
            with self.assertRaises(rados.Error) as caught:
                io.write_full('fenced', b'y')
            self.assertEqual(abs(caught.exception.errno), errno.ESHUTDOWN)
            yield
        finally:
            ceph('rm', entry)
        again = connect()
        again.open_ioctx(POOL).remove_object('fenced')
        again.shutdown()
        io.close()
        client.shutdown()

    def test_client(self):
        for _ in self.shut_out(None):
            other = connect()
            other.open_ioctx(POOL).write_full('fenced', b'z')
            other.shutdown()

    def test_host(self):
        for _ in self.shut_out('127.0.0.1'):
            pass


unittest.main(argv=sys.argv[:1])
