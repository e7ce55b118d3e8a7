package mon

import (
	"testing"

	"glue/wire/message"
)

// resent are commands that make something, which clients send again when the connection ends before
// the answer, with what shows it.
var resent = []struct{ cmd, input, show string }{
	{`{"prefix":"osd new","uuid":"11111111-2222-3333-4444-555555555555"}`, "",
		`{"prefix":"osd dump"}`},
	{`{"prefix":"osd new","uuid":"11111111-2222-3333-4444-666666666666"}`,
		`{"cephx_secret":"AQBpBBxpAAAAABAAu1FeyMfZbqSDhSrO0IyoXw=="}`, `{"prefix":"auth ls"}`},
	{`{"prefix":"osd create","uuid":"11111111-2222-3333-4444-777777777777"}`, "",
		`{"prefix":"osd dump"}`},
	{`{"prefix":"osd pool create","pool":"p","pg_num":4}`, "", `{"prefix":"osd dump"}`},
	{`{"prefix":"osd pool rename","srcpool":"p","destpool":"q"}`, "", `{"prefix":"osd dump"}`},
	{`{"prefix":"auth get-or-create","entity":"client.x","caps":["mon","allow r"]}`, "",
		`{"prefix":"auth ls"}`},
	{`{"prefix":"auth get-or-create-key","entity":"client.y","caps":["mon","allow r"]}`, "",
		`{"prefix":"auth ls"}`},
	{`{"prefix":"auth rm","entity":"client.y"}`, "", `{"prefix":"auth ls"}`},
	{`{"prefix":"osd crush add-bucket","name":"r1","type":"rack"}`, "", `{"prefix":"osd dump"}`},
	{`{"prefix":"osd blocklist","blocklistop":"add","addr":"192.0.2.1:0/5"}`, "",
		`{"prefix":"osd blocklist ls"}`},
	{`{"prefix":"config set","who":"osd","name":"debug_osd","value":"5"}`, "",
		`{"prefix":"config log"}`},
	{`{"prefix":"config-key set","key":"k","val":"v"}`, "", `{"prefix":"config-key dump"}`},
	{`{"prefix":"config rm","who":"osd","name":"debug_osd"}`, "", `{"prefix":"config dump"}`},
	{`{"prefix":"config-key rm","key":"k"}`, "", `{"prefix":"config-key dump"}`},
	{`{"prefix":"osd set","key":"noout"}`, "", `{"prefix":"osd dump"}`},
	{`{"prefix":"osd unset","key":"noout"}`, "", `{"prefix":"osd dump"}`},
	{`{"prefix":"osd crush move","name":"r1","args":["root=default"]}`, "",
		`{"prefix":"osd crush dump"}`},
	{`{"prefix":"osd crush rename-bucket","srcname":"r1","dstname":"r2"}`, "",
		`{"prefix":"osd crush dump"}`},
	{`{"prefix":"osd crush rule create-replicated","name":"rule","root":"default","type":"host"}`,
		"", `{"prefix":"osd crush dump"}`},
	{`{"prefix":"osd crush rule rename","srcname":"rule","dstname":"rule2"}`, "",
		`{"prefix":"osd crush dump"}`},
	{`{"prefix":"osd crush rule rm","name":"rule2"}`, "", `{"prefix":"osd crush dump"}`},
	{`{"prefix":"osd crush rm","name":"r2"}`, "", `{"prefix":"osd crush dump"}`},
	{`{"prefix":"osd erasure-code-profile set","name":"e","profile":["k=2","m=1"]}`, "",
		`{"prefix":"osd erasure-code-profile ls"}`},
	{`{"prefix":"osd erasure-code-profile rm","name":"e"}`, "",
		`{"prefix":"osd erasure-code-profile ls"}`},
	{`{"prefix":"osd pool application enable","pool":"q","app":"rbd"}`, "",
		`{"prefix":"osd pool ls","detail":"detail"}`},
	{`{"prefix":"osd pool set","pool":"q","var":"size","val":"2"}`, "",
		`{"prefix":"osd pool get","pool":"q","var":"size"}`},
	{`{"prefix":"osd pool set-quota","pool":"q","field":"max_objects","val":"9"}`, "",
		`{"prefix":"osd pool get-quota","pool":"q"}`},
	{`{"prefix":"osd reweight","id":0,"weight":0.5}`, "", `{"prefix":"osd tree"}`},
	{`{"prefix":"osd blocklist","blocklistop":"rm","addr":"192.0.2.1:0/5"}`, "",
		`{"prefix":"osd blocklist ls"}`},
	{`{"prefix":"auth add","entity":"client.z","caps":["mon","allow r"]}`, "",
		`{"prefix":"auth ls"}`},
	{`{"prefix":"auth caps","entity":"client.z","caps":["mon","allow rw"]}`, "",
		`{"prefix":"auth ls"}`},
	{`{"prefix":"osd pool delete","pool":"q","pool2":"q",
		"yes_i_really_really_mean_it":true}`, "", `{"prefix":"osd dump"}`},
	{`{"prefix":"osd rm","ids":["0"]}`, "", `{"prefix":"osd dump"}`},
}

// TestResend cuts the connection after a command was taken and before its answer, as a client sees
// it when a monitor dies or a cable is pulled. Sent again it succeeds and gives what the lost
// answer gave, and nothing is done twice.
func TestResend(t *testing.T) {
	w := newWorld(t)
	ask := func(json, input string) (int32, string) {
		s, l := w.session("client.admin", "allow *")
		code, text, data := w.command(s, l, json, []byte(input))
		if code != 0 {
			t.Errorf("%s: %d %s", json, code, text)
		}
		return code, data
	}
	for _, r := range resent {
		_, before := ask(r.show, "")
		s, l := w.session("client.admin", "allow *")
		m := message.New(&message.MMonCommand{FSID: testFSID, Cmd: []string{r.cmd}})
		m.TID, m.Data = 77, []byte(r.input)
		w.c.handle(event{s: s, m: m})
		w.c.end(s)
		w.settle()
		lost := ""
		for _, a := range l.sent { // into the closed connection, which drops it
			lost += string(a.Data)
		}
		_, done := ask(r.show, "")
		if done == before {
			t.Errorf("%s: did nothing before the answer was lost", r.cmd)
		}
		if _, again := ask(r.cmd, r.input); again != lost {
			t.Errorf("%s: gave %q, then %q", r.cmd, lost, again)
		}
		if _, after := ask(r.show, ""); after != done {
			t.Errorf("%s: was done twice:\n%s\n%s", r.cmd, done, after)
		}
	}
}

// TestResendWithoutName sends "osd create" again without a UUID: nothing tells it from a wish for
// another, so it makes another, as stock does. Tools that may lose an answer give a UUID.
func TestResendWithoutName(t *testing.T) {
	w := newWorld(t)
	var got []string
	for range 2 {
		s, l := w.session("client.admin", "allow *")
		code, text, data := w.command(s, l, `{"prefix":"osd create"}`, nil)
		if code != 0 {
			t.Fatalf("%d %s", code, text)
		}
		got = append(got, data)
	}
	if got[0] == got[1] {
		t.Errorf("both are %q", got[0])
	}
}
