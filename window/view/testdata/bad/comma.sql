-- key: id
SELECT a.id FROM consult.appointments a, consult.patients p WHERE p.id = a.patient_id
-- want: a join without a condition (CROSS JOIN or a comma); write JOIN ... ON left.column = right.column
