-- key: id
SELECT a.id, name FROM consult.appointments a JOIN consult.patients p ON p.id = a.patient_id JOIN consult.doctors d ON d.id = a.doctor_id
-- want: line 2: column name is in several tables; write alias.name
