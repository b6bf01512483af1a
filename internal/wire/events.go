package wire

import (
	"iter"
	"net/http"
	"reflect"
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
	return func(yield func(Event, error) bool) { yield(e, nil) }
}

func writeEvents(w http.ResponseWriter, events Events) error {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	w.WriteHeader(http.StatusOK)
	enc := eventstream.NewEncoder()
	flusher := http.NewResponseController(w)
	var failed error
	for e, err := range events {
		var m eventstream.Message
		if err != nil {
			failed, m = err, exceptionFrame(fault.From(err))
		} else {
			m = eventFrame(e)
		}
		if err := enc.Encode(w, m); err != nil {
			return err
		}
		if err := flusher.Flush(); err != nil {
			return err
		}
		if failed != nil {
			break
		}
	}
	return failed
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
