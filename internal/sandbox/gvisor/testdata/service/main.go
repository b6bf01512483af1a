// Command service is the container's program of the driver's tests. Its first argument says what it does.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "serve":
		serve()
	case "exit":
		fmt.Println("the last words")
		fmt.Fprintln(os.Stderr, "and the complaint")
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "stubborn":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		fmt.Println("ready")
		for range asked {
			fmt.Println("refused")
		}
	case "silent":
		time.Sleep(time.Hour)
	case "flood":
		line := []byte(strings.Repeat("flood ", 1000) + "\n")
		for {
			_, _ = os.Stdout.Write(line)
		}
	case "daemon": // leaves a child that has left everything behind, and ends
		child := exec.Command("/service", "silent")
		child.Env = []string{}
		child.Stdout = os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			fmt.Println(err)
		}
		fmt.Println("child", child.Process.Pid)
		if len(os.Args) > 2 {
			time.Sleep(time.Hour)
		}
	case "bomb":
		for {
			child := exec.Command("/service", "bomb")
			if err := child.Start(); err != nil {
				fmt.Println("stopped:", err)
				time.Sleep(time.Hour)
			}
		}
	case "alive": // how many processes there are
		names, _ := os.ReadDir("/proc")
		for _, n := range names {
			text, _ := os.ReadFile("/proc/" + n.Name() + "/cmdline")
			if len(text) > 0 && n.Name() != "self" && n.Name() != "thread-self" {
				fmt.Println(strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " "))
			}
		}
	case "ask": // how long a request to the program takes from beside it, in nanoseconds, the median
		var took []time.Duration
		for range 1000 {
			began := time.Now()
			res, err := http.Get("http://127.0.0.1:8080/ping")
			if err != nil {
				fmt.Println(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		fmt.Print(took[len(took)/2].Nanoseconds())
	case "whoami":
		whoami(os.Stdout)
	}
}

func whoami(w io.Writer) {
	groups, _ := os.Getgroups()
	dir, _ := os.Getwd()
	fmt.Fprintf(w, "uid=%d gid=%d groups=%v dir=%s home=%s user=%s greeting=%s\n", os.Getuid(), os.Getgid(), groups, dir, os.Getenv("HOME"), os.Getenv("USER"), os.Getenv("GREETING"))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") {
			fmt.Fprint(w, line)
		}
	}
}

func serve() {
	http.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Healthy") })
	http.HandleFunc("GET /whoami", func(w http.ResponseWriter, _ *http.Request) { whoami(w) })
	http.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	http.HandleFunc("POST /sink", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	http.HandleFunc("GET /sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		n, _ := strconv.Atoi(r.FormValue("n"))
		pause, _ := time.ParseDuration(r.FormValue("pause"))
		size, _ := strconv.Atoi(r.FormValue("size"))
		for i := range n {
			fmt.Fprintf(w, "data: %d %d %s\n\n", i, time.Now().UnixNano(), strings.Repeat("x", size))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				fmt.Println("a client has gone")
				return
			case <-time.After(pause):
			}
		}
	})
	http.HandleFunc("GET /hang", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("hanging")
		<-r.Context().Done()
		fmt.Println("the hanging client has gone")
	})
	http.HandleFunc("GET /die", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		os.Exit(7)
	})
	http.HandleFunc("GET /bytes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.FormValue("n"), 10, 64)
		_, _ = io.CopyN(w, zeros{}, n)
	})
	l, err := net.Listen("tcp", "0.0.0.0:8080")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening")
	fmt.Println(http.Serve(l, nil))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
