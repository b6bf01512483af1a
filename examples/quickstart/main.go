// Command quickstart shows Sunaba's main job through an unmodified AWS SDK: it starts a server, opens a Code Interpreter session, uploads a CSV, analyses it with pandas,
// runs commands and reads a chart back; then once more with a bucket and an execution role that may use just that bucket. It says how long each step took.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
)

func main() {
	binary := flag.String("sunaba", "bin/sunaba", "the sunaba binary")
	out := flag.String("out", "demo-output", "folder for what the session gives back")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := newPrinter(os.Stdout)
	err := run(ctx, p, *binary, *out)
	stop()
	if err != nil {
		p.fail(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p *printer, binary, out string) (err error) {
	p.title("Sunaba: Amazon Bedrock AgentCore Code Interpreter on this machine")
	began := time.Now()
	server, err := startServer(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	p.step("sunaba up", "the server listens on "+server.endpoint, time.Since(began))

	client := bedrockagentcore.New(bedrockagentcore.Options{
		BaseEndpoint: aws.String(server.endpoint), Region: "us-west-2", Credentials: server.credentials,
	})
	s := &session{client: client, p: p, interpreter: managed}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.tour(ctx, out); err != nil {
		return errors.Join(err, s.stop(context.WithoutCancel(ctx)))
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	if _, err = s.invoke(ctx, types.ToolNameExecuteCommand, types.ToolArguments{Command: aws.String("true")}); err == nil {
		return errors.New("a stopped session still answers")
	}
	p.note("A call to the stopped session is answered as on AWS: " + firstLine(err))
	if err := server.article(ctx, p); err != nil {
		return err
	}
	began = time.Now()
	if err := server.stop(); err != nil {
		return err
	}
	p.step("SIGTERM", "the server is stopped, nothing is left behind", time.Since(began))
	p.done("That was an unmodified AWS SDK against this machine. Next: README.md, \"Use it\".")
	return nil
}

// tour is what happens inside the session.
func (s *session) tour(ctx context.Context, out string) error {
	csv := sampleCSV()
	err := s.show(ctx, "writeFiles", fmt.Sprintf("sales.csv, %d bytes", len(csv)), types.ToolNameWriteFiles,
		types.ToolArguments{Content: []types.InputContentBlock{{Path: aws.String("sales.csv"), Text: aws.String(csv)}}})
	if err != nil {
		return err
	}
	err = s.show(ctx, "executeCode", "pandas reads it, state stays for the next call", types.ToolNameExecuteCode, python(`import pandas as pd
sales = pd.read_csv("sales.csv", parse_dates=["month"])
sales.groupby("region").revenue.agg(["sum", "mean", "max"]).round(1)`))
	if err != nil {
		return err
	}
	err = s.show(ctx, "executeCode", "matplotlib draws a chart from the same variable", types.ToolNameExecuteCode, python(`import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(8, 4))
for region, rows in sales.groupby("region"):
    ax.plot(rows.month, rows.revenue, marker="o", label=region)
ax.set_title("Revenue by region"); ax.legend(); fig.tight_layout()
fig.savefig("chart.png")
print("saved chart.png")`))
	if err != nil {
		return err
	}
	err = s.show(ctx, "executeCommand", "whoami; uname -a; ls -l", types.ToolNameExecuteCommand, types.ToolArguments{Command: aws.String("whoami; uname -a; ls -l")})
	if err != nil {
		return err
	}
	denied, err := s.invoke(ctx, types.ToolNameExecuteCommand, types.ToolArguments{Command: aws.String("curl -sS --max-time 5 http://169.254.169.254/ || python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 53), 5)' 2>&1 | tail -n 1")})
	if err != nil {
		return err
	}
	s.p.step("executeCommand", "the sandbox has no network", denied.took)
	s.p.output(denied.text)
	return s.readChart(ctx, out)
}

func (s *session) readChart(ctx context.Context, out string) error {
	r, err := s.invoke(ctx, types.ToolNameReadFiles, types.ToolArguments{Paths: []string{"chart.png"}})
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(r.blob))
	if err != nil {
		return fmt.Errorf("chart.png came back broken: %w", err)
	}
	path := filepath.Join(out, "chart.png")
	if err := errors.Join(os.MkdirAll(out, 0o755), os.WriteFile(path, r.blob, 0o644)); err != nil {
		return err
	}
	size := picture.Bounds().Size()
	s.p.step("readFiles", fmt.Sprintf("chart.png, %d x %d pixels, %d bytes, kept as %s", size.X, size.Y, len(r.blob), path), r.took)
	s.p.picture(picture)
	return nil
}

func python(code string) types.ToolArguments {
	return types.ToolArguments{Language: types.ProgrammingLanguagePython, Code: aws.String(code)}
}

// sampleCSV is a year of made-up sales.
func sampleCSV() string {
	var b strings.Builder
	b.WriteString("month,region,revenue\n")
	for i, region := range []string{"north", "south", "west"} {
		for m := range 12 {
			fmt.Fprintf(&b, "2026-%02d-01,%s,%d\n", m+1, region, 100+40*i+(m*(17+7*i))%60+3*m)
		}
	}
	return b.String()
}

func firstLine(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "ResourceNotFoundException"); i >= 0 {
		text = text[i:]
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}
