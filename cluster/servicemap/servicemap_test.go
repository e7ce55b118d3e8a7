package servicemap

import (
	"reflect"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/cephjson"
)

func sample() *Map {
	m := &Map{Epoch: 3}
	m.Set("iscsi", "a", &Daemon{GID: 7, Epoch: 2, Metadata: map[string]string{
		"hostname": "h", "daemon_type": "portal"}})
	m.Set("iscsi", "b", &Daemon{GID: 8, Epoch: 3, Metadata: map[string]string{
		"hostname": "i", "zone_id": "z"}, Tasks: map[string]string{"t": "running"}})
	return m
}

func TestEncoding(t *testing.T) {
	m, got := sample(), &Map{}
	if err := denc.Unmarshal(denc.Marshal(m, ceph.FeaturesAll), got, ceph.FeaturesAll); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, got) {
		t.Errorf("%+v became %+v", m, got)
	}
}

func TestShown(t *testing.T) {
	m := sample()
	if s := m.Services["iscsi"].Summary(); s != "2 portals active (2 hosts, 1 zones)" {
		t.Errorf("summary %q", s)
	}
	want := `{"epoch":3,"modified":"0.000000","services":{"iscsi":{"daemons":{"summary":"",` +
		`"b":{"start_epoch":3,"start_stamp":"0.000000","gid":8,"addr":` +
		`"(unrecognized address family 0)/0","metadata":{"hostname":"i","zone_id":"z"},` +
		`"task_status":{"t":"running"}}}}}}`
	m.Remove("iscsi", "a")
	if got := string(cephjson.Marshal(m.Dump(), false)); got != want && got != want+"\n" {
		t.Errorf("dump %s", got)
	}
	if s := (Service{"x": &Daemon{}}).Summary(); s != "1 daemon active" {
		t.Errorf("summary %q", s)
	}
	m.Remove("iscsi", "b")
	m.Remove("iscsi", "b")
	if len(m.Services) != 0 {
		t.Errorf("left %+v", m.Services)
	}
	if Foreign("osd") || Foreign("") || !Foreign("rbd-mirror") {
		t.Error("foreign")
	}
}
