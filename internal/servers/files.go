package servers

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// accountFor returns the credential to run under: nil when we are not root (the server runs as we do) or when the
// kind has no account of its own. Databases refuse to run as root, with reason.
func accountFor(name string) (*syscall.Credential, error) {
	if name == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("as root the server runs under the account %q, which is missing: useradd --system %s", name, name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// giveTo makes the account own path and all below it, after checking that it can get there at all: a folder below
// root's home usually cannot be entered by anyone else, and the server would only say "permission denied".
func giveTo(account, path string) error {
	credential, err := accountFor(account)
	if err != nil || credential == nil {
		return err
	}
	if closed := closedAbove(path, credential.Uid); closed != "" {
		return fmt.Errorf("account %s cannot enter %s, which is above the data folder: choose a folder elsewhere, or chmod o+x it", account, closed)
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(credential.Uid), int(credential.Gid))
	})
}

// closedAbove returns the first parent folder of path that the user cannot enter, or "".
func closedAbove(path string, uid uint32) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && !enterable(info, uid) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// enterable looks at owner and others only; no folder on the way to ours is opened to a server by its group.
func enterable(dir os.FileInfo, uid uint32) bool {
	if dir.Mode().Perm()&0o001 != 0 {
		return true
	}
	stat, ok := dir.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == uid && dir.Mode().Perm()&0o100 != 0
}

// empty says that a folder holds nothing or is not there.
func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || len(entries) == 0
}

// tail returns what was written to a file after offset, at most its last 16 KiB.
func tail(path string, offset int64) string {
	const most = 16 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	offset = max(offset, fileSize(path)-most)
	text, err := io.ReadAll(io.NewSectionReader(f, offset, most))
	if err != nil {
		return ""
	}
	return string(text)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
