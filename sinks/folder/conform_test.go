package folder_test

import (
	"testing"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/sinks/folder"
	"github.com/tidemill/tidemill/window"
)

func TestConformance(t *testing.T) {
	conform.Store(t, func(t *testing.T) window.Store {
		s, err := folder.New("folder:" + t.TempDir() + "/lake")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
