package redshiftdouble

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// prepared is a statement of the extended protocol.
type prepared struct {
	plan *plan  // nil: empty query
	name string // in PostgreSQL; empty when it does not see it
	desc *pgconn.StatementDescription
}

// portal is a prepared statement with its parameters.
type portal struct {
	of            *prepared
	params        [][]byte
	paramFormats  []int16
	resultFormats []int16
}

// parse prepares a statement. Only queries, changes of rows and the session's own statements may come this way.
func (s *session) parse(ctx context.Context, m *pgproto3.Parse) error {
	ctx, finished := s.begun(ctx)
	defer finished()
	plans, err := s.plans(m.Query)
	if err != nil {
		return err
	}
	if len(plans) > 1 {
		return refuse("42601", "cannot insert multiple commands into a prepared statement")
	}
	p := &prepared{}
	if len(plans) == 1 {
		p.plan = plans[0]
		if !p.plan.prepare {
			return refuse("0A000", "%s cannot be prepared: send it by the simple protocol, without parameters", strings.ToUpper(p.plan.verb))
		}
		if err := s.allowed(p.plan, false); err != nil {
			return err
		}
	}
	if err := s.prepare(ctx, p, m); err != nil {
		return err
	}
	s.unprepare(ctx, m.Name)
	s.prepared[m.Name] = p
	s.wire.Send(&pgproto3.ParseComplete{})
	return nil
}

// foreignTypes are PostgreSQL's numbers of types that Redshift has not, arrays among them: pgx sends them for []byte, []string, UUIDs.
var foreignTypes = map[uint32]string{
	pgtype.ByteaOID: "bytea", pgtype.JSONOID: "json", pgtype.JSONBOID: "jsonb", pgtype.UUIDOID: "uuid", pgtype.InetOID: "inet", pgtype.CIDROID: "cidr",
	pgtype.TextArrayOID: "text[]", pgtype.VarcharArrayOID: "varchar[]", pgtype.Int2ArrayOID: "smallint[]", pgtype.Int4ArrayOID: "integer[]",
	pgtype.Int8ArrayOID: "bigint[]", pgtype.Float4ArrayOID: "real[]", pgtype.Float8ArrayOID: "double precision[]", pgtype.BoolArrayOID: "boolean[]",
	pgtype.NumericArrayOID: "numeric[]", pgtype.DateArrayOID: "date[]", pgtype.TimestampArrayOID: "timestamp[]", pgtype.TimestamptzArrayOID: "timestamptz[]",
	pgtype.ByteaArrayOID: "bytea[]", pgtype.UUIDArrayOID: "uuid[]",
}

func (s *session) prepare(ctx context.Context, p *prepared, m *pgproto3.Parse) (err error) {
	for i, o := range m.ParameterOIDs {
		if name, foreign := foreignTypes[o]; foreign {
			return refuse("0A000", "type %q of parameter $%d is not supported", name, i+1)
		}
	}
	if p.plan == nil || p.plan.sql == "" {
		return nil
	}
	if err := s.server.names.save(ctx, s.server.admin); err != nil {
		return err
	}
	p.name = fmt.Sprintf("c%d", s.query)
	p.desc, err = s.backend.Prepare(ctx, p.name, p.plan.sql, s.typesOf(m.ParameterOIDs))
	return err
}

// typesOf are PostgreSQL's numbers of the types that a client gave.
func (s *session) typesOf(oids []uint32) []uint32 {
	out := slices.Clone(oids)
	for i, o := range out {
		switch o {
		case superOID:
			out[i] = s.server.admin.super
		case varbyteOID:
			out[i] = s.server.admin.varbyte
		}
	}
	return out
}

// unprepare forgets a statement; a failed transaction keeps PostgreSQL's part until the session ends.
func (s *session) unprepare(ctx context.Context, name string) {
	if old := s.prepared[name]; old != nil && old.name != "" && s.tx != failed {
		_ = s.backend.Deallocate(ctx, old.name) // a name that is left behind is never used again
	}
	delete(s.prepared, name)
}

func (s *session) bind(m *pgproto3.Bind) error {
	p := s.prepared[m.PreparedStatement]
	if p == nil {
		return refuse("26000", "prepared statement %q does not exist", m.PreparedStatement)
	}
	po := &portal{of: p, paramFormats: slices.Clone(m.ParameterFormatCodes), resultFormats: slices.Clone(m.ResultFormatCodes)}
	for _, v := range m.Parameters {
		po.params = append(po.params, bytes.Clone(v))
	}
	if len(po.params) > 32767 {
		return refuse("08P01", "too many parameters: %d, at most 32767", len(po.params))
	}
	s.portals[m.DestinationPortal] = po
	s.wire.Send(&pgproto3.BindComplete{})
	return nil
}

func (s *session) describe(_ context.Context, m *pgproto3.Describe) error {
	if m.ObjectType == 'S' {
		p := s.prepared[m.Name]
		if p == nil {
			return refuse("26000", "prepared statement %q does not exist", m.Name)
		}
		d := &pgproto3.ParameterDescription{}
		if p.desc != nil {
			for _, o := range p.desc.ParamOIDs {
				d.ParameterOIDs = append(d.ParameterOIDs, s.oid(o))
			}
		}
		s.wire.Send(d)
		s.describeFields(p, nil)
		return nil
	}
	po := s.portals[m.Name]
	if po == nil {
		return refuse("34000", "portal %q does not exist", m.Name)
	}
	s.describeFields(po.of, po.resultFormats)
	return nil
}

func (s *session) describeFields(p *prepared, formats []int16) {
	switch {
	case p.desc != nil && len(p.desc.Fields) > 0:
		s.wire.Send(s.rowDescription(p.desc.Fields, formats))
	case p.plan != nil && len(p.plan.fields) > 0:
		s.wire.Send(&pgproto3.RowDescription{Fields: p.plan.fields})
	default:
		s.wire.Send(&pgproto3.NoData{})
	}
}

// describeUnlessDone sends the fields of a result that the double makes itself: in the extended protocol Describe has.
func (s *session) describeUnlessDone(fields []pgproto3.FieldDescription) {
	if s.executed == 0 {
		s.wire.Send(&pgproto3.RowDescription{Fields: fields})
	}
}

// execute runs a portal. Each must be followed by Sync: Redshift has no pipelines.
func (s *session) execute(ctx context.Context, m *pgproto3.Execute) error {
	po := s.portals[m.Portal]
	switch {
	case po == nil:
		return refuse("34000", "portal %q does not exist", m.Portal)
	case s.executed > 0:
		return refuse("0A000", "several statements before Sync: pipelined batches are not supported")
	case m.MaxRows > 0:
		return unsupported("fetching a portal in pieces")
	}
	s.executed++
	p := po.of.plan
	if p == nil {
		s.wire.Send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	ctx, finished := s.begun(ctx)
	defer finished()
	if err := s.allowed(p, false); err != nil {
		return err
	}
	tag, err := s.perform(ctx, p, func(ctx context.Context) (string, error) { return s.executePortal(ctx, po) })
	if err != nil {
		return err
	}
	return s.complete(ctx, p, tag, true)
}

func (s *session) executePortal(ctx context.Context, po *portal) (string, error) {
	formats := make([]int16, len(po.of.desc.Fields))
	for i, f := range po.of.desc.Fields {
		formats[i] = formatAt(po.resultFormats, i)
		if s.columnOf(f, formats[i]).asText() {
			formats[i] = 0
		}
	}
	return s.forwardRows(s.backend.ExecPrepared(ctx, po.of.name, po.params, po.paramFormats, formats), po.resultFormats)
}

func (s *session) close(m *pgproto3.Close) {
	if m.ObjectType == 'S' {
		s.unprepare(context.Background(), m.Name)
	} else {
		delete(s.portals, m.Name)
	}
	s.wire.Send(&pgproto3.CloseComplete{})
}
