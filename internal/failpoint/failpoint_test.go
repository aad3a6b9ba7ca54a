package failpoint

import "testing"

func TestParse(t *testing.T) {
	for in, want := range map[string]spec{
		"":                       {},
		"mid-upload":             {name: MidUpload, n: 1},
		"mid-upload:3":           {name: MidUpload, n: 3},
		"mid-upload:pause=/a:b":  {name: MidUpload, n: 1, pause: "/a:b"},
		"after-commit:2:pause=f": {name: AfterCommit, n: 2, pause: "f"},
	} {
		got, err := parse(in)
		if err != nil || got != want {
			t.Errorf("parse(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"nowhere", "mid-upload:0", "mid-upload:x"} {
		if s, err := parse(in); err == nil {
			t.Errorf("parse(%q) = %+v without an error", in, s)
		}
	}
}
