"""A client whose way to the monitors is cut until its tickets are past their life: OSDs that it has
no connection to refuse it (EACCES), and it goes on by itself once it can renew them.

The client lives in a network of its own; its parent forwards the ports of the cluster's daemons
into it, so that the way to the monitors can be cut while the OSDs stay in reach. Needs root."""
import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import rados

POOL, WAIT = sys.argv[1], float(sys.argv[2])
CLONE_NEWNET = 0x40000000


def ports():
    """The daemons' (address, port) pairs: monitors' and OSDs'."""
    def ask(*words):
        return json.loads(subprocess.check_output(['ceph', *words, '-f', 'json']))

    def split(addrs):
        host, port = addrs['addrvec'][0]['addr'].rsplit(':', 1)
        return host, int(port)
    mons = [split(m['public_addrs']) for m in ask('mon', 'dump')['mons']]
    osds = [split(o['public_addrs']) for o in ask('osd', 'dump')['osds']]
    return mons, osds


class Forwarder:
    """Forwards each connection that comes to a listening socket; those of the monitors can be cut."""

    def __init__(self):
        self.lock, self.cut, self.open = threading.Lock(), False, set()

    def listen(self, listener, to, is_mon):
        while True:
            inner, _ = listener.accept()
            with self.lock:
                if is_mon and self.cut:
                    inner.close()
                    continue
                outer = socket.create_connection(to)
                if is_mon:
                    self.open |= {inner, outer}
            for a, b in ((inner, outer), (outer, inner)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def set_cut(self, cut):
        with self.lock:
            self.cut = cut
            for s in self.open if cut else ():
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open = set()


def primary(name):
    out = subprocess.check_output(['ceph', 'osd', 'map', POOL, name, '-f', 'json'])
    return json.loads(out)['acting_primary']


def pick():
    """Two objects with different primaries."""
    first = primary('expired.0')
    for i in range(1, 100):
        if primary('expired.%d' % i) != first:
            return 'expired.0', 'expired.%d' % i
    raise AssertionError('all PGs have one primary')


def refusals(log):
    """What the OSD answered to the ticket, as the client notes it."""
    with open(log) as f:
        return [s for s in f if 'got BADAUTHORIZER' in s or  # msgr v1
                'handle_auth_bad_method' in s and 'result (13) Permission denied' in s]


def client(control, near, far, log):
    cluster = rados.Rados(conffile='')
    cluster.conf_set('log_file', log)
    cluster.conf_set('debug_ms', '1')
    cluster.connect(timeout=30)
    io = cluster.open_ioctx(POOL)
    io.write_full(near, b'before')
    control.send(b'cut')
    assert control.recv(8) == b'ok'
    # The connection that is there stays in use; nothing says that the tickets end meanwhile.
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        assert io.read(near) == b'before'
        time.sleep(0.5)
    done = io.aio_write_full(far, b'after')
    while not refusals(log):
        assert not done.is_complete(), 'an OSD took a ticket past its life'
        time.sleep(0.1)
    assert not done.is_complete()
    control.send(b'mend')
    begin = time.monotonic()
    done.wait_for_complete()
    assert done.get_return_value() == 0, done.get_return_value()
    print('OK: went on %.1f s after the monitors were back' % (time.monotonic() - begin))
    assert io.read(far) == b'after'
    for name in near, far:
        io.remove_object(name)
    cluster.shutdown()


def main():
    mons, osds = ports()
    near, far = pick()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'unshare')
        subprocess.check_call(['ip', 'link', 'set', 'lo', 'up'])
        listeners = [socket.create_server(a) for a in mons + osds]
        socket.send_fds(theirs, [b'fds'], [s.fileno() for s in listeners])
        for s in listeners:
            s.close()
        with tempfile.TemporaryDirectory() as folder:
            client(theirs, near, far, os.path.join(folder, 'log'))
        return
    theirs.close()
    _, fds, _, _ = socket.recv_fds(ours, 16, 64)
    forward = Forwarder()
    for i, (fd, to) in enumerate(zip(fds, mons + osds)):
        threading.Thread(target=forward.listen, daemon=True,
                         args=(socket.socket(fileno=fd), to, i < len(mons))).start()
    while word := ours.recv(16):
        forward.set_cut(word == b'cut')
        if word == b'cut':
            ours.send(b'ok')
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
