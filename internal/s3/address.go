package s3

import (
	"net"
	"net/url"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// address is what a request is about.
type address struct {
	bucket string // "" for the list of buckets
	key    string // "" for the bucket itself; decoded, without the first slash
}

// addressOf reads bucket and key: from the host if it is BUCKET.s3.REGION.amazonaws.com or one of its kin, otherwise from the path.
func addressOf(host, escapedPath string) (address, error) {
	path, err := url.PathUnescape(escapedPath)
	if err != nil {
		return address{}, fault.New(codeInvalidArgument, "The path cannot be decoded.").With(err)
	}
	path = strings.TrimPrefix(path, "/")
	a := address{bucket: bucketOfHost(host), key: path}
	if a.bucket == "" {
		a.bucket, a.key, _ = strings.Cut(path, "/")
	}
	if a.bucket != "" && !validBucketName(a.bucket) {
		return address{}, &bucketError{a.bucket, fault.New(codeInvalidBucketName, "The specified bucket is not valid.")}
	}
	if err := checkKey(a.key); err != nil {
		return address{}, err
	}
	return a, nil
}

// bucketOfHost returns the bucket that a virtual-host style address names, "" if the host is the service itself or any other host.
func bucketOfHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if bucket, ok := strings.CutSuffix(host, ".localhost"); ok && bucket != "s3" {
		return strings.TrimSuffix(bucket, ".s3")
	}
	rest, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		return ""
	}
	labels := strings.Split(rest, ".")
	// From the right: [REGION] [dualstack] s3 | s3-REGION | s3-fips, and what is left is the bucket, whose name may have dots.
	for i := len(labels) - 1; i >= 0 && i >= len(labels)-3; i-- {
		if isS3Label(labels[i]) {
			return strings.Join(labels[:i], ".")
		}
	}
	return ""
}

func isS3Label(label string) bool {
	if label == "s3" || label == "s3-fips" || label == "s3-accelerate" {
		return true
	}
	region, ok := strings.CutPrefix(label, "s3-")
	return ok && validRegion(region)
}

// Serves reports whether a host name is one of S3's: the service's or a bucket's.
func Serves(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if bucketOfHost(host) != "" {
		return true
	}
	rest, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		return host == "s3.localhost"
	}
	first, _, _ := strings.Cut(rest, ".")
	return isS3Label(first)
}

// validBucketName has the rules for names of general purpose buckets that matter for what a name may do here.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || net.ParseIP(name) != nil || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (c != '-' && c != '.' || i == 0 || i == len(name)-1) {
			return false
		}
	}
	return true
}

// validRegion says whether a string has the shape of a region's name.
func validRegion(name string) bool {
	if len(name) < 9 || len(name) > 32 || strings.Count(name, "-") < 2 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name[len(name)-1] >= '0' && name[len(name)-1] <= '9'
}

const maxKey = 1024

// checkKey refuses keys that the file system cannot hold as they are. S3 allows them; here they would be other keys, or no files: two policies could
// then speak of one file. docs/compatibility.md has the list.
func checkKey(key string) error {
	if len(key) > maxKey {
		return fault.New("KeyTooLongError", "Your key is too long")
	}
	if strings.ContainsRune(key, 0) || strings.HasPrefix(key, "/") || strings.Contains(key, "//") {
		return fault.New(codeInvalidArgument, "This server cannot keep a key with an empty segment or a NUL character.")
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "." || segment == "..":
			return fault.New(codeInvalidArgument, "This server cannot keep a key with the segment '.' or '..'.")
		case len(segment) > 255:
			return fault.New(codeInvalidArgument, "This server cannot keep a key with a segment of more than 255 bytes.")
		}
	}
	if first, _, _ := strings.Cut(key, "/"); first == reservedFolder {
		return fault.New(codeInvalidArgument, "Keys cannot begin with %s/ on this server.", reservedFolder)
	}
	return nil
}

// reservedFolder is where versitygw keeps uploads in a bucket's folder.
const reservedFolder = ".sgwtmp"

// path returns the canonical path-style form, escaped and not.
func (a address) path() (escaped, plain string) {
	if a.bucket == "" {
		return "/", "/"
	}
	plain = "/" + a.bucket
	if a.key != "" {
		plain += "/" + a.key
	}
	return escapePath(plain), plain
}

// arn returns the resource's ARN.
func (a address) arn() string {
	if a.bucket == "" {
		return arnPrefix + "*"
	}
	if a.key == "" {
		return arnPrefix + a.bucket
	}
	return arnPrefix + a.bucket + "/" + a.key
}

const arnPrefix = "arn:aws:s3:::"

// escapePath escapes all but unreserved characters and slashes, as signatures of S3 want it.
func escapePath(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// copySource reads and canonicalises the header x-amz-copy-source: "bucket/key" or "/bucket/key", escaped or not, with "?versionId=ID" or without.
//
// The version is cut off before decoding, as AWS does: versitygw's authorisation would take it for a part of the key, and a policy on that key would not match.
func copySource(header string) (a address, version string, err error) {
	raw, query, _ := strings.Cut(header, "?")
	if query != "" {
		v, ok := strings.CutPrefix(query, "versionId=")
		if !ok {
			return address{}, "", fault.New(codeInvalidArgument, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
		}
		if version, err = url.QueryUnescape(v); err != nil {
			return address{}, "", fault.New(codeInvalidArgument, "Copy Source cannot be decoded.").With(err)
		}
	}
	plain, err := url.QueryUnescape(raw)
	if err != nil {
		return address{}, "", fault.New(codeInvalidArgument, "Copy Source cannot be decoded.").With(err)
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(plain, "/"), "/")
	if !ok || bucket == "" || key == "" {
		return address{}, "", fault.New(codeInvalidArgument, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	// versitygw splits at "?versionId=" after decoding, so a key that contains it would become another one.
	if !validBucketName(bucket) || strings.Contains(key, "?versionId=") {
		return address{}, "", fault.New(codeInvalidArgument, "Invalid copy source object key")
	}
	if err := checkKey(key); err != nil {
		return address{}, "", err
	}
	return address{bucket, key}, version, nil
}

// copySourceHeader is the canonical form of a copy source.
func copySourceHeader(a address, version string) string {
	s := escapePath(a.bucket + "/" + a.key)
	if version != "" {
		s += "?versionId=" + url.QueryEscape(version)
	}
	return s
}
