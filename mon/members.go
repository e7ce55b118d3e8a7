package mon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/monmap"
	"glue/mon/quorum"
	"glue/mon/service"
	"glue/wire/message"
)

// memberCommands are those that change who the monitors are.
func (c *core) memberCommands() []service.Row {
	return []service.Row{
		{Prefix: "mon add", Run: c.cmdMonAdd},
		{Prefix: "mon rm", Run: c.cmdMonRemove},
		{Prefix: "mon remove", Run: c.cmdMonRemove},
		{Prefix: "mon set-addrs", Run: c.cmdMonSetAddrs},
		{Prefix: "mon set-rank", Run: c.cmdMonSetRank},
		{Prefix: "mon set-weight", Run: c.cmdMonSetWeight},
		{Prefix: "mon enable-msgr2", Run: func(*service.Request) service.Answer {
			return service.OK("all monitors have already enabled msgr2")
		}},
		{Prefix: "mon ok-to-stop", Run: c.cmdMonOKToStop},
		{Prefix: "mon ok-to-rm", Run: c.cmdMonOKToRemove},
		{Prefix: "mon ok-to-add-offline", Run: func(*service.Request) service.Answer {
			return service.OK("adding another mon that is not yet online will not break quorum")
		}},
	}
}

// newAddrs are the addresses that "mon add" takes: without a port, or with the one of msgr v1, the
// stock ones of both protocols; another port is msgr2's.
func newAddrs(text string) (ceph.AddrVec, error) {
	a, err := ceph.ParseAddr(text, ceph.AddrAny)
	if err != nil {
		return nil, err
	}
	ip, port := a.AddrPort.Addr(), a.AddrPort.Port()
	if port == 0 || port == ceph.MonPortLegacy && a.Type != ceph.AddrMsgr2 {
		return ceph.AddrVec{
			{Type: ceph.AddrMsgr2, AddrPort: netip.AddrPortFrom(ip, ceph.MonPort)},
			{Type: ceph.AddrLegacy, AddrPort: netip.AddrPortFrom(ip, ceph.MonPortLegacy)},
		}, nil
	}
	if a.Type == ceph.AddrLegacy {
		return nil, fmt.Errorf("'%s': monitors need an address of msgr2, say v2:ADDRESS:PORT; "+
			"\"mon set-addrs\" gives one of v1 besides", text)
	}
	return ceph.AddrVec{{Type: ceph.AddrMsgr2, AddrPort: a.AddrPort}}, nil
}

// holder is the monitor that has an address, "" for none.
func holder(m *monmap.Map, addrs ceph.AddrVec) string {
	for rank, name := range m.Ranks {
		for _, a := range m.Addrs(rank) {
			if slices.ContainsFunc(addrs, func(b ceph.Addr) bool {
				return a.AddrPort == b.AddrPort
			}) {
				return name
			}
		}
	}
	return ""
}

func (c *core) cmdMonAdd(r *service.Request) service.Answer {
	name, text, m := r.Need("name"), r.Need("addr"), c.mon.Map()
	addrs, err := newAddrs(text)
	if err != nil {
		return service.Fail(ceph.EINVAL, "addr %s does not parse: %v", text, err)
	}
	loc := map[string]string{}
	for _, word := range r.Strs("location") {
		if k, v, ok := strings.Cut(word, "="); ok {
			loc[k] = v
		}
	}
	if rank := m.Rank(name); rank >= 0 && m.Addrs(rank).Equal(addrs) {
		return service.OK("mon.%s at %v already exists", name, addrs)
	} else if rank >= 0 {
		return service.Fail(ceph.EEXIST, "mon.%s already exists at address %v", name,
			m.Addrs(rank))
	}
	if other := holder(m, addrs); other != "" {
		return service.Fail(ceph.EEXIST, "mon.%s already exists at address %v", other, addrs)
	}
	if err := checkMonName(name); err != nil {
		return service.Fail(ceph.EINVAL, "%v", err)
	}
	if len(m.Ranks) >= maxMons {
		return service.Fail(ceph.ERANGE, "there are %d monitors already", len(m.Ranks))
	}
	c.mon.Add(ceph.TimeOf(r.Now), monmap.Mon{Name: name, Addrs: addrs, CrushLoc: loc})
	return service.OK("adding mon.%s at %v", name, addrs)
}

// maxMons bounds the monitors: each one more makes every change slower.
const maxMons = 31

// checkMonName refuses what can't be a monitor's id in a file name or an option's section.
func checkMonName(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, " /[]\n\x00") ||
		strings.HasPrefix(name, ".") {
		return fmt.Errorf("'%s' can't be a monitor's name", name)
	}
	return nil
}

// cmdMonRemove takes a monitor out. It refuses where the monitors that are left would have no
// majority that runs: nothing could be put right then.
func (c *core) cmdMonRemove(r *service.Request) service.Answer {
	name, m := r.Need("name"), c.mon.Map()
	rank := m.Rank(name)
	if rank < 0 {
		return service.OK("mon.%s does not exist or has already been removed", name)
	}
	if len(m.Ranks) == 1 {
		return service.Fail(ceph.EINVAL, "error: refusing removal of last monitor %s", name)
	}
	id := c.mon.ID(name)
	up, of := c.without(id, c.present(r.Waited))
	if up <= of/2 && r.Waited < answerFor {
		c.callRoll()
		return service.Answer{Again: true}
	}
	if up <= of/2 {
		return service.Fail(ceph.EBUSY, "removing mon.%s would break quorum: of the %d that are "+
			"left in it only %d would be up; start them or remove those that are down first",
			name, of, up)
	}
	if id == c.node.ID() {
		c.log.Info("another monitor has to lead before this one is removed")
		if err := c.node.Yield(); err != nil {
			return service.Fail(ceph.EAGAIN, "mon.%s can't give up the lead: %v", name, err)
		}
		return service.Answer{Again: true}
	}
	c.mon.Remove(ceph.TimeOf(r.Now), name)
	c.dropMember(id)
	return service.OK("removing mon.%s at %v, there will be %d monitors", name, m.Addrs(rank),
		len(m.Ranks)-1)
}

// without is how many voters would be up, and how many there would be, without a member.
func (c *core) without(id uint64, active []uint64) (up, of int) {
	for _, v := range c.node.Voters() {
		if v == id {
			continue
		}
		of++
		if slices.Contains(active, v) {
			up++
		}
	}
	return up, of
}

// dropMember wishes a member out of the log, if it is in.
func (c *core) dropMember(id uint64) {
	if slices.Contains(c.node.Voters(), id) || slices.Contains(c.node.Learners(), id) {
		c.mon.SetStep(quorum.Remove, id)
	}
}

func (c *core) cmdMonSetAddrs(r *service.Request) service.Answer {
	name, text, m := r.Need("name"), r.Need("addrs"), c.mon.Map()
	if m.Rank(name) < 0 {
		return service.Fail(ceph.ENOENT, "mon.%s does not exist", name)
	}
	addrs, err := ceph.ParseAddrVec(text)
	if err != nil {
		return service.Fail(ceph.EINVAL, "failed to parse addrs '%s': %v", text, err)
	}
	for i, a := range addrs {
		if a.AddrPort.Port() == 0 {
			return service.Fail(ceph.EINVAL, "monitor must bind to a non-zero port, not %v", a)
		}
		addrs[i].Nonce = 0
	}
	if other := holder(m, addrs); other != "" && other != name {
		return service.Fail(ceph.EEXIST, "mon.%s already exists at address %v", other, addrs)
	}
	return c.editMon(r, name, func(mon *monmap.Mon) { mon.Addrs = addrs })
}

func (c *core) cmdMonSetWeight(r *service.Request) service.Answer {
	name := r.Need("name")
	if c.mon.Map().Rank(name) < 0 {
		return service.Fail(ceph.ENOENT, "mon.%s does not exist", name)
	}
	return c.editMon(r, name, func(mon *monmap.Mon) { mon.Weight = uint16(r.Int("weight", 0)) })
}

func (c *core) editMon(r *service.Request, name string, f func(*monmap.Mon)) service.Answer {
	next := c.mon.Edit(ceph.TimeOf(r.Now))
	mon := next.Mons[name]
	f(&mon)
	next.Mons[name] = mon
	return service.OK("")
}

func (c *core) cmdMonSetRank(r *service.Request) service.Answer {
	name := r.Need("name")
	if c.mon.Map().Rank(name) < 0 {
		return service.Fail(ceph.ENOENT, "mon.%s does not exist in monmap", name)
	}
	next := c.mon.Edit(ceph.TimeOf(r.Now))
	rest := slices.DeleteFunc(next.Ranks, func(n string) bool { return n == name })
	at := min(max(int(r.Int("rank", 0)), 0), len(rest))
	next.Ranks = slices.Insert(rest, at, name)
	return service.OK("")
}

func (c *core) cmdMonOKToStop(r *service.Request) service.Answer {
	ids := r.Strs("ids")
	var left []string
	for _, name := range c.quorumNames() {
		if !slices.Contains(ids, name) && !slices.Contains(ids, "mon."+name) {
			left = append(left, name)
		}
	}
	stopping, names := strings.Join(ids, ","), strings.Join(left, ",")
	if len(left) <= len(c.node.Voters())/2 {
		return service.Fail(ceph.EBUSY, "not enough monitors would be available (%s) after "+
			"stopping mons [%s]", names, stopping)
	}
	return service.OK("quorum should be preserved (%s) after stopping [%s]", names, stopping)
}

func (c *core) cmdMonOKToRemove(r *service.Request) service.Answer {
	name := strings.TrimPrefix(r.Need("id"), "mon.")
	if c.mon.Map().Rank(name) < 0 {
		return service.OK("mon.%s does not exist", name)
	}
	if up, of := c.without(c.mon.ID(name), c.node.Active()); up <= of/2 {
		return service.Fail(ceph.EBUSY, "removing mon.%s would break quorum", name)
	}
	return service.OK("safe to remove mon.%s", name)
}

// settleFor is how long a leader must have led before it takes a member that it has not heard of
// for lost.
const settleFor = 3 * time.Second

// join takes another monitor's wish to become a member. It repeats it until it is one.
func (c *core) join(e event, b *message.MMonJoin) {
	if !e.s.isMon() || b.FSID != c.fsid || !c.node.Leading() || c.flow.inflight ||
		c.conflicting() || b.Member == 0 || c.now().Sub(c.ledSince) < settleFor {
		return
	}
	if why := c.admit(b); why != "" {
		e.s.reply(e.m, &message.MMonProbe{FSID: c.fsid, Kind: message.ProbeRefuse, Name: c.opt.Name,
			Text: why})
		return
	}
	if c.mon.Dirty() {
		c.flow.urgent = true
	}
}

// admit prepares the next step towards b's membership, or says why it can't be.
func (c *core) admit(b *message.MMonJoin) string {
	m, now := c.mon.Map(), ceph.TimeOf(c.now())
	rank, id := m.Rank(b.Name), c.mon.ID(b.Name)
	if other := holder(m, b.Addrs); other != "" && other != b.Name {
		return fmt.Sprintf("mon.%s listens at %v", other, b.Addrs)
	}
	switch {
	case len(b.Addrs) == 0:
		return "it has no address"
	case rank < 0 && checkMonName(b.Name) != nil:
		return checkMonName(b.Name).Error()
	case rank < 0 && len(m.Ranks) >= maxMons:
		return fmt.Sprintf("there are %d monitors already", len(m.Ranks))
	case rank < 0:
		c.mon.Add(now, monmap.Mon{Name: b.Name, Addrs: b.Addrs})
	case id == b.Member:
		return ""
	case id != 0 && slices.Contains(c.node.Active(), id):
		return fmt.Sprintf("mon.%s is in the quorum with another store; stop that one first",
			b.Name)
	case id != 0: // its store is lost: the old member goes first, the new one comes next time
		c.log.Warn("the store of a monitor was made anew", "mon", b.Name)
		c.mon.Edit(now)
		c.mon.SetID(b.Name, 0)
		c.dropMember(id)
		return ""
	default:
		next := c.mon.Edit(now)
		mon := next.Mons[b.Name]
		mon.Addrs = b.Addrs
		next.Mons[b.Name] = mon
	}
	c.mon.SetID(b.Name, b.Member)
	c.mon.SetStep(quorum.AddLearner, b.Member)
	c.clusterLog(message.LogInfo, fmt.Sprintf("mon.%s joins at %v", b.Name, b.Addrs))
	return ""
}

// promote makes a learner that has caught up a voter.
func (c *core) promote() {
	for _, id := range c.node.CaughtUp() {
		rank := c.mon.Rank(id)
		if rank < 0 || c.flow.inflight || c.conflicting() {
			continue
		}
		c.mon.SetStep(quorum.Promote, id)
		c.flow.urgent = true
		c.clusterLog(message.LogInfo, fmt.Sprintf("mon.%s has caught up and is in the quorum",
			c.mon.Map().Ranks[rank]))
		return
	}
}
