// Package wire is the contract between ingest and gateway: the NATS subject of
// a user, the encoding of events, the headers for their options, and receipts.
// docs/protocol.md describes it for other programs; [Version] is its version.
// The package has no state and is safe for concurrent use.
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
	// maxVerbatimID is the length of the longest id that a subject contains
	// unencoded, in bytes.
	maxVerbatimID = 128
	// MaxProject is the length of the longest project name, in bytes.
	MaxProject = 64
	// MaxReceivers is how many users one emit may name.
	MaxReceivers = 1000
	// MaxRepeats is how often one emit may name the same user, who then gets the
	// event as often.
	MaxRepeats = 16
)

// SubjectStat is where every gateway answers a message with its [Stat].
const SubjectStat = "doit.stat"

// SubjectLeft is where a gateway announces that it has unsubscribed from a user;
// the message is the user's subject. In a NATS cluster the unsubscription takes
// time to reach the other servers. Until then they pass the user's events to a
// server that has no subscription for them.
const SubjectLeft = "doit.left"

var (
	// ErrID is returned for a user id that is empty, longer than [MaxID] or not UTF-8.
	ErrID = errors.New("a user id is 1 to 256 bytes of UTF-8")
	// ErrProject is returned for a project name outside [A-Za-z0-9_-]{1,64}.
	ErrProject = errors.New("a project name is 1 to 64 characters of A-Z a-z 0-9 _ -")
)

// Subject returns the NATS subject of a user: user.<id>, or
// app.<project>.user.<id> if project is not "". It returns [ErrID] or
// [ErrProject] if one is invalid.
//
// An id of up to 128 characters from A-Z a-z 0-9 _ - is used unencoded. Any
// other is encoded as '=' and the base64url of its bytes. '=' is in neither
// alphabet, so no two ids share a subject, and no id yields a wildcard or a
// second token. Without the encoding, register {"userid":"*"} would subscribe to
// every user; NATS permissions do not prevent that.
func Subject(project, id string) (string, error) {
	if id == "" || len(id) > MaxID || !utf8.ValidString(id) {
		return "", ErrID
	}
	prefix := "user."
	if project != "" {
		if len(project) > MaxProject || !verbatim(project) {
			return "", ErrProject
		}
		prefix = "app." + project + ".user."
	}
	if len(id) <= maxVerbatimID && verbatim(id) {
		return prefix + id, nil
	}
	return prefix + "=" + base64.RawURLEncoding.EncodeToString([]byte(id)), nil
}

// verbatim reports whether s consists of A-Z a-z 0-9 _ - only.
func verbatim(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
