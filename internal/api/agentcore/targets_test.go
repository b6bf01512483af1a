package agentcore_test

import (
	"testing"

	"github.com/sunaba-dev/sunaba/internal/api/agentcore"
)

func TestEveryOperationDeclaresWhatItActsOn(t *testing.T) {
	if names := (&agentcore.API{}).Service().Undeclared(); len(names) > 0 {
		t.Errorf("without a declaration these cannot be authorised: %v", names)
	}
}
