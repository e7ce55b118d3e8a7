"""What python3-rbd has no calls for, by librbd itself: compare_and_write, writesame and write_zeroes.

Arguments: ceph.conf, pool, image. Each line of the input is a call: its name, offset, length, flags
and data in hex (of compare: what is expected, and what is written). Each line of the output is the
result, and for compare the offset that it names."""
import ctypes
import sys

conf, pool, image = (a.encode() for a in sys.argv[1:])
librados = ctypes.CDLL('librados.so.2')
librbd = ctypes.CDLL('librbd.so.1')


def check(result, what):
    if result < 0:
        sys.exit('%s: %d' % (what, result))


cluster, io, img = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
check(librados.rados_create(ctypes.byref(cluster), b'admin'), 'create')
check(librados.rados_conf_read_file(cluster, conf), 'conf')
check(librados.rados_connect(cluster), 'connect')
check(librados.rados_ioctx_create(cluster, pool, ctypes.byref(io)), 'pool')
check(librbd.rbd_open(io, image, ctypes.byref(img), None), 'open')
number, size = ctypes.c_uint64, ctypes.c_size_t
for name in 'rbd_compare_and_write', 'rbd_writesame', 'rbd_write_zeroes':
    getattr(librbd, name).restype = ctypes.c_ssize_t
for line in sys.stdin:
    name, off, length, flags, *data = line.split()
    off, length, flags = number(int(off)), size(int(length)), int(flags)
    data = [bytes.fromhex(d) for d in data]
    mismatch = number(0)
    if name == 'compare':
        r = librbd.rbd_compare_and_write(img, off, length, data[0], data[1],
                                         ctypes.byref(mismatch), 0)
    elif name == 'same':
        r = librbd.rbd_writesame(img, off, length, data[0], size(len(data[0])), 0)
    else:
        r = librbd.rbd_write_zeroes(img, off, length, flags, 0)
    print(min(r, 0), mismatch.value, flush=True)
check(librbd.rbd_close(img), 'close')
librados.rados_ioctx_destroy(io)
librados.rados_shutdown(cluster)
