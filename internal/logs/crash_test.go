package logs_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

// crashing is the process that TestAcknowledgedEventsSurviveKill kills: it puts events for ever, and prints those that were acknowledged.
func crashing(dir string) {
	s, err := logs.Open(logs.Options{Dir: dir, Log: slog.Default()})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_ = s.CreateGroup(ctx, logs.Group{Scope: scope, Name: group})
	var mu sync.Mutex
	for w := range 3 {
		stream := fmt.Sprint("w", w)
		if err := s.CreateStream(ctx, scope, group, stream); err != nil {
			panic(err)
		}
		go func() {
			for i := 0; ; i++ {
				message := fmt.Sprintf("%s-%06d %s", stream, i, strings.Repeat("x", 3000))
				if _, err := s.Put(ctx, scope, group, stream, []logs.Entry{{Time: time.Now().UnixMilli(), Message: message}}); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(message[:9])
				mu.Unlock()
			}
		}()
	}
	select {}
}

func TestAcknowledgedEventsSurviveKill(t *testing.T) {
	s := open(t)
	must(t, s.Close())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SUNABA_LOGS_CRASH_DIR="+s.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	acknowledged := map[string]bool{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acknowledged[lines.Text()] = true
		if len(acknowledged) == 4000 { // 12 MB: several segments
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself")
	}
	s.clock.mu.Lock()
	s.clock.at = time.Now()
	s.clock.mu.Unlock()
	s.open()
	last := map[string]string{}
	for _, e := range s.all(logs.FilterQuery{}) {
		key := e.Message[:9]
		delete(acknowledged, key)
		if key <= last[e.Stream] || !strings.HasSuffix(e.Message, strings.Repeat("x", 3000)) {
			t.Fatalf("%s comes after %s, or is not whole", key, last[e.Stream])
		}
		last[e.Stream] = key
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged events are lost", len(acknowledged))
	}
	s.put("w0", s.clock.millis(), "after")
	s.wants(logs.FilterQuery{Pattern: "after"}, "after")
}

// newest is the segment that was written last.
func (s *store) newest() string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*.log"))
	must(s.t, err)
	if len(files) == 0 {
		s.t.Fatal("there is no segment")
	}
	return files[len(files)-1]
}

func TestTornTailIsCutOff(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string, size int64){
		"half a record":   func(t *testing.T, path string, size int64) { must(t, os.Truncate(path, size-3)) },
		"zeroes":          func(t *testing.T, path string, size int64) { must(t, os.Truncate(path, size-80+4096)) },
		"a flipped bit":   flip(-2),
		"a broken length": flip(-90),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.create("s")
			now := s.clock.millis()
			s.put("s", now, "first")
			s.put("s", now+1, "second "+strings.Repeat("x", 30))
			must(t, s.Close())
			path := s.newest()
			info, err := os.Stat(path)
			must(t, err)
			if name == "zeroes" {
				must(t, os.Truncate(path, info.Size()-101))
			}
			damage(t, path, info.Size())
			s.open()
			if !strings.Contains(s.log.String(), "has been cut off") {
				t.Errorf("nothing is said of it: %s", s.log)
			}
			s.wants(logs.FilterQuery{}, "first")
			s.put("s", now+2, "third")
			s.reopen()
			s.wants(logs.FilterQuery{}, "first third")
		})
	}
}

// flip changes a bit at an offset from the end.
func flip(offset int64) func(*testing.T, string, int64) {
	return func(t *testing.T, path string, size int64) {
		b, err := os.ReadFile(path)
		must(t, err)
		b[size+offset] ^= 0x40
		must(t, os.WriteFile(path, b, 0o600))
	}
}

// A catalogue that was cut off while a group was created is read up to there, and folders that nobody knows are removed.
func TestTornCatalogueIsCutOff(t *testing.T) {
	s := open(t)
	s.create("s")
	s.put("s", s.clock.millis(), "kept")
	must(t, s.CreateGroup(t.Context(), logs.Group{Scope: scope, Name: "torn"}))
	must(t, s.Close())
	path := filepath.Join(s.dir, "catalogue")
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, info.Size()-1))
	s.open()
	s.wants(logs.FilterQuery{}, "kept")
	_, err = s.Group(t.Context(), scope, "torn")
	wantCode(t, err, logs.NotFound, "")
	if folders, _ := filepath.Glob(filepath.Join(s.dir, "0*")); len(folders) != 1 {
		t.Errorf("folders %v, want one", folders)
	}
	must(t, s.CreateGroup(t.Context(), logs.Group{Scope: scope, Name: "torn"}))
}

// The catalogue does not grow with what is no more.
func TestCatalogueIsCompacted(t *testing.T) {
	s := open(t)
	s.create("s")
	s.put("s", s.clock.millis(), "kept")
	must(t, s.Tag(t.Context(), scope, group, map[string]string{"k": "v"}))
	for i := range 2000 {
		must(t, s.SetRetention(t.Context(), scope, group, []int{1, 3}[i%2]))
	}
	path := filepath.Join(s.dir, "catalogue")
	before, err := os.Stat(path)
	must(t, err)
	s.reopen()
	after, err := os.Stat(path)
	must(t, err)
	if after.Size() > before.Size()/100 {
		t.Errorf("%d bytes became %d", before.Size(), after.Size())
	}
	s.reopen()
	g, err := s.Group(t.Context(), scope, group)
	if err != nil || g.RetentionDays != 3 || g.Tags["k"] != "v" || g.StoredBytes != 30 {
		t.Errorf("group %+v, error %v", g, err)
	}
	s.wants(logs.FilterQuery{}, "kept")
	must(t, s.CreateStream(t.Context(), scope, group, "new"))
	s.put("new", s.clock.millis()+1, "more")
	s.reopen()
	s.wants(logs.FilterQuery{}, "kept more")
}
