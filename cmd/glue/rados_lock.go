package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rados"
)

// lockFlags are the flags of glue rados lock.
type lockFlags struct {
	cookie, tag, description, kind string
	durationSec                    uint32
}

func (r *radosRun) lockCommand() *cobra.Command {
	cmd := group("lock", "take, show and break advisory locks")
	f := cmd.PersistentFlags()
	f.StringVar(&r.lock.cookie, "lock-cookie", "", "tells the locks of one client apart")
	f.StringVar(&r.lock.tag, "lock-tag", "", "the same for all holders of a shared lock")
	f.StringVar(&r.lock.description, "lock-description", "", "text that the lock is listed with")
	f.Uint32Var(&r.lock.durationSec, "lock-duration", 0, "seconds until it expires; 0 never")
	f.StringVar(&r.lock.kind, "lock-type", "exclusive", "exclusive or shared")
	for _, v := range []verb{
		{"list OBJECT", "list the locks of an object", 1, 1, r.lockList, nil},
		{"get OBJECT LOCK", "take a lock", 2, 2, r.lockGet, nil},
		{"info OBJECT LOCK", "show who holds a lock", 2, 2, r.lockInfo, nil},
		{"break OBJECT LOCK LOCKER", "take a lock away from another client", 3, 3,
			r.lockBreak, nil},
	} {
		cmd.AddCommand(r.command(v))
	}
	return cmd
}

func (r *radosRun) lockGet(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	l := rados.Lock{Name: args[1], Cookie: r.lock.cookie, Tag: r.lock.tag,
		Description: r.lock.description, Kind: rados.LockExclusive,
		Duration: time.Duration(r.lock.durationSec) * time.Second}
	switch r.lock.kind {
	case "exclusive":
	case "shared":
		l.Kind = rados.LockShared
	default:
		return fmt.Errorf("unknown lock type %q: exclusive or shared", r.lock.kind)
	}
	if err := x.Lock(ctx, args[0], l); err != nil {
		return fmt.Errorf("lock %s of %s/%s: %w", args[1], r.pool, args[0], err)
	}
	return nil
}

// A lockName is one lock of the JSON of lock list.
type lockName struct {
	Name string `json:"name"`
}

// A lockList is the JSON of lock list.
type lockList struct {
	Object string     `json:"objname"`
	Locks  []lockName `json:"locks"`
}

func (r *radosRun) lockList(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	names, err := x.Locks(ctx, args[0])
	if err != nil {
		return fmt.Errorf("list the locks of %s/%s: %w", r.pool, args[0], err)
	}
	out := lockList{Object: args[0], Locks: []lockName{}}
	for _, n := range names {
		out.Locks = append(out.Locks, lockName{n})
	}
	return r.printJSON(out)
}

// A lockHolder is one holder of the JSON of lock info.
type lockHolder struct {
	Name        string `json:"name"`
	Cookie      string `json:"cookie"`
	Description string `json:"description"`
	Expiration  string `json:"expiration"`
	Addr        string `json:"addr"`
}

// A lockState is the JSON of lock info.
type lockState struct {
	Name    string       `json:"name"`
	Kind    string       `json:"type"`
	Tag     string       `json:"tag"`
	Lockers []lockHolder `json:"lockers"`
}

func (r *radosRun) lockInfo(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	info, err := x.LockInfo(ctx, args[0], args[1])
	if err != nil {
		return fmt.Errorf("lock %s of %s/%s: %w", args[1], r.pool, args[0], err)
	}
	kinds := []string{"none", "exclusive", "shared", "exclusive-ephemeral"}
	out := lockState{Name: args[1], Kind: kinds[info.Kind%4], Tag: info.Tag,
		Lockers: []lockHolder{}}
	for _, l := range info.Lockers {
		out.Lockers = append(out.Lockers, lockHolder{Name: l.Name.String(), Cookie: l.Cookie,
			Description: l.Description, Expiration: ceph.TimeOf(l.Expires).String(),
			Addr: l.Addr.LegacyString()})
	}
	return r.printJSON(out)
}

// parseLocker reads client.NUMBER.
func parseLocker(s string) (ceph.EntityName, error) {
	word, num, _ := strings.Cut(s, ".")
	typ, err1 := ceph.ParseEntityType(word)
	n, err2 := strconv.ParseInt(num, 10, 64)
	if err1 != nil || err2 != nil {
		return ceph.EntityName{}, fmt.Errorf("%q is not a locker such as client.4123", s)
	}
	return ceph.EntityName{Type: typ, Num: n}, nil
}

func (r *radosRun) lockBreak(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	locker, err := parseLocker(args[2])
	if err != nil {
		return err
	}
	if err := x.BreakLock(ctx, args[0], args[1], r.lock.cookie, locker); err != nil {
		return fmt.Errorf("break lock %s of %s/%s: %w", args[1], r.pool, args[0], err)
	}
	return nil
}
