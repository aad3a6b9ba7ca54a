package servers

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"syscall"
)

// NewMoto is moto's server, a stand-in for many AWS services at once. It keeps everything in memory, checks no
// signatures and is slow (some 200 calls/s): what our own stand-ins are compared with, nothing more. Config lines are
// flags of moto_server without dashes.
func NewMoto(o Options) *Server {
	return newServer(flavour{
		component: motoComponent(),
		prepare:   func(context.Context, *Server) error { return nil },
		command:   motoCommand,
		ready:     motoReady,
		dsn:       func(s *Server, _ string) string { return "http://" + s.Addr() },
		stop:      syscall.SIGINT, // its SIGTERM handling differs between versions of Python's web server
	}, o)
}

func motoComponent() Component {
	return Component{
		Name: "moto", Title: "moto (AWS stand-in)",
		Bring: fetchCommand("moto"),
		check: func() error { _, err := inCache("moto/bin/moto_server"); return err },
	}
}

func motoCommand(s *Server) (*exec.Cmd, error) {
	program, err := inCache("moto/bin/moto_server")
	if err != nil {
		return nil, err
	}
	return exec.Command(program, append([]string{"-H", Loopback, "-p", strconv.Itoa(s.Port)}, dashed(s.config)...)...), nil
}

// motoReady holds when moto's own page of its state answers.
func motoReady(ctx context.Context, s *Server) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.DSN("")+"/moto-api/data.json", nil)
	if err != nil {
		return err
	}
	req.Close = true // no idle connection left behind: a leak check would find its goroutine
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("unexpected answer, status %s", resp.Status)
	}
	return nil
}
