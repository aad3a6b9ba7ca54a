-- key: id
SELECT a.id, row_number() OVER (ORDER BY a.starts_at) AS r FROM consult.appointments a
-- want: line 2: row_number() OVER reaches beyond one row of a; add a.id to its PARTITION BY
