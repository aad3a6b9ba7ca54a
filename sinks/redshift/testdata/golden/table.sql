SELECT table_type FROM svv_redshift_tables WHERE schema_name = $1 AND table_name = $2;
SELECT column_name, data_type, is_nullable FROM svv_redshift_columns WHERE schema_name = $1 AND table_name = $2 ORDER BY ordinal_position;
CREATE SCHEMA IF NOT EXISTS "mart";
CREATE TABLE "mart"."visits" ("id" bigint NOT NULL, "code" varchar(64) NOT NULL, "tag" boolean, "small" smallint, "medium" integer, "ratio" real, "score" double precision, "amount" numeric(18,4), "no""te" varchar(256), "doc" varchar(16384), "raw" varbyte, "day" date, "wall" timestamp without time zone, "seen at" timestamp with time zone) DISTSTYLE AUTO SORTKEY AUTO;
CREATE TABLE "mart"."visits" ("id" bigint NOT NULL, "code" varchar(64) NOT NULL, "tag" boolean, "small" smallint, "medium" integer, "ratio" real, "score" double precision, "amount" numeric(18,4), "no""te" varchar(256), "doc" super, "raw" varbyte, "day" date, "wall" timestamp without time zone, "seen at" timestamp with time zone) DISTSTYLE KEY DISTKEY ("id") COMPOUND SORTKEY ("id", "code");
SELECT COUNT(*) FROM (SELECT 1 FROM "mart"."visits" LIMIT 1) AS filled;
