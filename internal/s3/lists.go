package s3

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// Lists answer with names, and a name can hold what XML 1.0 cannot, a control character for example. Clients that ask for encoding-type=url, as boto3 and the aws CLI
// always do, get names of which everything is kept. Source: API reference of Amazon S3, ListObjectsV2, encoding-type. versitygw's backends do not know the parameter.

// wantsEncoding says whether the request behind a call of the backend has encoding-type=url.
func wantsEncoding(ctx context.Context) bool {
	r, ok := ctx.(*fasthttp.RequestCtx)
	return ok && string(r.QueryArgs().Peek("encoding-type")) == string(types.EncodingTypeUrl)
}

// encodeName encodes as S3 does: a form's value, with slashes left.
func encodeName(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "%2F", "/") }

// encodeNames encodes names in place; those that are not there stay so.
func encodeNames(names ...**string) {
	for _, n := range names {
		if *n != nil {
			encoded := encodeName(**n)
			*n = &encoded
		}
	}
}

func encodePrefixes(prefixes []types.CommonPrefix) {
	for i := range prefixes {
		encodeNames(&prefixes[i].Prefix)
	}
}

func encodeObjects(objects []s3response.Object) {
	for i := range objects {
		encodeNames(&objects[i].Key)
	}
}

// ListObjects implements backend.Backend.
func (f files) ListObjects(ctx context.Context, in *awss3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	out, err := f.Posix.ListObjects(ctx, in)
	if err == nil && wantsEncoding(ctx) {
		out.EncodingType = types.EncodingTypeUrl
		encodeNames(&out.Prefix, &out.Delimiter, &out.Marker, &out.NextMarker)
		encodeObjects(out.Contents)
		encodePrefixes(out.CommonPrefixes)
	}
	return out, err
}

// ListObjectsV2 implements backend.Backend. versitygw's tokens are keys: here they are not to be read, and what is none is refused, as on AWS.
func (f files) ListObjectsV2(ctx context.Context, in *awss3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	var asked *string
	if in.ContinuationToken != nil && *in.ContinuationToken != "" {
		asked = in.ContinuationToken
		key, ok := keyOfToken(*asked)
		if !ok {
			return s3response.ListObjectsV2Result{}, errToken
		}
		inner := *in
		inner.ContinuationToken = &key
		in = &inner
	}
	out, err := f.Posix.ListObjectsV2(ctx, in)
	if err != nil {
		return out, err
	}
	out.ContinuationToken = asked
	if next := out.NextContinuationToken; next != nil {
		token := tokenOf(*next)
		out.NextContinuationToken = &token
	}
	if wantsEncoding(ctx) {
		out.EncodingType = types.EncodingTypeUrl
		encodeNames(&out.Prefix, &out.Delimiter, &out.StartAfter)
		encodeObjects(out.Contents)
		encodePrefixes(out.CommonPrefixes)
	}
	return out, nil
}

var errToken = s3err.APIError{Code: string(codeInvalidArgument), Description: "The continuation token provided is incorrect", HTTPStatusCode: statuses[codeInvalidArgument]}

// tokenMark begins every token, so that a text which happens to be base64 is none.
const tokenMark = "after:"

func tokenOf(key string) string { return base64.URLEncoding.EncodeToString([]byte(tokenMark + key)) }

// keyOfToken returns the key that a token goes on after.
func keyOfToken(token string) (string, bool) {
	b, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), tokenMark)
}

// ListObjectVersions implements backend.Backend.
func (f files) ListObjectVersions(ctx context.Context, in *awss3.ListObjectVersionsInput) (s3response.ListVersionsResult, error) {
	out, err := f.Posix.ListObjectVersions(ctx, in)
	if err == nil && wantsEncoding(ctx) {
		out.EncodingType = types.EncodingTypeUrl
		encodeNames(&out.Prefix, &out.Delimiter, &out.KeyMarker, &out.NextKeyMarker)
		for i := range out.Versions {
			encodeNames(&out.Versions[i].Key)
		}
		for i := range out.DeleteMarkers {
			encodeNames(&out.DeleteMarkers[i].Key)
		}
		encodePrefixes(out.CommonPrefixes)
	}
	return out, err
}

// ListMultipartUploads implements backend.Backend.
func (f files) ListMultipartUploads(ctx context.Context, in *awss3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	out, err := f.Posix.ListMultipartUploads(ctx, in)
	if err == nil && wantsEncoding(ctx) {
		out.EncodingType = string(types.EncodingTypeUrl)
		for _, name := range []*string{&out.Prefix, &out.Delimiter, &out.KeyMarker, &out.NextKeyMarker} {
			*name = encodeName(*name)
		}
		for i := range out.Uploads {
			out.Uploads[i].Key = encodeName(out.Uploads[i].Key)
		}
		for i := range out.CommonPrefixes {
			out.CommonPrefixes[i].Prefix = encodeName(out.CommonPrefixes[i].Prefix)
		}
	}
	return out, err
}
