package bench

import "glue/ceph"

// IsPG says whether a collection is a copy of a PG.
func IsPG(id ceph.SPG) bool { return id != Coll }
