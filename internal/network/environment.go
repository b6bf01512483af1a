package network

import (
	"crypto/hmac"
	"net/http"
	"time"
)

// The address and path at which programs look for a container's credentials: of ECS's agent, the only one that every SDK accepts.
const (
	containerAddress = "169.254.170.2"
	containerPath    = "/v1/credentials"
)

// Environment is what the session's programs are to have in their environment: nothing, unless its policy wants credentials to be found as in a container.
func (s *Session) Environment() map[string]string {
	if s.metadata == nil || !s.policy.ContainerCredentials {
		return nil
	}
	return map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://" + containerAddress + containerPath, "AWS_CONTAINER_AUTHORIZATION_TOKEN": s.metadata.authorization}
}

// serveContainer answers as the agent of ECS and EKS does: the role's credentials, for who has the token from the environment.
func (m *metadata) serveContainer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path != containerPath:
		fail(w, http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		fail(w, http.StatusMethodNotAllowed)
	case !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte(m.authorization)):
		fail(w, http.StatusUnauthorized)
	default:
		key, err := m.current(r.Context(), time.Now())
		if err != nil {
			m.unavailable(err)
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(document(map[string]string{"code": "AccessDenied", "message": noCredentials})))
			return
		}
		_, _ = w.Write([]byte(document(map[string]string{"RoleArn": m.policy.RoleARN, "AccessKeyId": key.AccessKeyID, "SecretAccessKey": key.SecretAccessKey, "Token": key.SessionToken,
			"Expiration": stamp(key.Expires)})))
	}
}
