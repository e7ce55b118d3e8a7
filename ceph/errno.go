package ceph

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// An Errno is an answer that travels in a reply: a positive Linux error number. It is an error;
// zero is never returned as one.
type Errno int32

// The error numbers that Ceph's protocols answer with (Linux values).
const (
	EPERM           = Errno(syscall.EPERM)
	ENOENT          = Errno(syscall.ENOENT)
	EIO             = Errno(syscall.EIO)
	ENXIO           = Errno(syscall.ENXIO)
	ENOEXEC         = Errno(syscall.ENOEXEC)
	EBADF           = Errno(syscall.EBADF)
	E2BIG           = Errno(syscall.E2BIG)
	EAGAIN          = Errno(syscall.EAGAIN)
	ENOMEM          = Errno(syscall.ENOMEM)
	EACCES          = Errno(syscall.EACCES)
	EOLDSNAPC       = Errno(syscall.ERESTART)
	EBUSY           = Errno(syscall.EBUSY)
	EEXIST          = Errno(syscall.EEXIST)
	EXDEV           = Errno(syscall.EXDEV)
	ENOTDIR         = Errno(syscall.ENOTDIR)
	EINVAL          = Errno(syscall.EINVAL)
	EFBIG           = Errno(syscall.EFBIG)
	ENOSPC          = Errno(syscall.ENOSPC)
	EROFS           = Errno(syscall.EROFS)
	EMLINK          = Errno(syscall.EMLINK)
	EDOM            = Errno(syscall.EDOM)
	ERANGE          = Errno(syscall.ERANGE)
	ENAMETOOLONG    = Errno(syscall.ENAMETOOLONG)
	ENOSYS          = Errno(syscall.ENOSYS)
	ENOTEMPTY       = Errno(syscall.ENOTEMPTY)
	ENODATA         = Errno(syscall.ENODATA)
	EBADMSG         = Errno(syscall.EBADMSG)
	EOVERFLOW       = Errno(syscall.EOVERFLOW)
	EMSGSIZE        = Errno(syscall.EMSGSIZE)
	EOPNOTSUPP      = Errno(syscall.EOPNOTSUPP)
	ENOTCONN        = Errno(syscall.ENOTCONN)
	ESHUTDOWN       = Errno(syscall.ESHUTDOWN) // EBLOCKLISTED
	ETIMEDOUT       = Errno(syscall.ETIMEDOUT)
	EALREADY        = Errno(syscall.EALREADY)
	ESTALE          = Errno(syscall.ESTALE)
	EDQUOT          = Errno(syscall.EDQUOT)
	ECANCELED       = Errno(syscall.ECANCELED)
	EBLOCKLISTED    = ESHUTDOWN
	EILSEQ          = Errno(syscall.EILSEQ)
	EKEYREJECTED    = Errno(syscall.EKEYREJECTED)
	ENOTRECOVERABLE = Errno(syscall.ENOTRECOVERABLE)
)

// Error is the C library's text and the number, as the stock tools print it.
func (e Errno) Error() string {
	text := syscall.Errno(e).Error() // the C library's, but for the capital
	return fmt.Sprintf("(%d) %s%s", int32(e), strings.ToUpper(text[:1]), text[1:])
}

// Result is the errno as a reply carries it: negative.
func (e Errno) Result() int32 { return -int32(e) }

// ResultOf is the number that a reply carries for an error: 0 for nil, the negative errno that
// err wraps, -EIO for anything else.
func ResultOf(err error) int32 {
	if err == nil {
		return 0
	}
	var e Errno
	if errors.As(err, &e) {
		return e.Result()
	}
	return EIO.Result()
}

// ErrorOf is the error that a reply's number means, nil for 0 and above.
func ErrorOf(result int32) error {
	if result >= 0 {
		return nil
	}
	return Errno(-result)
}
