package proto

// Service is a container's own program. A sandbox has at most one, and it is not its PID 1, which stays the guest.
//
// OpService starts it, or finds that it has been started: by a host whose connection broke, or before a checkpoint. Call.Service may be left out to find it only; without one
// that is [NotFound]. The guest answers with one FrameStart, then with what the program writes as FrameStdout and FrameStderr frames, as fast as the host takes it: a host that
// takes nothing makes the program wait. FrameResult with a [Run] comes when the program has ended, and everything else in the sandbox with it. A host that closes the stream
// only stops listening. While nobody listens the program does not wait, and the guest keeps the last [MaxBacklog] bytes. The newest stream is the one that is served.
//
// Once there is a service, commands run with its user, environment and working folder.
type Service struct {
	// Argv is the program and its arguments: an image's entrypoint and command. A program without a slash is looked for on the PATH.
	Argv []string `json:"argv"`
	// Env is laid over Configure.Env. PATH, HOME, USER and HOSTNAME are added where they are missing.
	Env map[string]string `json:"env,omitempty"`
	// Dir is the working folder, absolute; "" means "/". It is made if it is missing, owned by root as container engines do.
	Dir string `json:"dir,omitempty"`
	// User is "name", "uid", "name:group" or "uid:gid" as in a Dockerfile, looked up in the image's /etc/passwd and /etc/group; "" means root. A root keeps of Docker's capabilities
	// those that act on files, users and processes, and none on the network but for low ports.
	User string `json:"user,omitempty"`
}

// MaxBacklog is how many bytes of a service's output the guest keeps for a host that is to come, chunks counted with 64 bytes more each.
const MaxBacklog = 1 << 20

// Started is the first answer to OpService.
type Started struct {
	Offset int64 `json:"offset"` // of the output that follows: what is between Call.Offset and it is lost
}

// Connect asks for a byte stream to 127.0.0.1 inside. The guest connects, then dials a relay connection with the ticket, which carries the bytes, and then answers with an
// empty Result. A port that nobody listens on is [Refused].
type Connect struct {
	Port   int    `json:"port"`
	Ticket string `json:"ticket"` // 1 to 64 bytes of the host's choice
}
