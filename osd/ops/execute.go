package ops

import "glue/ceph"

// Execute runs a vector of object ops. The caller has used Inspect and Check, knows that the
// request is no duplicate, and sets r.State.
func Execute(env *Env, r *Request, n *Need) Outcome {
	return Outcome{Result: ceph.EOPNOTSUPP.Result()}
}

// ExecutePG runs a vector of PG ops: listings, which have no object and no State.
func ExecutePG(env *Env, r *Request) Outcome {
	return Outcome{Result: ceph.EOPNOTSUPP.Result()}
}
