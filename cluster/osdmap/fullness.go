package osdmap

// Fullness is what a used share of the store means under the map's ratios. A ratio that is below
// the one before it counts as that one.
func (m *Map) Fullness(used, failsafe float32) State {
	near := m.NearfullRatio
	backfill := max(m.BackfillfullRatio, near)
	full := min(max(m.FullRatio, backfill), failsafe)
	switch {
	case full > 0 && used > full:
		return OSDFull
	case backfill > 0 && used > backfill:
		return OSDBackfillfull
	case near > 0 && used > near:
		return OSDNearfull
	}
	return 0
}
