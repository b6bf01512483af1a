package iam

import "context"

// AddMember puts a user into a group, or a role into an instance profile, of the same account. A group takes one that is in it already; its policies count for the user from then on. An instance
// profile takes one role.
func (s *Service) AddMember(ctx context.Context, holder Ref, member string) error {
	limit := s.o.Limits.GroupsPerUser
	if holder.Kind == InstanceProfile {
		limit = s.o.Limits.RolesPerProfile
	}
	return s.store.AddMember(ctx, holder, member, limit)
}

// RemoveMember takes a user out of a group, or a role out of an instance profile. A user that is not in the group is no error (API reference, RemoveUserFromGroup); a role that is not in the profile is
// NoSuchEntity.
func (s *Service) RemoveMember(ctx context.Context, holder Ref, member string) error {
	return s.store.RemoveMember(ctx, holder, member)
}

// Members lists the users of a group, or the roles of an instance profile, by name.
func (s *Service) Members(ctx context.Context, holder Ref, p Page) ([]Entity, string, error) {
	return s.store.Members(ctx, holder, p)
}

// Holders lists the groups of a user, or the instance profiles of a role, by name.
func (s *Service) Holders(ctx context.Context, member Ref, p Page) ([]Entity, string, error) {
	return s.store.Holders(ctx, member, p)
}
