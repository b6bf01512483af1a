package wire

import "context"

// Request is what a handler may know of the request beside its input.
type Request struct {
	ID           string // x-amzn-RequestId of the answer, and in the log
	Service      string
	Operation    string
	Region       string
	Account      string // of the caller
	Principal    string // ARN of the caller
	InvocationID string // amz-sdk-invocation-id: the same for every retry of one SDK call
}

type requestKey struct{}

// WithRequest returns a context that carries r.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf returns the request that a context carries. A handler always has one.
func RequestOf(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	if r == nil {
		return &Request{}
	}
	return r
}
