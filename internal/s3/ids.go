package s3

import (
	"net/url"
	"regexp"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Ids of uploads and versions are names of files in versitygw's folders, and it joins them to paths as they come: "../../../../other" would be another bucket's folder, which giving up that
// "upload" would remove. So an id that this server cannot have given is none.
var (
	uploadID  = regexp.MustCompile(`\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z`) // a UUID
	versionID = regexp.MustCompile(`\A([0-9A-Za-z]{26}|null)\z`)                    // a ULID
)

// checkIDs checks the ids in a request's query.
func checkIDs(q url.Values) error {
	for _, id := range q["uploadId"] {
		if !uploadID.MatchString(id) {
			return fault.New(codeNoSuchUpload, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
		}
	}
	for _, name := range []string{"versionId", "version-id-marker"} {
		for _, id := range q[name] {
			if err := checkVersion(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkVersion checks the id of a version; "" is none.
func checkVersion(id string) error {
	if id != "" && !versionID.MatchString(id) {
		return fault.New(codeInvalidArgument, "Invalid version id specified")
	}
	return nil
}
