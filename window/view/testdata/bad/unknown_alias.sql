-- key: id
SELECT a.id, q.name FROM consult.appointments a JOIN consult.patients p ON p.id = a.patient_id
-- want: line 2: unknown table q before .name; use an alias of FROM
