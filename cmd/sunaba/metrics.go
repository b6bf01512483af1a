package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sunaba-dev/sunaba/internal/network"
)

// metrics are the server's figures for Prometheus. Labels have few values: none is a name or an address.
type metrics struct {
	registry    *prometheus.Registry
	connections *prometheus.CounterVec
	bytes       *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sunaba_egress_connections_total",
			Help: "Connections of sandboxes to the outside that have ended, and attempts that were denied or failed."}, []string{"verdict"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sunaba_egress_bytes_total", Help: "Bytes over connections of sandboxes to the outside that have ended."}, []string{"direction"}),
	}
	for _, v := range []network.Verdict{network.Allowed, network.Refused, network.Failed} {
		m.connections.WithLabelValues(string(v))
	}
	m.registry.MustRegister(m.connections, m.bytes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// connection counts one. It is called by the network when a connection is over.
func (m *metrics) connection(c network.Connection) {
	m.connections.WithLabelValues(string(c.Verdict)).Inc()
	m.bytes.WithLabelValues("sent").Add(float64(c.Sent))
	m.bytes.WithLabelValues("received").Add(float64(c.Received))
}

// serve answers GET /metrics at an address of its own, if one is given: Prometheus does not sign requests, and every path of the main address may be a bucket's.
func (m *metrics) serve(ctx context.Context, u *up, address string) error {
	if address == "" {
		return nil
	}
	l, err := listenOn(ctx, address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	u.log.Info("metrics", "address", "http://"+l.Addr().(*net.TCPAddr).String()+"/metrics")
	u.later(func(context.Context) error {
		err := s.Close()
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	})
	return nil
}
