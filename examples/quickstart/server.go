package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// server is a Sunaba server of this program's own, on a free port and a data folder that goes with it.
type server struct {
	cmd         *exec.Cmd
	endpoint    string
	credentials aws.CredentialsProvider
	log         string
	data        string
	stopping    sync.Once
	stopped     error
}

func startServer(ctx context.Context, binary string) (_ *server, err error) {
	data, err := os.MkdirTemp("", "sunaba-demo-")
	if err != nil {
		return nil, err
	}
	s := &server{data: data, log: filepath.Join(data, "server.log")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, "up", "--listen", "127.0.0.1:0", "--data-dir", data)
	s.cmd.Stderr = log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return nil, err
	}
	if s.endpoint, err = readyLine(ctx, bufio.NewScanner(stdout)); err != nil {
		text, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("the server did not start: %w\n%s", err, text)
	}
	s.credentials, err = readKey(filepath.Join(data, "credentials"))
	return s, err
}

// readyLine waits for the line that says where the server listens.
func readyLine(ctx context.Context, lines *bufio.Scanner) (string, error) {
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
				found <- strings.Fields(rest)[0]
				return
			}
		}
	}()
	select {
	case endpoint, ok := <-found:
		if !ok {
			return "", errors.New("it ended without a ready line")
		}
		return endpoint, nil
	case <-time.After(time.Minute):
		return "", errors.New("no ready line within a minute")
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readKey reads the root key that the server keeps in the format of the AWS tools' credentials file.
func readKey(path string) (aws.CredentialsProvider, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, "=")
		values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return credentials.NewStaticCredentialsProvider(values["aws_access_key_id"], values["aws_secret_access_key"], ""), nil
}

// stop ends the server with SIGTERM and removes its folder. Later calls return what the first one did.
func (s *server) stop() error {
	s.stopping.Do(func() {
		if s.cmd != nil {
			s.stopped = s.cmd.Process.Signal(syscall.SIGTERM)
			if errors.Is(s.stopped, os.ErrProcessDone) {
				s.stopped = nil
			}
			s.stopped = errors.Join(s.stopped, s.cmd.Wait())
		}
		s.stopped = errors.Join(s.stopped, os.RemoveAll(s.data))
	})
	return s.stopped
}
