package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"

// createBucketDocument is the body of CreateBucket. What is not named here is refused rather than forgotten.
type createBucketDocument struct {
	XMLName            xml.Name `xml:"CreateBucketConfiguration"`
	LocationConstraint string   `xml:"LocationConstraint,omitempty"`
	Location           *rawXML  `xml:"Location"`
	Bucket             *rawXML  `xml:"Bucket"`
	Tags               *rawXML  `xml:"Tags"`
}

type rawXML struct {
	Inner string `xml:",innerxml"`
}

// createBucket makes a bucket of the region that it is asked for; versitygw knows one region only.
func (g *Gateway) createBucket(w *recorder, r *request) error {
	if r.caller.anonymous() {
		return fault.New(codeAccessDenied, "Access Denied")
	}
	body, err := r.body.document()
	if err != nil {
		return err
	}
	region, forward, err := bucketLocation(body, r.region)
	if err != nil {
		return err
	}
	r.conditions["s3:locationconstraint"] = []string{region}
	r.body = payload{Reader: bytes.NewReader(forward), length: int64(len(forward)), trailer: r.body.trailer}
	if len(forward) != len(body) { // rewritten: the checksums were of what came
		r.body.trailer = ""
		dropChecksums(r.header)
	}
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	bucket := r.address.bucket
	if _, taken := g.settings.get(bucket); taken {
		return g.handOver(w, r) // versitygw says whose it is
	}
	if err := g.clear(bucket); err != nil {
		return err
	}
	// The settings come first: a bucket without an owner must not exist, settings without a bucket do no harm.
	if err := g.settings.put(bucket, settings{Owner: r.caller.account, Region: region, Created: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return err
	}
	err = g.handOver(w, r)
	if !g.exists(bucket) {
		if e := g.settings.remove(bucket); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// deleteBucket deletes a bucket, and its settings with it.
func (g *Gateway) deleteBucket(w *recorder, r *request) error {
	if err := g.preauthorize(r); err != nil {
		return err
	}
	body, err := r.body.document() // before the lock: a slow client must not keep others waiting
	if err != nil {
		return err
	}
	r.body = payload{Reader: bytes.NewReader(body), length: int64(len(body)), trailer: r.body.trailer}
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	err = g.handOver(w, r)
	if !g.exists(r.address.bucket) {
		if e := g.settings.remove(r.address.bucket); e != nil && err == nil {
			err = e
		}
	}
	return err
}

func (g *Gateway) exists(bucket string) bool {
	info, err := os.Lstat(filepath.Join(g.buckets, bucket))
	return err == nil && info.IsDir()
}

// clear makes way for a new bucket: a crash in the middle of a write to a bucket that had just been deleted can leave a folder with uploads in it. Objects are never removed here: a folder
// that has some but no settings was put there by hand.
func (g *Gateway) clear(bucket string) error {
	folder := filepath.Join(g.buckets, bucket)
	if err := os.RemoveAll(filepath.Join(folder, reservedFolder)); err != nil {
		return fmt.Errorf("uploads of an earlier bucket: %w", err)
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("folder of an earlier bucket: %w", err)
	}
	return nil
}

// writes says whether a request may write an object.
func (r *request) writes() bool {
	return r.address.key != "" && (r.Method == http.MethodPut || r.Method == http.MethodPost)
}

// vanished says whether a request was a write whose bucket has been deleted since it was authorised. It waits for a deletion that is under way.
func (g *Gateway) vanished(r *request) bool {
	if !r.writes() {
		return false
	}
	g.lifecycle.RLock()
	defer g.lifecycle.RUnlock()
	_, there := g.settings.get(r.address.bucket)
	return !there
}

// sweep ends a write. Its bucket may have been deleted while the body came, and versitygw makes the folders that it misses: without this, the bucket's folder would be there again, with a part
// of a dead upload in it that nobody can see, and a bucket of the name could not be made any more.
func (g *Gateway) sweep(r *request) {
	if !g.vanished(r) {
		return
	}
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	bucket := r.address.bucket
	if _, anew := g.settings.get(bucket); anew {
		return
	}
	for _, folder := range []string{g.buckets, filepath.Join(filepath.Dir(g.buckets), versionsFolder)} {
		if err := os.RemoveAll(filepath.Join(folder, bucket)); err != nil {
			g.o.Log.Warn("what a write brought back of a deleted bucket stays", slog.String("bucket", bucket), slog.Any("error", err))
		}
	}
}

// dropChecksums removes the headers that are about a body that was replaced.
func dropChecksums(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Checksum-") || name == "Content-Md5" || name == "X-Amz-Sdk-Checksum-Algorithm" {
			delete(h, name)
		}
	}
}

// bucketLocation decides the region of a new bucket as AWS does, and returns the document without it.
func bucketLocation(body []byte, signedFor string) (region string, forward []byte, err error) {
	var doc createBucketDocument
	if len(bytes.TrimSpace(body)) > 0 {
		if err := xml.Unmarshal(body, &doc); err != nil {
			return "", nil, fault.New(codeMalformedXML, malformedXML).With(err)
		}
	}
	if doc.Location != nil || doc.Bucket != nil {
		return "", nil, fault.New(codeNotImplemented, "This server has general purpose buckets only: no directory buckets.")
	}
	constraint := strings.TrimSpace(doc.LocationConstraint)
	switch {
	case constraint == "" && signedFor == "us-east-1":
		region = signedFor
	case constraint == "":
		return "", nil, fault.New(codeIllegalLocation, "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case constraint == "us-east-1", constraint != "EU" && !validRegion(constraint):
		return "", nil, fault.New(codeInvalidLocation, "The specified location-constraint is not valid")
	case signedFor != "us-east-1" && constraint != signedFor && (constraint != "EU" || signedFor != "eu-west-1"):
		return "", nil, fault.New(codeIllegalLocation, "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", constraint)
	case constraint == "EU":
		region = "eu-west-1"
	default:
		region = constraint
	}
	if doc.Tags == nil {
		return region, nil, nil
	}
	doc.LocationConstraint = ""
	forward, err = xml.Marshal(doc)
	if err != nil {
		return "", nil, fmt.Errorf("configuration of the new bucket: %w", err)
	}
	return region, forward, nil
}

type listBuckets struct {
	XMLName           xml.Name `xml:"ListAllMyBucketsResult"`
	Xmlns             string   `xml:"xmlns,attr"`
	Buckets           []listed `xml:"Buckets>Bucket"`
	Owner             owner
	ContinuationToken string `xml:",omitempty"`
	Prefix            string `xml:",omitempty"`
}

type listed struct {
	BucketArn    string
	BucketRegion string
	CreationDate string
	Name         string
}

type owner struct{ ID, DisplayName string }

const maxBuckets = 10_000

// list answers ListBuckets: those of the caller's account, with their own region and the day they were made.
func (g *Gateway) list(w *recorder, r *request) error {
	if r.caller.anonymous() {
		return fault.New(codeAccessDenied, "Access Denied")
	}
	if err := g.authorize(r.Context(), r.caller, "s3:ListAllMyBuckets", arnPrefix+"*", r.conditions); err != nil {
		return err
	}
	limit := maxBuckets
	if s := r.query.Get("max-buckets"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxBuckets {
			return fault.New(codeInvalidArgument, "Argument max-buckets must be an integer between 1 and %d.", maxBuckets)
		}
		limit = n
	}
	own := g.settings.owned(r.caller.account)
	doc := listBuckets{Xmlns: xmlns, Owner: owner{r.caller.account, r.caller.account}, Prefix: r.query.Get("prefix")}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		s := own[name]
		if name <= r.query.Get("continuation-token") || !strings.HasPrefix(name, doc.Prefix) || r.query.Has("bucket-region") && r.query.Get("bucket-region") != s.Region {
			continue
		}
		if len(doc.Buckets) == limit {
			doc.ContinuationToken = doc.Buckets[limit-1].Name
			break
		}
		doc.Buckets = append(doc.Buckets, listed{arnPrefix + name, s.Region, s.Created.Format("2006-01-02T15:04:05.000Z"), name})
	}
	writeXML(w, http.StatusOK, doc)
	return nil
}
