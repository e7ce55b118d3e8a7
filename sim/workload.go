package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
)

// window is how long one set of keys is in use: the history of each stays short.
const window = 5 * time.Minute

// An op is a command with what is to be learned of its answer.
type op struct {
	text    string // JSON
	key     string // the register that it reads or changes; "" for none
	input   input
	tid     uint64
	call    time.Duration
	until   time.Duration // it is said again on another session until then
	removes *host         // from the monitors
	floor   uint64        // no epoch older than this may be answered
	kind    *kind
}

// A kind is a row of the table of what clients do.
type kind struct {
	weight int
	// make chooses a command. n is unique to the command, reg is a register's number.
	make func(w string, reg int, n string) op
	// output is what the answer says of the register.
	output func(data []byte) string
	epoch  bool // the answer tells of an epoch of the OSD map
	// special makes the command instead of make; false: not now.
	special func(w *world, reg int) (op, bool)
	absent  bool // ENOENT means that the register is empty
}

func cmd(format string, args ...any) string { return fmt.Sprintf(format, args...) }

var kinds = []kind{
	{weight: 30, make: func(w string, reg int, n string) op {
		key := cmd("k%s-%d", w, reg%3)
		return op{text: cmd(`{"prefix":"config-key set","key":%q,"val":%q}`, key, n),
			key: "config-key/" + key, input: input{set, n}}
	}},
	{weight: 4, make: func(w string, reg int, _ string) op {
		key := cmd("k%s-%d", w, reg%3)
		return op{text: cmd(`{"prefix":"config-key rm","key":%q}`, key),
			key: "config-key/" + key, input: input{set, ""}}
	}},
	{weight: 30, absent: true, make: func(w string, reg int, _ string) op {
		key := cmd("k%s-%d", w, reg%3)
		return op{text: cmd(`{"prefix":"config-key get","key":%q}`, key),
			key: "config-key/" + key, input: input{kind: get}}
	}, output: func(data []byte) string { return string(data) }},
	{weight: 3, make: func(w string, reg int, _ string) op {
		pool := cmd("p%s-%d", w, reg%2)
		return op{text: cmd(`{"prefix":"osd pool create","pool":%q,"pg_num":1}`, pool),
			key: "pool/" + pool, input: input{set, "1"}}
	}},
	{weight: 2, make: func(w string, reg int, _ string) op {
		pool := cmd("p%s-%d", w, reg%2)
		return op{text: cmd(`{"prefix":"osd pool rm","pool":%q,"pool2":%q,`+
			`"yes_i_really_really_mean_it":true}`, pool, pool),
			key: "pool/" + pool, input: input{set, ""}}
	}},
	{weight: 4, absent: true, make: func(w string, reg int, _ string) op {
		pool := cmd("p%s-%d", w, reg%2)
		return op{text: cmd(`{"prefix":"osd pool get","pool":%q,"var":"size"}`, pool),
			key: "pool/" + pool, input: input{kind: get}}
	}, output: func([]byte) string { return "1" }},
	{weight: 3, make: func(w string, reg int, _ string) op {
		who := cmd("client.u%s", w)
		return op{text: cmd(`{"prefix":"auth get-or-create-key","entity":%q,`+
			`"caps":["mon","allow r"]}`, who), key: "auth/" + who, input: input{kind: create}}
	}, output: func(data []byte) string { return strings.TrimSpace(string(data)) }},
	{weight: 1, make: func(w string, reg int, _ string) op {
		who := cmd("client.u%s", w)
		return op{text: cmd(`{"prefix":"auth rm","entity":%q}`, who),
			key: "auth/" + who, input: input{set, ""}}
	}},
	{weight: 3, absent: true, make: func(w string, reg int, _ string) op {
		who := cmd("client.u%s", w)
		return op{text: cmd(`{"prefix":"auth get-key","entity":%q}`, who),
			key: "auth/" + who, input: input{kind: get}}
	}, output: func(data []byte) string { return strings.TrimSpace(string(data)) }},
	{weight: 6, make: func(_ string, reg int, _ string) op {
		flag := []string{"noout", "noin", "noup"}[reg%3]
		return op{text: cmd(`{"prefix":"osd %s","key":%q}`, []string{"set", "unset"}[reg/3%2],
			flag)}
	}},
	{weight: 12, epoch: true, make: func(string, int, string) op {
		return op{text: `{"prefix":"osd stat","format":"json"}`}
	}},
	{weight: 3, epoch: true, make: func(string, int, string) op {
		return op{text: `{"prefix":"osd dump","format":"json"}`}
	}},
	{weight: 2, make: func(_ string, _ int, n string) op {
		return op{text: cmd(`{"prefix":"log","logtext":["line",%q]}`, n)}
	}},
	{weight: 1, special: func(w *world, reg int) (op, bool) { return w.members.removal(reg) }},
}

// newOp chooses what a client does next.
func (w *world) newOp(c *client) *op {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	pick := c.rng.IntN(total)
	for i := range kinds {
		if pick -= kinds[i].weight; pick >= 0 {
			continue
		}
		var o op
		if k := kinds[i]; k.special != nil {
			var ok bool
			if o, ok = k.special(w, c.rng.IntN(60)); !ok {
				return w.newOp(c)
			}
		} else {
			o = k.make(strconv.Itoa(int(w.now/window)), c.rng.IntN(6),
				cmd("c%d-%d", c.end, c.tid))
			if w.cluster != nil { // which has to get well
				for _, flag := range []string{"noin", "noup"} {
					o.text = strings.Replace(o.text, flag, "noscrub", 1)
				}
			}
		}
		o.kind = &kinds[i]
		return &o
	}
	panic("no kind of command")
}

// answered takes the answer to a command.
func (w *world) answered(c *client, o *op, result int32, data []byte) {
	if o.removes != nil {
		w.members.answered(o.removes, result)
		return
	}
	absent := o.kind.absent && result == ceph.ENOENT.Result()
	if result != 0 && !absent {
		w.fail("%s: result %d", o.text, result)
		return
	}
	w.check.acknowledged(o)
	if o.kind.epoch {
		e, ok := epochIn(data)
		if !ok {
			w.fail("%s: no epoch in %q", o.text, short(data))
			return
		}
		w.check.read(c, o, e)
	}
	if o.key == "" {
		return
	}
	out := ""
	if o.kind.output != nil && !absent {
		out = o.kind.output(data)
	}
	w.history.known(c, o, out)
}

// isQuestion says whether a command changes nothing.
func isQuestion(text string) bool {
	_, rest, _ := strings.Cut(text, `"prefix":"`)
	prefix, _, _ := strings.Cut(rest, `"`)
	return slices.Contains([]string{"config-key get", "osd pool get", "auth get-key", "osd stat",
		"osd dump"}, prefix)
}

// epochIn finds the epoch in the JSON of a map.
func epochIn(data []byte) (uint64, bool) {
	_, rest, ok := bytes.Cut(data, []byte(`"epoch":`))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 {
		return 0, false
	}
	e, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return e, err == nil
}
