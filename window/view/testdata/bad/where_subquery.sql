-- key: id
SELECT a.id FROM consult.appointments a WHERE EXISTS (SELECT 1 FROM consult.patients p WHERE p.id = a.patient_id)
-- want: line 2: a subquery; join the table with LEFT JOIN
