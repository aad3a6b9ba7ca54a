package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/tidemill/tidemill/internal/clinic"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/servers"
)

// demo is what runs: two servers, the table of the chat rooms, a load on them, and tidemill.
type demo struct {
	settings
	project
	out               io.Writer
	consult, pharmacy *servers.Server
	sessions          *dynamofake.Server
}

// runDemo starts everything and stops it in the reverse order, whatever happens.
func runDemo(ctx context.Context, s settings, out io.Writer) error {
	program, err := tidemillProgram(s)
	if err != nil {
		return environment(err)
	}
	if err := servers.Install(ctx, os.Stderr, "mariadb"); err != nil {
		return environment(err)
	}
	p, err := openProject(s.config)
	if err != nil {
		return usage(err)
	}
	d := &demo{settings: s, project: p, out: out}
	if err := d.makeServers(); err != nil {
		return environment(err)
	}
	err = d.run(ctx, program)
	// Detached: the stop goes on although ctx has ended; servers bound their own patience.
	stopped := errors.Join(d.consult.Stop(context.WithoutCancel(ctx)), d.pharmacy.Stop(context.WithoutCancel(ctx)))
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // asked to stop while starting
	}
	if err == nil && stopped == nil {
		fmt.Fprintln(out, "clinic: all stopped; run it again and it goes on where it was")
	}
	return errors.Join(err, stopped)
}

func (d *demo) makeServers() error {
	dir, err := d.databases()
	if err != nil {
		return err
	}
	if d.Fresh { // a new project begins with new databases
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	} else if !exists(dir) && exists(filepath.Join(d.Folder, "data")) {
		return fmt.Errorf("the demo's databases in %s are gone, but %s still holds what was read from them; delete the folder %s to begin again",
			dir, filepath.Join(d.Folder, "data"), d.Folder)
	}
	config := []string{"max_binlog_size=64M", "expire_logs_days=7"} // a demo that is left running must not fill the disk
	d.consult = servers.NewMariaDB(servers.Options{Dir: filepath.Join(dir, "consult"), Port: d.Consult, Config: config})
	d.pharmacy = servers.NewMariaDB(servers.Options{Dir: filepath.Join(dir, "pharmacy"), Port: d.Pharmacy, Config: config})
	d.consult.Name, d.pharmacy.Name = "the consult database", "the pharmacy database"
	return nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func (d *demo) run(ctx context.Context, program string) error {
	fmt.Fprintln(d.out, "clinic: starting two private MariaDB servers ...")
	for _, s := range []*servers.Server{d.consult, d.pharmacy} {
		err := s.Start(ctx)
		if errors.Is(err, servers.ErrPortInUse) {
			err = fmt.Errorf("%w (it is written in %s; is the demo running already?)", err, filepath.Join(d.Folder, "sources"))
		}
		if err != nil {
			return environment(err)
		}
	}
	if err := d.openSessions(); err != nil {
		return environment(err)
	}
	load, closeLoad, err := d.openClinic(ctx)
	if err != nil {
		return errors.Join(err, d.sessions.Close())
	}
	defer closeLoad()
	d.tell()
	return errors.Join(d.serve(ctx, load, program), d.sessions.Close())
}

// openSessions serves the table of the chat rooms, as it was when the demo ran last.
func (d *demo) openSessions() error {
	dir, err := d.databases()
	if err != nil {
		return err
	}
	d.sessions, err = dynamofake.Start(dynamofake.Options{Port: d.Sessions, Region: sessionsRegion, Seed: d.seed, Shards: 2, Journal: filepath.Join(dir, "sessions.journal")})
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w (the port is written in %s; is the demo running already?)", err, filepath.Join(d.Folder, "sources", "sessions.yaml"))
	}
	if err != nil || d.sessions.Has(clinic.ChatTable) {
		return err
	}
	if err := d.sessions.CreateTable(clinic.ChatTable, clinic.ChatKey); err != nil {
		return errors.Join(err, d.sessions.Close())
	}
	return nil
}

// sessionsRegion is what the demo's DynamoDB takes itself for; sources/sessions.yaml names it.
const sessionsRegion = "ap-southeast-1"

// openClinic makes schema, accounts and history where they are missing.
func (d *demo) openClinic(ctx context.Context) (*clinic.Clinic, func(), error) {
	consult, err := open(d.consult)
	if err != nil {
		return nil, nil, err
	}
	pharmacy, err := open(d.pharmacy)
	if err != nil {
		return nil, nil, err
	}
	closeBoth := func() { _, _ = consult.Close(), pharmacy.Close() } // nothing is pending on them by then
	load, err := d.furnish(ctx, consult, pharmacy)
	if err != nil {
		closeBoth()
		return nil, nil, err
	}
	return load, closeBoth, nil
}

func (d *demo) furnish(ctx context.Context, consult, pharmacy *sql.DB) (*clinic.Clinic, error) {
	if err := clinic.Create(ctx, consult, pharmacy); err != nil {
		return nil, err
	}
	if err := clinic.GrantReader(ctx, consult, "tidemill", d.ConsultPassword, "clinic"); err != nil {
		return nil, err
	}
	if err := clinic.GrantReader(ctx, pharmacy, "tidemill", d.PharmacyPassword, "pharmacy"); err != nil {
		return nil, err
	}
	if _, err := clinic.Seed(ctx, consult, pharmacy, clinic.Size{Patients: d.patients, Seed: d.seed}); err != nil {
		return nil, err
	}
	return clinic.Open(ctx, consult, pharmacy, clinic.Options{Seed: d.seed, PayWithin: d.payWithin(), Chats: d.sessions})
}

// payWithin is a minute's worth of steps, so that payments come up to six of the demo's windows after their order.
func (d *demo) payWithin() int { return int(d.rate * 60) }

func open(s *servers.Server) (*sql.DB, error) {
	config, err := mysql.ParseDSN(s.DSN(""))
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{} // troubles are told once, by the load, and not by the driver too
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// tell says what the demo is made of; what to do with tidemill is for tidemill to say.
func (d *demo) tell() {
	fmt.Fprintf(d.out, `clinic: open, %s
  consult   %s  database clinic: patients, doctors, appointments
  pharmacy  %s  database pharmacy: orders, order_items, payments
  sessions  %s  DynamoDB (a stand-in): chat sessions
  project   %s  yours to edit: tidemill.yaml, sources/, pipelines/, jobs/
  look      %s  Parquet files of each window
  mail      %s  alerts of the jobs
  Ctrl-C stops everything.
`, pace(d.rate), d.consult.Addr(), d.pharmacy.Addr(), strings.TrimPrefix(d.sessions.Endpoint(), "http://"), d.Folder, filepath.Join(d.Folder, "data", "lake"), filepath.Join(d.Folder, "mails"))
}

func pace(rate float64) string {
	if rate == 0 {
		return "as busy as it can be"
	}
	return fmt.Sprintf("%g operations a second", rate)
}

// serve runs load and tidemill until one of them, a server or the user ends it; then tidemill goes first, the load
// last, so that the daemon never sees its sources vanish.
func (d *demo) serve(ctx context.Context, load *clinic.Clinic, program string) error {
	loadCtx, stopLoad := context.WithCancel(context.WithoutCancel(ctx))
	loaded, posted := make(chan error, 1), make(chan error, 1)
	go func() { loaded <- load.Load(loadCtx, d.rate, nil) }()
	go func() { posted <- d.post(loadCtx) }()
	err := d.watch(ctx, program)
	stopLoad()
	return errors.Join(err, <-loaded, <-posted)
}

// post takes the mail of alerts, when the project still sends it here.
func (d *demo) post(ctx context.Context) error {
	if d.Mail == 0 {
		return nil
	}
	return (&post{dir: filepath.Join(d.Folder, "mails")}).serve(ctx, d.Mail)
}

// watch returns nil when the user asked to stop.
func (d *demo) watch(ctx context.Context, program string) error {
	var daemon *servers.Process
	var daemonDone <-chan struct{} // nil without a daemon: never ready
	if !d.noDaemon {
		var err error
		if daemon, err = startDaemon(program, d.project); err != nil {
			return err
		}
		daemonDone = daemon.Done()
	}
	var lost error
	select {
	case <-ctx.Done():
	case <-daemonDone:
		return ended(daemon)
	case <-d.consult.Done():
		lost = fmt.Errorf("%s ended by itself; see %s", d.consult.Name, d.consult.Log())
	case <-d.pharmacy.Done():
		lost = fmt.Errorf("%s ended by itself; see %s", d.pharmacy.Name, d.pharmacy.Log())
	}
	if daemon == nil {
		return lost
	}
	// Detached: ctx has ended, that is why we are here.
	if err := daemon.Stop(context.WithoutCancel(ctx), syscall.SIGTERM, daemonPatience); err != nil {
		return errors.Join(lost, fmt.Errorf("stopping tidemill: %w", err))
	}
	return errors.Join(lost, ended(daemon))
}

// daemonPatience is generous: a load into the warehouse that is under way is awaited.
const daemonPatience = time.Minute
