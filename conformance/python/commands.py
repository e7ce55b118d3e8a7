"""Runs command lines through the stock command line (/usr/bin/ceph), all in one process with one
connection, and prints what each gave as a line of JSON. Starting the tool anew for each would take
a minute of CPU; here its main() is called again and again.

usage: commands.py CASES DIRECTORY
"""
import contextlib
import copy
import functools
import importlib.machinery
import importlib.util
import io
import json
import os
import re
import shlex
import socket
import time
import sys

import ceph_argparse
import rados

HOST = socket.gethostname().split('.')[0]


class OneHandle:
    """rados.Rados as the tool wants it anew for each command: always the same. Another, which never
    connects, picks the options of the client out of the arguments."""
    real = None
    spare = None

    def __new__(cls, **kw):
        if cls.real is None:
            cls.real, cls.spare = rados.Rados(**kw), rados.Rados(**kw)
            cls.real.connect(timeout=30)
        return super().__new__(cls)

    def __init__(self, **kw):
        pass

    def connect(self, timeout=0):
        pass

    def conf_parse_argv(self, args):
        return self.spare.conf_parse_argv(args)

    def __getattr__(self, name):
        return getattr(self.real, name)


class Modules:
    """The rados module with OneHandle for its Rados."""
    Rados = OneHandle

    def __getattr__(self, name):
        return getattr(rados, name)


class Copying:
    """The copy module as ceph_argparse uses it: for lists of descriptions of arguments, of which the
    tool makes a hundred thousand copies in a minute. What it changes of them is copied: the
    descriptions and the values that they hold."""
    @staticmethod
    def deepcopy(signature):
        out = [copy.copy(d) for d in signature]
        for d in out:
            if hasattr(d, 'instance'):
                d.instance = copy.copy(d.instance)
        return out


def load():
    ceph_argparse.copy = Copying
    loader = importlib.machinery.SourceFileLoader('ceph_cli', '/usr/bin/ceph')
    cli = importlib.util.module_from_spec(importlib.util.spec_from_loader('ceph_cli', loader))
    loader.exec_module(cli)
    cli.rados = Modules()
    cli.parse_json_funcsigs = functools.lru_cache(None)(cli.parse_json_funcsigs)
    ask, said = cli.json_command, {}

    def ask_once(handle, target=('mon', ''), prefix=None, **more):
        """What a daemon describes is asked for once: reading it is most of the tool's work."""
        if prefix != 'get_command_descriptions':
            return ask(handle, target=target, prefix=prefix, **more)
        if target not in said:
            answer = ask(handle, target=target, prefix=prefix, **more)
            if answer[0]:
                return answer
            said[target] = answer
        return said[target]
    cli.json_command = ask_once
    return cli


class Capture(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), encoding='utf-8', errors='replace', write_through=True)

    def text(self):
        return self.buffer.getvalue()


def run(cli, args):
    """One command line: exit code, stdout as bytes, stderr."""
    out, err = Capture(), Capture()
    sys.argv = ['ceph'] + args
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main()
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except Exception as e:  # what the interpreter would do
            code = 1
            print('%s: %s' % (type(e).__name__, e), file=sys.stderr)
    return code or 0, out.text(), err.text().decode('utf-8', 'replace')


NORMAL = [
    (re.compile(re.escape(HOST)), 'HOST'),
    (re.compile(r'AQ[A-Za-z0-9+/]{36,}=='), 'KEY'),
    (re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'), 'UUID'),
    (re.compile(r'\d{4}-\d\d-\d\d[T ][0-9:.]+([+-]\d{4}|Z)?'), 'TIME'),
    (re.compile(r'\d+\.\d+\.\d+\.\d+:\d+(/\d+)?'), 'ADDR'),
    (re.compile(r'\[v2:ADDR,v1:ADDR\]'), 'v2:ADDR'),  # the recorded cluster had no msgr v1
    (re.compile(r'ceph version [^"]*\((stable|dev|rc)\)'), 'VERSION'),
    (re.compile(r'\b(hdd|ssd|nvme)\b'), 'CLASS'),
    (re.compile(r'-?\d+(\.\d+)?(e[+-]\d+)?'), 'N'),
    (re.compile(r'[ \t]+'), ' '),
]


def normal(text):
    """Text without what differs from run to run. The help that usage errors end with is left out:
    each has its own words."""
    usage = re.search('^.*(Invalid command|no valid command found).*', text, re.M)
    if usage:
        text = text[:usage.end()]
    for rx, by in NORMAL:
        text = rx.sub(by, text)
    return text.strip()


def first_line(text):
    for line in text.decode('utf-8', 'replace').split('\n'):
        if line.strip():
            return normal(line)[:200]
    return ''


def key(k):
    """Keys that name things, as kinds."""
    k = normal(k)
    return k[:12] + '…' if len(k) > 40 else k


def merge(a, b):
    if a is None or a == b:
        return b
    if isinstance(a, dict) and isinstance(b, dict):
        return {k: merge(a.get(k), b.get(k)) if k in b else a[k] for k in list(a) + list(b)}
    if isinstance(a, list) and isinstance(b, list):
        return [merge(a[0], b[0])] if a and b else a or b
    return '|'.join(sorted(set(str(a).split('|') + str(b).split('|'))))


def shape(v):
    """The value without its values: keys stay, elements of lists are laid over each other."""
    if isinstance(v, dict):
        out = {}
        for k, e in v.items():
            out[key(k)] = merge(out.get(key(k)), shape(e))
        return out
    if isinstance(v, list):
        out = None
        for e in v:
            out = merge(out, shape(e))
        return [] if out is None else [out]
    if isinstance(v, bool):
        return 'bool'
    if isinstance(v, (int, float)):
        return 'number'
    return 'null' if v is None else 'string'


def shape_of(out):
    text = out.decode('utf-8', 'replace').strip()
    if not text:
        return None
    try:
        return shape(json.loads(text))
    except ValueError:
        return 'not JSON'


def clean(cli):
    """Whether all placement groups are active and clean, wherever they are mapped."""
    _, out, _ = run(cli, ['-f', 'json', 'pg', 'stat'])
    states = json.loads(out)['pg_summary']['num_pg_by_state']
    return all(s['name'].startswith('active+clean') for s in states)


def wait(cli, args):
    """Waits until a command succeeds; without one, until all placement groups have been clean for
    longer than it takes the manager to hear of a change."""
    end, since = time.monotonic() + 60, time.monotonic()
    while time.monotonic() < end:
        if args:
            if run(cli, args)[0] == 0:
                return
        elif not clean(cli):
            since = time.monotonic()
        elif time.monotonic() - since > 1.5:
            return
        time.sleep(0.1)
    sys.exit('not within a minute: %s' % (' '.join(args) or 'clean'))


def main():
    cases, folder = sys.argv[1], sys.argv[2]
    sys.argv = ['ceph']
    cli = load()
    names = {'host': HOST}
    for line in open(cases, encoding='utf-8'):
        line = line.rstrip('\n')
        if not line.strip() or line[0] == '#':
            continue
        word, _, rest = line.partition(' ')
        if word == 'wait':
            wait(cli, shlex.split(rest))
            continue
        if word in ('file', 'capture'):
            name, _, text = rest.partition(' ')
            names[name] = os.path.join(folder, name)
            if word == 'file':
                data = text.replace('\\n', '\n').replace('\\t', '\t').encode()
            else:
                _, data, _ = run(cli, shlex.split(text))
            with open(names[name], 'wb') as f:
                f.write(data)
            continue
        command = rest if word in ('1', '~') else line
        args = shlex.split(re.sub(r'\{(\w+)\}', lambda m: names.get(m[1], m[0]), command))
        got = {'line': command}
        got['code'], out, err = run(cli, args)
        got['err'] = normal(err.replace(folder, 'DIR'))
        got['out'] = '' if word == '~' else first_line(out)
        if word != '1':
            got['jcode'], out, err = run(cli, ['-f', 'json'] + args)
            got['jerr'] = normal(err.replace(folder, 'DIR'))
            got['json'] = shape_of(out)
        print(json.dumps(got, ensure_ascii=False), flush=True)


main()
sys.stdout.flush()
os._exit(0)
