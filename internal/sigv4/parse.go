package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	longDate   = "20060102T150405Z"
	shortDate  = "20060102"
	maxExpires = 7 * 24 * time.Hour
)

// Scope is the credential scope of a signature.
type Scope struct {
	Date    string // yyyymmdd
	Region  string
	Service string // signing name: "bedrock-agentcore", "s3", "sts"
}

// String returns the scope as a string to sign has it.
func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// ScopeOf reads the credential scope that a request claims, header-signed or presigned, without verifying anything: for routing before Verify.
// ok is false when it carries none that can be read.
func ScopeOf(r *http.Request) (s Scope, ok bool) {
	c, _ := parse(r)
	return c.scope, c.scope.Service != ""
}

// claim is what a request says about its signature.
type claim struct {
	accessKeyID string
	scope       Scope
	term        string // the scope's terminator, as claimed
	signed      []string
	signature   string
	presigned   bool
	token       string
	hash        string // x-amz-content-sha256, "" when absent
	time        time.Time
	stamp       string        // time as yyyymmddThhmmssZ
	expires     time.Duration // presigned only; negative when not said
}

// parse reads a request's claim. On failure it returns as much of it as it could read: the scope says in which family to refuse.
func parse(r *http.Request) (claim, *refusal) {
	q := authParams(r.URL.RawQuery)
	headers := r.Header["Authorization"]
	switch {
	case len(headers) == 0 && len(q) == 0:
		return claim{}, refuse(MissingAuth)
	case len(headers) > 1 || len(headers) > 0 && len(q) > 0:
		var c claim
		if scheme, rest, _ := strings.Cut(headers[0], " "); scheme == algorithm {
			c, _ = parseAuthorization(rest)
		} else if len(q) > 0 {
			c, _ = parseQuery(q)
		}
		return c, refuse(MultipleAuth)
	case len(q) > 0:
		c, bad := parseQuery(q)
		if bad == nil {
			bad = c.readHeaders(r.Header)
		}
		return c, bad
	}
	scheme, rest, _ := strings.Cut(headers[0], " ")
	switch {
	case scheme == algorithm:
	case scheme == "AWS" || strings.HasPrefix(scheme, "AWS4-"):
		c, _ := parseAuthorization(rest)
		return c, unsupported(scheme)
	default: // Basic, Bearer and the like
		return claim{}, refuse(MissingAuth)
	}
	c, bad := parseAuthorization(rest)
	if bad == nil {
		return c, c.readHeaders(r.Header)
	}
	if missing := c.date(r.Header); missing != nil { // AWS lists all that is missing
		bad.text += " " + missing.text
	}
	return c, bad
}

func unsupported(name string) *refusal {
	return refusef(UnsupportedAlgorithm, "Unsupported AWS 'algorithm': '%s', please sign with '%s'.", clip(name), algorithm)
}

// parseAuthorization reads what follows the algorithm: Credential=..., SignedHeaders=..., Signature=...
func parseAuthorization(s string) (claim, *refusal) {
	c := claim{expires: -1}
	var bad *refusal
	parts := map[string]string{}
	for piece := range strings.SplitSeq(s, ",") {
		piece = strings.TrimSpace(piece)
		name, value, ok := strings.Cut(piece, "=")
		_, twice := parts[name]
		switch {
		case !ok:
			bad = refusef(MalformedHeader, "'%s' not a valid key=value pair (missing equal-sign) in Authorization header.", clip(piece)).
				forS3("The authorization header is malformed; the authorization component %q is malformed.", clip(piece))
		case twice:
			bad = refusef(MalformedHeader, "Authorization header must have '%s' once.", clip(name)).
				forS3("The authorization header is malformed; the authorization component %q is malformed.", clip(piece))
		case name == "Credential" || name == "SignedHeaders" || name == "Signature": // others are ignored, and not kept
			parts[name] = value
		}
	}
	if bad != nil {
		_ = c.readCredential(parts["Credential"])
		return c, bad
	}
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
			if bad == nil {
				bad = refuse(MalformedHeader).forS3("The authorization header is malformed; missing %s.", name)
			}
		}
	}
	credential := c.readCredential(parts["Credential"])
	switch {
	case bad != nil:
		bad.text = strings.Join(missing, " ")
		return c, bad
	case credential != nil:
		credential.kind = MalformedHeader
		return c, credential.forS3("The authorization header is malformed; %s", malformedCredential)
	}
	c.signature = parts["Signature"]
	if !c.readSigned(parts["SignedHeaders"]) {
		return c, refusef(MalformedHeader, "'SignedHeaders' must be lower-case header names, each once, in order, separated by ';'.").
			forS3("The authorization header is malformed; the authorization component %q is malformed.", "SignedHeaders="+clip(parts["SignedHeaders"]))
	}
	return c, nil
}

const malformedCredential = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`

// readCredential reads keyid/date/region/service/term.
func (c *claim) readCredential(s string) *refusal {
	p := strings.Split(s, "/")
	if len(p) != 5 || !word(p[0]) || !word(p[2]) || !word(p[3]) {
		return refusef(MalformedHeader, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", clip(s))
	}
	c.accessKeyID, c.term = p[0], p[4]
	c.scope = Scope{Date: p[1], Region: p[2], Service: p[3]}
	return nil
}

// word accepts what key ids, regions and signing names are made of: they are put into logs, ARNs and messages.
func word(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !unreserved[c] {
			return false
		}
	}
	return true
}

func (c *claim) readSigned(s string) bool {
	names := strings.Split(s, ";")
	for i, n := range names {
		if !lowerToken(n) || i > 0 && names[i-1] >= n {
			return false
		}
	}
	c.signed = names
	return true
}

// lowerToken accepts an HTTP field name (RFC 9110, token) in lower case.
func lowerToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if ok := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0; !ok {
			return false
		}
	}
	return s != ""
}

// readHeaders reads what headers say about the signature and refuses those that say it twice.
func (c *claim) readHeaders(h http.Header) *refusal {
	kind := MalformedHeader
	if c.presigned {
		kind = MalformedQuery
	}
	for _, name := range []string{"X-Amz-Date", "Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Decoded-Content-Length", "X-Amz-Trailer"} {
		if len(h[name]) > 1 {
			return refusef(kind, "The request must have one '%s' header.", name).forS3("The request must have one %s header.", name)
		}
	}
	if v := h.Get("X-Amz-Content-Sha256"); v != "" {
		if c.hash != "" && c.hash != v {
			return refuse(InvalidPayloadHash)
		}
		c.hash = v
	}
	token := h.Get("X-Amz-Security-Token")
	if c.presigned {
		if token != "" && token != c.token {
			return refusef(kind, "A presigned request must carry its session token in 'X-Amz-Security-Token' of the query.").
				forS3("The session token of a presigned request must be in the query.")
		}
		return nil
	}
	c.token = token
	return c.date(h)
}

// date reads when a header-signed request was signed.
func (c *claim) date(h http.Header) *refusal {
	value, layouts := h.Get("X-Amz-Date"), []string{longDate}
	if value == "" {
		value, layouts = h.Get("Date"), []string{http.TimeFormat, time.RFC1123Z, longDate}
	}
	if value == "" {
		return refusef(BadDate, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, value); err == nil {
			c.setTime(t)
			return nil
		}
	}
	return refusef(BadDate, "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", clip(value))
}

func (c *claim) setTime(t time.Time) {
	c.time = t.UTC()
	c.stamp = c.time.Format(longDate)
}

// The query parameters that make a request a presigned one, or say how it was. Every one of them may come once.
var authNames = []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
	"X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// authParams returns the authentication parameters of a query, or none if it has neither algorithm, credential nor signature: a lone
// X-Amz-Expires is an operation's own matter.
func authParams(query string) map[string][]string {
	if !strings.Contains(query, "X-") && !strings.Contains(query, "%") {
		return nil
	}
	params := map[string][]string{}
	for piece := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(piece, "=")
		name, err := url.QueryUnescape(k)
		if err != nil || !slices.Contains(authNames, name) {
			continue
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			value = v // no algorithm, date or signature that is valid needs an escape that is not
		}
		params[name] = append(params[name], value)
	}
	if len(params["X-Amz-Algorithm"]) == 0 && len(params["X-Amz-Credential"]) == 0 && len(params["X-Amz-Signature"]) == 0 {
		return nil
	}
	return params
}

// parseQuery reads the claim of a presigned request.
func parseQuery(q map[string][]string) (claim, *refusal) {
	c := claim{presigned: true, expires: -1}
	get := func(name string) string {
		if v := q[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	credential := c.readCredential(get("X-Amz-Credential")) // first: the scope tells the family of what is refused below
	var missing []string
	for _, name := range authNames[:6] {
		switch {
		case len(q[name]) > 1:
			return c, refusef(MalformedQuery, "AWS query-string parameters must include '%s' once. Re-examine the query-string parameters.", name)
		case get(name) == "" && (name != "X-Amz-Expires" || FamilyOf(c.scope.Service) == S3):
			missing = append(missing, "AWS query-string parameters must include '"+name+"'.")
		}
	}
	for _, name := range authNames[6:] {
		if len(q[name]) > 1 {
			return c, refusef(MalformedQuery, "AWS query-string parameters must include '%s' at most once. Re-examine the query-string parameters.", name)
		}
	}
	if a := get("X-Amz-Algorithm"); a != "" && a != algorithm {
		bad := unsupported(a).forS3(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
		if FamilyOf(c.scope.Service) == S3 {
			bad.kind = MalformedQuery
		}
		return c, bad
	}
	if len(missing) > 0 {
		return c, refusef(MalformedQuery, "%s Re-examine the query-string parameters.", strings.Join(missing, " ")).
			forS3("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, " +
				"and X-Amz-Expires parameters.")
	}
	if credential != nil {
		credential.kind = MalformedQuery
		return c, credential.forS3("Error parsing the X-Amz-Credential parameter; %s", malformedCredential)
	}
	t, err := time.Parse(longDate, get("X-Amz-Date"))
	if err != nil {
		return c, refusef(MalformedQuery, "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601",
			clip(get("X-Amz-Date"))).
			forS3(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	c.setTime(t)
	if bad := c.readExpires(get("X-Amz-Expires")); bad != nil {
		return c, bad
	}
	if !c.readSigned(get("X-Amz-SignedHeaders")) {
		return c, refusef(MalformedQuery, "'X-Amz-SignedHeaders' must be lower-case header names, each once, in order, separated by ';'.")
	}
	c.signature, c.token, c.hash = get("X-Amz-Signature"), get("X-Amz-Security-Token"), get("X-Amz-Content-Sha256")
	return c, nil
}

func (c *claim) readExpires(s string) *refusal {
	if s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	text := ""
	switch {
	case err != nil:
		text = "X-Amz-Expires should be a number"
	case n < 0:
		text = "X-Amz-Expires must be non-negative"
	case n > int64(maxExpires/time.Second):
		text = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
	default:
		c.expires = time.Duration(n) * time.Second
		return nil
	}
	return refusef(MalformedQuery, "%s", text).forS3("%s", text)
}
