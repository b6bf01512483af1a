package inside_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// rates is a program that makes connections one after the other and prints how many there were in a second, and the median of a TLS handshake in microseconds.
const rates = `
import socket, ssl
def connect():
    s = socket.create_connection(('11.22.33.2', 81)); s.recv(1); s.close()
c = ssl._create_unverified_context()
def tls():
    s = c.wrap_socket(socket.create_connection(('11.22.33.2', 443)), server_hostname='outside.test'); s.close()
connect(); began = time.perf_counter()
for _ in range(1000): connect()
print(1000 / (time.perf_counter() - began), median(tls))
`

// BenchmarkOutside measures what a program in PUBLIC mode has of a network outside, beside the same program on the host.
func BenchmarkOutside(b *testing.B) {
	const size = 1 << 30
	w := newWorld(b, "b", "11.22.33.1", "11.22.33.2")
	chunk := make([]byte, 256<<10)
	w.serve("11.22.33.2:80", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, nil)
	greeter := w.listen("11.22.33.2:81")
	go func() {
		for {
			conn, err := greeter.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				_, _ = c.Write([]byte("x"))
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}(conn)
		}
	}()
	w.serve("11.22.33.2:443", says("outside"), &tls.Config{}) // with the certificate of httptest
	n := newOutside(b, http.HandlerFunc(endpoint), map[string]string{"outside.test": "11.22.33.2"})
	inside := create(b, open(b), n.Open(publicPolicy(b, "bench", "*")))
	run := map[string]func(line string) string{
		"inside": func(line string) string { out, _ := inside.sh(line); return out },
		"host": func(line string) string {
			out, err := exec.Command("sh", "-c", line).Output()
			if err != nil {
				b.Fatal(err)
			}
			return string(out)
		},
	}
	for _, where := range []string{"host", "inside"} {
		b.Run("download/"+where, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if out := run[where]("curl -sS -o /dev/null -w '%{size_download}' http://11.22.33.2/"); out != fmt.Sprint(size) {
					b.Fatal(out)
				}
			}
		})
		b.Run("upload/"+where, func(b *testing.B) {
			const much = 256 << 20
			b.SetBytes(much)
			for b.Loop() {
				if out := run[where](fmt.Sprintf("head -c %d /dev/zero | curl -sS -T - http://11.22.33.2/", much)); out != fmt.Sprint(much) {
					b.Fatal(out)
				}
			}
		})
		b.Run("connect/"+where, func(b *testing.B) {
			for b.Loop() {
				var rate, handshake float64
				if out := run[where]("python3 -c \"" + measure + rates + "\""); func() bool { _, err := fmt.Sscan(out, &rate, &handshake); return err != nil }() {
					b.Fatal(out)
				}
				b.ReportMetric(rate, "connections/s")
				b.ReportMetric(handshake, "µs-tls")
			}
		})
	}
}

// BenchmarkStartPublic starts sandboxes in SANDBOX and in PUBLIC mode.
func BenchmarkStartPublic(b *testing.B) {
	n := newNetwork(b, http.HandlerFunc(endpoint))
	d := open(b)
	for _, mode := range []string{"sandbox", "public"} {
		p := s3Policy(mode, &role{key: keyOf("B", time.Hour)})
		if mode == "public" {
			p.Outside = publicPolicy(b, mode, "*").Outside
		}
		s := n.Open(p)
		b.Run(mode, func(b *testing.B) {
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
