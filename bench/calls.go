package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor/guestbin"
	"github.com/sunaba-dev/sunaba/test/harness"
)

// calls measures tool calls on a live session, through HTTP and SigV4, beside the same through the guest's connection alone.
func (b *bench) calls(ctx context.Context) (err error) {
	s, err := b.session(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	box, done, err := b.sandbox(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if stats, err := box.Stats(ctx); err == nil {
		m := series{float64(stats.Memory) / (1 << 20)}
		b.report.Results = append(b.report.Results, m.result("memory charged to an idle sandbox, no interpreter", "MiB"))
	}
	guest := box.Guest()
	code, command, guestCode, guestCommand := series{}, series{}, series{}, series{}
	measured := []measurement{
		{&code, func() error { return s.invoke(ctx, types.ToolNameExecuteCode, printOne) }},
		{&guestCode, func() error {
			_, err := guest.RunCode(ctx, client.Run{Language: "python", Text: "print(1)"})
			return err
		}},
		{&command, func() error {
			return s.invoke(ctx, types.ToolNameExecuteCommand, types.ToolArguments{Command: aws.String("true")})
		}},
		{&guestCommand, func() error { _, err := guest.RunCommand(ctx, client.Run{Text: "true"}); return err }},
	}
	// A ratio's two sides are measured in turns, so that the machine's moods hit both alike. What is to stay under a time is measured alone: gVisor's threads go on looking for work for a while after
	// each call, and those of a second sandbox would take processor time from the first one.
	for _, group := range [][]measurement{measured[:1], measured[1:2], measured[2:]} {
		for i := range 10*b.n + 1 {
			for _, m := range group {
				began := time.Now()
				if err := m.call(); err != nil {
					return err
				}
				if i > 0 { // the first one pays for what is started lazily
					m.into.add(time.Since(began))
				}
			}
		}
	}
	if stats, err := box.Stats(ctx); err == nil {
		m := series{float64(stats.Memory) / (1 << 20)}
		b.report.Results = append(b.report.Results, m.result("memory charged to a sandbox with Python", "MiB"))
	}
	b.ratio("executeCode print(1), milliseconds", b.record("executeCode print(1)", code), 3)
	b.record("print(1) through the guest alone", guestCode)
	b.ratio("executeCommand true / guest alone", b.record("executeCommand true", command)/b.record("true through the guest alone", guestCommand), 1.3)
	return nil
}

// measurement is one call and where its times go.
type measurement struct {
	into *series
	call func() error
}

// session is one session on a server of its own.
type session struct {
	server *harness.Server
	client *bedrockagentcore.Client
	id     string
}

func (b *bench) session(ctx context.Context) (*session, error) {
	server, err := harness.Start(ctx, b.binary, "", "--log-level", "error")
	if err != nil {
		return nil, err
	}
	s := &session{server: server, client: server.DataPlane()}
	r, err := s.client.StartCodeInterpreterSession(ctx, &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: aws.String(managed)})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.id = *r.SessionId
	return s, nil
}

func (s *session) stop() error { return errors.Join(s.server.Stop(), os.RemoveAll(s.server.Data)) }

func (s *session) invoke(ctx context.Context, tool types.ToolName, args types.ToolArguments) error {
	return invoke(ctx, s.client, s.id, tool, args)
}

// sandbox makes a sandbox without a server.
func (b *bench) sandbox(ctx context.Context) (_ sandbox.Sandbox, done func() error, err error) {
	guest, err := guestbin.Binary()
	if err != nil {
		return nil, nil, err
	}
	data, err := os.MkdirTemp("", "sunaba-bench-")
	if err != nil {
		return nil, nil, err
	}
	id := strings.ToLower(ulid.Make().String())
	d, err := gvisor.New(gvisor.Options{RunDir: filepath.Join("/run/sunaba", "bench-"+id[len(id)-8:]), DataDir: data, Guest: guest, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(data))
	}
	done = func() error { return errors.Join(d.Close(context.WithoutCancel(ctx)), os.RemoveAll(data)) }
	box, err := d.Create(ctx, sandbox.Config{ID: id, Image: sandbox.Image{Root: b.image.Root, Env: b.image.Env}, Limits: sandbox.Limits{CPUs: 2, Memory: 8 << 30, Disk: 10 << 30, PIDs: 4096},
		Guest: proto.Configure{User: proto.User{Name: "genesis1ptools", UID: 992, GID: 992}, Dir: codeinterpreter.WorkDir, Env: b.image.Env, Hostname: "localhost"}})
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return box, done, nil
}

// files measures what 100 MB of writeFiles cost in server memory and time.
func (b *bench) files(ctx context.Context) (err error) {
	s, err := b.session(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.invoke(ctx, types.ToolNameExecuteCode, printOne); err != nil {
		return err
	}
	before, err := s.server.PeakMemory()
	if err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("0123456789abcdef"), 100_000_000/16)
	began := time.Now()
	if err := s.invoke(ctx, types.ToolNameWriteFiles, types.ToolArguments{Content: []types.InputContentBlock{{Path: aws.String("big"), Blob: payload}}}); err != nil {
		return err
	}
	var took series
	took.add(time.Since(began))
	after, err := s.server.PeakMemory()
	if err != nil {
		return err
	}
	b.record("writeFiles of 100 MB", took)
	b.ratio("server memory for 100 MB of writeFiles / 100 MB", float64(after-before)/float64(len(payload)), 3)
	return nil
}

// unmount removes the mount that runsc leaves in its state folder.
func unmount(state string) error {
	path := filepath.Join(state, "null-netns")
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
