"""Who may do what: every command of the list of stock commands, sent by users with different caps,
through python3-rados. Prints a line for each command: a character for each user, "-" refused, "+"
not refused (whatever came of it: the arguments are made so that nothing does).

usage: matrix.py STOCK.TXT SECONDS-TO-WAIT-FOR-A-DAEMON
"""
import errno
import json
import os
import re
import sys
import threading

import rados

USERS = {  # name: caps
    'none': [],
    'r': ['mon', 'allow r', 'mgr', 'allow r', 'osd', 'allow r'],
    'rw': ['mon', 'allow rw', 'mgr', 'allow rw', 'osd', 'allow rw'],
    'rwx': ['mon', 'allow rwx', 'mgr', 'allow rwx', 'osd', 'allow rwx'],
    'x': ['mon', 'allow x', 'mgr', 'allow x', 'osd', 'allow x'],
    'all': ['mon', 'allow *', 'mgr', 'allow *', 'osd', 'allow *'],
    'mononly': ['mon', 'allow r'],
    'rbd': ['mon', 'profile rbd', 'mgr', 'profile rbd', 'osd', 'profile rbd'],
    'rbdro': ['mon', 'profile rbd-read-only', 'mgr', 'profile rbd-read-only', 'osd',
              'profile rbd-read-only'],
    'osd': ['mon', 'profile osd', 'mgr', 'profile osd', 'osd', 'allow *'],
    'mgr': ['mon', 'profile mgr'],
    'mds': ['mon', 'profile mds', 'mgr', 'profile mds', 'osd', 'allow rwx'],
    'crash': ['mon', 'profile crash', 'mgr', 'profile crash'],
    'role': ['mon', 'profile role-definer'],
    'bootosd': ['mon', 'profile bootstrap-osd'],
    'bootmds': ['mon', 'profile bootstrap-mds'],
    'simple': ['mon', 'profile simple-rados-client', 'osd', 'allow rw'],
    'command': ['mon', 'allow r, allow command "auth ls", allow command "config-key get" with '
                'key=cmp/a, allow command "osd set" with key prefix no',
                'mgr', 'allow command "pg dump", allow command "osd purge" with id=9999'],
    'nothing': ['mon', 'allow command "fsid"', 'mgr', 'allow command "pg stat"'],
    'service': ['mon', 'allow r, allow service osd rw, allow service auth rx', 'mgr',
                'allow service pg rw', 'osd', 'allow class-read'],
    'kv': ['mon', 'allow r, allow service config-key rw'],
    'network': ['mon', 'allow * network 192.0.2.0/24', 'mgr', 'allow * network 192.0.2.0/24'],
    'fsname': ['mon', 'allow r fsname=cmp'],
    'pool': ['mon', 'allow r', 'mgr', 'profile rbd pool=cmp', 'osd', 'allow rwx pool=cmp'],
}

VALUES = {  # an argument of a type that names nothing there is
    'String': 'cmpnone', 'Poolname': 'cmpnone', 'OsdName': 9999,
    'Pgid': '9999.0', 'EntityAddr': '192.0.2.1:0/1', 'IPAddr': '192.0.2.1', 'UUID': 'x',
    'Float': 0.5, 'Bool': False, 'Name': 'cmpnone', 'Filepath': '/x', 'Prefix': 'cmpnone',
    'Socketpath': '/x', 'Fragment': 'x',
}

GIVEN = {  # arguments where the general ones would do something
    'osd crush tunables': {'profile': 'default'},
    'osd setmaxosd': {'newmax': 1},
    'osd last-stat-seq': {'id': 0},
    'osd set-full-ratio': {'ratio': .95},
    'osd set-backfillfull-ratio': {'ratio': .9},
    'osd set-nearfull-ratio': {'ratio': .85},
    'osd pool create': {'pg_num': 99999999},
    'osd create': {'uuid': 'x'},
    'config reset': {'num': 99999999},
    'mgr fail': {'who': 'cmpnone'},
    'mon add': {'addr': 'x'},
    'osd set': {'key': 'noscrub'},
    'osd unset': {'key': 'noscrub'},
    'mon metadata': {'id': 'a'},
}

MORE = [  # rows with arguments that caps look at
    ('mon', {'prefix': 'config-key get', 'key': 'cmp/a'}),
    ('mon', {'prefix': 'config-key get', 'key': 'cmp/b'}),
    ('mon', {'prefix': 'config-key get', 'key': 'daemon-private/client.cmp.r/x'}),
    ('mon', {'prefix': 'config-key set', 'key': 'daemon-private/osd.0/x', 'val': '1'}),
    ('mon', {'prefix': 'config-key get', 'key': 'rbd/mirror/x'}),
    ('mon', {'prefix': 'config-key dump', 'key': 'cmp/'}),
    ('mon', {'prefix': 'osd set', 'key': 'pause'}),
    ('mon', {'prefix': 'osd unset', 'key': 'pause'}),
    ('mon', {'prefix': 'osd blocklist', 'blocklistop': 'add', 'addr': '192.0.2.1'}),
    ('mon', {'prefix': 'osd blocklist', 'blocklistop': 'add', 'addr': '192.0.2.1:0/5'}),
    ('mon', {'prefix': 'osd blocklist', 'blocklistop': 'rm', 'addr': '192.0.2.1:0/5'}),
    ('mon', {'prefix': 'auth get-or-create', 'entity': 'mds.cmp', 'caps':
             ['mon', 'allow nonsense']}),
    ('mon', {'prefix': 'auth get-or-create', 'entity': 'mds.cmp', 'caps':
             ['mon', 'allow profile mds', 'osd', 'allow rwx', 'mds', 'allow', 'mgr', 'nonsense']}),
    ('mon', {'prefix': 'auth get', 'entity': 'client.admin'}),
    ('mon', {'prefix': 'auth get', 'entity': 'client.cmp.none'}),
    ('mon', {'prefix': 'config set', 'who': 'cmpnone', 'name':
             'osd_mclock_max_capacity_iops_hdd', 'value': '1'}),
    ('mgr', {'prefix': 'osd purge', 'id': 9998}),
    ('mgr', {'prefix': 'pg dump', 'dumpcontents': ['pools', 'osds']}),
    ('osd', {'prefix': 'version'}),
    ('osd', {'prefix': 'status'}),
    ('osd', {'prefix': 'perf dump'}),
    ('osd', {'prefix': 'config show'}),
    ('osd', {'prefix': 'config get', 'var': 'osd_max_backfills'}),
    ('osd', {'prefix': 'config set', 'var': 'cmpnone', 'val': ['1']}),
    ('osd', {'prefix': 'config unset', 'var': 'cmpnone'}),
    ('osd', {'prefix': 'injectargs', 'injected_args': ['--cmpnone=1']}),
    ('osd', {'prefix': 'bench', 'count': 1, 'size': 1 << 40}),
    ('osd', {'prefix': 'dump_ops_in_flight'}),
    ('osd', {'prefix': 'dump_blocklist'}),
    ('osd', {'prefix': 'flush_pg_stats'}),
    ('tell', {'prefix': 'version'}),
    ('tell', {'prefix': 'mon_status'}),
    ('tell', {'prefix': 'sessions'}),
    ('tell', {'prefix': 'config show'}),
    ('tell', {'prefix': 'config get', 'var': 'mon_max_pg_per_osd'}),
    ('tell', {'prefix': 'config set', 'var': 'cmpnone', 'val': ['1']}),
    ('tell', {'prefix': 'injectargs', 'injected_args': ['--cmpnone=1']}),
    ('tellmgr', {'prefix': 'version'}),
    ('tellmgr', {'prefix': 'config show'}),
    ('tellmgr', {'prefix': 'config get', 'var': 'mon_max_pg_per_osd'}),
    ('tellmgr', {'prefix': 'config set', 'var': 'cmpnone', 'val': ['1']}),
]


def argument(prefix, word):
    """The value of an argument in the tables' notation, None to leave it out."""
    name, _, rest = word.partition(':')
    if name in GIVEN.get(prefix, {}):
        return name, GIVEN[prefix][name]
    m = re.match(r'([A-Za-z]+)(\((.*)\)|\{(.*)\}|\[.*\])?(\?)?(\*)?$', rest)
    kind, choices, limits = m[1], m[3], m[4]
    if m[5] or kind == 'Bool':
        return name, None
    if kind == 'Choices':
        value = choices.split('|')[0]
    elif kind == 'Int':
        value = int(limits.split('|')[0]) if limits else 1
    else:
        value = VALUES.get(kind, 'cmpnone')
    return name, [value] if m[6] else value


def rows(path):
    out = []
    for line in open(path, encoding='utf-8'):
        if line.startswith('#'):
            continue
        _, _, flags, *words = line.split()
        prefix = ' '.join(w for w in words if ':' not in w)
        cmd = {'prefix': prefix}
        for w in words:
            if ':' in w:
                name, value = argument(prefix, w)
                if value is not None:
                    cmd[name] = value
        out.append(('mgr' if int(flags) & 8 else 'mon', cmd))
    return out + MORE


class User:
    def __init__(self, name, key, wait):
        self.wait, self.out_of_reach = wait, set()
        self.handle = rados.Rados(name=name, conffile='', conf={
            'key': key, 'keyring': '/dev/null', 'client_mount_timeout': '10',
            'rados_mon_op_timeout': '30'})
        try:
            self.handle.connect(timeout=10)
        except rados.Error:
            self.handle = None

    def send(self, kind, cmd):
        text = json.dumps(cmd)
        if kind == 'mon':
            return self.handle.mon_command(text, b'')
        if kind == 'tell':
            return self.handle.mon_command(text, b'', target='a')
        if kind == 'mgr':
            return self.handle.mgr_command(text, b'')
        if kind == 'tellmgr':
            return self.handle.mgr_command(text, b'', target='x')
        return self.handle.osd_command(0, text, b'')

    def refused(self, kind, cmd):
        """Whether a command is refused. Who may not see a map never reaches its daemons."""
        if self.handle is None or kind in self.out_of_reach:
            return True
        got = []
        t = threading.Thread(target=lambda: got.append(self.send(kind, cmd)), daemon=True)
        t.start()
        t.join(self.wait)
        if not got:
            self.out_of_reach.add(kind)
            return True
        return got[0][0] in (-errno.EACCES, -errno.EPERM) and (
            kind == 'osd' or 'denied' in got[0][2] or 'insufficient caps' in got[0][2])


def title(kind, cmd):
    args = ' '.join('%s=%s' % (k, ','.join(map(str, v)) if isinstance(v, list) else v)
                    for k, v in cmd.items() if k != 'prefix')
    if kind in ('osd', 'tell', 'tellmgr'):
        kind = {'osd': 'tell osd.0', 'tell': 'tell mon.a', 'tellmgr': 'tell mgr.x'}[kind]
    else:
        kind = 'ceph'
    return ' '.join(filter(None, [kind, cmd['prefix'], args]))


def main():
    wait = float(sys.argv[2])
    admin = rados.Rados(conffile='')
    admin.connect(timeout=30)

    def ask(**cmd):
        code, out, status = admin.mon_command(json.dumps(cmd), b'')
        if code:
            sys.exit('%s: %s' % (cmd, status))
        return out.decode()

    for key in ('cmp/a', 'cmp/b'):
        ask(prefix='config-key set', key=key, val='secret')
    users = []
    for name, caps in USERS.items():
        key = ask(prefix='auth get-or-create-key', entity='client.cmp.' + name, caps=caps).strip()
        users.append(User('client.cmp.' + name, key, wait))
    print('users', ' '.join(USERS))
    for kind, cmd in rows(sys.argv[1]):
        marks = ''.join('-' if u.refused(kind, cmd) else '+' for u in users)
        print(marks, title(kind, cmd), flush=True)
    for name in USERS:
        ask(prefix='auth rm', entity='client.cmp.' + name)
    for key in ('cmp/a', 'cmp/b', 'cmpnone', 'daemon-private/osd.0/x'):
        admin.mon_command(json.dumps({'prefix': 'config-key rm', 'key': key}), b'')


main()
sys.stdout.flush()
os._exit(0)
