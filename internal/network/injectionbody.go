package network

import (
	"io"
	"sync"
)

// detached is a request's body on its way out that can be closed while it is read: a host may have said all that it has to say before the program has, which then waits for the end of the answer with
// the rest of its body. A body of net/http's server is not closed before a read of it has ended, and its transport waits for that.
type detached struct {
	*io.PipeReader
	start func() // with the first read, so that nobody is told to go on before the host says so
}

func newDetached(body io.Reader, f *front) *detached {
	r, w := io.Pipe()
	return &detached{r, sync.OnceFunc(func() {
		f.requests.Go(func() { // for a request that runs; it ends with the request at the latest, or HTTP/1.1's connection
			_, err := io.Copy(w, body)
			_ = w.CloseWithError(err)
		})
	})}
}

// Read implements io.Reader.
func (d *detached) Read(p []byte) (int, error) {
	d.start()
	return d.PipeReader.Read(p)
}
