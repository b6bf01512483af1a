package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// Boot configures the guest from a file that the host left for it, ahead of the host's own word: an interpreter then starts while the connection is made. Without the file nothing happens.
func (a *Agent) Boot(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var c proto.Configure
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = a.configure(&c)
	return err
}
