-- What belongs to the double itself. Run once for a database; running it again changes nothing.
DO $do$
BEGIN
  IF to_regnamespace('rs') IS NOT NULL THEN
    RETURN;
  END IF;
  CREATE SCHEMA rs;
  -- Names longer than PostgreSQL's 63 bytes.
  CREATE TABLE rs.long_names (short text PRIMARY KEY, long text NOT NULL);
  -- SUPER is a varlena that holds JSON after a mark, or a string that nobody has parsed. It is a type of its own and not a domain over
  -- jsonb, so that a plain string never becomes a document by itself.
  CREATE TYPE rs.super;
  CREATE FUNCTION rs.super_in(cstring) RETURNS rs.super IMMUTABLE STRICT LANGUAGE internal AS 'textin';
  CREATE FUNCTION rs.super_out(rs.super) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
  CREATE FUNCTION rs.super_recv(internal) RETURNS rs.super IMMUTABLE STRICT LANGUAGE internal AS 'textrecv';
  CREATE FUNCTION rs.super_send(rs.super) RETURNS bytea IMMUTABLE STRICT LANGUAGE internal AS 'textsend';
  CREATE TYPE rs.super (INPUT = rs.super_in, OUTPUT = rs.super_out, RECEIVE = rs.super_recv, SEND = rs.super_send, STORAGE = extended);
  -- VARBYTE takes the bytes of a string as they are and prints hexadecimal.
  CREATE TYPE rs.varbyte;
  CREATE FUNCTION rs.varbyte_in(cstring) RETURNS rs.varbyte IMMUTABLE STRICT LANGUAGE internal AS 'textin';
  CREATE FUNCTION rs.varbyte_out(rs.varbyte) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'byteaout';
  CREATE FUNCTION rs.varbyte_recv(internal) RETURNS rs.varbyte IMMUTABLE STRICT LANGUAGE internal AS 'bytearecv';
  CREATE FUNCTION rs.varbyte_send(rs.varbyte) RETURNS bytea IMMUTABLE STRICT LANGUAGE internal AS 'byteasend';
  CREATE TYPE rs.varbyte (INPUT = rs.varbyte_in, OUTPUT = rs.varbyte_out, RECEIVE = rs.varbyte_recv, SEND = rs.varbyte_send, STORAGE = extended);
  CREATE CAST (text AS rs.super) WITHOUT FUNCTION AS ASSIGNMENT;
  CREATE CAST (varchar AS rs.super) WITHOUT FUNCTION AS ASSIGNMENT;
  CREATE CAST (bytea AS rs.varbyte) WITHOUT FUNCTION AS ASSIGNMENT;
  CREATE CAST (rs.varbyte AS bytea) WITHOUT FUNCTION;
  CREATE CAST (text AS rs.varbyte) WITHOUT FUNCTION AS ASSIGNMENT;
  CREATE CAST (varchar AS rs.varbyte) WITHOUT FUNCTION AS ASSIGNMENT;
  CREATE FUNCTION rs.super_number(numeric) RETURNS rs.super IMMUTABLE STRICT LANGUAGE sql AS $$SELECT (E'\x01' || $1::text)::rs.super$$;
  CREATE FUNCTION rs.super_number(bigint) RETURNS rs.super IMMUTABLE STRICT LANGUAGE sql AS $$SELECT (E'\x01' || $1::text)::rs.super$$;
  CREATE FUNCTION rs.super_number(integer) RETURNS rs.super IMMUTABLE STRICT LANGUAGE sql AS $$SELECT (E'\x01' || $1::text)::rs.super$$;
  CREATE FUNCTION rs.super_number(double precision) RETURNS rs.super IMMUTABLE STRICT LANGUAGE sql AS $$SELECT (E'\x01' || $1::text)::rs.super$$;
  CREATE FUNCTION rs.super_number(boolean) RETURNS rs.super IMMUTABLE STRICT LANGUAGE sql AS $$SELECT (E'\x01' || $1::text)::rs.super$$;
  CREATE CAST (numeric AS rs.super) WITH FUNCTION rs.super_number(numeric) AS ASSIGNMENT;
  CREATE CAST (bigint AS rs.super) WITH FUNCTION rs.super_number(bigint) AS ASSIGNMENT;
  CREATE CAST (integer AS rs.super) WITH FUNCTION rs.super_number(integer) AS ASSIGNMENT;
  CREATE CAST (double precision AS rs.super) WITH FUNCTION rs.super_number(double precision) AS ASSIGNMENT;
  CREATE CAST (boolean AS rs.super) WITH FUNCTION rs.super_number(boolean) AS ASSIGNMENT;
  -- The JSON of a SUPER, and back.
  CREATE FUNCTION rs.super_json(rs.super) RETURNS jsonb IMMUTABLE STRICT LANGUAGE sql AS
    $$SELECT CASE WHEN left(textin(rs.super_out($1)), 1) = E'\x01' THEN substr(textin(rs.super_out($1)), 2)::jsonb ELSE to_jsonb(textin(rs.super_out($1))) END$$;
  -- System tables that the double fills. CHAR columns come padded, as in Redshift.
  CREATE TABLE rs.sys_load_error_detail (
    user_id integer, query_id bigint, transaction_id bigint, session_id integer, database_name char(64), table_id integer,
    start_time timestamp, file_name char(256), line_number bigint, column_name char(127), column_type char(10), column_length char(10),
    position integer, error_code integer, error_message char(512));
  CREATE TABLE rs.sys_load_history (
    user_id integer, query_id bigint, transaction_id bigint, session_id integer, database_name text, status char(20), table_name text,
    start_time timestamp, end_time timestamp, duration bigint, data_source text, loaded_rows bigint, loaded_bytes bigint,
    source_file_count integer, source_file_bytes bigint, error_message text);
  CREATE TABLE rs.sys_unload_history (
    user_id integer, query_id bigint, transaction_id bigint, session_id integer, database_name text, status char(20),
    start_time timestamp, end_time timestamp, duration bigint, file_format text, compression_type text, unloaded_location text,
    unloaded_rows bigint, unloaded_files_count bigint, unloaded_files_size bigint, error_message text);
END
$do$;
