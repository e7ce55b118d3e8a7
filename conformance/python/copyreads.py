"""Reads of any copy (balanced and localized), with writes between: each read must see the write that
was answered before it. Prints how many there were."""
import ctypes as C
import sys
import threading
import time

POOL, SECONDS = sys.argv[1].encode(), float(sys.argv[2])
BALANCE, LOCALIZE = 1, 2
OBJECTS, THREADS = 12, 4
lib = C.CDLL('librados.so.2')
lib.rados_create_read_op.restype = C.c_void_p
bad, reads = [], [0]


def ok(r):
    if r < 0:
        raise OSError(-r, 'librados')
    return r


def read(io, name, flags):
    op = C.c_void_p(lib.rados_create_read_op())
    buf, n, r = C.create_string_buffer(64), C.c_size_t(), C.c_int()
    lib.rados_read_op_read(op, C.c_uint64(0), C.c_size_t(64), buf, C.byref(n), C.byref(r))
    try:
        ok(lib.rados_read_op_operate(op, io, name, flags))
        ok(r.value)
    finally:
        lib.rados_release_read_op(op)
    return buf.raw[:n.value]


def work(io, number):
    mine = [b'any.%d.%d' % (number, i) for i in range(OBJECTS)]
    end, turn = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end:
            turn += 1
            for i, name in enumerate(mine):
                if i % 4 == turn % 4 and i < OBJECTS // 2:
                    value = b'%s %d' % (name, turn)
                    ok(lib.rados_write_full(io, name, value, C.c_size_t(len(value))))
                    mine_is[name] = value
                elif turn == 1:
                    mine_is[name] = b'first ' + name
                    ok(lib.rados_write_full(io, name, mine_is[name], C.c_size_t(len(mine_is[name]))))
                got = read(io, name, (BALANCE, LOCALIZE)[turn % 2])
                reads[0] += 1
                if got != mine_is[name]:
                    bad.append((name, got, mine_is[name]))
    except OSError as e:
        bad.append(e)


cluster, io = C.c_void_p(), C.c_void_p()
ok(lib.rados_create(C.byref(cluster), None))
ok(lib.rados_conf_read_file(cluster, None))
ok(lib.rados_connect(cluster))
ok(lib.rados_ioctx_create(cluster, POOL, C.byref(io)))
mine_is = {}
threads = [threading.Thread(target=work, args=(io, i)) for i in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if bad:
    sys.exit('wrong: %s' % bad[:5])
print('%d reads' % reads[0])
print('OK')
lib.rados_ioctx_destroy(io)
lib.rados_shutdown(cluster)
