package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	datagramWorkers = 8               // datagrams on their way to the host at once; more wait in the socket's buffer, and what does not fit there is lost
	datagramTimeout = 5 * time.Second // for the host's answer, after which a resolver has given up
)

// listenDatagrams relays the datagrams that come to an address, each with its answer.
func (a *Agent) listenDatagrams(l proto.Listener) (io.Closer, error) {
	address, err := netip.ParseAddrPort(l.Address)
	if err != nil {
		return nil, bad(proto.BadRequest, "", "the address %q: %v", l.Address, err)
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, bad(proto.Failed, "", "listen on %s: %v", l.Address, err)
	}
	for range datagramWorkers {
		w := &datagramWorker{a: a, name: l.Name, conn: conn}
		go w.run()
	}
	return conn, nil
}

// datagramWorker carries one datagram after the other, over one relay connection for as long as the host keeps it.
type datagramWorker struct {
	a    *Agent
	name string
	conn *net.UDPConn
	host net.Conn // nil when there is none
}

func (w *datagramWorker) run() {
	defer w.hangUp()
	buf := make([]byte, 2+proto.MaxDatagram+1)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(buf[2:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(acceptPause) // the guest is out of memory, or an earlier answer met no one
			continue
		}
		if n > proto.MaxDatagram {
			continue
		}
		binary.BigEndian.PutUint16(buf, uint16(n))
		if answer, err := w.ask(buf[:2+n]); err == nil {
			_, _ = w.conn.WriteToUDPAddrPort(answer, from) // who does not wait any more is not told
		}
	}
}

// ask sends one framed datagram and returns the answer. A connection from before may have ended meanwhile: the host closes idle ones, and a restore breaks all.
func (w *datagramWorker) ask(framed []byte) ([]byte, error) {
	kept := w.host != nil
	answer, err := w.exchange(framed)
	if err != nil && kept {
		answer, err = w.exchange(framed)
	}
	return answer, err
}

func (w *datagramWorker) exchange(framed []byte) (_ []byte, err error) {
	defer func() {
		if err != nil {
			w.hangUp()
		}
	}()
	if w.host == nil {
		if w.host, err = w.a.dialRelay(context.Background(), w.name); err != nil {
			return nil, err
		}
	}
	if err := w.host.SetDeadline(time.Now().Add(datagramTimeout)); err != nil {
		return nil, err
	}
	if _, err := w.host.Write(framed); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(w.host, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > proto.MaxDatagram {
		return nil, fmt.Errorf("%w: a datagram of %d bytes", proto.ErrFrame, n)
	}
	answer := make([]byte, n)
	_, err = io.ReadFull(w.host, answer)
	return answer, err
}

func (w *datagramWorker) hangUp() {
	if w.host != nil {
		_ = w.host.Close()
		w.host = nil
	}
}
