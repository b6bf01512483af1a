package sigv4

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// unreserved are the bytes that AWS does not percent-encode (RFC 3986).
var unreserved = func() (t [256]bool) {
	for c := range t {
		b := byte(c)
		t[c] = 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '.' || b == '_' || b == '~'
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// appendEncoded percent-encodes s, slashes too unless keepSlash.
func appendEncoded(dst []byte, s string, keepSlash bool) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved[c] || keepSlash && c == '/' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// reencode decodes and encodes s in one pass: %2f becomes %2F, %41 becomes A, a stray % becomes %25, and a + of a query a space.
func reencode(s string, keepSlash, plusIsSpace bool) string {
	dst := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		slash := keepSlash && c == '/' // only one that was sent as such: an encoded one stays encoded
		if c == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		} else if c == '+' && plusIsSpace {
			c = ' '
		}
		if unreserved[c] || slash {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(dst)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// sentPath is the escaped path as it came over the wire, which net/url may have put differently.
func sentPath(r *http.Request) string {
	p := r.RequestURI
	if p == "" { // a request that was not read by a server
		p = r.URL.EscapedPath()
	} else if p[0] != '/' && p != "*" { // absolute form, as sent to a proxy
		if _, after, ok := strings.Cut(p, "://"); ok {
			p = after
		}
		i := strings.IndexAny(p, "/?")
		if i < 0 {
			return "/"
		}
		p = p[i:]
	}
	p, _, _ = strings.Cut(p, "?")
	if p == "" {
		return "/"
	}
	return p
}

// canonicalPaths returns the forms in which a path may have been signed, the documented one first; see the package documentation.
func canonicalPaths(path string, f Family) []string {
	var documented, sent string
	if f == S3 {
		documented, sent = reencode(path, true, false), path
	} else {
		documented, sent = string(appendEncoded(nil, normalise(path), true)), string(appendEncoded(nil, path, true))
	}
	if sent == documented {
		return []string{documented}
	}
	return []string{documented, sent}
}

// normalise resolves dot segments (RFC 3986, 5.2.4) and drops empty ones, on the path as sent: %2E and %2F are names, not structure.
func normalise(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	for s := range strings.SplitSeq(path, "/") {
		switch s {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return "/"
	}
	p := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") {
		p += "/"
	}
	return p
}

// canonicalQueries returns the forms in which a query may have been signed, the documented one first. A presigned request's signature is no part of it.
func canonicalQueries(raw string, presigned bool) []string {
	if raw == "" {
		return []string{""}
	}
	documented := sortedQuery(raw, presigned, true)
	if sent := sortedQuery(raw, presigned, false); sent != documented {
		return []string{documented, sent}
	}
	return []string{documented}
}

func sortedQuery(raw string, presigned, documented bool) string {
	type pair struct{ key, value string }
	pairs := make([]pair, 0, 16)
	for piece := range strings.SplitSeq(raw, "&") {
		if piece == "" && documented {
			continue
		}
		key, value, _ := strings.Cut(piece, "=")
		name := reencode(key, false, true)
		if presigned && name == "X-Amz-Signature" {
			continue
		}
		if documented {
			key, value = name, reencode(value, false, true)
		}
		pairs = append(pairs, pair{key, value})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	b.Grow(len(raw) + 16)
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.key)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// appendHeaders writes the canonical headers, one per line. It fails with the name of a signed header that the request does not have.
func appendHeaders(dst []byte, r *http.Request, signed []string) ([]byte, string) {
	for _, name := range signed {
		values := headerValues(r, name)
		if len(values) == 0 {
			return nil, name
		}
		dst = append(dst, name...)
		dst = append(dst, ':')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendTrimmed(dst, v)
		}
		dst = append(dst, '\n')
	}
	return dst, ""
}

// headerValues finds a header by its lower-case name, those too that net/http takes out of the header map.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		if r.Host == "" {
			return nil
		}
		return []string{r.Host}
	case "transfer-encoding":
		return r.TransferEncoding
	}
	values := r.Header[http.CanonicalHeaderKey(name)]
	switch {
	case len(values) > 0:
		return values
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "trailer" && len(r.Trailer) > 0:
		names := make([]string, 0, len(r.Trailer))
		for n := range r.Trailer {
			names = append(names, n)
		}
		slices.Sort(names)
		return []string{strings.Join(names, ",")}
	}
	return nil
}

// appendTrimmed drops white space at the ends and makes one space of several.
func appendTrimmed(dst []byte, v string) []byte {
	v = strings.Trim(v, " \t\r\n")
	if !strings.Contains(v, "  ") {
		return append(dst, v...)
	}
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' { // v does not begin with a space
			continue
		}
		dst = append(dst, v[i])
	}
	return dst
}

// unsignedHeaders returns the names that a signature must cover and does not, in order: host, and x-amz-* that the request has.
func unsignedHeaders(h http.Header, signed []string) []string {
	var bad []string
	if _, ok := slices.BinarySearch(signed, "host"); !ok {
		bad = append(bad, "host")
	}
	for name := range h {
		if len(name) > 6 && strings.EqualFold(name[:6], "x-amz-") {
			lower := strings.ToLower(name)
			if _, ok := slices.BinarySearch(signed, lower); !ok {
				bad = append(bad, lower)
			}
		}
	}
	slices.Sort(bad)
	return bad
}

// canonicalRequest joins the parts as they are hashed; headers end with a line feed each.
func canonicalRequest(dst []byte, method, path, query string, headers []byte, signed []string, payloadHash string) []byte {
	b := bytes.NewBuffer(dst)
	for _, s := range []string{method, path, query} {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	b.Write(headers)
	b.WriteByte('\n')
	for i, s := range signed {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(s)
	}
	b.WriteByte('\n')
	b.WriteString(payloadHash)
	return b.Bytes()
}
