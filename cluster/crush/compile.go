package crush

import (
	"math"
	"slices"
	"strings"
)

// maxText bounds the text form: a map of 10,000 devices has some 1 MB.
const maxText = 16 << 20

// Compile reads the text form, as `crushtool -c` does, and gives the same map to the byte. The
// tunables start from the oldest release's, so that a text means the same for all time. Errors
// are *Error.
func Compile(text string) (*Map, error) {
	m := New()
	m.Tunables = Profiles["legacy"]
	c := compiler{
		parser: lex(text), m: m,
		used: map[int32]bool{}, weights: map[int32]uint32{},
		oldShadows: map[int32]map[int32]int32{},
	}
	if len(text) > maxText {
		c.fail("the text is longer than %d bytes", maxText)
	}
	c.parse()
	if c.err != nil {
		return nil, c.err
	}
	if err := m.checkTree(); err != nil {
		return nil, err
	}
	if err := m.finalize(); err != nil {
		return nil, err
	}
	return m, nil
}

type compiler struct {
	*parser
	m          *Map
	used       map[int32]bool   // ids of items
	weights    map[int32]uint32 // of buckets: what they weigh where no weight is given
	oldShadows map[int32]map[int32]int32
	buckets    []*bucketText
	sawRule    bool
}

// parse runs over the sections: settings first, then buckets and rules, then choose_args.
func (c *compiler) parse() {
	for c.err == nil {
		switch c.peek() {
		case "tunable":
			c.tunable()
			continue
		case "device":
			c.device()
			continue
		case "type":
			c.bucketType()
			continue
		}
		break
	}
	rules := c.bucketTexts()
	c.addBuckets()
	c.at = rules
	for c.err == nil && c.peek() == "rule" {
		c.rule()
	}
	for c.err == nil && c.peek() == "choose_args" {
		c.chooseArgs()
	}
	if c.peek() != "" {
		if c.sawRule && len(c.toks) > c.at+2 && c.toks[c.at+2].text == "{" {
			c.fail("buckets must be defined before rules")
		}
		c.bad()
	}
}

func (c *compiler) tunable() {
	c.expect("tunable")
	name := c.name()
	v := uint32(c.number(0, math.MaxUint32))
	t := &c.m.Tunables
	switch name {
	case "choose_local_tries":
		t.ChooseLocalTries = v
	case "choose_local_fallback_tries":
		t.ChooseLocalFallbackTries = v
	case "choose_total_tries":
		t.ChooseTotalTries = v
	case "chooseleaf_descend_once":
		t.ChooseleafDescendOnce = min(v, 1)
	case "chooseleaf_vary_r":
		t.ChooseleafVaryR = uint8(v)
	case "chooseleaf_stable":
		t.ChooseleafStable = uint8(v)
	case "straw_calc_version":
		t.StrawCalcVersion = uint8(v)
	case "allowed_bucket_algs":
		t.AllowedBucketAlgs = v
	default:
		c.fail("tunable %s not recognized", name)
	}
}

func (c *compiler) device() {
	c.expect("device")
	id := int32(c.number(0, MaxDevice))
	name := c.name()
	class := ""
	if c.accept("class") {
		class = c.name()
	}
	if c.err != nil {
		return
	}
	if _, ok := c.m.ids[name]; ok {
		c.fail("item %s defined twice", name)
		return
	}
	c.m.setName(id, name)
	c.used[id] = true
	if class != "" {
		c.m.ItemClasses[id] = c.m.classFor(class)
	}
}

func (c *compiler) bucketType() {
	c.expect("type")
	id := c.posint()
	if name := c.name(); c.err == nil {
		c.m.Types[id] = name
	}
}

// A bucketText is a bucket as written.
type bucketText struct {
	typ, name string
	id        int32 // 0: none given
	classIDs  []classID
	alg       string
	hash      uint8
	items     []itemText
}

type classID struct {
	class string
	id    int32
}

type itemText struct {
	name      string
	weight    uint32
	hasWeight bool
	pos       int32 // -1: none given
}

// bucketTexts reads all buckets, for ids and forward references, and returns the position after
// them.
func (c *compiler) bucketTexts() int {
	for c.err == nil {
		if t := c.peek(); t == "" || t == "rule" || t == "choose_args" {
			break
		}
		b := &bucketText{typ: c.name(), name: c.name()}
		c.expect("{")
		for c.accept("id") {
			id := int32(c.number(-MaxBuckets, -1))
			c.used[id] = true
			if c.accept("class") {
				b.classIDs = append(b.classIDs, classID{c.name(), id})
			} else {
				b.id = id
			}
		}
		c.expect("alg")
		b.alg = c.name()
		for c.accept("hash") {
			if b.hash = 0; !c.accept("rjenkins1") {
				b.hash = uint8(c.number(0, math.MaxUint8))
			}
		}
		for c.peek() == "item" {
			b.items = append(b.items, c.item())
		}
		c.expect("}")
		c.buckets = append(c.buckets, b)
	}
	return c.at
}

func (c *compiler) item() itemText {
	c.expect("item")
	it := itemText{name: c.name(), pos: -1}
	if c.accept("weight") {
		it.weight, it.hasWeight = c.weight(), true
	}
	if c.accept("pos") {
		it.pos = c.posint()
	}
	return it
}

// addBuckets puts the buckets into the map. A bucket that is used before it is written changes
// places with its user, once, as in stock.
func (c *compiler) addBuckets() {
	place := map[string]int{}
	holds := make([]map[string]bool, len(c.buckets))
	for i, b := range c.buckets {
		place[b.name] = i
		holds[i] = map[string]bool{}
		for _, it := range b.items {
			holds[i][it.name] = true
		}
	}
	order := slices.Clone(c.buckets)
	for i, b := range c.buckets {
		var later []int
		for _, it := range b.items {
			if j, ok := place[it.name]; ok && j > i {
				later = append(later, j)
			}
		}
		slices.Sort(later)
		for _, j := range slices.Compact(later) {
			if holds[j][b.name] {
				c.fail("bucket '%s' and bucket '%s' are included each other",
					b.name, c.buckets[j].name)
				return
			}
			order[i], order[j] = order[j], order[i]
		}
	}
	for _, b := range order {
		if c.err != nil {
			return
		}
		c.addBucket(b)
	}
}

// textAlgs are the algorithms by their words.
var textAlgs = map[string]Alg{
	"uniform": Uniform, "list": List, "tree": Tree, "straw": Straw, "straw2": Straw2,
}

func (c *compiler) addBucket(b *bucketText) {
	typ, ok := c.m.TypeID(b.typ)
	if !ok || typ > math.MaxUint16 {
		c.fail("bucket type '%s' is not defined", b.typ)
		return
	}
	if _, ok := c.m.ids[b.name]; ok {
		c.fail("bucket or device '%s' is already defined", b.name)
		return
	}
	shadows := map[int32]int32{}
	for _, s := range b.classIDs {
		class := c.m.classFor(s.class)
		if _, ok := shadows[class]; ok {
			c.fail("duplicate device class %s for bucket %s", s.class, b.name)
			return
		}
		shadows[class] = s.id
	}
	alg, ok := textAlgs[b.alg]
	if !ok {
		c.fail("unknown bucket alg '%s'", b.alg)
		return
	}
	items, weights := c.placeItems(b, alg)
	if c.err != nil {
		return
	}
	id := b.id
	if id == 0 {
		for id = -1; c.used[id]; id-- {
		}
		c.used[id] = true
	}
	if len(shadows) > 0 {
		c.oldShadows[id] = shadows
	}
	nb, err := c.m.newBucket(alg, b.hash, uint16(typ), items, weights)
	if err == nil {
		err = c.m.place(nb, id)
	}
	if err != nil {
		c.err = err
		return
	}
	c.weights[id] = nb.Weight
	c.m.setName(id, b.name)
}

// placeItems puts the items at their positions: those without one fill the gaps.
func (c *compiler) placeItems(b *bucketText, alg Alg) ([]int32, []uint32) {
	items, weights := make([]int32, len(b.items)), make([]uint32, len(b.items))
	taken := make([]bool, len(b.items))
	for _, it := range b.items {
		switch {
		case it.pos < 0:
			continue
		case int(it.pos) >= len(items):
			c.fail("item '%s' in bucket '%s' has pos %d >= size %d",
				it.name, b.name, it.pos, len(items))
			return nil, nil
		case taken[it.pos]:
			c.fail("item '%s' in bucket '%s' has explicit pos %d, which is occupied",
				it.name, b.name, it.pos)
			return nil, nil
		}
		taken[it.pos] = true
	}
	next := 0
	for i := range b.items {
		it := &b.items[i]
		id, ok := c.m.ids[it.name]
		if !ok {
			c.fail("item '%s' in bucket '%s' is not defined", it.name, b.name)
			return nil, nil
		}
		c.weigh(it, id)
		if alg == Uniform && it.weight != b.items[0].weight {
			c.fail("item '%s' in uniform bucket '%s' has weight %d but previous item(s) have "+
				"weight %g; uniform bucket items must all have identical weights.",
				it.name, b.name, it.weight, float32(b.items[0].weight)/0x10000)
			return nil, nil
		}
		pos := int(it.pos)
		if pos < 0 {
			for taken[next] {
				next++
			}
			pos = next
			next++
		}
		items[pos], weights[pos] = id, it.weight
	}
	return items, weights
}

// weigh gives an item the weight that its text leaves out, and checks the one that it has.
func (c *compiler) weigh(it *itemText, id int32) {
	switch w, ok := c.weights[id]; {
	case it.hasWeight && id >= 0 && it.weight > MaxDeviceWeight:
		c.fail("device weight limited to %d", MaxDeviceWeight>>16)
	case it.hasWeight && id < 0 && it.weight > MaxBucketWeight:
		c.fail("bucket weight limited to %d to prevent overflow", MaxBucketWeight>>16)
	case it.hasWeight:
	case ok:
		it.weight = w
	default:
		it.weight = 0x10000
	}
}

// classOf is "name" of a "class name" that may follow an item.
func (c *compiler) classOf() string {
	if c.accept("class") {
		return c.name()
	}
	return ""
}

// stepText finds the step that the next words name.
func (c *compiler) stepText() *stepText {
	words := c.next()
	if words == "choose" || words == "chooseleaf" {
		words += " " + c.next()
	}
	i := slices.IndexFunc(stepTexts, func(t stepText) bool { return t.words == words })
	if i < 0 || stepTexts[i].op == OpNoop {
		c.at -= 1 + strings.Count(words, " ")
		c.bad()
		return nil
	}
	return &stepTexts[i]
}
