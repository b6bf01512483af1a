package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// maxDeletes is how many objects one DeleteObjects may name.
const maxDeletes = 1000

// deleteDocument is the body of DeleteObjects.
type deleteDocument struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID string `xml:"VersionId"`
	} `xml:"Object"`
}

// deleteObjects checks what versitygw does not, then hands over: how many objects there are, whether their names could be those of files elsewhere, and whether the client wants to hear of
// errors only. Source: API reference of Amazon S3, DeleteObjects.
func (g *Gateway) deleteObjects(w *recorder, r *request) error {
	if err := g.preauthorize(r); err != nil {
		return err
	}
	body, err := r.body.document()
	if err != nil {
		return err
	}
	r.body = payload{Reader: bytes.NewReader(body), length: int64(len(body)), trailer: r.body.trailer}
	var doc deleteDocument
	if err := xml.Unmarshal(body, &doc); err != nil || len(doc.Objects) == 0 || len(doc.Objects) > maxDeletes {
		return fault.New(codeMalformedXML, malformedXML).With(err)
	}
	for _, o := range doc.Objects {
		if o.Key == "" {
			return fault.New(codeMalformedXML, malformedXML)
		}
		if err := errors.Join(checkKey(o.Key), checkVersion(o.VersionID)); err != nil {
			return err
		}
	}
	if !doc.Quiet {
		return g.handOver(w, r)
	}
	return g.exchange(r, func(resp *http.Response) error {
		if resp.StatusCode == http.StatusOK {
			if err := keepErrors(resp); err != nil {
				return err
			}
		}
		return relay(w, r, g, resp)
	})
}

// keepErrors leaves only the errors in an answer of DeleteObjects.
func keepErrors(resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return fmt.Errorf("versitygw's answer: %w", err)
	}
	var doc struct {
		XMLName xml.Name
		Errors  []rawXML `xml:"Error"`
	}
	if err := xml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("versitygw's answer: %w", err)
	}
	if data, err = xml.Marshal(doc); err != nil {
		return fmt.Errorf("versitygw's answer: %w", err)
	}
	data = append([]byte(xml.Header), data...)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	resp.Header.Set("Content-Length", strconv.Itoa(len(data)))
	return nil
}
