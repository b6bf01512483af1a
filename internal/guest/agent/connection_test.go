package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func TestGuestDialsAgainWithItsState(t *testing.T) {
	g := start(t)
	g.python(t, "x = 5")
	first, err := g.Ready(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ended := make(chan error, 1)
		old := g.Client
		go func() {
			_, err := old.RunCode(within(t), client.Run{Language: "python", Text: "open('began', 'w').close()\nimport time; time.sleep(1000)"})
			ended <- err
		}()
		began := filepath.Join(g.dir, "began")
		await(t, "it has begun", func() bool { return exists(began) })
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, client.ErrClosed) {
			t.Errorf("the call under way: %v", err)
		}
		if err := old.Ping(within(t)); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a call after Close: %v", err)
		}
		if err := os.Remove(began); err != nil {
			t.Fatal(err)
		}
		g.serve(t)
		hello, err := g.Ready(within(t))
		if err != nil || hello != first {
			t.Errorf("%+v, %v; want %+v", hello, err, first)
		}
		check(t, "the state", g.python(t, "x").stdout, "5\n")
	}
}

func TestCallFailsWhenTheGuestDies(t *testing.T) {
	g := start(t)
	ended := make(chan error, 1)
	go func() {
		_, err := g.RunCommand(within(t), client.Run{Text: "touch began; exec sleep 1000"})
		ended <- err
	}()
	await(t, "it has begun", func() bool { return exists(filepath.Join(g.dir, "began")) })
	for _, pid := range childrenOf(g.cmd.Process.Pid) {
		defer (&process{pid: pid}).killTree()
	}
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, client.ErrDisconnected) {
		t.Errorf("the call under way: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a call to a guest that is gone waits for its context: %v", err)
	}
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestRelay(t *testing.T) {
	g := start(t, func(o *client.Options) {
		o.Relay = func(_ context.Context, listener string, conn net.Conn) {
			defer func() { _ = conn.Close() }()
			if _, err := fmt.Fprintf(conn, "%s:", listener); err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			_, _ = io.WriteString(conn, ":end") // after the other side has ended its half
		}
	})
	address := freeAddress(t)
	for range 2 { // once more is no error
		if err := g.Listen(within(t), proto.Listener{Name: "echo", Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Listen(within(t), proto.Listener{Name: "other", Address: address}); err == nil {
		t.Error("two listeners at one address")
	}
	const connections, atOnce = 1000, 50
	payload := bytes.Repeat([]byte("payload "), 4000)
	slots, errs := make(chan struct{}, atOnce), make(chan error, connections)
	var wg sync.WaitGroup
	for range connections {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs <- echo(address, payload)
		})
	}
	wg.Wait()
	for range connections {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// echo makes one connection that ends its sending half before it reads.
func echo(address string, payload []byte) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(payload)
		wrote <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if want := "echo:" + string(payload) + ":end"; err == nil && string(got) != want {
		err = fmt.Errorf("%d bytes came back, want %d", len(got), len(want))
	}
	return errors.Join(err, <-wrote)
}

func TestRelaysAreBounded(t *testing.T) {
	const most = 3
	release := make(chan struct{})
	var mu sync.Mutex
	var now, peak int
	g := start(t, func(o *client.Options) {
		o.MaxRelays = most
		o.Relay = func(ctx context.Context, _ string, conn net.Conn) {
			mu.Lock()
			now++
			peak = max(peak, now)
			mu.Unlock()
			_, _ = io.WriteString(conn, "in")
			select {
			case <-release:
			case <-ctx.Done():
			}
			mu.Lock()
			now--
			mu.Unlock()
			_ = conn.Close()
		}
	})
	address := freeAddress(t)
	if err := g.Listen(within(t), proto.Listener{Name: "x", Address: address}); err != nil {
		t.Fatal(err)
	}
	served := 0
	for range 20 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if n, _ := io.ReadFull(conn, make([]byte, 2)); n == 2 {
			served++
		}
	}
	close(release)
	if served != most || peak != most {
		t.Errorf("%d of 20 were served, %d at once; want %d", served, peak, most)
	}
}
