package blockstore

import (
	"glue/store/kv"
	"glue/store/objectstore"
)

// Whoever sets or removes a pair of an omap must know how long it was, to count what the pool
// takes. That may have to be read from disk, so it is looked up before the state lock is taken,
// and forgotten if the object was changed before the lock was had.

// omapPairs is what a transaction knows of the pairs of an object.
type omapPairs struct {
	o     *onode
	owner uint64           // the onode's when the sizes were looked up
	sizes map[string]int64 // bytes of pairs by the user's key, 0 if there is none
	all   bool             // there are no others
}

// lookUp finds the sizes of the pairs that t sets or removes. Errors show again under the lock.
func (s *Store) lookUp(t *objectstore.Transaction) (list []omapPairs) {
	if indexed, _ := readsOmap(t.Ops); indexed {
		return nil // only its batch knows what the ops before one have left
	}
	for i := range t.Ops {
		op := &t.Ops[i]
		switch op.Code {
		case objectstore.OpOmapSet, objectstore.OpOmapRm:
			list = s.lookUpOp(op, list)
		}
	}
	return list
}

func (s *Store) lookUpOp(op *objectstore.Op, list []omapPairs) []omapPairs {
	var p omapPairs
	_ = s.object(op.Coll, &op.Object, func(o *onode) error {
		if o.body.hasOmap {
			p.o, p.owner = o, o.owner
		}
		return nil
	})
	if p.o == nil {
		return list
	}
	known := knownPairs(list, p.o)
	if known == nil {
		p.sizes = make(map[string]int64, len(op.Pairs)+len(op.Keys))
		list = append(list, p)
		known = &list[len(list)-1]
	}
	key := omapKey(nil, p.o.key, "")
	prefix := len(key)
	look := func(user string) {
		key = append(key[:prefix], user...)
		if n, err := s.pairSize(nil, key, user); err == nil {
			known.sizes[user] = n
		}
	}
	for k := range op.Pairs {
		look(k)
	}
	for _, k := range op.Keys {
		look(k)
	}
	return list
}

// pairSize is the bytes of a stored pair, 0 if there is none; on top of the database an indexed
// batch counts, if any.
func (s *Store) pairSize(b *kv.Batch, key []byte, user string) (int64, error) {
	n, found, err := s.kv.Size(b, key)
	if err != nil || !found {
		return 0, err
	}
	return int64(len(user) + n), nil
}

func knownPairs(list []omapPairs, o *onode) *omapPairs {
	for i := range list {
		if list[i].o == o {
			return &list[i]
		}
	}
	return nil
}

// trust takes over what was looked up of objects that nobody has changed since.
func (c *change) trust(list []omapPairs) {
	for _, p := range list {
		if p.o.owner == p.owner {
			c.omaps = append(c.omaps, p)
		}
	}
}

// openOmap has the object have an omap, and returns what is known of it.
func (c *change) openOmap(o *onode) *omapPairs {
	p := knownPairs(c.omaps, o)
	if p == nil {
		c.omaps = append(c.omaps, omapPairs{o: o})
		p = &c.omaps[len(c.omaps)-1]
	}
	if !o.body.hasOmap {
		o.body.hasOmap = true
		*p = omapPairs{o: o, all: true}
	}
	return p
}

// addOmap counts bytes of an object's omap.
func (c *change) addOmap(o *onode, n int64) {
	o.body.omap += n
	c.use.omap += n
}

// resizePair counts that a pair has n bytes from now on.
func (c *change) resizePair(p *omapPairs, key []byte, user string, n int64) error {
	was, err := c.pairWas(p, key, user)
	if err != nil {
		return err
	}
	c.addOmap(p.o, n-was)
	if c.again {
		if p.sizes == nil {
			p.sizes = map[string]int64{}
		}
		p.sizes[user] = n
	}
	return nil
}

// pairWas is the bytes of a pair before the next change of the transaction.
func (c *change) pairWas(p *omapPairs, key []byte, user string) (int64, error) {
	if c.batch.Indexed() {
		return c.s.pairSize(c.batch, key, user)
	}
	if n, ok := p.sizes[user]; ok || p.all {
		return n, nil
	}
	return c.s.pairSize(nil, key, user)
}

// omapBytes adds up pairs of one object, whose keys are as long as prefix before the user's.
func omapBytes(it *kv.Iter, prefix int) (n int64, err error) {
	for ok := it.First(); ok; ok = it.Next() {
		n += int64(len(it.Key()) - prefix + len(it.Value()))
	}
	return n, it.Close()
}

// decodeOnode reads an onode, and counts its omap if it is of an older release, which did not.
func (s *Store) decodeOnode(body *onodeBody, key string, value []byte) error {
	counted, err := body.decode(value)
	if err == nil && !counted {
		body.omap, err = s.countOmap(key)
	}
	return err
}

// countOmap is the bytes of an object's omap as the table has it.
func (s *Store) countOmap(key string) (int64, error) {
	lo := omapKey(nil, key, "")
	it, err := s.kv.NewIter(lo, omapEnd(key))
	if err != nil {
		return 0, err
	}
	return omapBytes(it, len(lo))
}
