-- key: id
SELECT a.id, rank() OVER (PARTITION BY a.patient_id ORDER BY a.starts_at) AS r FROM consult.appointments a
-- want: line 2: rank() OVER reaches beyond one row of a; add a.id to its PARTITION BY
