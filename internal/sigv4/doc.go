// Package sigv4 verifies AWS Signature Version 4 on incoming HTTP requests, for every service behind one listener.
//
// [Verifier.Verify] takes a request as net/http's server hands it over, signed in the Authorization header or presigned in the query, and
// answers who signed it, under which scope, and with a [Body] that enforces what was signed of the payload: a SHA-256 (checked while it
// streams), signed chunks, trailing checksums, or nothing. A refusal is a *fault.Error with the code and message that the asked service's
// protocol family uses, around a *[Failure] that says in one word what was wrong and which HTTP status AWS gives it.
//
// # What is signed
//
// The host and every x-amz-* header of a request must be among its signed headers, for all services and not only for S3: nobody on the way
// may add or swap a session token, a date, a payload hash or an operation's target. Headers that begin with x-amzn- may be unsigned, because
// clients of AWS add them after signing (X-Amzn-Trace-Id, and the AgentCore SDK its runtime session id on WebSocket requests).
//
// Path and query are compared in the form that AWS documents (decoded and encoded anew, the path of services other than S3 normalised and
// encoded twice) and then, if that fails, exactly as they were sent: botocore signs the query as sent and the Go SDK the path as sent. Both
// forms bind the signature to the request; the second accepts no request that its signer did not write byte for byte. The documented form
// resolves dot segments and empty segments, as AWS does, so a router behind this package must not take ".." for a name.
//
// # Payloads
//
// Services other than S3 hash the payload themselves where a client sends no x-amz-content-sha256 (botocore does not): Verify then reads the
// body into memory, up to [Verifier.MaxBody], once the key is known and the date is right. UNSIGNED-PAYLOAD and the STREAMING modes are S3's
// alone, as on AWS; a presigned S3 request that names no hash is UNSIGNED-PAYLOAD, one of another service is hashed.
package sigv4
