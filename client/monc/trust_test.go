package monc

import (
	"testing"

	"glue/wire/message"
	"glue/wire/msgr"
)

// TestOnlyMonitorsAreBelieved: a daemon's clients can't hand it configuration, maps or answers.
func TestOnlyMonitorsAreBelieved(t *testing.T) {
	c := New(Options{})
	stranger := &msgr.Conn{}
	for _, b := range []message.Body{
		&message.MConfig{Config: map[string]string{"debug_osd": "20"}}, &message.MMonMap{},
		&message.MAuthReply{}, &message.MMonCommandAck{}, &message.MMonGetVersionReply{},
		&message.MCommandReply{}, &message.MStatfsReply{}, &message.MPoolOpReply{},
	} {
		if c.Dispatch(stranger, message.New(b)) {
			t.Errorf("%v of a client is taken", b.Type())
		}
	}
	if len(c.Config()) != 0 {
		t.Error("configuration of a client is in force")
	}
}
