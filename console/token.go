package console

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenFile is the name of the token's file in the daemon's folder.
const TokenFile = "token"

// EnsureToken reads the token of the daemon's folder, making one at the first start (invariant 1).
func EnsureToken(dir string) (string, error) {
	name := filepath.Join(dir, TokenFile)
	token, err := ReadToken(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	raw := make([]byte, 24)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the process instead
	token = hex.EncodeToString(raw)
	if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing the API token: %w", err)
	}
	return token, nil
}

// ReadToken reads the token of the daemon's folder. A file that others may read is refused: the token would protect nothing.
func ReadToken(dir string) (string, error) {
	name := filepath.Join(dir, TokenFile)
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("reading the API token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("the API token %s can be read by others: chmod 600 it", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading the API token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < 32 {
		return "", fmt.Errorf("the API token %s is damaged: remove it and restart the daemon", name)
	}
	return token, nil
}
