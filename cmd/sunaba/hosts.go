package main

import (
	"net"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/network"
	"github.com/sunaba-dev/sunaba/internal/s3"
)

// serviceOfHost names the service that a Host header is an endpoint of, as signatures name it; "" if it is no name of a service. S3 knows its own, with its buckets. A bucket's short name under
// .localhost is left out: nothing in it says S3, and other services are reached by such names too.
func serviceOfHost(header string) string {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name, local := strings.CutSuffix(host, ".localhost")
	if local && name != "s3" && !strings.HasSuffix(name, ".s3") {
		return ""
	}
	if s3.Serves(host) {
		return "s3"
	}
	h, ok := network.ParseHost(host)
	if !ok {
		return ""
	}
	return h.Service
}
