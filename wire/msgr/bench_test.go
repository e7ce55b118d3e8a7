package msgr

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/wire/message"
)

// benchDispatcher answers each request when it is a server, and lets the next one go when it is a
// client.
type benchDispatcher struct {
	on func(c *Conn, m *message.Message)
}

func (benchDispatcher) Accepted(*Conn)                         {}
func (benchDispatcher) Connected(*Conn)                        {}
func (benchDispatcher) Reset(*Conn)                            {}
func (benchDispatcher) RemoteReset(*Conn)                      {}
func (d benchDispatcher) Dispatch(c *Conn, m *message.Message) { d.on(c, m) }

func benchPair(b *testing.B, tune func(o *Options)) (client, server *Messenger) {
	made := func(num int64) *Messenger {
		name := ceph.AuthName{Type: ceph.TypeOSD, ID: fmt.Sprint(num)}
		opt := Options{
			Entity: ceph.EntityName{Type: ceph.TypeOSD, Num: num},
			Server: noneAuth{name}, Client: noneAuth{name},
		}
		lossy(&opt)
		if tune != nil {
			tune(&opt)
		}
		m := New(opt)
		if err := m.Bind(loopback); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { m.Close() })
		return m
	}
	return made(0), made(1)
}

// BenchmarkRequest measures request and reply, both sides together, at a depth.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{0, 4096} {
		for _, depth := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("data=%d/depth=%d", size, depth), func(b *testing.B) {
				benchRequest(b, size, depth, nil)
			})
		}
	}
	b.Run("data=4M/depth=8", func(b *testing.B) {
		b.SetBytes(4 << 20)
		benchRequest(b, 4<<20, 8, nil)
	})
	b.Run("lossless/data=4096/depth=64", func(b *testing.B) {
		benchRequest(b, 4096, 64, func(o *Options) {
			o.Policy = func(ceph.EntityType) Policy { return LosslessPeer }
		})
	})
}

func benchRequest(b *testing.B, size, depth int, tune func(o *Options)) {
	client, server := benchPair(b, tune)
	body := &message.MMonGetVersion{Handle: 1, What: "osdmap"}
	data := payload(1, size)
	server.Start(benchDispatcher{func(c *Conn, m *message.Message) {
		c.Send(m.Reply(body))
		m.Release()
	}})
	var left, running atomic.Int64
	left.Store(int64(b.N) - int64(depth))
	running.Store(int64(min(depth, b.N)))
	done := make(chan struct{})
	request := func() *message.Message {
		m := message.New(body)
		m.Data = data
		return m
	}
	client.Start(benchDispatcher{func(c *Conn, m *message.Message) {
		m.Release()
		if left.Add(-1) >= 0 {
			c.Send(request())
		} else if running.Add(-1) == 0 {
			close(done)
		}
	}})
	c := client.Connect(ceph.TypeOSD, server.Addrs())
	b.ReportAllocs()
	b.ResetTimer()
	for range min(depth, b.N) {
		c.Send(request())
	}
	<-done
}

// BenchmarkSecure is BenchmarkRequest with AES-GCM frames.
func BenchmarkSecure(b *testing.B) {
	key, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	secure := func(o *Options) {
		id := fmt.Sprint(o.Entity.Num)
		a := osdAuth{name: ceph.AuthName{Type: ceph.TypeOSD, ID: id}, monKey: key}
		o.Server, o.Client = a, a
		only := func(ceph.EntityType) []Mode { return []Mode{ModeSecure} }
		o.ClientModes, o.ServerModes = only, only
	}
	b.Run("data=4096/depth=64", func(b *testing.B) { benchRequest(b, 4096, 64, secure) })
	b.Run("data=4M/depth=8", func(b *testing.B) {
		b.SetBytes(4 << 20)
		benchRequest(b, 4<<20, 8, secure)
	})
}
