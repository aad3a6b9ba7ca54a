-- key: id
SELECT a.id FROM consult.appointments a JOIN consult.patients a ON a.id = a.patient_id
-- want: line 2: two tables in FROM are called a; give each its own alias
