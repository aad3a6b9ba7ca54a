CREATE TEMP TABLE "tidemill_stage" ("id" bigint, "code" varchar(30), "tag" boolean, "small" smallint, "medium" integer, "ratio" real, "score" double precision, "amount" numeric(18,4), "no""te" varchar(70), "doc" varchar(5000), "raw" varbyte, "day" date, "wall" timestamp without time zone, "seen at" timestamp with time zone, "_op" integer) DISTSTYLE EVEN;
COPY "tidemill_stage" FROM 's3://lake/pre''fix\\care/copy-00.json' IAM_ROLE 'arn:aws:iam::123456789012:role/load' FORMAT AS PARQUET MANIFEST STATUPDATE OFF;
COPY "tidemill_stage" FROM 's3://lake/care/copy-00.json' IAM_ROLE default FORMAT AS PARQUET MANIFEST STATUPDATE OFF;
SELECT pg_last_copy_count();
SELECT COALESCE(SUM(CASE WHEN "_op" = 1 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "_op" = 2 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "_op" IS NULL OR "_op" NOT IN (1, 2) THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN "id" IS NULL OR "code" IS NULL THEN 1 ELSE 0 END), 0) FROM "tidemill_stage";
SELECT COUNT(*) FROM (SELECT "id", "code" FROM "tidemill_stage" GROUP BY "id", "code", OCTET_LENGTH("code") HAVING COUNT(*) > 1) AS repeated;
DROP TABLE "tidemill_stage";
SELECT TRIM(file_name), TRIM(column_name), TRIM(column_length), error_code FROM sys_load_error_detail
 WHERE file_name LIKE $1 ORDER BY start_time DESC LIMIT 1;
