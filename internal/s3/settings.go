package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// settings is what a bucket has beside its data. A value is never changed once it is in the store: it is replaced.
type settings struct {
	Owner   string    `json:"owner"` // account id
	Region  string    `json:"region"`
	Created time.Time `json:"created"`
	Policy  string    `json:"policy,omitempty"` // JSON, as it was put
	// Documents are the configurations in XML by the name of their subresource, as they were put.
	Documents map[string]string `json:"documents,omitempty"`
}

// clone returns a copy that may be changed.
func (s settings) clone() settings {
	s.Documents = maps.Clone(s.Documents)
	if s.Documents == nil {
		s.Documents = map[string]string{}
	}
	return s
}

// settingsStore keeps the settings of buckets: one file each, replaced atomically, and all of them in memory.
type settingsStore struct {
	dir string

	mu      sync.RWMutex
	buckets map[string]settings

	// write makes changes queue; it is held over file operations, mu is not.
	write sync.Mutex
}

const settingsSuffix = ".json"

// openSettings reads the settings in a folder. Those of buckets that do not exist are what a crash left, and are removed.
func openSettings(dir string, exists func(bucket string) bool) (*settingsStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the bucket settings: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("bucket settings: %w", err)
	}
	s := &settingsStore{dir: dir, buckets: map[string]settings{}}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		bucket, ok := strings.CutSuffix(e.Name(), settingsSuffix)
		if !ok || !exists(bucket) {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("bucket settings without a bucket: %w", err)
			}
			continue
		}
		data, err := os.ReadFile(path) // #nosec: a name from the folder itself
		if err != nil {
			return nil, fmt.Errorf("settings of bucket %s: %w", bucket, err)
		}
		var v settings
		if err := json.Unmarshal(data, &v); err != nil {
			return nil, fmt.Errorf("settings of bucket %s: %w", bucket, err)
		}
		s.buckets[bucket] = v
	}
	return s, nil
}

func (s *settingsStore) get(bucket string) (settings, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.buckets[bucket]
	return v, ok
}

// owned returns the settings of an account's buckets, by name.
func (s *settingsStore) owned(account string) map[string]settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	own := map[string]settings{}
	for name, v := range s.buckets {
		if v.Owner == account {
			own[name] = v
		}
	}
	return own
}

// change replaces a bucket's settings by what f makes of them. Nothing is changed if f or the disk fails.
func (s *settingsStore) change(bucket string, f func(*settings) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	old, ok := s.get(bucket)
	if !ok {
		return errNoSuchBucket(bucket)
	}
	v := old.clone()
	if err := f(&v); err != nil {
		return err
	}
	return s.store(bucket, v)
}

func (s *settingsStore) put(bucket string, v settings) error {
	s.write.Lock()
	defer s.write.Unlock()
	return s.store(bucket, v)
}

func (s *settingsStore) store(bucket string, v settings) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("settings of bucket %s: %w", bucket, err)
	}
	if err := replaceFile(filepath.Join(s.dir, bucket+settingsSuffix), data); err != nil {
		return fmt.Errorf("settings of bucket %s: %w", bucket, err)
	}
	s.mu.Lock()
	s.buckets[bucket] = v
	s.mu.Unlock()
	return nil
}

func (s *settingsStore) remove(bucket string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := os.Remove(filepath.Join(s.dir, bucket+settingsSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("settings of bucket %s: %w", bucket, err)
	}
	s.mu.Lock()
	delete(s.buckets, bucket)
	s.mu.Unlock()
	return nil
}

// replaceFile writes a file beside its place, makes it durable, and moves it there.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in a folder durable. Some file systems cannot, and say EINVAL.
func syncDir(path string) error {
	d, err := os.Open(path) // #nosec: a folder of our own
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
