package crush

import (
	"math"
	"strconv"

	"glue/ceph"
)

// rule reads one rule. The first one closes the hierarchy: shadow trees are made then, with the
// ids that the text gave them.
func (c *compiler) rule() {
	if !c.sawRule {
		c.sawRule = true
		if err := c.m.makeShadows(c.oldShadows); err != nil {
			c.err = err
			return
		}
	}
	c.expect("rule")
	name := ""
	if c.peek() != "{" {
		name = c.name()
	}
	c.expect("{")
	if !c.accept("id") {
		c.expect("ruleset")
	}
	id := int(c.number(0, MaxRules-1))
	r := &Rule{Ruleset: uint8(id)}
	c.expect("type")
	switch t := c.next(); t {
	case "replicated":
		r.Type = TypeReplicated
	case "erasure":
		r.Type = TypeErasure
	default:
		c.at--
		c.bad()
	}
	c.expect("min_size")
	r.MinSize = uint8(c.posint())
	c.expect("max_size")
	r.MaxSize = uint8(c.posint())
	for c.accept("step") {
		r.Steps = append(r.Steps, c.step(name))
	}
	if len(r.Steps) == 0 {
		c.bad()
	}
	c.expect("}")
	c.addRule(id, name, r)
}

func (c *compiler) addRule(id int, name string, r *Rule) {
	if c.err != nil {
		return
	}
	if _, ok := c.m.RuleID(name); ok && name != "" {
		c.fail("rule name '%s' already defined", name)
		return
	}
	if c.m.Rule(id) != nil {
		c.fail("rule %d already exists", id)
		return
	}
	c.m.placeRule(id, r)
	if name != "" {
		c.m.RuleNames[int32(id)] = name
	}
}

// step reads what follows the word "step".
func (c *compiler) step(rule string) Step {
	t := c.stepText()
	if t == nil {
		return Step{}
	}
	s := Step{Op: t.op}
	switch t.args {
	case 1:
		s.Arg1 = c.posint()
	case 2:
		s.Arg1 = int32(c.number(math.MinInt32, math.MaxInt32))
		c.expect("type")
		name := c.name()
		typ, ok := c.m.TypeID(name)
		if !ok {
			c.fail("in rule '%s' type '%s' not defined", rule, name)
		}
		s.Arg2 = typ
	case 3:
		s.Arg1 = c.take(rule)
	}
	return s
}

// take reads the item that a rule starts from; with a class it is the item's shadow.
func (c *compiler) take(rule string) int32 {
	item := c.name()
	class := c.classOf()
	if c.err != nil {
		return 0
	}
	id, ok := c.m.ids[item]
	if !ok {
		c.fail("in rule '%s' item '%s' not defined", rule, item)
		return 0
	}
	if class == "" {
		return id
	}
	n, ok := c.m.ClassID(class)
	if !ok {
		c.fail("in rule '%s' device class '%s' not defined", rule, class)
		return 0
	}
	shadows := c.m.ClassBuckets[id]
	if len(shadows) == 0 {
		c.fail("in rule '%s' step take %s has no class information", rule, item)
		return 0
	}
	shadow, ok := shadows[n]
	if !ok {
		c.fail("in rule '%s' step take %s no matching bucket for class %s", rule, item, class)
	}
	return shadow
}

// chooseArgs reads one set of replacements. Its key is printed unsigned; what does not fit into
// 64 bits, as the key -1 does not, is cut to -1 again, as the C library's strtol does.
func (c *compiler) chooseArgs() {
	c.expect("choose_args")
	word := c.peek()
	key, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		c.bad()
		return
	}
	c.at++
	id := int64(int32(min(key, math.MaxInt64)))
	c.expect("{")
	if _, ok := c.m.ChooseArgs[id]; ok {
		c.fail("%d duplicated", id)
	}
	args := map[int32]*ChooseArg{}
	for c.accept("{") {
		c.chooseArg(args)
	}
	c.expect("}")
	if c.err == nil {
		c.m.ChooseArgs[id] = args
	}
}

func (c *compiler) chooseArg(args map[int32]*ChooseArg) {
	c.expect("bucket_id")
	id := int32(c.number(math.MinInt32, -1))
	b := c.m.Bucket(id)
	if b == nil {
		c.fail("%d does not exist", id)
		return
	}
	a := &ChooseArg{}
	if c.accept("weight_set") {
		c.expect("[")
		for c.accept("[") {
			var set []uint32
			for c.isNumber() {
				set = append(set, c.weight())
			}
			c.expect("]")
			c.wantSize(b, len(set), "weights")
			a.WeightSets = append(a.WeightSets, set)
		}
		c.expect("]")
	}
	if c.accept("ids") {
		c.expect("[")
		for c.isNumber() {
			a.IDs = append(a.IDs, int32(c.number(math.MinInt32, math.MaxInt32)))
		}
		c.expect("]")
		c.wantSize(b, len(a.IDs), "ids")
	}
	c.expect("}")
	args[id] = a
}

func (c *compiler) wantSize(b *Bucket, n int, what string) {
	if c.err == nil && n != len(b.Items) {
		c.err = fail(ceph.EINVAL, "%d needs exactly %d %s but got %d", b.ID, len(b.Items), what, n)
	}
}
