package crush

import (
	"fmt"

	"glue/ceph"
)

// An Error is an answer to an operator: the errno of the reply and the text beside it. errors.Is
// and errors.As find the errno.
type Error struct {
	Errno ceph.Errno
	Text  string
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the errno.
func (e *Error) Unwrap() error { return e.Errno }

func fail(errno ceph.Errno, format string, args ...any) error {
	return &Error{Errno: errno, Text: fmt.Sprintf(format, args...)}
}
