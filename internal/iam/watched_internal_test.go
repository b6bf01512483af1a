package iam

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// harmless are the methods of Store that make nothing untrue which was read before: those that read, those that add what nothing can have asked for with success, and the time of a last use, which counts for
// no decision. Every other method must let what is in memory count no more; a new one belongs into this list, or into watched.
var harmless = []string{
	"Entity", "Entities", "Inline", "Inlines", "Policy", "Policies", "Version", "Versions", "Attached", "AttachedTo", "Members", "Holders", "AccessKeys", "AccessKeyUse", "Credential", "Documents",
	"CreateEntity", "CreatePolicy", "CreateAccessKey", "CreateTemporary", "ChangePolicyTags", "Used",
}

func TestEveryChangeIsCounted(t *testing.T) {
	var silent []string
	for m := range reflect.TypeFor[Store]().Methods() {
		w := &watched{}
		call(reflect.ValueOf(w).MethodByName(m.Name))
		if w.version() == 0 {
			silent = append(silent, m.Name)
		}
	}
	slices.Sort(silent)
	want := slices.Sorted(slices.Values(harmless))
	if d := cmp.Diff(want, silent); d != "" {
		t.Errorf("methods of Store that are not counted as changes: %s", d)
	}
}

// call calls a method of a store that is not there: it fails where the method reaches for it, after or before the change has been counted.
func call(method reflect.Value) {
	defer func() { _ = recover() }()
	in := make([]reflect.Value, method.Type().NumIn())
	for i := range in {
		in[i] = reflect.Zero(method.Type().In(i))
	}
	method.Call(in)
}

func TestWhatIsKnownIsBounded(t *testing.T) {
	k := newKnown[int](2)
	k.put(1, "a", 1)
	k.put(1, "b", 2)
	if _, ok := k.get(1, "a"); !ok {
		t.Error("forgotten too early")
	}
	k.put(1, "c", 3)
	if len(k.items) > 2 {
		t.Error(k.items)
	}
	if v, ok := k.get(1, "c"); !ok || v != 3 {
		t.Error(v, ok)
	}
	if _, ok := k.get(2, "c"); ok {
		t.Error("a later version has what an earlier one had")
	}
	k.put(2, "c", 4)
	k.put(1, "d", 5) // read before the change, and late
	if _, ok := k.get(2, "d"); ok {
		t.Error("what was read before a change is taken for true after it")
	}
	if v, ok := k.get(2, "c"); !ok || v != 4 {
		t.Error(v, ok)
	}
}
