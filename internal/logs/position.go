package logs

import (
	"fmt"
	"math"
	"strconv"
)

// position is the place of an event in the order of a group: by time, then as they were put.
type position struct {
	time   int64
	number uint64
}

func (p position) before(q position) bool {
	return p.time < q.time || p.time == q.time && p.number < q.number
}

// String is 56 digits, as AWS's event ids have; time and number are moved by one so that the positions before and after all others have digits too.
func (p position) String() string {
	return fmt.Sprintf("3%020d%035d", uint64(p.time+1), p.number)
}

func parsePosition(s string) (position, bool) {
	if len(s) != 56 || s[0] != '3' {
		return position{}, false
	}
	t, err := strconv.ParseUint(s[1:21], 10, 64)
	n, err2 := strconv.ParseUint(s[21:], 10, 64)
	if err != nil || err2 != nil || t > math.MaxInt64+1 {
		return position{}, false
	}
	return position{int64(t - 1), n}, true
}
