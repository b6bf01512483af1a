package secretsmanager_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/sealed"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/store"
)

// BenchmarkService measures what one call costs without HTTP: the store on disk, each write synced.
func BenchmarkService(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	key, err := sealed.LoadKey(filepath.Join(b.TempDir(), "sealing.key"))
	if err != nil {
		b.Fatal(err)
	}
	s := secrets.New(secrets.Options{Store: db, Seal: key})
	scope := secrets.Scope{Account: account, Region: region}
	value := secrets.Text(strings.Repeat("x", 1024))
	for i := range 1000 {
		if _, _, err := s.Create(b.Context(), secrets.NewSecret{Scope: scope, Name: fmt.Sprint("s", i), Value: value}); err != nil {
			b.Fatal(err)
		}
	}
	for name, call := range map[string]func() error{
		"GetSecretValue": func() error { _, _, _, err := s.Value(b.Context(), scope, "s7", secrets.Get{}); return err },
		"PutSecretValue": func() error { _, _, err := s.Put(b.Context(), scope, "s8", secrets.Put{Value: value}); return err },
		"ListSecrets/1000": func() error {
			_, _, err := s.List(b.Context(), scope, secrets.List{Limit: 100, Filters: []secrets.Filter{{Key: secrets.ByName, Values: []string{"s9"}}}})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
