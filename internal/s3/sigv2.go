package s3

import (
	"crypto/hmac"
	"crypto/sha1" // #nosec: Signature Version 2 is made of it
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// presignedV2 says whether a request is presigned with Signature Version 2, as boto3 and the aws CLI still do by default in several regions.
func presignedV2(r *http.Request, q url.Values) bool {
	return q.Has("AWSAccessKeyId") && q.Has("Signature") && q.Has("Expires") && r.Header.Get("Authorization") == "" && !q.Has("X-Amz-Algorithm")
}

// v2Parameters are those of the query that a signature of version 2 covers. The others it leaves open, as on AWS. Source: Amazon S3 user guide, "Signing and
// authenticating REST requests (AWS signature version 2)".
var v2Parameters = map[string]bool{"accelerate": true, "acl": true, "cors": true, "defaultObjectAcl": true, "delete": true, "encryption": true, "inventory": true,
	"lifecycle": true, "location": true, "logging": true, "notification": true, "object-lock": true, "partNumber": true, "policy": true, "policyStatus": true,
	"publicAccessBlock": true, "replication": true, "requestPayment": true, "restore": true, "retention": true, "legal-hold": true, "tagging": true, "torrent": true,
	"uploadId": true, "uploads": true, "versionId": true, "versioning": true, "versions": true, "website": true, "ownershipControls": true, "attributes": true,
	"response-cache-control": true, "response-content-disposition": true, "response-content-encoding": true, "response-content-language": true,
	"response-content-type": true, "response-expires": true}

// v2Open are the parameters outside of the signature that a request may have. Everything else that could change what it does is refused.
var v2Open = map[string]bool{"AWSAccessKeyId": true, "Signature": true, "Expires": true, "x-amz-security-token": true, "x-id": true, "prefix": true, "delimiter": true,
	"max-keys": true, "marker": true, "list-type": true, "continuation-token": true, "start-after": true, "encoding-type": true, "key-marker": true,
	"version-id-marker": true, "fetch-owner": true, "upload-id-marker": true, "max-uploads": true, "part-number-marker": true, "max-parts": true}

// verifyV2 verifies a presigned request of version 2. Its body is not signed.
func (g *Gateway) verifyV2(r *http.Request, q url.Values, a address) (caller, error) {
	expires, err := strconv.ParseInt(q.Get("Expires"), 10, 64)
	if err != nil {
		return caller{}, fault.New(codeAccessDenied, "Invalid date (should be seconds since epoch): %.32q", q.Get("Expires"))
	}
	if !time.Now().Before(time.Unix(expires, 0)) {
		return caller{}, fault.New(codeAccessDenied, "Request has expired")
	}
	for name, values := range q {
		if len(values) != 1 || !v2Parameters[name] && !v2Open[name] {
			return caller{}, fault.New(codeInvalidArgument, "A request that is presigned with Signature Version 2 cannot have the parameter %.64q.", name)
		}
	}
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return caller{}, fault.New(codeInvalidRequest, "A request that is presigned with Signature Version 2 cannot have an aws-chunked body.")
	}
	token := q.Get("x-amz-security-token")
	key, err := keys{g.o.Authority}.Lookup(r.Context(), q.Get("AWSAccessKeyId"), token)
	switch {
	case errors.Is(err, sigv4.ErrUnknownKey):
		return caller{}, fault.New("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case errors.Is(err, sigv4.ErrInvalidToken):
		return caller{}, fault.New("InvalidToken", "The provided token is malformed or otherwise invalid.")
	case errors.Is(err, sigv4.ErrExpiredToken), err == nil && !key.Expires.IsZero() && !time.Now().Before(key.Expires):
		return caller{}, fault.New("ExpiredToken", "The provided token has expired.")
	case err != nil:
		return caller{}, fault.Wrap(err, "look up the access key")
	}
	given, err := base64.StdEncoding.DecodeString(q.Get("Signature"))
	mac := hmac.New(sha1.New, []byte(key.Secret))
	mac.Write([]byte(stringToSignV2(r, q, a)))
	if err != nil || subtle.ConstantTimeCompare(given, mac.Sum(nil)) != 1 {
		return caller{}, fault.New("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	c, _ := key.Principal.(caller)
	return c, nil
}

func stringToSignV2(r *http.Request, q url.Values, a address) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" + q.Get("Expires") + "\n")
	amz := map[string]string{}
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			amz[lower] = strings.Join(values, ",")
		}
	}
	if token := q.Get("x-amz-security-token"); token != "" {
		amz["x-amz-security-token"] = token
	}
	for _, name := range slices.Sorted(maps.Keys(amz)) {
		b.WriteString(name + ":" + strings.TrimSpace(amz[name]) + "\n")
	}
	if bucketOfHost(r.Host) != "" {
		b.WriteString("/" + a.bucket)
	}
	b.WriteString(r.URL.EscapedPath())
	separator := "?"
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !v2Parameters[name] {
			continue
		}
		b.WriteString(separator + name)
		if v := q.Get(name); v != "" {
			b.WriteString("=" + v)
		}
		separator = "&"
	}
	return b.String()
}
