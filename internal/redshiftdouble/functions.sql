-- Functions of Redshift that PostgreSQL lacks or answers otherwise. The client's sessions find them before pg_catalog.
CREATE OR REPLACE FUNCTION rs.version() RETURNS text IMMUTABLE LANGUAGE sql AS
  $$SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.77467'$$;
CREATE OR REPLACE FUNCTION rs.pg_last_copy_count(n bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE OR REPLACE FUNCTION rs.pg_last_copy_id(n bigint) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n::integer';
CREATE OR REPLACE FUNCTION rs.pg_last_unload_count(n bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE OR REPLACE FUNCTION rs.pg_last_query_id(n bigint) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n::integer';
CREATE OR REPLACE FUNCTION rs.pg_backend_pid(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
CREATE OR REPLACE FUNCTION rs.current_database(n text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT n';
-- Times: GETDATE is the statement's, SYSDATE the transaction's; both are UTC without a zone. GETDATE has no fraction.
CREATE OR REPLACE FUNCTION rs.getdate() RETURNS timestamp STABLE LANGUAGE sql AS $$SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC')$$;
CREATE OR REPLACE FUNCTION rs.sysdate() RETURNS timestamp STABLE LANGUAGE sql AS $$SELECT transaction_timestamp() AT TIME ZONE 'UTC'$$;
CREATE OR REPLACE FUNCTION rs.date_unit(part text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
  SELECT CASE WHEN p IN ('y', 'yr', 'yrs', 'year', 'years', 'yy', 'yyyy') THEN 'year' WHEN p IN ('q', 'qtr', 'qtrs', 'quarter', 'quarters') THEN 'quarter'
    WHEN p IN ('mon', 'mons', 'month', 'months', 'mm') THEN 'month' WHEN p IN ('w', 'week', 'weeks') THEN 'week'
    WHEN p IN ('d', 'day', 'days') THEN 'day' WHEN p IN ('h', 'hr', 'hrs', 'hour', 'hours') THEN 'hour'
    WHEN p IN ('m', 'min', 'mins', 'minute', 'minutes') THEN 'minute' WHEN p IN ('s', 'sec', 'secs', 'second', 'seconds') THEN 'second'
    WHEN p IN ('ms', 'msec', 'msecs', 'millisecond', 'milliseconds') THEN 'millisecond'
    WHEN p IN ('us', 'usec', 'usecs', 'microsecond', 'microseconds') THEN 'microsecond' ELSE p END FROM lower(part) p $$;
CREATE OR REPLACE FUNCTION rs.dateadd(part text, n bigint, t timestamp) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$
  SELECT CASE rs.date_unit(part) WHEN 'quarter' THEN t + make_interval(months => 3 * n::int) WHEN 'millisecond' THEN t + n * interval '1 millisecond'
    WHEN 'month' THEN t + make_interval(months => n::int) WHEN 'year' THEN t + make_interval(years => n::int)
    ELSE t + n * ('1 ' || rs.date_unit(part))::interval END $$;
CREATE OR REPLACE FUNCTION rs.dateadd(part text, n bigint, t timestamptz) RETURNS timestamptz IMMUTABLE STRICT LANGUAGE sql AS
  $$SELECT rs.dateadd(part, n, t AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'$$;
CREATE OR REPLACE FUNCTION rs.dateadd(part text, n bigint, t date) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$SELECT rs.dateadd(part, n, t::timestamp)$$;
-- DATEDIFF counts the boundaries between two times, it does not measure.
CREATE OR REPLACE FUNCTION rs.datediff(part text, a timestamp, b timestamp) RETURNS bigint IMMUTABLE STRICT LANGUAGE sql AS $$
  SELECT CASE rs.date_unit(part)
    WHEN 'year' THEN (extract(year FROM b) - extract(year FROM a))::bigint
    WHEN 'quarter' THEN ((extract(year FROM b) - extract(year FROM a)) * 4 + extract(quarter FROM b) - extract(quarter FROM a))::bigint
    WHEN 'month' THEN ((extract(year FROM b) - extract(year FROM a)) * 12 + extract(month FROM b) - extract(month FROM a))::bigint
    WHEN 'week' THEN ((date_trunc('week', b + interval '1 day')::date - date_trunc('week', a + interval '1 day')::date) / 7)::bigint
    WHEN 'day' THEN (b::date - a::date)::bigint
    WHEN 'hour' THEN (extract(epoch FROM date_trunc('hour', b) - date_trunc('hour', a)) / 3600)::bigint
    WHEN 'minute' THEN (extract(epoch FROM date_trunc('minute', b) - date_trunc('minute', a)) / 60)::bigint
    WHEN 'second' THEN (extract(epoch FROM date_trunc('second', b) - date_trunc('second', a)))::bigint
    WHEN 'millisecond' THEN (extract(epoch FROM date_trunc('milliseconds', b) - date_trunc('milliseconds', a)) * 1000)::bigint
    WHEN 'microsecond' THEN (extract(epoch FROM b - a) * 1000000)::bigint END $$;
CREATE OR REPLACE FUNCTION rs.datediff(part text, a date, b date) RETURNS bigint IMMUTABLE STRICT LANGUAGE sql AS $$SELECT rs.datediff(part, a::timestamp, b::timestamp)$$;
CREATE OR REPLACE FUNCTION rs.datediff(part text, a timestamptz, b timestamptz) RETURNS bigint IMMUTABLE STRICT LANGUAGE sql AS
  $$SELECT rs.datediff(part, a AT TIME ZONE 'UTC', b AT TIME ZONE 'UTC')$$;
CREATE OR REPLACE FUNCTION rs.date_part(part text, t timestamp) RETURNS double precision IMMUTABLE STRICT LANGUAGE sql AS $$SELECT pg_catalog.date_part(part, t)$$;
CREATE OR REPLACE FUNCTION rs.date_part(part text, t date) RETURNS double precision IMMUTABLE STRICT LANGUAGE sql AS $$SELECT pg_catalog.date_part(part, t)$$;
CREATE OR REPLACE FUNCTION rs.date_part(part text, t timestamptz) RETURNS double precision STABLE STRICT LANGUAGE sql AS $$SELECT pg_catalog.date_part(part, t)$$;
CREATE OR REPLACE FUNCTION rs.last_day(t timestamp) RETURNS date IMMUTABLE STRICT LANGUAGE sql AS $$SELECT (date_trunc('month', t) + interval '1 month - 1 day')::date$$;
CREATE OR REPLACE FUNCTION rs.add_months(t timestamp, n bigint) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$SELECT t + make_interval(months => n::int)$$;
CREATE OR REPLACE FUNCTION rs.trunc(t timestamp) RETURNS date IMMUTABLE STRICT LANGUAGE sql AS $$SELECT t::date$$;
CREATE OR REPLACE FUNCTION rs.convert_timezone(target text, t timestamp) RETURNS timestamp STABLE STRICT LANGUAGE sql AS $$SELECT t AT TIME ZONE 'UTC' AT TIME ZONE target$$;
CREATE OR REPLACE FUNCTION rs.convert_timezone(source text, target text, t timestamp) RETURNS timestamp STABLE STRICT LANGUAGE sql AS $$SELECT t AT TIME ZONE source AT TIME ZONE target$$;
-- Strings. LEN counts characters of strings and bytes of VARBYTE.
CREATE OR REPLACE FUNCTION rs.len(s text) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS 'SELECT char_length(s)';
CREATE OR REPLACE FUNCTION rs.len(b rs.varbyte) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS 'SELECT octet_length(b::bytea)';
CREATE OR REPLACE FUNCTION rs.octet_length(b rs.varbyte) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS 'SELECT pg_catalog.octet_length(b::bytea)';
CREATE OR REPLACE FUNCTION rs.charindex(sub text, s text) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS 'SELECT strpos(s, sub)';
CREATE OR REPLACE FUNCTION rs.strtol(s text, base integer) RETURNS bigint IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE n bigint := 0; c text; d integer;
BEGIN
  FOREACH c IN ARRAY string_to_array(lower(regexp_replace(s, '^0x', '')), NULL) LOOP
    d := strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) - 1;
    IF d < 0 OR d >= base THEN
      RAISE EXCEPTION 'The input % is not valid to be converted to base %', s, base USING ERRCODE = '22023';
    END IF;
    n := n * base + d;
  END LOOP;
  RETURN n;
END $$;
CREATE OR REPLACE FUNCTION rs.to_hex(b rs.varbyte) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$SELECT pg_catalog.encode(b::bytea, 'hex')$$;
CREATE OR REPLACE FUNCTION rs.from_hex(s text) RETURNS rs.varbyte IMMUTABLE STRICT LANGUAGE sql AS $$SELECT pg_catalog.decode(s, 'hex')::rs.varbyte$$;
CREATE OR REPLACE FUNCTION rs.to_varbyte(s text, f text) RETURNS rs.varbyte IMMUTABLE STRICT LANGUAGE sql AS
  $$SELECT CASE lower(f) WHEN 'utf8' THEN convert_to(s, 'UTF8') WHEN 'utf-8' THEN convert_to(s, 'UTF8') ELSE pg_catalog.decode(s, lower(f)) END::rs.varbyte$$;
CREATE OR REPLACE FUNCTION rs.from_varbyte(b rs.varbyte, f text) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS
  $$SELECT CASE lower(f) WHEN 'utf8' THEN convert_from(b::bytea, 'UTF8') WHEN 'utf-8' THEN convert_from(b::bytea, 'UTF8') ELSE pg_catalog.encode(b::bytea, lower(f)) END$$;
CREATE OR REPLACE FUNCTION rs.sha2(s text, bits integer) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS
  $$SELECT pg_catalog.encode(CASE bits WHEN 224 THEN sha224(convert_to(s, 'UTF8')) WHEN 384 THEN sha384(convert_to(s, 'UTF8')) WHEN 512 THEN sha512(convert_to(s, 'UTF8')) ELSE sha256(convert_to(s, 'UTF8')) END, 'hex')$$;
-- JSON and SUPER.
-- Strings inside a SUPER have at most 65535 bytes: longer ones are an error, or are cut when json_parse_truncate_strings is on.
CREATE OR REPLACE FUNCTION rs.cut(s text) RETURNS text IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE n integer := 65535;
BEGIN
  IF octet_length(s) <= n THEN
    RETURN s;
  END IF;
  s := left(s, n);
  WHILE octet_length(s) > n LOOP
    s := left(s, char_length(s) - greatest(1, (octet_length(s) - n) / 4));
  END LOOP;
  RETURN s;
END $$;
CREATE OR REPLACE FUNCTION rs.cut(v jsonb) RETURNS jsonb IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
  RETURN CASE jsonb_typeof(v) WHEN 'string' THEN to_jsonb(rs.cut(v #>> '{}'))
    WHEN 'array' THEN (SELECT coalesce(jsonb_agg(rs.cut(e) ORDER BY i), '[]') FROM jsonb_array_elements(v) WITH ORDINALITY a(e, i))
    WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(k, rs.cut(e)), '{}') FROM jsonb_each(v) o(k, e)) ELSE v END;
END $$;
CREATE OR REPLACE FUNCTION rs.document(s text) RETURNS rs.super STABLE STRICT LANGUAGE plpgsql AS $$
DECLARE v jsonb;
BEGIN
  BEGIN
    v := s::jsonb;
  EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'JSON parsing error' USING ERRCODE = 'XX000';
  END;
  IF octet_length(s) > 65535 AND (SELECT coalesce(max(octet_length(x #>> '{}')), 0) FROM jsonb_path_query(v, 'strict $.** ? (@.type() == "string")') x) > 65535 THEN
    IF coalesce(current_setting('rs.truncate_strings', true), 'off') <> 'on' THEN
      RAISE EXCEPTION 'String value exceeds the max size of 65535 bytes' USING ERRCODE = 'XX000';
    END IF;
    v := rs.cut(v);
  END IF;
  IF octet_length(v::text) > 16777216 THEN
    RAISE EXCEPTION 'SUPER value exceeds the max size of 16777216 bytes' USING ERRCODE = 'XX000';
  END IF;
  RETURN (E'\x01' || v::text)::rs.super;
END $$;
-- A VARCHAR has at most 65535 bytes, so a longer document comes as VARBYTE.
CREATE OR REPLACE FUNCTION rs.json_parse(s text) RETURNS rs.super STABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
  IF octet_length(s) > 65535 THEN
    RAISE EXCEPTION 'Value too long for character type' USING ERRCODE = '22001';
  END IF;
  RETURN rs.document(s);
END $$;
CREATE OR REPLACE FUNCTION rs.json_parse(b rs.varbyte) RETURNS rs.super STABLE STRICT LANGUAGE sql AS $$SELECT rs.document(convert_from(b::bytea, 'UTF8'))$$;
CREATE OR REPLACE FUNCTION rs.can_json_parse(s text) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
  PERFORM s::jsonb;
  RETURN true;
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END $$;
CREATE OR REPLACE FUNCTION rs.is_valid_json(s text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$SELECT rs.can_json_parse(s) AND s ~ '^\\s*\\{'$$;
CREATE OR REPLACE FUNCTION rs.is_valid_json_array(s text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$SELECT rs.can_json_parse(s) AND s ~ '^\\s*\\['$$;
CREATE OR REPLACE FUNCTION rs.json_serialize(v rs.super) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$SELECT rs.super_json(v)::text$$;
CREATE OR REPLACE FUNCTION rs.json_size(v rs.super) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$SELECT octet_length(rs.super_json(v)::text)$$;
CREATE OR REPLACE FUNCTION rs.json_typeof(v rs.super) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$SELECT jsonb_typeof(rs.super_json(v))$$;
CREATE OR REPLACE FUNCTION rs.is_object(v rs.super) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$SELECT jsonb_typeof(rs.super_json(v)) = 'object'$$;
CREATE OR REPLACE FUNCTION rs.is_array(v rs.super) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$SELECT jsonb_typeof(rs.super_json(v)) = 'array'$$;
CREATE OR REPLACE FUNCTION rs.is_varchar(v rs.super) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$SELECT jsonb_typeof(rs.super_json(v)) = 'string'$$;
CREATE OR REPLACE FUNCTION rs.get_array_length(v rs.super) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$SELECT jsonb_array_length(rs.super_json(v))$$;
CREATE OR REPLACE FUNCTION rs.json_extract_path_text(s text, VARIADIC path text[]) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$SELECT coalesce(s::jsonb #>> path, '')$$;
CREATE OR REPLACE FUNCTION rs.json_array_length(s text) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$SELECT jsonb_array_length(s::jsonb)$$;
CREATE OR REPLACE FUNCTION rs.json_extract_array_element_text(s text, n integer) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$SELECT s::jsonb ->> n$$;
-- A string inside a SUPER comes out without its quotes.
CREATE OR REPLACE FUNCTION rs.super_text(v rs.super) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS
  $$SELECT CASE WHEN jsonb_typeof(rs.super_json(v)) IN ('object', 'array') THEN NULL ELSE rs.super_json(v) #>> '{}' END$$;
-- AVG of integers is a BIGINT in Redshift.
CREATE OR REPLACE FUNCTION rs.avg_next(state numeric[], v bigint) RETURNS numeric[] IMMUTABLE LANGUAGE sql AS
  $$SELECT CASE WHEN v IS NULL THEN state ELSE ARRAY[state[1] + v, state[2] + 1] END$$;
CREATE OR REPLACE FUNCTION rs.avg_end(state numeric[]) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$SELECT CASE WHEN state[2] = 0 THEN NULL ELSE trunc(state[1] / state[2])::bigint END$$;
CREATE OR REPLACE AGGREGATE rs.avg(bigint) (SFUNC = rs.avg_next, STYPE = numeric[], INITCOND = '{0,0}', FINALFUNC = rs.avg_end);
CREATE OR REPLACE FUNCTION rs.avg_next(state numeric[], v integer) RETURNS numeric[] IMMUTABLE LANGUAGE sql AS $$SELECT rs.avg_next(state, v::bigint)$$;
CREATE OR REPLACE AGGREGATE rs.avg(integer) (SFUNC = rs.avg_next, STYPE = numeric[], INITCOND = '{0,0}', FINALFUNC = rs.avg_end);
CREATE OR REPLACE FUNCTION rs.avg_next(state numeric[], v smallint) RETURNS numeric[] IMMUTABLE LANGUAGE sql AS $$SELECT rs.avg_next(state, v::bigint)$$;
CREATE OR REPLACE AGGREGATE rs.avg(smallint) (SFUNC = rs.avg_next, STYPE = numeric[], INITCOND = '{0,0}', FINALFUNC = rs.avg_end);
DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_cast WHERE castsource = 'rs.super'::regtype AND casttarget = 'text'::regtype) THEN
    CREATE CAST (rs.super AS text) WITH FUNCTION rs.super_text(rs.super);
    CREATE CAST (rs.super AS varchar) WITH FUNCTION rs.super_text(rs.super);
  END IF;
END
$do$;
