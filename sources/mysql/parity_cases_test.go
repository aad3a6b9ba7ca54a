package mysql

import (
	"fmt"
	"strings"
)

// parityColumn is a column of a parity table. values are SQL expressions, dealt out to the rows in turn.
type parityColumn struct {
	ddl    string
	values []string
	only   flavor // empty: both
}

// parityTable is a table that both readings must agree on. Without a key it gets one of its own, and a last row of NULLs.
type parityTable struct {
	name    string
	key     string // PRIMARY KEY (...); empty: id
	columns []parityColumn
}

func col(ddl string, values ...string) parityColumn { return parityColumn{ddl: ddl, values: values} }

func (c parityColumn) at(f flavor) parityColumn {
	c.only = f
	return c
}

// on leaves out what a server does not have.
func (p parityTable) on(f flavor) parityTable {
	var out []parityColumn
	for _, c := range p.columns {
		if c.only == "" || c.only == f {
			out = append(out, c)
		}
	}
	p.columns = out
	return p
}

// parityTables hold every type of TYPES.md with its edge values: TestParityKnowsEveryType. They are split by family, because
// a row has a largest size.
func parityTables(f flavor) []parityTable {
	all := []parityTable{
		{name: "numbers", columns: numberColumns()}, {name: "temporal", columns: temporalColumns()}, {name: "texts", columns: textColumns()},
		{name: "charsets", columns: charsetColumns()}, {name: "bytes", columns: byteColumns()}, {name: "labels", columns: labelColumns()},
		{name: "documents", columns: documentColumns(f)}, {name: "own", columns: ownColumns()}, {name: "computed", columns: computedColumns()},
	}
	for i, c := range keyColumns() {
		if c.only == "" || c.only == f {
			all = append(all, parityTable{fmt.Sprintf("keyed%d", i), "k", []parityColumn{col("k "+c.ddl+" NOT NULL", c.values...)}})
		}
	}
	for i := range all {
		all[i] = all[i].on(f)
	}
	return all
}

func numberColumns() []parityColumn {
	nines := strings.Repeat("9", 38)
	return []parityColumn{
		col("TINYINT", "-128", "127", "0", "-1"), col("TINYINT(1)", "1", "0", "-5"), col("BOOL", "TRUE", "FALSE"), col("TINYINT UNSIGNED", "255", "128", "0"),
		col("SMALLINT", "-32768", "32767", "-1", "0"), col("SMALLINT UNSIGNED", "65535", "32768", "0"),
		col("MEDIUMINT", "-8388608", "8388607", "-1", "0"), col("MEDIUMINT UNSIGNED", "16777215", "8388608", "0"),
		col("INT", "-2147483648", "2147483647", "-1", "0"), col("INT UNSIGNED", "4294967295", "2147483648", "0"), col("INT(7) ZEROFILL", "42", "0", "4294967295"),
		col("BIGINT", "-9223372036854775808", "9223372036854775807", "-1", "0"),
		col("BIGINT UNSIGNED", "18446744073709551615", "9223372036854775808", "9223372036854775807", "0"),
		col("BIGINT UNSIGNED NOT NULL DEFAULT 18446744073709551614", "DEFAULT", "0", "DEFAULT"),
		col("DECIMAL(38,10)", "-"+nines[:28]+"."+nines[:10], nines[:28]+"."+nines[:10], "0.0000000001", "-0.0000000001", "-0.0", "0", "-1234567890123456789012345678.0123456789"),
		col("DECIMAL(1,0)", "-9", "9", "0"), col("DECIMAL(5,5)", "-0.99999", "0.00001", "-0.00000", "0"), col("DECIMAL(9,0)", "-999999999", "100000000", "7"),
		col("DECIMAL(18,4) UNSIGNED", "99999999999999.9999", "0.0001", "0"), col("DECIMAL(10,2) ZEROFILL", "12.5", "0", "99999999.99"),
		col("DECIMAL(38,0)", "-"+nines, nines, "-1", "0"), col("DECIMAL(38,30)", "-99999999."+nines[:30], "0.000000000000000000000000000001"),
		col("DECIMAL(38,38)", "-0."+nines, "0."+strings.Repeat("0", 37)+"1").at(mariadb),
		col("DECIMAL(39,0)", "-9"+nines, "0", "-0", "17"), col("DECIMAL(65,30)", "-"+nines[:35]+"."+nines[:30], "0.000000000000000000000000000001", "-0.5", "0"),
		col("FLOAT", "16777217", "0.1", "-0e0", "3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1e-45", "-1e-45", "8388607.5"),
		col("FLOAT(7,3)", "1234.567", "-0.001", "0.3", "-0e0"), col("FLOAT UNSIGNED", "0.1", "3.4028234e38"),
		col("DOUBLE", "0.1", "-0e0", "1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "2.2250738585072009e-308", "5e-324", "-5e-324", "1e15", "123456789012345678", "1/3"),
		col("DOUBLE(12,3)", "123456789.123", "-0.001", "0.3"), col("REAL", "9007199254740993", "1e22"),
		col("BIT(1)", "b'1'", "b'0'"), col("BIT(2)", "b'11'", "b'10'", "0"), col("BIT(8)", "255", "128", "0"), col("BIT(9)", "b'100000001'", "511"),
		col("BIT(63)", "0x7FFFFFFFFFFFFFFF", "1", "0"), col("BIT(64)", "0xFFFFFFFFFFFFFFFF", "0x8000000000000000", "0"), col("BIT(1) NOT NULL DEFAULT b'1'", "DEFAULT", "b'0'"),
		col("YEAR", "'0000'", "1901", "2155", "2024"),
	}
}

// temporalColumns: zero dates, days that do not exist, both ends of each range, all digits of fractions.
func temporalColumns() []parityColumn {
	out := []parityColumn{
		col("DATE", "'0000-00-00'", "'2024-00-15'", "'2024-12-00'", "'2024-02-31'", "'0000-01-01'", "'0001-01-01'", "'1000-01-01'", "'1969-12-31'", "'2024-02-29'", "'9999-12-31'"),
		col("DATE NOT NULL", "'0000-00-00'", "'2026-01-01'"),
	}
	for f := range 7 {
		digits := "123456"[:f]
		dot := func(s string, d string) string {
			if f == 0 {
				return "'" + s + "'"
			}
			return "'" + s + "." + d[:f] + "'"
		}
		name := func(t string) string { return fmt.Sprintf("%s(%d)", t, f) }
		out = append(out,
			col(name("DATETIME"), "'0000-00-00 00:00:00'", "'0000-00-00 12:34:56'", "'2024-00-01 10:00:00'", "'2023-02-29 10:00:00'", dot("0000-01-01 00:00:00", digits), dot("1000-01-01 00:00:00", "000000"),
				dot("1969-12-31 23:59:59", "999999"), dot("1970-01-01 00:00:00", "000001"), dot("2026-03-29 02:30:00", digits), dot("9999-12-31 23:59:59", "999999")),
			// What the text says depends on the session's zone, what FROM_UNIXTIME says does not.
			col(name("TIMESTAMP")+" NULL", "'0000-00-00 00:00:00'", "FROM_UNIXTIME(1)", "FROM_UNIXTIME(2147483647)", dot("1971-01-01 00:00:00", "999999"), dot("2026-03-29 02:30:00", digits), "FROM_UNIXTIME(1234567890.987654)"),
			col(name("TIMESTAMP")+" NOT NULL DEFAULT CURRENT_TIMESTAMP"+fmt.Sprintf("(%d)", f), "DEFAULT", "'0000-00-00 00:00:00'", "DEFAULT"),
			col(name("TIME"), "'-838:59:59'", "'838:59:59'", "'00:00:00'", dot("-00:00:00", "000001"), dot("-00:00:00", "900000"), "'-00:00:01'", dot("-01:00:00", digits), dot("99:59:59", "999999"), "'-256:00:00'"))
	}
	return append(out, col("TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)", "DEFAULT"), col("DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)", "DEFAULT"))
}

func textColumns() []parityColumn {
	return []parityColumn{
		col("CHAR(10) CHARACTER SET utf8mb4", "'ab  '", "''", "'日本🐟'", "'   x'", "'          '"), col("CHAR(255) CHARACTER SET utf8mb4", "REPEAT('🐟', 255)", "'a'", "''"),
		col("CHAR(5) CHARACTER SET ucs2", "'ab '", "'日本'", "''"), col("CHAR(9) CHARACTER SET latin1", "'é  '", "''", "_binary 0x80819F2020"), col("CHAR(0)", "''"),
		col("VARCHAR(20) CHARACTER SET utf8mb4", "'trailing  '", "''", "'🐟'", "'nul\\0nul'", "'e\\u0301'", "_utf8mb4 0xF48FBFBF", "_utf8mb4 0xEFBFBD"),
		col("VARCHAR(300) CHARACTER SET utf8mb3", "REPEAT('é', 300)", "'日本'", "''"), col("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "'ä '", "'A'"),
		col("VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin", "'é'", "''"), col("VARCHAR(20) NOT NULL DEFAULT 'né'", "DEFAULT", "'x'"),
		col("TINYTEXT CHARACTER SET utf8mb4", "'tiny'", "''", "REPEAT('x', 255)"), col("TEXT CHARACTER SET latin1", "_binary 0xE9E8", "''", "REPEAT('é', 300)"), col("TEXT CHARACTER SET utf16", "'🐟'", "''"),
		col("MEDIUMTEXT CHARACTER SET utf8mb4", "REPEAT('long🐟', 20000)", "''", "'m '"), col("LONGTEXT CHARACTER SET utf8mb4", "'x'", "''", "REPEAT('é', 70000)"),
	}
}

// eightBit are the charsets of one byte a character, ascii and swe7 with them.
var eightBit = strings.Fields("latin1 ascii armscii8 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 dec8 geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin2 latin5 latin7 macce macroman swe7 tis620")

// charsetColumns: all bytes in each eight-bit charset, in one cell.
func charsetColumns() []parityColumn {
	var high, low strings.Builder
	for i := range 128 {
		fmt.Fprintf(&low, "%02X", i)
		fmt.Fprintf(&high, "%02X", i+128)
	}
	var out []parityColumn
	for _, name := range eightBit {
		out = append(out, col("VARCHAR(256) CHARACTER SET "+name, "_binary 0x"+low.String(), "_binary 0x"+high.String(), "_binary 0x"+low.String()+high.String(), "'plain  '", "''"))
	}
	for _, name := range strings.Fields("utf8mb4 utf8mb3 ucs2 utf16 utf16le utf32 gbk gb2312 euckr cp932 sjis") {
		out = append(out, col("VARCHAR(40) CHARACTER SET "+name, "'plain  '", "'é日本語'", "'한국 Ω ｱ'", "'🐟'", "''", "'~\\\\\\t'"))
	}
	return out
}

func byteColumns() []parityColumn {
	point, many := "ST_GeomFromText('POINT(1 -2.5)', 4326)", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')"
	return []parityColumn{
		col("BINARY(8)", "0x01020000", "0x0000000000000000", "0x2020202020202020", "''", "0x0000000000000001"), col("BINARY(255)", "0x01", "REPEAT(0xFF, 255)", "0x00"), col("BINARY(1) NOT NULL", "0x00", "0xFF"),
		col("VARBINARY(300)", "0x01020000", "''", "REPEAT(0xFE, 300)", "0x00", "0x20"), col("CHAR(8) CHARACTER SET binary", "0x0100", "'  '", "''"),
		col("TINYBLOB", "0x00", "''", "0x200A"), col("BLOB", "0x00FF", "REPEAT(0x07, 60000)", "''"), col("MEDIUMBLOB", "REPEAT(0x0001, 40000)", "''"), col("LONGBLOB", "0x00FF", "''"),
		col("GEOMETRY", point, many, "ST_GeomFromText('LINESTRING(0 0,1 1)')"), col("POINT", "ST_GeomFromText('POINT(1e300 -5e-324)')"), col("LINESTRING", "ST_GeomFromText('LINESTRING(0 0,-1 1)', 4326)"),
		col("POLYGON", "ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))')"), col("MULTIPOINT", "ST_GeomFromText('MULTIPOINT(0 0,1 1)')"), col("GEOMETRYCOLLECTION", many),
	}
}

func labelColumns() []parityColumn {
	labels := func(n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprintf("'l%d'", i)
		}
		return strings.Join(out, ",")
	}
	return []parityColumn{
		// 0 is the error value; a label may be empty as well.
		col("ENUM('a','it''s','日本🐟','back\\\\slash') CHARACTER SET utf8mb4", "'a'", "4", "3", "0", "2", "'none'"), col("ENUM('','x')", "''", "0", "'x'"), col("ENUM('one')", "1", "0"),
		col("ENUM("+labels(255)+")", "255", "1", "0"), col("ENUM("+labels(300)+")", "300", "256", "255", "1", "0"), col("ENUM('é','b') CHARACTER SET latin1", "'é'", "'b'"), col("ENUM('p','q') CHARACTER SET binary", "'q'", "0"),
		col("ENUM('a','b') NOT NULL DEFAULT 'b'", "DEFAULT", "'a'", "0"),
		col("SET('x','y','ü') CHARACTER SET latin1", "'x,ü'", "''", "7", "'ü,x'"), col("SET('one')", "1", "0"), col("SET("+labels(8)+")", "128", "255", "''"), col("SET("+labels(9)+")", "256", "511"),
		col("SET("+labels(33)+")", "4294967296", "8589934591", "''"), col("SET("+labels(64)+")", "18446744073709551615", "9223372036854775808", "1", "0"), col("SET('日','本') CHARACTER SET sjis", "'日,本'", "''"),
	}
}

// documentColumns: MySQL stores JSON in a form of its own and MariaDB as text; both are dealt the same documents.
func documentColumns(f flavor) []parityColumn {
	docs := []string{
		`'null'`, `'true'`, `'""'`, `'0'`, `'-0'`, `'-0.0'`, `'1.0'`, `'[]'`, `'{}'`, `'{"": {}}'`, `'{"bb": 1, "a": [1.0, 2, null, true], "ab": -3}'`, `' { "spaced" :  [ 1 , 2 ] } '`, `'{"a": 1, "a": 2}'`,
		`'9223372036854775807'`, `'18446744073709551615'`, `'18446744073709551616'`, `'-9223372036854775808'`, `'-9223372036854775809'`,
		`'[0.1, 1e15, 1e16, 123456789012345680000, 1.5e-10, 1e-15, 1.25e-16, 5e-324, 1.7976931348623157e308, 123456789.123456789123456789]'`, `'[32767, 32768, -32769, 65536, 2147483648, 4294967296]'`,
		`'"\\u0000\\u001f\\"\\\\\\/é🐟\\ud83d\\udc1f\\u00e9\\b\\t\\n"'`, `CONCAT('[', REPEAT('"0123456789012345678901234567890123456789", ', 3000), '70000]')`, `CONCAT(REPEAT('[', 30), REPEAT(']', 30))`, `CONCAT('{"k', REPEAT('é', 200), '": "', REPEAT('v', 70000), '"}')`,
	}
	if f == mariadb {
		return []parityColumn{col("JSON", append(docs, `'1e400'`, `'-1e-400'`)...), col("LONGTEXT", `'[1]'`, `'{not json'`), col("JSON NOT NULL DEFAULT '{}'", "DEFAULT", "'[]'")}
	}
	return []parityColumn{
		col("JSON", docs...), col("JSON NOT NULL DEFAULT (JSON_OBJECT('z', 1))", "DEFAULT", "'[]'"),
		col("JSON", `CAST(CAST('123.4500' AS DECIMAL(20,4)) AS JSON)`, `JSON_ARRAY(CAST('-0.5' AS DECIMAL(10,2)), CAST(99999999999999999999999999999999999.5 AS DECIMAL(65,30)))`,
			`JSON_OBJECT('d', DATE '2024-02-29', 't', TIME '-12:34:56.000001', 'dt', TIMESTAMP '9999-12-31 23:59:59.999999', 't2', CAST('838:59:59' AS TIME), 'now', CAST(NOW(6) AS DATETIME(6)))`,
			`JSON_ARRAY(CAST(REPEAT('a', 300) AS BINARY), x'', b'101', CAST(2024 AS YEAR), ST_GeomFromText('POINT(1 2)'))`),
	}
}

func ownColumns() []parityColumn {
	return []parityColumn{
		col("INT INVISIBLE", "1", "2"),
		col("UUID", "'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'00000000-0000-0000-0000-000000000000'", "'01890a5d-ac96-774b-bcce-b302099a8057'",
			"'1ec9414c-232a-6b00-b3c8-9e6bdeced846'", "'00000000-0000-1000-8000-000000000000'", "'12345678-1234-8234-5234-123456780000'", "'aaaaaaaa-bbbb-6100-bfff-000000000001'", "UUID()").at(mariadb),
		col("INET6", "'::'", "'::1'", "'2001:db8::'", "'::ffff:1.2.3.4'", "'1:0:0:2:0:0:0:3'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'").at(mariadb), col("INET4", "'0.0.0.0'", "'255.255.255.255'", "'10.0.0.0'").at(mariadb),
		col("VECTOR(3)", "STRING_TO_VECTOR('[1,2,0.5]')", "STRING_TO_VECTOR('[-0,1.5e-37,3.4028234e38]')").at(mysql), col("VECTOR(16000)", "STRING_TO_VECTOR(CONCAT('[', REPEAT('1.5,', 15999), '2]'))", "STRING_TO_VECTOR('[1]')").at(mysql),
	}
}

// computedColumns are generated from b, which is dealt values as the others are.
func computedColumns() []parityColumn {
	return []parityColumn{
		col("b DECIMAL(20,6)", "-0.5", "0", "99999999999999.999999"), col("v DOUBLE AS (b / 3) VIRTUAL"), col("w DECIMAL(30,10) AS (b * b) STORED"), col("VARCHAR(80) AS (CONCAT('né ', b)) VIRTUAL"), col("VARCHAR(80) AS (CONCAT(b, ' 🐟')) STORED"),
		col("DATETIME(6) AS (TIMESTAMPADD(MICROSECOND, 1, '2026-01-01 00:00:00')) VIRTUAL"), col("BIT(8) AS (CASE WHEN b < 0 THEN 255 ELSE 1 END) VIRTUAL"), col("INT DEFAULT (7 * 6)", "DEFAULT", "1"), col("VARCHAR(36) DEFAULT (UUID())", "DEFAULT"),
	}
}

// keyColumns are types under which a table is read in chunks of a few rows, and its rows fall into partitions.
func keyColumns() []parityColumn {
	return []parityColumn{
		col("BIGINT UNSIGNED", "18446744073709551615", "9223372036854775808", "0", "1"), col("MEDIUMINT", "-8388608", "0", "8388607", "-1"), col("DECIMAL(38,10)", "-0.5", "0", "0.5", "-1234567890123456789012345678.0123456789"),
		col("DECIMAL(65,30)", "-0.5", "0", "0.5"), col("DOUBLE", "0.1", "0", "1e300", "-5e-324"), col("FLOAT", "0.1", "0", "-0.25", "16777217"), col("BIT(12)", "5", "6", "4095", "0"), col("BIT(64)", "5", "0xffffffffffffffff", "0"),
		col("YEAR", "0", "1999", "2155"), col("DATE", "'2024-02-29'", "'1000-01-01'", "'9999-12-31'"), col("DATETIME(6)", "'2024-02-29 12:00:00.123456'", "'1000-01-01'", "'9999-12-31 23:59:59.999999'"),
		col("TIMESTAMP(6)", "'2024-02-29 12:00:00.123456'", "'1971-01-01'", "'2037-12-31'", "FROM_UNIXTIME(1)"), col("TIME(3)", "'-838:59:59'", "'-00:00:00.001'", "'00:00:00'", "'838:59:59'"),
		col("CHAR(10) CHARACTER SET utf8mb4", "'a '", "''", "'日本'", "'🐟'"), col("VARCHAR(10) CHARACTER SET latin1", "'é'", "''", "'É1'", "'~'"), col("VARCHAR(10) CHARACTER SET utf16 COLLATE utf16_bin", "'é'", "''", "'🐟'"),
		col("VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "'a'", "'A'", "'b'", "'ä'"), col("BINARY(8)", "'a'", "''", "0x0000000000000001", "0x0100"), col("VARBINARY(300)", "'a'", "''", "REPEAT('x', 290)", "0x6100"),
		col("ENUM('z','y','ö') CHARACTER SET latin1", "'z'", "'y'", "'ö'"), col("SET('x','y','ü') CHARACTER SET latin1", "'x,y'", "''", "7"),
		col("UUID", "'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'01890a5d-ac96-774b-bcce-b302099a8057'").at(mariadb), col("INET6", "'::'", "'::1'", "'2001:db8::'").at(mariadb), col("INET4", "'0.0.0.0'", "'1.2.3.4'", "'10.0.0.0'").at(mariadb),
	}
}
