package journal

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/journalspec"
	"glue/osd/class"
)

func getClient(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return getter(clientPrefix+id, class.Of[journalspec.Client])(ctx, nil)
}

func putClient(ctx class.Context, l journalspec.Client) error {
	return class.Put(ctx, clientPrefix+l.ID, class.Of[journalspec.Client], l)
}

// idAndData reads the input of clientRegister and clientUpdateData.
func idAndData(in []byte) (id string, data []byte, err error) {
	err = class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		c.Blob(&data)
	})
	return id, data, err
}

// clientRegister adds a client, which starts where the slowest is.
func clientRegister(ctx class.Context, in []byte) ([]byte, error) {
	id, data, err := idAndData(in)
	if err != nil {
		return nil, err
	}
	if _, err := get(ctx, orderKey, class.U8); err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(clientPrefix + id); err == nil {
		return nil, ceph.EEXIST
	} else if !class.IsMissing(err) {
		return nil, err
	}
	start, err := slowest(ctx)
	if err != nil {
		return nil, err
	}
	return nil, putClient(ctx, journalspec.Client{ID: id, Data: data, Committed: start})
}

// batchClients is how many clients slowest looks at together (JOURNAL_MAX_RETURN).
const batchClients = 256

// slowest is the least of the connected clients' positions; the image itself is the client "". A
// client that has committed nothing ends the search in its batch of clients, as it does in Ceph.
func slowest(ctx class.Context) (journalspec.Positions, error) {
	var found journalspec.Positions
	var first journalspec.Position
	valid := false
	for after := ""; ; {
		batch, err := clients(ctx, after, batchClients)
		if err != nil || len(batch) == 0 {
			return found, err
		}
		for _, id := range slices.Sorted(maps.Keys(batch)) {
			l := batch[id]
			if l.State == journalspec.Disconnected {
				continue
			}
			if len(l.Committed) == 0 {
				found = nil
				break
			}
			p := l.Committed[0]
			if !valid || first.Tag > p.Tag || (first.Tag == p.Tag && first.Entry > p.Entry) {
				first, found, valid = p, l.Committed, true
			}
		}
		if len(batch) < batchClients {
			return found, nil
		}
		after = clientPrefix + slices.Max(slices.Collect(maps.Keys(batch)))
	}
}

// clients reads up to max clients with keys above after.
func clients(ctx class.Context, after string, max uint64) (map[string]journalspec.Client, error) {
	pairs, _, err := ctx.OmapScan(after, clientPrefix, max)
	if err != nil {
		return nil, err
	}
	out := make(map[string]journalspec.Client, len(pairs))
	for _, p := range pairs {
		l, err := class.Input(p.Value, class.Of[journalspec.Client])
		if err != nil {
			return nil, ceph.EIO
		}
		out[l.ID] = l
	}
	return out, nil
}

// change applies f to a client.
func change(ctx class.Context, id string, f func(*journalspec.Client)) error {
	l, err := get(ctx, clientPrefix+id, class.Of[journalspec.Client])
	if err != nil {
		return err
	}
	f(&l)
	return class.Put(ctx, clientPrefix+id, class.Of[journalspec.Client], l)
}

func clientUpdateData(ctx class.Context, in []byte) ([]byte, error) {
	id, data, err := idAndData(in)
	if err != nil {
		return nil, err
	}
	return nil, change(ctx, id, func(l *journalspec.Client) { l.Data = data })
}

func clientUpdateState(ctx class.Context, in []byte) ([]byte, error) {
	var id string
	var state uint8
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		c.U8(&state)
	})
	if err != nil {
		return nil, err
	}
	return nil, change(ctx, id, func(l *journalspec.Client) { l.State = state })
}

func clientUnregister(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(clientPrefix + id); err != nil {
		return nil, err
	}
	if err := ctx.OmapRm(clientPrefix + id); err != nil {
		return nil, err
	}
	return nil, expireTags(ctx, clientPrefix+id)
}

func clientCommit(ctx class.Context, in []byte) ([]byte, error) {
	var id string
	var to journalspec.Positions
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		to.Denc(c)
	})
	if err != nil {
		return nil, err
	}
	width, err := get(ctx, widthKey, class.U8)
	if err != nil {
		return nil, err
	}
	if len(to) > int(width) {
		return nil, ceph.EINVAL
	}
	l, err := get(ctx, clientPrefix+id, class.Of[journalspec.Client])
	if err != nil || slices.Equal(l.Committed, to) {
		return nil, err
	}
	l.Committed = to
	return nil, class.Put(ctx, clientPrefix+id, class.Of[journalspec.Client], l)
}

func clientList(ctx class.Context, in []byte) ([]byte, error) {
	var start string
	var max uint64
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&start)
		c.U64(&max)
	})
	if err != nil {
		return nil, err
	}
	after := ""
	if start != "" {
		after = clientPrefix + start
	}
	batch, err := clients(ctx, after, max)
	if err != nil {
		return nil, err
	}
	var list []journalspec.Client
	for _, id := range slices.Sorted(maps.Keys(batch)) {
		list = append(list, batch[id])
	}
	return class.Encode(func(c *denc.Coder) { denc.List(c, &list) }), nil
}
