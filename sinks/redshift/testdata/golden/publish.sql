SELECT window_start, window_end, slice, final, epoch, lineage, CAST(cut AS VARCHAR(65535)), manifest, published_at
 FROM tidemill.fence WHERE pipeline = $1;
INSERT INTO tidemill.fence (pipeline, slice, final, epoch, lineage, cut, manifest, manifest_key)
 VALUES ($1, 0, false, $2, $3, CAST('{}' AS VARCHAR(65535)), '', '');
UPDATE tidemill.fence SET epoch = $2 WHERE pipeline = $1 AND epoch <= $2;
SELECT pipeline, CAST(key_columns AS VARCHAR(65535)) FROM tidemill.tables WHERE table_schema = $1 AND table_name = $2;
SELECT table_schema, table_name, row_key FROM tidemill.quarantine WHERE pipeline = $1 AND resolved_at IS NULL;
SELECT SYSDATE;
DELETE FROM tidemill.tables WHERE table_schema = $1 AND table_name = $2;
INSERT INTO tidemill.tables (table_schema, table_name, pipeline, key_columns, changed_window_end)
 VALUES ($1, $2, $3, CAST($4 AS VARCHAR(65535)), $5);
UPDATE tidemill.quarantine SET resolved_window_end = $2, resolved_at = $3 WHERE pipeline = $1 AND resolved_at IS NULL AND table_schema = $4 AND table_name = $5;
UPDATE tidemill.quarantine SET resolved_window_end = $2, resolved_at = $3 WHERE pipeline = $1 AND resolved_at IS NULL AND (table_schema, table_name, row_key) IN (SELECT table_schema, table_name, row_key FROM "tidemill_stage");
INSERT INTO tidemill.quarantine (pipeline, table_schema, table_name, row_key, column_name, fault, row_image, window_start, window_end, slice, quarantined_at)
 SELECT CAST($1 AS VARCHAR(65535)), table_schema, table_name, row_key, column_name, fault, row_image,
  CAST($2 AS TIMESTAMP WITH TIME ZONE), CAST($3 AS TIMESTAMP WITH TIME ZONE), CAST($4 AS INTEGER), CAST($5 AS TIMESTAMP WITH TIME ZONE)
 FROM "tidemill_stage" WHERE _op = 1;
UPDATE tidemill.tables SET stands_since = COALESCE(stands_since, CAST($2 AS TIMESTAMP WITH TIME ZONE)), stands_because = $3
 WHERE pipeline = $1 AND table_schema = $4 AND table_name = $5;
UPDATE tidemill.tables SET stands_since = NULL, stands_because = NULL
 WHERE pipeline = $1 AND stands_because IS NOT NULL AND NOT (table_schema = $2 AND table_name = $3);
UPDATE tidemill.fence SET window_start = $3, window_end = $4, slice = $5, final = $6, cut = CAST($7 AS VARCHAR(65535)),
 manifest = $8, manifest_key = $9, published_at = $10 WHERE pipeline = $1 AND epoch = $2;
INSERT INTO tidemill.receipts (pipeline, window_start, window_end, slice, final, epoch, lineage, cut, tables, rows_in, late,
 parked, changed_values, durations_ms, attempt, manifest, manifest_key, trace_id, committed_at, quarantined, resolved)
 VALUES ($1, $2, $3, $4, $5, $6, $7, CAST($8 AS VARCHAR(65535)), CAST($9 AS VARCHAR(65535)), $10, $11, CAST($12 AS VARCHAR(65535)), $13, CAST($14 AS VARCHAR(65535)), $15, $16, $17, $18, $19, $20, $21);
