package main

import (
	"bytes"
	"os"
	"testing"
)

// NOTICE is that of the modules that are linked now.
func TestNoticeIsCurrent(t *testing.T) {
	want, err := notice("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("NOTICE is not that of the modules that are linked: run make notice")
	}
}

// NOTICE has a text for what each program is known to contain.
func TestNoticeHasWhatIsLinked(t *testing.T) {
	text, err := os.ReadFile("../../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"\ngithub.com/nats-io/nats-server/v2 v", "\ngithub.com/gin-gonic/gin v", "\ngithub.com/zishang520/socket.io/v2 v",
		"\nThe Go standard library and runtime\n", "\nsocket.io-client ", "Apache License", "The MIT License", "Redistribution and use in source and binary forms",
	} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("NOTICE does not contain %q", part)
		}
	}
}
