-- What Redshift's catalogue says about tables, from PostgreSQL's catalogue and the model in the comments of row types.
CREATE TABLE IF NOT EXISTS rs.database (name text, isolation text);
CREATE OR REPLACE FUNCTION rs.original(n name) RETURNS text STABLE LANGUAGE sql AS
  $$SELECT CASE WHEN strpos(n::text, '~') = 0 THEN n::text ELSE coalesce((SELECT long FROM rs.long_names WHERE short = n::text), n::text) END$$;
CREATE OR REPLACE VIEW rs.tables AS
  SELECT c.oid AS id, n.nspname AS schema_name, rs.original(c.relname) AS table_name, c.relkind, c.reltuples, n.oid = pg_my_temp_schema() AS temporary,
    coalesce(obj_description(c.reltype, 'pg_type'), '{}')::jsonb AS model, pg_table_is_visible(c.oid) AS visible
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v') AND (n.nspname NOT IN ('rs', 'pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%' OR n.oid = pg_my_temp_schema());
CREATE OR REPLACE VIEW rs.columns AS
  SELECT t.*, rs.original(a.attname) AS column_name, (row_number() OVER (PARTITION BY t.id ORDER BY a.attnum))::integer AS ordinal_position, a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid) AS column_default, a.atttypmod AS modifier, y.typname,
    CASE y.typname WHEN 'varchar' THEN CASE WHEN a.atttypmod < 4 THEN 65535 ELSE a.atttypmod - 4 END WHEN 'text' THEN 65535 WHEN 'bpchar' THEN a.atttypmod - 4
      WHEN 'varbyte' THEN coalesce((t.model #>> ARRAY['bytes', rs.original(a.attname)])::integer, 64000) END AS length,
    CASE y.typname WHEN 'numeric' THEN CASE WHEN a.atttypmod < 4 THEN 38 ELSE (a.atttypmod - 4) >> 16 END WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64
      WHEN 'float4' THEN 24 WHEN 'float8' THEN 53 END AS precision,
    CASE y.typname WHEN 'numeric' THEN CASE WHEN a.atttypmod < 4 THEN 37 ELSE (a.atttypmod - 4) & 2047 END WHEN 'int2' THEN 0 WHEN 'int4' THEN 0 WHEN 'int8' THEN 0 END AS scale,
    CASE y.typname WHEN 'varchar' THEN 'character varying' WHEN 'text' THEN 'character varying' WHEN 'bpchar' THEN 'character' WHEN 'int2' THEN 'smallint'
      WHEN 'int4' THEN 'integer' WHEN 'int8' THEN 'bigint' WHEN 'float4' THEN 'real' WHEN 'float8' THEN 'double precision' WHEN 'bool' THEN 'boolean'
      WHEN 'timestamp' THEN 'timestamp without time zone' WHEN 'timestamptz' THEN 'timestamp with time zone' WHEN 'time' THEN 'time without time zone'
      WHEN 'timetz' THEN 'time with time zone' WHEN 'varbyte' THEN 'binary varying' ELSE y.typname::text END AS data_type
  FROM rs.tables t JOIN pg_attribute a ON a.attrelid = t.id AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum;
CREATE OR REPLACE VIEW rs.column_types AS
  SELECT c.*, CASE WHEN length IS NOT NULL THEN data_type || '(' || length || ')' WHEN data_type = 'numeric' THEN 'numeric(' || precision || ',' || scale || ')'
      ELSE data_type END AS full_type,
    coalesce(model #>> ARRAY['encodings', column_name], 'none') AS encoding, coalesce(model ->> 'distkey' = column_name, false) AS distkey,
    coalesce((SELECT i::integer FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(model -> 'sortkeys') = 'array' THEN model -> 'sortkeys' ELSE '[]' END) WITH ORDINALITY k(v, i) WHERE v = column_name), 0) AS sortkey
  FROM rs.columns c;
CREATE OR REPLACE VIEW rs.svv_columns AS
  SELECT (SELECT name FROM rs.database) AS table_catalog, schema_name AS table_schema, table_name, column_name, ordinal_position, column_default,
    CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, left(data_type, 128) AS data_type, CASE WHEN data_type <> 'binary varying' THEN length END AS character_maximum_length,
    precision AS numeric_precision, CASE WHEN precision IS NULL THEN NULL WHEN data_type = 'numeric' THEN 10 ELSE 2 END AS numeric_precision_radix,
    scale AS numeric_scale, CASE WHEN data_type LIKE 'time%' THEN 6 END AS datetime_precision, NULL::text AS interval_type, NULL::text AS interval_precision,
    NULL::text AS character_set_catalog, NULL::text AS character_set_schema, NULL::text AS character_set_name, NULL::text AS collation_catalog,
    NULL::text AS collation_schema, NULL::text AS collation_name, NULL::text AS domain_name, NULL::text AS remarks
  FROM rs.column_types;
CREATE OR REPLACE VIEW rs.information_schema_columns AS SELECT table_catalog, table_schema, table_name, column_name, ordinal_position, column_default, is_nullable,
    data_type, character_maximum_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision FROM rs.svv_columns;
CREATE OR REPLACE VIEW rs.information_schema_tables AS SELECT (SELECT name FROM rs.database) AS table_catalog, schema_name AS table_schema, table_name,
    CASE WHEN temporary THEN 'LOCAL TEMPORARY' WHEN relkind = 'v' THEN 'VIEW' ELSE 'BASE TABLE' END AS table_type FROM rs.tables;
CREATE OR REPLACE VIEW rs.information_schema_schemata AS SELECT (SELECT name FROM rs.database) AS catalog_name, nspname AS schema_name FROM pg_namespace
    WHERE nspname NOT IN ('rs', 'public') AND nspname NOT LIKE 'pg\_toast%' AND nspname NOT LIKE 'pg\_temp%';
CREATE OR REPLACE VIEW rs.svv_tables AS SELECT *, NULL::text AS remarks FROM rs.information_schema_tables;
CREATE OR REPLACE VIEW rs.svv_redshift_columns AS
  SELECT (SELECT name FROM rs.database) AS database_name, schema_name, table_name, column_name, ordinal_position, left(full_type, 128) AS data_type, column_default,
    CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, encoding, distkey, sortkey, NULL::text AS column_acl, NULL::text AS remarks FROM rs.column_types;
CREATE OR REPLACE VIEW rs.svv_all_columns AS
  SELECT (SELECT name FROM rs.database) AS database_name, schema_name, table_name, column_name, ordinal_position, column_default,
    CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, data_type, CASE WHEN data_type <> 'binary varying' THEN length END AS character_maximum_length,
    precision AS numeric_precision, scale AS numeric_scale, NULL::text AS remarks FROM rs.column_types;
CREATE OR REPLACE VIEW rs.svv_redshift_tables AS SELECT (SELECT name FROM rs.database) AS database_name, schema_name, table_name,
    CASE WHEN relkind = 'v' THEN 'VIEW' ELSE 'TABLE' END AS table_type, NULL::text AS table_acl, NULL::text AS remarks FROM rs.tables WHERE NOT temporary;
CREATE OR REPLACE VIEW rs.svv_redshift_schemas AS SELECT (SELECT name FROM rs.database) AS database_name, nspname AS schema_name, nspowner::integer AS schema_owner,
    'local'::text AS schema_type, NULL::text AS schema_acl, NULL::text AS schema_option FROM pg_namespace WHERE nspname NOT IN ('rs', 'information_schema') AND nspname NOT LIKE 'pg\_%';
CREATE OR REPLACE VIEW rs.svv_all_schemas AS SELECT *, NULL::text AS source_database FROM rs.svv_redshift_schemas;
CREATE OR REPLACE VIEW rs.pg_table_def AS SELECT schema_name AS schemaname, table_name AS tablename, column_name AS "column", full_type AS type, encoding, distkey, sortkey,
    attnotnull AS "notnull" FROM rs.column_types WHERE relkind = 'r' AND (visible OR temporary);
CREATE OR REPLACE FUNCTION rs.rows_of(id oid) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM %s', id::regclass) INTO n;
  RETURN n;
END $$;
CREATE OR REPLACE VIEW rs.svv_table_info AS
  SELECT (SELECT name FROM rs.database) AS database, schema_name AS schema, id AS table_id, table_name AS "table",
    CASE WHEN model -> 'encodings' = '{}' THEN 'Y, AUTO(ENCODE)' ELSE 'Y' END AS encoded,
    CASE model ->> 'diststyle' WHEN 'KEY' THEN 'KEY(' || (model ->> 'distkey') || ')' WHEN 'AUTO' THEN 'AUTO(ALL)' ELSE model ->> 'diststyle' END AS diststyle,
    CASE WHEN model ->> 'sortstyle' = 'AUTO' THEN 'AUTO(SORTKEY)' ELSE model #>> '{sortkeys,0}' END AS sortkey1,
    (SELECT max(length) FROM rs.columns c WHERE c.id = t.id AND c.data_type LIKE 'char%') AS max_varchar,
    coalesce(jsonb_array_length(CASE WHEN jsonb_typeof(model -> 'sortkeys') = 'array' THEN model -> 'sortkeys' ELSE '[]' END), 0) AS sortkey_num,
    greatest(pg_relation_size(id) / 1048576, 1) AS size, 0::numeric(5,2) AS unsorted, 0::numeric(5,2) AS stats_off, rs.rows_of(id)::numeric(38,0) AS tbl_rows
  FROM rs.tables t WHERE relkind = 'r' AND NOT temporary AND rs.rows_of(id) > 0;
CREATE OR REPLACE VIEW rs.stv_db_isolation_level AS SELECT name AS db_name, isolation AS isolation_level FROM rs.database;
CREATE OR REPLACE VIEW rs.stl_load_errors AS
  SELECT user_id AS userid, 0 AS slice, table_id AS tbl, start_time AS starttime, session_id AS session, query_id::integer AS query, file_name AS filename, line_number, column_name AS colname,
    column_type AS type, column_length AS col_length, position, NULL::char(1024) AS raw_line, NULL::char(1024) AS raw_field_value, error_code AS err_code, left(error_message, 100)::char(100) AS err_reason
  FROM rs.sys_load_error_detail;
CREATE OR REPLACE VIEW rs.svv_table_constraints AS
  SELECT schema_name, table_name, k ->> 'kind' AS constraint_type, k ->> 'name' AS constraint_name, k ->> 'columns' AS columns, k ->> 'table' AS referenced
  FROM rs.tables, jsonb_array_elements(CASE WHEN jsonb_typeof(model -> 'keys') = 'array' THEN model -> 'keys' ELSE '[]' END) k;
