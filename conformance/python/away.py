"""Clients that are stopped with their connections cut until their tickets are past their life, each
at another moment of the keys' life: all of them go on by themselves."""
import os
import signal
import socket
import sys
import time

import rados

POOL, AWAY, PERIOD = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
CLIENTS, LIMIT = 8, 20


def cut():
    """Ends all TCP connections of this process, whatever the library thinks of them."""
    for fd in os.listdir('/proc/self/fd'):
        try:
            if not os.readlink('/proc/self/fd/' + fd).startswith('socket:'):
                continue
            s = socket.socket(fileno=os.dup(int(fd)))
        except OSError:
            continue
        with s:
            if s.family in (socket.AF_INET, socket.AF_INET6):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def client(number):
    cluster = rados.Rados(conffile='')
    cluster.conf_set('rados_mon_op_timeout', str(LIMIT))
    cluster.conf_set('rados_osd_op_timeout', str(LIMIT))
    cluster.connect(timeout=30)
    io, name, me = cluster.open_ioctx(POOL), 'away.%d' % number, cluster.get_instance_id()
    io.write_full(name, b'before')
    time.sleep(number * PERIOD / CLIENTS)
    os.kill(os.getpid(), signal.SIGSTOP)
    cut()
    begin = time.monotonic()
    code, _, status = cluster.mon_command('{"prefix": "fsid"}', b'')
    assert code == 0, (number, code, status)
    assert io.read(name) == b'before'
    io.write_full(name, b'after')
    assert io.read(name) == b'after'
    assert cluster.get_instance_id() == me
    print('client %d went on after %.1f s' % (number, time.monotonic() - begin), flush=True)
    io.remove_object(name)
    cluster.shutdown()


def main():
    children = {}
    for number in range(CLIENTS):
        pid = os.fork()
        if pid == 0:
            try:
                client(number)
            except BaseException as e:  # pylint: disable=broad-except
                print('client %d: %r' % (number, e), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        children[pid] = number
    wake = []
    for pid, number in children.items():  # in the order in which they stop
        _, status = os.waitpid(pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), number
        wake.append((time.monotonic() + AWAY, pid))
    for when, pid in wake:
        time.sleep(max(0, when - time.monotonic()))
        os.kill(pid, signal.SIGCONT)
    bad = [n for pid, n in children.items() if os.waitpid(pid, 0)[1] != 0]
    if bad:
        sys.exit('clients %s did not go on' % bad)
    print('OK')


main()
