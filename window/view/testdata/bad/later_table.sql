-- key: id
SELECT a.id FROM consult.appointments a JOIN consult.patients p ON p.id = a.patient_id AND d.id = 1 JOIN consult.doctors d ON d.id = a.doctor_id
-- want: line 2: unknown table d before .id; use an alias of FROM; a condition can use only its own table and those before it
