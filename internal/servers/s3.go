package servers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// NewS3 is an S3 gateway (versitygw) over a folder. It checks signatures; User and Password are the access key pair,
// Config lines are flags of the gateway without dashes. The region is us-east-1.
func NewS3(o Options) *Server {
	s := newServer(flavour{
		component: s3Component(),
		prepare:   func(_ context.Context, s *Server) error { return s.fill(func(string) error { return nil }) },
		command:   s3Command,
		ready:     s3Ready,
		dsn:       func(s *Server, _ string) string { return "http://" + s.Addr() },
		stop:      syscall.SIGTERM,
	}, o)
	s.User, s.Password = "tidemill-access", "tidemill-secret"
	return s
}

func s3Component() Component {
	return Component{
		Name: "s3", Title: "versitygw (S3)",
		Bring: fetchCommand("s3"),
		check: func() error { _, err := inCache("bin/versitygw"); return err },
	}
}

// MakeBucket makes an S3 bucket. For the gateway a bucket is a folder, so no client is needed.
func (s *Server) MakeBucket(name string) error {
	if s.kind.component.Name != "s3" {
		return fmt.Errorf("making bucket %s: %s has no buckets", name, s.Name)
	}
	return os.MkdirAll(filepath.Join(s.data(), name), 0o755)
}

func s3Command(s *Server) (*exec.Cmd, error) {
	program, err := inCache("bin/versitygw")
	if err != nil {
		return nil, err
	}
	args := append([]string{"--port", s.Addr(), "--quiet"}, dashed(s.config)...)
	cmd := exec.Command(program, append(args, "posix", s.data())...)
	// By environment: arguments are readable by everybody on the machine.
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.User, "ROOT_SECRET_KEY="+s.Password)
	return cmd, nil
}

// s3Ready holds when an unsigned request is refused in S3's own words.
func s3Ready(ctx context.Context, s *Server) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.DSN(""), nil)
	if err != nil {
		return err
	}
	req.Close = true // no idle connection left behind: a leak check would find its goroutine
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), "<Code>AccessDenied</Code>") {
		return fmt.Errorf("unexpected answer, status %s", resp.Status)
	}
	return nil
}
