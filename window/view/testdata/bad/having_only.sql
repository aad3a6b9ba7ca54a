-- key: id
SELECT a.id FROM consult.appointments a HAVING count(*) > 1
-- want: line 2: aggregates over more than one row of the anchor a; add a.id to GROUP BY; totals over many rows belong in a job
