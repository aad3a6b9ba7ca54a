-- key: id
SELECT count(*) AS id FROM consult.appointments a
-- want: line 2: aggregates over more than one row of the anchor a; add a.id to GROUP BY; totals over many rows belong in a job
-- want: the key lacks the primary key column id of the anchor consult.appointments; select a.id and add it to key
