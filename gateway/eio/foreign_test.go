package eio

import (
	"net/http"
	"strings"
	"testing"
	"unsafe"
)

// The name of another node is a copy. A part of the session id would keep the head of its request in memory for as long
// as a stream to that node lives.
func TestForeignNodeIsACopy(t *testing.T) {
	srv := &Server{Node: strings.Repeat("0", NodeLength), Pass: func(http.ResponseWriter, *http.Request, string) bool { return false }}
	sid := strings.Repeat("a", NodeLength) + strings.Repeat("x", idLength)
	node := srv.foreign(sid)
	if node != sid[:NodeLength] {
		t.Fatalf("node %q", node)
	}
	if unsafe.StringData(node) == unsafe.StringData(sid) {
		t.Error("not a copy")
	}
}
