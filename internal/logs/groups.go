package logs

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The classes that groups may have here. AWS restricts what can be asked of groups with infrequent access; here they are as good as the others.
const (
	Standard         = "STANDARD"
	InfrequentAccess = "INFREQUENT_ACCESS"
)

// Group is a log group.
type Group struct {
	Scope
	Name          string
	Created       int64 // milliseconds since 1970
	RetentionDays int   // 0 keeps events for ever
	Class         string
	Protected     bool // cannot be deleted
	Tags          map[string]string
	StoredBytes   int64 `json:"-"` // of messages, and 26 for each event
}

// ARN is the group's ARN with :* at the end, as most operations give it.
func (g Group) ARN() string { return GroupARN(g.Scope, g.Name) + ":*" }

// CreateGroup makes a group of a scope, name, class ("" is STANDARD), protection, tags and retention. The errors are AlreadyExists, InvalidParameter and LimitExceeded.
func (s *Service) CreateGroup(_ context.Context, n Group) error {
	if n.Class == "" {
		n.Class = Standard
	}
	if n.Class != Standard && n.Class != InfrequentAccess {
		return Invalid("logGroupClass", n.Class, "Member must satisfy enum value set: [%s, %s] on this server", Standard, InfrequentAccess)
	}
	if n.RetentionDays != 0 {
		if err := checkRetention(n.RetentionDays); err != nil {
			return err
		}
	}
	if err := checkGroupName("logGroupName", n.Name); err != nil {
		return err
	}
	if err := checkTags(n.Tags); err != nil {
		return err
	}
	n.Created, n.Tags = s.now(), maps.Clone(n.Tags)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	key := groupKey{n.Scope, n.Name}
	if s.groups[key] != nil {
		return fault.New(AlreadyExists, "The specified log group already exists")
	}
	have := 0
	for k := range s.groups {
		if k.Scope == n.Scope {
			have++
		}
	}
	if have >= maxGroups {
		return fault.New(LimitExceeded, "Resource limit exceeded.")
	}
	g := newGroup(s, s.lastGroup+1, n)
	g.dir = filepath.Join(s.o.Dir, folderName(g.id))
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return fault.Wrap(err, "create log group %s", n.Name)
	}
	if err := s.catalog.putGroup(g.id, n, true); err != nil {
		return fault.Wrap(errors.Join(err, os.Remove(g.dir)), "create log group %s", n.Name)
	}
	s.lastGroup, s.groups[key] = g.id, g
	return nil
}

var errClosed = errors.New("the log store is closed")

// DeleteGroup deletes a group with all that is in it, and frees its space. A protected group is not deleted.
func (s *Service) DeleteGroup(_ context.Context, scope Scope, name string) error {
	g, err := s.group(scope, name)
	if err != nil {
		return err
	}
	if err := s.unlink(g); err != nil {
		return err
	}
	g.upkeep.Lock()
	defer g.upkeep.Unlock()
	g.files.Lock()
	defer g.files.Unlock()
	g.mu.Lock()
	open := g.unlisted
	if g.writer != nil {
		open = append(open, unlisted{g.active, g.writer})
	}
	g.unlisted, g.writer, g.active, g.segments = nil, nil, nil, nil
	g.mu.Unlock()
	for _, u := range open {
		if u.writer != nil {
			_ = u.writer.Discard()
		}
	}
	if err := os.RemoveAll(g.dir); err != nil { // the group is gone; its folder goes at the next start
		s.o.Log.Error("the folder of a deleted log group could not be removed", "group", name, "error", err)
	}
	return nil
}

// unlink makes a group unknown.
func (s *Service) unlink(g *group) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.gone:
		return noGroup()
	case g.info.Protected:
		return fault.New(fault.Validation, "The log group is protected against deletion: disable deletionProtectionEnabled first.")
	}
	if err := s.catalog.dropGroup(g); err != nil {
		return fault.Wrap(err, "delete log group %s", g.name)
	}
	delete(s.groups, groupKey{g.info.Scope, g.name})
	g.gone = true
	g.wake()
	return nil
}

// Group returns one group.
func (s *Service) Group(_ context.Context, scope Scope, name string) (Group, error) {
	g, err := s.group(scope, name)
	if err != nil {
		return Group{}, err
	}
	return g.snapshot(), nil
}

func (g *group) snapshot() Group {
	g.mu.RLock()
	defer g.mu.RUnlock()
	info := g.info
	info.Tags = maps.Clone(info.Tags)
	for _, st := range g.streams {
		info.StoredBytes += st.bytes
	}
	return info
}

// GroupQuery says which groups are listed; what is empty does not restrict.
type GroupQuery struct {
	Prefix   string
	Contains string // in the name; not together with Prefix
	Class    string
	Names    []string
}

// Page is a part of a list: at most Limit items (0 is 50, which is also the most) after those that Token stands for.
type Page struct {
	Limit int
	Token string
}

const pageLimit = 50

// cut returns the page of names that are in order, and the token of the next.
func (p Page) cut(names []string) (page []string, next string, err error) {
	if p.Limit == 0 {
		p.Limit = pageLimit
	}
	if p.Limit < 1 || p.Limit > pageLimit {
		return nil, "", limitError(p.Limit, pageLimit)
	}
	from := 0
	if p.Token != "" {
		after, err := base64.RawURLEncoding.DecodeString(p.Token)
		if err != nil || len(after) == 0 {
			return nil, "", invalid("The specified nextToken is invalid.")
		}
		var found bool
		if from, found = slices.BinarySearch(names, string(after)); found {
			from++
		}
	}
	names = names[from:]
	if len(names) > p.Limit {
		names = names[:p.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(names[len(names)-1]))
	}
	return names, next, nil
}

// Groups lists groups in the order of their names.
func (s *Service) Groups(_ context.Context, scope Scope, q GroupQuery, p Page) (groups []Group, next string, err error) {
	if q.Prefix != "" && q.Contains != "" {
		return nil, "", invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if q.Prefix != "" {
		if err := checkGroupName("logGroupNamePrefix", q.Prefix); err != nil {
			return nil, "", err
		}
	}
	if q.Contains != "" {
		if err := checkGroupName("logGroupNamePattern", q.Contains); err != nil {
			return nil, "", err
		}
	}
	found := map[string]*group{}
	s.mu.RLock()
	for k, g := range s.groups {
		if k.Scope == scope && strings.HasPrefix(k.name, q.Prefix) && strings.Contains(k.name, q.Contains) && (q.Names == nil || slices.Contains(q.Names, k.name)) {
			found[k.name] = g
		}
	}
	s.mu.RUnlock()
	maps.DeleteFunc(found, func(_ string, g *group) bool { return q.Class != "" && g.class != q.Class })
	names, next, err := p.cut(slices.Sorted(maps.Keys(found)))
	if err != nil {
		return nil, "", err
	}
	groups = make([]Group, 0, len(names))
	for _, name := range names {
		groups = append(groups, found[name].snapshot())
	}
	return groups, next, nil
}

// change changes what is known of a group, on the disk first.
func (s *Service) change(scope Scope, name string, f func(*Group) error) error {
	g, err := s.group(scope, name)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return noGroup()
	}
	info := g.info
	info.Tags = maps.Clone(info.Tags)
	if err := f(&info); err != nil {
		return err
	}
	if err := s.catalog.putGroup(g.id, info, false); err != nil {
		return fault.Wrap(err, "change log group %s", name)
	}
	g.info = info
	return nil
}

// SetRetention keeps events of a group for a number of days (see Retentions), and with 0 for ever. Events that are older are no longer returned at once.
func (s *Service) SetRetention(_ context.Context, scope Scope, name string, days int) error {
	if days != 0 {
		if err := checkRetention(days); err != nil {
			return err
		}
	}
	return s.change(scope, name, func(g *Group) error { g.RetentionDays = days; return nil })
}

// SetProtection protects a group against deletion, or no longer.
func (s *Service) SetProtection(_ context.Context, scope Scope, name string, protected bool) error {
	return s.change(scope, name, func(g *Group) error { g.Protected = protected; return nil })
}

// Tag adds tags to a group; values of keys that it has are replaced.
func (s *Service) Tag(_ context.Context, scope Scope, name string, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.change(scope, name, func(g *Group) error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		maps.Copy(g.Tags, tags)
		if len(g.Tags) > maxTags {
			return fault.New(TooManyTags, "The resource %s can have no more than %d tags.", GroupARN(scope, name), maxTags)
		}
		return nil
	})
}

// Untag removes tags from a group; keys that it does not have are no error.
func (s *Service) Untag(_ context.Context, scope Scope, name string, keys []string) error {
	return s.change(scope, name, func(g *Group) error {
		maps.DeleteFunc(g.Tags, func(k, _ string) bool { return slices.Contains(keys, k) })
		return nil
	})
}
