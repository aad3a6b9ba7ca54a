package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/internal/realtest"
)

// What the server says may quote a value: in its message, in its detail, in the text of a user's query (invariant 5).
func TestMessagesThatQuoteValues(t *testing.T) {
	for code, message := range map[string]string{
		"22P02": `invalid input syntax for type integer: "` + realtest.Canary + `"`,
		"23514": `new row for relation "t" violates check constraint "` + realtest.Canary + `"`,
		"P0001": realtest.Canary,
		"42703": `column "` + realtest.Canary + `" does not exist`,
		"XX000": realtest.Canary,
	} {
		e := clean(&pgconn.PgError{Code: code, Message: message, Detail: "Key (id)=(" + realtest.Canary + ") is there", Where: realtest.Canary, Hint: realtest.Canary})
		realtest.NoCanary(t, code, e.Error())
	}
}
