-- key: id
SELECT a.id FROM consult.appointments a ANTI JOIN consult.patients p ON p.id = a.patient_id
-- want: line 2: ANTI JOIN; write LEFT JOIN and filter with IS NULL
