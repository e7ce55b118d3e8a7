// Package config keeps the options that a pool of images, or one image, has of its own: an image's
// are stronger than its pool's, and these than the cluster's and the command line's. They are pairs
// of metadata, of object rbd_info or the image's header, whose keys begin with conf_ (librbd's
// rbd config pool and rbd config image). Any goroutine may use a Config.
package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/internal/options"
)

const prefix = "conf_"

// A Config is the options of a pool or of an image.
type Config struct {
	x    *rados.IOCtx
	oid  string
	meta metadata
	pool *Config // of an image
}

// metadata is where options are changed.
type metadata interface {
	SetMetadata(ctx context.Context, key string, value []byte) error
	RemoveMetadata(ctx context.Context, key string) error
}

// OfPool is the options of a pool, for all its namespaces.
func OfPool(x *rados.IOCtx) Config {
	x = x.WithNamespace("")
	return Config{x: x, oid: layout.InfoObject, meta: poolMetadata{x}}
}

// OfImage is the options of an image with its header.
func OfImage(x *rados.IOCtx, header string, image metadata) Config {
	pool := OfPool(x)
	return Config{x: x, oid: header, meta: image, pool: &pool}
}

// A Setting is an option's value and where it is from: image, pool or config.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Values are options as they were when they were read.
type Values struct {
	cluster     *rados.Cluster
	image, pool map[string]string
}

// Read reads all options.
func (c Config) Read(ctx context.Context) (v Values, err error) {
	v.cluster = c.x.Cluster()
	own, err := c.own(ctx)
	if c.pool == nil || err != nil {
		v.pool = own
		return v, err
	}
	v.image = own
	v.pool, err = c.pool.own(ctx)
	return v, err
}

// own reads what is set at this level, whatever its names and values.
func (c Config) own(ctx context.Context) (map[string]string, error) {
	pairs, err := class.Metadata(ctx, c.x, c.oid, prefix)
	if errors.Is(err, ceph.ENOENT) || errors.Is(err, ceph.EPERM) {
		return nil, nil // a client of one namespace may not see what its pool has
	}
	if err != nil {
		return nil, fmt.Errorf("read the options that %s has: %w", c.oid, err)
	}
	out := map[string]string{}
	for key, value := range pairs {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			out[name] = string(value)
		}
	}
	return out, nil
}

// Get is an option's value in its normal form, empty if it is not set anywhere. What is not legal
// for a pool or an image does not count.
func (v Values) Get(name string) string { return v.find(name).Value }

func (v Values) find(name string) Setting {
	s := Setting{name, v.cluster.Option(name), "config"}
	o, ok := options.Lookup(name)
	if !ok {
		return s
	}
	levels := []Setting{s, {name, v.pool[name], "pool"}, {name, v.image[name], "image"}}
	for _, level := range levels {
		if value, err := o.Check(level.Value); err == nil && level.Value != "" {
			s = Setting{name, value, level.Source}
		}
	}
	return s
}

// notForPools are options that cannot be set for a pool or an image, notForImages those that can
// only be for a pool.
var (
	notForPools = []string{"rbd_auto_exclusive_lock_until_manual_request", "rbd_default_format",
		"rbd_default_pool", "rbd_discard_on_zeroed_write_same",
		"rbd_op_thread_timeout", "rbd_op_threads", "rbd_tracing", "rbd_validate_names",
		"rbd_validate_pool", "rbd_mirror_pool_replayers_refresh_interval", updated}
	notForImages = []string{"rbd_default_clone_format", "rbd_default_data_pool",
		"rbd_default_features", "rbd_default_order", "rbd_default_stripe_count",
		"rbd_default_stripe_unit", "rbd_journal_order", "rbd_journal_pool",
		"rbd_journal_splay_width"}
)

// updated is the option whose change has clients read their pools' options anew.
const updated = "rbd_config_pool_override_update_timestamp"

// settable says whether an option can be set at this level.
func (c Config) settable(name string) bool {
	return strings.HasPrefix(name, "rbd_") && !slices.Contains(notForPools, name) &&
		(c.pool == nil || !slices.Contains(notForImages, name) &&
			!strings.HasPrefix(name, "rbd_mirror_"))
}

// List lists all options that can be set at this level.
func (c Config) List(ctx context.Context) ([]Setting, error) {
	v, err := c.Read(ctx)
	var out []Setting
	for _, o := range options.All() {
		if !c.settable(o.Name) {
			continue
		}
		s := v.find(o.Name)
		if s.Source == "config" && s.Value == "" {
			s.Value = o.Normal(o.DefaultOf(false))
		}
		out = append(out, s)
	}
	return out, err
}

// Own is an option's value at this level, ENOENT if it is not set there.
func (c Config) Own(ctx context.Context, name string) (string, error) {
	own, err := c.own(ctx)
	if err != nil {
		return "", err
	}
	value, ok := own[name]
	if !ok {
		return "", fmt.Errorf("%s is not set: %w", name, ceph.ENOENT)
	}
	return value, nil
}

// Set sets an option at this level. EINVAL if that cannot be or the value is not legal.
func (c Config) Set(ctx context.Context, name, value string) error {
	o, ok := options.Lookup(name)
	if !ok || !c.settable(name) {
		return fmt.Errorf("%s is not an option for this: %w", name, ceph.EINVAL)
	}
	value, err := o.Check(value) // to the form that every client takes
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, err, ceph.EINVAL)
	}
	return c.meta.SetMetadata(ctx, prefix+name, []byte(value))
}

// Remove takes an option back, ENOENT if it is not set at this level.
func (c Config) Remove(ctx context.Context, name string) error {
	if _, err := c.Own(ctx, name); err != nil {
		return err
	}
	return c.meta.RemoveMetadata(ctx, prefix+name)
}

// A poolMetadata is the metadata of a pool.
type poolMetadata struct{ x *rados.IOCtx }

func (m poolMetadata) SetMetadata(ctx context.Context, key string, value []byte) error {
	pairs := map[string][]byte{key: value}
	return m.change(ctx, key, "metadata_set", class.Pairs(pairs))
}

func (m poolMetadata) RemoveMetadata(ctx context.Context, key string) error {
	return m.change(ctx, key, "metadata_remove", class.Str(key))
}

func (m poolMetadata) change(ctx context.Context, key, method string, in []byte) error {
	if err := class.Change(ctx, m.x, layout.InfoObject, method, in); err != nil {
		return fmt.Errorf("change %s of pool %s: %w", key, m.x.PoolName(), err)
	}
	// Who may not do this has changed the option nevertheless.
	_, _, _ = m.x.Cluster().MonCommand(ctx, map[string]any{"prefix": "config set",
		"who": "global", "name": updated, "value": fmt.Sprint(time.Now().Unix())}, nil)
	return nil
}
