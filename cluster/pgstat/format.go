package pgstat

import (
	"strconv"
	"strings"

	"glue/cluster/crush"
)

// FormatOSDs prints a set of OSDs as PG listings do: [0,1,NONE] with NONE for a missing shard.
func FormatOSDs(osds []int32) string {
	parts := make([]string, len(osds))
	for i, osd := range osds {
		if osd == crush.None {
			parts[i] = "NONE"
		} else {
			parts[i] = strconv.Itoa(int(osd))
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// formatRaw prints a missing shard by its number, as stock does where it has no word for it.
func formatRaw(osds []int32) string {
	parts := make([]string, len(osds))
	for i, osd := range osds {
		parts[i] = strconv.Itoa(int(osd))
	}
	return "[" + strings.Join(parts, ",") + "]"
}
