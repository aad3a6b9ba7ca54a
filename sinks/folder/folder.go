package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/window"
)

// Store keeps objects as files under one folder.
type Store struct{ root string }

var _ window.Store = (*Store)(nil)

// tempDir holds files that are being written; it is no part of the key space.
const tempDir = ".tidemill-incoming"

// New returns the store of an address: a path, or folder:path. The folder is made at the first Put.
func New(address string) (*Store, error) {
	root, options, err := sinks.Path(address)
	if err != nil {
		return nil, fmt.Errorf("folder store: %w", err)
	}
	if err := sinks.CheckOptions(options); err != nil {
		return nil, fmt.Errorf("folder store: %w", err)
	}
	return &Store{root: root}, nil
}

// Put copies the file into place under key.
func (s *Store) Put(ctx context.Context, key, file string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	if err := s.put(ctx, key, file); err != nil {
		return fmt.Errorf("storing %s in %s: %w", key, s.root, refused(err, s.root))
	}
	return nil
}

func (s *Store) put(ctx context.Context, key, file string) error {
	src, err := os.Open(file)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.root) // invariant 3
	if err != nil {
		return err
	}
	defer root.Close()
	// Asked before the copy because it is cheap; the link below is what decides.
	if _, err := root.Lstat(key); err == nil {
		return same(root, key, src)
	}
	if err := makeDirs(root, tempDir); err != nil {
		return err
	}
	temp := tempDir + "/" + rand.Text()
	defer root.Remove(temp) // its link, if any, stays
	if err := copyTo(ctx, root, temp, src); err != nil {
		return err
	}
	if err := link(root, temp, key); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return same(root, key, src)
		}
		return err
	}
	return nil
}

// link puts a written file into its place (invariants 1 and 2). A concurrent Delete may remove a folder of the key
// between its making and the link, when it was still empty; then it is made again.
func link(root *os.Root, temp, key string) (err error) {
	for range 10 {
		if err = makeDirs(root, path.Dir(key)); err == nil {
			err = root.Link(temp, key)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	return syncDir(root, path.Dir(key))
}

// same decides about a key that exists: a Put that is repeated because its caller did not hear of the first is done,
// anything else would overwrite.
func same(root *os.Root, key string, src *os.File) error {
	have, err := root.Open(key)
	if err != nil {
		return err
	}
	defer have.Close()
	a, err := sum(have)
	if err != nil {
		return err
	}
	b, err := sum(src)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("the key holds other content: %w", fs.ErrExist)
	}
	return nil
}

func sum(f *os.File) ([]byte, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// copyTo writes a new file and syncs it.
func copyTo(ctx context.Context, root *os.Root, name string, src io.Reader) error {
	dst, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err = io.Copy(dst, reader{ctx, src}); err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// reader ends a copy when its context ends. It lives for one call.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// makeDirs makes a folder and those above it, each synced into its parent (invariant 1).
func makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := makeDirs(root, path.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(root, path.Dir(dir))
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get copies key to a new file.
func (s *Store) Get(ctx context.Context, key, file string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("fetching %q: %w", key, err)
	}
	if err := s.get(ctx, key, file); err != nil {
		return fmt.Errorf("fetching %s from %s: %w", key, s.root, refused(err, s.root))
	}
	return nil
}

func (s *Store) get(ctx context.Context, key, file string) (err error) {
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return err
	}
	defer root.Close()
	src, err := root.Open(key)
	if err != nil {
		return err
	}
	defer src.Close()
	if info, err := src.Stat(); err != nil || info.IsDir() {
		return errors.Join(err, fs.ErrNotExist)
	}
	dst, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return newFile(err)
	}
	_, err = io.Copy(dst, reader{ctx, src})
	if err = errors.Join(err, dst.Close()); err != nil {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// newFile keeps what went wrong with the local file apart from what the store says about the key.
func newFile(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return errors.New("the local file is there already")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the folder of the local file does not exist")
	}
	return err
}

// Delete removes key and the folders that it leaves empty. A key that is not there is no error.
func (s *Store) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("deleting %q: %w", key, err)
	}
	root, err := os.OpenRoot(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", key, refused(err, s.root))
	}
	defer root.Close()
	if err := root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting %s from %s: %w", key, s.root, refused(err, s.root))
	}
	// A folder that is not empty refuses to go, and so ends the climb.
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			break
		}
	}
	return nil
}

// List calls fn for the keys that begin with prefix, in byte order.
func (s *Store) List(ctx context.Context, prefix string, fn func(key string, bytes int64, modified time.Time) error) error {
	root, err := os.OpenRoot(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", s.root, refused(err, s.root))
	}
	defer root.Close()
	dir := "."
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		dir = prefix[:i]
	}
	if !fs.ValidPath(dir) {
		return fmt.Errorf("listing %q: not a prefix of a key", prefix)
	}
	if err := walk(ctx, root.FS(), dir, prefix, fn); err != nil {
		return fmt.Errorf("listing %s in %s: %w", prefix, s.root, err)
	}
	return nil
}

// walk visits a folder in key order, which is not the order of its names: "a.b" comes before "a/b" but after "a".
func walk(ctx context.Context, fsys fs.FS, dir, prefix string, fn func(string, int64, time.Time) error) error {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // no such folder, or deleted meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(ctx, fsys, path.Join(dir, e.Name()), prefix, e, fn); err != nil {
			return err
		}
	}
	return nil
}

func visit(ctx context.Context, fsys fs.FS, key, prefix string, e fs.DirEntry, fn func(string, int64, time.Time) error) error {
	switch {
	case key == tempDir:
	case e.IsDir() && (strings.HasPrefix(key+"/", prefix) || strings.HasPrefix(prefix, key+"/")):
		return walk(ctx, fsys, key, prefix, fn)
	case e.Type().IsRegular() && strings.HasPrefix(key, prefix):
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		return fn(key, info.Size(), info.ModTime())
	}
	return nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func checkKey(key string) error {
	switch {
	case !fs.ValidPath(key) || key == "." || strings.ContainsAny(key, "\x00\\"): // invariant 3
		return errors.New("not a key: want names separated by single slashes, without . and ..")
	case key == tempDir || strings.HasPrefix(key, tempDir+"/"):
		return fmt.Errorf("not a key: %s is the store's own folder", tempDir)
	}
	return nil
}

// refused marks what stays until a person acts.
func refused(err error, root string) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &window.RefusedError{What: "the disk of the store is full", Hint: "make room on the disk that holds " + root, Err: err}
	case errors.Is(err, syscall.EROFS):
		return &window.RefusedError{What: "the store is on a read-only disk", Hint: "remount it writable: " + root, Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &window.RefusedError{What: "the store is not writable", Hint: "give the user that runs tidemill read and write access to " + root, Err: err}
	case errors.Is(err, syscall.ENOTDIR):
		return &window.RefusedError{What: "a file is where the store needs a folder", Hint: "move it away or choose another folder than " + root, Err: err}
	case errors.Is(err, syscall.EFBIG):
		return &window.RefusedError{What: "a file is larger than the disk or the process limit allows", Hint: "raise the limit (ulimit -f) or use another disk for " + root, Err: err}
	}
	return err
}
