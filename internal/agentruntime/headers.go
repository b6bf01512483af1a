package agentruntime

import (
	"net/textproto"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Headers of invocations, in their canonical form. Source: the model of InvokeAgentRuntime; the request's id is from the service's Python SDK.
const (
	HeaderSession   = "X-Amzn-Bedrock-Agentcore-Runtime-Session-Id"
	HeaderUser      = "X-Amzn-Bedrock-Agentcore-Runtime-User-Id"
	HeaderRequest   = "X-Amzn-Bedrock-Agentcore-Runtime-Request-Id"
	headerMCP       = "Mcp-Session-Id"
	customPrefix    = "X-Amzn-Bedrock-Agentcore-Runtime-Custom-"
	maxHeaderValue  = 4 << 10 // bytes of a header that is passed on because the runtime's list has it
	contentType     = "Content-Type"
	contentEncoding = "Content-Encoding"
)

// always are passed on to every agent.
var always = []string{contentType, "Accept", headerMCP, "Mcp-Protocol-Version", "X-Amzn-Trace-Id", "Traceparent", "Tracestate", "Baggage", HeaderUser}

// answered are passed back from agents. Content-Encoding belongs to the body, which is passed back as it is.
var answered = []string{contentType, contentEncoding, headerMCP, "Mcp-Protocol-Version", "X-Amzn-Trace-Id", "Traceparent", "Tracestate", "Baggage"}

// restricted are never passed on, whatever a runtime's list says, by their names in lower case. Source: runtime-header-allowlist, as the service's Python SDK repeats it.
var restricted = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`
		accept accept-ch accept-ch-lifetime accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods access-control-allow-origin
		access-control-expose-headers access-control-max-age access-control-request-headers access-control-request-method cf-connecting-ip cf-ray cache-control clear-site-data connection content-encoding content-language content-length
		content-location content-range content-security-policy content-security-policy-report-only content-type cookie cross-origin-embedder-policy cross-origin-opener-policy cross-origin-resource-policy dpr date downlink ect etag
		expect-ct expires feature-policy forwarded from host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-modified link location origin permissions-policy pragma proxy-authorization proxy-connection
		public-key-pins public-key-pins-report-only rtt range referer referrer-policy retry-after save-data sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server set-cookie
		strict-transport-security te trailer transfer-encoding true-client-ip upgrade user-agent vary via viewport-width www-authenticate width x-csrf-token x-cache x-client-ip x-cluster-client-ip x-content-type-options x-forwarded-for
		x-forwarded-host x-forwarded-proto x-frame-options x-original-host x-original-url x-originating-ip x-real-ip x-requested-with x-rewrite-url x-served-by x-source-ip x-xss-protection`) {
		set[name] = true
	}
	return set
}()

// checkHeaders refuses names that cannot be in a runtime's list.
func checkHeaders(names []string) error {
	const field = "requestHeaderConfiguration.requestHeaderAllowlist"
	seen := map[string]bool{}
	for _, n := range names {
		name := textproto.CanonicalMIMEHeaderKey(n)
		switch {
		case seen[name]:
			return fault.Invalid(field, "the header %q is listed twice; case makes no difference", n)
		case strings.HasPrefix(name, "X-Amz-"), strings.HasPrefix(name, "X-Amzn-") && (!strings.HasPrefix(name, customPrefix) || name == customPrefix):
			return fault.Invalid(field, "the header %q is reserved: of those that begin with x-amz only X-Amzn-Bedrock-AgentCore-Runtime-Custom-* can be listed", n)
		case name == "Authorization":
			return fault.Invalid(field, "the header Authorization can be listed only with a customJWTAuthorizer")
		case restricted[strings.ToLower(name)]:
			return fault.Invalid(field, "the header %q is restricted", n)
		}
		seen[name] = true
	}
	return nil
}

// requestHeaders are those of an invocation that the agent gets. have has canonical keys.
func requestHeaders(have map[string][]string, listed []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, k := range always {
		if v := have[k]; len(v) > 0 {
			out[k] = v
		}
	}
	for _, n := range listed {
		k := textproto.CanonicalMIMEHeaderKey(n)
		size := 0
		for _, v := range have[k] {
			size += len(v)
		}
		if size > maxHeaderValue {
			return nil, fault.Invalid(n, "the header has %d bytes; %d are passed on at most", size, maxHeaderValue)
		}
		if size > 0 {
			out[k] = have[k]
		}
	}
	return out, nil
}

// answerHeaders are those of an agent's answer that the caller gets.
func answerHeaders(have map[string][]string) map[string][]string {
	out := map[string][]string{}
	for _, k := range answered {
		if v := have[k]; len(v) > 0 {
			out[k] = v
		}
	}
	return out
}
