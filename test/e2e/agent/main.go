// Command agent is what the end-to-end tests deploy to AgentCore Runtime: an agent that keeps count, streams, fails and dies when it is asked to.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	var count atomic.Int64
	http.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"status":"Healthy","time_of_last_update":%d}`, time.Now().Unix())
	})
	http.HandleFunc("POST /invocations", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Prompt string }
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &in) != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		fmt.Println("prompt:", in.Prompt)
		switch in.Prompt {
		case "stream":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
			}
		case "fail":
			http.Error(w, "the agent failed", http.StatusInternalServerError)
		case "die":
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(3)
		case "role":
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"role":%q}`, role(r.Context()))
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"count": count.Add(1), "prompt": in.Prompt, "session": r.Header.Get("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
				"mode": os.Getenv("MODE"), "uid": os.Getuid()})
		}
	})
	fmt.Println("listening")
	fmt.Fprintln(os.Stderr, http.ListenAndServe("0.0.0.0:8080", nil))
	os.Exit(1)
}

// role asks the metadata service for the name of the role.
func role(ctx context.Context) string {
	const base = "http://169.254.169.254/latest/"
	r, _ := http.NewRequestWithContext(ctx, http.MethodPut, base+"api/token", nil)
	r.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "60")
	token, err := read(r)
	if err != nil {
		return err.Error()
	}
	r, _ = http.NewRequestWithContext(ctx, http.MethodGet, base+"meta-data/iam/security-credentials/", nil)
	r.Header.Set("X-aws-ec2-metadata-token", token)
	name, err := read(r)
	if err != nil {
		return err.Error()
	}
	return name
}

func read(r *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
