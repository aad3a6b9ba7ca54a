package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tidemill/tidemill/internal/servers"
)

// tidemillProgram is the binary beside this one, unless a flag says otherwise.
func tidemillProgram(s settings) (string, error) {
	if s.noDaemon {
		return "", nil
	}
	program := s.tidemill
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		program = fromHere(filepath.Join(filepath.Dir(self), "tidemill"))
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("no tidemill program at %s; build it with: make build", program)
	}
	return program, nil
}

// fromHere is a program as a person would call it from the working folder: tidemill's hints repeat it.
func fromHere(program string) string {
	here, err := os.Getwd()
	if err != nil {
		return program
	}
	short, err := filepath.Rel(here, program)
	switch {
	case err != nil || !filepath.IsLocal(short):
		return program
	case filepath.Base(short) == short: // not one of the PATH
		return "." + string(filepath.Separator) + short
	}
	return short
}

// startDaemon runs `tidemill run` on our terminal. A Ctrl-C there reaches only us (see servers.Spawn), so the daemon
// hears one SIGTERM instead of two signals, the second of which would mean "at once".
func startDaemon(program string, p project) (*servers.Process, error) {
	cmd := exec.Command(program, "run", "--config", p.Folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "CONSULT_PASSWORD="+p.ConsultPassword, "PHARMACY_PASSWORD="+p.PharmacyPassword)
	if p.Sessions != 0 && os.Getenv("AWS_ACCESS_KEY_ID") == "" { // a project that was pointed at AWS has its own
		cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+p.Key, "AWS_SECRET_ACCESS_KEY="+p.Secret)
	}
	return servers.Spawn(cmd, nil)
}

// ended says how the daemon ended: asked or not, an exit code other than 0 is never hidden, and becomes ours.
func ended(daemon *servers.Process) error {
	err := daemon.Err()
	if err == nil {
		return nil
	}
	code := 1
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = max(exit.ExitCode(), 1) // -1 stands for a signal
	}
	return &exitError{code, fmt.Errorf("tidemill ended: %w", err)}
}
