"""Commands of the manager through the monitors: the same answers as from the manager itself."""
import json
import unittest

import rados

COMMANDS = [
    ('pg stat', {}), ('osd df', {'format': 'json'}), ('rbd task list', {}),
    ('progress json', {}), ('service dump', {}),
    ('rbd task cancel', {'task_id': 'x'}), ('pg scrub', {'pgid': '99.0'}),
    ('pg ls', {'states': ['bogus']}),
]


def ask(how, prefix, args):
    ret, out, err = how(json.dumps({'prefix': prefix, **args}), b'')
    return ret, out.rstrip(b'\n'), err


class Proxy(unittest.TestCase):
    def setUp(self):
        self.cluster = rados.Rados(conffile='')
        self.cluster.conf_read_file()
        self.cluster.connect(timeout=30)
        self.addCleanup(self.cluster.shutdown)

    def test_same_answers(self):
        for prefix, args in COMMANDS:
            for _ in range(10):  # statistics may change in between
                a = ask(self.cluster.mon_command, prefix, args)
                b = ask(self.cluster.mgr_command, prefix, args)
                if a == b:
                    break
            self.assertEqual(a, b, prefix)
        ret, _, err = ask(self.cluster.mon_command, 'rbd task cancel', {'task_id': 'x'})
        self.assertEqual((ret, err), (-2, 'No such task x'))

    def test_caps(self):
        _, out, _ = ask(self.cluster.mon_command, 'auth get-or-create', {
            'entity': 'client.monproxy', 'format': 'json',
            'caps': ['mon', 'allow service osd r', 'mgr', 'allow *']})
        self.addCleanup(ask, self.cluster.mon_command, 'auth rm',
                        {'entity': 'client.monproxy'})
        poor = rados.Rados(rados_id='monproxy', conf={
            'key': json.loads(out)[0]['key'], 'keyring': '/dev/null',
            'mon_host': self.cluster.conf_get('mon_host')})
        poor.connect(timeout=30)
        self.addCleanup(poor.shutdown)
        self.assertEqual(ask(poor.mon_command, 'pg stat', {})[0], -13)
        self.assertEqual(ask(poor.mon_command, 'osd df', {})[0], 0)


if __name__ == '__main__':
    unittest.main()
