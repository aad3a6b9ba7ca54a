package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

func TestOneDaemonPerDataFolder(t *testing.T) {
	dir := t.TempDir() + "/data"
	first, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lock(dir)
	var env *EnvironmentError
	if !errors.As(err, &env) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) || env.Hint() == "" {
		t.Errorf("second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestInfo(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadInfo(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no daemon: %v", err)
	}
	want := Info{PID: 7, API: "127.0.0.1:7171", Broker: "127.0.0.1:9092", Started: time.Unix(1, 0).UTC()}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadInfo(dir); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}
