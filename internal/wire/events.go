package wire

import (
	"bytes"
	"errors"
	"iter"
	"net/http"
	"reflect"
	"strconv"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Events is an event stream output: each event is sent as it comes, an error becomes the stream's last frame.
type Events iter.Seq2[Event, error]

// Event is one event: its member name in the stream's union, and its payload, a struct with aws tags or bytes encoded already by [Encode].
type Event struct {
	Type    string
	Payload any
	Last    bool // nothing follows, and that is known now
}

// MaxEvent is the largest event message that botocore accepts, headers and all.
const MaxEvent = 24 << 20

// Encode returns the JSON document of a struct with aws tags.
func Encode(v any) []byte { return encode(v) }

func encode(v any) []byte {
	rv := reflect.Indirect(reflect.ValueOf(v))
	return appendJSON(nil, shapeOf(rv.Type()), rv, false)
}

// One returns a stream of one event.
func One(e Event) Events {
	e.Last = true
	return func(yield func(Event, error) bool) { yield(e, nil) }
}

func writeEvents(w http.ResponseWriter, events Events) error {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	out := eventWriter{w: w, enc: eventstream.NewEncoder(), flusher: http.NewResponseController(w)}
	for e, err := range events {
		if err != nil {
			return errors.Join(err, out.write(exceptionFrame(fault.From(err)), true))
		}
		if err := out.write(eventFrame(e), e.Last); err != nil {
			return err
		}
	}
	return nil
}

// eventWriter sends frames as they come.
type eventWriter struct {
	w       http.ResponseWriter
	enc     *eventstream.Encoder
	flusher *http.ResponseController
	begun   bool
}

// write sends one frame. An answer of a single frame goes out with its length: its client knows at the last byte that it has all, where the end of a chunked body may come a moment later
// (clients have been seen to close the connection in that moment and to report the read that they had pending as an error).
func (o *eventWriter) write(m eventstream.Message, last bool) error {
	if last && !o.begun {
		var frame bytes.Buffer
		frame.Grow(len(m.Payload) + 512) // headers and framing
		if err := o.enc.Encode(&frame, m); err != nil {
			return err
		}
		o.w.Header().Set("Content-Length", strconv.Itoa(frame.Len()))
		o.w.WriteHeader(http.StatusOK)
		_, err := o.w.Write(frame.Bytes())
		return err
	}
	if !o.begun {
		o.begun = true
		o.w.WriteHeader(http.StatusOK)
	}
	if err := o.enc.Encode(o.w, m); err != nil {
		return err
	}
	return o.flusher.Flush()
}

func eventFrame(e Event) eventstream.Message {
	payload, ok := e.Payload.([]byte)
	if !ok {
		payload = encode(e.Payload)
	}
	return frame("event", ":event-type", e.Type, payload)
}

// exceptionFrame is a modelled exception inside a stream: its type is the member's name in the union, which starts in lower case.
func exceptionFrame(e *fault.Error) eventstream.Message {
	name := []rune(string(e.Code))
	name[0] = unicode.ToLower(name[0])
	return frame("exception", ":exception-type", string(name), encode(errorOf(e)))
}

func frame(kind, typeHeader, name string, payload []byte) eventstream.Message {
	var m eventstream.Message
	m.Headers.Set(":message-type", eventstream.StringValue(kind))
	m.Headers.Set(typeHeader, eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	m.Payload = payload
	return m
}
