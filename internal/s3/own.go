package s3

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// handler answers a request.
type handler func(w *recorder, r *request) error

// own returns the handler of a request that is answered here.
func (g *Gateway) own(r *request) (handler, bool) {
	if r.address.bucket == "" {
		if r.Method == http.MethodGet {
			return g.list, true
		}
		return refuseMethod, true
	}
	if r.address.key != "" || r.Method == http.MethodOptions {
		return nil, false
	}
	if r.Method == http.MethodPost && r.query.Has("delete") {
		return g.deleteObjects, true
	}
	for name := range r.query {
		if methods, ok := subresources[name]; ok {
			s, ok := methods[r.Method]
			if !ok {
				return refuseMethod, true
			}
			return g.onBucket(s), true
		}
	}
	for name := range r.query {
		if name != "x-id" {
			return nil, false
		}
	}
	switch r.Method {
	case http.MethodPut:
		return g.createBucket, true
	case http.MethodDelete:
		return g.deleteBucket, true
	}
	return nil, false
}

func refuseMethod(*recorder, *request) error {
	return fault.New(codeMethodNotAllowed, "The specified method is not allowed against this resource.")
}

// subresource is one operation on a bucket's settings.
type subresource struct {
	action string
	do     func(g *Gateway, w *recorder, r *request, s settings) error
}

// onBucket authorises an operation and gives it the bucket's settings.
func (g *Gateway) onBucket(s subresource) handler {
	return func(w *recorder, r *request) error {
		bucket := r.address.bucket
		v, ok := g.settings.get(bucket)
		if !ok {
			return errNoSuchBucket(bucket)
		}
		if want := r.header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && want != v.Owner {
			return fault.New(codeAccessDenied, "Access Denied")
		}
		if err := g.authorize(r.Context(), r.caller, s.action, r.address.arn(), r.conditions); err != nil {
			return err
		}
		return s.do(g, w, r, v)
	}
}

// subresources are the bucket operations that are answered here, by query parameter and method: those that versitygw lacks, and those about policies and regions.
var subresources = map[string]map[string]subresource{
	"location": {
		http.MethodGet: {"s3:GetBucketLocation", getLocation}},
	"policy": {
		http.MethodGet:    {"s3:GetBucketPolicy", getPolicy},
		http.MethodPut:    {"s3:PutBucketPolicy", putPolicy},
		http.MethodDelete: {"s3:DeleteBucketPolicy", deletePolicy}},
	"policyStatus": {
		http.MethodGet: {"s3:GetBucketPolicyStatus", getPolicyStatus}},
	"encryption": {
		http.MethodGet:    {"s3:GetEncryptionConfiguration", getEncryption},
		http.MethodPut:    {"s3:PutEncryptionConfiguration", putEncryption},
		http.MethodDelete: {"s3:PutEncryptionConfiguration", dropDocument("encryption")}},
	"publicAccessBlock": {
		http.MethodGet:    {"s3:GetBucketPublicAccessBlock", getBlock},
		http.MethodPut:    {"s3:PutBucketPublicAccessBlock", putBlock},
		http.MethodDelete: {"s3:PutBucketPublicAccessBlock", deleteBlock}},
	"lifecycle": {
		http.MethodGet:    {"s3:GetLifecycleConfiguration", getLifecycle},
		http.MethodPut:    {"s3:PutLifecycleConfiguration", putLifecycle},
		http.MethodDelete: {"s3:PutLifecycleConfiguration", dropDocument("lifecycle")}},
	"notification": {
		http.MethodGet: {"s3:GetBucketNotification", always("NotificationConfiguration", "")},
		http.MethodPut: {"s3:PutBucketNotification", onlyEmpty("NotificationConfiguration", "event notifications")}},
	"logging": {
		http.MethodGet: {"s3:GetBucketLogging", always("BucketLoggingStatus", "")},
		http.MethodPut: {"s3:PutBucketLogging", onlyEmpty("BucketLoggingStatus", "server access logging")}},
	"accelerate": {
		http.MethodGet: {"s3:GetAccelerateConfiguration", always("AccelerateConfiguration", "")}},
	"requestPayment": {
		http.MethodGet: {"s3:GetBucketRequestPayment", always("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")}},
	"replication": {
		http.MethodGet: {"s3:GetReplicationConfiguration", missing("ReplicationConfigurationNotFoundError", "The replication configuration was not found")}},
}

// always answers with a configuration that cannot be anything else here.
func always(root, inner string) func(*Gateway, *recorder, *request, settings) error {
	document := fmt.Appendf(nil, `<%s xmlns="%s">%s</%s>`, root, xmlns, inner, root)
	return func(_ *Gateway, w *recorder, _ *request, _ settings) error {
		writeRawXML(w, http.StatusOK, document)
		return nil
	}
}

// missing answers that there is no configuration.
func missing(code fault.Code, message string) func(*Gateway, *recorder, *request, settings) error {
	return func(*Gateway, *recorder, *request, settings) error { return fault.New(code, "%s", message) }
}

// onlyEmpty takes a configuration that switches something off, and refuses to pretend one that switches it on.
func onlyEmpty(root, what string) func(*Gateway, *recorder, *request, settings) error {
	return func(_ *Gateway, w *recorder, r *request, _ settings) error {
		body, err := r.body.document()
		if err != nil {
			return err
		}
		var doc struct {
			XMLName xml.Name
			Content []rawXML `xml:",any"`
		}
		if err := xml.Unmarshal(body, &doc); err != nil || doc.XMLName.Local != root {
			return fault.New(codeMalformedXML, malformedXML).With(err)
		}
		if len(doc.Content) > 0 {
			return fault.New(codeNotImplemented, "This server has no %s.", what)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

const malformedXML = "The XML you provided was not well-formed or did not validate against our published schema"

func getLocation(_ *Gateway, w *recorder, _ *request, s settings) error {
	region := s.Region
	if region == "us-east-1" {
		region = "" // as on AWS
	}
	writeXML(w, http.StatusOK, struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Xmlns   string   `xml:"xmlns,attr"`
		Region  string   `xml:",chardata"`
	}{Xmlns: xmlns, Region: region})
	return nil
}

const maxPolicy = 20 << 10

func getPolicy(_ *Gateway, w *recorder, r *request, s settings) error {
	if s.Policy == "" {
		return &bucketError{r.address.bucket, fault.New(codeNoSuchPolicy, "The bucket policy does not exist")}
	}
	requestID(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write([]byte(s.Policy))
	return err
}

func putPolicy(g *Gateway, w *recorder, r *request, s settings) error {
	document, err := r.body.document()
	if err != nil {
		return err
	}
	if len(document) > maxPolicy {
		return fault.New(codeMalformedPolicy, "Policies must be no larger than 20 KB.")
	}
	if len(strings.TrimSpace(string(document))) == 0 {
		return fault.New(codeMalformedPolicy, "Missing required field Statement")
	}
	if err := g.o.Authority.ValidateBucketPolicy(r.Context(), r.address.bucket, document); err != nil {
		return err
	}
	if err := checkTargets(r.address.bucket, string(document)); err != nil {
		return err
	}
	err = g.settings.change(r.address.bucket, func(v *settings) error {
		if v.block().BlockPublicPolicy && isPublic(string(document)) {
			return fault.New(codeAccessDenied, "User: %s is not authorized to perform: s3:PutBucketPolicy on resource: \"%s\" because public policies are prevented by the "+
				"BlockPublicPolicy setting in S3 Block Public Access.", r.caller.arn, r.address.arn())
		}
		v.Policy = string(document)
		return nil
	})
	return noContent(w, err)
}

func deletePolicy(g *Gateway, w *recorder, r *request, _ settings) error {
	return noContent(w, g.settings.change(r.address.bucket, func(v *settings) error { v.Policy = ""; return nil }))
}

func getPolicyStatus(_ *Gateway, w *recorder, r *request, s settings) error {
	if s.Policy == "" {
		return &bucketError{r.address.bucket, fault.New(codeNoSuchPolicy, "The bucket policy does not exist")}
	}
	writeXML(w, http.StatusOK, struct {
		XMLName  xml.Name `xml:"PolicyStatus"`
		Xmlns    string   `xml:"xmlns,attr"`
		IsPublic bool
	}{Xmlns: xmlns, IsPublic: isPublic(s.Policy)})
	return nil
}

// noContent answers a change that went well.
func noContent(w *recorder, err error) error {
	if err != nil {
		return err
	}
	requestID(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// done answers a change that went well where AWS says 200.
func done(w *recorder, err error) error {
	if err != nil {
		return err
	}
	requestID(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

func dropDocument(name string) func(*Gateway, *recorder, *request, settings) error {
	return func(g *Gateway, w *recorder, r *request, _ settings) error {
		return noContent(w, g.settings.change(r.address.bucket, func(v *settings) error { delete(v.Documents, name); return nil }))
	}
}
