package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sunaba-dev/sunaba/internal/runsc"
	"github.com/sunaba-dev/sunaba/test/harness"
)

const managed = "aws.codeinterpreter.v1"

// starts measures a session's cold start, from StartCodeInterpreterSession to the first answered executeCode, beside bare runsc that runs the same Python on the same root: in turns, so that a
// change of the machine's mood hits both.
func (b *bench) starts(ctx context.Context) (err error) {
	s, err := harness.Start(ctx, b.binary, "", "--log-level", "error")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop(), os.RemoveAll(s.Data)) }()
	var ours, start, stop, bare series
	for range b.n {
		t, err := coldStart(ctx, s.DataPlane())
		if err != nil {
			return err
		}
		ours.add(t.answered)
		start.add(t.started)
		stop.add(t.stopped)
		d, err := b.bareRunsc(ctx)
		if err != nil {
			return fmt.Errorf("bare runsc: %w", err)
		}
		bare.add(d)
	}
	b.record("StartCodeInterpreterSession", start)
	cold := b.record("cold start to the first answer of executeCode", ours)
	b.record("StopCodeInterpreterSession", stop)
	b.ratio("cold start / bare runsc", cold/b.record("bare runsc: start to the output of python3", bare), 1.3)
	return nil
}

type coldTimes struct{ started, answered, stopped time.Duration }

func coldStart(ctx context.Context, c *bedrockagentcore.Client) (t coldTimes, err error) {
	began := time.Now()
	r, err := c.StartCodeInterpreterSession(ctx, &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: aws.String(managed)})
	if err != nil {
		return t, err
	}
	t.started = time.Since(began)
	if err := invoke(ctx, c, *r.SessionId, types.ToolNameExecuteCode, printOne); err != nil {
		return t, err
	}
	t.answered = time.Since(began)
	began = time.Now()
	_, err = c.StopCodeInterpreterSession(ctx, &bedrockagentcore.StopCodeInterpreterSessionInput{CodeInterpreterIdentifier: aws.String(managed), SessionId: r.SessionId})
	t.stopped = time.Since(began)
	return t, err
}

var printOne = types.ToolArguments{Language: types.ProgrammingLanguagePython, Code: aws.String("print(1)")}

// invoke makes one call and reads its answer, which must be no error.
func invoke(ctx context.Context, c *bedrockagentcore.Client, session string, tool types.ToolName, args types.ToolArguments) (err error) {
	r, err := c.InvokeCodeInterpreter(ctx, &bedrockagentcore.InvokeCodeInterpreterInput{CodeInterpreterIdentifier: aws.String(managed), SessionId: &session, Name: tool, Arguments: &args})
	if err != nil {
		return err
	}
	stream := r.GetStream()
	defer func() { err = errors.Join(err, stream.Close()) }()
	for e := range stream.Events() {
		if m, ok := e.(*types.CodeInterpreterStreamOutputMemberResult); ok && aws.ToBool(m.Value.IsError) {
			return fmt.Errorf("%s failed: %+v", tool, m.Value.StructuredContent)
		}
	}
	return stream.Err()
}

// bareRunsc runs python3 -c "print(1)" with `runsc run` and returns the time to its output. Root, platform, overlay, network, mounts and control group are like the driver's; what is left
// out is all that is ours: the guest, its socket, the server, the store.
func (b *bench) bareRunsc(ctx context.Context) (_ time.Duration, err error) {
	dir, err := os.MkdirTemp("", "sunaba-bare-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	state, overlay := filepath.Join(dir, "state"), filepath.Join(dir, "overlay")
	env := []string{}
	for k, v := range b.image.Env {
		env = append(env, k+"="+v)
	}
	memory, quota, period := int64(8<<30), int64(200_000), uint64(100_000)
	spec := specs.Spec{Version: specs.Version, Root: &specs.Root{Path: b.image.Root},
		Process: &specs.Process{Args: []string{"python3", "-c", "print(1)"}, Env: env, Cwd: "/tmp"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"}, {Destination: "/dev/pts", Type: "devpts", Source: "devpts"}, {Destination: "/dev/shm", Type: "tmpfs", Source: "shm"},
			{Destination: "/mnt", Type: "bind", Source: dir, Options: []string{"bind", "ro"}},
		},
		Linux: &specs.Linux{CgroupsPath: "/sunaba-bare", Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &memory}, CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}},
			Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace}}}}
	text, err := json.Marshal(spec)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(os.Mkdir(state, 0o700), os.Mkdir(overlay, 0o700), os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)); err != nil {
		return 0, err
	}
	const id = "bare"
	cmd := runsc.Command(ctx, b.runsc, "--root="+state, "--platform=systrap", "--network=none", "--host-uds=open", "--host-settings=ignore", "--overlay2=root:dir="+overlay+",size=1g", "run", "--bundle="+dir, id)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	took := time.Since(began)
	if err != nil || line != "1\n" {
		err = fmt.Errorf("it printed %q: %w", line, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return took, errors.Join(err, cmd.Wait(), unmount(state))
}
