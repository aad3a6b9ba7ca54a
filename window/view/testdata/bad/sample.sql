-- key: id
SELECT a.id FROM consult.appointments a TABLESAMPLE 10%
-- want: line 2: TABLESAMPLE; filter with WHERE on a column
