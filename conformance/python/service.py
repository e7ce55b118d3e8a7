"""Daemons that register with the manager through librados: where they are shown, and when no more."""
import json
import re
import subprocess
import sys
import time
import unittest

import rados

HOLD = '''
import os, sys, rados
c = rados.Rados(conffile='')
c.conf_read_file()
c.connect(timeout=30)
c.service_daemon_register('gluetest', sys.argv[1], {'zone_id': 'z', 'mine': sys.argv[1]})
c.service_daemon_update({'state': 'fine'})
print(c.get_instance_id(), flush=True)
for line in sys.stdin:
    if line == 'end\\n':
        c.shutdown()
        break
    c.service_daemon_update({'state': line.strip()})
os._exit(0)
'''


def ceph(*args):
    return subprocess.run(['ceph', *args], check=True, capture_output=True, timeout=60,
                          text=True).stdout


class Service(unittest.TestCase):
    def begin(self, name):
        p = subprocess.Popen([sys.executable, '-c', HOLD, name], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(p.wait)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.kill)
        return p, int(p.stdout.readline())

    def until(self, true, what, seconds=40):
        deadline = time.monotonic() + seconds
        while not (got := true()):
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.3)
        return got

    def daemons(self):
        dump = json.loads(ceph('service', 'dump', '-f', 'json'))
        return dump['services'].get('gluetest', {}).get('daemons', {})

    def state(self, name):
        status = json.loads(ceph('service', 'status', '-f', 'json')).get('gluetest', {})
        return status.get(name, {}).get('status', {}).get('state')

    def line(self):
        return re.findall(r'(?m)^    gluetest: +(.*)$', ceph('-s'))

    def test_service(self):
        a, gid = self.begin('a')
        b, _ = self.begin('b')
        self.until(lambda: len(self.daemons()) == 3, 'two daemons')
        d = self.daemons()
        self.assertEqual(d['summary'], '')
        self.assertEqual(list(d['a']), ['start_epoch', 'start_stamp', 'gid', 'addr', 'metadata',
                                        'task_status'])
        self.assertEqual((d['a']['gid'], d['a']['metadata']['mine'], d['a']['task_status']),
                         (gid, 'a', {}))
        self.assertRegex(d['a']['addr'], r'^[0-9.]+:0/\d+$')
        self.assertGreater(d['a']['start_epoch'], 0)
        self.until(lambda: self.line() == ['2 daemons active (1 hosts, 1 zones)'], 'ceph -s')
        shown = json.loads(ceph('-s', '-f', 'json'))['servicemap']['services']['gluetest']
        self.assertEqual(shown['daemons'], d)
        counted = json.loads(ceph('versions'))
        self.assertEqual(list(counted['gluetest'].values()), [2])
        self.assertEqual(list(counted)[-1], 'overall')
        self.until(lambda: self.state('a') == 'fine', 'the state')
        print('busy', file=a.stdin, flush=True)
        self.until(lambda: self.state('a') == 'busy', 'the new state')
        self.assertEqual(self.state('b'), 'fine')

        print('end', file=a.stdin, flush=True)  # it says goodbye
        a.wait()
        self.until(lambda: list(self.daemons()) == ['summary', 'b'], 'one daemon')
        self.until(lambda: self.line() == ['1 daemon active (1 hosts, 1 zones)'], 'ceph -s')
        ceph('config', 'set', 'mgr', 'mgr_service_beacon_grace', '12')
        self.addCleanup(ceph, 'config', 'rm', 'mgr', 'mgr_service_beacon_grace')
        time.sleep(6)
        self.assertEqual(list(self.daemons()), ['summary', 'b'])
        b.kill()  # it says nothing any more
        begin = time.monotonic()
        self.until(lambda: not self.daemons(), 'no daemon')
        self.assertGreater(time.monotonic() - begin, 5, 'it was given up at once')
        self.until(lambda: not self.line(), 'ceph -s without it')

    def test_refused(self):
        """A client cannot pass for one of Ceph's own daemons."""
        c = rados.Rados(conffile='')
        c.conf_read_file()
        c.connect(timeout=30)
        self.addCleanup(c.shutdown)
        with self.assertRaises(rados.Error):
            c.service_daemon_register('osd', '0', {})
        self.assertNotIn('osd', json.loads(ceph('service', 'dump'))['services'])


if __name__ == '__main__':
    unittest.main()
