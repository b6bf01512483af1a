// Package proto is the protocol between the host and the guest, PID 1 of every sandbox.
//
// The guest dials one unix socket of the host and dials again whenever the connection ends, so that neither a restart of the host's side nor a
// restore of the sandbox into another folder loses it. Every connection begins with a preface: the eight bytes of [Magic] and one byte, [KindControl] or [KindRelay].
//
// A control connection then is an smux (version 2) session in which the host opens one stream per call: per-stream flow control keeps a slow or
// greedy call from stalling the others. A relay connection carries one TCP connection from inside the sandbox: after the preface comes one [FrameHello]
// with a [RelayHello], then raw bytes both ways; the kernel's own flow control is all it needs. A connection into the sandbox, which the host asks for with [OpConnect], is carried alike.
//
// A stream carries frames: one byte of type, four bytes of length (big endian), and that many bytes. The host sends one FrameCall with a [Call]
// (JSON), then, for calls that carry bytes, FrameData frames and one FrameEnd. The guest answers with any number of FrameStdout, FrameStderr, FrameEntry and FrameData
// frames and exactly one FrameResult or FrameError, which ends the call. Closing the stream early cancels the call; only a [Service] goes on without one.
//
// Neither side trusts the other's lengths: [Reader] refuses frames above the type's limit before allocating, and all parsing is fuzzed.
package proto

import "time"

// Magic opens every connection.
const Magic = "SUNABA\x00\x01"

// Kinds of connection, the byte after Magic.
const (
	KindControl = 'C'
	KindRelay   = 'R'
)

// FrameType is the first byte of a frame.
type FrameType byte

// The frame types.
const (
	FrameCall   FrameType = 'c' // host to guest: Call as JSON
	FrameData   FrameType = 'd' // either way: a piece of the payload
	FrameEnd    FrameType = 'z' // either way: the payload (of one file) is complete
	FrameStdout FrameType = 'o' // guest to host: what the code or command wrote
	FrameStderr FrameType = 'e'
	FrameEntry  FrameType = 'f' // guest to host: Entry as JSON
	FrameResult FrameType = 'r' // guest to host: Result as JSON; the last frame
	FrameError  FrameType = 'x' // guest to host: Error as JSON; the last frame
	FrameHello  FrameType = 'h' // guest to host: RelayHello as JSON
	FrameStart  FrameType = 's' // guest to host: Started as JSON; the first of OpService
)

// Limits of frames, in bytes.
const (
	MaxData = 256 << 10 // FrameData, FrameStdout, FrameStderr
	MaxJSON = 1 << 20   // FrameCall, FrameEntry, FrameResult, FrameError, FrameHello, FrameStart
)

// Limits of one listing. A guest refuses to list more, and a host to take more.
const (
	MaxEntries = 100_000
	MaxListing = 64 << 20 // bytes of the entries' paths, each counted with 64 bytes more
)

// Op names what a call does.
type Op string

// The operations. Where bytes follow the call, they come as FrameData frames closed by one FrameEnd (per file).
const (
	OpConfigure Op = "configure" // Call.Configure; must be the first call of every control connection; Result.Hello answers
	OpPing      Op = "ping"
	OpPrepare   Op = "prepare" // start the interpreter of Call.Language so that the first code finds it ready
	OpCode      Op = "code"    // the code's text follows
	OpCommand   Op = "command" // the command line follows
	OpWrite     Op = "write"   // Call.Files; the bytes of each file follow, in order. All files are written or none
	OpRead      Op = "read"    // Call.Paths; per file one FrameEntry, its FrameData frames, one FrameEnd
	OpList      Op = "list"    // Call.Paths[0]; one FrameEntry per entry, one level deep
	OpRemove    Op = "remove"  // Call.Paths; Result.Count tells how many were removed
	OpListen    Op = "listen"  // Call.Listener; the guest listens inside and relays what it accepts
	OpService   Op = "service" // Call.Service; see there
	OpSignal    Op = "signal"  // Call.Signal goes to the service
	OpConnect   Op = "connect" // Call.Connect; see there
)

// Configure tells the guest about its surroundings. It is sent on every control connection and must be idempotent.
type Configure struct {
	User     User              `json:"user"`
	Dir      string            `json:"dir"` // working folder of code, commands and file tools; made if missing, owned by the user
	Env      map[string]string `json:"env"` // the whole environment of user processes but for HOME, USER, LOGNAME, PWD, which follow from the rest
	Hostname string            `json:"hostname"`
	PIDs     int64             `json:"pids"`              // RLIMIT_NPROC of the user; 0 means none
	Prepare  string            `json:"prepare,omitempty"` // language of an interpreter to start at once, so that the first code finds it ready
	Network  *Network          `json:"network,omitempty"`
}

// Network is what the sandbox reaches besides its own loopback. A restore loses the addresses, which is one reason why this travels with Configure: a guest makes
// it so again on every control connection.
type Network struct {
	// Addresses are put on the loopback device, each as "ip/32". All that is in none of them stays unreachable at once.
	Addresses []string `json:"addresses"`
	// Listeners are opened at these addresses. One whose name or address is not here any more is closed.
	Listeners []Listener `json:"listeners"`
	// Outside names the relay of all TCP connections to addresses that are neither the user's own (127.0.0.0/8) nor in Addresses; "" leaves them unreachable. Each begins
	// with its destination: see [WriteDestination].
	Outside string `json:"outside,omitempty"`
	// Nameserver becomes the only one of /etc/resolv.conf; "" leaves the file as it is.
	Nameserver string `json:"nameserver,omitempty"`
	// Trust is for the driver, which lays it over the image; the guest is not told.
	Trust *Trust `json:"-"`
}

// Trust is a certificate authority that TLS clients inside are to trust, besides those that they trust anyway.
type Trust struct {
	Certificate string // PEM
	Hash        string // of its subject, as OpenSSL names files in folders of certificates: eight hex digits
}

// User is who user code runs as. The guest adds it to /etc/passwd and /etc/group of the sandbox if the image lacks it.
type User struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Call is the first frame of a stream.
type Call struct {
	Op           Op         `json:"op"`
	Configure    *Configure `json:"configure,omitempty"`
	Language     string     `json:"language,omitempty"`     // OpCode, OpPrepare: "python"
	ClearContext bool       `json:"clearContext,omitempty"` // OpCode: start with an empty namespace
	Paths        []string   `json:"paths,omitempty"`
	Files        []File     `json:"files,omitempty"`
	Listener     *Listener  `json:"listener,omitempty"`
	Argv         []string   `json:"argv,omitempty"`        // OpCommand: a program and its arguments, run without a shell; the text is empty then
	Service      *Service   `json:"service,omitempty"`     // OpService
	Offset       int64      `json:"offset,omitempty"`      // OpService: bytes of output, of both streams, that the host has already
	Signal       int        `json:"signal,omitempty"`      // OpSignal: its number, 1 to 64
	Connect      *Connect   `json:"connect,omitempty"`     // OpConnect
	OutputLimit  int64      `json:"outputLimit,omitempty"` // OpCode, OpCommand: bytes of stdout, and of stderr, to send at most; the middle is elided
}

// File is one file of OpWrite. Path is relative to the working folder; parents are made.
type File struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// Listener is a TCP listener inside the sandbox whose connections the guest relays to the host under Name. With Datagrams it is a UDP socket: the guest sends each
// datagram over a relay connection as two bytes of length (big endian) and that many bytes, as DNS does over TCP, and takes one back in the same form.
type Listener struct {
	Name      string `json:"name"`
	Address   string `json:"address"` // "ip:port"
	Datagrams bool   `json:"datagrams,omitempty"`
}

// MaxDatagram is the largest datagram that is relayed, either way; larger ones are dropped.
const MaxDatagram = 4096

// Entry is one file or folder, of OpRead and OpList.
type Entry struct {
	Path string `json:"path"` // relative to the working folder, slash-separated, no leading "./"
	Dir  bool   `json:"dir,omitempty"`
	Size int64  `json:"size"`
}

// Result ends a successful call.
type Result struct {
	Hello *Hello `json:"hello,omitempty"`
	Count int    `json:"count,omitempty"`
	Run   *Run   `json:"run,omitempty"`
}

// Hello is what the guest says about itself.
type Hello struct {
	Version string `json:"version"`
	BootID  string `json:"bootId"` // new at each boot of the guest, kept across reconnects and restores
}

// Run is how code or a command ended. What it printed came before, in FrameStdout and FrameStderr frames, already elided to OutputLimit.
type Run struct {
	ExitCode     int           `json:"exitCode"`            // of a command: its own, 128+n for signal n; of code: 0, or 1 after an exception
	Duration     time.Duration `json:"duration"`            // wall time, nanoseconds
	StdoutElided int64         `json:"stdoutElided"`        // bytes left out of the middle of stdout
	StderrElided int64         `json:"stderrElided"`        // and of stderr
	Restarted    string        `json:"restarted,omitempty"` // code only: the interpreter ended during the call and was started anew; this says why
}

// ErrorCode says what kind of failure an Error is.
type ErrorCode string

// The error codes.
const (
	BadRequest  ErrorCode = "BadRequest"  // the call makes no sense: a fault of the host, or of the arguments
	BadPath     ErrorCode = "BadPath"     // a path leaves the working folder, or cannot be used
	NotFound    ErrorCode = "NotFound"    // no such file
	NoSpace     ErrorCode = "NoSpace"     // the disk limit is reached
	Denied      ErrorCode = "Denied"      // the user may not
	Unavailable ErrorCode = "Unavailable" // the image has no such interpreter, or it does not start
	Refused     ErrorCode = "Refused"     // nothing listens on the port
	Failed      ErrorCode = "Failed"      // anything else
)

// Error ends a failed call.
type Error struct {
	Code    ErrorCode `json:"code"`
	Path    string    `json:"path,omitempty"`
	Message string    `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// RelayHello opens a relay connection: of a listener's, or, with a ticket, the one that OpConnect has asked for.
type RelayHello struct {
	Listener string `json:"listener"`
	Ticket   string `json:"ticket,omitempty"`
}
