// Package harness runs the built binary for tests and benchmarks: it starts a server on a free port and a data folder of its own, and stops it.
package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Region is what clients are configured with.
const Region = "us-west-2"

// Server is one run of the binary.
type Server struct {
	Endpoint    string
	Data        string // its data folder, which stays when it stops
	AccessKeyID string
	SecretKey   string
	cmd         *exec.Cmd
	stderr      log
}

// log collects standard error while the server writes it.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Log is what the server has logged.
func (s *Server) Log() string {
	s.stderr.mu.Lock()
	defer s.stderr.mu.Unlock()
	return s.stderr.b.String()
}

// Start runs `binary up` and returns when it is ready. An empty data folder name makes a new one.
func Start(ctx context.Context, binary, data string, args ...string) (_ *Server, err error) {
	if data == "" {
		if data, err = os.MkdirTemp("", "sunaba-test-"); err != nil {
			return nil, err
		}
	}
	s := &Server{Data: data}
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, append([]string{"up", "--listen", "127.0.0.1:0", "--data-dir", data}, args...)...)
	s.cmd.Stderr = &s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		defer close(ready)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
				ready <- rest
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	select {
	case s.Endpoint = <-ready:
	case <-ctx.Done():
	}
	if s.Endpoint == "" {
		_ = s.cmd.Process.Kill()
		return nil, fmt.Errorf("no ready line: %w\n%s", s.cmd.Wait(), s.Log())
	}
	if err := s.readKey(ctx, binary); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// readKey asks `sunaba env`, as a user does.
func (s *Server) readKey(ctx context.Context, binary string) error {
	env, err := exec.CommandContext(ctx, binary, "env", "--data-dir", s.Data).Output()
	if err != nil {
		return fmt.Errorf("sunaba env: %w", err)
	}
	for line := range strings.Lines(string(env)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		switch name {
		case "AWS_ACCESS_KEY_ID":
			s.AccessKeyID = value
		case "AWS_SECRET_ACCESS_KEY":
			s.SecretKey = value
		}
	}
	if s.AccessKeyID == "" || s.SecretKey == "" {
		return errors.New("sunaba env printed no key")
	}
	return nil
}

// Stop ends the server with SIGTERM; stopping twice is fine.
func (s *Server) Stop() error {
	if s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	killer := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	defer killer.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, s.Log())
	}
	return nil
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Credentials are the root key's.
func (s *Server) Credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretKey, "")
}

// DataPlane returns a client of the data plane.
func (s *Server) DataPlane() *bedrockagentcore.Client {
	return bedrockagentcore.New(bedrockagentcore.Options{BaseEndpoint: &s.Endpoint, Region: Region, Credentials: s.Credentials()})
}

// ControlPlane returns a client of the control plane.
func (s *Server) ControlPlane() *bedrockagentcorecontrol.Client {
	return bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{BaseEndpoint: &s.Endpoint, Region: Region, Credentials: s.Credentials()})
}

// IAM returns a client of IAM.
func (s *Server) IAM() *iam.Client {
	return iam.New(iam.Options{BaseEndpoint: &s.Endpoint, Region: Region, Credentials: s.Credentials()})
}

// STS returns a client of STS.
func (s *Server) STS() *sts.Client {
	return sts.New(sts.Options{BaseEndpoint: &s.Endpoint, Region: Region, Credentials: s.Credentials()})
}

// S3 returns a client of S3 in path style, with whatever options change of that.
func (s *Server) S3(options ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: &s.Endpoint, Region: Region, Credentials: s.Credentials(), UsePathStyle: true}, options...)
}

// Environment is what a foreign client runs with: `sunaba env`, and nothing of the caller's own AWS settings.
func (s *Server) Environment() []string {
	env := []string{"AWS_ENDPOINT_URL=" + s.Endpoint, "AWS_ACCESS_KEY_ID=" + s.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_REGION=" + Region, "AWS_DEFAULT_REGION=" + Region,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "PYTHONDONTWRITEBYTECODE=1"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return env
}

// PeakMemory is the largest resident set that the server has had, in bytes.
func (s *Server) PeakMemory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/PID/status")
}
