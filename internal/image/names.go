package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const namesFile = "names.json"

// readNames returns the names and the ids they stand for. It needs no lock: the file is only ever replaced as a whole.
func (s *Store) readNames() (map[string]string, error) {
	names := map[string]string{}
	file := filepath.Join(s.dir, namesFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &names); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return names, nil
}

// editNames changes the names under the store's lock.
func (s *Store) editNames(ctx context.Context, edit func(map[string]string)) error {
	if err := s.makeDir(); err != nil {
		return err
	}
	lock, err := waitDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	names, err := s.readNames()
	if err != nil {
		return err
	}
	edit(names)
	b, err := json.MarshalIndent(names, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, namesFile), append(b, '\n'))
}

// writeFile replaces a file so that a crash leaves the old or the new content.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after the rename
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}
