package registry_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/registry"
)

func itoa(n int) string { return strconv.Itoa(n) }

const ann, bob = "arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:user/bob"

func TestUploadGoesOnAfterARestart(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	upload, err := in.Begin(ctx, agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := in.Append(ctx, agent, ann, upload, 0, strings.NewReader("first, ")); err != nil || n != 7 {
		t.Fatal(n, err)
	}
	in.restart(registry.Limits{})
	if n, err := in.Received(ctx, agent, ann, upload); err != nil || n != 7 {
		t.Fatal(n, err)
	}
	n, err := in.Append(ctx, agent, ann, upload, 6, strings.NewReader("x"))
	wantCode(t, err, registry.InvalidLayerPart)
	if n != 7 {
		t.Error("the answer must say where to go on:", n)
	}
	// A client that goes away in the middle leaves what has come.
	n, err = in.Append(ctx, agent, ann, upload, 7, io.MultiReader(strings.NewReader("then "), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != 12 {
		t.Error(n, err)
	}
	if n, err := in.Append(ctx, agent, ann, upload, -1, strings.NewReader("last")); err != nil || n != 16 {
		t.Error(n, err)
	}
	const all = "first, then last"
	b, err := in.Finish(ctx, agent, ann, upload, false, registry.Digest([]byte(all)))
	if err != nil || b.Size != int64(len(all)) || !in.has(agent, all) {
		t.Error(b, err)
	}
	_, err = in.Received(ctx, agent, ann, upload)
	wantCode(t, err, registry.UploadNotFound)
}

func TestAttackUploadOfAnotherPrincipal(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	upload, err := in.Begin(ctx, agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.Append(ctx, agent, bob, upload, 0, strings.NewReader("x"))
	wantCode(t, err, registry.UploadNotFound)
	_, err = in.Received(ctx, agent, bob, upload)
	wantCode(t, err, registry.UploadNotFound)
	_, err = in.Finish(ctx, agent, bob, upload, true, registry.Digest(nil))
	wantCode(t, err, registry.UploadNotFound)
	wantCode(t, in.Cancel(ctx, agent, bob, upload), registry.UploadNotFound)
	_, err = in.Append(ctx, other, ann, upload, 0, strings.NewReader("x")) // nor in another repository
	wantCode(t, err, registry.UploadNotFound)
	for _, id := range []string{"", ".", "..", "../token.key", "x", strings.ToUpper(upload)} {
		_, err := in.Append(ctx, agent, ann, id, 0, strings.NewReader("x"))
		wantCode(t, err, registry.UploadNotFound)
	}
	if err := in.Cancel(ctx, agent, ann, upload); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir(filepath.Join(in.dir, "uploads")); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
}

func TestAttackDigestMismatch(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	upload, err := in.Begin(ctx, agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Append(ctx, agent, ann, upload, 0, strings.NewReader("evil")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "sha256:..", "sha512:" + strings.Repeat("a", 128), strings.ToUpper(registry.Digest([]byte("evil")))} {
		_, err := in.Finish(ctx, agent, ann, upload, true, d)
		wantCode(t, err, registry.InvalidLayer)
	}
	_, err = in.Finish(ctx, agent, ann, upload, true, registry.Digest([]byte("evil")), registry.Digest([]byte("good")))
	wantCode(t, err, registry.InvalidLayer)
	if in.has(agent, "good") || in.has(agent, "evil") {
		t.Error("there is a blob of it")
	}
	_, err = in.Received(ctx, agent, ann, upload)
	wantCode(t, err, registry.UploadNotFound)
}

func TestAttackBlobOfAnotherRepository(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	in.put(other, "v1", "secret")
	secret := registry.Digest([]byte("secret"))
	if in.has(agent, "secret") {
		t.Fatal("a digest opens what another repository has")
	}
	_, err := in.Put(ctx, agent, registry.NewImage{Manifest: manifest(registry.Descriptor{Digest: secret, Size: 6}), Tag: "v1"})
	wantCode(t, err, registry.LayersNotFound)
	_, err = in.Mount(ctx, agent, agent, secret)
	wantCode(t, err, registry.LayersNotFound)
	if b, err := in.Mount(ctx, other, agent, secret); err != nil || b.Size != 6 || !in.has(agent, "secret") {
		t.Error(b, err)
	}
	_, err = in.Put(ctx, agent, registry.NewImage{Manifest: manifest(registry.Descriptor{Digest: secret, Size: 7})})
	wantCode(t, err, registry.InvalidParameter) // a size that is not the blob's
}

func TestAttackTooLargeALayerAndTooManyUploads(t *testing.T) {
	l := registry.DefaultLimits
	l.Layer, l.Uploads = 10, 2
	in := open(t, l)
	ctx := t.Context()
	upload, err := in.Begin(ctx, agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.Append(ctx, agent, ann, upload, 0, strings.NewReader("eleven bytes"))
	wantCode(t, err, registry.LimitExceeded)
	if _, err := in.Begin(ctx, agent, ann); err != nil {
		t.Error(err)
	}
	_, err = in.Begin(ctx, agent, ann)
	wantCode(t, err, registry.LimitExceeded)
}

// blocked is a body that comes when it is let.
type blocked struct{ begun, end chan struct{} }

func (b blocked) Read([]byte) (int, error) {
	close(b.begun)
	<-b.end
	return 0, io.EOF
}

func TestOneWriterAtATime(t *testing.T) {
	in := open(t, registry.Limits{})
	ctx := t.Context()
	upload, err := in.Begin(ctx, agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	b := blocked{make(chan struct{}), make(chan struct{})}
	first := make(chan error)
	go func() {
		_, err := in.Append(ctx, agent, ann, upload, 0, b)
		first <- err
	}()
	<-b.begun
	_, err = in.Append(ctx, agent, ann, upload, 0, strings.NewReader("x"))
	wantCode(t, err, registry.InvalidLayerPart)
	in.sweepBeside(t)
	close(b.end)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// sweepBeside sweeps while somebody writes: it must neither wait nor take the upload.
func (in *installation) sweepBeside(t *testing.T) {
	t.Helper()
	if err := in.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUploadsThatRestAreSwept(t *testing.T) {
	l := registry.DefaultLimits
	l.Idle = -time.Hour
	in := open(t, l)
	ctx := t.Context()
	upload, err := in.Begin(ctx, agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = in.Append(ctx, agent, ann, upload, 0, strings.NewReader("x"))
	wantCode(t, err, registry.UploadNotFound)
}

func TestEmptyUpload(t *testing.T) {
	in := open(t, registry.Limits{})
	upload, err := in.Begin(t.Context(), agent, ann)
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.Finish(t.Context(), agent, ann, upload, false, registry.Digest(nil))
	wantCode(t, err, registry.EmptyUpload)
	if _, err := in.Finish(t.Context(), agent, ann, upload, true, registry.Digest(nil)); err != nil || !in.has(agent, "") {
		t.Error(err)
	}
}
