package network

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	maxBuckets = 100
	maxPrefix  = 1024    // bytes, as long as a key may be
	maxDelete  = 2 << 20 // bytes of a request that deletes many objects; AWS takes 1,000 keys of 1,024 bytes
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Buckets are the buckets, and parts of buckets, that a session may use. It narrows what the session's role may do, and gives nothing.
type Buckets struct {
	parts map[string][]string // prefixes of keys, by bucket; the empty prefix is the whole bucket
}

// NoBuckets allows none.
func NoBuckets() *Buckets { return &Buckets{} }

// ParseBuckets reads a list such as "reports, data/in/2026": names of buckets, each with a prefix of keys or without, separated by commas or spaces. A prefix is one of whole
// folders: "data/in" is every key that begins with "in/".
func ParseBuckets(list string) (*Buckets, error) {
	entries := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
	if len(entries) == 0 {
		return nil, errors.New("the list of buckets is empty")
	}
	if len(entries) > maxBuckets {
		return nil, fmt.Errorf("the list has %d buckets; %d are allowed", len(entries), maxBuckets)
	}
	b := &Buckets{parts: map[string][]string{}}
	for _, e := range entries {
		bucket, prefix, _ := strings.Cut(strings.TrimPrefix(e, "s3://"), "/")
		if !bucketName.MatchString(bucket) {
			return nil, fmt.Errorf("%q is no bucket, or part of one, such as reports or data/in", e)
		}
		if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
			if prefix += "/"; !plainKey(prefix) || len(prefix) > maxPrefix {
				return nil, fmt.Errorf("%q has a prefix that no key can have", e)
			}
		}
		b.parts[bucket] = append(b.parts[bucket], prefix)
	}
	return b, nil
}

// plainKey reports whether a key has no segments that a file system would take for another place.
func plainKey(key string) bool {
	for segment := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.ContainsAny(key, "\x00\\")
}

// whole reports whether all of a bucket may be used.
func (b *Buckets) whole(bucket string) bool { return slices.Contains(b.parts[bucket], "") }

// key reports whether an object, or what begins with a prefix of keys, may be used.
func (b *Buckets) key(bucket, key string) bool {
	if b.whole(bucket) {
		return true
	}
	return plainKey(key) && slices.ContainsFunc(b.parts[bucket], func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// judge refuses requests to S3 for anything that is not listed, with why in words for people. It reads the body of requests that name their objects there, and puts it back.
func (b *Buckets) judge(r *http.Request, h Host) (why string) {
	bucket, key := h.Bucket, strings.TrimPrefix(r.URL.Path, "/")
	if bucket == "" {
		bucket, key, _ = strings.Cut(key, "/")
	}
	switch {
	case bucket == "":
		return "This session may use only some buckets, and so not list them all."
	case len(b.parts[bucket]) == 0:
		return "This session may not use this bucket."
	}
	for _, source := range r.Header.Values("X-Amz-Copy-Source") {
		if !b.source(source) {
			return "This session may not copy from there."
		}
	}
	switch {
	case b.whole(bucket):
		return ""
	case key != "":
		if !b.key(bucket, key) {
			return "This session may not use this part of the bucket."
		}
		return ""
	}
	return b.judgePart(r, bucket)
}

// source reads the header that names what is copied: [/]BUCKET/KEY[?versionId=ID], escaped. Sources by access point have other forms, and are no bucket's.
func (b *Buckets) source(header string) bool {
	path, _, _ := strings.Cut(header, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return ok && key != "" && b.key(bucket, key)
}

// judgePart judges what is asked of a bucket as a whole by a session that may use parts of it: to list a part, to find out where the bucket is, to delete objects of a part.
func (b *Buckets) judgePart(r *http.Request, bucket string) (why string) {
	const refused = "This session may use only a part of the bucket, and not the bucket as a whole."
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refused
	}
	sub := func(names ...string) bool {
		return slices.ContainsFunc(names, q.Has)
	}
	switch {
	case r.Method == http.MethodHead && !sub(subresources...):
		return ""
	case r.Method == http.MethodGet && sub("location"):
		return ""
	case r.Method == http.MethodGet && !sub(subresources...):
		prefixes := q["prefix"]
		if len(prefixes) != 1 || !b.key(bucket, prefixes[0]) {
			return "This session may list only a part of the bucket: the request needs its prefix."
		}
		return ""
	case r.Method == http.MethodPost && q.Has("delete"):
		return b.judgeDelete(r, bucket)
	}
	return refused
}

// subresources of a bucket that say more than which objects a part has. (versions and uploads are lists, and have a prefix.)
var subresources = []string{"accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory", "lifecycle", "logging", "metrics", "notification", "object-lock", "ownershipControls",
	"policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning", "website", "session", "metadataTable", "metadataConfiguration"}

// judgeDelete judges DeleteObjects, whose keys are in its body.
func (b *Buckets) judgeDelete(r *http.Request, bucket string) (why string) {
	const refused = "This session may not delete all of these objects."
	if r.Header.Get("Content-Encoding") != "" || strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return refused // the keys do not stand there as they are
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDelete+1))
	if err != nil || len(body) > maxDelete {
		return refused
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	var list struct {
		Objects []struct {
			Keys []string `xml:"Key"`
		} `xml:"Object"`
	}
	if err := xml.Unmarshal(body, &list); err != nil {
		return refused
	}
	for _, o := range list.Objects {
		if len(o.Keys) != 1 || !b.key(bucket, o.Keys[0]) {
			return refused
		}
	}
	return ""
}

// accessDenied answers as S3 does, so that clients show why.
func accessDenied(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, xml.Header+"<Error><Code>AccessDenied</Code><Message>"+why+"</Message></Error>") // why is a text of this file
}
