// Package s3 is Amazon S3 on one machine: versitygw's posix backend behind an http.Handler that decides who may do what.
//
// A request is handled in three steps. The signature is verified by [sigv4], for any region, path style and virtual-host style, in the header or
// presigned. Then the address, the query and the copy source are rewritten into one canonical form, so that what is authorised is what is done. Then the
// request is answered here (bucket settings, policies, locations, the list of buckets), or handed over to versitygw on a unix socket of the run
// folder, signed anew with a key of this process under a one-time id. versitygw asks back under that id before it touches anything, and the answer is
// the [Authority]'s alone: identity and bucket policies combined. versitygw's own policies, access lists, accounts and admin API are out of the game:
//
//   - it never sees a bucket policy, so it cannot evaluate one against the conditions of the unix socket instead of the client's;
//   - the answer is always allow or deny: where an evaluator abstains, versitygw lets the bucket's owner pass;
//   - the account id is the owner of buckets, not the access key;
//   - an anonymous client is a principal like others, the nil one, so that its requests take the same way;
//   - the root key is random and the admin routes are not registered.
//
// Data is files in Dir/buckets, one for each object. Metadata is extended attributes where the file system has them, because they are written to the file
// before it gets its name: a crash or a full disk leaves the old object or the new one, never a mixture; long values are in files
// of Dir/attributes that are written before. File systems without extended attributes get files in Dir/sidecar, where a crash in the middle of an overwrite can leave
// the old data with new metadata. Bucket settings are one file for each bucket in Dir/settings, replaced atomically.
//
// Objects are not encrypted at rest by this server: SSE-S3 (AES256), which on AWS is always on and has no key of the customer's, is accepted and answered; SSE-KMS
// and SSE-C, where a customer trusts in a key, are refused.
package s3
