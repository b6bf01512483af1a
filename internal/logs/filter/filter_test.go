package filter_test

import (
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/logs/filter"
)

func TestPatterns(t *testing.T) {
	const (
		access = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
		object = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"], "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
			"SomeObject": null, "ThisFlag": true, "status": 503, "small": 1e-3, "text": "404", "cluster.name": "c", "a-b": {"c_d": "x\"y"}, "empty": ""}`
	)
	for _, c := range []struct {
		pattern string
		message string
		want    bool
	}{
		{"", "anything", true},
		{"  ", "anything", true},
		{"ERROR", "[ERROR 400] BAD", true},
		{"ERROR", "an ERRORCODE", true},
		{"ERROR", "error", false},
		{"ERROR ARGUMENTS", "ERROR INVALID ARGUMENTS", true},
		{"ERROR ARGUMENTS", "ERROR", false},
		{"?ERROR ?ARGUMENTS", "INVALID ARGUMENTS", true},
		{"?ERROR ?ARGUMENTS", "fine", false},
		{"ERROR ?ARGUMENTS", "ERROR", true},
		{"ERROR -ARGUMENTS", "ERROR", true},
		{"ERROR -ARGUMENTS", "ERROR ARGUMENTS", false},
		{"-ERROR", "fine", true},
		{`"INTERNAL SERVER ERROR"`, "500: INTERNAL SERVER ERROR", true},
		{`"INTERNAL SERVER ERROR"`, "INTERNAL ERROR", false},
		{`"say \"hi\""`, `they say "hi" here`, true},
		{`-"not this"`, "not this", false},
		{`?"a b" ?c`, "a b", true},
		{"größe", "die größe", true},
		{"%AUTHORIZED%", "UNAUTHORIZED", true},
		{`%\d{3} [Ee]rror|x{2}%`, "500 error", true},
		{`%^\d+$%`, "12a", false},
		{`-%^a%`, "abc", false},

		{`{ $.eventType = "UpdateTrail" }`, object, true},
		{`{$.eventType="UpdateTrail"}`, object, true},
		{`{ $.eventType = UpdateTrail }`, object, true},
		{`{ $.eventType = "Update*" }`, object, true},
		{`{ $.eventType = "*date*ail" }`, object, true},
		{`{ $.eventType = "*x*" }`, object, false},
		{`{ $.eventType = "UpdateTrailX*" }`, object, false},
		{`{ $.eventType = * }`, object, true},
		{`{ $.eventType != "Delete*" }`, object, true},
		{`{ $.none = "*" }`, object, false},
		{`{ $.none != "x" }`, object, false},
		{`{ $.sourceIPAddress != 123.123.* }`, object, true},
		{`{ $.sourceIPAddress = 111.111.* }`, object, true},
		{`{ $.arrayKey[0] = "value" }`, object, true},
		{`{ $.arrayKey[1] = "value" }`, object, false},
		{`{ $.arrayKey[9] = "value" }`, object, false},
		{`{ $.arrayKey[*] = "another value" }`, object, true},
		{`{ $.objectList[1].id = 2 }`, object, true},
		{`{ $.objectList[*].name = b }`, object, true},
		{`{ $.objectList.id = 2 }`, object, false},
		{`{ $.SomeObject IS NULL }`, object, true},
		{`{ $.ThisFlag IS NULL }`, object, false},
		{`{ $.none IS NULL }`, object, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, object, true},
		{`{ $.SomeObject NOT EXISTS }`, object, false},
		{`{ $.ThisFlag IS TRUE }`, object, true},
		{`{ $.ThisFlag IS FALSE }`, object, false},
		{`{ $.ThisFlag = true }`, object, true},
		{`{ $.status >= 500 }`, object, true},
		{`{ $.status > 503 }`, object, false},
		{`{ $.status < 504 && $.status <= 503 }`, object, true},
		{`{ $.status = 503.0 }`, object, true},
		{`{ $.status = 5* }`, object, true},
		{`{ $.status != 503 }`, object, false},
		{`{ $.small = 0.001 }`, object, true},
		{`{ $.text > 3 }`, object, false},
		{`{ $.text = 404 }`, object, true},
		{`{ $.empty = "" }`, object, true},
		{`{ $.['cluster.name'] = "c" }`, object, true},
		{`{ $['cluster.name'] = "c" }`, object, true},
		{`{ $.a-b.c_d = "x\"y" }`, object, true},
		{`{ $.a-b = "*" }`, object, true},
		{`{ $.eventType = %Trail$% }`, object, true},
		{`{ $.eventType != %Trail% }`, object, false},
		{`{ $.* = "UpdateTrail" }`, object, true},
		{`{ $.status = 1 || $.status = 503 }`, object, true},
		{`{ $.status = 503 || $.x = 1 && $.y = 1 }`, object, true},
		{`{ ($.status = 503 || $.x = 1) && $.y = 1 }`, object, false},
		{`{ ((($.status = 503))) }`, object, true},
		{`{ $.status = 503 }`, "no JSON", false},
		{`{ $.status = 503 }`, `{"status": 503} and more`, false},
		{`{ $[0].a = 1 }`, `[{"a": 1}]`, true},
		{`{ $.a NOT EXISTS }`, "no JSON", false},

		{"[ip, server, user, timestamp, request, status = 4*, bytes]", access, true},
		{"[ip, server, user, timestamp, request, status = 4*, bytes > 1000]", access, true},
		{"[ip, server, user, timestamp, request, status = 4*, bytes > 2000]", access, false},
		{"[ip, server, user, timestamp, request = *html*, status, bytes]", access, true},
		{"[ip, server, user, timestamp, request, status]", access, false},
		{"[ip, ..., status = 404, bytes]", access, true},
		{"[..., status = 5* || status = 4*, bytes]", access, true},
		{"[..., status = 5*, bytes]", access, false},
		{"[ip = %^127%, ...]", access, true},
		{"[ip != 127.*, ...]", access, false},
		{"[..., status != 200 && status < 500, bytes]", access, true},
		{"[w1 = ERROR, w2]", "ERROR code", true},
		{"[w1 = ERROR, w2]", "ERROR code too", false},
		{"[w1 = \"ERROR\", ...]", "ERROR", true},
		{"[...]", "", true},
		{"[a, ..., b]", "one", false},
		{"[a = [x, ...]", "x", false},
	} {
		p, err := filter.Parse(c.pattern)
		if err != nil {
			if c.want || !strings.HasPrefix(err.Error(), "Invalid") {
				t.Errorf("%q: %v", c.pattern, err)
			}
			continue
		}
		if got := p.Match([]byte(c.message)); got != c.want {
			t.Errorf("%q on %q: %v, want %v", c.pattern, c.message, got, c.want)
		}
	}
}

func TestBadPatternsSayWhy(t *testing.T) {
	for pattern, why := range map[string]string{
		"foo-bar":                               "Invalid character(s) in term 'foo-bar'",
		"foo:bar":                               "Invalid character(s) in term 'foo:bar'",
		"-":                                     "Invalid character(s) in term ''",
		"a ? b":                                 "Invalid character(s) in term ''",
		`"open`:                                 "a quote is not closed",
		"%open":                                 "not closed by %",
		"%%":                                    "is empty",
		"%(a)%":                                 `'(' is not supported`,
		"%ä%":                                   "is not supported",
		"%a{2%":                                 "",
		"%[%":                                   "is not valid",
		"%a**%":                                 "is not valid",
		"%(%":                                   "not supported",
		"%x{1001}%":                             "is not valid",
		"{}":                                    "a selector",
		"{ $ = 1 }":                             "a selector is expected after $",
		"{ $. = 1 }":                            "the name of a member",
		"{ $.a }":                               "a comparison is expected",
		"{ $.a = }":                             "a value is expected",
		"{ $.a = 1":                             "} is expected",
		"{ $.a = 1 } x":                         "nothing is expected after }",
		"{ $.a > x }":                           "only numbers",
		"{ $.a > Inf }":                         "only numbers",
		"{ $.a IS WRONG }":                      "a comparison is expected",
		"{ $.a = 1 && }":                        "a selector",
		"{ ($.a = 1 }":                          "parenthesis is not closed",
		"{ $.a[x] = 1 }":                        "the index",
		"{ $.a[0 = 1 }":                         "] is expected",
		"{ $.a[99999999999999999999] = 1 }":     "the index",
		"{ $.a[*][*][*][*] = 1 }":               "wildcard selectors",
		"{ $.a=%x% && $.b=%y% && $.c=%z% }":     "regular expressions",
		"[a, b":                                 "a comparison is expected",
		"[a = 1":                                ", or ] is expected",
		"[a, ..., ...]":                         "more than one ...",
		"[a = 1 && b = 2]":                      "speaks of b",
		"[]":                                    "the name of a field",
		"[a = ]":                                "a value is expected",
		"[a] x":                                 "nothing is expected",
		strings.Repeat("a", filter.MaxLength+1): "more than 1024 characters",
		"\xff":                                  "not UTF-8",
		"{ " + strings.Repeat("(", 500) + " }":  "nested too deeply",
	} {
		_, err := filter.Parse(pattern)
		if why == "" {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.60q: error %v, want %q", pattern, err, why)
		}
	}
}

// Patterns whose matching would take exponential time in engines that go back.
func TestAttackBacktracking(t *testing.T) {
	message := []byte(strings.Repeat("a", 1<<20))
	for _, pattern := range []string{"%a*a*a*a*a*a*a*b%", "%[a-z]*[a-z]*[a-z]*0%", `{ $.x = "` + strings.Repeat("a*", 400) + `" }`, "[x = " + strings.Repeat("a*", 400) + "b]"} {
		p, err := filter.Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if p.Match(message) {
			t.Errorf("%.40q matches", pattern)
		}
	}
}

// A document that is nested deeply must not exhaust the stack.
func TestAttackDeepDocument(t *testing.T) {
	p, err := filter.Parse("{ $.*[*].* = 1 }")
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []string{"[", `{"a":`} {
		if p.Match([]byte(strings.Repeat(open, 1<<20/len(open)))) {
			t.Error("a broken document matches")
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`ERROR -x ?y "z" %a+%`, `{ ($.a[0].* >= 1 || $.b IS NULL) && $['c'] NOT EXISTS }`, `[a, b = "x*" && b != %y%, ..., c > 5]`} {
		f.Add(s, `{"a":[{"x":2}],"b":null}`)
		f.Add(s, `one "two three" [4 5] 6`)
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		p, err := filter.Parse(pattern)
		if err != nil {
			if p != nil || err.Error() == "" {
				t.Error("an error without a text, or with a pattern")
			}
			return
		}
		first := p.Match([]byte(message))
		again, err := filter.Parse(pattern)
		if err != nil || again.Match([]byte(message)) != first {
			t.Error("a pattern that cannot decide")
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, c := range map[string][2]string{
		"term":   {"ERROR", "2026-03-04T05:06:07.890Z INFO agent.app request handled in 12 ms for session 0123456789abcdef with status 200"},
		"json":   {`{ $.level = "ERROR" && $.status >= 500 }`, `{"level": "INFO", "status": 200, "message": "request handled", "session": "0123456789abcdef", "ms": 12}`},
		"fields": {`[time, level = ERROR, ...]`, "2026-03-04T05:06:07.890Z INFO agent.app request handled in 12 ms for session 0123456789abcdef with status 200"},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := filter.Parse(c[0])
			if err != nil {
				b.Fatal(err)
			}
			message := []byte(c[1])
			for b.Loop() {
				p.Match(message)
			}
		})
	}
}
