package crush

// Tunables steer the retries of a draw. TotalTries counts retries: one more try is made.
type Tunables struct {
	ChooseLocalTries         uint32
	ChooseLocalFallbackTries uint32
	ChooseTotalTries         uint32
	ChooseleafDescendOnce    uint32
	ChooseleafVaryR          uint8
	ChooseleafStable         uint8
	StrawCalcVersion         uint8
	AllowedBucketAlgs        uint32 // bit per Alg
}

// Sets of bucket algorithms that the profiles allow.
const (
	legacyAlgs = 1<<Uniform | 1<<List | 1<<Straw
	hammerAlgs = legacyAlgs | 1<<Straw2
)

// Profiles are the named sets of tunables that `osd crush tunables` takes. Each is the state of
// one release; "straw_calc_version" is not reset by profiles older than hammer, see SetProfile.
var Profiles = map[string]Tunables{
	"legacy":   {2, 5, 19, 0, 0, 0, 0, legacyAlgs},
	"argonaut": {2, 5, 19, 0, 0, 0, 0, legacyAlgs},
	"bobtail":  {0, 0, 50, 1, 0, 0, 0, legacyAlgs},
	"firefly":  {0, 0, 50, 1, 1, 0, 0, legacyAlgs},
	"hammer":   {0, 0, 50, 1, 1, 0, 1, hammerAlgs},
	"jewel":    {0, 0, 50, 1, 1, 1, 1, hammerAlgs},
	"optimal":  {0, 0, 50, 1, 1, 1, 1, hammerAlgs},
	"default":  {0, 0, 50, 1, 1, 1, 1, hammerAlgs},
}
