package rslint

// The rules. Each is about one thing that Redshift refuses or does otherwise.
const (
	ruleSyntax    Rule = "syntax"
	ruleUnclosed  Rule = "unclosed"
	ruleEncoding  Rule = "encoding"
	ruleLiteral   Rule = "literal-prefix"
	ruleBackslash Rule = "backslash"
	ruleNesting   Rule = "nesting"
	ruleSize      Rule = "statement-size"

	ruleStatement Rule = "statement"
	ruleObject    Rule = "object-kind"
	ruleSelect    Rule = "one-select"
	ruleParameter Rule = "parameter"
	ruleTxBlock   Rule = "no-transaction-block"
	ruleTxNeeded  Rule = "transaction-block"
	ruleLockFirst Rule = "lock-first"
	ruleTruncate  Rule = "truncate-commits"
	ruleSavepoint Rule = "savepoint"
	ruleClause    Rule = "clause"
	ruleSetting   Rule = "setting"
	ruleCursor    Rule = "one-cursor"

	ruleReturning   Rule = "returning"
	ruleConflict    Rule = "on-conflict"
	ruleTargetAlias Rule = "target-alias"
	ruleSetColumn   Rule = "set-column"
	ruleWithDML     Rule = "with-dml"
	ruleLocking     Rule = "row-lock"

	ruleDistinctOn Rule = "distinct-on"
	ruleLateral    Rule = "lateral"
	ruleFilter     Rule = "filter"
	ruleWithin     Rule = "within-group"
	ruleAggOrder   Rule = "aggregate-order"
	ruleFrame      Rule = "window-frame"
	ruleWindow     Rule = "window-clause"
	ruleValues     Rule = "values-table"
	ruleTableFunc  Rule = "table-function"
	ruleIsDistinct Rule = "is-distinct-from"
	ruleRow        Rule = "row-value"
	ruleArray      Rule = "array"
	ruleOperator   Rule = "operator"
	ruleFunction   Rule = "function"
	ruleLeader     Rule = "leader-only"
	ruleArity      Rule = "arguments"
	ruleSetAll     Rule = "set-all"
	ruleFetch      Rule = "fetch-first"
	ruleSample     Rule = "tablesample"

	ruleType      Rule = "type"
	ruleTypeSize  Rule = "type-size"
	ruleText      Rule = "text-is-256"
	ruleCollation Rule = "collation"

	ruleName        Rule = "name"
	ruleReserved    Rule = "reserved-word"
	ruleNameLength  Rule = "name-length"
	ruleSystemName  Rule = "system-column"
	ruleSameColumn  Rule = "same-column"
	ruleManyColumns Rule = "columns"
	ruleTempSchema  Rule = "temp-schema"
	ruleUnqualified Rule = "unqualified"

	ruleConstraint Rule = "constraint"
	ruleDefault    Rule = "default"
	ruleIdentity   Rule = "identity"
	ruleTableAttr  Rule = "table-attribute"
	ruleEncode     Rule = "encode"
	ruleCTAS       Rule = "create-table-as"
	ruleOneAction  Rule = "one-action"
	ruleIfNot      Rule = "if-not-exists"
	ruleAddColumn  Rule = "add-column"
	ruleAlterType  Rule = "alter-type"
	ruleAlter      Rule = "alter-column"

	ruleCopyLocal   Rule = "copy-source"
	ruleCopyOption  Rule = "copy-option"
	ruleCopyPrefix  Rule = "copy-prefix"
	ruleCredentials Rule = "credentials"
	ruleRole        Rule = "iam-role"
	ruleUnload      Rule = "unload-option"
	ruleUnloadLimit Rule = "unload-limit"
	ruleMerge       Rule = "merge"
)

type ruleInfo struct {
	why, remedy string
	warning     bool
}

// ruleTexts says why, and what helps. A remedy that depends on the place is given there.
var ruleTexts = map[Rule]ruleInfo{
	ruleSyntax:    {"it is not in Redshift's grammar", "write it as the Database Developer Guide shows the statement", false},
	ruleUnclosed:  {"the rest of the file is taken for its content", "close it", false},
	ruleEncoding:  {"Redshift reads UTF-8", "save the file as UTF-8 without a byte order mark", false},
	ruleLiteral:   {"Redshift has plain literals only", "write '...': a backslash escapes in it as it does in E'...'", false},
	ruleBackslash: {"Redshift takes it as an escape and drops it, also where PostgreSQL keeps it", `write \\ for a backslash`, true},
	ruleNesting:   {"it is nested deeper than this linter follows", "take it apart with WITH", false},
	ruleSize:      {"Redshift takes statements of at most 16 MB", "split it", false},

	ruleStatement: {"Redshift has no such statement", "remove it", false},
	ruleObject:    {"Redshift has no such objects", "remove it", false},
	ruleSelect:    {"what runs here is one SELECT", "remove other statements", false},
	ruleParameter: {"Redshift takes parameters in SELECT, INSERT, UPDATE and DELETE only", "write the value as a literal", false},
	ruleTxBlock:   {"Redshift does not run it in a transaction", "run it by itself, outside BEGIN and COMMIT", false},
	ruleTxNeeded:  {"Redshift runs it in a transaction only", "put it between BEGIN and COMMIT", false},
	ruleLockFirst: {"the transaction has taken its snapshot by then, so it may read what the lock's last holder has since changed", "make LOCK the first statement after BEGIN", false},
	ruleTruncate:  {"in Redshift TRUNCATE commits the transaction that it is in, and everything before it", "use DELETE FROM", false},
	ruleSavepoint: {"Redshift has no savepoints", "roll the whole transaction back and run it again", false},
	ruleSetting:   {"Redshift has no such parameter, or not with that value", "", false},
	ruleCursor:    {"a session has one open cursor", "CLOSE the first", false},
	ruleClause:    {"Redshift's statement has no such clause", "remove it", false},

	ruleReturning:   {"Redshift has no RETURNING", "SELECT what is needed before or after, in the same transaction", false},
	ruleConflict:    {"Redshift has no ON CONFLICT", "DELETE ... USING the new rows and INSERT them, in one transaction", false},
	ruleTargetAlias: {"the target takes no alias here", "name the columns by the table's full name", false},
	ruleSetColumn:   {"SET names columns of the target without a qualifier", "write the bare column", false},
	ruleWithDML:     {"WITH holds SELECTs only, and comes after INSERT INTO", "write INSERT INTO t WITH ... SELECT ..., or use a temporary table", false},
	ruleLocking:     {"Redshift has no row locks", "LOCK the table as the first statement of the transaction", false},

	ruleDistinctOn: {"Redshift has no DISTINCT ON", "QUALIFY ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...) = 1", false},
	ruleLateral:    {"Redshift has no LATERAL", "join a subquery", false},
	ruleFilter:     {"Redshift has no FILTER", "SUM(CASE WHEN condition THEN x END)", false},
	ruleWithin:     {"WITHIN GROUP is for LISTAGG, PERCENTILE_CONT, PERCENTILE_DISC and APPROXIMATE PERCENTILE_DISC", "use one of these", false},
	ruleAggOrder:   {"an aggregate takes its order by WITHIN GROUP (ORDER BY ...)", "LISTAGG(x, ',') WITHIN GROUP (ORDER BY y)", false},
	ruleFrame:      {"Redshift has frames of ROWS only, and wants one where an aggregate's window has an order", "add ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", false},
	ruleWindow:     {"Redshift has no named windows", "write the window at each OVER (...)", false},
	ruleValues:     {"Redshift has VALUES in INSERT only", "SELECT ... UNION ALL SELECT ...", false},
	ruleTableFunc:  {"functions that return rows do not run against tables in Redshift", "use a table of numbers or dates, or navigate a SUPER: FROM t, t.items AS i", false},
	ruleIsDistinct: {"Redshift has no IS DISTINCT FROM", "a = b OR a IS NULL AND b IS NULL", false},
	ruleRow:        {"Redshift compares rows in IN (SELECT ...) only", "compare column by column", false},
	ruleArray:      {"Redshift has no arrays of PostgreSQL's kind", "use SUPER: ARRAY(1, 2) makes one, x[0] reads it", false},
	ruleOperator:   {"Redshift has no such operator", "", false},
	ruleFunction:   {"Redshift has no such function", "", false},
	ruleLeader:     {"it runs on the leader node only and fails together with a user's table", "", false},
	ruleArity:      {"the function takes another number of arguments in Redshift", "", false},
	ruleSetAll:     {"Redshift has ALL for UNION only", "remove ALL", false},
	ruleFetch:      {"Redshift has no FETCH FIRST", "LIMIT n", false},
	ruleSample:     {"Redshift has no TABLESAMPLE", "WHERE RANDOM() < 0.01", false},

	ruleType:      {"Redshift has no such type", "", false},
	ruleTypeSize:  {"the size is out of Redshift's range", "", false},
	ruleText:      {"TEXT is VARCHAR(256) in Redshift, counted in bytes", "write VARCHAR(n) with the bytes that are needed, at most 65535", true},
	ruleCollation: {"Redshift has the collations CASE_SENSITIVE and CASE_INSENSITIVE only", "remove it", false},

	ruleName:        {"a name is wanted here", "", false},
	ruleReserved:    {"it is a reserved word", "quote it, or choose another name", false},
	ruleNameLength:  {"Redshift cuts names at 127 bytes without a word", "shorten it", false},
	ruleSystemName:  {"it is the name of a system column", "choose another name", false},
	ruleSameColumn:  {"Redshift folds names to lower case, also in quotes", "rename one of them", false},
	ruleManyColumns: {"a table has at most 1,600 columns", "split it", false},
	ruleTempSchema:  {"a temporary table has a schema of its own", "leave the schema out", false},
	ruleUnqualified: {"a view WITH NO SCHEMA BINDING wants every table with its schema", "write schema.table", false},

	ruleConstraint: {"Redshift has no such constraint", "remove it; PRIMARY KEY and UNIQUE are hints that nothing enforces", false},
	ruleDefault:    {"a DEFAULT is an expression without columns and subqueries", "use a constant", false},
	ruleIdentity:   {"Redshift has IDENTITY(seed, step) and GENERATED BY DEFAULT AS IDENTITY(seed, step)", "id BIGINT IDENTITY(1, 1)", false},
	ruleTableAttr:  {"it is no attribute of a table, or contradicts another one", "DISTSTYLE AUTO|EVEN|KEY|ALL, DISTKEY (c), [COMPOUND|INTERLEAVED] SORTKEY (c, ...), SORTKEY AUTO, ENCODE AUTO", false},
	ruleEncode:     {"Redshift has no such encoding", "ENCODE AUTO on the table, or RAW, AZ64, ZSTD, LZO, BYTEDICT, DELTA, MOSTLY8, RUNLENGTH, TEXT255 on the column", false},
	ruleCTAS:       {"CREATE TABLE AS takes neither IF NOT EXISTS nor types and constraints of columns", "CREATE TABLE ..., then INSERT INTO ... SELECT", false},
	ruleOneAction:  {"ALTER TABLE does one thing at a time in Redshift", "write one statement for each", false},
	ruleIfNot:      {"Redshift does not know IF NOT EXISTS here", "ask SVV_COLUMNS first", false},
	ruleAddColumn:  {"a column that is added has no PRIMARY KEY, UNIQUE, REFERENCES or IDENTITY, and NOT NULL only with a DEFAULT", "add it NULL", false},
	ruleAlterType:  {"ALTER COLUMN TYPE changes the size of a VARCHAR or VARBYTE and nothing else", "add a column of the new type, UPDATE it, drop the old one and rename", false},
	ruleAlter:      {"Redshift cannot change NOT NULL or DEFAULT of a column", "add a column as wanted, UPDATE it, drop the old one and rename", false},

	ruleCopyLocal:   {"COPY loads from 's3://...', 'dynamodb://...', 'emr://...' or over ssh, into a table", "put the data into S3; UNLOAD writes there", false},
	ruleCopyOption:  {"COPY refuses it, or refuses it with this format", "", false},
	ruleCopyPrefix:  {"a path without MANIFEST is a prefix: part-1 takes part-10 too, and a missing file goes unnoticed", "list the files in a manifest and add MANIFEST", true},
	ruleCredentials: {"COPY and UNLOAD want exactly one way to sign requests", "IAM_ROLE default or IAM_ROLE 'arn:aws:iam::...'", false},
	ruleRole:        {"it is neither default nor a list of role ARNs", "IAM_ROLE default or IAM_ROLE 'arn:aws:iam::<account>:role/<name>'", false},
	ruleUnload:      {"UNLOAD refuses it, or refuses it with this format", "", false},
	ruleUnloadLimit: {"UNLOAD refuses LIMIT in the outer SELECT", "SELECT * FROM (SELECT ... LIMIT n)", false},
	ruleMerge:       {"Redshift's MERGE has one WHEN MATCHED THEN UPDATE or DELETE and one WHEN NOT MATCHED THEN INSERT, or REMOVE DUPLICATES, between two tables joined by equality", "DELETE ... USING and INSERT, in one transaction", false},
}
