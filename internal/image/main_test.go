package image

import (
	"net/http"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		println("these tests unpack files of many owners and enter namespaces: run them as root")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if t, ok := remote.DefaultTransport.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
		os.Exit(code)
	}))
}
