//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
)

const managed = "aws.codeinterpreter.v1"

// session is a session through aws-sdk-go-v2.
type session struct {
	t           *testing.T
	client      *bedrockagentcore.Client
	interpreter string // "" for the managed one
	id          string
}

// of is the interpreter that a session is of.
func (x *session) of() *string {
	if x.interpreter != "" {
		return &x.interpreter
	}
	return aws.String(managed)
}

func (s *server) session(t *testing.T) *session {
	t.Helper()
	c := s.DataPlane()
	r, err := c.StartCodeInterpreterSession(t.Context(), &bedrockagentcore.StartCodeInterpreterSessionInput{CodeInterpreterIdentifier: aws.String(managed)})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	x := &session{t: t, client: c, id: *r.SessionId}
	t.Cleanup(func() { x.stop() })
	return x
}

func (x *session) stop() {
	x.t.Helper()
	_, err := x.client.StopCodeInterpreterSession(context.WithoutCancel(x.t.Context()), &bedrockagentcore.StopCodeInterpreterSessionInput{CodeInterpreterIdentifier: x.of(), SessionId: &x.id})
	if err != nil && !strings.Contains(err.Error(), "connection refused") {
		x.t.Error(err)
	}
}

// invoke runs a tool; there must be exactly one result.
func (x *session) invoke(tool types.ToolName, args types.ToolArguments) (*types.CodeInterpreterResult, error) {
	x.t.Helper()
	r, err := x.client.InvokeCodeInterpreter(x.t.Context(), &bedrockagentcore.InvokeCodeInterpreterInput{CodeInterpreterIdentifier: x.of(), SessionId: &x.id, Name: tool, Arguments: &args})
	if err != nil {
		return nil, err
	}
	if r.SessionId == nil || *r.SessionId != x.id {
		x.t.Errorf("the answer's session id is %v", r.SessionId)
	}
	stream := r.GetStream()
	defer func() { _ = stream.Close() }()
	var result *types.CodeInterpreterResult
	for e := range stream.Events() {
		m, ok := e.(*types.CodeInterpreterStreamOutputMemberResult)
		if !ok || result != nil {
			x.t.Errorf("unexpected event %T", e)
			continue
		}
		result = &m.Value
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	if result == nil {
		return nil, errors.New("the stream had no result")
	}
	return result, nil
}

func (x *session) must(tool types.ToolName, args types.ToolArguments) *types.CodeInterpreterResult {
	x.t.Helper()
	r, err := x.invoke(tool, args)
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

func (x *session) python(code string) *types.CodeInterpreterResult {
	x.t.Helper()
	return x.must(types.ToolNameExecuteCode, types.ToolArguments{Language: types.ProgrammingLanguagePython, Code: &code})
}

func (x *session) command(line string) *types.CodeInterpreterResult {
	x.t.Helper()
	return x.must(types.ToolNameExecuteCommand, types.ToolArguments{Command: &line})
}

// text is the text of a result's only block.
func text(t *testing.T, r *types.CodeInterpreterResult) string {
	t.Helper()
	if len(r.Content) != 1 || r.Content[0].Text == nil || r.IsError == nil {
		t.Fatalf("result %+v", r)
	}
	return *r.Content[0].Text
}

func stdout(t *testing.T, r *types.CodeInterpreterResult) string {
	t.Helper()
	if r.StructuredContent == nil || r.StructuredContent.Stdout == nil {
		t.Fatalf("result %+v", r)
	}
	return *r.StructuredContent.Stdout
}

func TestGoSDKRunsTheMainFlow(t *testing.T) {
	x := shared.session(t)
	r := x.must(types.ToolNameWriteFiles, types.ToolArguments{Content: []types.InputContentBlock{
		{Path: aws.String("in/data.csv"), Text: aws.String("name,n\nano,1\nbo,41\n")}, {Path: aws.String("raw.bin"), Blob: []byte{0, 1, 0xff}},
	}})
	if text(t, r) != "Successfully wrote all 2 files" || *r.IsError || r.StructuredContent != nil {
		t.Errorf("writeFiles: %+v", r)
	}
	r = x.python("import pandas as pd\ndf = pd.read_csv('in/data.csv')\ndf.n.sum()")
	if got := stdout(t, r); !strings.Contains(got, "42") || *r.IsError || *r.StructuredContent.ExitCode != 0 || *r.StructuredContent.ExecutionTime <= 0 || text(t, r) != got {
		t.Errorf("executeCode: %+v %+v", r, r.StructuredContent)
	}
	x.python("import matplotlib.pyplot as plt\nplt.bar(df.name, df.n)\nplt.savefig('chart.png')")
	r = x.command("ls; echo oops >&2; exit 3")
	if c := r.StructuredContent; *c.ExitCode != 3 || *c.Stdout != "chart.png\nin\nraw.bin\n" || *c.Stderr != "oops\n" || !*r.IsError {
		t.Errorf("executeCommand: %+v %q %q", c, *c.Stdout, *c.Stderr)
	}
	r = x.must(types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"chart.png", "in/data.csv", "raw.bin"}})
	if len(r.Content) != 3 || r.Content[0].Resource == nil {
		t.Fatalf("readFiles: %+v", r)
	}
	if _, err := png.Decode(bytes.NewReader(r.Content[0].Resource.Blob)); err != nil || *r.Content[0].Resource.MimeType != "image/png" || *r.Content[0].Resource.Uri != "file:///chart.png" {
		t.Errorf("chart.png: %v %+v", err, r.Content[0].Resource)
	}
	if c := r.Content[1].Resource; c.Type != types.ResourceContentTypeText || *c.Text != "name,n\nano,1\nbo,41\n" || *c.MimeType != "text/csv" || *c.Uri != "file:///in/data.csv" {
		t.Errorf("data.csv: %+v", c)
	}
	if c := r.Content[2].Resource; c.Type != types.ResourceContentTypeBlob || !bytes.Equal(c.Blob, []byte{0, 1, 0xff}) {
		t.Errorf("raw.bin: %+v", c)
	}
	r = x.must(types.ToolNameListFiles, types.ToolArguments{DirectoryPath: aws.String("")})
	var names []string
	for _, c := range r.Content {
		names = append(names, *c.Name+" "+*c.Description+" "+*c.Uri)
	}
	if got := strings.Join(names, ","); got != "chart.png File file:///chart.png,in Directory file:///in,raw.bin File file:///raw.bin" {
		t.Errorf("listFiles: %s", got)
	}
	r = x.must(types.ToolNameRemoveFiles, types.ToolArguments{Paths: []string{"in", "raw.bin"}})
	if text(t, r) != "Successfully removed all 2 files" {
		t.Errorf("removeFiles: %+v", r)
	}
	if got := stdout(t, x.command("ls")); got != "chart.png\n" {
		t.Errorf("after removeFiles: %q", got)
	}
}

func TestStateIsKeptAndClearContextForgetsIt(t *testing.T) {
	x := shared.session(t)
	x.python("x = 41")
	if got := stdout(t, x.python("x + 1")); got != "42" {
		t.Errorf("got %q", got)
	}
	r := x.must(types.ToolNameExecuteCode, types.ToolArguments{Language: types.ProgrammingLanguagePython, Code: aws.String("x"), ClearContext: aws.Bool(true)})
	if !*r.IsError || !strings.Contains(text(t, r), "NameError") {
		t.Errorf("%+v", r)
	}
}

func TestTheImageHasItsTools(t *testing.T) {
	x := shared.session(t)
	if got := stdout(t, x.python("%pip --version")); !strings.HasPrefix(got, "pip ") {
		t.Errorf("pip: %q", got)
	}
	r := x.python("import numpy, pandas, matplotlib, scipy, requests, PIL, openpyxl, boto3, sklearn\nprint('all there')")
	if got := stdout(t, r); got != "all there" {
		t.Errorf("%q %q", got, *r.StructuredContent.Stderr)
	}
	if r := x.command("for p in python pip node npm deno aws git curl jq timeout base64 find od; do command -v $p >/dev/null || echo missing $p; done"); stdout(t, r) != "" {
		t.Errorf("%q", stdout(t, r))
	}
}

func TestSessionsSeeNothingOfEachOther(t *testing.T) {
	a, b := shared.session(t), shared.session(t)
	a.python("secret = 1; open('/tmp/secret', 'w').write('x'); open('secret.txt', 'w').write('x')")
	if got := stdout(t, b.command("ls /tmp . ; ps ax | grep -c secret || true")); strings.Contains(got, "secret.txt") {
		t.Errorf("got %q", got)
	}
	if r := b.python("secret"); !*r.IsError {
		t.Errorf("%+v", r)
	}
}

func TestAPythonErrorIsATracebackWithoutColour(t *testing.T) {
	x := shared.session(t)
	r := x.python("print('before')\n1/0")
	c := r.StructuredContent
	if !*r.IsError || *c.ExitCode != 1 || *c.Stdout != "before" || !strings.Contains(*c.Stderr, "ZeroDivisionError: division by zero") || strings.Contains(*c.Stderr, "\x1b") || !strings.Contains(text(t, r), "ZeroDivisionError") {
		t.Errorf("%+v %q %q", r, *c.Stdout, *c.Stderr)
	}
}

func TestTheUserIsUnprivilegedAndTheNetworkIsGone(t *testing.T) {
	x := shared.session(t)
	r := x.command(`id -u; id -un; pwd; touch /etc/x 2>&1; sudo -n true 2>&1 | head -1; grep -E '^Cap(Eff|Prm)' /proc/self/status; python3 - <<'E'
import socket, time
for address in (("1.1.1.1", 53), ("169.254.169.254", 80), ("2606:4700::1111", 53)):
    try:
        socket.create_connection(address, 5)
        print("connected", address)
    except OSError as e:
        print(e.strerror)
E`)
	got := stdout(t, r)
	for _, want := range []string{"992\ngenesis1ptools\n/opt/amazon/genesis1p-tools/var\n", "Permission denied", "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000", "Network is unreachable"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "connected") {
		t.Errorf("there is a network: %s", got)
	}
}

func TestTasks(t *testing.T) {
	x := shared.session(t)
	r := x.must(types.ToolNameStartCommandExecution, types.ToolArguments{Command: aws.String("echo started; until [ -e go ]; do sleep 0.05; done; echo done; exit 5")})
	id := r.StructuredContent.TaskId
	if r.StructuredContent.TaskStatus != types.TaskStatusSubmitted || id == nil {
		t.Fatalf("%+v", r.StructuredContent)
	}
	get := func() *types.CodeInterpreterResult {
		return x.must(types.ToolNameGetTask, types.ToolArguments{TaskId: id})
	}
	for stdout(t, get()) != "started\n" {
	}
	if s := get().StructuredContent; s.TaskStatus != types.TaskStatusWorking || s.ExitCode != nil {
		t.Errorf("%+v", s)
	}
	x.command("touch go")
	for get().StructuredContent.TaskStatus == types.TaskStatusWorking {
	}
	if s := get().StructuredContent; s.TaskStatus != types.TaskStatusFailed || *s.ExitCode != 5 || *s.Stdout != "started\ndone\n" {
		t.Errorf("%+v", s)
	}
	r = x.must(types.ToolNameStartCommandExecution, types.ToolArguments{Command: aws.String("sleep 1000")})
	r = x.must(types.ToolNameStopTask, types.ToolArguments{TaskId: r.StructuredContent.TaskId})
	if r.StructuredContent.TaskStatus != types.TaskStatusCanceled {
		t.Errorf("%+v", r.StructuredContent)
	}
	if got := stdout(t, x.command("pgrep -c sleep || true")); got != "0\n" {
		t.Errorf("%q sleeps are left", got)
	}
}

func TestAToolThatFailsSaysSoInTheResult(t *testing.T) {
	x := shared.session(t)
	for name, c := range map[string]struct {
		tool types.ToolName
		args types.ToolArguments
		want string
	}{
		"no code":             {types.ToolNameExecuteCode, types.ToolArguments{Language: types.ProgrammingLanguagePython}, "needs the argument code"},
		"no command":          {types.ToolNameExecuteCommand, types.ToolArguments{}, "needs the argument command"},
		"missing file":        {types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"none.txt"}}, "does not exist"},
		"traversal, read":     {types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"../../../../etc/passwd"}}, "leaves the working folder"},
		"traversal, absolute": {types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"/etc/passwd"}}, "must be relative"},
		"traversal, write":    {types.ToolNameWriteFiles, types.ToolArguments{Content: []types.InputContentBlock{{Path: aws.String("../x"), Text: aws.String("")}}}, "leaves the working folder"},
		"traversal, list":     {types.ToolNameListFiles, types.ToolArguments{DirectoryPath: aws.String("..")}, "leaves the working folder"},
		"traversal, remove":   {types.ToolNameRemoveFiles, types.ToolArguments{Paths: []string{".."}}, "leaves the working folder"},
		"unknown task":        {types.ToolNameGetTask, types.ToolArguments{TaskId: aws.String("x")}, "no task"},
		"language":            {types.ToolNameExecuteCode, types.ToolArguments{Language: types.ProgrammingLanguageJavascript, Code: aws.String("1")}, "python only"},
	} {
		r := x.must(c.tool, c.args)
		if !*r.IsError || r.StructuredContent != nil || !strings.Contains(text(t, r), c.want) {
			t.Errorf("%s: %+v %s", name, r, text(t, r))
		}
	}
	x.command("ln -s /etc out; ln -s /etc/passwd passwd")
	r := x.must(types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"out/passwd"}})
	r2 := x.must(types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"passwd"}})
	if !*r.IsError || !*r2.IsError {
		t.Errorf("symbolic links lead out: %+v %+v", r, r2)
	}
}
