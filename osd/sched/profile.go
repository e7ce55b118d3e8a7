package sched

// A Profile divides an OSD's capacity; the numbers are shares of it, but for the weights.
type Profile struct {
	Name   string
	Shares Shares
}

// Profiles are those of osd_mclock_profile; custom takes its numbers from options.
var Profiles = []Profile{
	{"high_client_ops", Shares{{0.60, 2, 0}, {0.40, 1, 0}, {0, 1, 0.70}}},
	{"balanced", Shares{{0.50, 1, 0}, {0.50, 1, 0}, {0, 1, 0.90}}},
	{"high_recovery_ops", Shares{{0.30, 1, 0}, {0.70, 2, 0}, {0, 1, 0}}},
}

// Find is the profile of a name.
func Find(name string) (Profile, bool) {
	for _, p := range Profiles {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

// Of makes shares of a capacity in IOs a second, for one of so many shards.
func (s Shares) Of(iops float64, shards int) Shares {
	for c := range s {
		s[c].Reservation *= iops / float64(shards)
		s[c].Limit *= iops / float64(shards)
	}
	return s
}

// Cost is how many IOs work of so many bytes is worth, where one of bytesPerIO takes as long as
// it takes to begin one.
func Cost(bytes, bytesPerIO float64) float64 {
	if bytesPerIO <= 0 {
		return 1
	}
	return 1 + bytes/bytesPerIO
}
