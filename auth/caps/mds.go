package caps

// parseMDS checks "mds" caps; there is no metadata server yet that would match them.
func parseMDS(text string) error {
	if text == "allow" {
		return nil
	}
	s := &scanner{s: text}
	ok := s.separated(s.monSeparator, func() bool { return mdsGrant(s) })
	if ok {
		s.maySpaces()
	}
	if !ok || !s.end() {
		return s.failed("mds", false)
	}
	return nil
}

func mdsGrant(s *scanner) bool {
	var n network
	return s.lit("allow") && s.spaces() && mdsSpec(s) && mdsMatch(s) && s.network(&n)
}

// mdsSpec is "*", or r with w and then f, p and s.
func mdsSpec(s *scanner) bool {
	for _, word := range []string{
		"*", "all", "rwfps", "rwps", "rwfp", "rwfs", "rwp", "rws", "rwf", "rw", "r",
	} {
		if s.lit(word) {
			return true
		}
	}
	return false
}

// mdsMatch is the first of the combinations of fsname, path, uid and root_squash that fits, or
// nothing.
func mdsMatch(s *scanner) bool {
	path := func() bool {
		var p string
		return s.try(func() bool {
			return s.spaces() && s.lit("path") && s.lit("=") && (s.quoted(&p, true) || s.str(&p))
		})
	}
	fsName := func() bool {
		return s.try(func() bool {
			if !s.spaces() || !s.lit("fsname") || !s.lit("=") {
				return false
			}
			_, ok := s.many(func(c byte) bool { return c != '/' && isWord(c) })
			return ok
		}) || true
	}
	squash := func() bool {
		return s.try(func() bool { return s.spaces() && s.lit("root_squash") })
	}
	uid := func() bool { return mdsUID(s) }
	for _, form := range []func() bool{
		func() bool { return fsName() && path() && squash() },
		uid,
		func() bool { return path() && uid() },
		func() bool { return fsName() && path() },
		func() bool { return fsName() && squash() },
		func() bool { return path() && squash() },
		path,
		squash,
		fsName,
	} {
		if s.try(form) {
			break
		}
	}
	return true
}

// mdsUID is "uid=N" with an optional "gids=N,N".
func mdsUID(s *scanner) bool {
	digits := func() bool {
		_, ok := s.many(func(c byte) bool { return c >= '0' && c <= '9' })
		return ok
	}
	return s.try(func() bool { return s.spaces() && s.lit("uid") && s.lit("=") && digits() }) &&
		s.optional(func() bool {
			return s.spaces() && s.lit("gids") && s.lit("=") &&
				s.separated(func() bool { return s.lit(",") }, digits)
		})
}
