package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/internal/texttable"
)

// An rbdRun is one run of glue rbd.
type rbdRun struct {
	clientRun
	long, noProgress, shrink, force, sparse, whole bool
	fromSnap                                       string
	all, flat, anyNamespace                        bool
	skipQuiesce, ignoreQuiesce                     bool
	cloneFormat, exportFormat                      int
	limit                                          uint64

	size, objectSize, stripeUnit string
	stripeCount                  uint64
	features                     string
	dataPool                     string
	expires                      string
	shared                       string
	destPool, imageID            string
	bench                        rbdBenchFlags
}

func rbdCommand() *cobra.Command {
	r := &rbdRun{}
	cmd := group("rbd", "Block device images, as the stock rbd tool")
	r.register(cmd)
	f := cmd.PersistentFlags()
	f.StringVar(&r.namespace, "namespace", "", "namespace of the image")
	f.BoolVar(&r.noProgress, "no-progress", false, "show no progress bar")
	for _, v := range append(r.verbs(), r.cloneVerbs()...) {
		cmd.AddCommand(r.command(v))
	}
	for _, g := range append(r.groups(), r.deepGroup(), r.namespaceGroup(),
		r.migrationGroup()) {
		cmd.AddCommand(r.group(g))
	}
	snap := r.group(r.snapGroup())
	snap.AddCommand(r.group(r.limitGroup()))
	options := group("config", "options that pools and images have of their own")
	options.AddCommand(r.group(r.configGroup("pool")), r.group(r.configGroup("image")))
	cmd.AddCommand(snap, options, r.groupCommand())
	return cmd
}

// group is a word with its commands.
func (r *rbdRun) group(g verbGroup) *cobra.Command {
	cmd := group(g.use, g.short)
	for _, v := range g.verbs {
		cmd.AddCommand(r.command(v))
	}
	return cmd
}

// verbs are the commands of glue rbd with one word.
func (r *rbdRun) verbs() []verb {
	return []verb{
		{"create [POOL/]IMAGE --size SIZE", "make an image", 1, 1, r.create, r.createFlags},
		{"ls [POOL[/NAMESPACE]]", "list the images", 0, 1, r.ls, r.lsFlags},
		{"info IMAGE", "show an image's properties", 1, 1, r.info, nil},
		{"status IMAGE", "show who has an image open", 1, 1, r.status, nil},
		{"resize IMAGE --size SIZE", "change an image's size", 1, 1, r.resize, r.resizeFlags},
		{"rm IMAGE", "remove an image with its data", 1, 1, r.rm, nil},
		{"rename IMAGE NAME", "rename an image", 2, 2, r.rename, nil},
		{"cp IMAGE NAME", "copy an image", 2, 2, r.cp, r.createFlags},
		{"import FILE [IMAGE]", "make an image from a file (- is stdin)", 1, 2, r.importImage,
			r.importFlags},
		{"export IMAGE [FILE]", "write an image to a file (- is stdout)", 1, 2, r.exportImage,
			r.formatFlag},
		{"du [IMAGE]", "show how much space images use", 0, 1, r.du, nil},
		{"diff IMAGE", "list the extents that were written", 1, 1, r.diff, r.diffFlags},
		{"bench IMAGE --io-type TYPE", "measure reads or writes", 1, 1, r.runBench, r.benchFlags},
	}
}

// A verbGroup is a word with commands of its own.
type verbGroup struct {
	use, short string
	verbs      []verb
}

func (r *rbdRun) groups() []verbGroup {
	return []verbGroup{
		{"image-meta", "metadata of an image", []verb{
			{"list IMAGE", "list keys and values", 1, 1, r.metaList, nil},
			{"get IMAGE KEY", "print a value", 2, 2, r.metaGet, nil},
			{"set IMAGE KEY VALUE", "set a value", 3, 3, r.metaSet, nil},
			{"remove IMAGE KEY", "remove a key", 2, 2, r.metaRemove, nil},
		}},
		{"feature", "features of an image", []verb{
			{"enable IMAGE FEATURE...", "switch features on", 2, -1, r.featureEnable, nil},
			{"disable IMAGE FEATURE...", "switch features off", 2, -1, r.featureDisable, nil},
		}},
		{"object-map", "the map of an image's objects", []verb{
			{"rebuild IMAGE", "make the map anew", 1, 1, r.rebuild, nil},
		}},
		{"lock", "advisory locks of an image", []verb{
			{"ls IMAGE", "list the lock's holders", 1, 1, r.lockLs, nil},
			{"add IMAGE ID", "take the lock", 2, 2, r.lockAdd, r.lockFlags},
			{"rm IMAGE ID LOCKER", "break the lock", 3, 3, r.lockRm, nil},
		}},
		{"trash", "images that can be brought back", []verb{
			{"mv IMAGE", "move an image to the trash", 1, 1, r.trashMv, r.expiresFlag},
			{"ls [POOL[/NAMESPACE]]", "list the trash", 0, 1, r.trashLs, r.lsFlags},
			{"restore ID", "bring an image back", 1, 1, r.trashRestore, r.imageFlag},
			{"rm ID", "remove an image for ever", 1, 1, r.trashRm, r.forceFlag},
			{"purge [POOL[/NAMESPACE]]", "remove all whose time has come", 0, 1, r.trashPurge, nil},
		}},
	}
}

// store opens the pool of POOL[/NAMESPACE], else that of the flags, or pool rbd.
func (r *rbdRun) store(ctx context.Context, spec ...string) (*rbd.Store, error) {
	if len(spec) > 0 {
		r.poolSpec(spec[0])
	}
	if r.pool == "" {
		r.pool = "rbd"
	}
	x, err := r.openPool(ctx)
	if errors.Is(err, ceph.ENOENT) {
		return nil, fmt.Errorf("%w; make it with: ceph osd pool create %s, or name another "+
			"with -p", err, r.pool)
	}
	if err != nil {
		return nil, err
	}
	s := rbd.NewStore(x)
	if r.namespace == "" || r.anyNamespace {
		return s, nil
	}
	if ok, err := s.HasNamespace(ctx); err != nil || !ok {
		return nil, cmp.Or(err, fmt.Errorf("pool %s has no namespace %s; make it with: glue rbd "+
			"namespace create %s/%s: %w", r.pool, r.namespace, r.pool, r.namespace, ceph.ENOENT))
	}
	return s, nil
}

// poolSpec takes POOL[/NAMESPACE].
func (r *rbdRun) poolSpec(spec string) {
	pool, namespace, ok := strings.Cut(spec, "/")
	if r.pool = pool; ok {
		r.namespace = namespace
	}
}

// spec opens the pool of [POOL/[NAMESPACE/]]IMAGE and gives the image's name.
func (r *rbdRun) spec(ctx context.Context, spec string) (*rbd.Store, string, error) {
	return r.named(ctx, "image", spec)
}

// named is spec of what may be something else.
func (r *rbdRun) named(ctx context.Context, what, spec string) (*rbd.Store, string, error) {
	parts := strings.Split(spec, "/")
	name := parts[len(parts)-1]
	switch {
	case len(parts) > 3 || name == "":
		return nil, "", fmt.Errorf("%q is not of the form [POOL/[NAMESPACE/]]%s", spec,
			strings.ToUpper(what))
	case strings.Contains(name, "@"):
		return nil, "", fmt.Errorf("%q names a snapshot; this command wants: %s", spec, what)
	}
	if len(parts) > 1 {
		r.pool = parts[0]
	}
	if len(parts) > 2 {
		r.namespace = parts[1]
	}
	s, err := r.store(ctx)
	return s, name, err
}

// open opens an image by its spec.
func (r *rbdRun) open(ctx context.Context, spec string, readOnly bool) (*rbd.Image, error) {
	snap := ""
	if readOnly { // a snapshot can be read
		spec, snap, _ = strings.Cut(spec, "@")
	}
	s, name, err := r.spec(ctx, spec)
	if err != nil {
		return nil, err
	}
	var i *rbd.Image
	if snap != "" {
		i, err = s.OpenSnapshot(ctx, name, snap)
	} else {
		i, err = s.Open(ctx, name, readOnly)
	}
	if err != nil {
		return nil, fmt.Errorf("error opening %w", err)
	}
	return i, nil
}

// with opens an image, runs f and closes the image.
func (r *rbdRun) with(
	ctx context.Context, spec string, readOnly bool, f func(*rbd.Image) error,
) error {
	i, err := r.open(ctx, spec, readOnly)
	if err != nil {
		return err
	}
	err = f(i)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	return errors.Join(err, i.Close(closing))
}

// closeLimit is how long giving back an image's lock may take.
const closeLimit = 10 * time.Second

func (r *rbdRun) createFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&r.size, "size", "s", "", "size, in MiB unless a unit is given")
	f.StringVar(&r.objectSize, "object-size", "", "size of the objects, 4K to 32M")
	f.StringVar(&r.features, "image-feature", "", "features, separated by commas")
	f.StringVar(&r.stripeUnit, "stripe-unit", "", "bytes that go to one object in a row")
	f.Uint64Var(&r.stripeCount, "stripe-count", 0, "objects that a stripe is spread over")
	f.StringVar(&r.dataPool, "data-pool", "", "pool of the data objects")
	f.StringVar(&r.destPool, "dest-pool", "", "pool of the new image")
}

// options are the flags of create.
func (r *rbdRun) options() (o rbd.CreateOptions, err error) {
	o.DataPool, o.StripeCount = r.dataPool, r.stripeCount
	if r.size != "" {
		if o.Size, err = parseSize(r.size, 1<<20); err != nil {
			return o, err
		}
	}
	if r.stripeUnit != "" {
		if o.StripeUnit, err = parseSize(r.stripeUnit, 1); err != nil {
			return o, err
		}
	}
	if r.objectSize != "" {
		n, err := parseSize(r.objectSize, 1)
		if err != nil {
			return o, err
		}
		for o.Order = 1; o.Order < 63 && 1<<o.Order < n; o.Order++ {
		}
	}
	if r.features != "" {
		o.NoFeatures = true
		o.Features, err = rbd.ParseFeatures(r.features)
	}
	return o, err
}

func (r *rbdRun) create(ctx context.Context, args []string) error {
	s, name, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	if r.size == "" {
		return fmt.Errorf("how large? say so with --size, such as --size 10G")
	}
	o, err := r.options()
	if err != nil {
		return err
	}
	return s.Create(ctx, name, o)
}

func (r *rbdRun) lsFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&r.long, "long", "l", false, "show more of each image")
}

// A longImage is one image of the JSON of ls -l.
type longImage struct {
	Image    string `json:"image"`
	ID       string `json:"id"`
	Size     uint64 `json:"size"`
	Format   int    `json:"format"`
	LockType string `json:"lock_type,omitempty"`
}

func (r *rbdRun) ls(ctx context.Context, args []string) error {
	s, err := r.store(ctx, args...)
	if err != nil {
		return err
	}
	list, err := s.List(ctx)
	if err != nil {
		return err
	}
	if !r.long {
		return r.printNames(list)
	}
	return r.lsLong(ctx, s, list)
}

func (r *rbdRun) printNames(list []rbd.Entry) error {
	names := []string{}
	for _, e := range list {
		if names = append(names, e.Name); !r.json() {
			r.printf("%s\n", e.Name)
		}
	}
	if r.json() {
		return r.printJSON(names)
	}
	return nil
}

func (r *rbdRun) lsLong(ctx context.Context, s *rbd.Store, list []rbd.Entry) error {
	out := []longImage{}
	table := texttable.New(
		texttable.Column{Heading: "NAME"},
		texttable.Column{Heading: "SIZE", CellSide: texttable.Right},
		texttable.Column{Heading: "PARENT"},
		texttable.Column{Heading: "FMT", CellSide: texttable.Right},
		texttable.Column{Heading: "PROT"}, texttable.Column{Heading: "LOCK"})
	for _, e := range list {
		i, err := s.Open(ctx, e.Name, true)
		if err != nil {
			return err
		}
		info, err := i.Lockers(ctx)
		if err != nil {
			return err
		}
		kind := ""
		if len(info.Lockers) > 0 {
			kind = lockKind(info, "excl", "shr")
		}
		out = append(out, longImage{Image: e.Name, ID: e.ID, Size: i.Size(), Format: 2,
			LockType: lockKindName(info)})
		table.Row(e.Name, bytesText(int64(i.Size())), "", 2, "", kind)
	}
	if r.json() {
		return r.printJSON(out)
	}
	if len(out) > 0 {
		r.printf("%s", table)
	}
	return nil
}

func lockKind(info rados.LockInfo, exclusive, shared string) string {
	if info.Kind == rados.LockShared {
		return shared
	}
	return exclusive
}

func lockKindName(info rados.LockInfo) string {
	if len(info.Lockers) == 0 {
		return ""
	}
	return lockKind(info, "exclusive", "shared")
}

// An imageInfo is the JSON of info.
type imageInfo struct {
	Name        string   `json:"name"`
	ID          string   `json:"id"`
	Size        uint64   `json:"size"`
	Objects     uint64   `json:"objects"`
	Order       uint8    `json:"order"`
	ObjectSize  uint64   `json:"object_size"`
	DataPool    string   `json:"data_pool,omitempty"`
	Snapshots   int      `json:"snapshot_count"`
	Prefix      string   `json:"block_name_prefix"`
	Format      int      `json:"format"`
	Features    []string `json:"features"`
	OpFeatures  []string `json:"op_features"`
	Flags       []string `json:"flags"`
	Protected   string   `json:"protected,omitempty"`
	Created     string   `json:"create_timestamp"`
	Accessed    string   `json:"access_timestamp"`
	Modified    string   `json:"modify_timestamp"`
	StripeUnit  uint64   `json:"stripe_unit,omitempty"`
	StripeCount uint64   `json:"stripe_count,omitempty"`

	Parent *parentJSON `json:"parent,omitempty"`
}

func describe(i *rbd.Image) imageInfo {
	info := i.Info()
	out := imageInfo{
		Name: info.Name, ID: info.ID, Size: info.Size, Objects: info.Objects, Order: info.Order,
		ObjectSize: 1 << info.Order, DataPool: info.DataPool, Snapshots: info.Snapshots,
		Prefix: info.Prefix, Format: 2, Features: info.Features.Names(),
		OpFeatures: info.Operations, Flags: []string{},
		Created:  info.Created.Local().Format(time.ANSIC),
		Accessed: info.Access.Local().Format(time.ANSIC),
		Modified: info.Mod.Local().Format(time.ANSIC),
	}
	if info.Flags&rbd.FlagObjectMapInvalid != 0 {
		out.Flags = append(out.Flags, "object map invalid")
	}
	if info.Flags&rbd.FlagFastDiffInvalid != 0 {
		out.Flags = append(out.Flags, "fast diff invalid")
	}
	if info.Features.Has(rbd.StripingV2) {
		out.StripeUnit, out.StripeCount = info.StripeUnit, info.StripeCount
	}
	return out
}

func (r *rbdRun) info(ctx context.Context, args []string) error {
	i, err := r.open(ctx, args[0], true)
	if err != nil {
		return err
	}
	d := describe(i)
	if d.Parent, err = parentOf(ctx, i); err != nil {
		return err
	}
	if _, snap, ok := strings.Cut(args[0], "@"); ok {
		s, err := i.Snapshot(ctx, snap)
		if err != nil {
			return err
		}
		d.Protected = boolWord(s.Protected)
	}
	if r.json() {
		return r.printJSON(d)
	}
	p := r.printf
	p("rbd image '%s':\n\tsize %s in %d objects\n", d.Name, bytesText(int64(d.Size)), d.Objects)
	p("\torder %d (%s objects)\n", d.Order, bytesText(int64(d.ObjectSize)))
	p("\tsnapshot_count: %d\n\tid: %s\n", d.Snapshots, d.ID)
	if d.DataPool != "" {
		p("\tdata_pool: %s\n", d.DataPool)
	}
	p("\tblock_name_prefix: %s\n\tformat: 2\n", d.Prefix)
	p("\tfeatures: %s\n\top_features: %s\n\tflags: %s\n", strings.Join(d.Features, ", "),
		strings.Join(d.OpFeatures, ", "), strings.Join(d.Flags, ", "))
	if d.Protected != "" {
		p("\tprotected: %s\n", d.Protected)
	}
	p("\tcreate_timestamp: %s\n\taccess_timestamp: %s\n\tmodify_timestamp: %s\n", d.Created,
		d.Accessed, d.Modified)
	if d.StripeUnit != 0 {
		p("\tstripe unit: %s\n\tstripe count: %d\n", bytesText(int64(d.StripeUnit)),
			d.StripeCount)
	}
	if d.Parent != nil {
		p("\tparent: %s\n\toverlap: %s\n", d.Parent, bytesText(int64(d.Parent.Overlap)))
	}
	return nil
}

// A watcherJSON is one client of the JSON of status.
type watcherJSON struct {
	Address string `json:"address"`
	Client  int64  `json:"client"`
	Cookie  uint64 `json:"cookie"`
}

func (r *rbdRun) status(ctx context.Context, args []string) error {
	i, err := r.open(ctx, args[0], true)
	if err != nil {
		return err
	}
	list, err := i.Watchers(ctx)
	if err != nil {
		return err
	}
	if r.json() {
		out := []watcherJSON{}
		for _, w := range list {
			out = append(out, watcherJSON{w.Addr.LegacyString(), w.Name.Num, w.Cookie})
		}
		return r.printJSON(map[string]any{"watchers": out})
	}
	if len(list) == 0 {
		r.printf("Watchers: none\n")
		return nil
	}
	r.printf("Watchers:\n")
	for _, w := range list {
		r.printf("\twatcher=%s client.%d cookie=%d\n", w.Addr.LegacyString(), w.Name.Num, w.Cookie)
	}
	return nil
}
