package s3_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// TestAttackUploadIDThatIsAPath: whoever may give up uploads in one bucket cannot remove another bucket, or the uploads of others in the same one.
//
// Every path here stays in the test's own data folder, because without the check these requests do remove what they name.
func TestAttackUploadIDThatIsAPath(t *testing.T) {
	s, role := limited(t)
	begun, err := s.admin().CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String("mine"), Key: aws.String("begun")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, mine := t.Context(), aws.String("mine")
	for _, id := range []string{"../../../../theirs", "../../../../../settings", "..", ".", "../..", "%2e%2e", "x/../../../../../theirs", "/", strings.ToUpper(*begun.UploadId),
		*begun.UploadId + "/..", *begun.UploadId + "\n", "nul\x00"} {
		for what, err := range map[string]error{
			"abort": func() error {
				_, err := role.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: mine, Key: aws.String("begun"), UploadId: &id})
				return err
			}(),
			"list": func() error {
				_, err := role.ListParts(ctx, &awss3.ListPartsInput{Bucket: mine, Key: aws.String("begun"), UploadId: &id})
				return err
			}(),
			"part": func() error {
				_, err := role.UploadPart(ctx, &awss3.UploadPartInput{Bucket: mine, Key: aws.String("begun"), UploadId: &id, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
				return err
			}(),
			"copy": func() error {
				_, err := role.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{Bucket: mine, Key: aws.String("begun"), UploadId: &id, PartNumber: aws.Int32(1), CopySource: aws.String("mine/own")})
				return err
			}(),
			"complete": func() error {
				_, err := role.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: mine, Key: aws.String("begun"), UploadId: &id,
					MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: aws.String("x")}}}})
				return err
			}(),
		} {
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "NoSuchUpload" {
				t.Errorf("%s of the upload %q: %v", what, id, err)
			}
		}
	}
	s.want(s.admin(), "theirs", "secret", "classified")
	if _, err := role.ListParts(ctx, &awss3.ListPartsInput{Bucket: mine, Key: aws.String("begun"), UploadId: begun.UploadId}); err != nil {
		t.Errorf("the upload that was begun: %v", err)
	}
}

// TestAttackVersionIDThatIsAPath: the same with versions, in every place where one can be named.
func TestAttackVersionIDThatIsAPath(t *testing.T) {
	s, role := limited(t)
	ctx, mine, own := t.Context(), aws.String("mine"), aws.String("own")
	for _, id := range []string{"../../../../../buckets/theirs/secret", "..", ".", "/", "x/../null", "null/../null", "null\n", "nul\x00", strings.Repeat("A", 25) + "/"} {
		for what, call := range map[string]func() error{
			"get": func() error {
				_, err := role.GetObject(ctx, &awss3.GetObjectInput{Bucket: mine, Key: own, VersionId: &id})
				return err
			},
			"delete": func() error {
				_, err := role.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: mine, Key: own, VersionId: &id})
				return err
			},
			"tags": func() error {
				_, err := role.GetObjectTagging(ctx, &awss3.GetObjectTaggingInput{Bucket: mine, Key: own, VersionId: &id})
				return err
			},
			"list": func() error {
				_, err := role.ListObjectVersions(ctx, &awss3.ListObjectVersionsInput{Bucket: mine, KeyMarker: own, VersionIdMarker: &id})
				return err
			},
			"deletes": func() error {
				_, err := role.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: mine, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: own, VersionId: &id}}}})
				return err
			},
			"copy": func() error {
				_, err := role.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: mine, Key: aws.String("x"), CopySource: aws.String("mine/own?versionId=" + strings.ReplaceAll(strings.ReplaceAll(id, "\n", "%0A"), "\x00", "%00"))})
				return err
			},
		} {
			err := call()
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "InvalidArgument" && (what != "deletes" || api.ErrorCode() != "MalformedXML") {
				t.Errorf("%s of the version %q: %v", what, id, err)
			}
		}
	}
	s.want(s.admin(), "theirs", "secret", "classified")
	s.want(s.admin(), "mine", "own", "public knowledge")
}

// TestAttackDeleteObjectsElsewhere: names in the document of a DeleteObjects are keys like others.
func TestAttackDeleteObjectsElsewhere(t *testing.T) {
	s, role := limited(t)
	for _, key := range []string{"../theirs/secret", "x/../../theirs/secret", ".sgwtmp/multipart", "a//../../theirs/secret"} {
		_, err := role.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("mine"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
		wantCode(t, err, "InvalidArgument")
	}
	s.want(s.admin(), "theirs", "secret", "classified")
}

func TestDeleteObjectsSaysWhatWasAskedFor(t *testing.T) {
	s := start(t)
	c := s.admin()
	s.bucket(c, "deletes")
	s.put(c, "deletes", "a", "x")
	s.put(c, "deletes", "b", "x")
	remove := func(quiet bool, keys ...string) (*awss3.DeleteObjectsOutput, error) {
		var ids []types.ObjectIdentifier
		for _, k := range keys {
			ids = append(ids, types.ObjectIdentifier{Key: &k})
		}
		return c.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("deletes"), Delete: &types.Delete{Objects: ids, Quiet: &quiet}})
	}
	if r, err := remove(false, "a", "none"); err != nil || len(r.Deleted) != 2 || len(r.Errors) != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := remove(true, "b"); err != nil || len(r.Deleted) != 0 || len(r.Errors) != 0 {
		t.Errorf("quiet: %+v %v", r, err)
	}
	if list, err := c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("deletes")}); err != nil || len(list.Contents) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	s.authority.add("AKIAHALF000000000000", "", account, "half", "s3:DeleteObject arn:aws:s3:::deletes/a")
	s.put(c, "deletes", "a", "x")
	s.put(c, "deletes", "b", "x")
	half := s.as("AKIAHALF000000000000")
	r, err := half.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("deletes"), Delete: &types.Delete{Quiet: aws.Bool(true),
		Objects: []types.ObjectIdentifier{{Key: aws.String("a")}, {Key: aws.String("b")}}}})
	if err != nil || len(r.Deleted) != 0 || len(r.Errors) != 1 || *r.Errors[0].Key != "b" || *r.Errors[0].Code != "AccessDenied" {
		t.Errorf("errors are said quietly too: %+v %v", r, err)
	}
	_, err = remove(false)
	if err == nil {
		t.Error("none at all")
	}
	_, err = remove(false, make([]string, 1001)...)
	wantCode(t, err, "MalformedXML")
}
