package natsd

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// alonePatience is how long a box that has routes may be joined with no other
// before it says so. Boxes that start together join within two seconds.
const alonePatience = 10 * time.Second

// advice is what to check on a box that stays alone.
const advice = "Check that another box of --cluster-routes runs. " +
	"Check its address and its port, and that no firewall is between. " +
	"Check that all boxes have the same --cluster-secret and the same version."

// A watch tells the operator of a box that has routes and is joined with no
// other box. That is no reason not to be ready: one box serves alone.
type watch struct {
	routes []string
	alone  func() bool // whether this box is joined with no other
	log    *logger

	mu      sync.Mutex // guards what follows; nothing else is locked under it
	begun   time.Time  // since when this box is alone; zero while it is not, and without routes
	warning bool       // the log was told so
}

// newWatch returns the watch of a box that is alone from now on.
func newWatch(routes []string, alone func() bool, log *logger) *watch {
	w := &watch{routes: routes, alone: alone, log: log}
	if len(routes) > 0 {
		w.begun = time.Now()
	}
	return w
}

// look asks whether this box is alone, and logs what has changed. It is called
// each second.
func (w *watch) look() {
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
			"routes", strings.Join(w.routes, ","), "waited", alonePatience, "last_error", w.log.lastOnRoute())
	case warned && !warning:
		w.log.log.Info("This box is joined with its cluster now.")
	}
}

// told reports whether this box is alone for so long that the log was told.
func (w *watch) told() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.warning
}

// state describes for a person a box that has routes and is alone.
func (w *watch) state() string {
	text := "joined with none of " + strings.Join(w.routes, ", ")
	if !w.told() {
		return text
	}
	text += fmt.Sprintf(" for more than %v", alonePatience)
	if err := w.log.lastOnRoute(); err != "" {
		text += ": " + err
	}
	return text
}
