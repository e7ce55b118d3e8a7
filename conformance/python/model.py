"""A client that knows what everything must hold, until its standard input is closed.

Arguments: pool, seed, and, for snapshots and disks too, a pool for snapshots of pools. Workers of
each kind know what their objects must hold, now, at snapshots and as copies (model_objects.py,
model_snaps.py, model_copies.py), who has to hear of a notify (model_watches.py), and what disks,
their snapshots and their clones hold (model_images.py). Errors that they do not foresee are
violations. In the end everything is looked at once more, snapshots are removed, and one line of
JSON is printed."""
import json
import sys

sys.dont_write_bytecode = True
from model_base import POOLED, stop, total  # noqa: E402
from model_copies import Copier  # noqa: E402
from model_images import Disk  # noqa: E402
from model_objects import Owner  # noqa: E402
from model_snaps import PoolSnapped, Snapped  # noqa: E402
from model_watches import Watched  # noqa: E402

workers = [Owner(0), Owner(1), Copier(8), Watched(4), Watched(5)]
if POOLED:
    workers += [Snapped(2), Snapped(3), Disk(6), PoolSnapped(7)]
for w in workers:
    w.start()
sys.stdin.read()
stop.set()
for w in workers:
    w.join()
print(json.dumps({'slow': total.pop('slow'), **total}))
sys.exit(bool(total['violations']))
