-- key: id
SELECT a.id FROM consult.appointments a SEMI JOIN consult.patients p ON p.id = a.patient_id
-- want: line 2: SEMI JOIN; write LEFT JOIN and filter with IS NOT NULL
