package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Reap implements sandbox.Driver. It goes by paths, never by remembered process ids: a process belongs to a dead server's sandbox if it is in
// the sandbox's control group, or if it is a runsc whose state folder is the sandbox's.
func (d *Driver) Reap(ctx context.Context) ([]string, error) {
	ids, err := d.leftovers()
	if err != nil {
		return nil, fmt.Errorf("looking for sandboxes of an earlier server: %w", err)
	}
	var reaped []string
	var errs []error
	for _, id := range ids {
		if err := d.reap(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("removing sandbox %s of an earlier server: %w", id, err))
			continue
		}
		reaped = append(reaped, id)
	}
	if err := d.removeStrays(); err != nil {
		errs = append(errs, err)
	}
	return reaped, errors.Join(errs...)
}

// leftovers lists the ids of all sandboxes of which anything exists and which are not this driver's.
func (d *Driver) leftovers() ([]string, error) {
	var ids []string
	for _, dir := range []string{d.runRoot(), d.dataRoot()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			ids = append(ids, e.Name())
		}
	}
	if d.cgroups != nil {
		names, err := d.cgroups.Names()
		if err != nil {
			return nil, err
		}
		ids = append(ids, names...)
	}
	if _, err := scan(func(root string) bool {
		if id, ok := d.idOf(root); ok {
			ids = append(ids, id)
		}
		return false
	}); err != nil {
		return nil, err
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return !validID.MatchString(id) || d.owns(id) }), nil
}

// idOf returns the id of the sandbox whose runsc state folder is root.
func (d *Driver) idOf(root string) (string, bool) {
	rest, ok := strings.CutPrefix(root, d.runRoot()+"/")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "/runsc")
}

func (d *Driver) reap(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	b := d.box(id)
	errs := []error{b.sweep(ctx), b.unmountRoot()} // by state folder
	if d.cgroups != nil {
		b.cgroup = d.cgroups.Group(id)
		errs = append(errs, b.sweep(ctx), b.cgroup.Remove(ctx)) // and by control group
	}
	// The folders last: as long as anything else is left, they make the next Reap find it.
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(b.run), os.RemoveAll(b.data))
}

// removeStrays removes executables of other versions, and copies of one that were cut short.
func (d *Driver) removeStrays() error {
	var paths []string
	for _, pattern := range []string{guestPrefix + "*", runscPrefix + "*"} {
		found, err := filepath.Glob(filepath.Join(d.opts.DataDir, pattern))
		if err != nil {
			return err
		}
		paths = append(paths, found...)
	}
	var errs []error
	for _, path := range paths {
		if path != d.guest && path != d.runsc {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}
