// Package wire is the contract between ingest and gateway: the NATS subject of
// a user, the bytes of an event, the headers of its options and the receipt.
// docs/protocol.md describes the same for other programs; its version is
// [Version]. The package holds no state and is safe for concurrent use.
package wire

import (
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// Version is the version of the contract. It changes only when an older
// gateway or ingest would misunderstand a newer one.
const Version = 1

const (
	// MaxID is the length of the longest user id, in bytes.
	MaxID = 256
	// maxPlainID is the length of the longest id that stands in a subject as it is.
	maxPlainID = 128
	// MaxProject is the length of the longest project name, in bytes.
	MaxProject = 64
	// MaxReceivers is how many users one emit may name.
	MaxReceivers = 1000
)

// SubjectStat asks every gateway for its [Stat].
const SubjectStat = "doit.stat"

// SubjectLeft is where a gateway of a cluster says that it has given up a
// user, whose subject is the message. Between servers that news takes its time,
// and an emit that meets it on the way is passed on to where nobody hears it.
const SubjectLeft = "doit.left"

var (
	// ErrID is returned for a user id that is empty, longer than [MaxID] or not UTF-8.
	ErrID = errors.New("a user id is 1 to 256 bytes of UTF-8")
	// ErrProject is returned for a project name outside [A-Za-z0-9_-]{1,64}.
	ErrProject = errors.New("a project name is 1 to 64 characters of A-Z a-z 0-9 _ -")
)

// Subject returns the NATS subject of a user. The default project is "".
//
// An id of up to 128 characters from A-Z a-z 0-9 _ - stands as it is; any
// other is written as '=' and the base64url of its bytes. '=' is in neither
// alphabet, so no two ids share a subject, and none yields a wildcard or a
// second token: this encoding is what keeps register {"userid":"*"} from
// hearing everybody (NATS permissions do not).
func Subject(project, id string) (string, error) {
	if id == "" || len(id) > MaxID || !utf8.ValidString(id) {
		return "", ErrID
	}
	prefix := "user."
	if project != "" {
		if len(project) > MaxProject || !plain(project) {
			return "", ErrProject
		}
		prefix = "app." + project + ".user."
	}
	if len(id) <= maxPlainID && plain(id) {
		return prefix + id, nil
	}
	return prefix + "=" + base64.RawURLEncoding.EncodeToString([]byte(id)), nil
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
