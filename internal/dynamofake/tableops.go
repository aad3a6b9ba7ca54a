package dynamofake

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"
)

func itoa(n int) string { return strconv.Itoa(n) }

func smallSeconds(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0 && n < 1<<40
}

type attributeDefinition struct {
	AttributeName string `json:"AttributeName"`
	AttributeType string `json:"AttributeType"`
}

type keySchemaElement struct {
	AttributeName string `json:"AttributeName"`
	KeyType       string `json:"KeyType"`
}

type provisionedThroughput struct {
	ReadCapacityUnits  int `json:"ReadCapacityUnits"`
	WriteCapacityUnits int `json:"WriteCapacityUnits"`
}

type streamSpecification struct {
	StreamEnabled  bool   `json:"StreamEnabled"`
	StreamViewType string `json:"StreamViewType,omitempty"`
}

type createTableInput struct {
	TableName                 string                 `json:"TableName"`
	AttributeDefinitions      []attributeDefinition  `json:"AttributeDefinitions"`
	KeySchema                 []keySchemaElement     `json:"KeySchema"`
	BillingMode               string                 `json:"BillingMode"`
	ProvisionedThroughput     *provisionedThroughput `json:"ProvisionedThroughput"`
	StreamSpecification       *streamSpecification   `json:"StreamSpecification"`
	DeletionProtectionEnabled bool                   `json:"DeletionProtectionEnabled"`
	TableClass                string                 `json:"TableClass"`
	Tags                      []map[string]string    `json:"Tags"`
	GlobalSecondaryIndexes    any                    `json:"GlobalSecondaryIndexes,no"`
	LocalSecondaryIndexes     any                    `json:"LocalSecondaryIndexes,no"`
	GlobalTableSourceArn      any                    `json:"GlobalTableSourceArn,no"`
	GlobalTableSettings       any                    `json:"GlobalTableSettingsReplicationMode,no"`
	OnDemandThroughput        any                    `json:"OnDemandThroughput,no"`
	ResourcePolicy            any                    `json:"ResourcePolicy,no"`
	SSESpecification          any                    `json:"SSESpecification,no"`
	VectorIndexes             any                    `json:"VectorIndexes,no"`
	WarmThroughput            any                    `json:"WarmThroughput,no"`
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func (s *Server) createTable(c *call, in *createTableInput) (answer, *apiError) {
	if !tableName.MatchString(in.TableName) {
		return nil, validation("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+, length 3 to 255", in.TableName)
	}
	keys, err := keySchema(in.KeySchema, in.AttributeDefinitions)
	if err != nil {
		return nil, err
	}
	if err := checkBilling(in); err != nil {
		return nil, err
	}
	if s.tables[in.TableName] != nil {
		return nil, inUse("Table already exists: %s", in.TableName)
	}
	t := &table{
		name: in.TableName, arn: s.arn("table/" + in.TableName), id: s.uuid(), created: c.now, settled: c.now.Add(s.opts.SettleDelay),
		keys: keys, billing: in.BillingMode, protected: in.DeletionProtectionEnabled, seed: s.rng.Uint64(),
	}
	t.throughput = throughput(in.ProvisionedThroughput)
	if in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled {
		if err := s.enableStream(c, t, in.StreamSpecification.StreamViewType); err != nil {
			return nil, err
		}
	}
	s.tables[t.name] = t
	d := s.description(c, t)
	d["TableStatus"] = "CREATING" // even when it is ready at once
	return reply(map[string]any{"TableDescription": d})
}

func checkBilling(in *createTableInput) *apiError {
	switch in.BillingMode {
	case "PAY_PER_REQUEST":
		if in.ProvisionedThroughput != nil {
			return validation("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
	case "", "PROVISIONED":
		if in.ProvisionedThroughput == nil {
			return validation("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
		}
	default:
		return validation("1 validation error detected: Value '%s' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]", in.BillingMode)
	}
	return nil
}

func throughput(p *provisionedThroughput) map[string]any {
	if p == nil {
		p = &provisionedThroughput{}
	}
	return map[string]any{"NumberOfDecreasesToday": 0, "ReadCapacityUnits": p.ReadCapacityUnits, "WriteCapacityUnits": p.WriteCapacityUnits}
}

func keySchema(schema []keySchemaElement, definitions []attributeDefinition) ([]keyAttribute, *apiError) {
	if len(schema) < 1 || len(schema) > 2 {
		return nil, validation("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length between 1 and 2")
	}
	var keys []keyAttribute
	for i, e := range schema {
		if e.KeyType != [2]string{"HASH", "RANGE"}[i] {
			return nil, validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type, or the second not a RANGE key type")
		}
		at := slices.IndexFunc(definitions, func(d attributeDefinition) bool { return d.AttributeName == e.AttributeName })
		if at < 0 {
			return nil, validation("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s]", e.AttributeName)
		}
		k := kind(definitions[at].AttributeType)
		if k != kindS && k != kindN && k != kindB {
			return nil, validation("1 validation error detected: Value '%s' at 'attributeDefinitions.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]", k)
		}
		keys = append(keys, keyAttribute{name: e.AttributeName, role: e.KeyType, kind: k})
	}
	if len(definitions) != len(keys) || len(keys) == 2 && keys[0].name == keys[1].name {
		return nil, validation("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return keys, nil
}

func (s *Server) arn(resource string) string {
	return fmt.Sprintf("arn:aws:dynamodb:%s:%s:%s", s.opts.Region, s.opts.Account, resource)
}

func (s *Server) uuid() string {
	a, b := s.rng.Uint64(), s.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

// description is the TableDescription. The lock is held.
func (s *Server) description(c *call, t *table) map[string]any {
	definitions := make([]attributeDefinition, 0, len(t.keys))
	for _, k := range t.keys {
		definitions = append(definitions, attributeDefinition{k.name, string(k.kind)})
	}
	d := map[string]any{
		"TableName": t.name, "TableArn": t.arn, "TableId": t.id, "TableStatus": t.status(c.now), "CreationDateTime": seconds(t.created),
		"KeySchema": t.schema(), "AttributeDefinitions": definitions, "ItemCount": t.count, "TableSizeBytes": t.bytes,
		"ProvisionedThroughput": t.throughput, "DeletionProtectionEnabled": t.protected,
	}
	if t.billing == "PAY_PER_REQUEST" {
		d["BillingModeSummary"] = map[string]any{"BillingMode": t.billing, "LastUpdateToPayPerRequestDateTime": seconds(t.created)}
	}
	if st := t.stream; st != nil && !st.expired(c.now) {
		d["LatestStreamArn"], d["LatestStreamLabel"] = st.arn, st.label
		if st.closed.IsZero() {
			d["StreamSpecification"] = streamSpecification{StreamEnabled: true, StreamViewType: st.view}
		}
	}
	return d
}

func (t *table) schema() []keySchemaElement {
	out := make([]keySchemaElement, 0, len(t.keys))
	for _, k := range t.keys {
		out = append(out, keySchemaElement{k.name, k.role})
	}
	return out
}

func (t *table) status(now time.Time) string {
	switch {
	case t.deleted:
		return "DELETING"
	case now.Before(t.settled) && t.updating:
		return "UPDATING"
	case now.Before(t.settled):
		return "CREATING"
	}
	return "ACTIVE"
}

// table finds a table by name or ARN, in whatever status.
func (s *Server) table(nameOrARN string) (*table, *apiError) {
	name := nameOrARN
	if in := tableOfARN(nameOrARN); in != "" {
		name = in
	}
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, notFound("Requested resource not found: Table: %s not found", name)
}

// readyTable finds a table that takes reads and writes.
func (s *Server) readyTable(c *call, name string) (*table, *apiError) {
	t, err := s.table(name)
	if err != nil || t.deleted || t.status(c.now) == "CREATING" {
		return nil, notFound("Requested resource not found")
	}
	return t, nil
}

type tableInput struct {
	TableName string `json:"TableName"`
}

func (s *Server) describeTable(c *call, in *tableInput) (answer, *apiError) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	return reply(map[string]any{"Table": s.description(c, t)})
}

func (s *Server) deleteTable(c *call, in *tableInput) (answer, *apiError) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if t.protected {
		return nil, validation("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	if st := t.status(c.now); st != "ACTIVE" {
		return nil, inUse("Attempt to change a resource which is still in use: Table is being %s: %s", st, t.name)
	}
	t.deleted, t.settled = true, c.now.Add(s.opts.SettleDelay)
	d := s.description(c, t)
	if t.stream != nil {
		t.stream.disable(c.now, t.settled)
	}
	if s.opts.SettleDelay == 0 {
		delete(s.tables, t.name)
	}
	return reply(map[string]any{"TableDescription": d})
}

type updateTableInput struct {
	TableName                   string                 `json:"TableName"`
	StreamSpecification         *streamSpecification   `json:"StreamSpecification"`
	DeletionProtectionEnabled   *bool                  `json:"DeletionProtectionEnabled"`
	BillingMode                 string                 `json:"BillingMode"`
	ProvisionedThroughput       *provisionedThroughput `json:"ProvisionedThroughput"`
	AttributeDefinitions        any                    `json:"AttributeDefinitions,no"`
	DisassociationProtection    any                    `json:"DisassociationProtectionEnabled,no"`
	GlobalSecondaryIndexUpdates any                    `json:"GlobalSecondaryIndexUpdates,no"`
	GlobalTableSettings         any                    `json:"GlobalTableSettingsReplicationMode,no"`
	GlobalTableWitnessUpdates   any                    `json:"GlobalTableWitnessUpdates,no"`
	MultiRegionConsistency      any                    `json:"MultiRegionConsistency,no"`
	OnDemandThroughput          any                    `json:"OnDemandThroughput,no"`
	ReplicaUpdates              any                    `json:"ReplicaUpdates,no"`
	SSESpecification            any                    `json:"SSESpecification,no"`
	TableClass                  any                    `json:"TableClass,no"`
	VectorIndexUpdates          any                    `json:"VectorIndexUpdates,no"`
	WarmThroughput              any                    `json:"WarmThroughput,no"`
}

func (s *Server) updateTable(c *call, in *updateTableInput) (answer, *apiError) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if st := t.status(c.now); st != "ACTIVE" {
		return nil, inUse("Attempt to change a resource which is still in use: Table is being %s: %s", st, t.name)
	}
	if spec := in.StreamSpecification; spec != nil {
		if err := s.changeStream(c, t, spec); err != nil {
			return nil, err
		}
	}
	if in.DeletionProtectionEnabled != nil {
		t.protected = *in.DeletionProtectionEnabled
	}
	if in.BillingMode != "" {
		t.billing = in.BillingMode
	}
	if in.ProvisionedThroughput != nil {
		t.throughput = throughput(in.ProvisionedThroughput)
	}
	t.updating, t.settled = true, c.now.Add(s.opts.SettleDelay)
	d := s.description(c, t)
	d["TableStatus"] = "UPDATING"
	return reply(map[string]any{"TableDescription": d})
}

func (s *Server) changeStream(c *call, t *table, spec *streamSpecification) *apiError {
	on := t.stream != nil && t.stream.closed.IsZero()
	switch {
	case spec.StreamEnabled && on:
		return validation("Table already has an enabled stream: TableName: %s", t.name)
	case spec.StreamEnabled:
		return s.enableStream(c, t, spec.StreamViewType)
	case !on:
		return validation("Table is not configured with an enabled stream: TableName: %s", t.name)
	}
	t.stream.disable(c.now, c.now.Add(s.opts.SettleDelay))
	return nil
}

// enableStream gives the table a new stream with an ARN of its own; what an older one holds stays readable there.
func (s *Server) enableStream(c *call, t *table, view string) *apiError {
	if !slices.Contains([]string{"NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"}, view) {
		return validation("One or more parameter values were invalid: StreamViewType must be one of NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY")
	}
	at := c.now.Truncate(time.Millisecond)
	for _, other := range s.streams {
		if other.table == t.name && !at.After(other.created) {
			at = other.created.Add(time.Millisecond) // labels are times: they must differ
		}
	}
	label := at.Format("2006-01-02T15:04:05.000")
	st := &stream{
		arn: t.arn + "/stream/" + label, label: label, table: t.name, view: view, schema: t.schema(), keysOf: t.keyOf,
		created: at, opens: c.now.Add(s.opts.SettleDelay), rotate: s.opts.RotateEvery, region: s.opts.Region, rng: s.rng,
	}
	st.seed = xxh3.HashStringSeed(st.arn, s.opts.Seed)
	st.begin(s.opts.Shards)
	t.stream = st
	s.streams = append(s.streams, st)
	return nil
}

type listTablesInput struct {
	ExclusiveStartTableName string `json:"ExclusiveStartTableName"`
	Limit                   int    `json:"Limit"`
}

func (s *Server) listTables(_ *call, in *listTablesInput) (answer, *apiError) {
	names := make([]string, 0, len(s.tables))
	for name := range s.tables {
		if name > in.ExclusiveStartTableName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	limit := in.Limit
	if limit <= 0 || limit > 100 {
		limit = 100
	}
	out := map[string]any{}
	if len(names) > limit {
		names = names[:limit]
		out["LastEvaluatedTableName"] = names[limit-1]
	}
	out["TableNames"] = names
	return reply(out)
}
