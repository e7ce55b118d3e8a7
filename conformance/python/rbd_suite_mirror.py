"""Mirroring, as far as one cluster can show it: modes, peers, states of images. Pool-wide modes
are set in the second pool, one case at a time."""
import contextlib
import fcntl
import tempfile

import rbd

from rbd_frame import MIB, case

DISABLED, IMAGE, POOL = (rbd.RBD_MIRROR_MODE_DISABLED, rbd.RBD_MIRROR_MODE_IMAGE,
                         rbd.RBD_MIRROR_MODE_POOL)
BY_JOURNAL, BY_SNAPSHOT = (rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
JOURNALED = 61 | rbd.RBD_FEATURE_JOURNALING


@contextlib.contextmanager
def alone():
    with open(f'{tempfile.gettempdir()}/rbd_suite_mirror.lock', 'w', encoding='ascii') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def mirrored(t, mode=IMAGE):
    """The second pool, with mirroring in the mode until the end of the case."""
    t.stack.enter_context(alone())
    io = t.ioctx('rbdsuite2')
    t.pool, t.io = 'rbdsuite2', io
    t.rbd.mirror_mode_set(io, mode)
    t.stack.callback(quiet, t, io)
    return io


def quiet(t, io):
    """Ends mirroring of the pool, its peers and images."""
    for peer in t.rbd.mirror_peer_list(io):
        t.rbd.mirror_peer_remove(io, peer['uuid'])
    if t.rbd.mirror_mode_get(io) == IMAGE:
        for name in t.rbd.list(io):
            with rbd.Image(io, name, read_only=True) as image:
                state = image.mirror_image_get_info()['state']
            if state != rbd.RBD_MIRROR_IMAGE_DISABLED:
                with rbd.Image(io, name) as image:
                    image.mirror_image_disable(True)
    t.rbd.mirror_mode_set(io, DISABLED)


@case(rows=[('image', IMAGE), ('pool', POOL)])
def mode(t, mode):
    io = mirrored(t, mode)
    t.eq(t.rbd.mirror_mode_get(io), mode)
    t.rbd.mirror_mode_set(io, DISABLED)
    t.eq(t.rbd.mirror_mode_get(io), DISABLED)


@case()
def mode_of_a_pool_without(t):
    t.eq(t.rbd.mirror_mode_get(t.io), DISABLED)
    t.has(t.cli('mirror', 'pool', 'info'), 'Mode: disabled')


@case()
def mode_by_command(t):
    mirrored(t, DISABLED)
    t.cli('mirror', 'pool', 'enable', t.pool, 'image', raw=True)
    t.cli('mirror', 'pool', 'enable', t.pool, 'nonsense', code=22, raw=True)
    got = t.json('mirror', 'pool', 'info', t.pool, raw=True)
    t.eq((got['mode'], got['peers']), ('image', []))
    t.cli('mirror', 'pool', 'disable', t.pool, raw=True)
    t.eq(t.json('mirror', 'pool', 'info', t.pool, raw=True)['mode'], 'disabled')


@case()
def uuid(t):
    io = mirrored(t)
    t.eq(len(t.rbd.mirror_uuid_get(io)), 36)


@case()
def site_name(t):
    with alone():
        before = t.rbd.mirror_site_name_get(t.cluster)
        t.rbd.mirror_site_name_set(t.cluster, 'here')
        t.eq(t.rbd.mirror_site_name_get(t.cluster), 'here')
        t.rbd.mirror_site_name_set(t.cluster, '')
        t.eq(t.rbd.mirror_site_name_get(t.cluster), t.cluster.get_fsid())
        t.ok(before)


@case()
def peers(t):
    io = mirrored(t)
    number = t.rbd.mirror_peer_add(io, 'there', 'client.mirror')
    rows = list(t.rbd.mirror_peer_list(io))
    t.eq([(r['uuid'], r['site_name'], r['client_name'], r['direction']) for r in rows],
         [(number, 'there', 'client.mirror', rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX)])
    t.rbd.mirror_peer_set_name(io, number, 'elsewhere')
    t.rbd.mirror_peer_set_client(io, number, 'client.other')
    rows = list(t.rbd.mirror_peer_list(io))
    t.eq([(r['site_name'], r['client_name']) for r in rows], [('elsewhere', 'client.other')])
    t.rbd.mirror_peer_set_attributes(io, number, {'mon_host': '192.0.2.1', 'key': 'secret'})
    t.eq(t.rbd.mirror_peer_get_attributes(io, number), {'mon_host': '192.0.2.1', 'key': 'secret'})
    t.rbd.mirror_peer_remove(io, number)
    t.eq(list(t.rbd.mirror_peer_list(io)), [])


@case()
def peer_twice(t):
    io = mirrored(t)
    t.rbd.mirror_peer_add(io, 'there', 'client.mirror')
    t.errno(17, t.rbd.mirror_peer_add, io, 'there', 'client.mirror')


@case()
def peer_missing(t):
    io = mirrored(t)
    t.errno(2, t.rbd.mirror_peer_set_client, io, 'nope', 'client.x')


@case()
def peer_without_mirroring(t):
    t.errno(22, t.rbd.mirror_peer_add, t.io, 'there', 'client.mirror')


@case()
def peer_by_command(t):
    mirrored(t)
    number = t.cli('mirror', 'pool', 'peer', 'add', t.pool, 'client.x@there', raw=True).strip()
    t.cli('mirror', 'pool', 'peer', 'set', t.pool, number, 'client', 'client.y', raw=True)
    got = t.json('mirror', 'pool', 'info', t.pool, raw=True)['peers']
    t.eq([(p['uuid'], p['site_name'], p['client_name']) for p in got],
         [(number, 'there', 'client.y')])
    t.cli('mirror', 'pool', 'peer', 'remove', t.pool, number, raw=True)


@case()
def bootstrap_token(t):
    """A token names the cluster and a key that was made for its peer."""
    import base64
    import json
    io = mirrored(t)
    got = json.loads(base64.b64decode(t.rbd.mirror_peer_bootstrap_create(io)))
    t.eq((got['fsid'], got['client_id']), (t.cluster.get_fsid(), 'rbd-mirror-peer'))
    t.ok(got['key'] and got['mon_host'], got)
    auth = t.command('ceph', 'auth', 'get', 'client.rbd-mirror-peer')
    t.has(auth, got['key'], 'profile rbd-mirror')


@case()
def bootstrap_of_nonsense(t):
    io = mirrored(t)
    t.errno(22, t.rbd.mirror_peer_bootstrap_import, io, rbd.RBD_MIRROR_PEER_DIRECTION_RX, 'x')


@case()
def bootstrap_from_itself(t):
    io = mirrored(t)
    token = t.rbd.mirror_peer_bootstrap_create(io)
    t.errno(22, t.rbd.mirror_peer_bootstrap_import, io, rbd.RBD_MIRROR_PEER_DIRECTION_RX, token)


@case()
def image_by_journal(t):
    mirrored(t)
    image = t.image()
    image.mirror_image_enable(BY_JOURNAL)
    info = image.mirror_image_get_info()
    t.eq((info['state'], info['primary'], image.mirror_image_get_mode()),
         (rbd.RBD_MIRROR_IMAGE_ENABLED, True, BY_JOURNAL))
    t.eq(len(info['global_id']), 36)
    t.ok(image.features() & rbd.RBD_FEATURE_JOURNALING)
    image.mirror_image_disable(False)
    t.eq(image.mirror_image_get_info()['state'], rbd.RBD_MIRROR_IMAGE_DISABLED)


@case()
def image_demoted_and_promoted(t):
    mirrored(t)
    image = t.image(features=JOURNALED)
    image.mirror_image_enable(BY_JOURNAL)
    image.write(b'x', 0)
    image.mirror_image_demote()
    t.eq(image.mirror_image_get_info()['primary'], False)
    t.errno(1, image.write, b'y', 0)
    t.errno(1, t.open().write, b'y', 0)
    image.mirror_image_promote(False)
    image.write(b'y', 1)
    t.eq((image.read(0, 2), image.mirror_image_get_info()['primary']), (b'xy', True))


@case()
def image_resync(t):
    mirrored(t)
    image = t.image(features=JOURNALED)
    image.mirror_image_enable(BY_JOURNAL)
    t.errno(22, image.mirror_image_resync)
    image.mirror_image_demote()
    image.mirror_image_resync()


@case()
def image_status(t):
    mirrored(t)
    image = t.image(features=JOURNALED)
    image.mirror_image_enable(BY_JOURNAL)
    got = image.mirror_image_get_status()
    t.eq((got['name'], got['info']['state'], [s['mirror_uuid'] for s in got['remote_statuses']]),
         (t.name, rbd.RBD_MIRROR_IMAGE_ENABLED, []))
    out = t.cli('mirror', 'image', 'status', t.name)
    t.has(out, f'{t.name}:', 'global_id:   ' + got['info']['global_id'],
          'state:       down+unknown')


@case()
def image_status_without(t):
    t.create()
    t.cli('mirror', 'image', 'status', t.name, code=22, says='mirroring not enabled on the image')


@case()
def image_without_pool(t):
    t.errno(22, t.image().mirror_image_enable, BY_JOURNAL)


@case()
def image_in_pool_mode(t):
    """In pool mode an image with a journal is mirrored without being asked."""
    mirrored(t, POOL)
    t.errno(22, t.image(t.name + '_plain', features=1).mirror_image_enable, BY_JOURNAL)
    image = t.image(features=JOURNALED)
    t.eq(image.mirror_image_get_info()['state'], rbd.RBD_MIRROR_IMAGE_ENABLED)


@case()
def lists(t):
    io = mirrored(t)
    image = t.image(features=JOURNALED)
    image.mirror_image_enable(BY_JOURNAL)
    rows = [r for r in t.rbd.mirror_image_status_list(io) if r['name'] == t.name]
    t.eq(rows[0]['info']['state'], rbd.RBD_MIRROR_IMAGE_ENABLED)
    t.eq(t.rbd.mirror_image_status_summary(io), [(rbd.MIRROR_IMAGE_STATUS_STATE_UNKNOWN, 1)])
    info = dict(t.rbd.mirror_image_info_list(io))[image.id()]
    t.eq((info['mode'], info['primary']), (BY_JOURNAL, True))
    t.eq(list(t.rbd.mirror_image_instance_id_list(io)), [])


@case()
def pool_status(t):
    mirrored(t)
    t.image(features=JOURNALED).mirror_image_enable(BY_JOURNAL)
    got = t.json('mirror', 'pool', 'status', t.pool, '--verbose', raw=True)
    t.eq((got['summary']['states'], [i['name'] for i in got['images']], got['daemons']),
         ({'unknown': 1}, [t.name], []))


@case()
def pool_demote_and_promote(t):
    mirrored(t)
    image = t.image(features=JOURNALED)
    image.mirror_image_enable(BY_JOURNAL)
    image.close()
    t.has(t.cli('mirror', 'pool', 'demote', t.pool, raw=True), 'Demoted 1 mirrored images')
    t.has(t.cli('mirror', 'pool', 'promote', t.pool, raw=True), 'Promoted 1 mirrored images')


@case()
def by_command(t):
    mirrored(t)
    t.create()
    t.has(t.cli('mirror', 'image', 'enable', t.name, 'journal'), 'Mirroring enabled')
    got = t.json('info', t.name)['mirroring']
    t.eq((got['mode'], got['state'], got['primary']), ('journal', 'enabled', True))
    t.has(t.cli('mirror', 'image', 'demote', t.name), 'Image demoted to non-primary')
    t.has(t.cli('mirror', 'image', 'promote', t.name), 'Image promoted to primary')
    t.has(t.cli('mirror', 'image', 'disable', t.name), 'Mirroring disabled')


@case()
def mode_kept_while_images_are_mirrored(t):
    io = mirrored(t)
    t.image(features=JOURNALED).mirror_image_enable(BY_JOURNAL)
    t.errno(22, t.rbd.mirror_mode_set, io, DISABLED)


@case()
def journal_kept_while_mirrored(t):
    mirrored(t)
    image = t.image(features=JOURNALED)
    image.mirror_image_enable(BY_JOURNAL)
    t.errno(22, image.update_features, rbd.RBD_FEATURE_JOURNALING, False)


# By snapshots.

@case(needs=('snapshots',))
def image_by_snapshot(t):
    io = mirrored(t)
    t.rbd.mirror_peer_add(io, 'there', 'client.mirror')
    image = t.image()
    image.mirror_image_enable(BY_SNAPSHOT)
    t.eq(image.mirror_image_get_mode(), BY_SNAPSHOT)
    snap = image.mirror_image_create_snapshot()
    rows = {s['id']: s for s in image.list_snaps()}
    t.eq(rows[snap]['namespace'], rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR)
    t.eq(image.snap_get_mirror_namespace(snap)['state'], rbd.RBD_SNAP_MIRROR_STATE_PRIMARY)
    image.mirror_image_disable(True)
    t.eq([s for s in image.list_snaps()], [])


@case(needs=('snapshots',))
def image_by_snapshot_demoted(t):
    io = mirrored(t)
    t.rbd.mirror_peer_add(io, 'there', 'client.mirror')
    image = t.image()
    image.mirror_image_enable(BY_SNAPSHOT)
    image.write(b'x', 0)
    image.mirror_image_demote()
    t.errno(30, t.open().write, b'y', 0)
    image.mirror_image_promote(True)
    image.write(b'y', 1)
    t.eq(image.read(0, 2), b'xy')


@case(needs=('snapshots',))
def image_snapshot_by_command(t):
    io = mirrored(t)
    t.rbd.mirror_peer_add(io, 'there', 'client.mirror')
    t.create()
    t.cli('mirror', 'image', 'enable', t.name, 'snapshot')
    t.has(t.cli('mirror', 'image', 'snapshot', t.name), 'Snapshot ID: ')
    t.has(t.cli('snap', 'ls', '--all', t.name), 'mirror (primary')


@case(needs=('snapshots',))
def image_snapshot_without(t):
    t.errno(22, t.image().mirror_image_create_snapshot)
