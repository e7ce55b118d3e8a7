package ops

// An ObjectInfo is object_info_t.
type ObjectInfo struct{}
