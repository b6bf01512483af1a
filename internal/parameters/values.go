package parameters

import (
	"context"
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Put is what PutParameter takes. What is nil or empty stays as it was in the version before.
type Put struct {
	Scope
	Name           string
	Value          string
	Type           Type
	KeyID          string
	Description    *string
	AllowedPattern *string
	DataType       string
	Tier           Tier
	Policies       string // refused, except for empty lists
	Tags           map[string]string
	Overwrite      bool
	By             string // ARN of the caller
}

// Put makes a parameter, or with Overwrite a new version of it, and returns the version.
func (s *Service) Put(ctx context.Context, in Put) (Version, error) {
	in.Name = strings.TrimSpace(in.Name)
	if err := in.check(); err != nil {
		return Version{}, err
	}
	p, err := s.o.Store.ChangeParameter(ctx, in.Scope, in.Name, MaxParameters, func(p *Parameter) error {
		v := Version{Number: 1, Tier: Standard, DataType: "text"}
		if len(p.Versions) > 0 {
			if !in.Overwrite {
				return fault.New(AlreadyExists, "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
			}
			last := p.Last()
			v = Version{Number: last.Number + 1, Type: last.Type, Tier: last.Tier, DataType: last.DataType, KeyID: last.KeyID, Description: last.Description, AllowedPattern: last.AllowedPattern}
		} else {
			p.Tags = in.Tags
		}
		if err := in.fill(&v); err != nil {
			return err
		}
		v.ModifiedAt, v.ModifiedBy, v.Value = s.now(), in.By, []byte(in.Value)
		if v.Type == SecureString {
			v.Value = s.o.Seal.Seal(v.Value, binding(p, v.Number)...)
		}
		p.Versions = append(p.Versions, v)
		return p.forget()
	})
	if err != nil {
		return Version{}, err
	}
	return *p.Last(), nil
}

// now is the time in the precision in which clients see it.
func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

func binding(p *Parameter, number int64) []string {
	return []string{"ssm", p.Account, p.Region, p.Name, strconv.FormatInt(number, 10)}
}

// check refuses what is wrong with a request whatever was before. Messages never repeat the value.
func (in *Put) check() error {
	if err := checkNew(in.Scope, in.Name); err != nil {
		return err
	}
	switch {
	case in.Overwrite && len(in.Tags) > 0:
		return fault.New(fault.Validation, "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. "+
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case strings.Contains(in.Value, "{{"):
		return fault.New(fault.Validation, "Parameter value: can't reference or nest other parameters with {{}}.")
	case in.Policies != "" && !slices.Contains([]string{"[]", "{}", "[{}]"}, strings.Join(strings.Fields(in.Policies), "")):
		return fault.New(InvalidPolicyType, "This server has no parameter policies: leave out Policies, or delete the parameter when it is no longer needed.")
	}
	return checkTags(in.Tags)
}

// fill gives a version what the request says, and checks the value against it.
func (in *Put) fill(v *Version) error {
	if in.Type != "" {
		v.Type = in.Type
	}
	if in.DataType != "" {
		v.DataType = in.DataType
	}
	if in.Description != nil {
		v.Description = *in.Description
	}
	if in.AllowedPattern != nil {
		v.AllowedPattern = *in.AllowedPattern
	}
	switch {
	case v.Type == "":
		return fault.New(fault.Validation, "A parameter type is required when you create a parameter.")
	case v.Type != SecureString && in.KeyID != "":
		return fault.New(fault.Validation, "KeyId is required for SecureString type parameter only.")
	case v.Type != SecureString:
		v.KeyID = ""
	case in.KeyID != "":
		v.KeyID = in.KeyID
	case v.KeyID == "":
		v.KeyID = DefaultKey
	}
	if err := in.tier(v); err != nil {
		return err
	}
	if err := in.matches(v.AllowedPattern); err != nil {
		return err
	}
	return checkDataType(v.DataType, v.Type, in.Value)
}

// tier finds the tier of a version: a parameter never goes back from Advanced to Standard.
func (in *Put) tier(v *Version) error {
	switch {
	case in.Tier == Standard && v.Tier == Advanced:
		return fault.New(fault.Validation, "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. "+
			"If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
	case in.Tier == Advanced, in.Tier == Intelligent && len(in.Value) > MaxStandard:
		v.Tier = Advanced
	}
	if v.Tier == Standard && len(in.Value) > MaxStandard {
		return fault.New(fault.Validation, "Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. "+
			"For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html", MaxStandard)
	}
	if len(in.Value) > MaxAdvanced {
		return fault.New(fault.Validation, "Advanced tier parameters support a maximum parameter value of %d characters.", MaxAdvanced)
	}
	return nil
}

// matches checks the value (a list as a whole) against a pattern. Patterns are those of RE2, whose time is linear: one with a lookaround or a back reference is not taken.
func (in *Put) matches(pattern string) error {
	if pattern == "" {
		return nil
	}
	_, err := regexp.Compile(pattern) // by itself first: ")|(" would end the group that is put around it
	var re *regexp.Regexp
	if err == nil {
		re, err = regexp.Compile(`\A(?:` + pattern + `)\z`)
	}
	if err != nil {
		return fault.New(InvalidPattern, "The AllowedPattern is not a regular expression that this server knows (RE2: no lookaround, no back references).").With(err)
	}
	if !re.MatchString(in.Value) {
		return fault.New(PatternMismatch, "Parameter value, cannot be validated against allowedPattern: %s", pattern)
	}
	return nil
}

// forget removes the oldest version beyond the limit, unless a label holds it.
func (p *Parameter) forget() error {
	if len(p.Versions) <= MaxVersions {
		return nil
	}
	if oldest := p.Versions[0]; len(oldest.Labels) > 0 {
		return fault.New(MaxVersionExceeded, "You attempted to create a new version of %s by calling the PutParameter API with the overwrite flag. Version %d, the oldest version, can't be deleted "+
			"because it has a label associated with it. Move the label to another version of the parameter, and try again.", p.Name, oldest.Number)
	}
	p.Versions = slices.Delete(p.Versions, 0, 1)
	return nil
}

// Found is a version of a parameter as a client asked for it.
type Found struct {
	Parameter Parameter
	Version   Version
	Selector  string
	Value     string // of a SecureString that was not to be decrypted: the sealed value in base64
}

// Get returns the version that a reference means: NotFound, or VersionNotFound.
func (s *Service) Get(ctx context.Context, r Reference, decrypt bool) (Found, error) {
	p, err := s.Parameter(ctx, r)
	if err != nil {
		return Found{}, err
	}
	v, err := r.choose(&p)
	if err != nil {
		return Found{}, err
	}
	return s.found(p, *v, r.Selector, decrypt)
}

// Parameter returns the parameter that a reference means, whatever its selector says: NotFound if there is none.
func (s *Service) Parameter(ctx context.Context, r Reference) (Parameter, error) {
	p, err := s.o.Store.Parameter(ctx, r.Scope, r.Name)
	if fault.Is(err, NotFound) && r.either != "" {
		p, err = s.o.Store.Parameter(ctx, r.Scope, r.either)
	}
	if fault.Is(err, NotFound) {
		return p, notFound(r.Name)
	}
	return p, err
}

func notFound(name string) error { return fault.New(NotFound, "Parameter %s not found.", name) }

func (s *Service) found(p Parameter, v Version, selector string, decrypt bool) (Found, error) {
	value, err := s.reveal(&p, &v, decrypt)
	return Found{Parameter: p, Version: v, Selector: selector, Value: value}, err
}

// reveal returns a version's value as clients see it.
func (s *Service) reveal(p *Parameter, v *Version, decrypt bool) (string, error) {
	if v.Type != SecureString {
		return string(v.Value), nil
	}
	if !decrypt {
		return base64.StdEncoding.EncodeToString(v.Value), nil
	}
	plain, err := s.o.Seal.Open(v.Value, binding(p, v.Number)...)
	if err != nil {
		return "", fault.New(InvalidKeyID, "The value of %s can't be decrypted with the key of this installation.", p.Name).With(err)
	}
	return string(plain), nil
}

// Delete removes a parameter with all its versions: NotFound if there is none.
func (s *Service) Delete(ctx context.Context, r Reference) error {
	found, err := s.o.Store.DeleteParameter(ctx, r.Scope, r.Name)
	if err == nil && !found && r.either != "" {
		found, err = s.o.Store.DeleteParameter(ctx, r.Scope, r.either)
	}
	if err == nil && !found {
		return notFound(r.Name)
	}
	return err
}
