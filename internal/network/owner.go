package network

// Owner returns the account and the region that the session belongs to.
func (s *Session) Owner() (account, region string) { return s.policy.Account, s.policy.Region }

// HasOutside reports whether the session has a way out at all: not in SANDBOX mode.
func (s *Session) HasOutside() bool { return s.outside != nil }
