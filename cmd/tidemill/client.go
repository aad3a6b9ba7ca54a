package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/daemon"
)

// client speaks to the daemon of a project folder.
type client struct {
	url, token string
	run        string // the command that starts the daemon
	http       *http.Client
}

// dataDir is the daemon's folder. It is found even when the configuration is broken at the moment: the daemon runs on.
func (c *cli) dataDir() string {
	p, _ := config.Load(c.dir, c.env) // what is wrong is for check and run to say
	return p.Data
}

func (c *cli) client() (*client, error) {
	data := c.dataDir()
	info, err := daemon.ReadInfo(data)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, c.noDaemon("no daemon runs this project")
	} else if err != nil {
		return nil, err
	}
	token, err := console.ReadToken(data)
	if err != nil {
		return nil, &environmentError{what: "the daemon cannot be asked", err: err, remedy: "run this as the user who runs the daemon"}
	}
	return &client{url: "http://" + info.API, token: token, run: c.command("run"), http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, nil
}

// noDaemon says that the project has no daemon, or that there is no project.
func (c *cli) noDaemon(what string) error {
	if err := config.Exists(c.dir); err != nil {
		return err
	}
	return &environmentError{what: what, remedy: "start it: " + c.command("run")}
}

// do sends a request and returns the answer of a success; the caller closes it.
func (c *client) do(ctx context.Context, method, path, accept string, body any) (*http.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	res, err := c.http.Do(r)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &environmentError{what: "the daemon does not answer at " + c.url, err: errors.Unwrap(err),
			remedy: "it may have been killed: start it again with " + c.run}
	case res.StatusCode == http.StatusOK:
		return res, nil
	}
	defer res.Body.Close()
	var e console.Error
	if json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&e) != nil || e.Error == "" {
		return nil, fmt.Errorf("the daemon answered %s", res.Status)
	}
	return nil, errors.New(e.Error)
}

// broken is the error in the trailer of an answer that broke off, nil when it is whole. The body must have been read.
func broken(res *http.Response) error {
	if e := res.Trailer.Get(console.ErrorTrailer); e != "" {
		return errors.New("the answer broke off: " + e)
	}
	return nil
}

func (c *client) status(ctx context.Context) (s console.Status, raw []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	res, err := c.do(ctx, http.MethodGet, "/v1/status", "", nil)
	if err != nil {
		return s, nil, err
	}
	defer res.Body.Close()
	if raw, err = io.ReadAll(res.Body); err != nil {
		return s, nil, fmt.Errorf("reading the daemon's answer: %w", err)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, nil, fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return s, raw, nil
}
