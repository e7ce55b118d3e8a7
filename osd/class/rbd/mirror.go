package rbd

import (
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

// The pool's object rbd_mirroring holds how its images are mirrored to other clusters: the mode,
// the pool's own UUID, the peers, and per image its state and status.

const (
	mirrorUUIDKey    = "mirror_uuid"
	mirrorModeKey    = "mirror_mode"
	mirrorPeerPrefix = "mirror_peer_"
)

// Modes of mirroring (MIRROR_MODE_*).
const (
	mirrorDisabled uint32 = 0
	mirrorLast     uint32 = 2
)

// A peer is another cluster.
type peer = rbdspec.MirrorPeer

func validPeer(p *peer) bool {
	if p.Direction > rbdspec.PeerRXTX || (p.Direction != rbdspec.PeerTX && p.Client == "") {
		return false
	}
	return p.UUID != "" && p.Site != ""
}

func storePeer(ctx class.Context, p *peer) error {
	return class.Put(ctx, mirrorPeerPrefix+p.UUID, class.Of[peer], *p)
}

// mirrorUUID is stored without a length.
func mirrorUUID(ctx class.Context) (string, error) {
	raw, err := ctx.OmapVal(mirrorUUIDKey)
	return string(raw), err
}

func mirrorUUIDGet(ctx class.Context, _ []byte) ([]byte, error) {
	uuid, err := mirrorUUID(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Str, uuid), nil
}

func mirrorUUIDSet(ctx class.Context, in []byte) ([]byte, error) {
	uuid, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	if uuid == "" {
		return nil, ceph.EINVAL
	}
	mode, err := class.GetOr(ctx, mirrorModeKey, class.U32, mirrorDisabled)
	if err != nil {
		return nil, err
	}
	if mode != mirrorDisabled {
		return nil, ceph.EINVAL
	}
	return nil, ctx.OmapSet(map[string][]byte{mirrorUUIDKey: []byte(uuid)})
}

// mirrorModeSet turns mirroring on, which needs a UUID, or off, which needs to have no peers.
func mirrorModeSet(ctx class.Context, in []byte) ([]byte, error) {
	mode, err := class.Input(in, class.U32)
	if err != nil {
		return nil, err
	}
	if mode > mirrorLast {
		return nil, ceph.EINVAL
	}
	if mode != mirrorDisabled {
		if _, err := mirrorUUID(ctx); class.IsMissing(err) {
			return nil, ceph.EINVAL
		} else if err != nil {
			return nil, err
		}
		return nil, class.Put(ctx, mirrorModeKey, class.U32, mode)
	}
	peers, err := readPeers(ctx)
	if err != nil {
		return nil, err
	}
	if len(peers) > 0 {
		return nil, ceph.EBUSY
	}
	if err := class.Remove(ctx, mirrorModeKey); err != nil {
		return nil, err
	}
	return nil, class.Remove(ctx, mirrorUUIDKey)
}

// readPeers reads all peers; a missing object has none.
func readPeers(ctx class.Context) ([]peer, error) {
	var peers []peer
	err := class.Scan(ctx, mirrorPeerPrefix, mirrorPeerPrefix, func(_ string, v []byte) error {
		var p peer
		err := class.DecodeStored(v, &p)
		peers = append(peers, p)
		return err
	})
	if err != nil && !class.IsMissing(err) {
		return nil, err
	}
	return peers, nil
}

func requireMirroring(ctx class.Context) error {
	mode, err := class.GetOr(ctx, mirrorModeKey, class.U32, mirrorDisabled)
	if err == nil && mode == mirrorDisabled {
		return ceph.EINVAL
	}
	return err
}

// mirrorPeerPing is called by a peer that sends to this cluster: it is recorded, or made known.
func mirrorPeerPing(ctx class.Context, in []byte) ([]byte, error) {
	var site, uuid string
	var direction uint8
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&site)
		c.Str(&uuid)
		c.U8(&direction)
	})
	if err != nil {
		return nil, err
	}
	if direction != rbdspec.PeerTX {
		return nil, ceph.EINVAL
	}
	if err := requireMirroring(ctx); err != nil {
		return nil, err
	}
	if site == "" || uuid == "" {
		return nil, ceph.EINVAL
	}
	peers, err := readPeers(ctx)
	if err != nil {
		return nil, err
	}
	p := matchPeer(peers, site, uuid)
	if p == nil {
		p = &peer{UUID: uniqueName(ctx, 0), Direction: rbdspec.PeerTX, Site: site, MirrorUUID: uuid}
	} else if p.Direction == rbdspec.PeerRX {
		p.Direction = rbdspec.PeerRXTX
	}
	p.LastSeen = ctx.Now()
	if !validPeer(p) {
		return nil, ceph.EINVAL
	}
	return nil, storePeer(ctx, p)
}

// matchPeer finds the peer that a ping came from, by the UUID of its pool rather than by the name
// of its site, and brings the other up to date.
func matchPeer(peers []peer, site, uuid string) *peer {
	bySite := slices.IndexFunc(peers, func(p peer) bool { return p.Site == site })
	byUUID := -1
	if bySite < 0 || (peers[bySite].MirrorUUID != "" && peers[bySite].MirrorUUID != uuid) {
		byUUID = slices.IndexFunc(peers, func(p peer) bool { return p.MirrorUUID == uuid })
	}
	switch {
	case bySite >= 0 && byUUID >= 0:
		return &peers[byUUID]
	case byUUID >= 0:
		peers[byUUID].Site = site
		return &peers[byUUID]
	case bySite >= 0:
		peers[bySite].MirrorUUID = uuid
		return &peers[bySite]
	}
	return nil
}

func mirrorPeerList(ctx class.Context, _ []byte) ([]byte, error) {
	peers, err := readPeers(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { denc.List(c, &peers) }), nil
}

func mirrorPeerAdd(ctx class.Context, in []byte) ([]byte, error) {
	p, err := class.Input(in, class.Of[peer])
	if err != nil {
		return nil, err
	}
	if err := requireMirroring(ctx); err != nil {
		return nil, err
	}
	if !validPeer(&p) {
		return nil, ceph.EINVAL
	}
	own, err := mirrorUUID(ctx)
	if err != nil {
		return nil, err
	}
	if p.UUID == own || p.Direction == rbdspec.PeerTX {
		return nil, ceph.EINVAL
	}
	peers, err := readPeers(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range peers {
		switch {
		case o.UUID == p.UUID:
			return nil, ceph.ESTALE
		case o.Site == p.Site, p.MirrorUUID != "" && o.MirrorUUID == p.MirrorUUID:
			return nil, ceph.EEXIST
		}
	}
	return nil, storePeer(ctx, &p)
}

func mirrorPeerRemove(ctx class.Context, in []byte) ([]byte, error) {
	uuid, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, class.Remove(ctx, mirrorPeerPrefix+uuid)
}

// peerSetter makes the method that changes one property of a peer.
func peerSetter(decode func(c *denc.Coder, p *peer)) class.Func {
	return func(ctx class.Context, in []byte) ([]byte, error) {
		uuid, err := "", error(nil)
		err = class.Decode(in, func(c *denc.Coder) {
			c.Str(&uuid)
			decode(c, &peer{})
		})
		if err != nil {
			return nil, err
		}
		p, err := class.Get(ctx, mirrorPeerPrefix+uuid, class.Of[peer])
		if err != nil {
			return nil, err
		}
		_ = class.Decode(in, func(c *denc.Coder) {
			c.Str(&uuid)
			decode(c, &p)
		})
		return nil, storePeer(ctx, &p)
	}
}

func mirrorPeerSetCluster(ctx class.Context, in []byte) ([]byte, error) {
	uuid, site, err := nameAndID(in)
	if err != nil {
		return nil, err
	}
	peers, err := readPeers(ctx)
	if err != nil {
		return nil, err
	}
	var found *peer
	for i := range peers {
		if peers[i].UUID == uuid {
			found = &peers[i]
		} else if peers[i].Site == site {
			return nil, ceph.EEXIST
		}
	}
	if found == nil {
		return nil, ceph.ENOENT
	}
	found.Site = site
	return nil, storePeer(ctx, found)
}
