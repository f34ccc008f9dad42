package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ramainen/doit-socket/internal/typo"
)

// prefix begins the names of all variables that our programs read.
const prefix = "DOIT_"

// programVariables are the variables of all our programs: one file of variables may serve several of them.
// test/e2e compares it with what the programs say.
var programVariables = strings.Fields(`
	DOIT_ADMIN_HOSTS DOIT_ADMIN_LISTEN DOIT_ADMIN_OPEN DOIT_CLUSTER_LISTEN DOIT_CLUSTER_ROUTES DOIT_CLUSTER_SECRET
	DOIT_CONNECT_TIMEOUT DOIT_DRAIN DOIT_EMIT_LISTEN DOIT_GAP_EVENT DOIT_LIMIT_LOOPBACK DOIT_LISTEN DOIT_LOG_LEVEL
	DOIT_MAX_BODY DOIT_MAX_CONNECTIONS DOIT_MAX_CONNECTIONS_PER_ADDRESS DOIT_MAX_EMIT_BYTES DOIT_MAX_EMITS DOIT_MAX_FRAMES
	DOIT_MAX_HANDSHAKES_PER_ADDRESS DOIT_MAX_IDS DOIT_MAX_MEMORY DOIT_MAX_NEW_IDS DOIT_MAX_NEW_IDS_PER_ADDRESS
	DOIT_MAX_PAYLOAD DOIT_MAX_SOCKETS DOIT_MAX_SOCKETS_PER_ADDRESS DOIT_NATS_CA DOIT_NATS_CERT DOIT_NATS_CREDS DOIT_NATS_KEY
	DOIT_NATS_NKEY DOIT_NATS_PASSWORD DOIT_NATS_URL DOIT_NATS_USER DOIT_NODE DOIT_OPEN DOIT_ORIGINS DOIT_PING_INTERVAL
	DOIT_PING_TIMEOUT DOIT_QUEUE_BYTES DOIT_QUEUE_LENGTH DOIT_SETTLE DOIT_TRUSTED_PROXIES DOIT_WRITE_TIMEOUT`)

// otherVariables are read by none of our programs, and no mistake in their environment: PHP and its pages find the
// server by the one, and files of variables name the tag of an image by the other.
var otherVariables = []string{"DOIT_URL", "DOIT_VERSION"}

// maxTypo is how many letters a misspelled variable may differ by from a known one.
const maxTypo = 2

// checkEnvironment looks at the variables that begin with [prefix]. It returns
// the names that nobody reads, sorted, or an error if one of them is almost that
// of a variable. read are the variables of this program.
func checkEnvironment(environ, read []string) (unknown []string, err error) {
	known := slices.Concat(read, programVariables, otherVariables)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) {
			continue
		}
		if meant := nearest(name, known); meant != "" && !ofService(name, value) {
			return nil, fmt.Errorf("no program reads the variable %s, which looks like %s: rename it, or remove it", name, meant)
		}
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	return unknown, nil
}

// ofService reports whether Kubernetes has made the variable for a Service, as in
// DOIT_NATS_PORT=tcp://10.0.0.1:4222, which looks like DOIT_NATS_CERT. The others
// that it makes look like none of ours.
func ofService(name, value string) bool {
	return strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// nearest returns the known name that differs least from name, or "" if each
// differs by more than maxTypo letters.
func nearest(name string, known []string) (found string) {
	least := maxTypo + 1
	for _, one := range known {
		if edits := typo.Distance(name, one); edits < least {
			least, found = edits, one
		}
	}
	return found
}

// variables returns the names of the variables that set a program's flags.
func variables(program *kong.Application) (names []string) {
	for _, flag := range program.Flags {
		names = append(names, flag.Envs...)
	}
	return names
}
