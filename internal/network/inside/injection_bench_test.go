package inside_test

import (
	"fmt"
	"net/http"
	"testing"
)

// requests is a program that prints the medians of a request on a kept connection and of one on a new connection, in microseconds.
const requests = `
import http.client, ssl, sys
host, context = sys.argv[1], ssl._create_unverified_context()
kept = http.client.HTTPSConnection(host, context=context)
def again(c=kept):
    c.request('GET', '/'); c.getresponse().read()
def new():
    c = http.client.HTTPSConnection(host, context=context); again(c); c.close()
print(median(again), median(new))
`

// BenchmarkSecrets measures what it costs that requests get a secret on their way, beside requests to the same host that get none.
func BenchmarkSecrets(b *testing.B) {
	const size = 1 << 30
	w := newWorld(b, "i", "11.22.33.1", "11.22.33.2", "11.22.33.3")
	c, roots := authority(b, "h2.outside.test", "h1.outside.test", "plain.outside.test")
	chunk := make([]byte, 256<<10)
	host := func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/large" {
			return
		}
		out.Header().Set("Content-Length", fmt.Sprint(size))
		for range size / len(chunk) {
			if _, err := out.Write(chunk); err != nil {
				return
			}
		}
	}
	w.serve("11.22.33.2:443", host, c)
	only := c.Clone()
	only.NextProtos = []string{"http/1.1"}
	w.serve("11.22.33.3:443", host, only)
	s := openInjecting(b, roots, "h2.outside.test=prod/token h1.outside.test=prod/token", "secret",
		map[string]string{"h2.outside.test": "11.22.33.2", "h1.outside.test": "11.22.33.3", "plain.outside.test": "11.22.33.3"})
	inside := create(b, open(b), s)
	for _, name := range []string{"plain", "h1", "h2"} {
		b.Run("requests/"+name, func(b *testing.B) {
			for b.Loop() {
				var again, fresh float64
				out, _ := inside.sh("python3 -c \"" + measure + requests + "\" " + name + ".outside.test")
				if _, err := fmt.Sscan(out, &again, &fresh); err != nil {
					b.Fatal(out)
				}
				b.ReportMetric(again, "µs-kept")
				b.ReportMetric(fresh, "µs-new")
			}
		})
		b.Run("download/"+name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if out, _ := inside.sh("curl -skS -o /dev/null -w '%{size_download}' https://" + name + ".outside.test/large"); out != fmt.Sprint(size) {
					b.Fatal(out)
				}
			}
		})
	}
}
