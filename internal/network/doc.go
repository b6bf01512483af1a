// Package network is what sandboxes see of AWS: the names, the TLS certificates, the endpoints and the metadata service that are served to them, and nothing else.
//
// A sandbox has no network device but its loopback. The guest puts the few addresses there that are served, listens at them, and relays each connection to the host
// over a unix connection of its own (see internal/guest/proto). Everything else fails inside at once, because there is no route. What comes through the relay is
// judged here, by the session's [Policy]: the guest is hostile, and whatever it may say, it gets what its session may have.
//
//	169.254.169.254  port 80             the metadata service, IMDSv2, for sessions with a role
//	169.254.171.2    ports 80, 443, 4566 the AWS endpoints, by their real names
//	169.254.171.53   port 53             the resolver, which answers everything itself and asks nobody
//
// Sessions with an [Outside] reach other hosts as well. A program's connection to one is judged, made and recorded here; and where requests to a host are to have a secret ([Injections]), TLS ends here,
// so that the header can be added to each on its way.
//
// [New] makes the network of a server, [Network.Open] what one session sees of it: [Session.Configure] is what its guest is told, and [Session.Relay] serves what its
// guest relays. Requests reach the server's own handler with the Host that the client meant, so that signatures are verified as on AWS; [PeerOf] tells it
// where a request comes from.
package network
