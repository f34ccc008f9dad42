package daemon

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// PathConfig says below which paths the public listeners serve.
type PathConfig struct {
	PathPrefix string `placeholder:"/PATH" help:"Path below which everything is served, besides where it is without it, such as /push: for a proxy that passes on /push/emit and /push/socket.io/ and cannot cut /push off."`
}

// Validate returns an error if the prefix is not a path that may be put in front
// of the others.
func (c PathConfig) Validate() error {
	if c.PathPrefix == "" {
		return nil
	}
	wrong := func(why string) error {
		return fmt.Errorf("--path-prefix is %q: %s; write a path such as /push or /apps/push, of at most %d letters, digits, '-', '_', '.', '~' and slashes",
			c.PathPrefix, why, maxPrefix)
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(c.PathPrefix, "/"), "/"); {
	case len(c.PathPrefix) > maxPrefix:
		return wrong("it is too long")
	case !prefixForm.MatchString(c.PathPrefix):
		return wrong("it must begin with a slash, not end with one, and have no empty part and no other characters than these")
	case slices.Contains(strings.Split(c.PathPrefix, "/"), "."), slices.Contains(strings.Split(c.PathPrefix, "/"), ".."):
		return wrong("no part may be '.' or '..'")
	case slices.Contains(ownPaths, first):
		return wrong("/" + first + " is a path of this server")
	}
	return nil
}

// maxPrefix is the length of the longest prefix, in bytes.
const maxPrefix = 200

var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// ownPaths are the first parts of the paths that are served without a prefix.
// One of these as a prefix would hide what is there.
var ownPaths = []string{"socket.io", "emit", "stat", "healthz", "readyz", "favicon.ico", "v1"}
