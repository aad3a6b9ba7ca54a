-- key: id
INSERT INTO x VALUES (1)
-- want: a statement that is not a SELECT; write one SELECT in DuckDB's dialect
