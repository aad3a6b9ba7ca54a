CREATE SCHEMA IF NOT EXISTS tidemill;
CREATE TABLE IF NOT EXISTS tidemill.lock (nothing SMALLINT);
CREATE TABLE IF NOT EXISTS tidemill.fence (
 pipeline VARCHAR(65535) NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE,
 window_end TIMESTAMP WITH TIME ZONE,
 slice INTEGER NOT NULL,
 final BOOLEAN NOT NULL,
 epoch BIGINT NOT NULL,
 lineage VARCHAR(65535) NOT NULL,
 cut VARCHAR(65535) NOT NULL,
 manifest VARCHAR(65535) NOT NULL,
 manifest_key VARCHAR(65535) NOT NULL,
 published_at TIMESTAMP WITH TIME ZONE);
CREATE TABLE IF NOT EXISTS tidemill.receipts (
 pipeline VARCHAR(65535) NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE NOT NULL,
 window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 slice INTEGER NOT NULL,
 final BOOLEAN NOT NULL,
 epoch BIGINT NOT NULL,
 lineage VARCHAR(65535) NOT NULL,
 cut VARCHAR(65535) NOT NULL,
 tables VARCHAR(65535) NOT NULL,
 rows_in BIGINT NOT NULL,
 late BIGINT NOT NULL,
 parked VARCHAR(65535) NOT NULL,
 changed_values BIGINT NOT NULL,
 quarantined BIGINT NOT NULL,
 resolved BIGINT NOT NULL,
 durations_ms VARCHAR(65535) NOT NULL,
 attempt VARCHAR(65535) NOT NULL,
 manifest VARCHAR(65535) NOT NULL,
 manifest_key VARCHAR(65535) NOT NULL,
 trace_id VARCHAR(65535) NOT NULL,
 committed_at TIMESTAMP WITH TIME ZONE NOT NULL);
CREATE TABLE IF NOT EXISTS tidemill.tables (
 table_schema VARCHAR(65535) NOT NULL,
 table_name VARCHAR(65535) NOT NULL,
 pipeline VARCHAR(65535) NOT NULL,
 key_columns VARCHAR(65535) NOT NULL,
 changed_window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 stands_since TIMESTAMP WITH TIME ZONE,
 stands_because VARCHAR(65535));
CREATE TABLE IF NOT EXISTS tidemill.quarantine (
 pipeline VARCHAR(65535) NOT NULL,
 table_schema VARCHAR(65535) NOT NULL,
 table_name VARCHAR(65535) NOT NULL,
 row_key VARCHAR(65535) NOT NULL,
 column_name VARCHAR(65535) NOT NULL,
 fault VARCHAR(65535) NOT NULL,
 row_image VARCHAR(65535) NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE NOT NULL,
 window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 slice INTEGER NOT NULL,
 quarantined_at TIMESTAMP WITH TIME ZONE NOT NULL,
 resolved_window_end TIMESTAMP WITH TIME ZONE,
 resolved_at TIMESTAMP WITH TIME ZONE);
CREATE OR REPLACE VIEW tidemill.freshness AS
 SELECT f.pipeline, t.table_schema, t.table_name, COALESCE(t.stands_since, f.window_end) AS window_end, f.final, f.published_at, t.changed_window_end,
  DATEDIFF(second, COALESCE(t.stands_since, f.window_end), GETDATE()) AS seconds_behind, t.stands_because
 FROM tidemill.fence f JOIN tidemill.tables t ON t.pipeline = f.pipeline;
LOCK tidemill.lock;
