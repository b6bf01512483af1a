package network

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	roleName      = "execution_role" // as AWS calls it inside Code Interpreter sessions
	tokenHeader   = "X-Aws-Ec2-Metadata-Token"
	ttlHeader     = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTokenTTL   = 21600
	refreshBefore = 15 * time.Minute // of a key's end; of one that lives shorter, when a quarter of its life is left
	instanceClass = "sunaba.sandbox"
	domain        = "amazonaws.com"
)

// metadata is the instance metadata service of one session, version 2 alone unless the policy says otherwise: version 1 gives credentials to whoever makes a program fetch a URL.
type metadata struct {
	policy Policy
	secret []byte // what the session's tokens are made with: no other session's are worth anything
	log    *slog.Logger
	began  time.Time
	leaves map[string]string // what does not change, by path
	// authorization is the token of container credentials, which the session's programs have in their environment.
	authorization string

	mu  sync.Mutex
	key Key
}

func newMetadata(p Policy, secret string, log *slog.Logger) *metadata {
	m := &metadata{policy: p, secret: []byte(secret), log: log, began: time.Now().UTC(), authorization: rand.Text()}
	id := m.identity()
	m.leaves = map[string]string{
		"meta-data/ami-id":                      id.ImageID,
		"meta-data/hostname":                    "localhost",
		"meta-data/instance-id":                 id.InstanceID,
		"meta-data/instance-type":               id.InstanceType,
		"meta-data/local-hostname":              "localhost",
		"meta-data/local-ipv4":                  id.PrivateIP,
		"meta-data/placement/availability-zone": id.AvailabilityZone,
		"meta-data/placement/region":            id.Region,
		"meta-data/services/domain":             domain,
		"meta-data/services/partition":          "aws",
		"meta-data/iam/info": document(map[string]string{"Code": "Success", "LastUpdated": stamp(m.began), "InstanceProfileArn": p.RoleARN,
			"InstanceProfileId": "AIPA" + strings.ToUpper(hash(p.RoleARN, 17))}),
		"dynamic/instance-identity/document": document(id),
	}
	return m
}

// instance is the instance identity document.
type instance struct {
	AccountID        string `json:"accountId"`
	Architecture     string `json:"architecture"`
	AvailabilityZone string `json:"availabilityZone"`
	ImageID          string `json:"imageId"`
	InstanceID       string `json:"instanceId"`
	InstanceType     string `json:"instanceType"`
	PendingTime      string `json:"pendingTime"`
	PrivateIP        string `json:"privateIp"`
	Region           string `json:"region"`
	Version          string `json:"version"`
}

func (m *metadata) identity() instance {
	return instance{AccountID: m.policy.Account, Architecture: architecture, AvailabilityZone: m.policy.Region + "a", ImageID: "ami-" + hash("image", 17),
		InstanceID: "i-" + hash(m.policy.Session, 17), InstanceType: instanceClass, PendingTime: stamp(m.began), PrivateIP: "127.0.0.1", Region: m.policy.Region, Version: "2017-09-30"}
}

// hash makes an id that says nothing of what it stands for.
func hash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:n]
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func document(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("network: encode a document: " + err.Error()) // strings can be encoded
	}
	return string(b)
}

// ServeHTTP implements http.Handler.
func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	w.Header().Set("Content-Type", "text/plain")
	path := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case path == "latest/api/token":
		m.issue(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		fail(w, http.StatusMethodNotAllowed)
		return
	case !m.admits(r, time.Now()):
		fail(w, http.StatusUnauthorized)
		return
	}
	version, path, _ := strings.Cut(path, "/")
	if version == "" {
		_, _ = w.Write([]byte("latest"))
		return
	}
	if !versions[version] {
		fail(w, http.StatusNotFound)
		return
	}
	m.get(w, r, strings.TrimSuffix(path, "/"))
}

// versions of the tree that tools ask for. All are the same here.
var versions = map[string]bool{"latest": true, "2021-01-03": true, "2021-03-23": true, "2022-09-24": true}

// issue makes a token. As on AWS, a request that came through a proxy gets none.
func (m *metadata) issue(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		fail(w, http.StatusMethodNotAllowed)
		return
	}
	if len(r.Header.Values("X-Forwarded-For")) > 0 {
		fail(w, http.StatusForbidden)
		return
	}
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || ttl < 1 || ttl > maxTokenTTL {
		fail(w, http.StatusBadRequest)
		return
	}
	w.Header().Set(ttlHeader, strconv.Itoa(ttl))
	_, _ = w.Write([]byte(m.token(time.Now().Add(time.Duration(ttl) * time.Second))))
}

// token is its own end, in milliseconds, and a code of it that only this session's service can make: nothing has to be kept.
func (m *metadata) token(end time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(end.UnixMilli()))
	return base64.URLEncoding.EncodeToString(append(b, m.code(b)...))
}

func (m *metadata) code(b []byte) []byte {
	mac := hmac.New(sha256.New, m.secret)
	mac.Write(b)
	return mac.Sum(nil)
}

func (m *metadata) valid(token string, now time.Time) bool {
	b, err := base64.URLEncoding.DecodeString(token)
	if err != nil || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], m.code(b[:8])) {
		return false
	}
	return now.UnixMilli() < int64(binary.BigEndian.Uint64(b))
}

// admits reports whether a request may read: with a token of this session, or without any where version 1 is served. As on AWS, a wrong token is wrong there too.
func (m *metadata) admits(r *http.Request, now time.Time) bool {
	token := r.Header.Get(tokenHeader)
	if token == "" && m.policy.MetadataV1 && len(r.Header.Values("X-Forwarded-For")) == 0 {
		return true
	}
	return m.valid(token, now)
}

func (m *metadata) get(w http.ResponseWriter, r *http.Request, path string) {
	const credentials = "meta-data/iam/security-credentials"
	switch path {
	case credentials:
		_, _ = w.Write([]byte(roleName))
		return
	case credentials + "/" + roleName:
		_, _ = w.Write([]byte(m.credentials(r.Context())))
		return
	}
	if leaf, ok := m.leaves[path]; ok {
		_, _ = w.Write([]byte(leaf))
		return
	}
	list := m.list(path)
	if len(list) == 0 {
		fail(w, http.StatusNotFound)
		return
	}
	_, _ = w.Write([]byte(strings.Join(list, "\n")))
}

func fail(w http.ResponseWriter, status int) {
	http.Error(w, strconv.Itoa(status)+" - "+http.StatusText(status), status)
}

// credentials is the document about the role's credentials. What went wrong is in the document, as on AWS, where clients look for it.
func (m *metadata) credentials(ctx context.Context) string {
	now := time.Now()
	key, err := m.current(ctx, now)
	if err != nil {
		m.unavailable(err)
		return document(map[string]string{"Code": "AssumeRoleUnauthorizedAccess", "LastUpdated": stamp(now), "Message": noCredentials})
	}
	return document(map[string]string{"Code": "Success", "LastUpdated": stamp(key.Updated), "Type": "AWS-HMAC", "AccessKeyId": key.AccessKeyID,
		"SecretAccessKey": key.SecretAccessKey, "Token": key.SessionToken, "Expiration": stamp(key.Expires)})
}

const noCredentials = "The session's execution role cannot be assumed: it does not exist any more, or does not trust the service."

func (m *metadata) unavailable(err error) {
	m.log.Warn("a session's role gave no credentials", "session", m.policy.Session, "role", m.policy.RoleARN, "error", err)
}

// current returns credentials that are good for a while. One request at a time makes new ones; the others wait for it.
func (m *metadata) current(ctx context.Context, now time.Time) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if left := m.key.Expires.Sub(now); left > min(refreshBefore, m.key.Expires.Sub(m.key.Updated)/4) && left > 0 {
		return m.key, nil
	}
	key, err := m.policy.Credentials.Credentials(ctx)
	if err != nil {
		return Key{}, err
	}
	if key.Updated.IsZero() {
		key.Updated = now
	}
	m.key = key
	return key, nil
}
