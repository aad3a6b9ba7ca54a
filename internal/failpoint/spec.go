package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Variable is the environment variable that arms one point of a binary built with the tag failpoint:
//
//	TIDEMILL_FAILPOINT=after-manifest           die at the first hit
//	TIDEMILL_FAILPOINT=mid-upload:3             die at the third hit
//	TIDEMILL_FAILPOINT=before-commit:pause=F    at the first hit create the file F and stand still until it is removed
//	TIDEMILL_FAILPOINT=before-commit:2:pause=F  the same at the second hit
const Variable = "TIDEMILL_FAILPOINT"

type spec struct {
	name  string
	n     int
	pause string
}

func parse(v string) (spec, error) {
	if v == "" {
		return spec{}, nil
	}
	name, rest, _ := strings.Cut(v, ":")
	if !slices.Contains(Names, name) {
		return spec{}, fmt.Errorf("reading %s: no failpoint is named %q", Variable, name)
	}
	s := spec{name: name, n: 1}
	if rest == "" {
		return s, nil
	}
	count, pause, both := strings.Cut(rest, ":pause=")
	if !both {
		if p, ok := strings.CutPrefix(rest, "pause="); ok {
			count, pause = "", p
		}
	}
	s.pause = pause
	if count != "" {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return spec{}, fmt.Errorf("reading %s: %q is not a number of hits", Variable, count)
		}
		s.n = n
	}
	return s, nil
}
