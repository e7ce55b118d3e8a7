package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
)

// What a command does to its register.
type inputKind int

const (
	get    inputKind = iota
	set              // to a value; "" removes it
	create           // unless there is something
)

type input struct {
	kind  inputKind
	value string
}

// made is the state of a register that something was created in by a command whose answer is not
// known.
const made = "?"

// A history is what clients did to every register, and what they learned.
type history struct {
	ops map[string][]porcupine.Operation
	// writes whose answer is not known, by register and value
	lost map[string][]porcupine.Operation
}

func (h *history) init() {
	h.ops, h.lost = map[string][]porcupine.Operation{}, map[string][]porcupine.Operation{}
}

// known records an answered command.
func (h *history) known(c *client, o *op, output string) {
	h.ops[o.key] = append(h.ops[o.key], porcupine.Operation{ClientId: c.end, Input: o.input,
		Call: int64(o.call), Output: output, Return: int64(c.w.now)})
}

// unknown records a command that was not answered.
func (h *history) unknown(c *client, o *op) {
	if o.key != "" && o.input.kind != get {
		h.lost[o.key] = append(h.lost[o.key], porcupine.Operation{Input: o.input,
			Call: int64(o.call), Output: made})
	}
}

// register is the model of one register.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		s, i, o := state.(string), in.(input), out.(string)
		switch {
		case i.kind == set:
			return true, i.value
		case i.kind == create && o == made:
			if s == "" {
				s = made
			}
			return true, s
		case s == made && o != "":
			return true, o
		case i.kind == create && s == "":
			return o != "", o
		}
		return s == o, s
	},
	Equal: func(a, b any) bool { return a == b },
}

// checkFor bounds the search for an order of one register's operations.
const checkFor = time.Minute

// check wants an order in which the operations of each register make sense, up to what is in the
// state at the end.
func (h *history) check(w *world) {
	end := int64(w.now) + 1
	final := w.finalState()
	if final == nil {
		w.fail("nobody leads in the end")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(h.ops)) {
		ops := append(slices.Clone(h.ops[key]), porcupine.Operation{ClientId: 1000,
			Input: input{kind: get}, Call: end, Output: final(key), Return: end + 1})
		ops = append(ops, h.pending(key, ops, end+2)...)
		w.result.Registers++
		switch porcupine.CheckOperationsTimeout(register, ops, checkFor) {
		case porcupine.Illegal:
			w.fail("the history of %s makes no sense:\n%s", key, story(ops))
		case porcupine.Unknown:
			w.result.Unchecked++
			w.trace("history too hard to check", "key", key, "ops", len(ops))
		}
	}
}

// pending are the commands of a register without an answer, which may be done at any later time. A
// value that nobody came upon need not have been written, so such writes are left out.
func (h *history) pending(key string, ops []porcupine.Operation, end int64,
) []porcupine.Operation {
	read := map[string]bool{}
	for _, o := range ops {
		switch o.Input.(input).kind {
		case get:
			read[o.Output.(string)] = true
		case create:
			read[""] = true // it may have found nothing
		}
	}
	var out []porcupine.Operation
	for i, o := range h.lost[key] {
		if in := o.Input.(input); in.kind == create || read[in.value] {
			o.ClientId, o.Return = 2000+i, end
			out = append(out, o)
		}
	}
	return out
}

// story is a history in words, for people.
func story(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var out strings.Builder
	for _, o := range ops {
		in := o.Input.(input)
		fmt.Fprintf(&out, "  %12v to %12v  client %d  %s %q  %q\n", time.Duration(o.Call),
			time.Duration(o.Return), o.ClientId, []string{"get", "set", "create"}[in.kind],
			in.value, o.Output)
	}
	return out.String()
}

// finalState reads registers from the leader; nil without one.
func (w *world) finalState() func(key string) string {
	if h := w.leader(); h != nil {
		return func(key string) string {
			kind, name, _ := strings.Cut(key, "/")
			text := map[string]string{
				"config-key": `{"prefix":"config-key get","key":%q}`,
				"pool":       `{"prefix":"osd pool get","pool":%q,"var":"size"}`,
				"auth":       `{"prefix":"auth get-key","entity":%q}`,
			}[kind]
			result, data := h.ask(fmt.Sprintf(text, name))
			switch {
			case result == ceph.ENOENT.Result():
				return ""
			case result != 0:
				w.fail("final read of %s: %d", key, result)
			case kind == "pool":
				return "1"
			}
			return strings.TrimSpace(string(data))
		}
	}
	return nil
}
