-- key: id
PIVOT consult.appointments ON status USING count(*)
-- want: a statement that is not a SELECT; write one SELECT in DuckDB's dialect
