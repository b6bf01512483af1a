package s3

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// publicAccessBlock is what keeps a bucket closed to the public.
type publicAccessBlock struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	Xmlns                 string   `xml:"xmlns,attr,omitempty"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

const (
	blockDocument      = "publicAccessBlock"
	encryptionDocument = "encryption"
	lifecycleDocument  = "lifecycle"
)

// block returns the setting that is in force. A bucket that nobody has opened is closed, as every new bucket on AWS since April 2023; a deleted
// configuration is kept as an empty document, and blocks nothing.
func (s settings) block() publicAccessBlock {
	document, set := s.Documents[blockDocument]
	if !set {
		return publicAccessBlock{BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true}
	}
	var b publicAccessBlock
	if document == "" {
		return b
	}
	if err := xml.Unmarshal([]byte(document), &b); err != nil { // checked when it was put; a file that was changed by hand closes the bucket
		return settings{}.block()
	}
	return b
}

func getBlock(_ *Gateway, w *recorder, r *request, s settings) error {
	if document, set := s.Documents[blockDocument]; set && document == "" {
		return &bucketError{r.address.bucket, fault.New("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")}
	}
	b := s.block()
	b.Xmlns = xmlns
	b.XMLName = xml.Name{}
	writeXML(w, http.StatusOK, b)
	return nil
}

func putBlock(g *Gateway, w *recorder, r *request, _ settings) error {
	var b publicAccessBlock
	if err := r.decode(&b); err != nil {
		return err
	}
	b.XMLName, b.Xmlns = xml.Name{}, ""
	document, err := xml.Marshal(b)
	if err != nil {
		return err
	}
	return done(w, g.settings.change(r.address.bucket, func(v *settings) error { v.Documents[blockDocument] = string(document); return nil }))
}

func deleteBlock(g *Gateway, w *recorder, r *request, _ settings) error {
	return noContent(w, g.settings.change(r.address.bucket, func(v *settings) error { v.Documents[blockDocument] = ""; return nil }))
}

// encryptionConfiguration is the default encryption of a bucket.
type encryptionConfiguration struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration"`
	Xmlns   string           `xml:"xmlns,attr,omitempty"`
	Rules   []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default *struct {
		SSEAlgorithm   string
		KMSMasterKeyID string `xml:",omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKeyEnabled bool
	Blocked          *rawXML `xml:"BlockedEncryptionTypes"`
}

// defaultEncryption is what AWS answers for a bucket that has no configuration.
const defaultEncryption = `<ServerSideEncryptionConfiguration xmlns="` + xmlns + `"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>` +
	`</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`

func getEncryption(_ *Gateway, w *recorder, _ *request, s settings) error {
	document := s.Documents[encryptionDocument]
	if document == "" {
		document = defaultEncryption
	}
	writeRawXML(w, http.StatusOK, []byte(document))
	return nil
}

func putEncryption(g *Gateway, w *recorder, r *request, _ settings) error {
	var c encryptionConfiguration
	if err := r.decode(&c); err != nil {
		return err
	}
	if len(c.Rules) != 1 || c.Rules[0].Default == nil {
		return fault.New(codeMalformedXML, malformedXML)
	}
	switch d := c.Rules[0].Default; {
	case d.SSEAlgorithm == "AES256" && d.KMSMasterKeyID != "":
		return fault.New(codeInvalidArgument, "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	case d.SSEAlgorithm == "aws:kms", d.SSEAlgorithm == "aws:kms:dsse":
		return fault.New(codeNotImplemented, "This server has no AWS KMS: the default encryption of a bucket can be AES256 only.")
	case d.SSEAlgorithm != "AES256":
		return fault.New(codeMalformedXML, malformedXML)
	}
	c.XMLName, c.Xmlns = xml.Name{}, xmlns
	document, err := xml.Marshal(c)
	if err != nil {
		return err
	}
	return done(w, g.settings.change(r.address.bucket, func(v *settings) error { v.Documents[encryptionDocument] = string(document); return nil }))
}

const maxRules = 1000

// lifecycleConfiguration has of a lifecycle configuration what is checked. The document is kept as it came.
type lifecycleConfiguration struct {
	XMLName xml.Name `xml:"LifecycleConfiguration"`
	Rules   []struct {
		ID         string
		Status     string
		Filter     *rawXML
		Prefix     *string
		Expiration *struct {
			Days string
			Date string
		}
		Actions []struct{ XMLName xml.Name } `xml:",any"`
	} `xml:"Rule"`
}

func (c lifecycleConfiguration) check() error {
	if len(c.Rules) == 0 || len(c.Rules) > maxRules {
		return fault.New(codeMalformedXML, malformedXML)
	}
	ids := map[string]bool{}
	for _, rule := range c.Rules {
		switch {
		case rule.Status != "Enabled" && rule.Status != "Disabled", rule.Filter == nil && rule.Prefix == nil, rule.Filter != nil && rule.Prefix != nil:
			return fault.New(codeMalformedXML, malformedXML)
		case len(rule.ID) > 255:
			return fault.New(codeInvalidArgument, "ID length should not exceed allowed limit of 255")
		case rule.ID != "" && ids[rule.ID]:
			return fault.New(codeInvalidArgument, "Rule ID must be unique. Found same ID for more than one rule")
		case rule.Expiration == nil && len(rule.Actions) == 0:
			return fault.New(codeInvalidRequest, "At least one action needs to be specified in a rule")
		}
		ids[rule.ID] = true
		if e := rule.Expiration; e != nil && e.Days != "" {
			if n, err := strconv.Atoi(e.Days); err != nil || n <= 0 {
				return fault.New(codeInvalidArgument, "'Days' for Expiration action must be a positive integer")
			}
		}
	}
	return nil
}

func getLifecycle(_ *Gateway, w *recorder, r *request, s settings) error {
	document := s.Documents[lifecycleDocument]
	if document == "" {
		return &bucketError{r.address.bucket, fault.New("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")}
	}
	w.Header().Set("x-amz-transition-default-minimum-object-size", "all_storage_classes_128K")
	writeRawXML(w, http.StatusOK, []byte(document))
	return nil
}

func putLifecycle(g *Gateway, w *recorder, r *request, _ settings) error {
	body, err := r.body.document()
	if err != nil {
		return err
	}
	var c lifecycleConfiguration
	if err := unmarshal(body, &c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	// Kept with the namespace that it came with, but without its XML declaration.
	document := strings.TrimSpace(string(body))
	if strings.HasPrefix(document, "<?xml") {
		_, document, _ = strings.Cut(document, "?>")
	}
	return done(w, g.settings.change(r.address.bucket, func(v *settings) error { v.Documents[lifecycleDocument] = strings.TrimSpace(document); return nil }))
}

// decode reads the body as a document.
func (r *request) decode(v any) error {
	body, err := r.body.document()
	if err != nil {
		return err
	}
	return unmarshal(body, v)
}

// unmarshal reads one XML document, with nothing behind it.
func unmarshal(body []byte, v any) error {
	d := xml.NewDecoder(strings.NewReader(string(body)))
	if err := d.Decode(v); err != nil {
		return fault.New(codeMalformedXML, malformedXML).With(err)
	}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if chars, ok := t.(xml.CharData); err != nil || !ok || len(strings.TrimSpace(string(chars))) > 0 {
			return fault.New(codeMalformedXML, malformedXML).With(err)
		}
	}
}
