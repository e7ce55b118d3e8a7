package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"glue/client/rados"
	"glue/internal/cephjson"
	"glue/internal/texttable"
)

// A radosRun is one run of glue rados.
type radosRun struct {
	clientRun
	locator string
	opBytes byteSize
	all     bool
	lock    lockFlags
	bench   benchFlags

	snap      string
	inputFile string
	offset    byteSize
	forceFull bool
	striper   bool
}

func radosCommand() *cobra.Command {
	r := &radosRun{opBytes: 4 << 20}
	cmd := group("rados", "Objects, pools and benchmarks, as the stock rados tool")
	r.register(cmd)
	f := cmd.PersistentFlags()
	f.StringVarP(&r.namespace, "namespace", "N", "", "namespace of the objects")
	f.StringVar(&r.locator, "object-locator", "", "key that places the object")
	f.VarP(&r.opBytes, "block-size", "b", "size of reads and writes")
	f.BoolVar(&r.striper, "striper", false, "the objects are those of libradosstriper")
	r.snapFlags(cmd)
	for _, v := range append(r.verbs(), r.snapVerbs()...) {
		cmd.AddCommand(r.command(v))
	}
	cmd.AddCommand(r.lockCommand())
	return cmd
}

// verbs are the commands of glue rados.
func (r *radosRun) verbs() []verb {
	return []verb{
		{"lspools", "list the pools", 0, 0, r.lspools, nil},
		{"mkpool POOL", "make a pool with the cluster's defaults", 1, 1, r.mkpool, nil},
		{"rmpool POOL POOL --yes-i-really-really-mean-it",
			"remove a pool with all its objects", 1, 2, r.rmpool, r.rmpoolFlags},
		{"df", "show the usage of pools and cluster", 0, 0, r.df, nil},
		{"ls", "list the objects of a pool", 0, 1, r.ls, r.lsFlags},
		{"put OBJECT FILE", "write an object from a file", 2, 2, r.put, r.offsetFlag},
		{"get OBJECT FILE", "read an object into a file", 2, 2, r.get, r.offsetFlag},
		{"append OBJECT FILE", "append a file to an object", 2, 2, r.append, nil},
		{"truncate OBJECT SIZE", "set an object's size", 2, 2, r.truncate, nil},
		{"create OBJECT", "make an empty object", 1, 1, r.create, nil},
		{"touch OBJECT", "make an object unless it is there", 1, 1, r.touch, nil},
		{"rm OBJECT...", "remove objects", 1, -1, r.rm, r.rmFlags},
		{"stat OBJECT", "show an object's size and time", 1, 1, r.stat, nil},
		{"setxattr OBJECT NAME [VALUE]", "set an attribute", 2, 3, r.setxattr, r.inputFlag},
		{"getxattr OBJECT NAME", "print an attribute", 2, 2, r.getxattr, nil},
		{"rmxattr OBJECT NAME", "remove an attribute", 2, 2, r.rmxattr, nil},
		{"listxattr OBJECT", "list the attributes", 1, 1, r.listxattr, nil},
		{"setomapval OBJECT KEY [VALUE]", "set a key of the omap", 2, 3, r.setomapval,
			r.inputFlag},
		{"getomapval OBJECT KEY [FILE]", "print the value of a key", 2, 3, r.getomapval, nil},
		{"rmomapkey OBJECT KEY", "remove a key", 2, 2, r.rmomapkey, nil},
		{"listomapkeys OBJECT", "list the keys", 1, 1, r.listomapkeys, nil},
		{"listomapvals OBJECT", "list the keys and values", 1, 1, r.listomapvals, nil},
		{"clearomap OBJECT...", "remove all keys", 1, -1, r.clearomap, nil},
		{"getomapheader OBJECT [FILE]", "print the omap header", 1, 2, r.getomapheader, nil},
		{"setomapheader OBJECT VALUE", "set the omap header", 2, 2, r.setomapheader, nil},
		{"watch OBJECT", "print notifications until stopped", 1, 1, r.watch, nil},
		{"notify OBJECT MESSAGE", "notify an object's watchers", 2, 2, r.notify, nil},
		{"listwatchers OBJECT", "list an object's watchers", 1, 1, r.listwatchers, nil},
		{"bench SECONDS write|seq|rand", "measure throughput and latency", 2, 2, r.runBench,
			r.benchFlags},
		{"cleanup", "remove what bench has left", 0, 0, r.cleanup, r.cleanupFlags},
	}
}

func (r *radosRun) openIO(ctx context.Context) (*rados.IOCtx, error) {
	if r.striper {
		return nil, errors.New("this command can't be used with --striper")
	}
	return r.openRaw(ctx)
}

func (r *radosRun) openRaw(ctx context.Context) (*rados.IOCtx, error) {
	x, err := r.openPool(ctx)
	if err != nil {
		return nil, err
	}
	return r.atSnap(ctx, x.WithLocator(r.locator))
}

func (r *radosRun) lspools(context.Context, []string) error {
	for _, p := range r.cluster.Pools() {
		r.printf("%s\n", p.Name)
	}
	return nil
}

func (r *radosRun) mkpool(ctx context.Context, args []string) error {
	if err := r.cluster.CreatePool(ctx, args[0]); err != nil {
		return fmt.Errorf("error creating pool %s: %w", args[0], err)
	}
	r.printf("successfully created pool %s\n", args[0])
	return nil
}

func (r *radosRun) rmpoolFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.forceFull, "yes-i-really-really-mean-it", false,
		"confirm that all objects of the pool are lost for ever")
}

func (r *radosRun) rmpool(ctx context.Context, args []string) error {
	if len(args) != 2 || args[0] != args[1] || !r.forceFull {
		return fmt.Errorf("WARNING: this will PERMANENTLY DESTROY an entire pool of objects with "+
			"no way back.\nTo confirm, pass the pool to remove twice, followed by\n"+
			"--yes-i-really-really-mean-it: glue rados rmpool %s %s --yes-i-really-really-mean-it",
			args[0], args[0])
	}
	if err := r.cluster.DeletePool(ctx, args[0]); err != nil {
		return fmt.Errorf("error deleting pool %s: %w (the monitors allow it only with "+
			"mon_allow_pool_delete)", args[0], err)
	}
	r.printf("successfully deleted pool %s\n", args[0])
	return nil
}

// A poolUsage is one pool of the JSON that df prints.
type poolUsage struct {
	Name          string `json:"name"`
	ID            int64  `json:"id"`
	SizeBytes     int64  `json:"size_bytes"`
	SizeKB        int64  `json:"size_kb"`
	Objects       int64  `json:"num_objects"`
	Clones        int64  `json:"num_object_clones"`
	Copies        int64  `json:"num_object_copies"`
	Missing       int64  `json:"num_objects_missing_on_primary"`
	Unfound       int64  `json:"num_objects_unfound"`
	Degraded      int64  `json:"num_objects_degraded"`
	ReadOps       int64  `json:"read_ops"`
	ReadBytes     int64  `json:"read_bytes"`
	WriteOps      int64  `json:"write_ops"`
	WriteBytes    int64  `json:"write_bytes"`
	CompressUsed  int64  `json:"compress_bytes_used"`
	CompressUnder int64  `json:"compress_under_bytes"`
}

// A clusterUsage is the JSON that df prints.
type clusterUsage struct {
	Pools   []poolUsage `json:"pools"`
	Objects uint64      `json:"total_objects"`
	Used    uint64      `json:"total_used"`
	Avail   uint64      `json:"total_avail"`
	Space   uint64      `json:"total_space"`
}

func (r *radosRun) usage(ctx context.Context) (u clusterUsage, err error) {
	u.Pools = []poolUsage{}
	var names []string
	for _, p := range r.cluster.Pools() {
		if r.pool == "" || p.Name == r.pool {
			names = append(names, p.Name)
		}
	}
	stats, perPool, err := r.cluster.PoolStats(ctx, names...)
	if err != nil {
		return u, err
	}
	for _, p := range r.cluster.Pools() {
		s, ok := stats[p.Name]
		if !ok {
			continue
		}
		sum := s.Stats.Sum
		used := s.Store.Allocated + s.Store.OmapAllocated
		if !perPool || s.NumStoreStats == 0 {
			used = sum.Bytes * int64(r.cluster.Map().Pools[p.ID].Size)
		}
		u.Pools = append(u.Pools, poolUsage{
			Name: p.Name, ID: p.ID, SizeBytes: used, SizeKB: (used + 1023) >> 10,
			Objects: sum.Objects, Clones: sum.ObjectClones, Copies: sum.ObjectCopies,
			Missing: sum.ObjectsMissingOnPrimary, Unfound: sum.ObjectsUnfound,
			Degraded: sum.ObjectsDegraded, ReadOps: sum.Reads, ReadBytes: sum.ReadKB << 10,
			WriteOps: sum.Writes, WriteBytes: sum.WriteKB << 10,
			CompressUsed:  s.Store.DataCompressedAllocated,
			CompressUnder: s.Store.DataCompressedOriginal,
		})
	}
	total, err := r.cluster.Stat(ctx)
	u.Objects, u.Used, u.Avail, u.Space = total.Objects, total.KBUsed, total.KBAvail, total.KB
	return u, err
}

func (r *radosRun) df(ctx context.Context, _ []string) error {
	u, err := r.usage(ctx)
	if err != nil {
		return err
	}
	if r.json() {
		return r.printJSON(u)
	}
	headings := strings.Split("POOL_NAME,USED,OBJECTS,CLONES,COPIES,MISSING_ON_PRIMARY,UNFOUND,"+
		"DEGRADED,RD_OPS,RD,WR_OPS,WR,USED COMPR,UNDER COMPR", ",")
	columns := make([]texttable.Column, len(headings))
	for i, h := range headings {
		columns[i] = texttable.Column{Heading: h, HeadingSide: texttable.Right,
			CellSide: texttable.Right}
	}
	columns[0].HeadingSide, columns[0].CellSide = texttable.Left, texttable.Left
	table := texttable.New(columns...)
	for _, p := range u.Pools {
		table.Row(p.Name, bytesText(p.SizeBytes), p.Objects, p.Clones, p.Copies, p.Missing,
			p.Unfound, p.Degraded, p.ReadOps, bytesText(p.ReadBytes), p.WriteOps,
			bytesText(p.WriteBytes), bytesText(p.CompressUsed), bytesText(p.CompressUnder))
	}
	r.printf("%s\ntotal_objects    %d\ntotal_used       %s\ntotal_avail      %s\n"+
		"total_space      %s\n", table, u.Objects, bytesText(int64(u.Used)<<10),
		bytesText(int64(u.Avail)<<10), bytesText(int64(u.Space)<<10))
	return nil
}

// A listedObject is one object of the JSON that ls prints.
type listedObject struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Locator   string `json:"locator,omitempty"`
}

func (r *radosRun) lsFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.all, "all", false, "list all namespaces")
}

func (r *radosRun) ls(ctx context.Context, _ []string) error {
	if r.all {
		r.namespace = rados.AllNamespaces
	}
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	sep := "["
	for o, err := range x.List(ctx) {
		if err != nil {
			return err
		}
		if r.json() {
			b := cephjson.Marshal(listedObject{o.Namespace, o.Name, o.Locator}, false)
			r.printf("%s%s", sep, b)
			sep = ","
			continue
		}
		line := o.Name
		if r.all {
			line = o.Namespace + "\t" + line
		}
		if o.Locator != "" {
			line += "\t" + o.Locator
		}
		r.printf("%s\n", line)
	}
	if r.json() {
		r.printf("%s]", strings.TrimSuffix(sep, ","))
	}
	return nil
}
