package container

import "context"

// ParseHealth is parseHealth, for fuzzing.
var ParseHealth = parseHealth

// collected are the lines of an output.
type collected struct{ lines []string }

func (c *collected) Line(_ context.Context, line string) bool {
	c.lines = append(c.lines, line)
	return true
}

func (c *collected) Close(context.Context) error { return nil }

// Split returns the lines that pieces of output become.
func Split(pieces ...[]byte) []string {
	c := &collected{}
	ctx, stop := context.WithCancel(context.Background())
	o := &output{lines: c, ctx: ctx, stop: stop}
	for _, p := range pieces {
		o.write(false, p)
	}
	_ = o.close(ctx)
	return c.lines
}
