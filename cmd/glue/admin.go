package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"glue/client/rados"
)

// connectAdmin connects to the cluster of a folder as client.admin.
func connectAdmin(ctx context.Context, l layout) (*rados.Cluster, error) {
	return rados.Connect(ctx, rados.Options{ConfFile: l.conf()})
}

// ask runs a monitor's command and decodes its JSON answer into v, unless v is nil.
func ask(ctx context.Context, c *rados.Cluster, v any, prefix string, args map[string]any) error {
	cmd := map[string]any{"prefix": prefix, "format": "json"}
	for k, a := range args {
		cmd[k] = a
	}
	return askWith(ctx, c, v, cmd, nil)
}

// askWith is ask for a whole command with input.
func askWith(
	ctx context.Context, c *rados.Cluster, v any, cmd map[string]any, in []byte,
) error {
	out, _, err := c.MonCommand(ctx, cmd, in)
	if err != nil {
		return fmt.Errorf("%s: %w", cmd["prefix"], err)
	}
	if v == nil {
		return nil
	}
	if err := decode(out, v); err != nil {
		return fmt.Errorf("%s: %w", cmd["prefix"], err)
	}
	return nil
}

func decode(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return nil
}

// tebibyte is CRUSH weight 1.
const tebibyte = 1 << 40

// prepare makes a new cluster's OSDs known to the monitors and creates the pool for virtual
// machines' disks. What an earlier start did not finish is done again.
func prepare(ctx context.Context, l layout, s *spec) error {
	if s.Prepared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c, err := connectAdmin(ctx, l)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, o := range s.OSDs {
		if err := introduce(ctx, l, c, o); err != nil {
			return err
		}
	}
	if err := createRBDPool(ctx, c); err != nil {
		return err
	}
	s.Prepared = true
	return s.save(l)
}

// introduce tells the monitors of a new OSD, its key and its place in the CRUSH map.
func introduce(ctx context.Context, l layout, c *rados.Cluster, o osdSpec) error {
	name := osdName(o.ID)
	ring, err := os.ReadFile(l.keyring(name))
	if err != nil {
		return err
	}
	err = askWith(ctx, c, nil, map[string]any{"prefix": "auth import"}, ring)
	if err != nil {
		return err
	}
	err = ask(ctx, c, nil, "osd new", map[string]any{"uuid": o.UUID, "id": name})
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	return ask(ctx, c, nil, "osd crush create-or-move", map[string]any{"id": name,
		"weight": float64(o.Bytes) / tebibyte, "args": []string{"host=" + host, "root=default"}})
}

// createRBDPool makes the pool that rbd uses unless told otherwise.
func createRBDPool(ctx context.Context, c *rados.Cluster) error {
	err := ask(ctx, c, nil, "osd pool create", map[string]any{"pool": "rbd"})
	if err != nil {
		return err
	}
	return ask(ctx, c, nil, "osd pool application enable",
		map[string]any{"pool": "rbd", "app": "rbd"})
}

// A clusterStatus is the part of `ceph status` that start-up looks at.
type clusterStatus struct {
	Health struct {
		Status string `json:"status"`
		Checks map[string]struct {
			Summary struct {
				Message string `json:"message"`
			} `json:"summary"`
		} `json:"checks"`
	} `json:"health"`
	OSDMap struct {
		NumOSDs   int `json:"num_osds"`
		NumUpOSDs int `json:"num_up_osds"`
	} `json:"osdmap"`
	PGMap struct {
		PGsByState []struct {
			StateName string `json:"state_name"`
			Count     int    `json:"count"`
		} `json:"pgs_by_state"`
		NumPGs int `json:"num_pgs"`
	} `json:"pgmap"`
	MgrMap struct {
		Available bool `json:"available"`
	} `json:"mgrmap"`
}

// ready says whether everything runs but the OSDs that are absent; warnings of another kind may be
// there.
func (s *clusterStatus) ready(absent int) bool {
	clean := 0
	for _, p := range s.PGMap.PGsByState {
		if p.StateName == "active+clean" {
			clean += p.Count
		}
	}
	return s.MgrMap.Available && s.OSDMap.NumOSDs > 0 &&
		s.OSDMap.NumUpOSDs == s.OSDMap.NumOSDs-absent && clean == s.PGMap.NumPGs
}

// progress is one line that says how far the start is.
func (s *clusterStatus) progress() string {
	line := fmt.Sprintf("%s, %d of %d OSDs up", s.Health.Status, s.OSDMap.NumUpOSDs,
		s.OSDMap.NumOSDs)
	for _, p := range s.PGMap.PGsByState {
		line += fmt.Sprintf(", %d PGs %s", p.Count, p.StateName)
	}
	for code, check := range s.Health.Checks {
		line += fmt.Sprintf("; %s: %s", code, check.Summary.Message)
	}
	return line
}
