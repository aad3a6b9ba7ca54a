-- key: id
SELECT a.id
FORM consult.appointments a
-- want: line 3: syntax error at or near "consult"; write one SELECT in DuckDB's dialect
