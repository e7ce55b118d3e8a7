// Package conformance holds the stock clients against a cluster: `ceph`, `rados`, `rbd`,
// python3-rados, python3-rbd, qemu and fio of Debian, used as their users do. It is a module of
// its own, since it builds nothing into Glue. By default it starts a cluster of this tree with
// the launcher at the root; with GLUE_TEST_CONF naming a ceph.conf it runs on that cluster, which
// may be a real one: a case that the real cluster fails is wrong. Tests share the cluster and run
// one after the other; each makes and removes what it needs. Those with a cluster of their own that
// do not measure time say t.Parallel and come last, beside each other; of those on the shared
// cluster TestRbdSuite is the only one.
//
// What a real cluster answers to a thousand command lines, and whom it refuses what, is recorded
// in testdata (TestCommandsAsStock, TestCapsMatrix, TestSubscriptionMatrix). With GLUE_TEST_CONF
// naming the ceph.conf of a real cluster that is for throwing away,
//
//	go test -run 'AsStock|Matrix' -update
//
// records it anew. Every difference is in a file *_known.txt with its reason.
//
// Some need more than `./test` installs, or longer, and say so: TestLibvirt Debian's libvirt;
// TestMirror its rbd-mirror, and a flag, which names a second cluster to mirror with, be it a real
// one; TestKernelRBD, TestNBD and TestBootClones the virtual machines of ../shared/lab, with
// Linux kernels of Debian:
//
//	go test -run TestMirror -timeout 30m -mirror own
//	go test -run 'Kernel|NBD|BootClones' -timeout 60m -lab
package conformance
