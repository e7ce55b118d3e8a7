// Package rados is the client library of a RADOS cluster, Glue's or Ceph's: connect with a
// ceph.conf and a key, then read and write objects in pools.
//
// A Cluster is a connection; an IOCtx is a pool with a namespace and a locator key. Calls block
// until the cluster has answered or the context ends; run several goroutines for more in flight.
// What the cluster refuses is a ceph.Errno (test with errors.Is, such as ceph.ENOENT); a write that
// returned nil is durable on all copies; one whose context ended may still take effect. All types
// may be used from any goroutine. The semantics are those of librados of Ceph 16.2.
package rados
