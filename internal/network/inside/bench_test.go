package inside_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/network"
)

// BenchmarkStart starts sandboxes with what a session sees and without.
func BenchmarkStart(b *testing.B) {
	n := newNetwork(b, http.HandlerFunc(endpoint))
	d := open(b)
	for name, s := range map[string]*network.Session{"none": nil, "network": n.Open(s3Policy("bench", &role{key: keyOf("B", time.Hour)}))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				box, err := d.Create(within(b), config(b, s))
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := box.Destroy(within(b)); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// measure is a program that prints the median of what it does, in microseconds.
const measure = `
import time, statistics
def median(f, n=200):
    f(); took = []
    for _ in range(n):
        began = time.perf_counter(); f(); took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6
`

// BenchmarkInside reports the latencies that a program in a sandbox sees, and the throughput of a download.
func BenchmarkInside(b *testing.B) {
	const size = 1 << 30
	n := newNetwork(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		chunk := make([]byte, 256<<10)
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	inside := create(b, open(b), n.Open(s3Policy("bench", &role{key: keyOf("B", time.Hour)})))
	for name, program := range map[string]string{
		"dns": "import socket\nprint(median(lambda: socket.getaddrinfo('s3.us-west-2.amazonaws.com', 443)))",
		"tcp": "import socket\nprint(median(lambda: socket.create_connection(('169.254.171.2', 80)).close()))",
		"tls": "import socket, ssl\nc = ssl.create_default_context()\ndef f():\n    s = c.wrap_socket(socket.create_connection(('169.254.171.2', 443)), server_hostname='s3.us-west-2.amazonaws.com'); s.close()\nprint(median(f))",
		"imds": "import http.client\ndef f():\n    h = http.client.HTTPConnection('169.254.169.254')\n    h.request('PUT', '/latest/api/token', headers={'X-aws-ec2-metadata-token-ttl-seconds': '60'}); t = h.getresponse().read().decode()\n" +
			"    h.request('GET', '/latest/meta-data/iam/security-credentials/execution_role', headers={'X-aws-ec2-metadata-token': t}); h.getresponse().read(); h.close()\nprint(median(f))",
		"denied": "import socket\ndef f():\n    try: socket.create_connection(('8.8.8.8', 443))\n    except OSError: pass\nprint(median(f))",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				out, _ := inside.sh("python3 -c \"" + strings.TrimSpace(measure) + "\n" + program + "\"")
				var µs float64
				if _, err := fmt.Sscan(out, &µs); err != nil {
					b.Fatal(out)
				}
				b.ReportMetric(µs, "µs-median")
			}
		})
	}
	for name, options := range map[string]string{"http": "http://", "https": "https://"} {
		b.Run("download/"+name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				inside.prints("curl -sS -o /dev/null -w '%{size_download}' "+options+"s3.us-west-2.amazonaws.com/b/k", fmt.Sprint(size))
			}
		})
	}
}
