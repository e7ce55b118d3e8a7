"""100,000 objects are listed exactly once, and all go away again."""
import collections
import sys
import unittest

import rados

POOL = sys.argv.pop(1)
COUNT = 100000
WINDOW = 256


class Many(unittest.TestCase):
    def test_list(self):
        cluster = rados.Rados(conffile='')
        cluster.conf_read_file()
        cluster.connect(timeout=30)
        io = cluster.open_ioctx(POOL)
        io.set_namespace('many')
        names = ['many.%06d' % i for i in range(COUNT)]
        self.each(names, lambda n: io.aio_write_full(n, b''))
        seen = collections.Counter(o.key for o in io.list_objects())
        self.assertEqual(len(seen), COUNT)
        self.assertEqual(set(seen.values()), {1})
        self.assertEqual(set(seen), set(names))
        self.each(names, io.aio_remove)
        self.assertEqual(list(io.list_objects()), [])
        io.close()
        cluster.shutdown()

    def each(self, names, call):
        pending = collections.deque()
        for n in names:
            pending.append(call(n))
            if len(pending) >= WINDOW:
                self.finish(pending.popleft())
        for op in pending:
            self.finish(op)

    def finish(self, op):
        op.wait_for_complete()
        self.assertEqual(op.get_return_value(), 0)


unittest.main()
