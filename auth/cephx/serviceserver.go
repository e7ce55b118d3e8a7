package cephx

import (
	"io"
	"time"

	"glue/ceph"
)

// ServiceOptions is what a ServiceServer needs.
type ServiceOptions struct {
	Service ceph.EntityType
	// Rotating is the service's keys as the daemon last got them from the monitors.
	Rotating func() Rotating
	Rand     io.Reader
	// AllowNone accepts method none (auth_service_required has it).
	AllowNone bool
}

// A ServiceServer is a daemon's side of one connection: it checks an authorizer.
type ServiceServer struct{ opt ServiceOptions }

// NewServiceServer starts a machine.
func NewServiceServer(opt ServiceOptions) *ServiceServer { return &ServiceServer{opt: opt} }

// Step handles the payload of AUTH_REQUEST and then of each AUTH_REQUEST_MORE. See MonServer.Step.
func (s *ServiceServer) Step(
	now time.Time, method uint32, payload []byte, secretBytes int,
) (Outcome, error) {
	return Outcome{}, ceph.EACCES
}
