package redshiftdouble

import (
	_ "embed"
)

// The schema rs: types, side tables, functions and catalogue views of the double, in the order in which they are made.
var (
	//go:embed setup.sql
	setupSQL string
	//go:embed functions.sql
	functionsSQL string
	//go:embed catalog.sql
	catalogSQL string
)
