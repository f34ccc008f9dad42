package natsd

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// alonePatience is how long a box with --cluster-routes may be alone before it warns. Boxes that
// start at the same time join within two seconds.
const alonePatience = 10 * time.Second

// advice is the part of the warning that says what to check.
const advice = "Check that another box of --cluster-routes runs. " +
	"Check its address and its port, and that no firewall is between. " +
	"Check that all boxes have the same --cluster-secret and the same version."

// A watch warns the operator if this box has --cluster-routes but is joined with no other box. The
// box stays ready all the same: it serves its own pages.
type watch struct {
	routes []string
	alone  func() bool // whether this box is joined with no other
	log    *logger

	mu      sync.Mutex // guards the following; no other lock is taken while it is held
	begun   time.Time  // when this box became alone; zero if it is not alone or has no routes
	warning bool       // the warning was logged, and this box is still alone
}

// newWatch returns a watch of a box that has just started, and so is alone.
func newWatch(routes []string, alone func() bool, log *logger) *watch {
	w := &watch{routes: routes, alone: alone, log: log}
	if len(routes) > 0 {
		w.begun = time.Now()
	}
	return w
}

// check asks whether this box is alone. It logs a warning after alonePatience, and the end of it.
// It is called once a second.
func (w *watch) check() {
	if len(w.routes) == 0 {
		return
	}
	alone := w.alone()
	w.mu.Lock()
	warned := w.warning
	switch {
	case !alone:
		w.begun, w.warning = time.Time{}, false
	case w.begun.IsZero():
		w.begun = time.Now()
	case time.Since(w.begun) >= alonePatience:
		w.warning = true
	}
	warning := w.warning
	w.mu.Unlock()

	switch {
	case warning && !warned:
		w.log.log.Warn("This box is joined with no other box of its cluster. It serves alone: an emit here reaches no page on another box. "+advice,
			"routes", strings.Join(w.routes, ","), "waited", alonePatience, "last_error", w.log.lastRouteError())
	case warned && !warning:
		w.log.log.Info("This box is joined with its cluster now.")
	}
}

// warned reports whether the warning was logged and this box is still alone.
func (w *watch) warned() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.warning
}

// state describes, for /readyz and the status page, a box that has routes and is alone.
func (w *watch) state() string {
	text := "joined with none of " + strings.Join(w.routes, ", ")
	if !w.warned() {
		return text
	}
	text += fmt.Sprintf(" for more than %v", alonePatience)
	if err := w.log.lastRouteError(); err != "" {
		text += ": " + err
	}
	return text
}
