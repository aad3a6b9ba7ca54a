//go:build !failpoint

package failpoint

// Enabled reports whether this binary was built with the tag failpoint.
const Enabled = false

// Hit marks a point. It does nothing in this build (invariant 1).
func Hit(string) {}
