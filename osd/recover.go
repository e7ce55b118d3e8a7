package osd

import (
	"glue/ceph"
)

type recoveryState struct {
	copied map[int32]int64
}

func (r *recoveryState) reset() { *r = recoveryState{} }

func (p *pg) startRecovery()                                        {}
func (p *pg) recoveryTick()                                         {}
func (p *pg) recoveryMessage(ev *event)                             { ev.msg.Release() }
func (p *pg) beyondBackfill(osd int32, o ceph.HObject) bool         { return false }
func (p *pg) unreadable(ob *object, op *clientOp, writes bool) bool { return false }
func (p *pg) repair(ob *object, op *clientOp) bool                  { return false }
func (d *Daemon) cmdBench(map[string]any) (any, error)              { return nil, ceph.EOPNOTSUPP }
