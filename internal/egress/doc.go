// Package egress decides where sandboxes may connect to outside, and by which way. It connects to nothing itself and asks no resolver: internal/network does, and asks here first.
//
// A [Policy] is what one session may do. An address passes it in three steps: it must not be of the machine or of a private network, unless the operator has said so
// ([Rule], `--egress-allow`); in VPC mode it must be in a network of one of the session's subnets, and allowed by one of its security groups ([VPC], from `sunaba.yaml`); and where
// the session has a list of names ([Names], the tag `sunaba:egress`), it must have been resolved from one of them.
package egress
