package mgr

import (
	"strings"

	"glue/ceph"
	"glue/internal/admin"
	"glue/internal/daemon"
	"glue/wire/message"
	"glue/wire/msgr"
)

// Commands is the table of commands to this manager alone, by "ceph tell mgr.X" and the admin
// socket. Standby managers answer them as well.
func (m *Manager) Commands() *admin.Table { return m.commands }

func (m *Manager) table() *admin.Table {
	ask := func(f func(m *Manager) any) func(admin.Args) (any, error) {
		return func(admin.Args) (any, error) { return m.inLoop(f) }
	}
	return admin.NewTable([]admin.Command{
		{Prefix: "mgr_status", Help: "Dump mgr status",
			Run: ask(func(m *Manager) any { return m.state.mgrStatus() })},
		{Prefix: "status", Help: "what the manager knows",
			Run: ask(func(m *Manager) any { return statusOf(&m.state) })},
	}, daemon.Commands(m.conf, m.opt.LogFile, nil))
}

// onTell runs a command to this manager alone, on a goroutine of its own, for who may do
// everything: its commands are about the daemon itself.
func (m *Manager) onTell(
	conn *msgr.Conn, msg *message.Message, cmd []string, reply func(int32, string) message.Body,
) {
	s, ok := conn.Context().(*session)
	if !ok || !s.all && !s.caps.AllowAll() {
		conn.Send(msg.Reply(reply(ceph.EACCES.Result(), "access denied")))
		return
	}
	go func() {
		out, text, err := m.commands.Run(strings.Join(cmd, ""))
		answer := msg.Reply(reply(-int32(admin.Errno(err)), text))
		answer.Data = out
		conn.Send(answer)
	}()
}
