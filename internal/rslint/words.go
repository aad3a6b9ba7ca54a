package rslint

import "strings"

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// reserved words of the Database Developer Guide: not a name without quotes.
var reserved = set(`aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64 backup between binary
 blanksasnull both bytedict bzip2 case cast check collate column constraint create credentials cross current_date current_time
 current_timestamp current_user current_user_id default deferrable deflate defrag delta delta32k desc disable distinct do else
 emptyasnull enable encode encrypt encryption end except explicit false for foreign freeze from full globaldict256 globaldict64k grant
 group gzip having identity ignore ilike in initially inner intersect interval into is isnull join leading left like limit localtime
 localtimestamp lun luns lzo lzop minus mostly16 mostly32 mostly8 natural new not notnull null nulls off offline offset oid old on only
 open or order outer overlaps parallel partition percent permissions pivot placing primary qualify raw readratio recover references
 rejectlog resort respect restore right select session_user similar snapshot some sysdate system table tag tdes text255 text32k then
 timestamp to top trailing true truncatecolumns union unique unnest unpivot user using verbose wallet when where with without`)

// structure are the reserved words that hold statements together: where one is out of place, something before it is missing.
var structure = set(`all and any as asc between case create cross desc distinct else end except for from full group having in inner intersect
 into is join left like limit minus natural not offset on or order outer qualify right select some then to union using when where with`)

// clauseWords end a table's name: they are no alias without AS. Most are reserved already.
var clauseWords = set(`set returning window fetch connect start values tablesample at match`)

// systemColumns are PostgreSQL's.
var systemColumns = set(`oid ctid xmin xmax cmin cmax tableoid`)

var encodings = set(`raw az64 bytedict delta delta32k lzo mostly8 mostly16 mostly32 runlength text255 text32k zstd auto`)

// typeSize bounds the arguments of a type: bytes, or precision and scale.
type typeSize struct{ args, max int }

// types are Redshift's, in one word; two-word spellings are read by the parser.
var types = map[string]typeSize{
	"smallint": {}, "int2": {}, "integer": {}, "int": {}, "int4": {}, "bigint": {}, "int8": {},
	"decimal": {2, 38}, "numeric": {2, 38}, "dec": {2, 38}, "real": {}, "float4": {}, "float8": {}, "float": {1, 53}, "boolean": {}, "bool": {},
	"char": {1, 4096}, "character": {1, 4096}, "nchar": {1, 4096}, "bpchar": {},
	"varchar": {1, 65535}, "nvarchar": {1, 65535}, "text": {},
	"date": {}, "time": {}, "timetz": {}, "timestamp": {}, "timestamptz": {}, "super": {}, "geometry": {}, "geography": {}, "hllsketch": {},
	"varbyte": {1, 16777216}, "varbinary": {1, 16777216}, "interval": {1, 6},
}

// foreignTypes are types that people bring along, with what to use.
var foreignTypes = map[string]string{
	"serial": "use BIGINT IDENTITY(1, 1)", "bigserial": "use BIGINT IDENTITY(1, 1)", "smallserial": "use BIGINT IDENTITY(1, 1)",
	"json": "use SUPER and JSON_PARSE", "jsonb": "use SUPER and JSON_PARSE", "variant": "use SUPER", "object": "use SUPER", "struct": "use SUPER", "map": "use SUPER",
	"array": "use SUPER", "list": "use SUPER", "hstore": "use SUPER", "xml": "use VARCHAR(65535)",
	"uuid": "use VARCHAR(36)", "guid": "use VARCHAR(36)", "bytea": "use VARBYTE", "blob": "use VARBYTE", "binary": "use VARBYTE", "bytes": "use VARBYTE",
	"tinyint": "use SMALLINT", "mediumint": "use INTEGER", "uint64": "use NUMERIC(20,0)", "ubigint": "use NUMERIC(20,0)", "hugeint": "use NUMERIC(38,0)", "number": "use NUMERIC(p,s)",
	"datetime": "use TIMESTAMP", "timestamp_ntz": "use TIMESTAMP", "timestamp_tz": "use TIMESTAMPTZ", "year": "use SMALLINT",
	"string": "use VARCHAR(n)", "longtext": "use VARCHAR(65535)", "mediumtext": "use VARCHAR(65535)", "tinytext": "use VARCHAR(n)", "clob": "use VARCHAR(65535)", "enum": "use VARCHAR(n)", "citext": "use VARCHAR(n) COLLATE CASE_INSENSITIVE",
	"name": "use VARCHAR(127)", "inet": "use VARCHAR(45)", "cidr": "use VARCHAR(45)", "macaddr": "use VARCHAR(17)", "money": "use NUMERIC(19,4)",
	"bit": "use BOOLEAN or VARBYTE", "varbit": "use VARBYTE", "double": "use DOUBLE PRECISION", "tsvector": "there is no full-text search", "tsquery": "there is no full-text search",
	"int4range": "use two columns", "int8range": "use two columns", "numrange": "use two columns", "tsrange": "use two columns", "tstzrange": "use two columns", "daterange": "use two columns",
}

// foreignFunctions are functions that PostgreSQL, DuckDB or MySQL have and Redshift has not, with what to use.
var foreignFunctions = map[string]string{
	"string_agg": "LISTAGG(x, ',') WITHIN GROUP (ORDER BY y)", "group_concat": "LISTAGG(x, ',') WITHIN GROUP (ORDER BY y)", "array_agg": "LISTAGG, or keep the rows",
	"json_agg": "LISTAGG of JSON_SERIALIZE, or keep the rows", "json_object_agg": "keep the rows", "jsonb_agg": "keep the rows", "jsonb_object_agg": "keep the rows",
	"to_json": "JSON_SERIALIZE(super)", "to_jsonb": "JSON_PARSE(text)", "row_to_json": "OBJECT('key', value)", "json_build_object": "OBJECT('key', value)", "jsonb_build_object": "OBJECT('key', value)",
	"json_build_array": "ARRAY(a, b)", "jsonb_build_array": "ARRAY(a, b)", "json_array_elements": "FROM t, t.items AS i", "jsonb_array_elements": "FROM t, t.items AS i",
	"json_array_elements_text": "FROM t, t.items AS i", "jsonb_array_elements_text": "FROM t, t.items AS i", "json_each": "UNPIVOT t.object AS v AT k", "jsonb_each": "UNPIVOT t.object AS v AT k",
	"json_extract": "navigate a SUPER: doc.a.b", "json_extract_string": "JSON_EXTRACT_PATH_TEXT(text, 'a', 'b')", "jsonb_set": "build the object anew", "jsonb_typeof": "JSON_TYPEOF(super)",
	"every": "BOOL_AND(x)", "corr": "compute it from AVG and STDDEV", "covar_pop": "compute it from AVG", "covar_samp": "compute it from AVG", "mode": "GROUP BY and ROW_NUMBER()",
	"regr_slope": "compute it from AVG", "regr_intercept": "compute it from AVG", "regr_count": "COUNT(x)", "regr_r2": "compute it from AVG",
	"format": "||", "encode": "TO_HEX(x) or FROM_VARBYTE(x, 'base64')", "overlay": "SUBSTRING and ||", "gen_random_uuid": "make ids where the rows are made", "uuid_generate_v4": "make ids where the rows are made", "uuid": "make ids where the rows are made",
	"clock_timestamp": "GETDATE()", "statement_timestamp": "GETDATE()", "transaction_timestamp": "SYSDATE", "pg_sleep": "remove it",
	"txid_current": "remove it", "txid_current_snapshot": "remove it", "pg_size_pretty": "SVV_TABLE_INFO.size", "pg_total_relation_size": "SVV_TABLE_INFO.size", "pg_relation_size": "SVV_TABLE_INFO.size",
	"width_bucket": "CASE, or FLOOR((x - low) / width)", "div": "TRUNC(a / b)", "setseed": "remove it", "date_bin": "DATE_TRUNC, or arithmetic on EXTRACT(EPOCH FROM x)", "time_bucket": "DATE_TRUNC, or arithmetic on EXTRACT(EPOCH FROM x)",
	"make_date": "TO_DATE(text, 'YYYY-MM-DD')", "make_timestamp": "TO_TIMESTAMP(text, format)", "make_timestamptz": "TO_TIMESTAMP(text, format)", "make_interval": "DATEADD(part, n, x)", "make_time": "CAST(text AS TIME)",
	"generate_series": "a table of numbers or dates", "range": "a table of numbers or dates", "generate_subscripts": "FROM t, t.items AS i AT n", "unnest": "FROM t, t.items AS i", "flatten": "FROM t, t.items AS i",
	"nextval": "IDENTITY(1, 1)", "currval": "IDENTITY(1, 1)", "setval": "IDENTITY(1, 1)", "lastval": "IDENTITY(1, 1)",
	"pg_advisory_lock": "LOCK table", "pg_advisory_xact_lock": "LOCK table", "pg_try_advisory_lock": "LOCK table", "pg_try_advisory_xact_lock": "LOCK table", "pg_advisory_unlock": "LOCK table",
	"regexp_matches": "REGEXP_SUBSTR(x, pattern)", "regexp_match": "REGEXP_SUBSTR(x, pattern)", "regexp_extract": "REGEXP_SUBSTR(x, pattern, 1, 1, 'e')", "regexp_extract_all": "REGEXP_SUBSTR per occurrence",
	"regexp_split_to_table": "SPLIT_PART, or SPLIT_TO_ARRAY and FROM t, t.items AS i", "regexp_split_to_array": "SPLIT_TO_ARRAY(x, ',')", "regexp_like": "x ~ pattern", "regexp_full_match": "x ~ pattern",
	"string_to_array": "SPLIT_TO_ARRAY(x, ',')", "string_split": "SPLIT_TO_ARRAY(x, ',')", "str_split": "SPLIT_TO_ARRAY(x, ',')", "array_to_string": "JSON_SERIALIZE(super)", "array_append": "ARRAY_CONCAT(a, ARRAY(x))",
	"cardinality": "GET_ARRAY_LENGTH(super)", "array_upper": "GET_ARRAY_LENGTH(super)", "list_aggregate": "keep the rows", "list": "LISTAGG, or keep the rows", "list_value": "ARRAY(a, b)", "struct_pack": "OBJECT('key', value)",
	"to_tsvector": "there is no full-text search", "to_tsquery": "there is no full-text search", "plainto_tsquery": "there is no full-text search",
	"justify_days": "DATEDIFF", "justify_hours": "DATEDIFF", "justify_interval": "DATEDIFF", "isfinite": "remove it", "concat_ws": "a || ',' || b with NVL around each", "ifnull": "NVL(a, b)", "arg_max": "QUALIFY ROW_NUMBER() OVER (...) = 1", "arg_min": "QUALIFY ROW_NUMBER() OVER (...) = 1",
	"max_by": "QUALIFY ROW_NUMBER() OVER (...) = 1", "min_by": "QUALIFY ROW_NUMBER() OVER (...) = 1", "strftime": "TO_CHAR(x, 'YYYY-MM-DD')", "date_format": "TO_CHAR(x, 'YYYY-MM-DD')", "strptime": "TO_TIMESTAMP(text, format)", "str_to_date": "TO_DATE(text, format)",
	"epoch": "EXTRACT(EPOCH FROM x)", "epoch_ms": "EXTRACT(EPOCH FROM x) * 1000", "unix_timestamp": "EXTRACT(EPOCH FROM x)", "from_unixtime": "DATEADD(second, n, '1970-01-01')", "to_days": "DATEDIFF(day, '0001-01-01', x)", "curdate": "CURRENT_DATE", "utc_timestamp": "SYSDATE",
	"date_sub": "DATEADD(part, -n, x)", "date_add": "DATEADD(part, n, x)", "timestampdiff": "DATEDIFF(part, a, b)", "read_parquet": "COPY, or an external table", "read_csv": "COPY, or an external table", "num_nulls": "CASE", "num_nonnulls": "CASE",
	"scale": "remove it", "gcd": "remove it", "lcm": "remove it", "starts_with": "x LIKE 'prefix%'", "ends_with": "x LIKE '%suffix'", "contains": "POSITION(y IN x) > 0", "if": "CASE WHEN ... THEN ... ELSE ... END", "iff": "CASE WHEN ... THEN ... ELSE ... END",
	"try_to_number": "TRY_CAST(x AS NUMERIC(p,s))", "to_regclass": "ask SVV_TABLES", "pg_typeof": "ask SVV_COLUMNS",
}

// leaderFunctions run on the leader node only.
var leaderFunctions = map[string]string{
	"now": "GETDATE() or SYSDATE", "age": "DATEDIFF(part, a, b)", "current_timestamp": "GETDATE() or SYSDATE", "current_time": "GETDATE()::TIME", "localtime": "GETDATE()::TIME", "localtimestamp": "SYSDATE",
	"current_schema": "ask it in a query of its own", "current_schemas": "ask it in a query of its own", "has_table_privilege": "ask it in a query of its own", "has_schema_privilege": "ask it in a query of its own",
	"has_database_privilege": "ask it in a query of its own", "pg_get_viewdef": "ask it in a query of its own", "format_type": "ask it in a query of its own",
}

// foreignSettings are PostgreSQL's, with what to do.
var foreignSettings = map[string]string{
	"standard_conforming_strings": "a backslash always escapes: write \\\\ for one", "backslash_quote": "remove it", "escape_string_warning": "remove it", "work_mem": "SET wlm_query_slot_count TO n", "maintenance_work_mem": "remove it",
	"intervalstyle": "remove it", "bytea_output": "remove it", "synchronous_commit": "remove it", "lock_timeout": "SET statement_timeout TO milliseconds", "idle_in_transaction_session_timeout": "remove it", "server_version_num": "SELECT version()",
	"row_security": "remove it", "default_transaction_isolation": "ALTER DATABASE ... ISOLATION LEVEL", "jit": "remove it", "max_parallel_workers_per_gather": "remove it", "enable_seqscan": "remove it",
}

// framed are window functions that want a frame as soon as they have an order.
var framed = set(`avg count first_value last_value nth_value max min stddev stddev_samp stddev_pop sum variance var_samp var_pop`)

var withinGroup = set(`listagg percentile_cont percentile_disc approximate`)

// foreignOperators are operators that are not Redshift's, with what to use.
var foreignOperators = map[string]string{
	"->": "navigate a SUPER: doc.a.b", "->>": "JSON_EXTRACT_PATH_TEXT(text, 'a')", "#>": "navigate a SUPER: doc.a.b", "#>>": "JSON_EXTRACT_PATH_TEXT(text, 'a', 'b')",
	"@>": "navigate the SUPER", "<@": "navigate the SUPER", "?|": "navigate the SUPER", "?&": "navigate the SUPER", "@@": "there is no full-text search", "&&": "compare the ends",
	"~*": "LOWER(x) ~ pattern, or ILIKE", "!~*": "NOT LOWER(x) ~ pattern, or NOT ILIKE", "~~": "LIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "!~~*": "NOT ILIKE",
	"<->": "ST_Distance", ":=": "name arguments by place", "=>": "name arguments by place", "!": "a product", "?": "navigate the SUPER", "..": "", "...": "",
}
