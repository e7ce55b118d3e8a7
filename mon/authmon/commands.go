package authmon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/auth/caps"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/mon/service"
)

// Commands are the auth commands.
func (s *Service) Commands() []service.Row {
	return []service.Row{
		{Prefix: "auth ls", Run: s.list},
		{Prefix: "auth list", Run: s.list},
		{Prefix: "auth get", Run: s.get},
		{Prefix: "auth export", Run: s.export},
		{Prefix: "auth get-key", Run: s.printKey},
		{Prefix: "auth print-key", Run: s.printKey},
		{Prefix: "auth print_key", Run: s.printKey},
		{Prefix: "auth add", Run: s.add},
		{Prefix: "auth get-or-create", Run: s.getOrCreate},
		{Prefix: "auth get-or-create-key", Run: s.getOrCreate},
		{Prefix: "auth caps", Run: s.caps},
		{Prefix: "auth rm", Run: s.remove},
		{Prefix: "auth del", Run: s.remove},
		{Prefix: "auth import", Run: s.importRing},
	}
}

// dump is an entry in the JSON that auth commands print.
type dump struct {
	Entity string            `json:"entity"`
	Key    string            `json:"key"`
	Caps   map[string]string `json:"caps"`
}

func dumpOf(e keyring.Entry) dump {
	c := e.Caps
	if c == nil {
		c = map[string]string{}
	}
	return dump{e.Name.String(), e.Key.Base64(), c}
}

// sorted are the entities in the order of their names; that of the monitors is not listed.
func (s *Service) sorted() []keyring.Entry {
	list := slices.SortedFunc(maps.Values(s.keys.entities), func(a, b keyring.Entry) int {
		return cmp.Or(cmp.Compare(a.Name.Type, b.Name.Type), strings.Compare(a.Name.ID, b.Name.ID))
	})
	return slices.DeleteFunc(list, func(e keyring.Entry) bool {
		return e.Name.Type == ceph.TypeMon
	})
}

func (s *Service) list(r *service.Request) service.Answer {
	if r.Formatted() {
		out := struct {
			Dump []dump `json:"auth_dump"`
		}{[]dump{}}
		for _, e := range s.sorted() {
			out.Dump = append(out.Dump, dumpOf(e))
		}
		return r.JSON(out)
	}
	var b strings.Builder
	for _, e := range s.sorted() {
		fmt.Fprintf(&b, "%v\n\tkey: %s\n", e.Name, e.Key.Base64())
		for _, svc := range slices.Sorted(maps.Keys(e.Caps)) {
			fmt.Fprintf(&b, "\tcaps: [%s] %s\n", svc, e.Caps[svc])
		}
	}
	return service.Answer{Data: []byte(b.String()), Text: "installed auth entries:\n"}
}

// entity reads the "entity" argument of a command that only reads.
func entity(r *service.Request) (ceph.AuthName, *service.Answer) {
	n, ok := parseEntity(r)
	if !ok {
		a := service.Fail(ceph.EINVAL, "invalid entity_auth %s", r.Str("entity"))
		return n, &a
	}
	return n, nil
}

// changing reads the "entity" argument of a command that changes something.
func changing(r *service.Request) (ceph.AuthName, *service.Answer) {
	if len(r.Strs("caps"))%2 != 0 {
		a := service.Fail(ceph.EINVAL, "bad capabilities request; odd number of arguments")
		return ceph.AuthName{}, &a
	}
	n, ok := parseEntity(r)
	if !ok {
		a := service.Fail(ceph.EINVAL, "bad entity name")
		return n, &a
	}
	return n, nil
}

func parseEntity(r *service.Request) (ceph.AuthName, bool) {
	n, err := ceph.ParseAuthName(r.Need("entity"))
	return n, err == nil && n.Type != ceph.TypeAuth
}

func (s *Service) get(r *service.Request) service.Answer {
	n, bad := entity(r)
	if bad != nil {
		return *bad
	}
	e, ok := s.keys.Entity(n)
	if !ok {
		return service.Fail(ceph.ENOENT, "failed to find %v in keyring", n)
	}
	a := r.Either([]dump{dumpOf(e)}, e.Format()+"\n")
	a.Text = fmt.Sprintf("exported keyring for %v", n)
	return a
}

func (s *Service) export(r *service.Request) service.Answer {
	if !r.Has("entity") {
		ring := keyring.Keyring{Entries: maps.Clone(s.keys.entities)}
		a := service.Plain(ring.Format())
		a.Text = "exported master keyring"
		return a
	}
	n, bad := entity(r)
	if bad != nil {
		return *bad
	}
	e, ok := s.keys.Entity(n)
	if !ok {
		return service.Fail(ceph.ENOENT, "no key for %v", n)
	}
	a := r.Either([]dump{dumpOf(e)}, e.Format()+"\n")
	a.Text = fmt.Sprintf("exported keyring for %v", n)
	return a
}

// printKey is the bare key, without a newline as the stock monitor gives it.
func (s *Service) printKey(r *service.Request) service.Answer {
	n, bad := entity(r)
	if bad != nil {
		return *bad
	}
	e, ok := s.keys.Entity(n)
	if !ok {
		return service.Fail(ceph.ENOENT, "don't have %v", n)
	}
	return r.Either(keyOnly{e.Key.Base64()}, e.Key.Base64())
}

type keyOnly struct {
	Key string `json:"key"`
}

// parseCaps reads the list SERVICE CAPS SERVICE CAPS…, which changing has found to be of pairs, and
// checks every text.
func parseCaps(list []string) (map[string]string, *service.Answer) {
	out := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		svc, text := list[i], list[i+1]
		if !slices.Contains([]string{"mon", "osd", "mds", "mgr"}, svc) {
			a := service.Fail(ceph.EINVAL, "unknown cap type '%s'", svc)
			return nil, &a
		}
		if err := caps.Validate(svc, text); err != nil {
			a := service.Fail(ceph.EINVAL, "%s", err)
			return nil, &a
		}
		out[svc] = text
	}
	return out, nil
}

// ring is the keyring that a command's input holds.
func inputRing(r *service.Request) (*keyring.Keyring, *service.Answer) {
	ring, err := keyring.Parse(string(r.Input))
	if err != nil {
		a := service.Fail(ceph.EINVAL, "error decoding keyring: %v", err)
		return nil, &a
	}
	return ring, nil
}

// wish prepares an entry, with a new key if it has none.
func (s *Service) wish(r *service.Request, e *keyring.Entry) *service.Answer {
	var err error
	if e.Key.IsZero() {
		if e.Key, err = keyring.Generate(s.opt.Rand, r.Now); err != nil {
			a := service.Fail(ceph.EIO, "no randomness for a key: %v", err)
			return &a
		}
	}
	if err = s.set(*e); err != nil {
		a := service.Fail(ceph.EIO, "the key can't be sealed: %v", err)
		return &a
	}
	return nil
}

func (s *Service) add(r *service.Request) service.Answer {
	n, bad := changing(r)
	if bad != nil {
		return *bad
	}
	want := keyring.Entry{Name: n}
	var given keyring.Entry
	if len(r.Input) > 0 {
		ring, bad := inputRing(r)
		if bad != nil {
			return *bad
		}
		e, ok := ring.Get(n)
		if !ok {
			return service.Fail(ceph.EINVAL, "key for %v not found in provided keyring", n)
		}
		given = e
	}
	if want.Caps, bad = parseCaps(r.Strs("caps")); bad != nil {
		return *bad
	}
	switch {
	case len(given.Caps) > 0 && len(want.Caps) > 0:
		return service.Fail(ceph.EINVAL, "caps cannot be specified both in keyring and in command")
	case len(want.Caps) == 0 && given.Caps != nil:
		want.Caps = given.Caps // whatever they are, as with stock: Checks warns
	}
	want.Key = given.Key
	if have, ok := s.keys.Entity(n); ok {
		return same(have, want)
	}
	if bad := s.wish(r, &want); bad != nil {
		return *bad
	}
	return service.OK("added key for %v", n)
}

// same answers "auth add" of an entity that is there: it may be added again as it is.
func same(have, want keyring.Entry) service.Answer {
	if !want.Key.IsZero() && have.Key.Secret != want.Key.Secret {
		return service.Fail(ceph.EEXIST, "entity %v exists but key does not match", have.Name)
	}
	if len(have.Caps) != len(want.Caps) {
		return service.Fail(ceph.EINVAL, "entity %v exists but caps do not match", have.Name)
	}
	if svc := firstDifference(want.Caps, have.Caps); svc != "" {
		return service.Fail(ceph.EINVAL, "entity %v exists but cap %s does not match", have.Name,
			svc)
	}
	return service.OK("")
}

func (s *Service) getOrCreate(r *service.Request) service.Answer {
	n, bad := changing(r)
	if bad != nil {
		return *bad
	}
	wanted, bad := parseCaps(r.Strs("caps"))
	if bad != nil {
		return *bad
	}
	keyOut := r.Prefix == "auth get-or-create-key"
	e, ok := s.keys.Entity(n)
	switch {
	case ok && firstDifference(e.Caps, wanted) != "":
		return service.Fail(ceph.EINVAL, "key for %v exists but cap %s does not match", n,
			firstDifference(e.Caps, wanted))
	case !ok:
		e = keyring.Entry{Name: n, Caps: wanted}
		if bad := s.wish(r, &e); bad != nil {
			return *bad
		}
	}
	if keyOut {
		return r.Either(keyOnly{e.Key.Base64()}, e.Key.Base64()+"\n")
	}
	return r.Either([]dump{dumpOf(e)},
		fmt.Sprintf("[%v]\n\tkey = %s\n", n, e.Key.Base64()))
}

// firstDifference names the first wanted service whose caps differ.
func firstDifference(have, want map[string]string) string {
	for _, svc := range slices.Sorted(maps.Keys(want)) {
		if v, ok := have[svc]; !ok || v != want[svc] {
			return svc
		}
	}
	return ""
}

func (s *Service) caps(r *service.Request) service.Answer {
	n, bad := changing(r)
	if bad != nil {
		return *bad
	}
	e, ok := s.keys.Entity(n)
	if !ok {
		return service.Fail(ceph.ENOENT, "couldn't find entry %v", n)
	}
	if e.Caps, bad = parseCaps(r.Strs("caps")); bad != nil {
		return *bad
	}
	if bad := s.wish(r, &e); bad != nil {
		return *bad
	}
	return service.OK("updated caps for %v", n)
}

func (s *Service) remove(r *service.Request) service.Answer {
	n, bad := changing(r)
	if bad != nil {
		return *bad
	}
	if _, ok := s.keys.Entity(n); !ok {
		return service.OK("entity %v does not exist", n)
	}
	if n.Type == ceph.TypeMon {
		return service.Fail(ceph.EPERM, "the key of the monitors can't be removed")
	}
	s.edit.Remove(entityKey + n.String())
	return service.OK("updated")
}

func (s *Service) importRing(r *service.Request) service.Answer {
	if len(r.Input) == 0 {
		return service.Fail(ceph.EINVAL, "auth import: no data supplied")
	}
	ring, bad := inputRing(r)
	if bad != nil {
		return *bad
	}
	for _, e := range ring.Entries {
		if len(e.Caps) == 0 {
			return service.Fail(ceph.EINVAL, "auth import: no caps supplied")
		}
	}
	for _, e := range ring.Entries {
		if bad := s.wish(r, &e); bad != nil {
			s.edit = service.Edit{}
			return *bad
		}
	}
	return service.OK("imported keyring")
}
