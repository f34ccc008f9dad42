package deploy

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// A hosting platform builds what it finds, says PORT, and the operator says
// DOIT_OPEN: nothing else is needed, the original needed no more.
func TestPortAndOpenAreEnough(t *testing.T) {
	natstest.Await(t, "the default of --admin-listen to be free", func() bool {
		l, err := net.Listen("tcp", "127.0.0.1:1336")
		if err == nil {
			_ = l.Close()
		}
		return err == nil
	})
	port := siotest.FreePort(t)
	var out siotest.Output
	cmd := exec.Command(filepath.Join(binaries, "embedded"))
	cmd.Env = []string{fmt.Sprintf("PORT=%d", port), "DOIT_OPEN=1"}
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("ended with %v\n%s", err, out.String())
		}
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	natstest.Await(t, "the program", func() bool { return status(url+"/readyz") == 200 })
	page := siotest.Dial(t, url, siotest.Options{})
	page.Register("42")
	siotest.MustPost(t, url, "42", "hello", `1`)
	page.Expect("hello", 1.)
	page.Close()
}

// What the platform's image asks: whether the program lives.
func TestHealthcheckOfTheProgram(t *testing.T) {
	bus := natstest.Start(t)
	gateway := start(t, "gateway", "--nats-url", bus.ClientURL())
	ask := func(address string) error {
		cmd := exec.Command(filepath.Join(binaries, "gateway"), "--healthcheck")
		cmd.Env = []string{"DOIT_NATS_URL=" + bus.ClientURL(), "DOIT_ADMIN_LISTEN=" + address}
		return cmd.Run()
	}
	if err := ask(gateway.Admin[len("http://"):]); err != nil {
		t.Error(err)
	}
	if err := ask(siotest.FreeAddress(t)); err == nil {
		t.Error("nobody is well")
	}
}
